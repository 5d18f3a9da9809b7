"""Records become tables: each value as it was, typed as the schema says."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given

from tap_fullstory import dictionary, tables
from tap_fullstory.bundles import BEGINNING, Chunk
from tap_fullstory.columns import ColumnReader
from tap_fullstory.dictionary import MAX_INTEGER, MIN_INTEGER
from tap_fullstory.layout import Layout
from tap_fullstory.moments import parse_moment
from tap_fullstory.records import ALL
from tap_fullstory.report import Change, Report
from tap_fullstory.storage import Draft
from tap_fullstory.tables import Csv, Parquet, TableMaker, to_schema
from tests.csv_texts import read_csv
from tests.unit import event_texts
from tests.unit.test_records import ALL_AND_KEY, BUNDLE_ID, EXTRACTED, OWN, make_reader

PROPERTIES: dict[str, Any] = {
    "n": {"type": ["null", "integer"]},
    "x": {"type": ["null", "number"]},
    "b": {"type": ["null", "boolean"]},
    "s": {"type": ["null", "string"]},
    "t": {"type": ["null", "string"], "format": "date-time"},
}
OWN_FIELDS = tuple(dictionary.custom_field(name, column) for name, column in OWN.items())
Json = dict[str, Any]


def lines_of(records: Iterable[Mapping[str, Any]]) -> bytes:
    """Records as the tap gives them on."""
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in records)


def rows_of(table: pa.Table) -> list[Json]:
    """The rows of a table; times as microseconds."""
    for number, field in enumerate(table.schema):
        if field.type == tables.TIME:
            table = table.set_column(number, field.name, table.column(number).cast(pa.int64()))
    rows: list[Json] = table.to_pylist()
    return rows


def typed(properties: Mapping[str, Any], record: Mapping[str, Any]) -> Json:
    """What the row of a record must be."""
    row: Json = dict.fromkeys(properties)
    for name, value in record.items():
        if value is not None and properties[name].get("format") == "date-time":
            row[name] = parse_moment(value) // 1000
        elif value is not None and "number" in properties[name]["type"]:
            row[name] = float(value)
        else:
            row[name] = value
    return row


def same(expected: Iterable[Json], found: Iterable[Json]) -> None:
    """The same rows in the same order; 1, 1.0 and true are different values."""
    assert [*map(repr, expected)] == [*map(repr, found)]


def written(
    kind: type[Parquet] | type[Csv], folder: Path, runs: Iterable[bytes], report: Report | None = None
) -> bytes:
    """The content of a file with these runs of lines."""
    with Draft(folder) as draft:
        encoder = kind(draft.path, PROPERTIES, report or Report())
        for lines in runs:
            encoder.write([lines])
        encoder.finish()
        encoder.close()
        return draft.path.read_bytes()


def test_types_are_those_of_the_schema() -> None:
    """A warehouse would get other types than the catalog promises."""
    schema = to_schema(PROPERTIES)

    assert ["int64", "double", "bool", "string", "timestamp[us, tz=UTC]"] == [str(one.type) for one in schema]
    assert ["n", "x", "b", "s", "t"] == schema.names
    assert pa.string() == to_schema(PROPERTIES, times=False).field("t").type


RECORDS: list[Json] = [
    {},
    {"n": None, "x": None, "b": None, "s": None, "t": None},
    {"n": MAX_INTEGER, "x": 0.1, "b": True, "s": "", "t": "2023-11-15T08:00:00Z"},
    {"n": MIN_INTEGER, "x": -0.0, "b": False, "s": '"', "t": "2023-11-15T08:00:00.1Z"},
    {"n": 2**53 + 1, "x": 5, "s": 'a,b\r\nc\n"d"\t\u2028\x7f\x1f\\', "t": "2023-11-15T08:00:00.123456Z"},
    {"n": 0, "x": 5e-324, "s": "null", "t": "0001-01-01T00:00:00Z"},
    {"n": -1, "x": 1.7976931348623157e308, "s": "é😀\ufffd", "t": "9999-12-31T23:59:59.999999Z"},
    {"x": 0.30000000000000004, "s": "},\n{" * 400_000, "t": "1969-12-31T23:59:59.999999Z"},
    {"x": 9007199254740993, "s": "2023-11-15T08:00:00Z", "t": "2024-02-29T23:59:59Z"},
    {"x": 1e22, "s": "5", "t": "1600-01-01T00:00:00.000001Z"},
]


@pytest.mark.parametrize("length", [1, 3, len(RECORDS)])
def test_values_arrive_as_they_are(length: int) -> None:
    """A value would depend on what stands beside it, or lose digits, or be read as another type."""
    maker = TableMaker(to_schema(PROPERTIES))
    for start in range(0, len(RECORDS), length):
        some = RECORDS[start : start + length]
        same((typed(PROPERTIES, one) for one in some), rows_of(maker.from_lines(lines_of(some))))

    assert {} == maker.cut


def test_digits_beyond_microseconds_are_cut_and_counted() -> None:
    """Times would be rounded into the next day, or lose digits without a word."""
    times = ["2023-11-15T23:59:59.9999999Z", "2023-11-15T08:00:00.123456000Z", "1960-01-01T00:00:00.0000019Z"]
    times += ["2023-11-15T08:00:00.1234567891234Z", "2023-11-15T08:00:00Z"]
    maker = TableMaker(to_schema(PROPERTIES))
    records: list[Json] = [*({"t": time} for time in times), {"n": 1}]

    same((typed(PROPERTIES, one) for one in records), rows_of(maker.from_lines(lines_of(records))))
    assert {"t": 3} == maker.cut
    maker.from_lines(lines_of(records))
    assert {"t": 6} == maker.cut


def test_a_column_that_appears_later_is_there() -> None:
    """Columns that the first records lack would be empty in the whole file."""
    maker = TableMaker(to_schema(PROPERTIES))
    runs: list[list[Json]] = [
        [{"n": 1}],
        [{"n": 2, "s": "x"}],
        [{"t": "2023-11-15T08:00:00.1234567Z"}],
        [{}],
        [{"n": 3}],
    ]
    for records in runs:
        table = maker.from_lines(lines_of(records))
        assert to_schema(PROPERTIES) == table.schema
        same((typed(PROPERTIES, one) for one in records), rows_of(table))


@given(event_texts.bundles())
def test_records_of_any_events_are_read_exactly(bundle: tuple[bytes, list[bytes]]) -> None:
    """Some event would end the run, or be another one in the file than among the messages."""
    columns = (*ALL_AND_KEY, *OWN.values())
    _, events = bundle
    chunk = Chunk(b"[%b]" % b",".join(events), len(events), BEGINNING)
    records = make_reader(columns, own=OWN).from_events(chunk, EXTRACTED)
    properties = dictionary.schema(event_key=True, custom=OWN_FIELDS)["properties"]
    found = [json.loads(line) for line in records.lines.splitlines()]
    maker = TableMaker(to_schema(properties))

    reader = ColumnReader(Layout(columns, (), OWN_FIELDS, for_columns=True), BUNDLE_ID, ALL, Report())
    reader.from_events(chunk, EXTRACTED)
    for table in (maker.from_lines(records.lines), maker.from_columns(reader.take())):
        same((typed(properties, one) for one in found), rows_of(table))


def test_a_parquet_file_holds_all_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records would be lost between two groups of rows, or readers would not know the file."""
    monkeypatch.setattr(tables, "GROUP_SIZE", 1000)
    report = Report()
    nano: Json = {"t": "2023-11-15T08:00:00.123456789Z"}

    content = written(Parquet, tmp_path, map(lines_of, ([one, nano] for one in RECORDS)), report)

    file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
    assert file.num_row_groups > 1
    same((typed(PROPERTIES, row) for one in RECORDS for row in (one, nano)), rows_of(file.read()))
    assert to_schema(PROPERTIES) == file.schema_arrow
    assert {"t": len(RECORDS)} == report.changes[Change.CUT]


