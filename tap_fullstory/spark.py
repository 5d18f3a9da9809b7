"""Events as a data source of Spark 4, by its Python Data Source API: a partition for each bundle.

    spark.dataSource.register(FullstoryDataSource)
    spark.read.format("fullstory").options(config="config.json", start_date="2026-01-01").load()

The driver lists what there is; an executor then does for its partition what the command does between two dates.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructField, StructType

from tap_fullstory import logs
from tap_fullstory.bundles import BEGINNING, Chunk
from tap_fullstory.catalog import read_catalog, select
from tap_fullstory.cli import all_streams, open_source
from tap_fullstory.client import Client
from tap_fullstory.columns import ColumnReader, Columns
from tap_fullstory.config import ENV_PREFIX, SETTINGS, Config, parse_config, read_settings, secrets, unknown_settings
from tap_fullstory.dictionary import BUNDLE_ID, REPLICATION_KEY
from tap_fullstory.errors import CatalogError, ConfigError, TapError
from tap_fullstory.extraction import begin
from tap_fullstory.files import LINES_SIZE
from tap_fullstory.layout import Layout
from tap_fullstory.metrics import Metrics
from tap_fullstory.moments import EPOCH, SECOND, to_text
from tap_fullstory.records import Records
from tap_fullstory.report import Change, Report
from tap_fullstory.signals import Stop
from tap_fullstory.sources import Source
from tap_fullstory.spans import Span
from tap_fullstory.spool import Spool
from tap_fullstory.state import Checkpoint, EventsBookmark
from tap_fullstory.streams import Run, Selection, Stream, events
from tap_fullstory.streams.events import NAME
from tap_fullstory.tables import MICROSECOND, TableMaker, to_schema

LOGGER = logging.getLogger(__name__)

CONFIG, CATALOG, WINDOW, PUSH_FILTERS = "config", "catalog", "window", "push_filters"
OWN_OPTIONS = (CONFIG, CATALOG, WINDOW, PUSH_FILTERS)  # all others are settings
HOURS = {"h": 1, "d": 24}
HOUR = 3600 * SECOND
MOST_NAMED = 20  # gaps in a line


class FullstoryDataSource(DataSource):
    """The stream `events` for `spark.read`; see the README for its options."""

    @classmethod
    def name(cls) -> str:
        """Return what `format` takes."""
        return "fullstory"

    def schema(self) -> StructType:
        """Return the selected columns of `events`."""
        with _for_people():
            return _read_options(self.options).schema

    def reader(self, schema: StructType) -> DataSourceReader:
        """Return what reads the columns of *schema*, which are all that are selected or some of them."""
        with _for_people():
            options = _read_options(self.options)
            for line in options.warnings:
                LOGGER.warning("%s", line)
            reader = FilteringReader if options.push_filters else EventsReader
            return reader(options, schema)


@dataclass(frozen=True)
class Options:
    """What a user has set, checked.

    Attributes:
        settings: those of the tap, as they are in a config file.
        unknown: columns that the catalog does not know.
        schema: the columns that are selected of `events`, as Spark has them.
        window: how much time a partition covers, nanoseconds; None: a bundle.
        push_filters: whether filters on the time of events narrow what is read.
        warnings: one line for each thing that is odd.
    """

    settings: Mapping[str, Any]
    unknown: frozenset[str]
    schema: StructType
    window: int | None
    push_filters: bool
    warnings: tuple[str, ...]


def _read_options(given: Mapping[str, str]) -> Options:
    """Check what the user has set; texts are read as the variables `TAP_FULLSTORY_<SETTING>` are.

    Raises:
        ConfigError, CatalogError: names the option, the setting or the file, and what is expected.
    """
    texts = {name.lower(): text for name, text in given.items()}
    own = {name: texts.pop(name, "") for name in OWN_OPTIONS}
    environ = {f"{ENV_PREFIX}{name.upper()}": text for name, text in texts.items()}
    files = [own[CONFIG]] if own[CONFIG] else []
    settings = read_settings(files, os.environ) | read_settings(["ENV"], environ)
    logs.FORMATTER.hide(secrets(settings))
    config = parse_config(settings, os.environ)
    stream = _events(config)
    selected = select([stream], read_catalog(own[CATALOG]) if own[CATALOG] else None)
    if not selected:
        raise CatalogError(f'The catalog {own[CATALOG]!r} does not select "{NAME}", so there is nothing to read.')
    ((_, selection),) = selected
    properties = {name: stream.schema["properties"][name] for name in selection.columns}
    if own[PUSH_FILTERS].lower() not in ("", "true", "false"):
        raise ConfigError(f'"{PUSH_FILTERS}" is not as expected: found {own[PUSH_FILTERS]!r}, expected true or false.')
    return Options(
        settings=settings,
        unknown=selection.unknown,
        schema=from_arrow_schema(to_schema(properties)),
        window=_window(own[WINDOW]),
        push_filters=own[PUSH_FILTERS].lower() == "true",
        warnings=(*unknown_settings(settings), *selection.warnings, *_seen(texts)),
    )


def _seen(texts: Mapping[str, str]) -> Iterator[str]:
    """Yield one warning for each secret that others may see."""
    for one in SETTINGS:
        if one.secret and texts.get(one.name):
            yield (
                f'"{one.name}" is an option, and Spark writes options into its log of events where it makes views. '
                f'Better put it into the file that "{CONFIG}" names.'
            )


def _events(config: Config) -> Stream:
    (stream,) = (one for one in all_streams(config) if one.name == NAME)
    return stream


def _window(text: str) -> int | None:
    found = re.fullmatch(r"(\d{1,6})([hd])", text, re.ASCII)
    if found and int(found[1]):
        return int(found[1]) * HOURS[found[2]] * HOUR
    if text:
        raise ConfigError(f'"{WINDOW}" is not as expected: found {text!r}, expected hours or days, such as 48h or 7d.')
    return None


class SpanPartition(InputPartition):
    """A part of the history, `[start, stop)` in Unix nanoseconds, whose inner bounds are bounds of bundles."""

    def __init__(self, span: Span) -> None:
        super().__init__(span)


class EventsReader(DataSourceReader):
    """Reads events; it is made, and plans, on the driver, and reads on executors.

    Args:
        schema: the columns that are wanted; only these are decoded.
    """

    def __init__(self, options: Options, schema: StructType) -> None:
        _check_schema(schema, options.schema)
        self._settings = options.settings
        self._window = options.window
        self._names = tuple(schema.fieldNames())
        # Two columns that cost nothing are read in any case: without them the tap would take a slower path.
        wanted = {*self._names, REPLICATION_KEY, BUNDLE_ID}
        columns = tuple(name for name in _events(self._config()).schema["properties"] if name in wanted)
        self._selection = Selection(columns, options.unknown)
        # of what is read, besides the dates of the settings; Unix nanoseconds
        self._start: int | None = None
        self._end: int | None = None

    def _config(self) -> Config:
        logs.FORMATTER.hide(secrets(self._settings))
        return parse_config(self._settings, os.environ)  # on each machine anew: its $TMPDIR counts

    def partitions(self) -> Sequence[InputPartition]:
        """Return the parts that executors read apart from each other; lists bundles, downloads none."""
        with _for_people():
            config = self._config()
            since = begin(None, config, time.time_ns()).since
            since = since if self._start is None else max(since, self._start)
            end = min((one for one in (config.end_date, self._end) if one is not None), default=None)
            if end is not None and end <= since:
                return []
            spool = Spool(Path(gettempdir()), owner=())  # nothing is brought here
            source = open_source(config, Client(config, Report(), Metrics()), spool, {NAME: self._selection})
            return [SpanPartition(span) for span in _spans(source, since, end, self._window)]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield the events of a partition, some thousand at a time."""
        if isinstance(partition, SpanPartition):  # Spark makes one of its own where there is none
            with _for_people():
                yield from self._read(partition.value)

    def _read(self, span: Span) -> Iterator[pa.RecordBatch]:
        # What is read again is what a state knows, and here is none.
        config = replace(self._config(), start_date=span[0], end_date=span[1], reread_hours=0.0)
        stream = _events(config)
        report, metrics = Report(skip_bundles=config.skip_bundles), Metrics()
        spool = Spool(config.spool_dir, owner=(config.export_url, config.api_key))
        client = Client(config, report, metrics)
        selections = {NAME: self._selection}
        source = open_source(config, client, spool, selections)
        now = time.time_ns()
        run = Run(config, source, client, report, metrics, Stop(), now, selections, client.now, makes_records=False)
        properties = stream.schema["properties"]
        maker = TableMaker(to_schema({name: properties[name] for name in self._selection.columns}))
        layout = events.layout(self._selection, config, for_columns=True)
        for columns in _columns(stream.extract(run, None, self._selection), layout, report):
            yield from maker.from_columns(columns).select(self._names).to_batches()
        spool.clean()
        report.change(Change.CUT, maker.cut)
        for line in (*report.change_lines(), report.summary()):
            LOGGER.info("%s", line)


