"""The tap into real targets, against `cat` of a file with the same lines into the same target.

A target is slower than the tap, so this asks whether the tap keeps the target waiting, or takes processor time from it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench.measure import BenchError, Run, guarded, in_turn, run
from bench.opponents import ENVS, ROOT, TAP
from bench.serve import serve
from bench.speed import prepare
from demo.postgres import Postgres

JSONL, PIPELINEWISE = "target-jsonl", "pipelinewise-target-postgres"
ENV_OF = {JSONL: "target-jsonl", PIPELINEWISE: "target-pipelinewise"}
WITH_TAP, WITH_CAT = TAP.name, "cat"


@dataclass(frozen=True)
class Piped:
    """What came of the pipelines; the runs by target and by what feeds it, processor time of feeder and target."""

    events: int
    runs: dict[str, dict[str, list[Run]]]


@dataclass(frozen=True)
class Target:
    """A target that is ready to run: its command, and a function that counts what it loaded, and removes it."""

    command: list[str]
    take_away: Callable[[], int]


def pipelines(events: int, rounds: int) -> Piped:
    """Run each pipeline, in turn with its twin that begins with `cat`."""
    with tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as name, serve("usual", events) as served:
        folder = Path(name)
        tap = prepare([TAP], "usual", served, folder)[TAP.name]
        lines = folder / "messages"
        run(tap, drain=f"exec cat > {shlex.quote(str(lines))}", cwd=ROOT)
        cat = [shutil.which("cat") or "cat", str(lines)]
        found = {}
        for target_name, opened in ((JSONL, _jsonl), (PIPELINEWISE, _pipelinewise)):
            with opened(folder) as target:
                feeders = {WITH_TAP: tap, WITH_CAT: cat}
                runners = {
                    feeder: partial(timed, command, target, served.events) for feeder, command in feeders.items()
                }
                found[target_name] = in_turn(runners, rounds)
    return Piped(served.events, found)


def timed(feeder: Sequence[str], target: Target, events: int) -> Run:
    """Run a feeder into a target.

    Raises:
        BenchError: other than *events* rows were loaded.
    """
    pipe = f"set -o pipefail; {shlex.join(guarded(feeder))} | {shlex.join(guarded(target.command))}"
    taken, _ = run([shutil.which("bash") or "bash", "-c", pipe], cwd=ROOT)
    loaded = target.take_away()
    if loaded != events:
        raise BenchError(f"{loaded} of {events} events were loaded by: {pipe}")
    return taken


@contextmanager
def _pipelinewise(folder: Path) -> Iterator[Target]:
    with Postgres() as postgres, postgres.connect() as connection:
        yield pipelinewise(folder, postgres, connection)


@contextmanager
def _jsonl(folder: Path) -> Iterator[Target]:
    output = folder / "output"
    output.mkdir()
    config = folder / "jsonl.json"
    config.write_text(json.dumps({"destination_path": str(output)}), "utf-8")

    def take_away() -> int:
        loaded = 0
        for file in output.iterdir():
            with open(file, "rb") as lines:
                loaded += sum(1 for _ in lines)
            file.unlink()
        return loaded

    yield Target([str(ENVS / ENV_OF[JSONL] / "bin" / "target-jsonl"), "--config", str(config)], take_away)


def pipelinewise(folder: Path, postgres: Postgres, connection: psycopg.Connection[Any]) -> Target:
    """Return the target that loads into a database, where it makes what it needs."""
    settings = postgres.target_settings()
    settings["dbname"] = settings.pop("database")
    settings["primary_key_required"] = False  # events have no key by default
    config = folder / "pipelinewise.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps(settings), "utf-8")

    def take_away() -> int:
        row = connection.execute("SELECT count(*) FROM fullstory.events").fetchone()
        connection.execute("DROP SCHEMA fullstory CASCADE")
        return row[0] if row else 0

    return Target([str(ENVS / ENV_OF[PIPELINEWISE] / "bin" / "target-postgres"), "--config", str(config)], take_away)
