"""Ten bundles over four workers, at Fullstory's limit on downloads: how much longer than the limit dictates."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import ENVIRONMENT, BenchError, guarded
from bench.opponents import TAP
from fullstory_emulator import Bundle, Emulator

BUNDLES, WORKERS = 10, 4
LIMIT = (2, 60.0)  # downloads in so many seconds
FIRST, LENGTH = 1_767_225_600, 3600  # 2026-01-01T00:00:00Z, when the first bundle begins; and seconds
GET = "/api/v1/export/get"


@dataclass(frozen=True)
class Backfill:
    """What it took.

    Attributes:
        seconds: from the start of the workers to the end of the last of them.
        least: that the limit dictates.
        refused: downloads, for each worker.
    """

    seconds: float
    least: float
    refused: float

    def __str__(self) -> str:
        return (
            f"{BUNDLES} bundles over {WORKERS} workers took {self.seconds:.1f} s, {self.seconds / self.least:.3f} "
            f"times the {self.least:.0f} s that the limit dictates; {self.refused:.1f} refusals for each worker."
        )


def backfill() -> Backfill:
    """Plan windows, and run a worker on each at the same time.

    Raises:
        BenchError: one of them failed, or events are missing.
    """
    events = [{"EventStart": "2026-01-01T00:00:00Z", "EventType": "click"}]
    stops = range(FIRST + LENGTH, FIRST + (BUNDLES + 1) * LENGTH, LENGTH)
    bundles = [Bundle(stop - LENGTH, stop, events) for stop in stops]
    with tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as name, Emulator(bundles=bundles) as emulator:
        folder = Path(name)
        emulator.rate_limit = LIMIT
        config = folder / "config.json"
        settings = {
            "api_key": emulator.api_key,
            "api_url": emulator.url,
            "export_url": emulator.url,
            "start_date": "2026-01-01",
            "spool_dir": name,
        }
        config.write_text(json.dumps(settings), "utf-8")
        command = TAP.command(emulator.url, "--config", str(config))
        windows = _ended(_started([*command, "--plan", "--workers", str(WORKERS)])).splitlines()
        began = time.monotonic()
        workers = []
        for number, window in enumerate(windows):
            overlay = folder / f"window-{number}.json"
            overlay.write_text(window, "utf-8")
            workers.append(_started([*command, "--config", str(overlay)]))
        written = "".join(map(_ended, workers)).count('"RECORD"')
        seconds = time.monotonic() - began
        if written != BUNDLES:
            raise BenchError(f"{written} events of {BUNDLES} were written.")
        refused = sum(one.path == GET and one.status != 200 for one in emulator.requests)
    most, per = LIMIT
    return Backfill(seconds, per * (-(-BUNDLES // most) - 1), refused / WORKERS)


def _started(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        guarded(command), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _ended(process: subprocess.Popen[str]) -> str:
    written, _ = process.communicate()
    if process.returncode:
        raise BenchError(f"status {process.returncode} from a worker")
    return written
