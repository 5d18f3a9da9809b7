"""What is compared: for each program its command, what it does not do, and how to count what it writes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVS = ROOT / ".envs"
RECORDS = r'^\{"type": ?"RECORD"'  # as a target recognises one: inside a text the quotes would be escaped

# The tap's own and its libraries' versions; singer-python and the floor run in the environment of the tap.
OURS, LEGACY, SDK, DUCKDB = "bench-ours", "bench-legacy", "bench-sdk", "bench-duckdb"


@dataclass(frozen=True)
class Program:
    """One program that reads the bundles of the emulator and writes to stdout.

    Attributes:
        name: in tables.
        env: the folder of its environment, below `.envs`.
        arguments: of that environment's Python, up to where the arguments of the tap begin.
        package: whose version is reported.
        does: what it does and does not do, for the reader of the results.
        events: matches the lines that are one event each.
        selects: it obeys a catalog, so it takes part where one is given.
        needs_url: its first argument is the URL of the server, which its settings cannot name.
        modes: the ways to start it without a sync that it has.
    """

    name: str
    env: str
    arguments: tuple[str, ...]
    package: str
    does: str
    events: str = RECORDS
    selects: bool = False
    needs_url: bool = False
    modes: tuple[str, ...] = ()

    def command(self, url: str, *arguments: str) -> list[str]:
        """Return the command line."""
        first = (url,) if self.needs_url else ()
        return [str(ENVS / self.env / "bin" / "python"), *self.arguments, *first, *arguments]


TAP = Program(
    name="tap-fullstory",
    env=OURS,
    arguments=(str(ENVS / OURS / "bin" / "tap-fullstory"),),
    package="tap-fullstory",
    does="This tap, with default settings. It checks every bundle before its first event is written, brings every "
    "value into the form of its column, keeps all else as JSON in `CustomVars`, and writes states from which a run "
    "resumes inside a bundle.",
    selects=True,
    modes=("--version", "--help", "--discover"),
)
OTHER_SOURCE = str(ROOT / "bench" / "programs" / "segment_export.json")
OPPONENTS = (
    Program(
        name="tap-fullstory, Segment Export",
        env=OURS,
        arguments=(str(ENVS / OURS / "bin" / "tap-fullstory"), "--config", OTHER_SOURCE),
        package="tap-fullstory",
        does="The same events from Segment Export, as one window. It waits a second before it asks whether the export "
        "is ready; the emulator makes it at once.",
        selects=True,
    ),
    Program(
        name="tap-fullstory 1.0.4",
        env=LEGACY,
        arguments=(str(ROOT / "bench" / "programs" / "legacy.py"),),
        package="tap-fullstory",
        does="The tap of that name in the Python package index, unchanged, with the libraries that it pins. "
        "It streams and writes events as they come, but for the form of `EventStart`: other values need not fit their "
        "column (tried). That a bundle is damaged ends it when a part has been written (tried). It knows no catalog. "
        "Its settings do not name a server, so `bench/programs/legacy.py` does, which also lets it start on a Python "
        "of today.",
        needs_url=True,
        modes=("--help",),
    ),
    Program(
        name="Meltano SDK",
        env=SDK,
        arguments=("-m", "bench.programs.sdk_tap"),
        package="singer-sdk",
        does="`bench/programs/sdk_tap.py`: a tap on the Meltano SDK with the same columns and `CustomVars`, streaming; "
        "parses with `json`. It writes values also if they do not fit their column, though the SDK has looked at them "
        "(tried). A damaged bundle ends it when a part may have been written (tried). A run cannot resume inside a "
        "bundle.",
        selects=True,
        modes=("--version", "--help", "--discover"),
    ),
    Program(
        name="Meltano SDK, msgspec",
        env=SDK,
        arguments=("-m", "bench.programs.sdk_tap_msgspec"),
        package="singer-sdk",
        does="The same with the SDK's faster encoder, `MsgSpecWriter`.",
        selects=True,
    ),
    Program(
        name="singer-python",
        env=OURS,
        arguments=("-m", "bench.programs.write_record"),
        package="singer-python",
        does="`bench/programs/write_record.py`: not a tap, only `json` and `singer.write_record` for every event as it "
        "comes. No columns, no catalog, no state; damaged bundles as with the SDK.",
    ),
    Program(
        name="floor",
        env=OURS,
        arguments=("-m", "bench.programs.floor"),
        package="isal",
        does="`bench/programs/floor.py`: downloads, unpacks, writes the bytes. It reads no JSON and writes no "
        "messages: what is left when all that makes a tap is taken away.",
        events="",  # the emulator gives each event a line
    ),
)
PROGRAMS = (TAP, *OPPONENTS)


@cache
def version(env: str, package: str) -> str:
    """Return the version of a package in one of the environments."""
    code = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    # -I: what lies in the working folder must not be taken for what is installed
    command = [str(ENVS / env / "bin" / "python"), "-I", "-c", code, package]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
