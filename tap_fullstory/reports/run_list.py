"""The list of runs: what each did, what went wrong, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from tap_fullstory.moments import SECOND
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import (
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
    entries: list[str] = []
    wrong = left_out = 0
    newest_first = [(number, run) for number, run in enumerate(history.runs)][::-1]
    for (new, _), row in groupby(newest_first, key=lambda one: _alike(one[1])):
        together = list(row)
        found = [_folded(together)] if not new and len(together) > 1 else [_run(*one, now) for one in together]
        for (_, run), entry in zip(together, found, strict=False):
            bad = went_wrong(run, now)
            wrong += bad
            if len(entries) < NEWEST or (bad and wrong <= MOST_WRONG):
                entries.append(entry)
            else:
                left_out += len(together) if len(found) < len(together) else 1
    more = ""
    if left_out:
        more = (
            f"<p>Listed are the newest, and the newest {MOST_WRONG} that went wrong; {some(left_out, 'other run')} "
            "of before are counted above but not listed.</p>"
        )
    return f'<p>The newest first.</p><ol class="runs">{"".join(entries)}</ol>{more}'


def _alike(run: RunReport) -> tuple[bool, str]:
    """Return whether a run is worth a line of its own, and what those that are not are folded by."""
    new = bool(run.bundles or run.records or run.warnings or run.status != 0 or run.ended_early)
    return new, run.run if new else ""


def _folded(together: Sequence[tuple[int, RunReport]]) -> str:
    newest, oldest = together[0][1], together[-1][1]
    each = listed([f'<span id="r{number}">{time(run.began_at)}</span>' for number, run in together], MOST_FOLDED)
    return (
        f"<li><details><summary>{some(len(together), 'run')} found nothing new, {time(oldest.began_at)} to "
        f"{time(newest.began_at)}</summary><p>{each}</p></details></li>"
    )


def _run(number: int, run: RunReport, now: int) -> str:
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
        f'<span class="figures">{" · ".join(figures)}</span></p>{below}</li>'
    )
