"""Records as columns: the same values as `records.py` writes as text, without writing and reading that text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from msgspec import UNSET
from msgspec.structs import astuple

from tap_fullstory.dictionary import BUNDLE_ID, CUSTOM_VARS
from tap_fullstory.layout import Layout, Shape, Slot
from tap_fullstory.records import EventReader, Made, Window, encode_lines
from tap_fullstory.report import Report


@dataclass(frozen=True)
class Columns:
    """Some records.

    Attributes:
        rows: how many.
        values: by column, in the order of the records; a column may be missing or end early: the rest of it is null.
    """

    rows: int
    values: Mapping[str, list[Any]]


class ColumnReader(EventReader):
    """Makes columns of the events of one bundle; `from_events` counts them, `take` returns them.

    Args:
        layout: one that is `for_columns`.
    """

    def __init__(self, layout: Layout, bundle_id: int, window: Window, report: Report) -> None:
        super().__init__(layout, bundle_id, window, report)
        self._rows = 0
        self._values: dict[str, list[Any]] = {}

    def take(self) -> Columns:
        """Return the records since the last call."""
        taken = Columns(self._rows, self._values)
        self._rows, self._values = 0, {}
        return taken

    def _from_expected(self, events: list[Any], shape: Shape) -> Made:
        rows = [astuple(event) for event in events]
        columns = list(zip(*rows, strict=True))
        self._put_slots(columns, shape.slots)
        if rows and shape.extras:
            at, end = shape.extras_at, shape.extras_at + len(shape.extras)
            counts = {
                name: len(rows) - values.count(UNSET)
                for name, values in zip(shape.extras, columns[at:end], strict=True)
            }
            self._count_extras({name: count for name, count in counts.items() if count})
            if self._layout.custom_vars:
                self._put(CUSTOM_VARS, _to_texts([row[at:end] for row in rows], shape.make_extras))
        return self._end(len(events))

    def _from_any(self, events: list[Any], custom_vars: Iterable[str | None]) -> Made:
        self._put_slots(list(zip(*map(astuple, events), strict=True)), self._layout.slots)
        self._put(CUSTOM_VARS, custom_vars)
        return self._end(len(events))

    def _from_exact(self, record: dict[str, Any]) -> Made:
        for name, value in record.items():
            self._put(name, (value,))
        self._rows += 1
        return Made(1, b"")

    def _put_slots(self, columns: Sequence[Sequence[Any]], slots: Sequence[Slot]) -> None:
        """Append what structs hold, given by attribute; there are none without events."""
        if not columns:
            return
        for slot in slots:
            values = columns[slot.at]
            self._put(slot.column, [None if one is UNSET else one for one in values] if slot.may_be_unset else values)
        if self._layout.bundle_id:
            self._put(BUNDLE_ID, repeat(self._bundle_id, len(columns[0])))

    def _put(self, name: str, values: Iterable[Any]) -> None:
        """Append values to a column."""
        column = self._values.setdefault(name, [])
        column.extend(repeat(None, self._rows - len(column)))
        column.extend(values)

    def _end(self, rows: int) -> Made:
        self._rows += rows
        return Made(rows, b"")


def _to_texts(extras: Sequence[tuple[Any, ...]], make: Callable[..., Any]) -> Iterator[str | None]:
    """Yield what stands in `CustomVars` for each event, of the values that *make* takes; None for nothing."""
    unset = (UNSET,) * len(extras[0])
    made = [None if values == unset else make(*values) for values in extras]
    texts = iter(encode_lines([one for one in made if one is not None]).decode().split("\n"))
    return (None if one is None else next(texts) for one in made)
