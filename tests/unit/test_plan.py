"""Windows that lie side by side, at bounds of bundles."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import spans
from tap_fullstory.bundles import Position
from tap_fullstory.config import Config
from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.plan import Choice, plan
from tap_fullstory.sources import Extent
from tap_fullstory.spans import Span
from tap_fullstory.state import EventsBookmark

T0 = 1_704_067_200  # 2024-01-01T00:00:00Z
HOUR = 3600


class Source:
    """Says where its bundles lie."""

    def __init__(self, extent: Extent | None) -> None:
        self._extent = extent

    def extent(self, _start: int, _end: int | None) -> Extent | None:
        return self._extent


def planned(
    extent: Extent | None, start: float, choice: Choice, *, end: int | None = None, beyond: tuple[Span, ...] = ()
) -> list[dict[str, Any]]:
    moment = int((T0 + start * HOUR) * SECOND)
    source: Any = Source(extent)
    return plan(source, Config(api_key="key", end_date=end), EventsBookmark(moment, moment, beyond=beyond), choice)


def hours(first: int, stop: int, length: int = 1, offset: int = 0) -> Extent:
    return Extent(T0 + first * HOUR, T0 + stop * HOUR, length * HOUR, (T0 + offset * HOUR) % (length * HOUR))


def spans_of(windows: list[dict[str, Any]]) -> list[Span]:
    return [(parse_moment(one["start_date"]), parse_moment(one["end_date"])) for one in windows]


def at_hours(*pairs: tuple[float, float]) -> list[Span]:
    return [(int((T0 + a * HOUR) * SECOND), int((T0 + b * HOUR) * SECOND)) for a, b in pairs]


def test_bounds_are_those_of_bundles_that_do_not_begin_at_midnight() -> None:
    """A bundle on each bound would be downloaded by two workers."""
    windows = planned(hours(0, 50, length=6, offset=2), 0, Choice(seconds=10 * HOUR))

    assert at_hours((0, 8), (8, 20), (20, 32), (32, 44), (44, 50)) == spans_of(windows)


def test_what_lies_before_the_first_bundle_and_behind_the_last_makes_no_windows() -> None:
    """Workers would be started for a time without bundles."""
    end = at_hours((0, 500))[0][1]

    assert at_hours((0, 110), (110, 500)) == spans_of(planned(hours(100, 120), 0, Choice(10 * HOUR), end=end))
    assert [] == planned(hours(100, 120), 120, Choice(10 * HOUR), end=end)
    assert [] == planned(None, 0, Choice())


def test_what_is_written_beyond_is_in_no_window() -> None:
    """It would be read twice."""
    beyond = tuple(at_hours((10, 20), (90, 100)))

    windows = planned(hours(0, 100), 0, Choice(workers=4), beyond=beyond)

    assert at_hours((0, 10), (20, 30), (30, 50), (50, 70), (70, 90)) == spans_of(windows)


def test_a_bundle_that_the_state_has_begun_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Events would be there twice without a word."""
    logging.getLogger("tap_fullstory").propagate = True
    moment = T0 * SECOND
    at = EventsBookmark(moment, moment, partial=(5, Position(10, 20, 30)))
    source: Any = Source(hours(0, 10))

    plan(source, Config(api_key="key"), at, Choice())

    (line,) = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert "bundle 5" in line and "up to 10 records" in line


@given(
    start=st.floats(0, 200),
    first=st.integers(0, 200),
    count=st.integers(1, 300),
    length=st.sampled_from([1, 2, 6, 24]),
    offset=st.integers(0, 23),
    window=st.none() | st.integers(1, 100),
    workers=st.integers(1, 50),
    cut=st.none() | st.integers(1, 300),
)
def test_windows_cover_everything_once(
    *, start: float, first: int, count: int, length: int, offset: int, window: int | None, workers: int, cut: int | None
) -> None:
    """Events would be lost or be there twice at the bounds, or one worker do the work of two."""
    extent = hours(first, first + count, length, offset)
    end = None if cut is None else at_hours((0, start + cut))[0][1]
    choice = Choice(workers=workers) if window is None else Choice(seconds=window * HOUR)
    begin = int((T0 + start * HOUR) * SECOND)

    windows = planned(extent, start, choice, end=end)

    found = spans_of(windows)
    last = extent.stop * SECOND if end is None else end
    if not windows:
        assert last <= max(begin, extent.start * SECOND) or extent.stop * SECOND <= begin
        return
    assert (begin, last) == (found[0][0], found[-1][1])
    assert all(one[1] == other[0] for one, other in pairwise(found))
    assert all((moment // SECOND - T0) // HOUR % length == offset % length for moment, _ in found[1:])
    assert all(moment % (HOUR * SECOND) == T0 % HOUR for moment, _ in found[1:])
    sizes = [one["plan"]["bundles"] for one in windows]
    if window is None:
        assert len(sizes) == min(workers, sum(sizes)) and max(sizes) - min(sizes) <= 1
    else:
        assert {-(-window // length)} >= set(sizes[:-1]) and sizes[-1] <= -(-window // length)
    assert [*range(1, len(windows) + 1)] == [one["plan"]["window"] for one in windows]
    assert all(spans.subtract([one], *found) == () for one in found)
