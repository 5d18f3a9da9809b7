"""How much memory a run takes, whatever the size of a bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fullstory_emulator import Emulator
from tests.integration.tap import rfc

MOST = 100 * 1024  # KiB of resident memory
# A process of its own: Linux counts what the parent held when it started the child.
MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(status)
"""


@pytest.mark.parametrize("events", [10_000, 100_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_memory_does_not_grow_with_a_bundle(tmp_path: Path, events: int, source: str) -> None:
    """A large bundle would get the container of a scheduler killed, with an empty message."""
    with Emulator.generated(days=1, events_per_bundle=events, prepared=True) as emulator:
        settings = {
            "api_key": emulator.api_key,
            "api_url": emulator.url,
            "export_url": emulator.url,
            "spool_dir": str(tmp_path),
            "events_source": source,
            "start_date": rfc(emulator.listed()[0].start),
            "export_window_hours": 24,
        }
        config = tmp_path / "config.json"
        config.write_text(json.dumps(settings))

        command = [sys.executable, "-m", "tap_fullstory", "--config", str(config)]
        run = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, check=False)

    assert 0 == run.returncode
    assert f"{events} records, 1 bundle finished" in run.stderr.decode().splitlines()[-1]
    assert int(run.stdout) < MOST
