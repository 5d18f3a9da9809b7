"""What is wanted of which bundle: dates, what is written already, gaps, and what is read again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, reduce

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
        window: the events to emit; None: none of them, and it need not be fetched.
        counted: the events that are in the warehouse once this is written, those of earlier runs included.
        cut: it reaches beyond `end_date`.
        missing: the spans before it that no bundle covers.
        gaps: it came late and fills these spans.
        filled: the spans that are filled once this is written, by all that came late with the same Stop.
        finished: the bundles that are finished once this is written: it, or all with its Stop.
        again: it is finished, and read again.
    """

    bundle: Bundle
    window: Window | None
    counted: Window | None = None
    cut: bool = False
    missing: tuple[Span, ...] = ()
    gaps: tuple[Span, ...] = ()
    filled: tuple[Span, ...] = ()
    finished: tuple[Bundle, ...] = ()
    again: bool = False


def pieces(
    bundles: Iterable[Bundle],
    at: EventsBookmark,
    end: int | None,
    again: int | None,
    is_any_before: Callable[[], bool] = lambda: False,
) -> Iterator[Piece]:
    """Yield what is wanted of *bundles*, which are ordered by Stop.

    A bundle that straddles the beginning of what is wanted, what is written already, a gap, or the end is filtered by
    the time of its events; any other is emitted whole. Of one that is written beyond `until` nothing is wanted; it
    comes all the same, since `until` moves with it.

    Args:
        bundles: those that are done and stop at `until` come before others that stop there.
        at: what is written.
        end: Unix nanoseconds; events from then on are not wanted.
        again: Unix nanoseconds; bundles that are finished and stop after that are read again. None: none is.
        is_any_before: whether there are bundles before all that is wanted; asked at most once, and only with an *end*:
            the part of a history that another run has read up to here begins with a gap, a history does not.
    """
    gaps = spans.between(at.gaps, at.since, end)
    written = reached = at.until  # before the bundles that stop where this one does, and with them
    covered = at.until  # the same as `written` for bundles that stop at `until`
    any_before = at.until > at.since  # what lies before the first bundle of all is no gap
    is_any_before = cache(is_any_before)

    def is_written_in_part(bundle: Bundle) -> bool:
        start, stop = bundle.span
        if spans.between(at.beyond, start, stop):
            return True
        if stop == at.until:
            return bool(spans.between(gaps, start, stop)) if at.is_done(bundle) else start < covered
        return start < (reached if stop > reached else written)

    for group in _together(bundles, is_written_in_part):
        late: dict[Bundle, tuple[Span, ...]] = {}
        for bundle in group:
            start, stop = bundle.span
            upto = stop
            if not at.is_done(bundle):
                upto = covered if stop == at.until else reached if stop > reached else written
            elif stop == at.until:
                covered = min(covered, start)
            if inside := spans.between(gaps, start, min(stop, upto)):
                late[bundle] = inside
        yield from _late(late)
        gaps = spans.subtract(gaps, *(gap for inside in late.values() for gap in inside))
        new = tuple(bundle for bundle in group if not at.is_done(bundle))
        for bundle in group:
            start, stop = bundle.span
            beyond = end is not None and stop > end
            if at.is_done(bundle):
                if again is not None and stop > again and bundle not in late and not beyond:
                    window = since(bundle, at.since)
                    yield Piece(bundle, window, window, again=True)
                continue
            missing = spans.subtract(spans.between([(reached, start)], reached, end), *at.beyond)
            if missing and not (any_before or (end is not None and is_any_before())):
                missing = ()
            gaps = reduce(spans.add, missing, gaps)
            if end is not None and (start >= end or end < stop == at.until):  # the state has no place for a part of it
                reached = max(reached, min(start, end))
                yield Piece(bundle, None, cut=True, missing=missing)
                continue
            if stop > reached:
                written, reached = reached, stop
            any_before = True
            gaps = spans.subtract(gaps, (start, stop))
            bounds = (covered if stop == at.until else written, at.since)
            first = next((bound for bound in bounds if start < bound < stop), start)
            until = end if end is not None and beyond else stop
            wanted = [] if beyond and first >= until else [(first, max(until, first + 1))]  # some cover no time at all
            parts = spans.subtract(wanted, *at.beyond)
            # Before a date that is no Stop, an earlier run has written events of this very bundle; beyond it, others.
            in_all = [(at.since if first == at.until and not at.done else first, until)]
            in_all += (*spans.between(at.beyond, until, stop), *late.get(bundle, ()))
            yield Piece(
                bundle,
                _parts(bundle, parts) if parts else None,
                _parts(bundle, in_all),
                cut=beyond,
                missing=missing,
                finished=new if bundle == new[-1] else (),
            )


def _late(late: Mapping[Bundle, tuple[Span, ...]]) -> Iterator[Piece]:
    """Yield the pieces of bundles that came late and have one Stop, each with the gaps that it fills."""
    filled = tuple(gap for inside in late.values() for gap in inside)
    for number, (bundle, inside) in enumerate(late.items(), 1):
        window = _parts(bundle, inside)
        # Before the last of them, the state would call written what another one still has to bring.
        yield Piece(bundle, window, window, gaps=inside, filled=filled if number == len(late) else ())


def since(bundle: Bundle, moment: int) -> Window:
    """Return which events of *bundle* are wanted if all since *moment* are."""
    return _window(bundle, moment, bundle.stop * SECOND)


def _window(bundle: Bundle, start: int, stop: int) -> Window:
    first = "" if start <= bundle.start * SECOND else comparable(start)
    last = None if stop >= bundle.stop * SECOND else comparable(stop)
    return Window(first, last) if first or last else ALL


def _parts(bundle: Bundle, parts: Sequence[Span]) -> Window:
    first, *others = (_window(bundle, *part) for part in parts)
    return first if first == ALL else replace(first, also=tuple(others))


def _together(bundles: Iterable[Bundle], is_written_in_part: Callable[[Bundle], bool]) -> Iterator[list[Bundle]]:
    """Yield bundles one by one, but behind one that is written in part all that stop with it, together with it."""
    group: list[Bundle] = []
    for bundle in bundles:
        if group and bundle.stop != group[0].stop:
            yield group
            group = []
        group.append(bundle)
        if len(group) == 1 and not is_written_in_part(bundle):
            yield group
            group = []
    if group:
        yield group
