"""Records as Arrow tables, typed as the schema says; the only module that imports pyarrow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tap_fullstory.columns import Columns
from tap_fullstory.encoders import GzipFile
from tap_fullstory.moments import parse_moment
from tap_fullstory.report import Change, Report

COMPRESSION = "snappy"  # what every reader of Parquet knows
GROUP_SIZE = 16 * 1024 * 1024  # bytes of columns, in memory, that become a row group
MICROSECOND = 1000  # nanoseconds; what databases and Spark hold
TIME = pa.timestamp("us", "UTC")
_decode_lines = msgspec.json.Decoder(dict[str, Any]).decode_lines
TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}


def to_schema(properties: Mapping[str, Any], *, times: bool = True) -> pa.Schema:
    """Return the Arrow schema of a JSON Schema's *properties*, each of which has one scalar type and may be null.

    Args:
        times: times are timestamps in UTC with microseconds; else they stay the text that they are.
    """
    return pa.schema([(name, _type(one, times=times)) for name, one in properties.items()])


def _type(definition: Mapping[str, Any], *, times: bool) -> pa.DataType:
    if times and definition.get("format") == "date-time":
        return TIME
    kinds = definition["type"]
    (kind,) = [one for one in ([kinds] if isinstance(kinds, str) else kinds) if one != "null"]
    return TYPES[kind]


class TableMaker:
    """Makes tables of records.

    Attributes:
        cut: how many times had more digits than a microsecond and lost them, by column.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.cut: dict[str, int] = {}

    def from_lines(self, lines: bytes) -> pa.Table:
        """Return records, which are a JSON object a line, as a table."""
        records = _decode_lines(lines)
        return self.from_columns(
            Columns(len(records), {name: [one.get(name) for one in records] for name in self.schema.names})
        )

    def from_columns(self, columns: Columns) -> pa.Table:
        """Return records as a table."""
        arrays = [self._to_array(field, columns.values.get(field.name, ()), columns.rows) for field in self.schema]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def _to_array(self, field: pa.Field, values: Sequence[Any], rows: int) -> pa.Array:
        if not values:
            return pa.nulls(rows, field.type)
        values = [*values, *repeat(None, rows - len(values))] if len(values) < rows else values
        if field.type == TIME:
            return self._to_times(field.name, pa.array(values, pa.string()))
        try:
            return pa.array(values, field.type)
        except pa.ArrowInvalid:
            if field.type != pa.float64():
                raise
            # among them are whole numbers that only the double next to them stands for
            return pa.array([None if one is None else float(one) for one in values], field.type)

    def _to_times(self, name: str, texts: pa.Array) -> pa.Array:
        try:
            return texts.cast(TIME)
        except pa.ArrowInvalid:  # one has more digits than Arrow takes: these are read one by one
            moments = [None if text is None else parse_moment(text) for text in texts.to_pylist()]
        cut = sum(1 for moment in moments if moment is not None and moment % MICROSECOND)
        if cut:
            self.cut[name] = self.cut.get(name, 0) + cut
        values = [None if moment is None else moment // MICROSECOND for moment in moments]
        return pa.array(values, pa.int64()).cast(TIME)


class Parquet:
    """A Parquet file; see `encoders.TableEncoder`."""

    def __init__(self, path: Path, properties: Mapping[str, Any], report: Report) -> None:
        self._maker = TableMaker(to_schema(properties))
        self._report = report
        self._tables: list[pa.Table] = []
        self._size = 0
        self._sink = pa.OSFile(str(path), "wb")
        self._writer = pyarrow.parquet.ParquetWriter(
            self._sink, self._maker.schema, compression=COMPRESSION, store_schema=False
        )

    def write(self, runs: Sequence[bytes]) -> None:
        """Append records, each a JSON object on a line of its own."""
        self._write(self._maker.from_lines(b"".join(runs)))

    def write_columns(self, columns: Columns) -> None:
        """Append records."""
        self._write(self._maker.from_columns(columns))

    def _write(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._size += table.nbytes
        if self._size >= GROUP_SIZE:
            self._write_group()

    def _write_group(self) -> None:
        table = pa.concat_tables(self._tables)
        self._tables, self._size = [], 0
        self._writer.write_table(table, row_group_size=table.num_rows)

    def finish(self) -> None:
        """Write what is left."""
        if self._tables:
            self._write_group()
        self._writer.close()
        self._report.change(Change.CUT, self._maker.cut)

    def close(self) -> None:
        """Let go of the file, whatever is in it."""
        with suppress(OSError):
            self._writer.close()  # as its destructor would, when there is no file any more
            self._sink.close()


class Csv:
    """A CSV file with a header, gzip'd; a text in quotes, null empty without them; see `encoders.TableEncoder`."""

    def __init__(self, path: Path, properties: Mapping[str, Any], report: Report) -> None:  # noqa: ARG002  # as above
        self._maker = TableMaker(to_schema(properties, times=False))
        self._gzip = GzipFile(path)
        self._writer = pyarrow.csv.CSVWriter(self._gzip.file, self._maker.schema)

    def write(self, runs: Sequence[bytes]) -> None:
        """Append records, each a JSON object on a line of its own."""
        self._writer.write_table(self._maker.from_lines(b"".join(runs)))

    def write_columns(self, columns: Columns) -> None:
        """Append records."""
        self._writer.write_table(self._maker.from_columns(columns))

    def finish(self) -> None:
        """Write what is left."""
        self._writer.close()
        self._gzip.finish()

    def close(self) -> None:
        """Let go of the file, whatever is in it."""
        self._gzip.close()
