"""A long history by four workers, one of them killed and started again, is the history that one process reads."""

import gzip
import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet
import pytest

from demo.postgres import Postgres
from fullstory_emulator import Bundle, Emulator, Fault
from tests.end_to_end.pipeline import TAP

pytestmark = pytest.mark.pipelines

DAYS = 90
EVENTS = 40  # in a bundle
WORKERS = 4
SLOW = 0.1  # seconds that the emulator takes for a bundle, so that a worker can be killed in the middle
TIMEOUT = 300.0  # seconds
Row = tuple[Any, ...]


@pytest.fixture(scope="module")
def account() -> Iterable[Emulator]:
    """Ninety days of invented events."""
    account = Emulator.generated(days=DAYS, events_per_bundle=EVENTS)
    account.bundles = [Bundle(one.start, one.stop, list(one.read_events())) for one in account.listed()]
    assert DAYS == len(account.bundles)
    with account:
        yield account


@dataclass
class History:
    """A folder with the settings for an account, in which runs write files of one format."""

    folder: Path
    account: Emulator
    form: str

    def __post_init__(self) -> None:
        start = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.account.bundles[0].start))
        settings = {
            "api_key": self.account.api_key,
            "api_url": self.account.url,
            "export_url": self.account.url,
            "start_date": start,
            "spool_dir": str(self.folder),
        }
        (self.folder / "config.json").write_text(json.dumps(settings), "utf-8")

    def tap(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """The tap, in the folder."""
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen([str(TAP), *arguments], cwd=self.folder, stdout=subprocess.PIPE, stderr=log)

    def said(self, *arguments: str) -> bytes:
        """What the tap prints, once it has ended well."""
        process = self.tap(*arguments)
        printed, _ = process.communicate(timeout=TIMEOUT)
        assert 0 == process.returncode, (self.folder / "log").read_text("utf-8")
        return printed

    def plan(self) -> list[str]:
        """The windows for the workers, a file each."""
        lines = self.said("--config", "config.json", "--plan", "--workers", str(WORKERS)).splitlines()
        for number, line in enumerate(lines):
            (self.folder / f"window-{number}.json").write_bytes(line)
        return [f"window-{number}" for number in range(len(lines))]

    def worker(self, window: str) -> list[str]:
        """The arguments of a worker."""
        return [
            *("--config", "config.json", "--config", f"{window}.json", "--state", f"{window}.state"),
            *("--to", "files", "--format", self.form),
        ]

    def kill_one(self, window: str) -> None:
        """Begin a window, and kill the worker once it has written something."""
        process = self.tap(*self.worker(window))
        deadline = time.monotonic() + TIMEOUT
        while not (self.folder / f"{window}.state").exists():
            assert time.monotonic() < deadline, "it writes nothing"
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert -signal.SIGKILL == process.returncode

    def files(self) -> list[Path]:
        """All files of events, and no other ones beside them."""
        manifests = [json.loads(path.read_bytes()) for path in (self.folder / "files" / "_manifests").iterdir()]
        paths = [self.folder / "files" / one["path"] for manifest in manifests for one in manifest["files"]]
        assert sorted(paths) == sorted((self.folder / "files" / "events").iterdir())
        return paths


def backfill(history: History) -> list[Path]:
    """Read the history by four workers at the same time, after one of them was killed; return the files."""
    windows = history.plan()
    assert WORKERS == len(windows)
    history.account.faults = [Fault("/api/v1/export/get", times=None, delay=SLOW)]
    history.kill_one(windows[1])
    with ThreadPoolExecutor(WORKERS) as workers:
        list(workers.map(lambda window: history.said(*history.worker(window)), windows))
    history.account.faults = []
    merged = json.loads(history.said("--merge-state", *[f"{window}.state" for window in windows]))
    bookmark = merged["bookmarks"]["events"]
    assert time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(history.account.bundles[-1].stop)) == bookmark["until"]
    assert "beyond" not in bookmark and [] == bookmark["gaps"]
    return history.files()


def single(history: History) -> list[Path]:
    """Read the history by one process; return the files."""
    arguments = "--config", "config.json", "--state", "state", "--to", "files", "--format", history.form
    history.said(*arguments)
    return history.files()


def of(folder: Path, account: Emulator, form: str) -> History:
    folder.mkdir()
    return History(folder, account, form)


def test_parquet(account: Emulator, tmp_path: Path) -> None:
    """What is read in parallel would be less than, or more than, what is there."""
    many, one = of(tmp_path / "many", account, "parquet"), of(tmp_path / "one", account, "parquet")

    read = Counter(rows_of_parquet(backfill(many)))

    assert DAYS * EVENTS == read.total()
    assert Counter(rows_of_parquet(single(one))) == read


def rows_of_parquet(paths: Iterable[Path]) -> Iterable[Row]:
    for path in paths:
        for row in pyarrow.parquet.read_table(path).to_pylist():
            yield tuple(row.items())


def test_postgres(account: Emulator, tmp_path: Path, postgres: Postgres, columns: dict[str, dict[str, Any]]) -> None:
    """The same for rows in a warehouse."""
    many, one = of(tmp_path / "many", account, "csv"), of(tmp_path / "one", account, "csv")
    with postgres.connect() as connection:
        loaded = Counter(load(connection, "many_workers", columns, backfill(many)))

        assert DAYS * EVENTS == loaded.total()
        assert Counter(load(connection, "one_process", columns, single(one))) == loaded


TYPES = {"integer": "bigint", "number": "double precision", "string": "text", "boolean": "boolean"}


def load(
    connection: "psycopg.Connection[Any]", table: str, columns: dict[str, dict[str, Any]], paths: Iterable[Path]
) -> list[Row]:
    """Copy files into a new table; return its rows."""
    types = [
        f'"{name}" ' + ("timestamptz" if one.get("format") == "date-time" else TYPES[one["type"][-1]])
        for name, one in columns.items()
    ]
    connection.execute(f"CREATE TABLE {table} ({', '.join(types)})")  # type: ignore[arg-type]
    for path in paths:
        with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv, HEADER match)") as copy:  # type: ignore[arg-type]
            copy.write(gzip.decompress(path.read_bytes()))
    return connection.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[arg-type]
