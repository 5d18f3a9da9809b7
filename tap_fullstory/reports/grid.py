"""The calendar of bundles, as SVG: a row for each month, or for each day where bundles are short."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from tap_fullstory.moments import EPOCH, SECOND, to_text
from tap_fullstory.reports.coverage import Interval, Kind
from tap_fullstory.reports.words import DAY, HOUR, count

LABEL = 76  # px, left of the rows
WIDTH = 744  # px, of the rows: 31 days, or 24 hours
MOST_DAYS = 1100  # rows; with more there is one for each month
THIN = 6  # px; what is smaller has no mark
Rect = tuple[float, float, float, float]


class Grid:
    """Where in the picture a moment is."""

    def __init__(self, intervals: Sequence[Interval]) -> None:
        self._first = intervals[0].start
        last = max(one.stop for one in intervals)
        usual = Counter(one.stop - one.start for one in intervals).most_common(1)[0][0]
        self.by_day = usual < 12 * HOUR and (last - self._first) // DAY < MOST_DAYS
        self.height = 17 if self.by_day else 23  # px, of a row
        self._at = [self._begin(self._first)]
        while self._at[-1] < last:
            self._at.append(self._following(self._at[-1]))
        self.rows = len(self._at) - 1
        self._row_of = {start: row for row, start in enumerate(self._at)}

    def rects(self, start: int, stop: int, half: bool = False) -> Iterator[Rect]:
        """Yield x, y, width and height of what covers [start, stop): one for each row it is in."""
        row = self._row_of[self._begin(start)]
        while start < stop and row < self.rows:
            end = min(stop, self._at[row + 1])
            left, right = (self._x(one - self._at[row]) for one in (start, end))
            above = self.height / 2 if half else 0
            yield left, row * self.height + above, max(right - left, 0.5), self.height - above
            start, row = end, row + 1

    def labels(self) -> Iterator[tuple[float, str]]:
        """Yield how far down each row's middle is, and its name."""
        for row, start in enumerate(self._at[:-1]):
            name = to_text(start)
            yield (row + 0.5) * self.height, name[:10] if self.by_day else name[:7]

    def columns(self) -> Iterator[tuple[float, str]]:
        """Yield how far right the middle of each column is, and its name."""
        number = 24 if self.by_day else 31
        for column in range(number):
            name = f"{column:02}" if self.by_day else f"{column + 1}"
            yield LABEL + (column + 0.5) * WIDTH / number, name

    def _x(self, since: int) -> float:
        return LABEL + since / DAY * (WIDTH if self.by_day else WIDTH / 31)

    def _begin(self, moment: int) -> int:
        day = moment // DAY
        return (day if self.by_day else day - (EPOCH + timedelta(days=day)).day + 1) * DAY

    def _following(self, start: int) -> int:
        return start + DAY if self.by_day else self._begin(start + 31 * DAY)


