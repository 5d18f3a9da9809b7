"""The real command line against the emulator, offline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fullstory_emulator import Emulator
from tests.integration.tap import Tap


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Fullstory without any bundle; tests fill it."""
    with Emulator() as server:
        yield server


@pytest.fixture
def run_tap(tmp_path: Path, emulator: Emulator) -> Tap:
    """The tap with a folder of its own, pointed at the emulator."""
    return Tap(tmp_path, emulator)
