"""The real command line against the emulator, offline."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from fullstory_emulator import Emulator
from tests.integration.tap import SOURCES, Tap


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    """Fullstory without any bundle; tests fill it."""
    with Emulator() as server:
        yield server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test with every source of events, unless it is marked as one about `only_source`.

    The second time is one of the tests that take minutes: all of them together do.
    """
    if "source" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only_source")
        first, *others = only.args if only else SOURCES
        more = [pytest.param(one, marks=pytest.mark.long) for one in others]
        metafunc.parametrize("source", [first, *more])


@pytest.fixture
def run_tap(tmp_path: Path, emulator: Emulator, source: str) -> Tap:
    """The tap with a folder of its own, pointed at the emulator."""
    return Tap(tmp_path, emulator, source)
