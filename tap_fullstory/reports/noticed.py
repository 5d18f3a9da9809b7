"""Is all well, and what stands out: a history in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median

from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.reports.coverage import Gap, Interval, Kind
from tap_fullstory.reports.health import Health
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import (
    DAY,
    HOUR,
    MINUTE,
    RUNNING,
    length,
    listed,
    outcome,
    some,
    text,
    time,
    went_wrong,
)

USUAL = 20  # runs that tell how often one begins
PATIENCE = 2  # a run is overdue after so many times the usual
LONG_WAIT = 10 * MINUTE


@dataclass(frozen=True)
class Verdict:
    """Whether all is well; texts are HTML.

    Attributes:
        level: good, look or bad.
        sentence: says so.
        to_do: what somebody should do, most urgent first; empty: nothing.
    """

    level: str
    sentence: str
    to_do: list[str]


def judge(history: History, at: Health, gaps: Sequence[Gap], now: int) -> Verdict:
    """Return whether all is well at *now*."""
    runs = [run for run in history.runs if run.end_date is None] or history.runs
    last = runs[-1]
    said, advice = outcome(last, now)
    running = outcome(last, now) == RUNNING
    ended = next((run for run in reversed(runs) if outcome(run, now) != RUNNING), None)
    failed = ended is not None and went_wrong(ended, now)
    silence = 0 if running or at.next_stop is None else now - parse_moment(last.updated_at)
    every = usual_spacing(runs)
    overdue = silence > PATIENCE * every
    late = at.lag > max(PATIENCE * every, HOUR)
    to_do = []
    if failed and ended is not None:
        said, advice = outcome(ended, now)
        to_do.append(f"The last run that ended: {said}. {advice}")
    if overdue:
        to_do.append(
            f"No run has begun for {length(silence)}, though one begins every {length(every)} or so. "
            "See whether what starts it (cron, systemd, an orchestrator) still does."
        )
    elif late and not failed:
        to_do.append(f"{length(at.lag)} behind: see in the list of runs what they do, and how long they wait.")
    looking = [gap for gap in gaps if not gap.given_up]
    if looking:
        to_do.append(
            f'Later runs still look for <a href="#calendar">{some(len(looking), "gap")}</a>. '
            "If there was traffic then, ask Fullstory while they do."
        )
    level = "bad" if failed or overdue or late else "look" if looking or history.unreadable else "good"
    behind = "no events are written yet" if at.until is None else "all that is due is written"
    if at.lag:
        behind = f"{length(at.lag)} behind what Fullstory could have delivered"
    state = "A run is going on" if running else f"The last run ended {time(last.ended_at or last.updated_at)}: {said}"
    if running and failed:
        state += ", after one that went wrong"
    return Verdict(level, f"{state}; {behind}.", to_do)


def usual_spacing(runs: Sequence[RunReport]) -> int:
    """Return how long it usually takes from the beginning of a run to that of the next, in nanoseconds."""
    began = [parse_moment(run.began_at) for run in runs[-USUAL:]]
    between = [later - sooner for sooner, later in pairwise(began)]
    return max(int(median(between)), MINUTE) if between else DAY


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
    for said, runs in by_outcome.items():
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
