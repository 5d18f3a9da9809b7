"""Lag is what Fullstory could have delivered by now and is not written, not the time since some moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.reports.health import HOUR, Health, health, is_silent
from tap_fullstory.reports.history import History, read_history
from tests import reports
from tests.reports import FIRST, Report, broke_off_at_once, bundle, day, later, run


def history(folder: Path, *runs: Report) -> History:
    """What is read back of some reports."""
    return read_history(reports.write(folder, runs))


def at(folder: Path, now: str, *runs: Report) -> Health:
    """Where some reports say that it stands."""
    found = health(history(folder, *runs), parse_moment(now))
    assert found is not None
    return found


def daily(number: int, **more: Any) -> Report:
    """The run that writes the bundle of a day as soon as it is there."""
    return run(later(day(number + 2), hours=0.5), bundles=[bundle(day(number))], **more)


def test_nothing_is_known_of_nothing(tmp_path: Path) -> None:
    """An empty folder would end the monitor with a traceback."""
    assert health(history(tmp_path), 0) is None


@pytest.mark.parametrize(
    "hours, lag",
    [
        (-1, 0),  # not due
        (0, 0),
        (1, 1),
        (30, 30),
    ],
)
def test_lag_begins_when_the_next_bundle_is_due(tmp_path: Path, hours: int, lag: int) -> None:
    """An alarm each night before Fullstory has delivered, or none when a bundle does not come."""
    due = day(3)  # the bundle of day 1 ends with it, and can be had 24 hours later

    found = at(tmp_path, later(due, hours=hours), daily(0))

    assert lag * HOUR == found.lag
    assert (day(2), due) == (to_text(found.next_stop or 0), to_text(found.due or 0))


def test_bundles_of_another_length_are_expected_at_their_time(tmp_path: Path) -> None:
    """Where Fullstory delivers each hour, a lag would begin a day late."""
    hourly = [bundle(later(FIRST, hours=n), later(FIRST, hours=n + 1)) for n in range(5)]

    found = at(tmp_path, day(2), run(day(1), bundles=hourly))

    assert (later(FIRST, hours=6), later(FIRST, hours=30)) == (to_text(found.next_stop or 0), to_text(found.due or 0))
    assert 18 * HOUR == found.lag


@pytest.mark.parametrize(
    "settings, due",
    [
        ({}, 24 + 1 + 24),
        ({"export_window_hours": 6, "export_delay_hours": 2}, 24 + 6 + 2),
        ({"export_window_hours": 0.5, "export_delay_hours": 0}, 24 + 0.5),
        ({"export_window_hours": 0, "export_delay_hours": -1}, 24 + 1 + 24),
        ({"export_window_hours": 1e-9, "export_delay_hours": 1e300}, 24 + 1 + 24),
        ({"export_window_hours": True, "export_delay_hours": "soon"}, 24 + 1 + 24),
    ],
)
def test_settings_say_when_an_export_is_due(tmp_path: Path, settings: Report, due: float) -> None:
    """With segment_export the settings decide; odd ones, which no run accepts, must not break the monitor."""
    one = daily(0, settings={"events_source": "segment_export", **settings})

    assert later(FIRST, hours=due) == to_text(at(tmp_path, day(2), one).due or 0)


def test_a_run_that_read_no_settings_changes_nothing(tmp_path: Path) -> None:
    """A typo in the settings would move the moment at which the lag begins."""
    exported = daily(0, settings={"events_source": "segment_export", "export_delay_hours": 2})
    now = later(FIRST, hours=30)
    alone = at(tmp_path / "alone", now, exported)

    found = at(tmp_path / "both", now, exported, broke_off_at_once(later(exported["began_at"], hours=1)))

    assert 3 * HOUR == alone.lag == found.lag
    assert alone.until == found.until


def test_many_runs_that_fail_at_once_do_not_end_the_lag(tmp_path: Path) -> None:
    """Hourly runs that fail for days would make the lag unknown, just when it grows."""
    failed = [broke_off_at_once(later(day(3), hours=n)) for n in range(100)]

    assert 97 * HOUR == at(tmp_path, later(day(3), hours=97), daily(0), *failed).lag


def test_bounded_backfills_do_not_count_beside_others(tmp_path: Path) -> None:
    """A backfill of last year would look like a lag of a year, or hide that nothing new comes."""
    old = run(
        day(5), bundles=[bundle("2025-01-01T00:00:00Z")], since="2025-01-01T00:00:00Z", settings={"end_date": day(-100)}
    )
    future = run(day(6), until=day(50), settings={"end_date": day(50)})

    found = at(tmp_path, later(day(3), hours=2), daily(0), old, future)

    assert 2 * HOUR == found.lag
    assert found.run.end_date is None


@pytest.mark.parametrize("until, lag", [(0.5, True), (1, False)])
def test_bounded_backfills_alone_are_done_at_their_end(tmp_path: Path, until: float, lag: bool) -> None:
    """A backfill that is complete would be behind for ever; one that is not would be healthy."""
    one = run(day(30), until=later(FIRST, hours=24 * until), settings={"end_date": "2026-08-02"})

    found = at(tmp_path, day(40), one)

    assert lag == bool(found.lag)
    assert lag == (found.next_stop is not None)


def test_runs_side_by_side(tmp_path: Path) -> None:
    """The one that began last need not be the one that got furthest."""
    first, second = daily(1), run(later(day(3), hours=0.6), until=day(1))

    assert day(2) == to_text(at(tmp_path, day(4), first, second).until or 0)


def test_a_state_that_was_removed_is_forgotten(tmp_path: Path) -> None:
    """Who reads everything again is behind, also where an older run once was further."""
    again = [run(later(day(50), hours=n), until=day(1)) for n in range(60)]

    assert day(1) == to_text(at(tmp_path, day(60), run(day(40), until=day(30)), *again).until or 0)


def test_without_events_the_lag_is_not_known(tmp_path: Path) -> None:
    """A pipeline of users alone would be called late, or a bookmark of something else taken for events."""
    found = at(tmp_path, day(4), run(day(1), since=None))

    assert (None, None, None, 0) == (found.until, found.next_stop, found.due, found.lag)


@pytest.mark.parametrize("until", [day(1000), "9999-12-31T23:59:59Z"])
def test_a_state_in_the_future_is_no_lag(tmp_path: Path, until: str) -> None:
    """A state from another account, or a wrong clock, would end the monitor with a traceback."""
    found = at(tmp_path, day(4), run(day(1), until=until))

    assert 0 == found.lag
    assert to_text(found.due or 0) > day(4)


def test_gaps_are_those_of_the_last_run_that_knows(tmp_path: Path) -> None:
    """A run that fails before it has read its state would end the warning of a gap."""
    gap = [day(1), day(2)]
    first = run(day(4), bundles=[bundle(day(2))], gaps=[gap])

    found = at(tmp_path / "gap", day(5), first, broke_off_at_once(later(day(4), hours=1)))
    mended = at(tmp_path / "mended", day(5), first, run(later(day(4), hours=1), until=day(3)))

    assert ((parse_moment(day(1)), parse_moment(day(2))),) == found.gaps
    assert () == mended.gaps


@pytest.mark.parametrize(
    "status, minutes, silent",
    [(None, 14, False), (None, 16, True), (None, -600, False), (0, 600, False), (143, 600, False)],
)
def test_who_is_silent_was_killed(tmp_path: Path, status: int | None, minutes: int, silent: bool) -> None:
    """A run that was killed would be on its way for ever, and a long one be called dead."""
    one = run(FIRST, hours_long=1, status=status)

    assert silent == is_silent(history(tmp_path, one).runs[0], parse_moment(one["updated_at"]) + minutes * 60 * SECOND)


def test_lengths_that_no_bundle_has_are_passed_over(tmp_path: Path) -> None:
    """A report with an interval of a second would be followed by a million bundles that are due."""
    odd = [bundle(FIRST, later(FIRST, hours=n / 3600)) for n in (1, 1, 0, -1)]

    assert 24 * HOUR == at(tmp_path, day(4), run(day(2), bundles=[bundle(FIRST), *odd])).length


def window(number: int, *, done: bool = True, **more: Any) -> Report:
    """The run that reads one day of a backfill, or was to."""
    settings = {"start_date": day(number), "end_date": day(number + 1)}
    read = {"bundles": [bundle(day(number))], "until": day(number + 1)} if done else {"until": None, "status": 77}
    return run(later(day(9), hours=number), since=day(number), settings=settings, **{**read, **more})


def unread(found: Health) -> list[tuple[str, str]]:
    """What nobody has read, readable."""
    return [(to_text(start), to_text(stop)) for start, stop in found.unread]


def test_a_window_that_failed_is_missed_though_others_ended_well(tmp_path: Path) -> None:
    """Of a hundred windows side by side one would stay unread, and the last one says that all is well."""
    runs = [window(0), window(1, done=False), window(2), window(3)]

    assert [(day(1), day(2))] == unread(at(tmp_path / "bounded", day(10), *runs))
    daily_ones = [daily(number) for number in (4, 5, 6, 7)]
    beside = [
        run | {"state": {"before": None, "after": reports.events_state(day(4), day(8), [])}} for run in daily_ones
    ]
    assert [(day(1), day(2))] == unread(at(tmp_path / "beside the usual ones", day(10), *runs, *beside))


def test_a_window_is_not_missed_while_it_is_read_or_once_it_is(tmp_path: Path) -> None:
    """An alarm for what is on its way, done by now, or cannot be read yet."""
    failed = window(1, done=False)
    repeated = window(1) | {"began_at": later(day(9), hours=5), "run": reports.run_name(later(day(9), hours=5))}
    running = window(1, done=False, status=None) | {
        "began_at": later(day(9), hours=6),
        "run": reports.run_name(later(day(9), hours=6)),
        "updated_at": day(10),
    }
    killed = {**running, "updated_at": day(9)}

    assert [] == unread(at(tmp_path / "repeated", day(10), window(0), failed, repeated))
    assert [] == unread(at(tmp_path / "running", day(10), window(0), running))
    assert [(day(1), day(2))] == unread(at(tmp_path / "killed", day(10), window(0), killed))
    assert [] == unread(at(tmp_path / "not yet", later(day(3), hours=1), window(0), failed))
