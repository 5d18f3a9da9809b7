"""How far behind: what is written, measured against what Fullstory could have delivered by now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tap_fullstory import spans
from tap_fullstory.moments import LATEST, SECOND, parse_moment
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.spans import Span

HOUR = 3600 * SECOND
# API: a bundle of Data Export can be had 24 hours after its end, and covers 24 hours unless Fullstory has set another
# length. Both are said in Stitch's documentation of its Fullstory integration.
DELAY = LENGTH = 24 * HOUR
WINDOW = ("export_window_hours", 0.25, 1.0)  # the least it can be, and what it is when it is not set
LATE = ("export_delay_hours", 0.0, 24.0)
LONGEST = 10_000  # hours; beyond that a setting is none of ours, and sums of it are no moments
SHORTEST = HOUR // 4  # of a bundle
RECENT = 50  # bundles that tell how long they are now, and runs that tell how far events are written
SILENT = 15 * 60 * SECOND  # a run that has not ended and said nothing for so long was killed, or waits for its target


@dataclass(frozen=True)
class Health:
    """Where a history stands; moments and durations in nanoseconds.

    Attributes:
        run: the last one that was to read up to the newest; if there is none, the last bounded one.
        until: up to there events are written; None: nothing is known of events.
        length: of a bundle.
        next_stop: where the next bundle ends; None: nothing more is wanted, or nothing is known.
        due: when Fullstory can deliver that.
        lag: for how long it could have been delivered by now; 0: it is not due.
        gaps: before *until*, which no bundle covers so far; later runs look for them again.
        unread: what bounded runs were to read and no run has, though Fullstory could have delivered all of it.
    """

    run: RunReport
    until: int | None
    length: int
    next_stop: int | None
    due: int | None
    lag: int
    gaps: tuple[Span, ...] = ()
    unread: tuple[Span, ...] = ()


def health(history: History, now: int) -> Health | None:
    """Return where *history* stands at *now* (Unix nanoseconds); None: there is no run."""
    if not history.runs:
        return None
    runs = [run for run in history.runs if run.end_date is None] or history.runs
    run = runs[-1]
    # of several that ran side by side, or one that broke off before it read its state, the one that got furthest
    known = [one for one in runs if one.until is not None][-RECENT:]
    until = max((one.until for one in known if one.until is not None), default=None)
    gaps = tuple((parse_moment(start), parse_moment(stop)) for start, stop in known[-1].gaps) if known else ()
    # one that broke off before it read its settings does not tell where events come from
    delay, length, anchor = _rhythm(history.runs, next((one for one in reversed(runs) if one.settings), run))
    unread = _unread(history.runs, now - delay - length, now)
    if until is None or (run.end_date is not None and until >= run.end_date):
        return Health(run, until, length, None, None, 0, gaps, unread)
    next_stop = min(anchor + ((until - anchor) // length + 1) * length, LATEST * SECOND)
    due = min(next_stop + delay, LATEST * SECOND)
    return Health(run, until, length, next_stop, due, max(0, now - due), gaps, unread)


def _unread(runs: Sequence[RunReport], newest: int, now: int) -> tuple[Span, ...]:
    """Return what bounded runs that have ended were to read up to *newest*, and nobody has read."""
    wanted: list[Span] = []
    done: list[Span] = []
    for run in runs:
        start, end = run.start_date, run.end_date
        is_over = run.ended_at is not None or is_silent(run, now)
        if is_over and start is not None and end is not None and start < end <= newest:
            wanted.append((start, end))
        elif start is not None and end is not None:
            done.append((start, end))  # somebody is at it, or it cannot be read yet
        if run.since is not None and run.until is not None:
            done.append((run.since, run.until))
    return spans.subtract(spans.union(wanted), *spans.union(done))


def is_silent(run: RunReport, now: int) -> bool:
    """Return whether a run that has not ended has said nothing for so long that it was probably killed."""
    return run.ended_at is None and now - parse_moment(run.updated_at) > SILENT


def _rhythm(runs: Sequence[RunReport], newest: RunReport) -> tuple[int, int, int]:
    """Return how long after its end a bundle can be had, how long one is, and where one ends."""
    exported = newest.settings.get("events_source") == "segment_export"
    delay, length = (_hours(newest, *LATE), _hours(newest, *WINDOW)) if exported else (DELAY, LENGTH)
    read: list[Span] = []
    for run in reversed(runs):
        read += [(parse_moment(one.start), parse_moment(one.stop)) for one in run.bundles]
        if len(read) >= RECENT:
            break
    if not read:
        return delay, length, 0
    newest_stop = max(stop for _, stop in read)
    if not exported:
        lengths = Counter(stop - start for start, stop in read if stop - start >= SHORTEST)
        length = max(lengths, key=lambda one: (lengths[one], one), default=length)
    return delay, length, newest_stop


def _hours(run: RunReport, name: str, least: float, usual: float) -> int:
    value = run.settings.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= LONGEST:
        return int(value * HOUR)
    return int(usual * HOUR)