def test_a_csv_file_tells_null_from_empty_text(tmp_path: Path) -> None:
    """A warehouse could not tell an unknown text from none; quotes and line ends would tear rows apart."""
    content = gzip.decompress(written(Csv, tmp_path, map(lines_of, ([one] for one in RECORDS)))).decode()

    header, *rows = read_csv(content)
    assert [*PROPERTIES] == header
    expected = [[None if one.get(name) is None else as_text(name, one[name]) for name in PROPERTIES] for one in RECORDS]
    found = [
        [value if value is None or name != "x" else float(value) for name, value in zip(header, row, strict=True)]
        for row in rows
    ]
    assert expected == found
    limit = csv.field_size_limit(10_000_000)
    usual = [*csv.reader(io.StringIO(content, newline=""))]
    csv.field_size_limit(limit)
    assert [["" if value is None else value for value in row] for row in read_csv(content)] == usual


def as_text(name: str, value: Any) -> Any:
    """A value as CSV has it; numbers are compared as numbers."""
    if name == "x":
        return float(value)
    return json.dumps(value) if isinstance(value, (bool, int)) else value


def test_csv_keeps_all_digits_of_a_time(tmp_path: Path) -> None:
    """CSV would lose what it can hold."""
    content = gzip.decompress(written(Csv, tmp_path, [lines_of([{"t": "2023-11-15T08:00:00.123456789Z"}])])).decode()

    assert [["n", "x", "b", "s", "t"], [None, None, None, None, "2023-11-15T08:00:00.123456789Z"]] == read_csv(content)


@pytest.mark.parametrize("kind", [Parquet, Csv])
def test_the_same_records_are_the_same_bytes(tmp_path: Path, kind: type[Parquet] | type[Csv]) -> None:
    """A file written once more would differ from itself, and nobody could compare."""
    runs = [lines_of(RECORDS), lines_of(RECORDS[:2])]

    assert written(kind, tmp_path, runs) == written(kind, tmp_path, runs)
