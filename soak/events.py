"""What the emulator serves, and what of it a state covers and a table must hold. Shares nothing with the tap."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from fullstory_emulator import Bundle, Emulator
from fullstory_emulator.bundles import Prepared, encode

# Each event is numbered in a column that the emulator leaves free, so that rows can be told apart and counted.
NUMBER = "EventSessionOffset"
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
DAY = 86400  # seconds
CUSTOM = ("user_", "page_", "evt_")

Row = dict[str, Any]


@dataclass
class Content:
    """Bundles of numbered events.

    Attributes:
        bundles: one for each day, compressed beforehand.
        rows: what the table must hold for each event, by its number.
    """

    bundles: list[Bundle]
    rows: list[Row]

    def covered(self, state: Mapping[str, Any] | None) -> int:
        """How many events *state* says are written; they are those with the lowest numbers."""
        bookmark = (state or {}).get("bookmarks", {}).get("events")
        if not bookmark:
            return 0
        until = datetime.strptime(bookmark["until"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc).timestamp()
        finished = {bundle.id for bundle in self.bundles if bundle.stop <= until}
        return sum(row["_bundle_id"] in finished for row in self.rows) + written_in_part(state)

    def remade(self, bundle: Bundle, version: int) -> Bundle:
        """The same events as other bytes, as when Fullstory makes an export once more."""
        assert bundle.source is not None
        separator = b"," + b" " * version + b"\n"
        ((block, _),) = bundle.source.blocks
        block = block.replace(b",\n", separator)  # a line end inside a text is escaped
        return Bundle(bundle.start, bundle.stop, source=Prepared(block, 1, separator=separator))


def written_in_part(state: Mapping[str, Any] | None) -> int:
    """How many events of an unfinished bundle *state* says are written."""
    partial = ((state or {}).get("bookmarks", {}).get("events") or {}).get("partial")
    return int(partial[1]) if partial else 0


def make_content(seed: int, bundles: int, events: int) -> Content:
    """So many bundles of so many events of an invented account, dirty texts and custom variables included."""
    shop = Emulator.generated(seed=seed, now=FIRST + (bundles + 2) * DAY, days=bundles + 1, events_per_bundle=events)
    content = Content([], [])
    for one in [one for one in shop.bundles if one.start >= FIRST][:bundles]:
        lines = []
        for event in one.read_events():
            numbered = {**event, NUMBER: len(content.rows)}
            lines.append(encode(numbered))
            content.rows.append(expected_row(numbered, one.id))
        content.bundles.append(Bundle(one.start, one.stop, source=Prepared(b",\n".join(lines), 1)))
    assert bundles * events == len(content.rows)
    return content


def expected_row(event: Mapping[str, Any], bundle_id: int) -> Row:
    """What the table must hold for *event*; columns that are NULL are left out."""
    row: Row = {"_bundle_id": bundle_id}
    custom = {name: clean(value) for name, value in event.items() if name.startswith(CUSTOM)}
    row |= {name: clean(value) for name, value in event.items() if name not in custom and value is not None}
    row["EventStart"] = datetime.fromisoformat(event["EventStart"].removesuffix("Z"))
    if custom:
        row["CustomVars"] = custom
    return row


def found_row(row: Mapping[str, Any]) -> Row:
    """A row of the table, comparable with `expected_row`: without NULLs, the key and the target's own columns."""
    found = {name: value for name, value in row.items() if value is not None and not name.startswith("_sdc_")}
    found.pop("event_id", None)
    if "CustomVars" in found:
        found["CustomVars"] = json.loads(found["CustomVars"])
    return found


def clean(value: Any) -> Any:
    """*value* without what PostgreSQL cannot store: NUL and lone surrogates are U+FFFD."""
    if isinstance(value, str):
        return "".join("\ufffd" if one == "\0" or "\ud800" <= one <= "\udfff" else one for one in value)
    return [clean(one) for one in value] if isinstance(value, list) else value


@dataclass(frozen=True)
class Verdict:
    """A table compared with the events.

    Attributes:
        lost: events without a row.
        repeated: rows beyond the first of each event.
        changed: rows that do not hold the values of their event.
    """

    lost: int
    repeated: int
    changed: int


def compare(content: Content, rows: Sequence[Mapping[str, Any]]) -> Verdict:
    """Compare the rows of a table with the events, value by value."""
    there = {row[NUMBER] for row in rows}
    changed = sum(
        not 0 <= (row[NUMBER] if row[NUMBER] is not None else -1) < len(content.rows)
        or found_row(row) != content.rows[row[NUMBER]]
        for row in rows
    )
    return Verdict(len(set(range(len(content.rows))) - there), len(rows) - len(there), changed)
