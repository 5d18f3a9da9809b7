"""Where a run begins."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tap_fullstory.bundles import Position
from tap_fullstory.config import Config
from tap_fullstory.errors import ConfigError
from tap_fullstory.extraction import begin
from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.state import EventsBookmark


def mark(until: float, since: float = 0, done: tuple[int, ...] = ()) -> EventsBookmark:
    return EventsBookmark(since=int(since * SECOND), until=int(until * SECOND), done=done)


NOW = parse_moment("2024-03-01T12:00:00Z")
CONFIG = Config(api_key="key")


def test_a_first_run_begins_at_the_start_date() -> None:
    """All events of a year would be read, or none."""
    start = parse_moment("2024-01-01T00:00:00Z")

    assert EventsBookmark(start, start) == begin(None, replace(CONFIG, start_date=start), NOW)


def test_without_a_start_date_a_first_run_begins_a_year_ago() -> None:
    """The default would not be the documented one, also in a leap year."""
    start = parse_moment("2023-03-01T12:00:00Z")

    assert EventsBookmark(start, start) == begin(None, CONFIG, NOW)


def test_an_end_before_the_default_start_is_refused() -> None:
    """The run would read nothing and say that all is well."""
    with pytest.raises(ConfigError, match="start_date"):
        begin(None, replace(CONFIG, end_date=parse_moment("2020-01-01")), NOW)


def test_the_state_wins_over_an_earlier_start_date(caplog: pytest.LogCaptureFixture) -> None:
    """Events would be read twice after start_date was set back."""
    at = mark(20, 10, (1,))
    tap = logging.getLogger("tap_fullstory")
    tap.propagate = True

    assert at == begin(at, replace(CONFIG, start_date=15 * SECOND), NOW)
    assert [] == caplog.records
    assert at == begin(at, replace(CONFIG, start_date=5 * SECOND), NOW)
    assert 1 == len({record.getMessage() for record in caplog.records})


def test_a_later_start_date_moves_forward() -> None:
    """Somebody who wants only newer events would get the old ones."""
    at = replace(mark(20, 10, (1,)), partial=(2, Position(1, 2, 3)))

    moved = begin(at, replace(CONFIG, start_date=25 * SECOND), NOW)

    assert (25 * SECOND, 25 * SECOND, ()) == (moved.since, moved.until, moved.done)


def test_gaps_before_a_later_start_date_are_forgotten() -> None:
    """Events from before start_date would come when their bundle does."""
    gaps = ((10 * SECOND, 14 * SECOND), (15 * SECOND, 17 * SECOND))
    at = replace(mark(20, 10), gaps=gaps)

    assert (gaps[1],) == begin(at, replace(CONFIG, start_date=15 * SECOND), NOW).gaps
    assert () == begin(at, replace(CONFIG, start_date=25 * SECOND), NOW).gaps
