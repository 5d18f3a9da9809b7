"""Segment Export: windows of time, each exported on demand: create, poll, fetch a link, download.

A window is to the rest of the tap what a bundle is: `[start, stop)`, aligned to the UTC day, its id of the same form.
The format is the JSON array, which bundles have, too: its closing bracket proves that nothing is missing.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
     https://developer.fullstory.com/server/v1/operations/get-operation-status/
     https://developer.fullstory.com/server/v1/operations/cancel-operation/
     https://developer.fullstory.com/server/v1/search/get-search-export-results/
"""

from __future__ import annotations

import difflib
import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

from isal import isal_zlib as zlib

from tap_fullstory.bundles import GZIP_WINDOW, Bundle, check, read_chunks
from tap_fullstory.client import FORBIDDEN, ME, Client, NotFoundError, RateLimit, duration, growing, is_safe
from tap_fullstory.config import Config
from tap_fullstory.dictionary import CUSTOM_VARS, EVENT_ID, EVENT_TYPE, FIELD_OF, FIELDS, REPLICATION_KEY, Field
from tap_fullstory.errors import (
    BundleError,
    ConfigError,
    ExportFailedError,
    ExportPendingError,
    RateLimitError,
    RequestError,
    ResponseError,
    TapError,
    TransientError,
)
from tap_fullstory.identity import CUSTOM_PREFIX, MEMBERS
from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.sources import Extent, fill
from tap_fullstory.spans import Span
from tap_fullstory.spool import Spool, SpoolFile
from tap_fullstory.state import EventsBookmark, Export

LOGGER = logging.getLogger(__name__)

EXPORTS, OPERATIONS, RESULTS, SEGMENTS = (
    "/segments/v1/exports",
    "/operations/v1",
    "/search/v1/exports",
    "/segments/v1",
)
HALF_HOUR = 1800  # seconds, in which an id counts the length of a bundle
TRIES = 2  # exports of a window, before it is halved
SHORTEST = 900  # seconds; shorter windows are not exported
MOST_AHEAD = 20  # exports that are made at the same time; the state holds them all
FIRST_WAIT, LAST_WAIT = 1.0, 30.0  # seconds between two questions whether an export is ready
MOST_PAGES = 50  # of segments, when one of them is looked for
ANY_SEGMENT = "everyone"  # built in
KIND = "SEARCH_EXPORT"  # type of these operations
PENDING, COMPLETED = "PENDING", "COMPLETED"
GONE = ("FAILED", "CANCELLED", "CANCELED")  # nobody documents what a cancelled one is called
PREFIXES = ("user_", "evt_", "page_")  # of custom variables that can be asked for by name
REPORT = "Please report this with the line above."
ADVICE = (
    'Nothing of it was written. Check "segment_id"; run again later with the last state, or pass over the bundle with '
    '"skip_bundles".'
)
NO_ADD_ON = "Segment Export is an add-on of Enterprise and Advanced plans."


