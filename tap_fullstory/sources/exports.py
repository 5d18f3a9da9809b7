"""Exports of a segment, made on demand: create, poll, fetch a link, download. What is in them is others' business.

The format is the JSON array: its closing bracket proves that nothing is missing.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
     https://developer.fullstory.com/server/v1/operations/get-operation-status/
     https://developer.fullstory.com/server/v1/operations/cancel-operation/
     https://developer.fullstory.com/server/v1/search/get-search-export-results/
"""

from __future__ import annotations

import difflib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote, urlsplit

from tap_fullstory.bundles import check
from tap_fullstory.client import FORBIDDEN, Client, NotFoundError, RateLimit, duration, growing, is_safe
from tap_fullstory.config import Config
from tap_fullstory.errors import (
    BundleError,
    ConfigError,
    ExportFailedError,
    ExportPendingError,
    RequestError,
    ResponseError,
    TapError,
)
from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.spool import SpoolFile

LOGGER = logging.getLogger(__name__)

EXPORTS, OPERATIONS, RESULTS, SEGMENTS = (
    "/segments/v1/exports",
    "/operations/v1",
    "/search/v1/exports",
    "/segments/v1",
)
TRIES = 2  # exports of the same thing
FIRST_WAIT, LAST_WAIT = 1.0, 30.0  # seconds between two questions whether an export is ready
MOST_PAGES = 50  # of segments, when one of them is looked for
ANY_SEGMENT = "everyone"  # built in
KIND = "SEARCH_EXPORT"  # type of these operations
PENDING, COMPLETED = "PENDING", "COMPLETED"
GONE = ("FAILED", "CANCELLED", "CANCELED")  # nobody documents what a cancelled one is called
REPORT = "Please report this with the line above."
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


