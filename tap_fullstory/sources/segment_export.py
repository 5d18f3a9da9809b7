"""Segment Export of events: windows of time, each exported on demand.

A window is to the rest of the tap what a bundle is: `[start, stop)`, aligned to the UTC day, its id of the same form.
The format is the JSON array, which bundles have, too: its closing bracket proves that nothing is missing.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress

from isal import isal_zlib as zlib

from tap_fullstory.bundles import GZIP_WINDOW, Bundle, check, read_chunks
from tap_fullstory.client import ME, Client, RateLimit, duration
from tap_fullstory.config import Config
from tap_fullstory.dictionary import CUSTOM_VARS, EVENT_ID, EVENT_TYPE, FIELD_OF, FIELDS, REPLICATION_KEY, Field
from tap_fullstory.errors import (
    BundleError,
    ExportFailedError,
    RateLimitError,
    RequestError,
    ResponseError,
    TapError,
    TransientError,
)
from tap_fullstory.identity import CUSTOM_PREFIX, MEMBERS
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.sources import Extent, fill
from tap_fullstory.sources.exports import ANY_SEGMENT, Exporter
from tap_fullstory.spans import Span
from tap_fullstory.spool import Spool, SpoolFile
from tap_fullstory.state import EventsBookmark, Export

LOGGER = logging.getLogger(__name__)

EVENTS = "TYPE_EVENT"
HALF_HOUR = 1800  # seconds, in which an id counts the length of a bundle
SHORTEST = 900  # seconds; shorter windows are not exported
MOST_AHEAD = 20  # exports that are made at the same time; the state holds them all
PREFIXES = ("user_", "evt_", "page_")  # of custom variables that can be asked for by name
IF_LATE = "Run again later with the last state: the export goes on, and is picked up."
ADVICE = (
    'Nothing of it was written. Check "segment_id"; run again later with the last state, or pass over the bundle with '
    '"skip_bundles".'
)


class SegmentExport:
    """Brings windows from Segment Export.

    Args:
        fields: the members of events to export, by Fullstory's names; None: all there are.
    """

    has_twins = False

    def __init__(self, client: Client, spool: Spool, config: Config, fields: Sequence[str] | None) -> None:
        self._client = client
        self._spool = spool
        self._config = config
        self._fields = fields
        self._length = round(config.export_window_hours * 3600)
        self._request = _digest(config.segment_id, fields)
        self._kind = f"-{self._request or 'all'}"
        self._ahead = min(config.prefetch, MOST_AHEAD)
        self._exports: dict[Span, Export] = {}
        self._lock = threading.Lock()
        self._exporter = Exporter(client, config, IF_LATE)

    @property
    def exports(self) -> tuple[Export, ...]:
        """What is paid for and not used up."""
        with self._lock:
            return tuple(self._exports[span] for span in sorted(self._exports))

    def release(self, bundle: Bundle) -> None:
        """Forget the exports of a window, or of parts of it: it is written."""
        start, stop = bundle.span
        with self._lock:
            self._exports = {
                span: one for span, one in self._exports.items() if not (start <= span[0] and span[1] <= stop)
            }

    def bundles(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        """Return the windows that are wanted, ordered by Stop; see `Source`.

        The exports of the next `prefetch` windows are created along with that of the one that is yielded.
        """
        # One that was asked for with other words (another segment, other columns) holds something else.
        self._exports = {one.span: one for one in bookmark.exports if one.request == self._request}
        return self._windows(bookmark, end, again)

    def _windows(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        self._look_at_clock()
        starts = self.starts(bookmark, end, again)
        to_read = [start for start in starts if not bookmark.is_beyond(self._window(start))]
        LOGGER.info("%s", self._announcement(bookmark, to_read))
        self._client.report.known += len(to_read)
        number = 0  # how many of them have been yielded
        for start in starts:
            window = self._window(start)
            if number < len(to_read) and start == to_read[number]:
                self._begin(window)
                number += 1
                for following in to_read[number : number + self._ahead]:
                    self._begin(self._window(following), once=True)
            yield window

    def is_any_before(self, moment: int) -> bool:
        """Return whether there are windows before; see `Source`. There are at any time."""
        return moment > 0

    def extent(self, start: int, end: int | None) -> Extent | None:
        """Return where the windows lie; see `Source`."""
        self._look_at_clock()
        length = self._length
        first, stop = start // SECOND // length * length, self._last() + length
        if end is not None:
            stop = min(stop, -(-end // (length * SECOND)) * length)
        return Extent(first, stop, length) if first < stop else None

    def newest(self) -> Iterator[Bundle]:
        """Yield windows that can be exported, the newest first; see `Source`."""
        self._look_at_clock()
        yield from map(self._window, range(self._last(), 0, -self._length))

    def listed(self, bookmark: EventsBookmark, end: int | None) -> Iterator[Bundle]:
        """Yield the windows that are wanted; see `Source`."""
        self._look_at_clock()
        starts = self.starts(bookmark, end, None)
        LOGGER.info("%s", self._announcement(bookmark, starts))
        yield from map(self._window, starts)

    def _last(self) -> int:
        """Return where the newest window that can be exported begins, in Unix seconds."""
        delay = int(self._config.export_delay_hours * 3600)
        return (self._client.now() // SECOND - delay) // self._length * self._length - self._length

    def _window(self, start: int) -> Bundle:
        """Return the window that begins at *start* (Unix seconds), with an id of the form that bundles have."""
        return Bundle(100 * start + self._length // HALF_HOUR, start, start + self._length)

    def starts(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Sequence[int]:
        """Return where the windows that are wanted begin, in Unix seconds."""
        length, last = self._length, self._last()
        until = bookmark.until // SECOND
        first = until - until % length
        if end is not None:
            last = min(last, -(-end // SECOND) - 1)
        written = end is not None and end <= bookmark.until
        new = range(first, first if written else last + 1, length)
        earliest = min((gap[0] for gap in bookmark.gaps), default=bookmark.until)
        earliest = min(earliest, bookmark.until if again is None else again) // SECOND
        # The one that straddles `until` is new, and brings what is wanted of it before that along.
        late = []
        for start in range(earliest - earliest % length, min(first, last + 1), length):
            window = self._window(start)
            if bookmark.lacks(window) or (again is not None and window.span[1] > again):
                late.append(start)
        if not late:
            return new
        is_begun = bookmark.partial is not None and bool(new) and bookmark.partial[0] == self._window(new[0]).id
        # The state has one place for a window that is begun: it comes before those that came late.
        return [*new[:1], *late, *new[1:]] if is_begun else [*late, *new]

    def _look_at_clock(self) -> None:
        """Ask something, so that Fullstory's clock decides what is old enough, and a wrong key is noticed at once.

        API: https://developer.fullstory.com/server/v1/authentication/me/
        """
        with suppress(RateLimitError, RequestError, ResponseError, TransientError):  # then our own clock has to do
            self._client.get_json(f"{self._config.api_url}{ME}", lambda answer: answer, limit=RateLimit(), once=True)

    def _announcement(self, bookmark: EventsBookmark, starts: Sequence[int]) -> str:
        since = to_text(bookmark.until)
        if not starts:
            return f"Reading events from {since} on: no new window can be exported yet."
        some = f"{len(starts)} window{'s' if len(starts) != 1 else ''} of {duration(self._length)}"
        span = min(starts) * SECOND, (max(starts) + self._length) * SECOND
        return (
            f"Reading events from {since} on: {some}, {_named(span)}; Fullstory makes an export of each, up to "
            f"{self._ahead + 1} at the same time."
        )

    # One window

    def fetch(
        self,
        bundle: Bundle,
        usable: Callable[[SpoolFile], bool],
        unchecked: int = 0,  # noqa: ARG002  # what is exported again is another file, so a damaged one is found out first
    ) -> SpoolFile:
        """Bring a window into a file and check it; see `Source`.

        Raises:
            ExportFailedError, BundleError: it stays damaged, or cannot be made, down to the shortest parts of it.
            ExportPendingError: it takes longer than `export_timeout`.
        """
        file = self._spool.open(bundle.id, self._kind)
        return fill(file, self._config.checkpoint_records, usable, lambda: self._bring(bundle, file))

    def _bring(self, window: Bundle, file: SpoolFile) -> None:
        if self._has_parts(window):
            self._join(window, file)
        else:
            try:
                self._export(window.span, file)
            except (ExportFailedError, BundleError) as error:
                if not _can_be_halved(window.span):
                    raise _given_up(window, window.span, error) from error
                LOGGER.warning("%s It is exported in two halves.", error.what)
                self._join(window, file)
        file.finish()

    def _has_parts(self, window: Bundle) -> bool:
        """Return whether an earlier run has halved a window already."""
        return window.span not in self._exports and any(
            window.span[0] <= start and stop <= window.span[1] for start, stop in self._exports
        )

    def _join(self, window: Bundle, file: SpoolFile) -> None:
        """Fill *file* with what the halves of a window hold, as one array."""
        with ExitStack() as stack:
            parts = [part for half in _halves(window.span) for part in self._parts(window, half, stack)]
            packer = zlib.compressobj(level=1, wbits=GZIP_WINDOW)
            file.restart()
            before = b"["
            for part in parts:
                for chunk in read_chunks(part.file, part.cuts):
                    file.write(packer.compress(before + chunk.data[1:-1]))
                    before = b",\n"
            file.write(packer.compress(b"]" if before == b",\n" else b"[]"))
            file.write(packer.flush())
            file.flush()
        file.cuts = check(file.file, self._config.checkpoint_records)

    def _parts(self, window: Bundle, span: Span, stack: ExitStack) -> list[SpoolFile]:
        """Export a part of a window, if need be in parts; their files go with *stack*."""
        file = self._spool.open(window.id, f"{self._kind}-{span[0] // SECOND}-{span[1] // SECOND}")
        stack.callback(file.close, keep=False)
        try:
            self._export(span, file)
        except (ExportFailedError, BundleError) as error:
            if not _can_be_halved(span):
                raise _given_up(window, span, error) from error
            LOGGER.warning("%s It is exported in two halves.", error.what)
            return [part for half in _halves(span) for part in self._parts(window, half, stack)]
        return [file]

    def _export(self, span: Span, file: SpoolFile) -> None:
        """Fill *file* with the export of a span.

        Raises:
            ExportFailedError, BundleError: it failed, expired or arrived damaged, twice.
        """
        self._exporter.bring(
            f"The export of {_named(span)}", file, lambda: self._get_or_create(span).id, lambda: self._forget(span)
        )

    # One export

    def _begin(self, window: Bundle, *, once: bool = False) -> None:
        """Create the export of a window, unless there is one, or the window needs none.

        Args:
            once: it is not its turn yet: try once, and leave what goes wrong for later.
        """
        if window.id in self._config.skip_bundles or self._has_parts(window):
            return
        with suppress(*((TapError,) if once else ())):
            self._get_or_create(window.span, once=once)

    def _get_or_create(self, span: Span, *, once: bool = False) -> Export:
        export = self._exports.get(span)
        if export is None:
            start, end = map(to_text, span)
            operation_id = self._exporter.create(EVENTS, (start, end), self._fields, once=once)
            export = Export(span, operation_id, self._request)
            with self._lock:
                self._exports[span] = export
        return export

    def _forget(self, span: Span) -> None:
        with self._lock:
            self._exports.pop(span, None)


def members(columns: Sequence[str], custom: Sequence[Field] = (), *, by_type: bool = False) -> list[str] | None:
    """Return the members to export for these columns of `events`, by Segment Export's names; None: all there are.

    Unprefixed variables and fields that are new cannot be asked for by name, so `CustomVars` needs all there are.

    Args:
        columns: none of them: the events themselves are not wanted.
        custom: custom variables that have columns of their own.
        by_type: some events are left out for their type.
    """
    selected = set(columns)
    names = {REPLICATION_KEY, *(one.source_names[0] for one in (*FIELDS, *custom) if one.name in selected)}
    if CUSTOM_VARS in selected or not all(name in FIELD_OF or name.startswith(PREFIXES) for name in names):
        return None
    if by_type:
        names.add(EVENT_TYPE)
    if EVENT_ID in selected:
        names |= {*MEMBERS, f"{CUSTOM_PREFIX}*"}
        names -= {name for name in names if name.startswith(CUSTOM_PREFIX) and not name.endswith("*")}
    return sorted(names)


def _digest(segment_id: str, fields: Sequence[str] | None) -> str:
    """Return what tells apart exports of the same span; "": all members of the events of everyone."""
    if segment_id == ANY_SEGMENT and fields is None:
        return ""
    return hashlib.sha256(json.dumps([segment_id, fields]).encode()).hexdigest()[:8]


def _halves(span: Span) -> tuple[Span, Span]:
    start, stop = span
    middle = (start + stop) // 2 // SECOND * SECOND
    return (start, middle), (middle, stop)


def _can_be_halved(span: Span) -> bool:
    return span[1] - span[0] >= 2 * SHORTEST * SECOND


def _named(span: Span) -> str:
    return f"{to_text(span[0])} to {to_text(span[1])}"


def _given_up(window: Bundle, span: Span, error: TapError) -> TapError:
    part = "bundle" if span == window.span else "a part of bundle"
    return type(error)(f"{error.what} It is {part} {window.id}.", ADVICE)