class FilteringReader(EventsReader):
    """Reads events, and leaves out bundles that a filter on the time of events rules out.

    Spark refuses a reader that could do so unless `spark.sql.python.filterPushdown.enabled` is set, and Spark 4.0 has
    no such thing: so it is another class.
    """

    def pushFilters(self, filters: list[Any]) -> Iterable[Any]:
        """Take note of the bounds that *filters* set; all of them are left to Spark to apply."""
        bounds = [_bounds(one) for one in filters]
        self._start = max((start for start, _ in bounds if start is not None), default=None)
        self._end = min((end for _, end in bounds if end is not None), default=None)
        return filters


def _bounds(one: Any) -> tuple[int | None, int | None]:
    """Return the bounds that a filter sets to the time of events: Unix nanoseconds, the second one not included.

    Spark compares microseconds, to which the times that it gets are cut.
    """
    value = getattr(one, "value", None)
    if getattr(one, "attribute", None) != (REPLICATION_KEY,) or not isinstance(value, datetime) or not value.tzinfo:
        return None, None
    moment = (value - EPOCH) // timedelta(microseconds=1) * MICROSECOND
    after = moment + MICROSECOND
    return {
        "EqualTo": (moment, after),
        "GreaterThan": (after, None),
        "GreaterThanOrEqual": (moment, None),
        "LessThan": (None, moment),
        "LessThanOrEqual": (None, after),
    }.get(type(one).__name__, (None, None))


