"""What is wanted of which bundle: dates, what is written already, gaps, and what is read again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tap_fullstory import spans
from tap_fullstory.bundles import Bundle
from tap_fullstory.moments import SECOND, comparable
from tap_fullstory.records import ALL, Window
from tap_fullstory.spans import Span
from tap_fullstory.state import EventsBookmark


@dataclass(frozen=True)
class Piece:
    """What is wanted of a bundle.

    Attributes:
        window: the events to emit; None: none of them.
        counted: the events that are in the warehouse once this is written, those of earlier runs included.
        cut: it reaches beyond `end_date`.
        missing: the span before it that no bundle covers.
        gap: it came late and fills this span.
        last: of those that came late with the same Stop.
        again: it is finished, and read again.
    """

    bundle: Bundle
    window: Window | None
    counted: Window | None = None
    cut: bool = False
    missing: Span | None = None
    gap: Span | None = None
    last: bool = True
    again: bool = False


def pieces(bundles: Iterable[Bundle], at: EventsBookmark, end: int | None, *, again: bool) -> Iterator[Piece]:
    """Yield what is wanted of *bundles*, which are ordered by Stop.

    A bundle that straddles the beginning of what is wanted, what is written already, a gap, or the end is filtered by
    the time of its events; any other is emitted whole.

    Args:
        at: what is written.
        end: Unix nanoseconds; events from then on are not wanted.
        again: bundles that are finished are read again.
    """
    gaps = spans.between(at.gaps, at.since, end)
    written = reached = at.until  # before the bundles that stop where this one does, and with them
    any_before = at.until > at.since  # what lies before the first bundle of all is no gap
    late: list[Span] = []
    for bundle, last in _late_together(bundles, at.until):
        start, stop = bundle.start * SECOND, bundle.stop * SECOND
        beyond = end is not None and stop > end
        new = not at.is_done(bundle)
        missing = None
        if new:
            hole = (reached, start if end is None else min(start, end))
            if any_before and hole[0] < hole[1]:
                missing, gaps = hole, spans.add(gaps, hole)
            if end is not None and start >= end:
                reached = max(reached, hole[1])
                yield Piece(bundle, None, cut=True, missing=missing)
                continue
            if stop > reached:
                written, reached = reached, stop
            any_before = True
        inside = spans.between(gaps, start, min(stop, written) if new else stop)
        for gap in inside:
            window = _window(bundle, *gap)
            yield Piece(bundle, window, window, gap=gap, last=last)
        late += inside
        if last:
            for gap in late:
                gaps = spans.subtract(gaps, gap)
            late.clear()
        if new:
            gaps = spans.subtract(gaps, (start, stop))
            first = next((bound for bound in (written, at.since) if start < bound < stop), start)
            # Before a date that is no Stop, an earlier run has written events of this very bundle.
            counted = at.since if first == at.until and not at.done else first
            until = end if end is not None and beyond else stop
            part = None if beyond and first >= until else _window(bundle, first, until)
            yield Piece(bundle, part, _window(bundle, counted, until), cut=beyond, missing=missing)
        elif again and not inside and not beyond:
            window = since(bundle, at.since)
            yield Piece(bundle, window, window, again=True)


def since(bundle: Bundle, moment: int) -> Window:
    """Return which events of *bundle* are wanted if all since *moment* are."""
    return _window(bundle, moment, bundle.stop * SECOND)


def _window(bundle: Bundle, start: int, stop: int) -> Window:
    first = "" if start <= bundle.start * SECOND else comparable(start)
    last = None if stop >= bundle.stop * SECOND else comparable(stop)
    return Window(first, last) if first or last else ALL


def _late_together(bundles: Iterable[Bundle], until: int) -> Iterator[tuple[Bundle, bool]]:
    """Yield each bundle, and whether it is the last of those that stop with it, as far as they stop before *until*."""
    late: Bundle | None = None
    for bundle in bundles:
        if late:
            yield late, late.stop != bundle.stop
        late = bundle if bundle.stop * SECOND <= until else None
        if not late:
            yield bundle, True
    if late:
        yield late, True
