"""The real command, a real target, a real PostgreSQL; only Fullstory is the emulator."""

import json
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import Postgres
from fullstory_emulator import Emulator
from tests.end_to_end.pipeline import TAP, TIMEOUT, Pipeline

schemas = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """An empty PostgreSQL for all tests of a run."""
    with Postgres() as server:
        yield server


@pytest.fixture
def shop() -> Iterator[Emulator]:
    """Fullstory without any bundle; tests fill it."""
    with Emulator() as emulator:
        yield emulator


@pytest.fixture
def pipeline(tmp_path: Path, postgres: Postgres, shop: Emulator) -> Iterator[Pipeline]:
    """The tap and target-postgres between *shop* and a fresh schema."""
    with postgres.connect() as connection:
        schema = f"e2e_{next(schemas)}"
        yield Pipeline(folder=tmp_path, emulator=shop, postgres=postgres, connection=connection, schema=schema)


@pytest.fixture(scope="session")
def columns() -> dict[str, dict[str, Any]]:
    """The columns of `events`, by name, as `tap-fullstory --discover` prints them."""
    printed = subprocess.run([str(TAP), "--discover"], check=True, capture_output=True, timeout=TIMEOUT).stdout
    (events,) = [entry for entry in json.loads(printed)["streams"] if entry["tap_stream_id"] == "events"]
    properties: dict[str, dict[str, Any]] = events["schema"]["properties"]
    return properties
