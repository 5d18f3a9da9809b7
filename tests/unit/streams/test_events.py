"""Which part of which bundle is emitted."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tap_fullstory.bundles import Bundle, Position
from tap_fullstory.config import Config
from tap_fullstory.errors import ConfigError
from tap_fullstory.moments import SECOND, comparable, parse_moment
from tap_fullstory.records import Window
from tap_fullstory.state import EventsBookmark
from tap_fullstory.streams.events import Piece, _begin, _pieces

ALL = Window()


def bundle(start: int, stop: int, number: int = 1) -> Bundle:
    return Bundle(number, start, stop)


def mark(until: float, since: float = 0, done: tuple[int, ...] = ()) -> EventsBookmark:
    return EventsBookmark(since=int(since * SECOND), until=int(until * SECOND), done=done)


def text(second: float) -> str:
    return comparable(int(second * SECOND))


def pieces(at: EventsBookmark, *bundles: Bundle, end: float | None = None) -> list[Piece]:
    return list(_pieces(bundles, at, None if end is None else int(end * SECOND)))


def windows(at: EventsBookmark, *bundles: Bundle, end: float | None = None) -> list[Window | None]:
    return [piece.window for piece in pieces(at, *bundles, end=end)]


def test_bundles_that_follow_each_other_are_emitted_whole() -> None:
    """Events whose time lies outside their bundle would be lost."""
    assert [ALL, ALL, ALL] == windows(mark(10), bundle(10, 20), bundle(20, 30), bundle(40, 50))


@pytest.mark.parametrize("until", [10, 10.5, 15, 19.999])
def test_a_bundle_that_straddles_the_start_is_filtered(until: float) -> None:
    """Events before start_date would come, or those behind it would not."""
    at = mark(until, until)

    expected = [ALL if until == 10 else Window(text(until)), ALL]
    assert expected == windows(at, bundle(10, 20), bundle(20, 30))


def test_a_bundle_that_straddles_what_is_written_is_filtered() -> None:
    """With bundles of another length, events would be written twice."""
    assert [Window(text(10)), ALL] == windows(mark(10), bundle(0, 20), bundle(20, 40))


def test_a_bundle_that_overlaps_the_one_before_is_filtered() -> None:
    """With bundles of another length, events would be written twice."""
    assert [ALL, Window(text(20)), ALL] == windows(mark(10), bundle(10, 20), bundle(15, 30), bundle(30, 40))


def test_all_bundles_of_one_interval_are_emitted_whole() -> None:
    """Of several bundles with one Stop, only the first would be emitted."""
    group = [bundle(10, 20, number) for number in (1, 2, 3)]

    assert [ALL, ALL, ALL, ALL] == windows(mark(10), *group, bundle(20, 30, 4))
    assert [Window(text(15))] * 3 == windows(mark(15, 15), *group)


def test_going_on_within_bundles_of_one_stop() -> None:
    """What is left of a group would be filtered away."""
    assert [ALL, ALL] == windows(mark(20, 0, (1,)), bundle(10, 20, 2), bundle(20, 30, 3))
    assert [Window(text(15))] == windows(mark(20, 15, (1,)), bundle(10, 20, 2))


def test_a_bundle_that_straddles_the_end_is_cut() -> None:
    """A bounded backfill would go beyond its end."""
    found = pieces(mark(0), bundle(0, 10, 1), bundle(10, 20, 2), bundle(20, 30, 3), bundle(30, 40, 4), end=15)

    assert [ALL, Window("", text(15))] == [piece.window for piece in found[:2]]
    assert [False, True] == [piece.cut for piece in found[:2]]
    assert {(None, True)} == {(piece.window, piece.cut) for piece in found[2:]}


def test_an_end_on_a_boundary_cuts_nothing() -> None:
    """The last bundle before the end would be filtered, and events with odd times lost."""
    found = pieces(mark(0), bundle(0, 10, 1), bundle(10, 20, 2), bundle(20, 30, 3), end=20)

    assert [(ALL, False), (ALL, False), (None, True)] == [(piece.window, piece.cut) for piece in found]


def test_all_bundles_that_straddle_the_end_are_cut() -> None:
    """Of several bundles that straddle the end, only one would be emitted."""
    assert [Window("", text(15))] * 2 == windows(mark(10), bundle(10, 20, 1), bundle(10, 20, 2), end=15)


def test_a_bundle_may_straddle_both_ends() -> None:
    """A backfill of an hour from a daily bundle would bring the whole day, or nothing."""
    assert [Window(text(12), text(15))] == windows(mark(12, 12), bundle(10, 20), end=15)
    assert [None] == windows(mark(15, 0), bundle(10, 20), end=15)
    assert [None] == windows(mark(16, 0), bundle(10, 20), end=15)


def test_a_later_bundle_that_reaches_before_the_end_is_still_read() -> None:
    """A hole: the bundle with the later Stop begins before the end, though one with an earlier Stop does not."""
    found = pieces(mark(5), bundle(10, 20, 1), bundle(5, 25, 2), end=10)

    assert Window("", text(10)) in [piece.window for piece in found if piece.bundle.id == 2]


# Where a run begins ---------------------------------------------------------------------------------------------------

NOW = parse_moment("2024-03-01T12:00:00Z")
CONFIG = Config(api_key="key")


def test_a_first_run_begins_at_the_start_date() -> None:
    """All events of a year would be read, or none."""
    start = parse_moment("2024-01-01T00:00:00Z")

    assert EventsBookmark(start, start) == _begin(None, replace(CONFIG, start_date=start), NOW)


def test_without_a_start_date_a_first_run_begins_a_year_ago() -> None:
    """The default would not be the documented one, also in a leap year."""
    start = parse_moment("2023-03-01T12:00:00Z")

    assert EventsBookmark(start, start) == _begin(None, CONFIG, NOW)


def test_an_end_before_the_default_start_is_refused() -> None:
    """The run would read nothing and say that all is well."""
    with pytest.raises(ConfigError, match="start_date"):
        _begin(None, replace(CONFIG, end_date=parse_moment("2020-01-01")), NOW)


def test_the_state_wins_over_an_earlier_start_date(caplog: pytest.LogCaptureFixture) -> None:
    """Events would be read twice after start_date was set back."""
    at = mark(20, 10, (1,))
    tap = logging.getLogger("tap_fullstory")
    tap.propagate = True

    assert at == _begin(at, replace(CONFIG, start_date=15 * SECOND), NOW)
    assert [] == caplog.records
    assert at == _begin(at, replace(CONFIG, start_date=5 * SECOND), NOW)
    assert 1 == len(caplog.records)


def test_a_later_start_date_moves_forward() -> None:
    """Somebody who wants only newer events would get the old ones."""
    at = replace(mark(20, 10, (1,)), partial=(2, Position(1, 2, 3)))

    moved = _begin(at, replace(CONFIG, start_date=25 * SECOND), NOW)

    assert (25 * SECOND, 25 * SECOND, ()) == (moved.since, moved.until, moved.done)
