"""Spans of time, `[from, to)` in Unix nanoseconds, and tuples of them: sorted, apart from each other."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


def add(spans: Iterable[Span], new: Span) -> tuple[Span, ...]:
    """Return *spans* with *new* among them; what overlaps or touches is one."""
    start, stop = new
    apart = []
    for one in spans:
        if one[1] < start or one[0] > stop:
            apart.append(one)
        else:
            start, stop = min(start, one[0]), max(stop, one[1])
    return tuple(sorted([*apart, (start, stop)])) if start < stop else tuple(apart)


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return what any of *spans* covers, whatever their order; quick also with thousands."""
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if start >= stop:
            continue
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)


def subtract(spans: Iterable[Span], *gone: Span) -> tuple[Span, ...]:
    """Return what is left of *spans* without *gone*."""
    left = tuple(spans)
    for first, last in gone:
        parts = [part for start, stop in left for part in ((start, min(stop, first)), (max(start, last), stop))]
        left = tuple((start, stop) for start, stop in parts if start < stop)
    return left


def between(spans: Iterable[Span], start: int, stop: int | None) -> tuple[Span, ...]:
    """Return what of *spans* lies in `[start, stop)`; None: without end."""
    parts = [(max(one[0], start), one[1] if stop is None else min(one[1], stop)) for one in spans]
    return tuple((first, last) for first, last in parts if first < last)
