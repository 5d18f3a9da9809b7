"""Custom variables that runs have met, and values that are not as Fullstory sent them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from tap_fullstory.config import is_name
from tap_fullstory.dictionary import column_name
from tap_fullstory.dictionary import columns as documented_columns
from tap_fullstory.report import Change
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.reports.words import (
    count,
    items,
    listed,
    some,
    text,
    time,
)
from tap_fullstory.suggest import free_column

MOST_NAMES = 60


def variables(history: History) -> str:
    """Return the custom variables that runs have met, and the setting that makes columns of them, as HTML."""
    first: dict[str, RunReport] = {}
    values: Counter[str] = Counter()
    for run in history.runs:
        values.update(run.custom_variables.values)
        for name in run.custom_variables.new:
            first.setdefault(name, run)
    oldest = history.runs[0]
    later = [name for name, run in first.items() if run is not oldest]
    initial = [name for name, run in first.items() if run is oldest]
    # one that broke off before it read its settings has none
    settings = next((run.settings for run in reversed(history.runs) if run.settings), {})
    found = settings.get("custom_columns")
    own = found if isinstance(found, list) else []
    parts = ["<p>No run after the first has met one.</p>"]
    if later:
        parts = [_table(later[::-1], first, values), _line(own, later)]
    if initial:
        parts.append(
            f"<details><summary>{some(len(initial), 'variable')} that the first run met</summary>"
            f"{_table(initial, first, values)}{_line(own, initial)}</details>"
        )
    return "".join(parts)


def _table(names: Sequence[str], first: dict[str, RunReport], values: Counter[str]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><code>{text(name, 200)}</code></th><td>{time(first[name].began_at)}</td>'
        f"<td>{count(values[name])}</td></tr>"
        for name in names[:1000]
    )
    return (
        '<div class="scroll" tabindex="0"><table><thead><tr><th scope="col">variable</th>'
        '<th scope="col">first met by the run of</th><th scope="col">values so far</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _line(own: list[Any], names: Iterable[str]) -> str:
    """Return the setting that turns variables into columns, besides those that are columns already."""
    entries = list(own)
    has = set()
    taken = {column.name.lower() for column in documented_columns(event_key=True)}
    for one in own:
        entry = one if isinstance(one, dict) else {"name": one}
        name = str(entry.get("name"))
        has.add(name)
        taken.add(str(entry.get("column") or column_name(name)).lower())
    for name in sorted(set(names)):
        if name in has or not is_name(name):
            continue
        column = free_column(column_name(name), taken)
        taken.add(column.lower())
        entries.append(name if column == column_name(name) else {"name": name, "column": column})
    line = json.dumps(entries, ensure_ascii=False)
    return (
        "<p>To give them columns of their own, put this into the settings. What is a column already is in it too.</p>"
        f'<pre tabindex="0"><code>"custom_columns": {text(line, 100_000)}</code></pre>'
    )


def changes(history: History) -> str:
    """Return which values are not as Fullstory sent them, and why, as HTML."""
    counts: dict[str, Counter[str]] = {}
    for run in history.runs:
        for kind, names in run.changes.items():
            counts.setdefault(kind, Counter()).update(names)
    meanings = {change.name.lower(): change.value for change in Change}
    lines = []
    for kind, found in counts.items():
        if found:
            shown = [f"<code>{text(name, 200)}</code> {count(number)}" for name, number in found.most_common()]
            meaning = meanings.get(kind, text(kind))
            lines.append(f"<b>{some(sum(found.values()), 'value')}</b> {meaning}: {listed(shown, MOST_NAMES)}.")
    return items(lines) if lines else "<p>None: all is as Fullstory sent it.</p>"