@dataclass(frozen=True)
class Operation:
    """What Fullstory says of an export.

    Attributes:
        export_id: by which its file is fetched, once it is completed.
        percent: how much of it is made, an estimate.
        created: Unix nanoseconds; None: it does not say.
    """

    state: str
    export_id: str
    why: str
    percent: int | None
    created: int | None


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
        self._begun: dict[str, float] = {}  # when an operation was created in this run, by the monotonic clock
        self._lock = threading.Lock()
        self._create_limit, self._poll_limit, self._link_limit, self._file_limit = (RateLimit() for _ in range(4))

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
        """Fill *file* with the export of a span, once more if the first one fails, expires or arrives damaged.

        Raises:
            ExportFailedError, BundleError: it did so twice.
        """
        for tried in count(1):
            export = self._get_or_create(span)
            try:
                self._download(self._completed(export), export, file)
            except (ExportFailedError, BundleError) as error:
                file.restart()
                if isinstance(error, ExportFailedError):
                    self._forget(export)
                if tried >= TRIES:
                    self._forget(export)
                    raise
                LOGGER.warning("%s Trying again.", error.what)
            else:
                return

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
            export = Export(span, self._create(span, once=once), self._request)
            self._begun[export.id] = time.monotonic()
            with self._lock:
                self._exports[span] = export
        return export

    def _forget(self, export: Export) -> None:
        with self._lock:
            self._exports.pop(export.span, None)

    def _create(self, span: Span, *, once: bool) -> str:
        """Ask for an export; return the id of its operation.

        `segmentTimeRange` replaces the segment's own range: that of `everyone` are the last 30 days, and what is older
        would be missing without a word.
        """
        start, end = map(to_text, span)
        body = {
            "segmentId": self._config.segment_id,
            "type": "TYPE_EVENT",
            "format": "FORMAT_JSON",
            "timeRange": {"start": start, "end": end},
            "segmentTimeRange": {"start": start, "end": end},
            **({} if self._fields is None else {"fields": self._fields}),
        }
        url = f"{self._config.api_url}{EXPORTS}"
        try:
            return self._client.post_json(
                url, body, _parse_created, limit=self._create_limit, hints={FORBIDDEN: NO_ADD_ON}, once=once
            )
        except RequestError as error:
            raise error if once else self._with_segments(error) from error

    def _completed(self, export: Export) -> str:
        """Return the id of the file once the export is made.

        Raises:
            ExportFailedError: it has failed, has expired, or was begun too long ago by an earlier run.
            ExportPendingError: it takes too long.
        """
        named, unknown = f"The export of {_named(export.span)}", ""
        begun = self._begun.get(export.id)
        deadline = (time.monotonic() if begun is None else begun) + self._config.export_timeout
        if begun is not None:
            self._wait(begun + FIRST_WAIT - time.monotonic())
        waits = growing(FIRST_WAIT, LAST_WAIT)
        while True:
            operation = self._operation(export, named)
            if operation.state == COMPLETED:
                if not operation.export_id:
                    raise ResponseError(f"{named} is completed, but its operation names no file.", REPORT)
                return operation.export_id
            if operation.state in GONE:
                why = f": {operation.why}" if operation.why else ""
                raise ExportFailedError(f"{named} ended as {operation.state}{why}.")
            if operation.state not in (PENDING, unknown):
                unknown = operation.state
                LOGGER.warning("%s is in a state that is not documented (%s); waiting for its end.", named, unknown)
            if begun is None and self._is_too_old(operation):
                self._cancel_export(export)
                raise ExportFailedError(f"{named} was begun long ago and is not ready yet.")
            left = deadline - time.monotonic()
            if left <= 0:
                at = "" if operation.percent is None else f", at {operation.percent} %"
                raise ExportPendingError(
                    f"{named} is not ready after {duration(self._config.export_timeout)}{at} (export_timeout).",
                    "Run again later with the last state: the export goes on, and is picked up.",
                )
            self._wait(min(next(waits), left))

    def _is_too_old(self, operation: Operation) -> bool:
        created = operation.created
        return created is not None and self._client.now() - created > self._config.export_timeout * SECOND

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._client.pause(seconds)

    def _operation(self, export: Export, named: str) -> Operation:
        url = f"{self._config.api_url}{OPERATIONS}/{quote(export.id, safe='')}"
        try:
            return self._client.get_json(url, _parse_operation, limit=self._poll_limit)
        except NotFoundError as error:
            raise ExportFailedError(f"{named} is not known to Fullstory any more.") from error

    def _download(self, export_id: str, export: Export, file: SpoolFile) -> None:
        """Fetch a link, which is good for some minutes, and at once what it leads to."""
        url = f"{self._config.api_url}{RESULTS}/{quote(export_id, safe='')}/results"

        def attempt() -> None:
            try:
                link = self._client.get_json(url, _parse_link, limit=self._link_limit)
            except NotFoundError as error:
                raise ExportFailedError(f"The export of {_named(export.span)} has expired.") from error
            self._client.download(link, file, limit=self._file_limit, signed=True)

        self._client.retry(attempt, self._file_limit)
        try:
            file.cuts = check(file.file, self._config.checkpoint_records)
        except BundleError as error:
            raise BundleError(f"The export of {_named(export.span)} arrived damaged: {error}.") from error

    def _cancel_export(self, export: Export) -> None:
        """Tell Fullstory that we do not wait for an export any more; that it may not hear us does no harm."""
        url = f"{self._config.api_url}{OPERATIONS}/{quote(export.id, safe='')}/cancel"
        with suppress(TapError):
            self._client.post_json(url, {}, lambda answer: answer, limit=RateLimit(), once=True)

    # The segment

    def _with_segments(self, error: RequestError) -> TapError:
        """Return what to say of a request that was refused: whether there is no such segment, and which come near."""
        wanted = self._config.segment_id
        try:
            segments = dict(self.segments())
        except TapError:
            return error
        if wanted == ANY_SEGMENT or wanted in segments:
            return error
        return no_segment(wanted, segments)

    def segments(self) -> Iterator[tuple[str, str]]:
        """Yield id and name of each segment of the account.

        API: https://developer.fullstory.com/server/v1/segments/list-segments/
        """
        url, limit = f"{self._config.api_url}{SEGMENTS}?limit=100", RateLimit()
        page, token = self._client.get_json(url, _parse_segments, limit=limit)
        for _ in range(MOST_PAGES):
            yield from page
            if not token:
                return
            page, token = self._client.get_json(url, _parse_segments, limit=limit, paginationToken=token)


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


