"""Running programs in turn, and the figures that come of it."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.processes import dying_with_us

CHILD = Path(__file__).with_name("child.py")
DISCARD = "exec cat > /dev/null"
# Whatever the user has set for Python or for this tap would be measured, too; PYTHONPATH could name another tap.
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TAP_")) and name != "LOGLEVEL"
}
TAIL = 15  # lines of a failed program's stderr that are shown


class BenchError(Exception):
    """What went wrong, for the person in front of the screen."""


@dataclass(frozen=True)
class Run:
    """What one process took.

    Attributes:
        seconds: from its start to its end.
        cpu: seconds of processor time, user and system.
        peak: most resident memory, KiB.
    """

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True)
class Spread:
    """The middle of some figures, and the range that they lie in."""

    median: float
    low: float
    high: float


def run(command: Sequence[str], *, drain: str = DISCARD, cwd: Path | None = None) -> tuple[Run, str]:
    """Run *command*, its output into a pipe that *drain* reads; return what it took, and what *drain* printed.

    Raises:
        BenchError: it failed.
    """
    with tempfile.TemporaryFile() as errors:
        done = subprocess.run(
            [*dying_with_us(signal.SIGTERM), sys.executable, "-I", "-S", str(CHILD), drain, *guarded(command)],
            cwd=cwd,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            check=False,
        )
        taken = json.loads(done.stdout) if done.returncode == 0 else {"status": done.returncode}
        if taken["status"] != 0:
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").splitlines()[-TAIL:]
            raise BenchError("\n".join([f"status {taken['status']} from: {' '.join(command)}", *said]))
    return Run(taken["seconds"], taken["cpu"], taken["peak"]), str(taken["drained"]).strip()


def guarded(command: Sequence[str]) -> list[str]:
    """Return *command* so that it dies with us: else a tap would look for the emulator for an hour."""
    return [*dying_with_us(signal.SIGKILL), *command]


def in_turn(runners: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run everything once in each round, so that what slows the machine for a while slows all alike.

    Who begins changes from round to round.
    """
    taken: dict[str, list[Run]] = {name: [] for name in runners}
    for number in range(rounds):
        for name in rotated(list(runners), number):
            taken[name].append(runners[name]())
    return taken


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Return *names*, beginning with another one for each *by*."""
    first = by % len(names) if names else 0
    return [*names[first:], *names[:first]]


def spread(figures: Sequence[float]) -> Spread:
    """Return median, lowest and highest."""
    return Spread(statistics.median(figures), min(figures), max(figures))


def paired(ours: Sequence[Run], theirs: Sequence[Run]) -> Spread:
    """Return how many times as long theirs took as ours, each round compared within itself."""
    return spread([their.seconds / our.seconds for our, their in zip(ours, theirs, strict=False)])
