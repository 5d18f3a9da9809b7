"""The list of runs: what each did, what went wrong, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tap_fullstory.moments import SECOND
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import (
    EARLY,
    RUNNING,
    count,
    length,
    listed,
    outcome,
    some,
    text,
    time,
    took,
    went_wrong,
)

NEWEST = 200  # entries; of older runs only those that went wrong are listed
MOST_WRONG = 300
MOST_FOLDED = 60


def run_list(history: History, now: int) -> str:
    """Return the list as HTML; runs in a row that found nothing, or broke off in the same way, are one entry."""
    entries: list[str] = []
    wrong = left_out = 0
    newest_first = [(number, run) for number, run in enumerate(history.runs)][::-1]
    for _, row in groupby(newest_first, key=lambda one: _alike(one[1], now)):
        together = list(row)
        bad = went_wrong(together[0][1], now)
        wrong += bad
        if len(entries) < NEWEST or (bad and wrong <= MOST_WRONG):
            entries.append(_entry(together, now))
        else:
            left_out += len(together)
    more = ""
    if left_out:
        more = (
            f"<p>Listed are the newest {NEWEST}, and those before that went wrong, {MOST_WRONG} at most. "
            f"{some(left_out, 'other run')} of before are counted above and not listed.</p>"
        )
    return f'<p>The newest first.</p><ol class="runs">{"".join(entries)}</ol>{more}'


def _alike(run: RunReport, now: int) -> str:
    """Return what runs are folded by: all that did something differ."""
    said = outcome(run, now)
    if run.bundles or run.records or run.warnings or said in (EARLY, RUNNING):
        return run.run
    return f"{said} {run.error}"


def _entry(together: Sequence[tuple[int, RunReport]], now: int) -> str:
    """Return one entry for runs that are alike."""
    (number, newest), *before = together
    if not before:
        return _run(number, newest, now)
    if went_wrong(newest, now):
        more = f"{some(len(before), 'run')} before it ended in the same way, the first {time(before[-1][1].began_at)}"
        return _run(number, newest, now, f"<details><summary>{more}</summary><p>{_moments(before)}</p></details>")
    more = f"{some(len(together), 'run')} found nothing new, {time(before[-1][1].began_at)} to {time(newest.began_at)}"
    return f"<li><details><summary>{more}</summary><p>{_moments(together)}</p></details></li>"


def _moments(runs: Sequence[tuple[int, RunReport]]) -> str:
    return listed([f'<span id="r{number}">{time(run.began_at)}</span>' for number, run in runs], MOST_FOLDED)


def _run(number: int, run: RunReport, now: int, more: str = "") -> str:
    said, advice = outcome(run, now)
    bad = went_wrong(run, now)
    glyph = "✕" if bad else "…" if (said, advice) == RUNNING else "✓"
    status = said if run.status in (None, 0) else f"{said} (status {run.status})"
    figures = [length(took(run)), some(run.records, "record"), some(len(run.bundles), "bundle")]
    if run.waited >= 1:
        figures.append(f"{length(int(run.waited * SECOND))} waited")
    if run.retries:
        figures.append(f"{count(run.retries)} sent again")
    below = ""
    if run.error:
        below += f'<p class="error">{text(run.error)}</p>'
    if advice:
        below += f"<p>{'To do: ' if bad else ''}{advice}</p>"
    if run.warnings:
        left = f"<li>and {count(run.warnings_left_out)} more</li>" if run.warnings_left_out else ""
        lines = "".join(f"<li>{text(line)}</li>" for line in run.warnings)
        total = some(len(run.warnings) + run.warnings_left_out, "warning")
        below += f"<details><summary>{total}</summary><ul>{lines}{left}</ul></details>"
    return (
        f'<li id="r{number}"{" class=wrong" if bad else ""} tabindex="-1"><p class="run">{time(run.began_at)} '
        f'<b><span aria-hidden="true">{glyph}</span> {status}</b> '
        f'<span class="figures">{" · ".join(figures)}</span></p>{below}{more}</li>'
    )