def no_segment(wanted: str, segments: Mapping[str, str]) -> ConfigError:
    """Return what to say when *wanted* is none of *segments* (id to name): which of them come near."""
    near = difflib.get_close_matches(wanted, [*segments, *segments.values()], n=3, cutoff=0.0)
    ids = dict.fromkeys(key for one in near for key, name in segments.items() if one in (key, name))
    known = ", ".join(f'"{key}" ({segments[key]})' for key in ids) or f'"{ANY_SEGMENT}"'
    return ConfigError(f'"segment_id" names no segment of the account: "{wanted[:80]}". The nearest: {known}.')


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


def _parse_created(answer: Any) -> str:
    found = answer.get("operationId") if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found or len(found) > 500:
        raise ResponseError(f'The answer of {EXPORTS} is not as documented: no text "operationId".', REPORT)
    return found


def _parse_operation(answer: Any) -> Operation:
    state = answer.get("state") if isinstance(answer, dict) else None
    if not isinstance(state, str) or not state:
        raise ResponseError('An operation is not as documented: no text "state".', REPORT)
    kind = answer.get("type")
    if kind != KIND:
        raise ResponseError(f"An operation is not as documented: its type is {_short(kind)}, not {KIND}.", REPORT)
    results = answer.get("results")
    export_id = results.get("searchExportId") if isinstance(results, dict) else None
    percent = answer.get("estimatePctComplete")
    try:
        created = parse_moment(answer["createdAt"])
    except (KeyError, TypeError, ValueError):
        created = None
    return Operation(
        state=state[:40],
        export_id=export_id if isinstance(export_id, str) else "",
        why=_short(answer.get("errorDetails")) if answer.get("errorDetails") else "",
        percent=percent if isinstance(percent, int) else None,
        created=created,
    )


def _parse_link(answer: Any) -> str:
    link = answer.get("location") if isinstance(answer, dict) else None
    if not isinstance(link, str):
        raise ResponseError('The link to an export is not as documented: no text "location".', REPORT)
    try:
        parts = urlsplit(link)
        safe = bool(parts.hostname) and is_safe(parts.scheme, parts.hostname)
    except ValueError:
        safe = False
    if not safe:
        raise ResponseError("The link to an export is not a URL that begins with https://.", REPORT)
    return link


def _parse_segments(answer: Any) -> tuple[list[tuple[str, str]], str]:
    found = answer.get("segments") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise ResponseError('The list of segments is not as documented: no array "segments".', REPORT)
    page = [(str(one["id"])[:200], _short(one.get("name"))) for one in found if isinstance(one, dict) and "id" in one]
    token = answer.get("nextPaginationToken")
    return page, token if isinstance(token, str) else ""


def _short(value: Any) -> str:
    return " ".join(str(value).split())[:200]
