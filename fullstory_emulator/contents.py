"""What is in a Segment Export: which events, in what form, as what text.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
"""

from __future__ import annotations

import csv
import io
import json
import re
import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

from fullstory_emulator import moments
from fullstory_emulator.bundles import Bundle, Event, Prepared, encode
from fullstory_emulator.dictionary import FIELDS, RENAMED, SELECTORS
from fullstory_emulator.settling import Settle, moment_of
from fullstory_emulator.wanted import SCOPES, Range, Wanted

Moment = int  # microseconds

REMEMBERED = 100_000  # events of an invented account that are kept for the next export
START = b'"EventStart":"'
EVENT_SEPARATOR = b",\n"  # of invented accounts
LINE_END = b"\n"
NDJSON, CSV = "FORMAT_NDJSON", "FORMAT_CSV"
KEYS = {  # what a wider scope takes along: all events that agree in these with one that matches
    "SCOPE_PAGES": ("UserId", "SessionId", "PageId"),
    "SCOPE_SESSIONS": ("UserId", "SessionId"),
    "SCOPE_INDIVIDUALS": ("IndvId",),
}
# In compact JSON no text can hold these: its quotes would be escaped.
OLD_NAMES = re.compile(rb'(?<=[{,]")(%b)(?=":)' % b"|".join(name.encode() for name in RENAMED))
ZEROS = re.compile(rb',"(?:%b)":0(?=[,}])' % b"|".join(name.encode() for name in FIELDS))


def exported(event: Event, fields: Iterable[str] = ()) -> Event:
    """An event of Data Export as Segment Export writes it: new names, no zeros; of *fields* only, unless empty."""
    wanted = set(fields)
    kinds = tuple(selector[:-1] for selector in SELECTORS if selector in wanted)
    return {
        name: value
        for name, value in ((RENAMED.get(name, name), value) for name, value in event.items())
        if not (name in FIELDS and value == 0 and not isinstance(value, bool))
        and (not wanted or name in wanted or (name not in FIELDS and name.startswith(kinds)))
    }


def encoded_exported(events: bytes) -> bytes:
    """The same for encoded events of an invented account, all fields."""
    return ZEROS.sub(b"", OLD_NAMES.sub(lambda found: RENAMED[found[1].decode()].encode(), events))


def _lines(run: bytes) -> list[bytes]:
    """Encoded events of an invented account, one by one, in export form."""
    return encoded_exported(run).split(EVENT_SEPARATOR)


def _moment_in(line: bytes) -> Moment:
    at = line.index(START) + len(START)
    return moments.parse(line[at : line.index(b'"', at)].decode())


class Lines:
    """The events of invented bundles, in export form, with their moments; a bounded number of them is remembered."""

    def __init__(self) -> None:
        self._known: OrderedDict[Bundle, tuple[list[Moment], list[bytes]]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, bundle: Bundle, when: Range) -> Iterator[bytes]:
        """The events of these moments, one by one."""
        with self._lock:
            known = self._known.get(bundle)
            if known is not None:
                self._known.move_to_end(bundle)
        if known is not None:
            times, lines = known
            first = 0 if when.start is None else bisect_left(times, when.start)
            yield from lines[first : None if when.end is None else bisect_left(times, when.end)]
            return
        times, lines = [], []
        for run in bundle.items():
            assert isinstance(run, bytes)
            for line in _lines(run):
                moment = _moment_in(line)
                if moment in when:
                    yield line
                if len(lines) <= REMEMBERED:
                    times.append(moment)
                    lines.append(line)
                elif when.end is not None and moment >= when.end:
                    return  # too many to remember, and in order
        if len(lines) <= REMEMBERED:
            self._remember(bundle, times, lines)

    def _remember(self, bundle: Bundle, times: list[Moment], lines: list[bytes]) -> None:
        with self._lock:
            self._known[bundle] = times, lines
            while sum(len(lines) for _, lines in self._known.values()) > REMEMBERED:
                self._known.popitem(last=False)


