"""`python -m bench.serve PROFILE EVENTS BUNDLES`: the emulator as a process of its own, until its stdin is closed.

The first line it prints is what a client needs to know, as JSON: see `Served`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fullstory_emulator import Bundle, Course, Emulator
from fullstory_emulator.bundles import HALF_HOUR, Prepared

ROOT = Path(__file__).resolve().parent.parent
NOW = 1_768_003_200  # 2026-01-10T00:00:00Z: a clock that stands still gives the same events on every day
START_DATE = "2026-01-08T00:00:00Z"  # when the bundle begins, so that there is one window to export


@dataclass(frozen=True)
class Profile:
    """A kind of events.

    Attributes:
        title: in headings.
        custom_vars: on each event; None: on some of them, as in the sample that Fullstory published.
        columns: those that the catalog selects; empty: there is no catalog, so all.
        dirty: some texts hold NUL, quotes, line ends, other scripts, or are very long.
    """

    title: str
    custom_vars: int | None = None
    columns: tuple[str, ...] = ()
    dirty: bool = False


NARROW = ("IndvId", "UserId", "SessionId", "EventStart", "EventType", "PageUrl")
PROFILES = {
    "usual": Profile("Invented visitors, close to the sample that Fullstory published; all columns"),
    "dirty": Profile("The same visitors, some with texts that need care; all columns", dirty=True),
    "custom5": Profile("Five custom variables on every event, of 300 names; all columns", custom_vars=5),
    "custom40": Profile("Forty custom variables on every event, of 300 names; all columns", custom_vars=40),
    "narrow": Profile(f"Events as in the first table, {len(NARROW)} columns selected", columns=NARROW),
}


def custom_names(count: int = 300) -> list[str]:
    """Names as Fullstory makes them: each with a prefix and a suffix, all combinations in turn."""
    prefixes, suffixes = ("user", "page", "evt"), ("str", "int", "real", "bool", "date")
    return [f"{prefixes[n % 3]}_variable{n}_{suffixes[n % 5]}" for n in range(count)]


@dataclass(frozen=True)
class Served:
    """What an emulator serves: one bundle, or many that hold the same.

    Attributes:
        config: settings for a tap.
        bundle_id: of the last bundle.
        events: in all of them.
        bytes: of their JSON text.
    """

    config: dict[str, Any]
    bundle_id: int
    events: int
    bytes: int


@contextmanager
def serve(profile: str, events: int, bundles: int = 1) -> Iterator[Served]:
    """Run the emulator in another process.

    Args:
        events: in each bundle; the emulator rounds to whole blocks.
        bundles: one of a day, or so many of half an hour.
    """
    command = [sys.executable, "-m", "bench.serve", profile, str(events), str(bundles)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin and process.stdout
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("The emulator does not start. What it said stands above.")
        try:
            yield Served(**json.loads(line))
        finally:
            process.stdin.close()  # ends it, also when we die of something that runs no `finally`


def main() -> None:
    """Serve until stdin is closed."""
    profile, events, bundles = PROFILES[sys.argv[1]], int(sys.argv[2]), int(sys.argv[3])
    emulator = Emulator.generated(
        days=1,
        events_per_bundle=events,
        custom_vars_per_event=profile.custom_vars,
        custom_var_names=custom_names() if profile.custom_vars else (),
        dirty=profile.dirty,
        prepared=True,
        now=NOW,
    )
    emulator.course = Course(polls=0)
    with emulator:
        (bundle,) = emulator.listed()
        source = bundle.source
        assert isinstance(source, Prepared)
        count = sum(len(json.loads(b"[%b]" % block)) * times for block, times in source.blocks)
        b"".join(source.read_gzip())  # compresses its block, so that the first client does not wait for that
        start_date = START_DATE
        if bundles > 1:
            starts = range(bundle.stop - bundles * HALF_HOUR, bundle.stop, HALF_HOUR)
            emulator.bundles = [Bundle(start, start + HALF_HOUR, source=source) for start in starts]
            bundle = emulator.bundles[-1]
            start_date = f"{datetime.fromtimestamp(starts[0], timezone.utc):%Y-%m-%dT%H:%M:%SZ}"
        config = {
            "api_key": emulator.api_key,
            "api_url": emulator.url,
            "export_url": emulator.url,
            "start_date": start_date,
        }
        served = Served(config, bundle.id, count * bundles, source.length * bundles)
        print(json.dumps(asdict(served)), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