def _check_schema(wanted: StructType, ours: StructType) -> None:
    """Raise a `ConfigError` if a column that the user has asked for is not there, or is of another type."""
    known = {one.name: one for one in ours}
    for one in wanted:
        if one.name not in known:
            near = difflib.get_close_matches(one.name, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f'The schema names a column "{one.name}", which is not selected; did you mean "{near}"?')
        if (one.dataType, one.nullable) != (known[one.name].dataType, True):
            raise ConfigError(f'The schema has "{_ddl(one)}", but the column is "{_ddl(known[one.name])}".')


def _ddl(field: StructField) -> str:
    return f"{field.name} {field.dataType.simpleString()}" + ("" if field.nullable else " not null")


def _spans(source: Source, since: int, end: int | None, window: int | None) -> Iterator[Span]:
    """Yield the spans to read apart: of one bundle each, or of as many as fit into a window.

    Bundles that overlap are read together: what is wanted of one depends on the others.
    """
    spans: list[Span] = []
    for bundle in source.listed(EventsBookmark(since, since), end):
        start, stop = max(bundle.start * SECOND, since), bundle.stop * SECOND
        if end is not None:
            start, stop = min(start, end), min(stop, end)
        while spans and start < spans[-1][1]:
            earlier = spans.pop()
            start, stop = min(start, earlier[0]), max(stop, earlier[1])
        if start < stop:
            spans.append((start, stop))
    _warn_of_holes(spans)
    while spans:
        first = last = spans.pop(0)
        while spans and window and spans[0][1] - first[0] <= window:
            last = spans.pop(0)
        yield first[0], last[1]


def _warn_of_holes(spans: Sequence[Span]) -> None:
    holes = [(before[1], after[0]) for before, after in pairwise(spans) if before[1] < after[0]]
    named = ", ".join(f"{to_text(start)} to {to_text(stop)}" for start, stop in holes[:MOST_NAMED])
    more = f" and {len(holes) - MOST_NAMED} more" if len(holes) > MOST_NAMED else ""
    if holes:
        LOGGER.warning("No bundle covers %s%s.", named, more)


def _columns(items: Iterable[Records | Checkpoint], layout: Layout, report: Report) -> Iterator[Columns]:
    """Yield the records of events in runs that are worth making a table of."""
    reader, size = None, 0
    of: Any = None  # what is read
    for item in items:
        if not isinstance(item, Records) or item.origin is None or item.window is None:
            continue
        if reader and (size >= LINES_SIZE or of != (item.origin, item.window)):
            yield reader.take()
            size = 0
        if reader is None or of != (item.origin, item.window):
            of = item.origin, item.window
            reader = ColumnReader(layout, item.origin.bundle_id, item.window, report)
        report.records += reader.from_events(Chunk(item.lines, item.events, BEGINNING), item.time_extracted).count
        size += len(item.lines)
    if reader:
        yield reader.take()


@contextmanager
def _for_people() -> Iterator[None]:
    """Send log lines to stderr, and let an error leave without its causes, which Spark would print, secrets or not."""
    logs.configure(os.environ)
    try:
        yield
    except TapError as error:
        raise type(error)(logs.FORMATTER.hidden(str(error))) from None
    except Exception:
        text = logs.FORMATTER.hidden(traceback.format_exc())
        raise RuntimeError(f"This is a bug of the tap. Please report it with the lines below.\n{text}") from None
