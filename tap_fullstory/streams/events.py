"""The stream `events`: every captured event, append only."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from tap_fullstory import dictionary
from tap_fullstory.bundles import BEGINNING, Bundle, Position, matches, read_chunks, sealed
from tap_fullstory.config import Config
from tap_fullstory.errors import BundleError, ConfigError
from tap_fullstory.layout import Layout
from tap_fullstory.moments import SECOND, comparable, to_text
from tap_fullstory.prefetch import ahead
from tap_fullstory.records import ALL, EventReader, Records, Window
from tap_fullstory.spool import SpoolFile
from tap_fullstory.state import Checkpoint, EventsBookmark, parse_events_bookmark
from tap_fullstory.streams import Run, Selection, Stream

LOGGER = logging.getLogger(__name__)

NAME = "events"
FRESH = 3600.0  # seconds for which a file that another run left may stand for what Fullstory delivers now


def stream(*, event_key: bool) -> Stream:
    """Return the stream; with *event_key* it has a key, else Fullstory gives events no identifier."""
    key = (dictionary.EVENT_ID,) if event_key else ()
    return Stream(
        name=NAME,
        schema=dictionary.schema(event_key=event_key),
        key_properties=key,
        replication_method="INCREMENTAL",
        replication_key=dictionary.REPLICATION_KEY,
        automatic=frozenset({dictionary.REPLICATION_KEY, *key}),
        own=frozenset({dictionary.BUNDLE_ID, dictionary.CUSTOM_VARS}),
        selected_by_default=True,
        extract=extract,
    )


def extract(run: Run, bookmark: Any, selection: Selection) -> Iterator[Records | Checkpoint]:
    """Yield the events after *bookmark* (as the state holds it), and a Checkpoint wherever a later run may resume."""
    config, report = run.config, run.report
    left = parse_events_bookmark(bookmark)
    begun = at = _begin(left, config, run.now)
    if at.until > run.now:
        LOGGER.warning("Nothing to read: events are wanted from %s on, which lies in the future.", to_text(at.until))
        yield Checkpoint(at.to_json())
        return

    def fetch(piece: Piece) -> SpoolFile | None:
        if piece.window is None or piece.bundle.id in config.skip_bundles:
            return None
        resume = begun.resume(piece.bundle)

        def usable(file: SpoolFile) -> bool:
            if resume != BEGINNING:
                return matches(file.file, resume, _seal(piece))
            return time.time() - file.modified < FRESH

        return run.source.fetch(piece.bundle, usable)

    at_end = False
    cut: set[int] = set()  # ids of bundles that are written up to end_date
    layout = Layout(selection.columns, selection.unknown)
    pieces = _pieces(run.source.bundles(at, config.end_date), at, config.end_date)
    for piece, file in ahead(fetch, pieces, config.prefetch, run.idle):
        bundle = piece.bundle
        at = _without_lost(at, left, piece, config)
        # The state has one place for a bundle written in part; while another one holds it, this one must be finished.
        free = at.partial is None or at.partial[0] == bundle.id
        with file or nullcontext():  # the file goes when the state after it has been written, not before
            if file is not None:
                for records, position in _read(run, piece, file, at, layout):
                    yield records
                    if free:
                        at = at.inside(bundle, position)
                        yield Checkpoint(at.to_json(), due=False)
                report.bundles += 1
            elif bundle.id in config.skip_bundles:
                report.skipped += 1
                LOGGER.warning("Bundle %s is passed over, as skip_bundles says.", bundle.id)
            if not piece.cut:
                at = at.after(bundle)
            elif file is not None:
                cut.add(bundle.id)
            if free or not piece.cut:  # `until` moves to end_date when all bundles that are cut there are written
                yield Checkpoint(at.to_json())
        at_end = at_end or (config.end_date is not None and bundle.stop * SECOND >= config.end_date)
    if at_end and config.end_date is not None:
        at = at.at(config.end_date)
        if at.partial and at.partial[0] in cut:
            at = replace(at, partial=None)
    yield Checkpoint(at.to_json())


def _without_lost(at: EventsBookmark, left: EventsBookmark | None, piece: Piece, config: Config) -> EventsBookmark:
    """Forget the bundle that the last run left unfinished, with a warning, if what is listed passes it by."""
    if left is None or left.partial is None or at.partial != left.partial or piece.bundle.id == left.partial[0]:
        return at
    if piece.window is None or piece.bundle.stop * SECOND <= at.until:  # beyond end_date; late, and listed before it
        return at
    if at.until == left.until:  # else start_date was moved
        bundle_id, position = left.partial
        LOGGER.warning(_REPEAT, bundle_id, "another one comes before it now", "its span", _repeats(position, config))
    return replace(at, partial=None)


@dataclass(frozen=True)
class Piece:
    """What is wanted of a bundle.

    Attributes:
        window: the events to emit; None: none of them.
        cut: it reaches beyond `end_date`.
    """

    bundle: Bundle
    window: Window | None
    cut: bool = False


def _pieces(bundles: Iterable[Bundle], at: EventsBookmark, end: int | None) -> Iterator[Piece]:
    """Yield what is wanted of *bundles*; *end* in Unix nanoseconds.

    A bundle that straddles the beginning of what is wanted, what is written already, or the end is filtered by the
    time of its events; any other is emitted whole.
    """
    written = reached = at.until  # before the bundles that stop where this one does, and with them
    for bundle in bundles:
        start, stop = bundle.start * SECOND, bundle.stop * SECOND
        if end is not None and start >= end:
            yield Piece(bundle, None, cut=True)
            continue
        if stop > reached:
            written, reached = reached, stop
        first = next((bound for bound in (written, at.since) if start < bound < stop), None)
        last = end if end is not None and stop > end else None
        window = Window(
            start="" if first is None else comparable(first),
            stop=None if last is None else comparable(last),
        )
        empty = first is not None and last is not None and first >= last
        yield Piece(bundle, None if empty else window, cut=last is not None)


def _read(
    run: Run, piece: Piece, file: SpoolFile, at: EventsBookmark, layout: Layout
) -> Iterator[tuple[Records, Position]]:
    """Yield the records of a bundle in runs, each with the position behind it."""
    bundle = piece.bundle
    reader = EventReader(layout, bundle.id, piece.window or ALL, run.report)
    resume = at.resume(bundle)
    if resume != BEGINNING and not matches(file.file, resume, _seal(piece)):
        LOGGER.warning(_REPEAT, bundle.id, _CHANGED, "it", _repeats(resume, run.config))
        resume = BEGINNING
    for chunk in read_chunks(file.file, file.cuts, resume):
        position = replace(chunk.end, checksum=sealed(chunk.end.checksum, _seal(piece)))
        try:
            records = reader.from_events(chunk, file.time_extracted)
        except RecursionError as error:
            raise BundleError(
                f"Bundle {bundle.id} holds an event that is nested too deeply to be read.",
                'Pass over it with "skip_bundles".',
            ) from error
        yield records, position


def _seal(piece: Piece) -> bytes:
    """Return what a position in a bundle holds for besides its bytes: events from `end_date` on were not written."""
    return piece.window.stop.encode() if piece.window and piece.window.stop else b""


_REPEAT = "Bundle %s was written in part, but %s; %s is read again from the beginning: %s."
_CHANGED = "Fullstory now delivers other bytes, or end_date was moved within it"


def _repeats(position: Position, config: Config) -> str:
    if config.event_key:
        return "with event_key no event is in the warehouse twice for it"
    return f"up to {position.events} records may repeat"


def _begin(bookmark: EventsBookmark | None, config: Config, now: int) -> EventsBookmark:
    """Return where to go on: the state wins over an earlier start_date, a later one moves it forward."""
    start = config.start_date
    if bookmark is None:
        if start is None:
            import pendulum  # only the first run of some needs it

            start = int(pendulum.from_timestamp(now // SECOND, "UTC").subtract(years=1).timestamp()) * SECOND
            if config.end_date is not None and config.end_date <= start:
                raise ConfigError(
                    f'"end_date" must lie after "start_date", which is {to_text(start)} when it is not set. Set it.'
                )
        return EventsBookmark(since=start, until=start)
    if start is not None and start < bookmark.since:
        LOGGER.warning(
            "start_date %s lies before %s, from which on the state says that events are written; the state wins. To "
            "read what lies before, run once without --state and with end_date.",
            to_text(start),
            to_text(bookmark.since),
        )
    if start is not None and start > bookmark.until:
        return replace(bookmark, since=start, until=start, done=())
    return bookmark
