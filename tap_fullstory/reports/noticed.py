"""Is all well, and what stands out: a history in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.reports.check import Verdict, ending
from tap_fullstory.reports.coverage import Gap, Interval, Kind
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import MINUTE, length, listed, outcome, some, text, time, went_wrong

LONG_WAIT = 10 * MINUTE


def summary(verdict: Verdict) -> str:
    """Return in one sentence how things stand, as HTML."""
    at, last = verdict.at, verdict.last
    parts = []
    if verdict.running:
        parts.append(f"a run is going on since {time(verdict.running[0].began_at)}")
    if last is not None:
        parts.append(f"the last run ended {time(last.ended_at or last.updated_at)}: {outcome(last, verdict.now)[0]}")
    if at is not None and at.until is not None:
        behind = f"{length(at.lag)} behind what Fullstory could have delivered"
        done = "all that is due is written" if at.next_stop is not None else "a run has reached its end_date"
        parts.append(behind if at.lag else done)
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}."


def to_do(verdict: Verdict) -> list[str]:
    """Return what somebody should do, and why, the most urgent first, as HTML; empty: nothing."""
    lines = []
    for one in verdict.problems:
        advice = one.advice
        if verdict.last is not None and verdict.last.status is not None and ending(verdict.last) in one.what:
            advice = outcome(verdict.last, verdict.now)[1]
        why = one.what[:1].upper() + one.what[1:].rstrip(".")
        lines.append(f"<b>{text(advice)}</b> {text(why)}.")
    return lines


def noticed(history: History, intervals: Sequence[Interval], gaps: Sequence[Gap], now: int) -> Iterator[str]:
    """Yield what stands out, as HTML."""
    for gap in gaps[-5:]:
        kind = "given up" if gap.given_up else "still looked for"
        yield f'<a href="#calendar">Gap</a>: no bundle from {time(gap.start)} to {time(gap.stop)}; {kind}.'
    if len(gaps) > 5:
        yield f'<a href="#calendar">{some(len(gaps) - 5, "gap")}</a> before these.'
    numbers = {id(run): number for number, run in enumerate(history.runs)}
    by_outcome: dict[str, list[RunReport]] = {}
    for run in history.runs:
        if went_wrong(run, now):
            status = "" if run.status is None else f" (status {run.status})"
            by_outcome.setdefault(outcome(run, now)[0] + status, []).append(run)
    for said, runs in sorted(by_outcome.items(), key=lambda one: numbers[id(one[1][-1])], reverse=True):
        links = [f'<a href="#r{numbers[id(run)]}">{time(run.began_at)}</a>' for run in reversed(runs)]
        yield f"{some(len(runs), 'run')}: {said}. {listed(links, 3)}."
    for first, last, runs_waited in _waits(history.runs):
        waited = int(sum(run.waited for run in runs_waited) * SECOND)
        yield (
            f'<a href="#time">Rate limits</a>: {some(len(runs_waited), "run")} from {time(first.began_at)} to '
            f"{time(last.updated_at)} mostly waited, {length(waited)} in all."
        )
    for became in (Kind.LATE, Kind.READ_TWICE, Kind.SKIPPED, Kind.DUE):
        found = [one for one in intervals if one.kind is became]
        if found:
            when = listed([str(time(one.start)) for one in reversed(found)], 3)
            yield f"{some(len(found), 'bundle')} {became.value}: {when}."
    later = [(run, name) for run in history.runs[1:] for name in run.custom_variables.new]
    if later:
        names = listed([f"<code>{text(name, 80)}</code>" for _, name in reversed(later)])
        yield f'<a href="#variables">New custom variables</a>: {names}.'
    if history.unreadable:
        yield f'<a href="#unreadable">{some(len(history.unreadable), "file")}</a> in the folder could not be read.'


def _waits(runs: Sequence[RunReport]) -> list[tuple[RunReport, RunReport, list[RunReport]]]:
    """Return the three longest rows of runs that mostly waited, in order of time."""
    found = []
    for waited, row in groupby(runs, key=_mostly_waited):
        if waited:
            together = list(row)
            found.append((together[0], together[-1], together))
    longest = sorted(found, key=lambda one: -sum(run.waited for run in one[2]))[:3]
    return sorted(longest, key=lambda one: one[0].began_at)


def _mostly_waited(run: RunReport) -> bool:
    took = parse_moment(run.updated_at) - parse_moment(run.began_at)
    return run.waited * SECOND >= max(LONG_WAIT, took / 2)
