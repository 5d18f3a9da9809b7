"""Which bundles there are, from the first to now, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from tap_fullstory import spans
from tap_fullstory.moments import parse_moment
from tap_fullstory.reports.health import Health
from tap_fullstory.reports.history import BundleReport, History, RunReport
from tap_fullstory.spans import Span


class Kind(Enum):
    """What became of an interval; the text says it to people."""

    ARRIVED = "arrived"
    EMPTY = "arrived, and was empty"
    READ_TWICE = "read again after it was finished"
    LATE = "came late, into a gap"
    BEGUN = "begun, not finished yet"
    SKIPPED = "passed over, as skip_bundles says"
    MISSING = "missing: no bundle was listed, later runs look again"
    GIVEN_UP = "missing: given up, later runs do not look again"
    EARLIER = "written, but its report is not here any more"
    DUE = "could have been delivered by now, and is not written"
    FUTURE = "in the future: Fullstory cannot have delivered it yet"


@dataclass(frozen=True)
class Interval:
    """One bundle, or time that none covers.

    Attributes:
        start, stop: Unix nanoseconds.
        ids: of the bundles; several can cover the same time.
        events: in the files; None: not known.
        records: written, by all runs that are known.
        times: how often it was written.
        run: the last run that had to do with it; None: there is none.
    """

    start: int
    stop: int
    kind: Kind
    ids: tuple[int, ...] = ()
    events: int | None = None
    records: int = 0
    times: int = 0
    run: RunReport | None = None


def coverage(history: History, at: Health, now: int) -> list[Interval]:
    """Return the intervals from the first bundle to *now* (Unix nanoseconds), in order, without holes between them."""
    read: dict[Span, list[tuple[RunReport, BundleReport]]] = {}
    given_up: tuple[Span, ...] = ()
    for run in history.runs:
        for bundle in run.bundles:
            read.setdefault((parse_moment(bundle.start), parse_moment(bundle.stop)), []).append((run, bundle))
        for gap in run.gaps_given_up:
            given_up = spans.add(given_up, _span(gap))
    found = [_bundle(span, parts) for span, parts in read.items() if span[0] < span[1]]
    covered = _union(span for span in read if span[0] < span[1])
    missing = _union(map(_span, at.run.gaps))
    first = min((one.start for one in found), default=at.until)
    since = [run.since for run in history.runs if run.since is not None]
    first = min([*([] if first is None else [first]), *since], default=now)
    found += _cells(spans.subtract(missing, *covered), Kind.MISSING, at)
    found += _cells(spans.subtract(given_up, *covered, *missing), Kind.GIVEN_UP, at)
    if at.until is not None:
        known = _union([*covered, *missing, *given_up])
        found += _cells(spans.subtract([(first, at.until)], *known), Kind.EARLIER, at)
    if at.next_stop is not None and at.due is not None and at.until is not None:
        start, stop, delay = at.until, at.next_stop, at.due - at.next_stop
        while start < now:
            kind = Kind.DUE if stop + delay <= now else Kind.FUTURE
            if not spans.between(covered, start, stop):
                found.append(Interval(start, stop, kind))
            start, stop = stop, stop + at.length
    return sorted(found, key=lambda one: (one.start, one.stop))


def _bundle(span: Span, parts: list[tuple[RunReport, BundleReport]]) -> Interval:
    """Return what became of the bundles that cover *span*, whichever runs had to do with them."""
    events: dict[int, int | None] = {}
    for _, bundle in parts:
        events[bundle.id] = bundle.events if bundle.events is not None else events.get(bundle.id)
    counted = [one for one in events.values() if one is not None]
    total = sum(counted) if counted else None
    done = [bundle for _, bundle in parts if bundle.status == "written"]
    return Interval(
        *span,
        kind=_kind([bundle for _, bundle in parts], total),
        ids=tuple(events),
        events=total,
        records=sum(bundle.records for _, bundle in parts),
        times=len(done),
        run=parts[-1][0],
    )


def _kind(parts: list[BundleReport], events: int | None) -> Kind:
    statuses = {bundle.status for bundle in parts}
    if not statuses & {"written", "unchanged"}:
        return Kind.SKIPPED if parts[-1].status == "skipped" else Kind.BEGUN
    if any(bundle.again for bundle in parts):
        return Kind.READ_TWICE
    if any(bundle.late for bundle in parts):
        return Kind.LATE
    return Kind.EMPTY if events == 0 else Kind.ARRIVED


def _cells(found: Iterable[Span], kind: Kind, at: Health) -> list[Interval]:
    """Return the bundles that *found* has room for."""
    cells = []
    for start, stop in found:
        at_start = start
        while at_start < stop:
            # bundles end where the length says, counted from where the next one does
            end = min(stop, at_start + at.length - (at_start - (at.next_stop or 0)) % at.length)
            cells.append(Interval(at_start, end, kind))
            at_start = end
    return cells


def _union(found: Iterable[Span]) -> tuple[Span, ...]:
    """Return *found* as spans that are apart from each other; quick also with thousands."""
    joined: list[Span] = []
    for start, stop in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def _span(pair: tuple[str, str]) -> Span:
    return parse_moment(pair[0]), parse_moment(pair[1])
