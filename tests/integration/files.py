"""The tap writing files, and what is in them, comparable with the records among messages."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from tap_fullstory.moments import parse_moment
from tests.csv_texts import read_csv
from tests.integration.tap import TIMEOUT, Json, Run, Tap

FORMS = ("parquet", "csv", "jsonl")
ENDINGS = {"parquet": ".parquet", "csv": ".csv.gz", "jsonl": ".jsonl.gz"}


@dataclass
class Place:
    """A folder that the tap writes into, and the file of its state."""

    folder: Path
    form: str = "parquet"

    @property
    def state_path(self) -> Path:
        """Where the state is kept."""
        return self.folder.with_suffix(".state.json")

    @property
    def state(self) -> Any:
        """The state that is kept there; None: no file yet."""
        return json.loads(self.state_path.read_bytes()) if self.state_path.exists() else None

    def options(self) -> list[str]:
        """The arguments that make the tap write there."""
        return ["--to", str(self.folder), "--format", self.form, "--state", str(self.state_path)]

    def manifests(self) -> list[Json]:
        """All manifests, by name."""
        return [json.loads(path.read_bytes()) for path in sorted((self.folder / "_manifests").glob("[!.]*"))]

    def named(self, stream: str = "events") -> list[Path]:
        """The files that manifests name; what these say of them has to be true."""
        found = []
        for manifest in self.manifests():
            assert manifest["rows"] == sum(one["rows"] for one in manifest["files"])
            assert manifest["bytes"] == sum(one["bytes"] for one in manifest["files"])
            for one in manifest["files"]:
                path = self.folder / one["path"]
                assert one["bytes"] == path.stat().st_size
                assert one["url"] == path.as_uri()
                assert one["rows"] == len(read_rows(path))
                if one["stream"] == stream:
                    found.append(path)
        assert len(found) == len({*found})
        return found

    def lying(self, stream: str = "events") -> list[Path]:
        """The files that lie there, by name."""
        return sorted((self.folder / stream).glob("[!.]*"))

    def rows(self, stream: str = "events") -> list[Json]:
        """The rows of all files, in the order of their names; exactly the files that lie there are named."""
        assert sorted(self.named(stream)) == self.lying(stream)
        return [row for path in self.lying(stream) for row in read_rows(path)]

    def numbers(self) -> list[int]:
        """The `UserId` of each row: what `tap.event` calls the number."""
        return [int(row["UserId"] or 0) if row.get("UserId") is not None else 0 for row in self.rows()]

    def left(self) -> list[str]:
        """What is hidden there: files that nobody has finished."""
        return sorted(path.name for path in self.folder.rglob(".*"))


def read_rows(path: Path) -> list[Json]:
    """The rows of a file; times of Parquet as microseconds, all values of CSV as text, no null for what is absent."""
    there = path.stat()
    return _read_rows(path, there.st_mtime_ns, there.st_size)


@lru_cache(maxsize=64)
def _read_rows(path: Path, _modified: int, _size: int) -> list[Json]:
    if path.name.endswith(ENDINGS["parquet"]):
        table = pyarrow.parquet.read_table(path)
        for number, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):
                assert "timestamp[us, tz=UTC]" == str(field.type)
                table = table.set_column(number, field.name, table.column(number).cast(pa.int64()))
        rows: list[Json] = table.to_pylist()
        return rows
    text = gzip.decompress(path.read_bytes()).decode()
    if path.name.endswith(ENDINGS["csv"]):
        header, *lines = read_csv(text)
        return [dict(zip(map(str, header), line, strict=True)) for line in lines]
    return [json.loads(line) for line in text.split("\n")[:-1]]


def as_rows(records: Iterable[Mapping[str, Any]], properties: Mapping[str, Any], form: str) -> list[Json]:
    """The rows that records must become; the schema says which columns there are."""
    if form == "jsonl":
        return [dict(one) for one in records]
    value = of_parquet if form == "parquet" else of_csv
    return [{name: value(one.get(name), schema) for name, schema in properties.items()} for one in records]


def of_parquet(value: Any, schema: Mapping[str, Any]) -> Any:
    """A value in a column of Parquet."""
    if value is None:
        return None
    if schema.get("format") == "date-time":
        return parse_moment(value) // 1000
    return float(value) if "number" in schema["type"] else value


def of_csv(value: Any, schema: Mapping[str, Any]) -> str | None:
    """A value in CSV; see `comparable` for numbers."""
    if value is None or isinstance(value, str):
        return value
    return repr(float(value)) if "number" in schema["type"] else json.dumps(value)


def counted(rows: Iterable[Mapping[str, Any]], properties: Mapping[str, Any], form: str) -> Counter[str]:
    """Rows to be compared in any order; the same text only for the same values."""
    found: Counter[str] = Counter()
    numbers = [name for name, schema in properties.items() if "number" in schema["type"]]
    for row in rows:
        if form == "csv":  # a number may be spelled in several ways
            spelled = {name: repr(float(row[name])) for name in numbers if row[name] is not None}
            row = {**row, **spelled}  # noqa: PLW2901
        found[json.dumps(row, sort_keys=True)] += 1
    return found


def assert_same_rows(run: Run, place: Place, stream: str = "events") -> None:
    """The files hold exactly the records of a run that printed them, typed as its schema says."""
    properties = run.schema(stream)["schema"]["properties"]
    expected = counted(as_rows(run.records(stream), properties, place.form), properties, place.form)
    rows = place.rows(stream)
    assert expected == counted(rows, properties, place.form)
    if place.form != "jsonl":
        assert all([*properties] == [*row] for row in rows)


@dataclass
class Written:
    """What a run that writes files left behind."""

    status: int
    result: Json | None
    stderr: str

    @property
    def said(self) -> list[str]:
        """The log lines without metrics."""
        return [line for line in self.stderr.splitlines() if "METRIC" not in line]

    @property
    def last_line(self) -> str:
        """The last log line."""
        return self.stderr.splitlines()[-1]


def write(run_tap: Tap, place: Place, *arguments: str, env: Mapping[str, str] | None = None, **options: Any) -> Written:
    """Run the tap into files until its end."""
    return ended(run_tap.bare(run_tap.command(*place.options(), *arguments, **options)[3:], env=env))


def ended(done: subprocess.CompletedProcess[bytes]) -> Written:
    """What a process left behind; it has to have printed its result, or nothing."""
    stderr = done.stderr.decode()
    assert "Traceback" not in stderr, stderr
    assert (0 == done.returncode) == bool(done.stdout)
    return Written(done.returncode, json.loads(done.stdout) if done.stdout else None, stderr)


def wait(process: subprocess.Popen[bytes]) -> Written:
    """The same of a run that was started."""
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    return ended(subprocess.CompletedProcess([], process.returncode, stdout, stderr))
