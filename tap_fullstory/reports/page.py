"""The page that shows a history to people: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from tap_fullstory import __version__
from tap_fullstory.reports import grid
from tap_fullstory.reports.check import Level, Verdict, judge
from tap_fullstory.reports.coverage import Gap, Interval, Kind, coverage, gaps
from tap_fullstory.reports.health import Health
from tap_fullstory.reports.history import History
from tap_fullstory.reports.noticed import noticed, summary, to_do
from tap_fullstory.reports.over_time import over_time
from tap_fullstory.reports.run_list import run_list
from tap_fullstory.reports.values import changes, variables
from tap_fullstory.reports.words import (
    DAY,
    HOUR,
    count,
    iso,
    items,
    length,
    outcome,
    some,
    text,
    time,
)

MAX_LAG = 24 * HOUR
HERE = Path(__file__).parent
MOST_GAPS = 30
CENTURY = 36525 * DAY
LEVELS = {
    Level.OK: ("good", "✓", "Healthy"),
    Level.WARNING: ("look", "!", "Worth a look"),
    Level.CRITICAL: ("bad", "✕", "Needs attention"),
    Level.UNKNOWN: ("look", "!", "Not known"),
}
SECTIONS = {
    "noticed": "What stands out",
    "calendar": "Every bundle",
    "time": "Over time",
    "runs": "Runs",
    "variables": "New custom variables",
    "values": "Values changed",
}


def to_html(history: History, now: int, max_lag: int = MAX_LAG) -> str:
    """Return the page about *history* as it stands at *now* (Unix nanoseconds).

    Args:
        max_lag: nanoseconds; up to there all is well.
    """
    verdict = judge(history, now, max_lag)
    body = _nothing(history) if verdict.at is None else _body(history, verdict, verdict.at)
    style, script = ((HERE / name).read_text("utf-8") for name in ("page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        '<link rel="icon" href="data:,">\n<title>Runs of tap-fullstory</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#main">Skip to what stands out</a>\n'
        f"{body}\n<footer>Made {time(now)} by tap-fullstory-report {text(__version__)} from "
        f"{some(len(history.runs), 'report')}. All times are UTC.</footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _nothing(history: History) -> str:
    return (
        '<header><h1>Runs of tap-fullstory</h1></header>\n<main id="main" tabindex="-1">'
        "<p>There is no report of a run in this folder yet. A run leaves one here if its setting "
        f"<code>report_dir</code> names this folder.</p>{_unreadable(history)}</main>"
    )


def _body(history: History, verdict: Verdict, at: Health) -> str:
    now = verdict.now
    every = coverage(history, at, now)
    missing = gaps(history, every)
    standing_out = list(noticed(history, every, missing, now))
    parts = [
        _head(history, verdict, at),
        '<main id="main" tabindex="-1">',
        _section("noticed", SECTIONS["noticed"], items(standing_out) if standing_out else "<p>Nothing.</p>"),
        _section("calendar", SECTIONS["calendar"], _calendar(history, every, missing, now)),
        _section("time", SECTIONS["time"], over_time(history, every, now)),
        _section("runs", SECTIONS["runs"], run_list(history, now)),
        _section("variables", SECTIONS["variables"], variables(history)),
        _section("values", SECTIONS["values"], changes(history)),
        _unreadable(history),
        "</main>",
    ]
    return "\n".join(parts)


def _head(history: History, verdict: Verdict, at: Health) -> str:
    now = verdict.now
    name, glyph, word = LEVELS[verdict.level]
    last = history.runs[-1]
    written = behind = "not known"
    following = "not known", ""
    if at.until is not None:
        written, behind = str(time(at.until)), length(at.lag) if at.lag else "not at all"
        following = "none", "a run has reached its end_date"
    if at.next_stop is not None and at.due is not None:
        when = f"{length(now - at.due)} ago" if at.due <= now else f"in {length(at.due - now)}"
        following = time(at.due), f"{when}; it ends {time(at.next_stop)}"
    facts = [
        ("Last run", f'<a href="#runs">{time(last.began_at)}</a>', outcome(last, now)[0]),
        ("Written up to", written, ""),
        ("Behind", behind, "what Fullstory could have delivered" if at.lag else ""),
        ("Next bundle due", *following),
    ]
    rows = "".join(f"<div><dt>{name}</dt><dd>{value} <small>{more}</small></dd></div>" for name, value, more in facts)
    links = " ".join(f'<a href="#{name}">{title}</a>' for name, title in SECTIONS.items())
    todo = items(to_do(verdict)) if verdict.problems else "<p>Nothing.</p>"
    return (
        f'<header><h1>Runs of tap-fullstory</h1><p class="made">as of {time(now)}</p>\n'
        f'<p class="verdict {name}"><b><span aria-hidden="true">{glyph}</span> {word}.</b> '
        f"{summary(verdict)}</p>\n"
        f'<dl class="facts">{rows}</dl>\n<div class="todo"><h2>What to do</h2>{todo}</div>\n'
        f'<nav aria-label="Parts of this page">{links}</nav></header>'
    )


def _calendar(history: History, intervals: Sequence[Interval], missing: Sequence[Gap], now: int) -> str:
    if not intervals:
        return "<p>No bundle is known yet.</p>"
    said = _gaps(missing, intervals)
    shown = [one for one in intervals if now - CENTURY < one.start and one.stop < now + CENTURY]
    if not shown:
        return said
    numbers = {run.run: number for number, run in enumerate(history.runs)}
    body, heads, data = grid.draw(shown, numbers)
    return (
        f'{said}\n<ul class="legend">{grid.legend(shown)}</ul>\n'
        '<div class="scroll calendar" tabindex="0" role="application" aria-describedby="cell" '
        'aria-label="Calendar of bundles. Arrow keys go from one to the next, Home and End to the first and last.">'
        f"{body}{heads}</div>\n"
        '<p class="readout" id="cell" role="status"><noscript>Without JavaScript the table below tells what is where.'
        "</noscript></p>\n"
        f'<script type="application/json" id="cells">{data}</script>\n'
        f"<details><summary>By month</summary>{_by_month(intervals)}</details>"
    )


def _gaps(missing: Sequence[Gap], intervals: Sequence[Interval]) -> str:
    """Return the gaps in words, the newest first."""
    later = (Kind.DUE, Kind.FUTURE)
    if not missing and any(one.kind is Kind.DUE and after.kind not in later for one, after in pairwise(intervals)):
        return "<p>Some bundles between others are not written. If no run is to read them, start one.</p>"
    if not missing:
        return "<p>No gap: from the first bundle on, each follows the one before.</p>"
    lines = [_gap(gap) for gap in reversed(missing)]
    older = ""
    if before := lines[MOST_GAPS:]:
        older = f"<details><summary>{some(len(before), 'gap')} before</summary>{items(before)}</details>"
    return (
        f"{items(lines[:MOST_GAPS], 'gaps')}{older}"
        "<p>If there was no traffic then, all is well; if there was, ask Fullstory for it.</p>"
    )


def _gap(gap: Gap) -> str:
    what = (
        "later runs do not look for it any more"
        if gap.given_up
        else "later runs look for it again, for as long as gap_check_hours says"
    )
    by = "" if gap.run is None else f" Found by the run of {time(gap.run.began_at)}."
    return f"<b>No bundle from {time(gap.start)} to {time(gap.stop)}</b> ({length(gap.stop - gap.start)}); {what}.{by}"


def _by_month(intervals: Sequence[Interval]) -> str:
    counts: dict[str, Counter[Kind]] = {}
    events: Counter[str] = Counter()
    for one in intervals:
        month = iso(one.start)[:7]
        counts.setdefault(month, Counter())[one.kind] += 1
        events[month] += one.events or 0
    kinds = [kind for kind in Kind if any(found[kind] for found in counts.values())]
    names = {Kind.MISSING: "missing", Kind.GIVEN_UP: "given up", Kind.DUE: "due", Kind.EMPTY: "empty"}
    head = "".join(f'<th scope="col">{names.get(kind, kind.name.lower().replace("_", " "))}</th>' for kind in kinds)
    rows = "".join(
        f'<tr><th scope="row">{month}</th>'
        + "".join(f"<td>{count(found[kind]) if found[kind] else ''}</td>" for kind in kinds)
        + f"<td>{count(events[month])}</td></tr>"
        for month, found in counts.items()
    )
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">month</th>{head}'
        f'<th scope="col">events</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _unreadable(history: History) -> str:
    if not history.unreadable:
        return ""
    lines = [f"<code>{text(name, 300)}</code>: {text(why)}" for name, why in history.unreadable.items()]
    return _section("unreadable", "Files that could not be read", items(lines))


def _section(name: str, title: str, content: str) -> str:
    title = f'<h2 id="{name}-title">{title}</h2>'
    return f'<section id="{name}" tabindex="-1" aria-labelledby="{name}-title">{title}\n{content}</section>'


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"