class Exporter:
    """Brings exports of the segment into files, from several threads.

    Args:
        if_late: what to do when an export takes longer than `export_timeout`.
    """

    def __init__(self, client: Client, config: Config, if_late: str) -> None:
        self._client = client
        self._config = config
        self._if_late = if_late
        self._begun: dict[str, float] = {}  # when an operation was created in this run, by the monotonic clock
        self._create_limit, self._poll_limit, self._link_limit, self._file_limit = (RateLimit() for _ in range(4))

    def bring(self, named: str, file: SpoolFile, get: Callable[[], str], forget: Callable[[], None]) -> None:
        """Fill *file* with an export and check it, once more if the first one fails, expires or arrives damaged.

        Args:
            named: what it is, at the beginning of a sentence.
            get: returns the id of its operation, of a new one if there is none.
            forget: is called when that operation is of no use any more.

        Raises:
            ExportFailedError, BundleError: it did so twice.
            ExportPendingError: it takes longer than `export_timeout`.
        """
        for tried in count(1):
            operation_id = get()
            try:
                self._download(self._completed(operation_id, named), named, file)
            except (ExportFailedError, BundleError) as error:
                file.restart()
                if isinstance(error, ExportFailedError) or tried >= TRIES:
                    forget()
                if tried >= TRIES:
                    raise
                LOGGER.warning("%s Trying again.", error.what)
            else:
                return

    def create(
        self, kind: str, time_range: tuple[str, str], fields: Sequence[str] | None, *, once: bool = False
    ) -> str:
        """Ask for an export; return the id of its operation.

        `segmentTimeRange` replaces the segment's own range: that of `everyone` are the last 30 days, and what is older
        would be missing without a word.

        Args:
            kind: `TYPE_EVENT` or `TYPE_INDIVIDUAL`.
            time_range: from when, inclusive, to when, exclusive, RFC 3339; "": without bound.
            fields: the members to export; None: all there are.
            once: try only once.
        """
        start, end = time_range
        body = {
            "segmentId": self._config.segment_id,
            "type": kind,
            "format": "FORMAT_JSON",
            "timeRange": {"start": start, "end": end},
            "segmentTimeRange": {"start": start, "end": end},
            **({} if fields is None else {"fields": fields}),
        }
        url = f"{self._config.api_url}{EXPORTS}"
        try:
            operation_id = self._client.post_json(
                url, body, _parse_created, limit=self._create_limit, hints={FORBIDDEN: NO_ADD_ON}, once=once
            )
        except RequestError as error:
            raise error if once else self._with_segments(error) from error
        self._begun[operation_id] = time.monotonic()
        return operation_id

    def _completed(self, operation_id: str, named: str) -> str:
        """Return the id of the file once the export is made.

        Raises:
            ExportFailedError: it has failed, has expired, or was begun too long ago by an earlier run.
            ExportPendingError: it takes too long.
        """
        unknown = ""
        begun = self._begun.get(operation_id)
        deadline = (time.monotonic() if begun is None else begun) + self._config.export_timeout
        if begun is not None:
            self._wait(begun + FIRST_WAIT - time.monotonic())
        waits = growing(FIRST_WAIT, LAST_WAIT)
        while True:
            operation = self._operation(operation_id, named)
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
                self._cancel_export(operation_id)
                raise ExportFailedError(f"{named} was begun long ago and is not ready yet.")
            left = deadline - time.monotonic()
            if left <= 0:
                at = "" if operation.percent is None else f", at {operation.percent} %"
                raise ExportPendingError(
                    f"{named} is not ready after {duration(self._config.export_timeout)}{at} (export_timeout).",
                    self._if_late,
                )
            self._wait(min(next(waits), left))

    def _is_too_old(self, operation: Operation) -> bool:
        created = operation.created
        return created is not None and self._client.now() - created > self._config.export_timeout * SECOND

    def _wait(self, seconds: float) -> None:
        if seconds > 0:
            self._client.pause(seconds)

    def _operation(self, operation_id: str, named: str) -> Operation:
        url = f"{self._config.api_url}{OPERATIONS}/{quote(operation_id, safe='')}"
        try:
            return self._client.get_json(url, _parse_operation, limit=self._poll_limit)
        except NotFoundError as error:
            raise ExportFailedError(f"{named} is not known to Fullstory any more.") from error

    def _download(self, export_id: str, named: str, file: SpoolFile) -> None:
        """Fetch a link, which is good for some minutes, and at once what it leads to."""
        url = f"{self._config.api_url}{RESULTS}/{quote(export_id, safe='')}/results"

        def attempt() -> None:
            try:
                link = self._client.get_json(url, _parse_link, limit=self._link_limit)
            except NotFoundError as error:
                raise ExportFailedError(f"{named} has expired.") from error
            self._client.download(link, file, limit=self._file_limit, signed=True)

        self._client.retry(attempt, self._file_limit)
        try:
            file.cuts = check(file.file, self._config.checkpoint_records)
        except BundleError as error:
            raise BundleError(f"{named} arrived damaged: {error}.") from error

    def _cancel_export(self, operation_id: str) -> None:
        """Tell Fullstory that we do not wait for an export any more; that it may not hear us does no harm."""
        url = f"{self._config.api_url}{OPERATIONS}/{quote(operation_id, safe='')}/cancel"
        with suppress(TapError):
            self._client.post_json(url, {}, lambda answer: answer, limit=RateLimit(), once=True)

    def _with_segments(self, error: RequestError) -> TapError:
        """Return what to say of a request that was refused: whether there is no such segment, and which come near."""
        wanted = self._config.segment_id
        try:
            segments = dict(list_segments(self._client, self._config))
        except TapError:
            return error
        if wanted == ANY_SEGMENT or wanted in segments:
            return error
        return no_segment(wanted, segments)


def list_segments(client: Client, config: Config) -> Iterator[tuple[str, str]]:
    """Yield id and name of each segment of the account.

    API: https://developer.fullstory.com/server/v1/segments/list-segments/
    """
    url, limit = f"{config.api_url}{SEGMENTS}?limit=100", RateLimit()
    page, token = client.get_json(url, _parse_segments, limit=limit)
    for _ in range(MOST_PAGES):
        yield from page
        if not token:
            return
        page, token = client.get_json(url, _parse_segments, limit=limit, paginationToken=token)


def no_segment(wanted: str, segments: Mapping[str, str]) -> ConfigError:
    """Return what to say when *wanted* is none of *segments* (id to name): which of them come near."""
    near = difflib.get_close_matches(wanted, [*segments, *segments.values()], n=3, cutoff=0.0)
    ids = dict.fromkeys(key for one in near for key, name in segments.items() if one in (key, name))
    known = ", ".join(f'"{key}" ({segments[key]})' for key in ids) or f'"{ANY_SEGMENT}"'
    return ConfigError(f'"segment_id" names no segment of the account: "{wanted[:80]}". The nearest: {known}.')


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
