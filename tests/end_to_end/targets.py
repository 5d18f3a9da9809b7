"""Real targets: how each is run and read, and what it is known to do to what it gets.

`test_targets.py` shows all of it; `scripts/update-docs` makes the README's table "works with" of what has been shown.
"""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from urllib.request import urlopen

from bench.opponents import ENVS, version
from demo.postgres import Postgres
from tests.end_to_end.expected import EPOCH, Columns, Row, frozen, nanoseconds

PROGRAMS = Path(__file__).parent / "programs"
TABLE = "works with"  # in tests/evidence.json
WITHOUT, WITH = "without event_key", "with event_key"
KINDS = ("integer", "number", "string", "timestamp")  # of columns
VALUES, NEW, KILLED = "every value arrives", "a second run adds what is new", "a run that is killed can be resumed"
LONG_TEXT = 3_000_000  # characters: more than a CSV line of DuckDB may have, less than a text of Snowflake

Rule = Callable[[Row, Columns], Row]
Servers = Callable[[str], Any]  # gives a server of the test run by its name; starts it if need be
numbers = count(1)  # for names that are used once


@dataclass(frozen=True)
class Change:
    """Something that a target does to every row.

    Attributes:
        says: in the words of the README.
        rule: the row as it ought to be to the row as the target leaves it.
    """

    says: str
    rule: Rule


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        package: its name in the Python package index.
        env: the folder of its environment, below `.envs`.
        program: its command, below the folder `bin` of that.
        destination: makes what it loads into, of a folder, the servers of the test run, and the columns of `events`.
        types: the types that the destination gives to columns, by `kind_of`.
        into: what it loads into, in the words of the README, where its name does not say it.
        replaces: rows that have the key of a new one.
        changes: what it does to rows, in this order.
        adds: columns of its own.
        needs: settings without which something goes wrong, in every run or, where `unless_key`, in runs without a key.
        otherwise: what goes wrong without them, in the words of the README.
        refuses: in the words of the README, texts of LONG_TEXT characters.
        in_parts: settings that make it load a run in several parts.
        by: how it is used, in the words of the README, where that is not the usual way.
        batches: the tap gives it BATCH messages, not RECORDs.
        settings: more of its settings, in every run.
    """

    package: str
    env: str
    program: str
    destination: Callable[[Path, Servers, Columns], Destination]
    types: Mapping[str, str]
    into: str = ""
    replaces: bool = True
    changes: tuple[Change, ...] = ()
    adds: tuple[str, ...] = ()
    needs: Mapping[str, Any] = field(default_factory=dict)
    unless_key: bool = False
    otherwise: str = ""
    refuses: str = ""
    in_parts: Mapping[str, Any] = field(default_factory=lambda: {"batch_size_rows": 200})
    by: str = ""
    batches: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def command(self, servers: Servers) -> list[str]:
        """Return the command line, up to where `--config` begins."""
        path = ENVS / self.env / "bin" / self.program
        if self.program == "python":  # no address of a server fits into the settings of target-snowflake
            return [str(path), str(PROGRAMS / "snowflake_target.py"), str(servers("snowflake"))]
        return [str(path)]

    @property
    def name(self) -> str:
        """Its name and version, as in the README."""
        into = re.sub(r"\{(\w+)\}", lambda found: version(self.env, found[1]), self.into)
        return f"{self.package} {version(self.env, self.package)}{into}{self.by and f', {self.by}'}"


class Destination(Protocol):
    """What a target loads into."""

    def settings(self) -> dict[str, Any]:
        """What the target has to be told."""

    def types(self) -> dict[str, str]:
        """The columns that are there, each with its type."""

    def rows(self) -> list[Row]:
        """All rows of `events`, in the form of `expected_row` with times in nanoseconds; none if there is no table."""


def kind_of(schema: Mapping[str, Any]) -> str:
    """Return what kind of values a column holds."""
    if schema.get("format") == "date-time":
        return "timestamp"
    (kind,) = [one for one in schema["type"] if one != "null"]
    return str(kind)


def expected_types(target: Target, columns: Columns) -> dict[str, str]:
    """Return the columns as the target ought to make them."""
    names = {name: name for name in columns}
    for change in target.changes:
        if change in (LOWER, UPPER):
            names = {name: next(iter(change.rule({name: None}, columns))) for name in columns}
    return {names[name]: target.types[kind_of(schema)] for name, schema in columns.items()}


# What targets do to rows


def cut(row: Row, columns: Columns) -> Row:
    """Without what is finer than a microsecond."""
    return with_times(row, columns, lambda time: time // 1000 * 1000)


def rounded(row: Row, columns: Columns) -> Row:
    """To the nearest microsecond."""
    return with_times(row, columns, lambda time: (time + 500) // 1000 * 1000)


def with_times(row: Row, columns: Columns, change: Callable[[int], Any]) -> Row:
    """Return *row* with other times."""
    times = {name for name in row if name in columns and kind_of(columns[name]) == "timestamp"}
    return {name: change(value) if name in times and value is not None else value for name, value in row.items()}


def escaped(row: Row, _: Columns) -> Row:
    """Control characters as JSON writes them; those in CustomVars are written like that already."""
    return {
        name: re.sub("[\x00-\x1f]", lambda found: json.dumps(found[0])[1:-1], value)
        if isinstance(value, str) and name != "CustomVars"
        else value
        for name, value in row.items()
    }


def without_empty_texts(row: Row, _: Columns) -> Row:
    """Null for ''."""
    return {name: None if value == "" else value for name, value in row.items()}


def without_nulls(row: Row, _: Columns) -> Row:
    """'' for null."""
    return {name: "" if value is None else value for name, value in row.items()}


def as_text(row: Row, columns: Columns) -> Row:
    """Every value as Python writes it, times to the microsecond."""
    texts = with_times(row, columns, lambda time: str(EPOCH + timedelta(microseconds=time // 1000)))
    return {name: value if value is None or isinstance(value, str) else repr(value) for name, value in texts.items()}


def as_written(row: Row, columns: Columns) -> Row:
    """Every value as Python writes it, times as the tap does, but with all zeros at their ends."""
    texts = with_times(row, columns, written)
    return {name: value if value is None or isinstance(value, str) else repr(value) for name, value in texts.items()}


def written(time: int) -> str:
    """A time in nanoseconds as text."""
    return f"{EPOCH + timedelta(seconds=time // 10**9):%Y-%m-%dT%H:%M:%S}.{time % 10**9:09d}Z"


LOWER = Change("names of columns are lower case", lambda row, _: {name.lower(): value for name, value in row.items()})
UPPER = Change("names of columns are upper case", lambda row, _: {name.upper(): value for name, value in row.items()})
CUT = Change("times are cut to microseconds", cut)
ROUNDED = Change("times are rounded to microseconds", rounded)
NO_EMPTY_TEXTS = Change("empty texts become null", without_empty_texts)
ESCAPED = Change(r"line ends and other control characters in texts become `\n`, `\t`, `\u0001` …", escaped)
NO_NULLS = Change("null becomes an empty text", without_nulls)
AS_WRITTEN = Change("times look like `2023-11-15T08:00:00.123Z`, all digits kept", as_written)
AS_TEXT = Change("times are cut to microseconds, and look like `2023-11-15 08:00:00.123000+00:00`", as_text)


# What targets load into


def comparable(row: Row, columns: Columns) -> Row:
    """Return a row in the form of `expected_row`, with times in nanoseconds."""
    kinds = {name.lower(): kind_of(schema) for name, schema in columns.items()}
    found = {}
    for name, value in row.items():
        kind = kinds.get(name.lower())
        if value is None or kind is None:
            found[name] = value
        elif name.lower() == "customvars":
            found[name] = frozen(json.loads(value))
        elif kind == "timestamp":
            found[name] = nanoseconds(str(value).replace(" ", "T"))
        elif kind == "number":
            assert isinstance(value, float | int | Decimal), value
            found[name] = float(value)
        else:
            found[name] = value
    return found


class PostgresSchema:
    """A schema of a PostgreSQL."""

    def __init__(self, _: Path, servers: Servers, columns: Columns, *, database: str = "database") -> None:
        self._server: Postgres = servers("postgres")
        self._schema = f"target_{next(numbers)}"
        self._database = database  # the name of the setting
        self._columns = columns

    def settings(self) -> dict[str, Any]:
        """See `Destination`."""
        settings = {**self._server.target_settings(), "default_target_schema": self._schema}
        return {self._database if name == "database" else name: value for name, value in settings.items()}

    def types(self) -> dict[str, str]:
        """See `Destination`."""
        query = (
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = %s AND table_name = 'events'"
        )
        with self._server.connect() as connection:
            return dict(connection.execute(query, [self._schema]).fetchall())

    def rows(self) -> list[Row]:
        """See `Destination`."""
        names = list(self.types())
        if not names:
            return []
        listed = ", ".join(f'"{name}"' for name in names)
        with self._server.connect() as connection:
            found = connection.execute(f'SELECT {listed} FROM "{self._schema}".events').fetchall()
        return [comparable(dict(zip(names, row, strict=True)), self._columns) for row in found]


class DuckdbFile:
    """A file of DuckDB, read by the version that wrote it."""

    def __init__(self, folder: Path, _: Servers, columns: Columns, *, env: str = "target-duckdb") -> None:
        self._path = folder / "warehouse.duckdb"
        self._python = ENVS / env / "bin" / "python"
        self._columns = columns

    def settings(self) -> dict[str, Any]:
        """See `Destination`."""
        return {"path": str(self._path), "default_target_schema": "fullstory"}

    def types(self) -> dict[str, str]:
        """See `Destination`."""
        types: dict[str, str] = self._read()["types"]
        return types

    def rows(self) -> list[Row]:
        """See `Destination`."""
        return [comparable(row, self._columns) for row in self._read()["rows"]]

    def _read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"types": {}, "rows": []}
        command = [str(self._python), str(PROGRAMS / "duckdb_rows.py"), str(self._path), "fullstory"]
        printed = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        return json.loads(printed) if printed else {"types": {}, "rows": []}


class SnowflakeSchema:
    """A schema of what stands in for Snowflake."""

    def __init__(self, _: Path, servers: Servers, columns: Columns) -> None:
        self._port = servers("snowflake")
        self._schema = f"TARGET_{next(numbers)}"
        self._columns = columns

    def settings(self) -> dict[str, Any]:
        """See `Destination`."""
        return {"account": "a", "user": "u", "password": "p", "database": "WAREHOUSE", "schema": self._schema}

    def types(self) -> dict[str, str]:
        """See `Destination`."""
        types: dict[str, str] = self._read()["types"]
        return types

    def rows(self) -> list[Row]:
        """See `Destination`."""
        return [comparable(row, self._columns) for row in self._read()["rows"]]

    def _read(self) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{self._port}/events/{self._schema}", timeout=60) as answer:
            return json.load(answer) or {"types": {}, "rows": []}


class JsonLines:
    """A folder of files, one JSON object a line; the types are those of the values."""

    NAMES: Mapping[type, str] = {int: "number", float: "number", str: "string"}

    def __init__(self, folder: Path, _: Servers, columns: Columns) -> None:
        self._folder = folder / "output"
        self._columns = columns

    def settings(self) -> dict[str, Any]:
        """See `Destination`."""
        return {"destination_path": str(self._folder)}

    def types(self) -> dict[str, str]:
        """See `Destination`."""
        types: dict[str, str] = {}
        for record in self._records():
            for name, value in record.items():
                if value is not None:
                    assert types.setdefault(name, self.NAMES[type(value)]) == self.NAMES[type(value)], (name, value)
        return types

    def rows(self) -> list[Row]:
        """See `Destination`."""
        # a member may be absent: that is null
        return [comparable({**dict.fromkeys(self._columns), **record}, self._columns) for record in self._records()]

    def _records(self) -> list[Row]:
        files = sorted(self._folder.glob("events*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text("utf-8").split("\n") if line]


class CsvFiles:
    """A folder of files, which hold nothing but text."""

    def __init__(self, folder: Path, _: Servers, columns: Columns) -> None:
        self._folder = folder / "output"
        self._numbers = {name for name, schema in columns.items() if kind_of(schema) == "number"}
        self._times = {name for name, schema in columns.items() if kind_of(schema) == "timestamp"}

    def settings(self) -> dict[str, Any]:
        """See `Destination`."""
        return {"output_path": str(self._folder)}

    def types(self) -> dict[str, str]:
        """See `Destination`."""
        return {name: "text" for found in self._rows() for name in found}

    def rows(self) -> list[Row]:
        """See `Destination`."""
        return [{name: self._comparable(name, text) for name, text in row.items()} for row in self._rows()]

    def _comparable(self, name: str, text: str) -> str:
        if name == "CustomVars" and text:
            return frozen(json.loads(text))
        if name in self._times and text.endswith("Z"):
            return written(nanoseconds(text))
        return repr(float(text)) if name in self._numbers and text else text  # 1E+22 and 1e22 are the same double

    def _rows(self) -> list[dict[str, str]]:
        csv.field_size_limit(sys.maxsize)
        found = []
        for path in sorted(self._folder.glob("events*.csv")):
            with open(path, encoding="utf-8", newline="") as file:
                found += csv.DictReader(file, strict=True)
        return found


# The targets

SDC = tuple(
    f"_sdc_{name}"
    for name in "extracted_at received_at batched_at deleted_at sequence table_version sync_started_at".split()
)
NO_KEY = {"primary_key_required": False}

TARGETS = (
    Target(
        package="meltanolabs-target-postgres",
        env="target-postgres",
        program="target-postgres",
        destination=PostgresSchema,
        types={
            "integer": "bigint",
            "number": "numeric",
            "string": "text",
            "timestamp": "timestamp without time zone",
        },
        changes=(CUT,),
        adds=SDC,
    ),
    Target(
        package="pipelinewise-target-postgres",
        env="target-pipelinewise",
        program="target-postgres",
        destination=lambda folder, servers, columns: PostgresSchema(folder, servers, columns, database="dbname"),
        types={
            "integer": "bigint",
            "number": "double precision",
            "string": "character varying",
            "timestamp": "timestamp without time zone",
        },
        changes=(ROUNDED, NO_EMPTY_TEXTS, ESCAPED, LOWER),
        needs=NO_KEY,
        unless_key=True,
        otherwise="it refuses events without a key",
    ),
    Target(
        package="meltanolabs-target-snowflake",
        env="target-snowflake",
        program="python",
        destination=SnowflakeSchema,
        types={
            "integer": "NUMBER(38,0)",
            "number": "FLOAT",
            "string": "VARCHAR(16777216)",
            "timestamp": "TIMESTAMP_NTZ(9)",
        },
        into=", into `fakesnow`, which stands in for Snowflake",
        changes=(CUT, UPPER),
        adds=tuple(name.upper() for name in SDC),
    ),
    Target(
        package="target-duckdb",
        env="target-duckdb",
        program="target-duckdb",
        destination=DuckdbFile,
        types={"integer": "BIGINT", "number": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"},
        into=" with duckdb {duckdb}",
        changes=(CUT, NO_EMPTY_TEXTS, LOWER),
        needs=NO_KEY,
        unless_key=True,
        otherwise="it refuses events without a key",
        refuses="rows of more than 2 MB",
    ),
    Target(
        package="target-jsonl",
        env="target-jsonl",
        program="target-jsonl",
        destination=JsonLines,
        types={"integer": "number", "number": "number", "string": "string", "timestamp": "string"},
        replaces=False,
        in_parts={},
    ),
    Target(
        package="meltanolabs-target-csv",
        env="target-csv",
        program="target-csv",
        destination=CsvFiles,
        types=dict.fromkeys(KINDS, "text"),
        replaces=False,
        changes=(AS_TEXT, NO_NULLS),
        needs={"file_naming_scheme": "{stream_name}-{timestamp}.csv", "timestamp_format": "%Y%m%dT%H%M%S.%f"},
        otherwise="each run overwrites what the last one wrote",
    ),
)


def by_batch(package: str, by: str = "by BATCH", **others: Any) -> Target:
    """A target that gets BATCH messages."""
    (target,) = [one for one in TARGETS if one.package == package]
    return replace(target, by=by, batches=True, **others)


BATCH = (
    by_batch("meltanolabs-target-postgres", changes=(ROUNDED,)),
    by_batch(
        "meltanolabs-target-postgres",
        "by BATCH with `use_copy`",
        changes=(ROUNDED,),
        settings={"use_copy": True},
    ),
    by_batch("meltanolabs-target-snowflake"),
    by_batch("meltanolabs-target-csv", changes=(AS_WRITTEN, NO_NULLS)),
)
# Each target, and behind it the other ways to use it.
WAYS = tuple(way for target in TARGETS for way in (target, *(one for one in BATCH if one.package == target.package)))

UNTESTED = "| BigQuery, Redshift: not tried | | | | | |"
HEAD = (
    "| target | without `event_key` | with `event_key` | integers, numbers, texts, times become "
    "| what else it changes | what it needs |\n|---|---|---|---|---|---|"
)


def table(facts: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Return the README's table "works with", made of what tests have shown: name of the target, cell, details."""
    shown: dict[str, list[Sequence[str]]] = {}
    for _, (name, *fact) in facts:
        shown.setdefault(name, [])
        if fact not in shown[name]:
            shown[name].append(fact)
    packages = [target.package for target in TARGETS]
    names = sorted(shown, key=lambda name: (packages.index(name.partition(" ")[0]), name))
    return "\n".join([HEAD, *(table_row(name, shown[name]) for name in names), UNTESTED, ""])


def table_row(name: str, facts: Sequence[Sequence[str]]) -> str:
    """Return one row of the table."""

    def of(cell: str) -> list[str]:
        return sorted(fact[1] for fact in facts if fact[0] == cell)

    cells = [name]
    for mode in (WITHOUT, WITH):
        rest = {*of(mode)} - {VALUES, NEW, KILLED}
        cells.append("; ".join(rest) if len(of(mode)) == len(rest) + 3 and rest else "not shown")
    types = {fact[1]: f"`{fact[2]}`" for fact in facts if fact[0] == "types"}
    cells.append(
        ", ".join({*types.values()} if len({*types.values()}) == 1 else (types.get(kind, "?") for kind in KINDS))
    )
    cells += ["; ".join(of("changes")), "; ".join(of("needs"))]
    return f"| {' | '.join(cells)} |"
