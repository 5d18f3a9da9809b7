"""Gaps are kept as spans of time."""

import pytest

from tap_fullstory import spans
from tap_fullstory.spans import Span


@pytest.mark.parametrize(
    "before, new, after",
    [
        ((), (1, 2), ((1, 2),)),
        (((1, 2),), (4, 5), ((1, 2), (4, 5))),
        (((4, 5),), (1, 2), ((1, 2), (4, 5))),
        (((1, 2), (6, 8)), (2, 6), ((1, 8),)),
        (((1, 5),), (2, 3), ((1, 5),)),
        (((1, 2),), (3, 3), ((1, 2),)),
    ],
)
def test_what_touches_becomes_one(before: tuple[Span, ...], new: Span, after: tuple[Span, ...]) -> None:
    """The state would grow with each bundle that is missing, also where they follow each other."""
    assert after == spans.add(before, new)


@pytest.mark.parametrize(
    "gone, after",
    [
        ((0, 1), ((1, 4), (6, 9))),
        ((1, 4), ((6, 9),)),
        ((2, 3), ((1, 2), (3, 4), (6, 9))),
        ((3, 7), ((1, 3), (7, 9))),
        ((0, 10), ()),
    ],
)
def test_what_is_covered_is_taken_away(gone: Span, after: tuple[Span, ...]) -> None:
    """A bundle that covers a part of a gap would close all of it, or nothing."""
    assert after == spans.subtract(((1, 4), (6, 9)), gone)


@pytest.mark.parametrize(
    "start, stop, after",
    [(0, None, ((1, 4), (6, 9))), (2, None, ((2, 4), (6, 9))), (4, 6, ()), (3, 7, ((3, 4), (6, 7)))],
)
def test_what_lies_within_bounds(start: int, stop: "int | None", after: tuple[Span, ...]) -> None:
    """A gap beyond the end date would be filled although nobody wants what lies there."""
    assert after == spans.between(((1, 4), (6, 9)), start, stop)
