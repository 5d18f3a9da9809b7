"""What `--test` looks at: can a run with these settings succeed, and how long does it take at least. No record."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tap_fullstory.client import ME, Client, RateLimit, duration
from tap_fullstory.config import Config
from tap_fullstory.errors import AuthError, ResponseError, TapError
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.sources.data_export import DAY, DOWNLOADS, PAGE_SIZE, DataExport, least_time
from tap_fullstory.sources.exports import ANY_SEGMENT, list_segments, no_segment
from tap_fullstory.sources.segment_export import SegmentExport
from tap_fullstory.spool import Spool
from tap_fullstory.state import EventsBookmark
from tap_fullstory.streams import Stream

PATIENCE = 10.0  # seconds that a request is tried again: somebody is waiting
# API: https://developer.fullstory.com/server/v1/authentication/permissions/ (exports need Architect or more)
MAY_EXPORT = ("ARCHITECT", "ADMIN")


@dataclass(frozen=True)
class Result:
    """What came of one check.

    Attributes:
        error: why it failed; None: it did not.
    """

    name: str
    text: str
    error: TapError | None = None

    def __str__(self) -> str:
        return f"{'FAIL' if self.error else 'ok  '}  {self.name}: {self.text}"


class Checks:
    """All that can be known before a run.

    Args:
        begin: where a run would go on.
        now: Unix seconds.
        streams: those that are selected.
    """

    def __init__(
        self, config: Config, client: Client, begin: EventsBookmark, now: int, streams: Sequence[Stream]
    ) -> None:
        self._streams = streams
        self._with_exports = any(stream.probe is None for stream in streams)
        self._has_to_export = self._with_exports or any(stream.exported for stream in streams)
        self._config = config
        self._client = client
        self._begin = begin
        self._start = begin.until // SECOND
        self._now = now

    def results(self) -> Iterator[Result]:
        """Yield what comes of each check; what depends on one that failed is not tried."""
        yield self._result("spool folder", self._spool)
        yield self._result("key", self._key)
        if self._with_exports:
            yield from self._of_exports()
        for stream in self._streams:
            if stream.probe is not None:
                yield self._result(stream.name, partial(self._probe, stream.probe(self._config)))

    def _of_exports(self) -> Iterator[Result]:
        with_bundles = self._config.events_source == "data_export"
        export = self._result("export", self._newest if with_bundles else self._segment)
        yield export
        if not export.error:
            yield self._result("first load", self._first_load if with_bundles else self._windows)

    def _result(self, name: str, check: Callable[[], str]) -> Result:
        try:
            return Result(name, check())
        except TapError as error:
            return Result(name, str(error), error)

    def _exports(self) -> SegmentExport:
        return SegmentExport(self._client, self._spool_folder(), self._config, None)

    def _source(self) -> DataExport:
        return DataExport(self._client, self._spool_folder(), self._config.export_url, self._config.checkpoint_records)

    def _spool_folder(self) -> Spool:
        return Spool(self._config.spool_dir, owner=(self._config.export_url, self._config.api_key))

    def _spool(self) -> str:
        self._spool_folder()
        disk = os.statvfs(self._config.spool_dir)
        free = disk.f_bavail * disk.f_frsize
        return f"{self._config.spool_dir} can be written, {free / 1e9:.1f} GB are free."

    def _key(self) -> str:
        """API: https://developer.fullstory.com/server/v1/authentication/me/."""
        role = self._client.get_json(f"{self._config.api_url}{ME}", _parse_me, limit=RateLimit())
        if role in MAY_EXPORT or not self._has_to_export:
            return f"{self._config.api_url} accepts it; its role is {role}."
        raise AuthError(
            f"{self._config.api_url} accepts the key, but its role is {role}.",
            f"To export, it has to be {' or '.join(MAY_EXPORT)}: make another key.",
        )

    def _probe(self, paths: Sequence[str]) -> str:
        for path in paths:
            self._client.get_json(f"{self._config.api_url}{path}", lambda _: None, limit=RateLimit())
        return "may be read." if paths else 'nothing to read: "sessions_for" names nobody.'

    def _newest(self) -> str:
        newest = next(self._source().newest(), None)
        if newest is None:
            return f"{self._config.export_url} lists no bundle."
        hours = (newest.stop - newest.start) / 3600
        return (
            f"{self._config.export_url} lists bundles, the newest of {hours:g} hours, "
            f"which ends {to_text(newest.stop * SECOND)}."
        )

    def _first_load(self) -> str:
        page = self._source().page(self._start)
        since = to_text(self._start * SECOND)
        if not page:
            return f"there is no bundle since {since} yet."
        first = page[0]
        exactly = len(page) < PAGE_SIZE
        length = max(1, first.stop - first.start)
        count = len(page) if exactly else max(len(page), (self._now - DAY - first.start) // length)
        return (
            f"{count} bundle{'s' if count != 1 else ''} since {since}{'' if exactly else ', or so'}; at Fullstory's "
            f"{DOWNLOADS} downloads a minute this takes at least {duration(least_time(count))}."
        )

    def _segment(self) -> str:
        """API: https://developer.fullstory.com/server/v1/segments/list-segments/ (built-in ones need not be listed)."""
        names = dict(list_segments(self._client, self._config))
        wanted = self._config.segment_id
        if wanted != ANY_SEGMENT and wanted not in names:
            raise no_segment(wanted, names)
        name = f" ({names[wanted]})" if wanted in names else ""
        return f'{self._config.api_url} lists segments; events come from "{wanted}"{name}.'

    def _windows(self) -> str:
        count = len(self._exports().starts(self._begin, self._config.end_date, None))
        length = duration(self._config.export_window_hours * 3600)
        return (
            f"{count} window{'s' if count != 1 else ''} of {length} since {to_text(self._begin.until)}; Fullstory "
            "makes an export of each, in its own time."
        )


def _parse_me(answer: Any) -> str:
    role = answer.get("role") if isinstance(answer, dict) else None
    if not isinstance(role, str):
        raise ResponseError(f'The answer of {ME} is not as documented: no text "role".', "Check api_url.")
    return role[:40]
