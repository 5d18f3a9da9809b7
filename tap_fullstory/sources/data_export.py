"""Data Export: finished bundles of a fixed length, listed and downloaded.

API: https://developer.fullstory.com/server/v1/exports/list-event-exports/
     https://developer.fullstory.com/server/v1/exports/get-event-export/
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from tap_fullstory.bundles import BEGINNING, Bundle, Cuts, check
from tap_fullstory.client import FORBIDDEN, NOT_FOUND, Client, NotFoundError, RateLimit, duration
from tap_fullstory.dictionary import MAX_INTEGER
from tap_fullstory.errors import BundleError, ResponseError
from tap_fullstory.logs import FORMATTER
from tap_fullstory.moments import LATEST, SECOND, to_text
from tap_fullstory.sources import Extent, fill
from tap_fullstory.spool import Spool, SpoolFile
from tap_fullstory.state import EventsBookmark, Export

LOGGER = logging.getLogger(__name__)

LIST, GET = "/api/v1/export/list", "/api/v1/export/get"
PAGE_SIZE = 20  # bundles, as documented; servers were seen that list one more
DAY = 86400  # seconds
LOOK_BACK = (4, 40, 400, 40_000)  # days, one after the other, until there is what is looked for
DOWNLOADS, PER_SECONDS = 2, 60  # as documented for `get`
OTHER_WAY = 'Data Export is an add-on that new accounts do not get; "events_source": "segment_export" is the other way.'
REPORT = "Please report this with the line above."


class DataExport:
    """Brings bundles from Data Export.

    Args:
        url: scheme and host, without the path.
        most_events: at most so many events between two cuts of a file.
    """

    has_twins = True

    def __init__(self, client: Client, spool: Spool, url: str, most_events: int) -> None:
        self.exports: tuple[Export, ...] = ()  # of the other source: kept until what they cover is written
        self._client = client
        self._spool = spool
        self._url = url
        self._most_events = most_events
        self._list_limit, self._get_limit = RateLimit(), RateLimit()

    def bundles(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        """Return the bundles that are wanted, page by page, ordered by Stop; see `Source`.

        A page is asked for with the last Stop minus one, and what is known is dropped: the API lists what stops
        *after* the `start` sent, so the Stop itself would lose what is left of a group with one Stop.

        Raises:
            ResponseError: after all that is new, when the list does not move.
        """
        self.exports = bookmark.exports
        return self._bundles(bookmark, end, again)

    def _bundles(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        until = bookmark.until // SECOND
        start = until - (1 if bookmark.done else 0)
        for earlier in (again, *(gap[0] for gap in bookmark.gaps)):
            start = start if earlier is None else min(start, earlier // SECOND)
        start = max(0, start)
        seen: set[int] = set()
        announced = False

        def order(one: Bundle) -> tuple[bool, int, bool, bool]:
            # one that is begun before those that came late: the state has one place for a begun bundle
            is_begun = bookmark.resume(one) != BEGINNING
            return one.stop <= until or not is_begun, one.stop, one.id not in bookmark.done, not is_begun

        def is_known(one: Bundle) -> bool:
            return one.id in bookmark.done and one.stop == until and one.id not in seen

        def wanted(one: Bundle) -> bool:
            is_read_again = again is not None and one.stop * SECOND > again
            return one.id not in seen and (not bookmark.is_done(one) or bookmark.lacks(one) or is_read_again)

        while True:
            page = self.page(start)
            last = max((one.stop for one in page), default=start)
            if last == until and start < last - 1:  # whether these are done shows when all of that Stop are on one page
                page = [one for one in page if one.stop < last]
            seen |= _renamed(page, bookmark)
            new = list(filter(wanted, page))
            useful = sorted((one for one in page if wanted(one) or is_known(one)), key=order)
            # Where gaps are looked for, far behind `until`, a page may hold nothing new and the next one something.
            is_behind = start < last - 1 and last <= until
            to_read = [one for one in new if not bookmark.is_beyond(one)]
            if not announced and (to_read or not (new or is_behind)):
                LOGGER.info("%s", _announcement(bookmark, to_read, end, more=len(page) >= PAGE_SIZE))
                announced = True
            seen |= {one.id for one in page}
            self._client.report.known += sum(1 for one in to_read if end is None or one.start * SECOND < end)
            yield from useful
            stuck = next((one for one in page if one.stop <= start), None)
            if stuck:
                raise ResponseError(
                    f"The list of bundles does not move: asked for what stops after {start}, Fullstory listed bundle "
                    f"{stuck.id}, which stops at {stuck.stop}. {REPORT}"
                )
            if end is not None and new and all(one.start * SECOND >= end for one in new):
                return  # not at the first of them: bundles of another length may overlap
            if not new and not is_behind:
                if len(page) >= PAGE_SIZE and len({one.stop for one in page}) == 1:
                    raise ResponseError(
                        f"The list of bundles does not move: all {len(page)} bundles of a page stop at "
                        f"{page[0].stop} and are known, so what else stops there cannot be listed. {REPORT}"
                    )
                return
            start = max(0, last - 1)

    def is_any_before(self, moment: int) -> bool:
        """Return whether a bundle stops at *moment* or before; see `Source`."""
        return any(one.stop * SECOND <= moment for one in self.page(0))

    def extent(self, start: int, end: int | None) -> Extent | None:
        """Return where the bundles lie; see `Source`.

        One list call as a rule: of the first bundles, if there is an *end*, or the newest may be on the same page; else
        of the newest. Some more for short bundles, and where nothing has come for long.
        """
        first, now = start // SECOND, self._client.now() // SECOND
        page: list[Bundle] = []
        newest_only, _, long_ago, _ = LOOK_BACK
        if end is None and PAGE_SIZE * DAY < now - first < long_ago * DAY:
            page = self.page(now - newest_only * DAY)
        if not page:
            page = [one for one in self.page(first) if end is None or one.start * SECOND < end]
            first = min((one.start for one in page), default=first)
        if end is None and len(page) >= PAGE_SIZE:
            page = self._last_page(page, now)
        if not page:
            return None
        lengths = Counter(one.stop - one.start for one in page if one.stop > one.start)
        length = max(lengths, key=lambda one: (lengths[one], one), default=1)
        usual = next((one for one in reversed(page) if one.stop - one.start == length), page[-1])
        stop = max(one.stop for one in page)
        if end is not None:  # the list may go on up to there
            stop = max(stop, min(-(-end // SECOND), now))
        return Extent(first, stop, length, usual.start % length)

    def _last_page(self, page: list[Bundle], now: int) -> list[Bundle]:
        """Return a page with the newest bundle, which comes after those of *page*, in few calls."""
        most, longest = len(page), max(1, *(one.stop - one.start for one in page))
        low, high = max(one.stop for one in page), now
        middle = high - DAY - most * longest // 2  # usually a page or two reach from there to the newest
        while True:
            found = self.page(max(low, middle))
            last = max((one.stop for one in found), default=low)
            if last > low:
                page, low = found, last
                if len(found) < most:
                    return page
            elif middle <= low:
                return page
            else:
                high = middle
            middle = (low + high) // 2 if high - low > most * longest else low

    def newest(self) -> Iterator[Bundle]:
        """Yield finished bundles, the newest first; see `Source`."""
        seen: set[int] = set()
        now = self._client.now() // SECOND
        for days in LOOK_BACK:
            listed = sorted(self._listed(max(0, now - days * DAY)), key=lambda one: one.stop, reverse=True)
            yield from (one for one in listed if one.id not in seen)
            seen |= {one.id for one in listed}

    def listed(self, bookmark: EventsBookmark, end: int | None) -> Iterator[Bundle]:
        """Yield the bundles that are wanted; see `Source`."""
        return self._bundles(bookmark, end, None)

    def _listed(self, start: int) -> Iterator[Bundle]:
        """Yield all bundles that stop after *start*, page by page."""
        while True:
            page = self.page(start)
            last = max((one.stop for one in page), default=start)
            if last <= start:
                return
            yield from page
            start = last

    def fetch(self, bundle: Bundle, usable: Callable[[SpoolFile], bool], unchecked: int = 0) -> SpoolFile:
        """Bring a bundle into a file and check it; see `Source`.

        Raises:
            BundleError: it stays damaged; the text names it.
        """
        file = self._spool.open(bundle.id)

        def bring() -> None:
            self._client.retry(lambda: self._download(bundle, file, unchecked), self._get_limit)

        def repair(damage: BundleError) -> None:
            found = [damage]

            def attempt() -> None:  # the first one has been made
                if found:
                    raise _damaged(bundle, file, found.pop())
                self._download(bundle, file)

            self._client.retry(attempt, self._get_limit)

        file = fill(file, self._most_events, usable, bring)
        if not file.cuts.size:
            file.repair = repair
        return file

    def release(self, bundle: Bundle) -> None:
        """Take note that a bundle is written."""
        self.exports = tuple(one for one in self.exports if one.span[1] > bundle.stop * SECOND)

    def _download(self, bundle: Bundle, file: SpoolFile, unchecked: int = 0) -> None:
        try:
            self._client.download(f"{self._url}{GET}", file, limit=self._get_limit, id=bundle.id)
            # those of a file that was there before say nothing of this one
            file.cuts = Cuts() if 0 < file.received <= unchecked else check(file.file, self._most_events)
        except NotFoundError as error:
            raise _broken(bundle, "is listed, but Fullstory answers HTTP 404 to its download") from error
        except BundleError as error:
            raise _damaged(bundle, file, error) from error
        file.finish()

    def page(self, start: int) -> list[Bundle]:
        """Return the first bundles that stop after *start*, in Unix seconds; 20 at most, as documented."""
        hints = {FORBIDDEN: OTHER_WAY, NOT_FOUND: OTHER_WAY}
        url = f"{self._url}{LIST}"
        return self._client.get_json(url, _parse_page, limit=self._list_limit, hints=hints, start=start)


def _renamed(page: list[Bundle], bookmark: EventsBookmark) -> set[int]:
    """Return the ids of bundles that stop at `until` when none of those that are known to be done is listed any more.

    Then the account has another bundle length now, or events came from another source: these cover what is written.
    While a known one is listed, any other that stops with it has come late, and is new.
    """
    ids = {one.id for one in page if one.stop * SECOND == bookmark.until}
    return ids if ids and bookmark.done and ids.isdisjoint(bookmark.done) else set()


def _damaged(bundle: Bundle, file: SpoolFile, damage: BundleError) -> BundleError:
    file.restart()  # the next download must not go on behind what is damaged
    return _broken(bundle, f"arrived damaged: {damage}")


def _broken(bundle: Bundle, what: str) -> BundleError:
    return BundleError(
        f"Bundle {bundle.id} ({to_text(bundle.start * SECOND)} to {to_text(bundle.stop * SECOND)}) {what}.",
        'None of this download was written. Run again later with the last state, or pass over it with "skip_bundles".',
    )


def _parse_page(answer: Any) -> list[Bundle]:
    exports = answer.get("exports") if isinstance(answer, dict) else None
    if not isinstance(exports, list):
        raise ResponseError('The list of bundles is not as documented: no array "exports".', REPORT)
    return [_bundle(one) for one in exports]


def _bundle(entry: Any) -> Bundle:
    """Read one entry of the list: members in either case, numbers or texts; the pages show both."""
    members = {name.lower(): value for name, value in entry.items()} if isinstance(entry, dict) else {}
    numbers = [_number(members.get(name)) for name in ("id", "start", "stop")]
    bundle_id, start, stop = numbers
    if bundle_id is None or start is None or stop is None or not start <= stop <= LATEST:
        shown = FORMATTER.hidden(json.dumps(entry))[:200]
        raise ResponseError(f"A bundle in the list is not as documented: {shown}.", REPORT)
    return Bundle(bundle_id, start, stop)


def _number(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"\d{1,19}", value, re.ASCII):
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_INTEGER else None


def least_time(bundles: int) -> int:
    """Return the seconds that the limit on downloads makes of so many bundles, at least one."""
    return PER_SECONDS * (math.ceil(bundles / DOWNLOADS) - 1)


def _announcement(bookmark: EventsBookmark, listed: list[Bundle], end: int | None, *, more: bool) -> str:
    since = to_text(bookmark.until)
    new = [one for one in listed if end is None or one.start * SECOND < end]
    more = more and new == listed
    if not new:
        return f"Reading events from {since} on: no new bundle is finished."
    span = f"{to_text(min(one.start for one in new) * SECOND)} to {to_text(max(one.stop for one in new) * SECOND)}"
    known = f"{len(new)} bundle{'s' if len(new) != 1 else ''}" + (
        " known so far (more are listed on the way)" if more else ""
    )
    return (
        f"Reading events from {since} on: {known}, {span}; at Fullstory's {DOWNLOADS} downloads a minute "
        f"this takes at least {duration(least_time(len(new)))}."
    )
