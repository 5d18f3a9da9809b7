"""Events, lag and duration of runs over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.reports import charts
from tap_fullstory.reports.charts import Bar
from tap_fullstory.reports.coverage import Interval
from tap_fullstory.reports.health import health
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import (
    DAY,
    HOUR,
    MINUTE,
    iso,
    length,
    outcome,
    some,
    took,
    went_wrong,
)

BOX = '<rect class="%s" width="12" height="12"/>'
CROSS = '<path class="x" d="M3 3l6 6m-6 0l6 -6"/>'
KEY = " ".join(
    f'<span class="key"><svg width="12" height="12" aria-hidden="true">{drawn}</svg> {said}</span>'
    for drawn, said in (
        (BOX % "v", "working"),
        (BOX % "p", "waiting, as Fullstory asked or after failures"),
        (CROSS, "went wrong"),
    )
)


def over_time(history: History, intervals: Sequence[Interval], now: int) -> str:
    """Return charts of events, lag and duration, as HTML."""
    began = [parse_moment(run.began_at) for run in history.runs]
    start = min([*began, *(one.start for one in intervals if one.ids)])
    stop = max(now, *began)
    return "".join(
        [
            _chart("events", *_event_bars(intervals, start, stop), start, stop),
            _chart("lag", *_lag_bars(history, start, stop), start, stop, times=True, least=float(HOUR)),
            _chart(
                "duration", *_duration_bars(history, now, start, stop), start, stop, times=True, least=float(MINUTE)
            ),
        ]
    )


def _chart(name: str, title: str, data: Sequence[Bar], start: int, stop: int, **more: Any) -> str:
    return (
        f'<figure id="{name}"><figcaption id="{name}-title">{title}</figcaption>'
        f'<div class="scroll" tabindex="0" role="application" aria-describedby="{name}-at" '
        f'aria-labelledby="{name}-title" aria-description="Arrow keys go from bar to bar.">'
        f"{charts.bars(data, start, stop, **more)}</div>"
        f'<p class="readout" id="{name}-at" role="status"></p></figure>'
    )


def _event_bars(intervals: Sequence[Interval], start: int, stop: int) -> tuple[str, list[Bar]]:
    known = [one for one in intervals if one.events is not None]
    if len(known) <= charts.MOST_BARS:
        data = [
            Bar(one.start, one.stop, one.events or 0, f"{_span(one.start, one.stop)}: {some(one.events or 0, 'event')}")
            for one in known
        ]
        return "<b>Events of each bundle</b>", data
    size = max(charts.bin_size(start, stop), DAY)
    data = []
    for begin, row in groupby(known, key=lambda one: one.start // size * size):
        together = list(row)
        events = sum(one.events or 0 for one in together)
        title = f"{_span(begin, begin + size)}: {some(events, 'event')} in {some(len(together), 'bundle')}"
        data.append(Bar(begin, begin + size, events, title))
    return f"<b>Events</b> of the bundles of {length(size)}", data


def _lag_bars(history: History, start: int, stop: int) -> tuple[str, list[Bar]]:
    data = []
    for begin, end, runs in _bins(history, start, stop):
        run, before = runs[-1]
        ended = parse_moment(run.ended_at or run.updated_at)
        then = health(History(history.runs[max(0, before - 60) : before + 1]), ended)
        if then is not None and then.until is not None:
            lag = f"{length(then.lag)} behind" if then.lag else "nothing due was missing"
            data.append(Bar(begin, end, then.lag, f"{iso(ended)}, at the end of a run: {lag}"))
    return "<b>How far behind</b> at the end of a run: for how long the next bundle could have been delivered", data


def _duration_bars(history: History, now: int, start: int, stop: int) -> tuple[str, list[Bar]]:
    data = []
    for begin, end, runs in _bins(history, start, stop):
        run = max((run for run, _ in runs), key=took)
        duration = took(run)
        waited = min(int(run.waited * SECOND), duration)
        wrong = [one for one, _ in runs if went_wrong(one, now)]
        of = f", the longest of {len(runs)} runs" if len(runs) > 1 else ""
        title = f"{iso(parse_moment(run.began_at))}: {length(duration)}, {length(waited)} of it waited{of}"
        for one in wrong[:3]:
            title += f"; {iso(parse_moment(one.began_at))}: {outcome(one, now)[0]}"
        data.append(Bar(begin, end, duration, title, part=waited, bad=bool(wrong)))
    return f"<b>How long runs took</b> {KEY}", data


def _bins(history: History, start: int, stop: int) -> Iterator[tuple[int, int, list[tuple[RunReport, int]]]]:
    """Yield spans of time in which runs began, and those with their numbers."""
    size = charts.bin_size(start, stop)
    numbered = [(run, number) for number, run in enumerate(history.runs)]
    for begin, row in groupby(numbered, key=lambda one: parse_moment(one[0].began_at) // size * size):
        yield begin, begin + size, list(row)


def _span(start: int, stop: int) -> str:
    return f"{iso(start)} to {iso(stop)}"