def draw(intervals: Sequence[Interval], numbers: Mapping[str, int]) -> tuple[str, str, str]:
    """Return rows, heads of columns, and data for the script.

    Args:
        numbers: of the runs, by their names.
    """
    grid = Grid(intervals)
    rects: dict[Kind, list[Rect]] = {}
    cells: list[list[object]] = []
    more: list[list[float]] = []
    kinds = list(Kind)
    covered = intervals[0].start
    for index, one in enumerate(intervals):
        pieces = list(grid.rects(one.start, one.stop, half=one.start < covered))
        covered = max(covered, one.stop)
        rects.setdefault(one.kind, []).extend(pieces)
        place, *others = [[round(number, 1) for number in piece] for piece in pieces]
        more += [[*other, index] for other in others]
        run = None if one.run is None else numbers[one.run.run]
        ids = " ".join(map(str, one.ids[:3])) + (f" and {len(one.ids) - 3} more" if len(one.ids) > 3 else "")
        cells.append(
            [*place, one.start // SECOND, (one.stop - one.start) / SECOND, kinds.index(one.kind)]
            + ([one.events, one.records, one.times, ids, run] if one.ids else [])
        )
    size = f'width="{LABEL + WIDTH + 4}"'
    names = "".join(f'<text x="{LABEL - 8}" y="{y + 4:g}">{name}</text>' for y, name in grid.labels())
    body = (
        f'<svg class="cells" {size} height="{grid.rows * grid.height + 2}" aria-hidden="true">'
        f'<g class="rows">{names}</g>{"".join(shape(kind, rects[kind]) for kind in kinds if kind in rects)}</svg>'
    )
    heads = "".join(f'<text x="{x:.0f}" y="13">{name}</text>' for x, name in grid.columns())
    head = f'<svg class="heads" {size} height="18" aria-hidden="true">{heads}</svg>'
    data = {"kinds": [kind.value for kind in kinds], "cells": cells, "more": more}
    return body, head, json.dumps(data, separators=(",", ":"))


def shape(kind: Kind, rects: Sequence[Rect]) -> str:
    """Return boxes of one kind; each kind has a mark of its own besides its colour."""
    bodies = "".join(
        f"M{x + 1:.4g} {y + 1:.6g}h{w - 2:.4g}v{h - 2:.4g}h{2 - w:.4g}z"
        if w > THIN
        else f"M{x:.4g} {y + 1:.6g}h{w:.4g}v{h - 2:.4g}h{-w:.4g}z"
        for x, y, w, h in rects
    )
    marks = "".join(_mark(kind, rect) for rect in rects if rect[2] >= THIN)
    mark = f'<path class="m" d="{marks}"/>' if marks else ""
    return f'<g class="{kind.name.lower()}"><path class="b" d="{bodies}"/>{mark}</g>'


def _mark(kind: Kind, rect: Rect) -> str:
    x, y, w, h = rect
    middle, centre = y + h / 2, x + w / 2
    arm = min(w, h) / 2 - 4
    if kind in (Kind.MISSING, Kind.GIVEN_UP):  # a cross
        rising = f"M{centre - arm:.5g} {middle + arm:.6g}l{2 * arm:.4g} {-2 * arm:.4g}"
        return f"{rising}m0 {2 * arm:.4g}l{-2 * arm:.4g} {-2 * arm:.4g}"
    if kind is Kind.SKIPPED:  # a stroke
        return f"M{centre - arm:.5g} {middle + arm:.6g}l{2 * arm:.4g} {-2 * arm:.4g}"
    if kind is Kind.READ_TWICE:  # two lines
        return f"M{x + 3:.5g} {middle - 2:.6g}h{w - 6:.4g}m{6 - w:.4g} 4h{w - 6:.4g}"
    if kind is Kind.LATE:  # pointing back
        return f"M{centre + arm / 2:.5g} {middle - arm:.6g}l{-arm:.4g} {arm:.4g}l{arm:.4g} {arm:.4g}"
    if kind is Kind.BEGUN:  # filled to its half
        return f"M{x + 3:.5g} {middle:.6g}h{w - 6:.4g}v{h / 2 - 3:.4g}h{6 - w:.4g}z"
    if kind is Kind.EMPTY:  # nothing
        return f"M{centre - 2:.5g} {middle:.6g}h4"
    if kind is Kind.EARLIER:  # dots
        return f"M{centre - 4:.5g} {middle:.6g}h2m4 0h2"
    if kind is Kind.DUE:  # a dot
        return f"M{centre - 1.5:.5g} {middle - 1.5:.6g}h3v3h-3z"
    return ""


def legend(intervals: Sequence[Interval]) -> str:
    """Return what the marks mean, and how many there are of each."""
    counts = Counter(one.kind for one in intervals)
    return "".join(
        f'<li><svg class="cells" width="24" height="20" aria-hidden="true">{shape(kind, [(0, 0, 24, 20)])}</svg> '
        f"<b>{count(counts[kind])}</b> {kind.value}</li>"
        for kind in Kind
        if counts[kind]
    )