class Content:
    """The events of one export.

    Events in lists are read now, so that later changes of the lists do not matter; others whenever they are asked for.

    Args:
        wanted: the request.
        bundles: where events come from.
        now: nothing that is later has happened; in seconds.
        settle: what an event looks like at that age.
        lines: of an invented account, whose bundles hold all their events, encoded and in order; else None.
    """

    def __init__(
        self, wanted: Wanted, bundles: Sequence[Bundle], now: float, settle: Settle | None, lines: Lines | None
    ) -> None:
        self._wanted = wanted
        self._now = now
        self._settle = settle
        self._lines = lines
        happened = Range(end=int(now * moments.SECOND))
        self._range = wanted.time_range.within(happened)
        self._related: set[tuple[str, ...]] | None = None  # with a wider scope: what the events have to agree in
        if wanted.scope == SCOPES[0]:
            self._range = self._range.within(wanted.segment_range)
        else:
            matching = wanted.segment_range.within(happened)
            self._related = {
                self._key(event)
                for bundle in self._near(bundles, matching)
                for event in self._happening(bundle, matching)
                if self._matches(event)
            }
        self._parts = [
            bundle if bundle.is_streamed or bundle.is_prepared else tuple(self._read(bundle))
            for bundle in self._near(bundles, self._range)
        ]

    def file(self, *, other_form: bool = False) -> Bundle:
        """The text of the export, as if it were a bundle.

        Args:
            other_form: an array instead of lines, and lines instead of an array.
        """
        source = partial(_repeated, self) if self._prepared else None
        return file_of(self._wanted, self._encoded, FIELDS, source=source, other_form=other_form)

    def events(self) -> Iterator[Event]:
        """The events as dicts."""
        for event in self._encoded():
            yield json.loads(event)

    def prepared_lines(self) -> Iterator[tuple[list[bytes], int]]:
        """The events of an invented account that repeats blocks, block by block, and how often each is repeated."""
        for bundle in self._prepared:
            assert bundle.source is not None
            for block, times in bundle.source.blocks:
                lines = [line for line in _lines(block) if _moment_in(line) in self._range]
                if lines:
                    yield lines, times

    @property
    def _prepared(self) -> list[Bundle]:
        """The bundles, if all were compressed beforehand and no event has to be read."""
        bundles = [part for part in self._parts if isinstance(part, Bundle) and part.is_prepared]
        return bundles if self._is_plain and len(bundles) == len(self._parts) else []

    @property
    def _is_plain(self) -> bool:
        """Whether events are those of an invented account, whole, as they stay, chosen by their time alone."""
        wanted = self._wanted
        is_whole = not wanted.fields and self._settle is None
        return self._lines is not None and is_whole and wanted.segment.matches is None and self._related is None

    def _encoded(self) -> Iterator[bytes]:
        for part in self._parts:
            yield from part if isinstance(part, tuple) else self._read(part)

    def _read(self, bundle: Bundle) -> Iterator[bytes]:
        """The events of one bundle that are in the export, one by one."""
        if self._lines is not None and self._is_plain and not bundle.is_prepared:
            yield from self._lines.read(bundle, self._range)
            return
        if not is_readable(bundle):
            # hostile content gets through as it is
            if bundle.raw is not None and bundle.start * moments.SECOND in self._range and self._wanted.format != CSV:
                yield bundle.raw
            return
        for event in self._happening(bundle, self._range):
            if self._matches(event) if self._related is None else self._key(event) in self._related:
                yield encode(exported(event, self._wanted.fields))

    def _happening(self, bundle: Bundle, when: Range) -> Iterator[Event]:
        """The events of one bundle at these moments, as Data Export writes them, as they are by now."""
        if is_readable(bundle):
            for _, event in happening(bundle, when, self._now, self._settle):
                yield event

    def _matches(self, event: Event) -> bool:
        return self._wanted.segment.matches is None or self._wanted.segment.matches(event)

    def _key(self, event: Event) -> tuple[str, ...]:
        return tuple(repr(event.get(name)) for name in KEYS[self._wanted.scope])

    def _near(self, bundles: Sequence[Bundle], when: Range) -> Sequence[Bundle]:
        """The bundles that may hold events of these moments."""
        if self._lines is None:
            return bundles  # an event may lie outside the interval of its bundle
        return [bundle for bundle in bundles if _overlaps(bundle, when)]


def happening(bundle: Bundle, when: Range, now: float, settle: Settle | None) -> Iterator[tuple[Moment, Event]]:
    """The events of a readable bundle at these moments, as Data Export writes them, as they are by now."""
    for event in bundle.read_events():
        moment = moment_of(event, bundle)
        if moment in when:
            settled = settle(event, now - moment / moments.SECOND) if settle else event
            if settled is not None:
                yield moment, settled


def is_readable(bundle: Bundle) -> bool:
    """Whether it is an array of objects."""
    if bundle.raw is None:
        return True
    try:
        events = json.loads(bundle.raw)
    except ValueError:
        return False
    return isinstance(events, list) and all(isinstance(event, dict) for event in events)


def _overlaps(bundle: Bundle, when: Range) -> bool:
    start, stop = bundle.start * moments.SECOND, bundle.stop * moments.SECOND
    return (when.end is None or start < when.end) and (when.start is None or when.start < stop)


@lru_cache(maxsize=4)  # blocks are some megabytes
def _repeated(content: Content, separator: bytes, opening: bytes, closing: bytes) -> Prepared:
    blocks = [(separator.join(lines), times) for lines, times in content.prepared_lines()]
    if not blocks and closing == LINE_END:
        closing = b""
    return Prepared(b"", 0, more=blocks, separator=separator, opening=opening, closing=closing)


def file_of(
    wanted: Wanted,
    encoded: Callable[[], Iterator[bytes]],
    columns: Sequence[str],
    *,
    source: Callable[[bytes, bytes, bytes], Prepared] | None = None,
    other_form: bool = False,
) -> Bundle:
    """The text of an export in the form that is wanted, as if it were a bundle.

    Args:
        encoded: what is in it, one by one.
        columns: of a table that names none.
        source: makes the same beforehand, given what stands between, before and after.
        other_form: an array instead of lines, and lines instead of an array.
    """
    if wanted.format == CSV:
        rows = partial(_rows, encoded, wanted.fields, columns)
        return Bundle(0, 0, rows, separator=b"", opening=b"", closing=b"")
    separator, opening, closing = EVENT_SEPARATOR, b"[", b"]\n"
    if (wanted.format == NDJSON) != other_form:
        is_empty = source is None and next(encoded(), None) is None
        separator, opening, closing = LINE_END, b"", b"" if is_empty else LINE_END
    prepared = None if source is None else partial(source, separator, opening, closing)
    return Bundle(0, 0, encoded, source=prepared, separator=separator, opening=opening, closing=closing)


def _rows(encoded: Callable[[], Iterator[bytes]], fields: Iterable[str], usual: Iterable[str]) -> Iterator[bytes]:
    """The lines of a CSV file: the header, then one for each event or person.

    Without *fields* there is a column for each *usual* one, and for each custom variable that occurs.
    """
    fields = list(fields)
    columns = [name for name in fields if name not in SELECTORS] if fields else list(usual)
    if not fields or set(fields) & set(SELECTORS):
        columns += sorted({name for event in encoded() for name in json.loads(event)} - set(columns))
    yield _row(columns)
    for text in encoded():
        event = json.loads(text)
        yield _row([_cell(event.get(name)) for name in columns])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(cells: Iterable[str]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "replace")
