"""The real command, a real target, a real PostgreSQL; only Fullstory is the emulator."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import Postgres
from fullstory_emulator import Emulator
from tests.end_to_end.job import Job, bundle
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT, Pipeline

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


@pytest.fixture
def job(tmp_path: Path, shop: Emulator) -> Job:
    """A folder, with spaces in its name, for an account with two bundles of five events."""
    shop.bundles = [bundle(0), bundle(1)]
    job = Job(tmp_path / "my fullstory job", shop)
    job.create()
    return job


@pytest.fixture(scope="session")
def columns() -> dict[str, dict[str, Any]]:
    """The columns of `events`, by name, as `tap-fullstory --discover` prints them."""
    printed = subprocess.run([str(TAP), "--discover"], check=True, capture_output=True, timeout=TIMEOUT).stdout
    (events,) = [entry for entry in json.loads(printed)["streams"] if entry["tap_stream_id"] == "events"]
    properties: dict[str, dict[str, Any]] = events["schema"]["properties"]
    return properties


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one commit, of all files that are or would be under version control here."""
    folder = tmp_path_factory.mktemp("tree") / "tap-fullstory"
    for name in filter(None, git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")):
        if (ROOT / name).exists():  # not so while a removed file is not committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    author = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.org", "-c", "commit.gpgsign=false")
    git(folder, *author, "commit", "--quiet", "--message", "all")
    return folder


def git(folder: Path, *arguments: str) -> str:
    """What a command of git prints in a folder."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=TIMEOUT).stdout
