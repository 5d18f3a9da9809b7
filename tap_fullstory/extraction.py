"""From a bookmark to records: bundle after bundle, with what is missing, late, or read again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any

from tap_fullstory import bundle_log, spans
from tap_fullstory.bundles import BEGINNING, Bundle, Cuts, Position, check_on_the_way, matches, read_chunks, sealed
from tap_fullstory.config import Config
from tap_fullstory.dictionary import BUNDLE_ID, MAX_INTEGER, REPLICATION_KEY
from tap_fullstory.errors import BundleError, ConfigError
from tap_fullstory.layout import Layout
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.pieces import Piece, pieces, since
from tap_fullstory.prefetch import ahead
from tap_fullstory.privacy import Privacy
from tap_fullstory.records import ALL, EventReader, Origin, Records, Window
from tap_fullstory.report import Report
from tap_fullstory.spans import Span
from tap_fullstory.spool import SpoolFile
from tap_fullstory.state import MOST_CONTENTS, MOST_GAPS, Checkpoint, Content, EventsBookmark, parse_events_bookmark
from tap_fullstory.streams import Items, Run, Selection

LOGGER = logging.getLogger(__name__)

HOUR = 3600 * SECOND
# bytes of a file whose events are given on before it is checked: they are taken back if it is damaged
LARGEST_UNCHECKED = 64 * 1024 * 1024
LONGEST_BOUNDS = 100  # characters in the name of a file
MOST_NAMED = 20  # gaps in a line
FRESH = 3600.0  # seconds for which a file that another run left may stand for what Fullstory delivers now


class Extraction:
    """Reads bundle after bundle; its bookmark moves on as what it yields is written.

    Args:
        bookmark: as the state holds it.
        layout: which columns of the events are selected; None: the events themselves are not wanted.
        log: which columns of the log of bundles are selected; None: it is not wanted.
    """

    def __init__(self, run: Run, bookmark: Any, layout: Layout | None, log: Selection | None) -> None:
        self._run = run
        self._config = run.config
        self._layout = layout
        self._privacy = Privacy(run.config)
        self._left = parse_events_bookmark(bookmark)
        self._begun = begin(self._left, run.config, run.now)
        self._at = self._begun
        self._log = log
        self._also = (bundle_log.NAME,) if layout and log else ()
        hours = run.config.reread_hours if layout else 0
        self._recent = max(run.now - int(hours * HOUR), self._begun.since) if hours else None
        stops = [one.stop for one in (self._begun.contents or {}).values()]
        if self._recent is not None and len(stops) >= MOST_CONTENTS:  # others would be new each time
            self._recent = max(self._recent, min(stops) * SECOND - 1)
        self._waiting: set[int] = set()  # ids of bundles that are written, but not all others with the same Stop
        self._cut: set[int] = set()  # ids of bundles that are written up to end_date
        self._missing: tuple[Span, ...] = ()  # gaps behind `until`, before end_date
        self._fetched: list[Bundle] = []
        self._gaps_found = 0
        self._given_up: list[Span] = []

    def items(self) -> Items:
        """Yield records and checkpoints; when it is closed before its end, take note of the files that stay."""
        try:
            yield from self._items()
        except GeneratorExit:
            begun = (one for one in self._fetched if self._at.resume(one) != BEGINNING or not self._at.is_done(one))
            self._run.report.kept = frozenset(one.id for one in begun)
            raise

    def _items(self) -> Iterator[Records | Checkpoint]:
        config = self._config
        if self._recent is not None:  # what may have changed is read, whoever has read it before: events have a key
            self._begun = self._at = self._at.unread_from(self._recent)
        self._at = self._at.since_stop(self._recent)
        source = self._run.source
        listed = source.bundles(self._begun, config.end_date, self._recent)
        if self._at.until > self._run.now:
            until = to_text(self._at.until)
            LOGGER.warning("Nothing to read: events are wanted from %s on, which lies in the future.", until)
            yield self._checkpoint(last=True)
            return
        if self._at.gaps:
            LOGGER.warning("No bundle was listed so far for %s; looking for them again.", _named(self._at.gaps))
        at_end = False
        # without twins all that stops at `until` is written, whatever the other source calls it
        begun = self._begun if source.has_twins else replace(self._begun, done=())
        wanted = pieces(listed, begun, config.end_date, self._recent, lambda: source.is_any_before(self._begun.since))
        with ExitStack() as files:  # they go when a state without their bundles has been written, not before
            for item in ahead(self._fetch, wanted, config.prefetch):
                if item is None:
                    paid = self._run.source.exports != self._at.exports  # what was paid for is not lost with us
                    if paid or self._run.is_over:
                        yield self._checkpoint(due=paid)
                    self._run.idle()
                    continue
                piece, file = item
                self._forget_what_is_lost(piece)
                if file:
                    files.enter_context(file)
                yield from self._piece(piece, file)
                if not self._at.partial or self._at.partial[0] not in self._waiting | self._cut:
                    files.close()
                at_end = at_end or (config.end_date is not None and piece.bundle.stop * SECOND >= config.end_date)
            if at_end and config.end_date is not None:
                self._move_to(config.end_date)
            self._give_up_old()
            yield self._checkpoint(last=True)

    def _checkpoint(self, *, due: bool = True, last: bool = False) -> Checkpoint:
        self._at = replace(self._at, exports=self._run.source.exports)
        self._run.report.until, self._run.report.gaps = self._at.until, self._at.gaps
        return Checkpoint(self._at.to_json(), due, self._also, last)

    def _fetch(self, piece: Piece) -> SpoolFile | None:
        if piece.window is None:
            return None
        if piece.bundle.id in self._config.skip_bundles:
            self._run.report.of_bundle(piece.bundle).status = "skipped"
            return None
        resume = self._begun.resume(piece.bundle)

        def usable(file: SpoolFile) -> bool:
            if piece.again:
                return False
            if resume != BEGINNING:
                return matches(file.file, resume, _seal(piece))
            return time.time() - file.modified < FRESH

        plain = not piece.again and resume == BEGINNING and self._recent is None
        unchecked = LARGEST_UNCHECKED if plain and self._run.takes_back else 0
        with self._run.report.fetching(piece.bundle) as counts:
            counts.late, counts.again = bool(piece.gaps), piece.again
            file = self._run.source.fetch(piece.bundle, usable, unchecked)
        self._fetched.append(piece.bundle)
        return file

    # One bundle, in whichever way it is wanted

    def _piece(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        if piece.again:
            yield from self._again(piece, file)
        elif piece.gaps:
            yield from self._late(piece, file)
        elif piece.cut:
            yield from self._until_end_date(piece, file)
        else:
            yield from self._whole(piece, file)

    def _whole(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        piece = self._with_what_changed(piece, file)
        yield from self._events(piece, file)
        yield from self._finished(piece, file)
        for span in piece.missing:
            self._note_missing(span)
        self._missing = spans.subtract(self._missing, piece.bundle.span)
        self._waiting.add(piece.bundle.id)
        if piece.finished:
            for bundle in piece.finished:
                self._at = self._at.after(bundle)
                self._run.source.release(bundle)
            self._waiting.clear()
            # where other runs have written everything, a state for each bundle would say little
            yield self._checkpoint(due=piece.window is not None or len(piece.finished) > 1)

    def _until_end_date(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        for span in piece.missing:
            self._missing = spans.add(self._missing, span)
        self._missing = spans.subtract(self._missing, piece.bundle.span)
        if file is not None:
            self._cut.add(piece.bundle.id)
            free = self._is_free(piece)
            piece = self._with_what_changed(piece, file)
            yield from self._events(piece, file)
            if self._is_recent(piece.bundle):
                content = self._content(piece.bundle, file, piece.counted or ALL)
                self._at = self._at.holds(piece.bundle, content)
            self._run.source.release(piece.bundle)
            if free:  # `until` moves to end_date when all bundles that are cut there are written
                yield self._checkpoint()

    def _move_to(self, end: int) -> None:
        """Take note that everything before the end date is written."""
        self._at = self._at.at(end)
        for span in self._missing:
            self._note_missing(span)
        if self._at.partial and self._at.partial[0] in self._cut:
            self._at = replace(self._at, partial=None)

    def _late(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        LOGGER.info("Bundle %s came late; of it, %s is read.", piece.bundle.id, _named(piece.gaps))
        yield from self._events(piece, file)
        yield from self._finished(piece, file)
        self._waiting.add(piece.bundle.id)
        if piece.filled:
            self._at = self._at.filled(self._waiting, piece.filled)
            self._waiting.clear()
            self._run.source.release(piece.bundle)
            yield self._checkpoint()

    def _again(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        """Read a finished bundle again; emit it, without a place to resume in between, if its content has changed."""
        if file is None:  # skip_bundles names it
            return
        bundle, report = piece.bundle, self._run.report
        before = (self._at.contents or {}).get(bundle.id)
        now = self._content(bundle, file, since(bundle, self._at.since))
        self._run.source.release(bundle)
        counts = report.of_bundle(bundle)
        counts.events = file.cuts.total
        report.read_again += 1
        if now == before:
            counts.status = "unchanged"
            return
        report.written_again += 1
        if before and now.events < before.events:
            LOGGER.warning(_FEWER, bundle.id, before.events - now.events, bundle.id, file.time_extracted)
        for records, _ in self._read(piece, file):
            yield records
        counts.status = "written"
        yield from self._logged(piece, file, now.events)
        self._at = self._at.holds(bundle, now)
        yield self._checkpoint()

    # Its parts

    def _events(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records | Checkpoint]:
        """Yield the events that are wanted of a bundle, and places to resume between them."""
        bundle, report = piece.bundle, self._run.report
        if file is None:
            if bundle.id in self._config.skip_bundles:
                report.skipped += 1
                LOGGER.warning("Bundle %s is passed over, as skip_bundles says.", bundle.id)
            return
        if self._layout and (file.repair or not file.cuts.total):
            # what an earlier run has written of it into files may not be there any more
            yield Records(0, b"", 0, file.time_extracted, origin=_origin(piece, file, BEGINNING))
        free = self._is_free(piece)
        for records, position in self._read(piece, file):
            yield records
            if free and position:
                self._at = self._at.inside(bundle, position)
                yield self._checkpoint(due=False)
        report.bundles += 1
        counts = report.of_bundle(bundle)
        counts.status, counts.events = "written", file.cuts.total

    def _is_free(self, piece: Piece) -> bool:
        """Return whether the state can say how far this bundle is: it has one place for a bundle written in part."""
        return self._at.partial is None or self._at.partial[0] == piece.bundle.id

    def _finished(self, piece: Piece, file: SpoolFile | None) -> Iterator[Records]:
        """Take note of what was in a bundle that is written now."""
        if file is None:
            return
        if self._is_recent(piece.bundle):
            content = self._content(piece.bundle, file, since(piece.bundle, self._at.since))
            self._at = self._at.holds(piece.bundle, content)
        if self._log:
            counted = piece.counted or ALL
            whole = counted == ALL and not self._privacy.selects
            events = file.cuts.total if whole else self._count(piece, counted, file)
            yield from self._logged(piece, file, events)

    def _logged(self, piece: Piece, file: SpoolFile, events: int) -> Iterator[Records]:
        if self._log:
            records = bundle_log.to_records(piece.bundle, file, events, self._config.events_source, self._log)
            yield replace(records, origin=_origin(piece, file, BEGINNING))

    def _read(self, piece: Piece, file: SpoolFile) -> Iterator[tuple[Records, Position | None]]:
        """Yield the records of a bundle in runs, each with the position behind it, if that is known."""
        if file.repair:
            damage = yield from self._read_unchecked(piece, file)
            if not damage:
                return
            yield Records(0, b"", 0, file.time_extracted, origin=_origin(piece, file, BEGINNING), void=True), None
            for done in ahead(partial(self._repair, piece.bundle, file.repair), [damage], 0):
                if done is None:
                    self._run.idle()
        if self._layout is None:
            return
        bundle = piece.bundle
        reader = EventReader(self._layout, bundle.id, piece.window or ALL, self._run.report)
        resume = self._at.resume(bundle)
        if resume != BEGINNING and not matches(file.file, resume, _seal(piece)):
            LOGGER.warning(_REPEAT, bundle.id, _CHANGED, "it", _repeats(resume, self._config))
            resume = BEGINNING
        origin = _origin(piece, file, resume)
        for chunk in read_chunks(file.file, file.cuts, resume):
            position = replace(chunk.end, checksum=sealed(chunk.end.checksum, _seal(piece)))
            if self._run.makes_records:
                records = reader.from_events(chunk, file.time_extracted)
            else:
                records = Records(0, chunk.data, chunk.events, file.time_extracted, window=piece.window or ALL)
            yield replace(records, origin=origin), position

    def _repair(self, bundle: Bundle, repair: Callable[[BundleError], None], damage: BundleError) -> None:
        with self._run.report.fetching(bundle):
            repair(damage)

    def _read_unchecked(
        self, piece: Piece, file: SpoolFile
    ) -> Generator[tuple[Records, None], None, BundleError | None]:
        """Yield the events of a bundle, without a place to resume in between; return what is wrong with it, if so."""
        origin = _origin(piece, file, BEGINNING)
        file.cuts = Cuts()
        try:
            for chunk in check_on_the_way(file.file, self._config.checkpoint_records, file.cuts):
                self._run.stop.check()  # what is begun of this bundle goes
                if self._layout:
                    window = piece.window or ALL
                    yield Records(0, chunk.data, chunk.events, file.time_extracted, origin=origin, window=window), None
        except BundleError as error:
            return error
        return None

    def _is_recent(self, bundle: Bundle) -> bool:
        return self._recent is not None and bundle.stop * SECOND > self._recent

    def _with_what_changed(self, piece: Piece, file: SpoolFile | None) -> Piece:
        """Return *piece* with what a run up to an earlier end date has written of the bundle, if that has changed."""
        if file is None or not piece.counted or not self._is_recent(piece.bundle):
            return piece
        if piece.window == replace(piece.counted, also=()):
            return piece
        earlier = Window(piece.counted.start, piece.window.start if piece.window else None)
        before = (self._at.contents or {}).get(piece.bundle.id)
        same = before == self._content(piece.bundle, file, earlier)
        return piece if same else replace(piece, window=piece.counted)

    def _content(self, bundle: Bundle, file: SpoolFile, window: Window) -> Content:
        """Return what is in a bundle: how many events, and as records of which text, whatever their order."""
        assert self._layout
        events = digest = 0
        reader = EventReader(self._layout, bundle.id, window, Report())
        for chunk in read_chunks(file.file, file.cuts):
            records = reader.from_events(chunk, file.time_extracted)
            events += records.count
            for line in records.lines.splitlines():
                digest += int.from_bytes(blake2b(line, digest_size=8).digest(), "big")
        return Content(bundle.stop, events, digest & MAX_INTEGER)

    def _count(self, piece: Piece, window: Window, file: SpoolFile) -> int:
        """Return how many events of a bundle are emitted if they lie in *window*."""
        layout = Layout((REPLICATION_KEY, BUNDLE_ID), (), privacy=self._privacy)
        reader = EventReader(layout, piece.bundle.id, window, Report())
        chunks = read_chunks(file.file, file.cuts)
        return sum(reader.from_events(chunk, file.time_extracted).count for chunk in chunks)

    # What is missing

    def _forget_what_is_lost(self, piece: Piece) -> None:
        """Forget the bundle that the last run left unfinished, with a warning, if what is listed passes it by."""
        left = self._left
        if left is None or left.partial is None or self._at.partial != left.partial:
            return
        if piece.bundle.id == left.partial[0] or left.partial[0] in self._waiting | self._cut:
            return
        if (piece.cut and piece.window is None) or piece.bundle.stop * SECOND <= self._at.until:
            return  # beyond end_date; late, and listed before it
        if self._at.until == left.until:  # else start_date was moved
            bundle_id, position = left.partial
            repeats = _repeats(position, self._config)
            LOGGER.warning(_REPEAT, bundle_id, "another one comes before it now", "its span", repeats)
        self._at = replace(self._at, partial=None)

    def _note_missing(self, span: Span) -> None:
        self._at = self._at.missing(span)
        self._gaps_found += 1
        if self._gaps_found <= MOST_NAMED:
            hours = self._config.gap_check_hours
            then = f"later runs look for it again, for {hours:g} hours" if hours else "it is not looked for again"
            LOGGER.warning("No bundle covers %s; %s (gap_check_hours).", _named([span]), then)
        if len(self._at.gaps) > MOST_GAPS:  # the state stays small
            self._give_up(self._at.gaps[:-MOST_GAPS])

    def _give_up_old(self) -> None:
        """Forget gaps that were looked for in vain for long enough; each is looked for once more at least."""
        hours, end = self._config.gap_check_hours, self._config.end_date
        oldest = self._run.clock() - int(hours * HOUR)
        old = [gap for gap in self._at.gaps if gap[1] <= oldest and (end is None or gap[1] <= end)]
        if hours:
            known = self._begun.gaps
            old = [gap for gap in old if spans.between(known, *gap) == (gap,)]
        self._give_up(old)
        if self._given_up:
            LOGGER.warning(
                "%s given up: no bundle was listed for it, and later runs do not look again. If there was no traffic "
                "then, all is well; else ask Fullstory.",
                _named(self._given_up),
            )

    def _give_up(self, gaps: Sequence[Span]) -> None:
        self._at = self._at.without(gaps)
        self._given_up += gaps
        self._run.report.given_up += gaps


def _origin(piece: Piece, file: SpoolFile, resume: Position) -> Origin:
    """Return what to call the events of a piece from *resume* on: the same for the same events, in whichever run."""
    window = piece.window or ALL
    bounds = "-".join(f"{part.start}_{part.stop or ''}" for part in (window, *window.also) if part != ALL)
    if len(bounds) > LONGEST_BOUNDS:  # many gaps: a name of a file has its limits
        bounds = blake2b(bounds.encode(), digest_size=8).hexdigest()
    again = f"again_{file.time_extracted}" if piece.again else ""
    behind = f"behind_{resume.events}" if resume != BEGINNING else ""
    part = "-".join(filter(None, (bounds, again, behind))).replace(":", "").replace(".", "_")
    return Origin(piece.bundle.id, piece.bundle.start, part)


def _seal(piece: Piece) -> bytes:
    """Return what a position in a bundle holds for besides its bytes: where what is written of its events ends."""
    window = piece.window or ALL
    return "".join(part.stop or "" for part in (window, *window.also)).encode()


def _named(gaps: Sequence[Span]) -> str:
    named = ", ".join(f"{to_text(start)} to {to_text(stop)}" for start, stop in gaps[:MOST_NAMED])
    return named + (f" and {len(gaps) - MOST_NAMED} more" if len(gaps) > MOST_NAMED else "")


_REPEAT = "Bundle %s was written in part, but %s; %s is read again from the beginning: %s."
_FEWER = (
    "Bundle %s holds %s events fewer than when it was read before; a deletion at Fullstory, or another choice of event "
    "types, looks like that. The rows that are gone there: "
    'SELECT * FROM events WHERE "_bundle_id" = %s AND "_sdc_extracted_at" < \'%s\''
)
_CHANGED = "Fullstory now delivers other bytes, or end_date was moved within it"


def _repeats(position: Position, config: Config) -> str:
    if config.event_key:
        return "with event_key no event is in the warehouse twice for it"
    return f"up to {position.events} records may repeat"


def begin(bookmark: EventsBookmark | None, config: Config, now: int) -> EventsBookmark:
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
    if start is not None and start > bookmark.since:  # gaps before it are not wanted any more
        bookmark = replace(bookmark, gaps=spans.between(bookmark.gaps, start, None))
    if start is not None and start > bookmark.until:
        return replace(bookmark.at(start), since=start)
    return bookmark
