"""What grows with a bundle, and with the number of bundles: processor time of an event, memory, the state."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.bulk import FILES, files_run
from bench.measure import BenchError, Run, in_turn, run
from bench.opponents import RECORDS, ROOT, TAP
from bench.serve import Served, serve
from bench.speed import Measured, prepare, timed

MESSAGES = f"{TAP.name}, messages"
PROFILE = "usual"
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)  # events in the bundle
ONCE = 10_000_000  # events from which on a run takes minutes
BUNDLES = (10, 100, 1000, 10_000)
IN_EACH = 10  # events in each of them
LAST_LINE = f"exec awk '/{RECORDS}/ {{ records++ }} {{ last = $0 }} END {{ print records; print last }}'"


@dataclass(frozen=True)
class Bundled:
    """What came of one run over many small bundles.

    Attributes:
        events: in all of them.
        state: bytes of the value of the last STATE.
        runs: one by each way of writing.
    """

    bundles: int
    events: int
    state: int
    runs: dict[str, list[Run]]


@dataclass(frozen=True)
class Grown:
    """What came of all sizes, and of all numbers of bundles, the smallest first."""

    sizes: list[Measured]
    bundles: list[Bundled]


def grow(sizes: Sequence[int], rounds: int, tell: Callable[[str], None]) -> Grown:
    """Write bundles of these sizes, and then many small ones.

    Args:
        tell: is called with what goes on.
    """
    grown = Grown([], [])
    for events in sorted(sizes):
        tell(f"growth: {events:,} events ...")
        grown.sizes.append(by_size(events, 1 if events >= ONCE else rounds))
    for bundles in BUNDLES:
        tell(f"growth: {bundles:,} bundles ...")
        grown.bundles.append(by_bundles(bundles))
    return grown


def by_size(events: int, rounds: int) -> Measured:
    """Write one bundle in each way, in turn."""
    with _served(events, 1) as (served, tap, folder):
        runners = {MESSAGES: partial(timed, tap), FILES: partial(files_run, tap, folder, served.events)}
        return Measured(PROFILE, served.events, served.bytes, in_turn(runners, rounds))


def by_bundles(bundles: int) -> Bundled:
    """Write many small bundles in each way, once.

    Raises:
        BenchError: not all events were written.
    """
    with _served(IN_EACH, bundles) as (served, tap, folder):
        taken, drained = run(tap, drain=LAST_LINE, cwd=ROOT)
        records, last = drained.split("\n")
        if int(records) != served.events:
            raise BenchError(f"{records} of {served.events} events were written by: {MESSAGES}")
        state = json.dumps(json.loads(last)["value"], separators=(",", ":"))
        runs = {MESSAGES: [taken], FILES: [files_run(tap, folder, served.events)]}
        return Bundled(bundles, served.events, len(state), runs)


@contextmanager
def _served(events: int, bundles: int) -> Iterator[tuple[Served, list[str], Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as name,
        serve(PROFILE, events, bundles) as served,
    ):
        (tap,) = prepare([TAP], PROFILE, served, Path(name)).values()
        yield served, tap, Path(name)
