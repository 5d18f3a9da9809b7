"""Which bundles there are, from the first to now, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from tap_fullstory import spans
from tap_fullstory.moments import parse_moment
from tap_fullstory.reports.health import Health
from tap_fullstory.reports.history import BundleReport, History, RunReport
from tap_fullstory.spans import Span

MOST = 5000  # bundles that a stretch without any is cut into; beyond, as after a wrong date, it is one interval


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
    EARLIER = "written, but its report is not here"
    DUE = "due by now, but not written"
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


@dataclass(frozen=True)
class Gap:
    """Time that no bundle covers, and the first run that is known to have found that."""

    start: int
    stop: int
    given_up: bool
    run: RunReport | None


def coverage(history: History, at: Health, now: int) -> list[Interval]:
    """Return the intervals from the first bundle to *now* (Unix nanoseconds), in order, without holes between them."""
    read: dict[Span, list[tuple[RunReport, BundleReport]]] = {}
    for run in history.runs:
        for bundle in run.bundles:
            read.setdefault((parse_moment(bundle.start), parse_moment(bundle.stop)), []).append((run, bundle))
    missing = spans.union(at.gaps)
    known = [(run.since, run.until) for run in history.runs]
    claimed = spans.union((since, until) for since, until in known if since is not None and until is not None)
    finished = _without(claimed, missing)
    found = [_bundle(span, parts, finished) for span, parts in read.items() if span[0] < span[1]]
    covered = spans.union((one.start, one.stop) for one in found)
    given_up = spans.union({_span(gap) for run in history.runs for gap in run.gaps_given_up})

    def fill(gaps: Iterable[Span], kind: Kind) -> None:
        """Add to *found* what nothing covers yet of *gaps*."""
        nonlocal covered
        left = _without(gaps, covered)
        found.extend(_cells(left, kind, at))
        covered = spans.union([*covered, *left])

    fill(missing, Kind.MISSING)
    fill(given_up, Kind.GIVEN_UP)
    if covered and _begins(history):  # what lies before the first bundle then was never there
        claimed = tuple(spans.between(claimed, covered[0][0], None))
    fill(claimed, Kind.EARLIER)
    until = at.until
    if until is not None:
        fill([(min([until, *(start for start, _ in covered)]), until)], Kind.DUE)  # between windows of a backfill
    if until is not None and at.next_stop is not None and at.due is not None and until < now:
        if at.due <= now:
            fill([(until, at.next_stop + (now - at.due) // at.length * at.length)], Kind.DUE)
        fill([(until, now + (at.next_stop - now) % at.length)], Kind.FUTURE)
    return sorted(found, key=lambda one: (one.start, one.stop))


def _begins(history: History) -> bool:
    """Return whether the first run that wrote events is among the reports."""
    oldest = next((run for run in history.runs if run.until is not None), None)
    return oldest is not None and oldest.is_first


def gaps(history: History, intervals: Sequence[Interval]) -> list[Gap]:
    """Return what is missing of *intervals*, the oldest first; what touches is one gap."""
    first: dict[tuple[str, str], RunReport] = {}
    for run in history.runs:
        for pair in (*run.gaps, *run.gaps_given_up):
            first.setdefault(pair, run)
    seen = [(*_span(pair), run) for pair, run in first.items()]
    found: list[Gap] = []
    for kind in (Kind.MISSING, Kind.GIVEN_UP):
        for start, stop in spans.union((one.start, one.stop) for one in intervals if one.kind is kind):
            by = min(
                (run for begin, end, run in seen if begin < stop and start < end),
                key=lambda one: one.began_at,
                default=None,
            )
            found.append(Gap(start, stop, kind is Kind.GIVEN_UP, by))
    return sorted(found, key=lambda one: one.start)


def _bundle(span: Span, parts: list[tuple[RunReport, BundleReport]], finished: Sequence[Span]) -> Interval:
    """Return what became of the bundles that cover *span*, whichever runs had to do with them."""
    events: dict[int, int | None] = {}
    for _, bundle in parts:
        events[bundle.id] = bundle.events if bundle.events is not None else events.get(bundle.id)
    counted = [one for one in events.values() if one is not None]
    total = sum(counted) if counted else None
    kind = _kind(span, parts, total)
    if kind is Kind.BEGUN and spans.between(finished, *span) == (span,):
        kind = Kind.EARLIER  # a run whose report is gone has finished it
    return Interval(
        *span,
        kind=kind,
        ids=tuple(events),
        events=total,
        records=sum(bundle.records for _, bundle in parts),
        times=sum(bundle.status == "written" for _, bundle in parts),
        run=parts[-1][0],
    )


def _kind(span: Span, parts: list[tuple[RunReport, BundleReport]], events: int | None) -> Kind:
    bundles = [bundle for _, bundle in parts]
    if any(bundle.again for bundle in bundles):
        return Kind.READ_TWICE
    done = {bundle.id for bundle in bundles if bundle.status in ("written", "unchanged")}
    left = [bundle for bundle in bundles if bundle.id not in done]
    if left:
        return Kind.SKIPPED if left[-1].status == "skipped" else Kind.BEGUN
    # what a run wrote up to an end_date inside the bundle is no part of what the next one writes
    whole = [one.id for run, one in parts if one.status == "written" and not _ends_inside(run, span)]
    if len(whole) > len(set(whole)):
        return Kind.READ_TWICE
    if any(bundle.late for bundle in bundles):
        return Kind.LATE
    return Kind.EMPTY if events == 0 else Kind.ARRIVED


def _ends_inside(run: RunReport, span: Span) -> bool:
    return run.end_date is not None and span[0] < run.end_date < span[1]


def _cells(found: Iterable[Span], kind: Kind, at: Health) -> list[Interval]:
    """Return the bundles that *found* has room for."""
    cells = []
    for start, stop in found:
        if stop - start > MOST * at.length:
            cells.append(Interval(start, stop, kind))
            continue
        at_start = start
        while at_start < stop:
            # bundles end where the length says, counted from where the next one does
            end = min(stop, at_start + at.length - (at_start - (at.next_stop or 0)) % at.length)
            cells.append(Interval(at_start, end, kind))
            at_start = end
    return cells


def _without(found: Iterable[Span], gone: Sequence[Span]) -> tuple[Span, ...]:
    """Return what is left of *found* without *gone*, both sorted and apart from each other; quick with thousands."""
    left: list[Span] = []
    at = 0
    for start, stop in found:
        begin = start
        while at < len(gone) and gone[at][1] <= begin:
            at += 1
        index = at
        while index < len(gone) and gone[index][0] < stop:
            if begin < gone[index][0]:
                left.append((begin, gone[index][0]))
            begin = max(begin, gone[index][1])
            index += 1
        if begin < stop:
            left.append((begin, stop))
    return tuple(left)


def _span(pair: tuple[str, str]) -> Span:
    return parse_moment(pair[0]), parse_moment(pair[1])
