"""What became of each bundle, and what a page says of it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.moments import parse_moment, to_text
from tap_fullstory.reports.coverage import MOST, Gap, Interval, Kind, coverage, gaps
from tap_fullstory.reports.health import health
from tap_fullstory.reports.history import History, read_history
from tests import reports
from tests.reports import (
    CRASHES,
    EMPTY,
    FIRST,
    GAP,
    LATE,
    NOW,
    READ_AGAIN,
    bundle,
    day,
    events_state,
    hundred_days,
    later,
    run,
)


class Told:
    """What `coverage` tells of some reports at some time."""

    def __init__(self, folder: Path, runs: Iterable[dict[str, Any]], now: str) -> None:
        self.history: History = read_history(reports.write(folder, runs))
        at = health(self.history, parse_moment(now))
        assert at is not None
        self.intervals: list[Interval] = coverage(self.history, at, parse_moment(now))

    def kinds(self) -> list[str]:
        """Return the names of the kinds in order."""
        return [one.kind.name for one in self.intervals]

    def at(self, start: str) -> Interval:
        """Return the one interval that begins then."""
        (found,) = [one for one in self.intervals if one.start == parse_moment(start)]
        return found

    def gaps(self) -> list[Gap]:
        """Return what is missing."""
        return gaps(self.history, self.intervals)


def read(number: int, *bundles: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the run that reads the bundle of a day as soon as it can be had; *bundles* in place of it."""
    return run(later(day(number + 2), hours=1), bundles=bundles or [bundle(day(number))], **more)


def after(number: int) -> str:
    """Return a moment after `read` of a day."""
    return later(day(number + 2), hours=3)


def test_days_that_are_not_like_others_are_told_apart(tmp_path: Path) -> None:
    """The calendar would show a hundred days as arrived, whatever became of them."""
    told = Told(tmp_path, hundred_days(), NOW)

    others = {
        day(GAP): Kind.GIVEN_UP,
        day(LATE): Kind.LATE,
        day(READ_AGAIN): Kind.READ_TWICE,
        day(EMPTY): Kind.EMPTY,
        day(100): Kind.FUTURE,
        day(101): Kind.FUTURE,
    }
    assert {day(number): others.get(day(number), Kind.ARRIVED) for number in range(102)} == {
        to_text(one.start): one.kind for one in told.intervals
    }


def test_bundle_that_two_runs_wrote_in_halves_is_one(tmp_path: Path) -> None:
    """After a crash the calendar would show a bundle that was begun for ever, or read twice."""
    crashed = Told(tmp_path, hundred_days(), NOW).at(day(CRASHES[0]))

    assert Kind.ARRIVED is crashed.kind
    assert crashed.events == crashed.records
    assert 1 == crashed.times


def test_nothing_between_the_first_and_now_is_left_out(tmp_path: Path) -> None:
    """Time that no report mentions would look as if it had never been."""
    # the reports of days 3 to 9 are thinned, a gap lies behind, and the last run was days ago
    runs = [read(number) for number in (0, 1, 2, 10, 11)]
    runs.append(read(13, bundle(day(13)), gaps=[[day(12), day(13)]]))
    told = Told(tmp_path, runs, day(18))

    assert ["ARRIVED"] * 3 + ["EARLIER"] * 7 + ["ARRIVED"] * 2 + ["MISSING", "ARRIVED"] == told.kinds()[:14]
    assert ["DUE"] * 3 + ["FUTURE"] == told.kinds()[14:]  # due: of days 14 to 16, a day after each has ended
    assert all(one.stop == following.start for one, following in pairwise(told.intervals))


def test_next_bundle_is_not_due_before_it_can_be_had(tmp_path: Path) -> None:
    """Each day the page would say that something is missing which nobody could have."""
    runs = [read(0)]

    assert ["ARRIVED", "FUTURE", "FUTURE"] == Told(tmp_path, runs, later(day(3), hours=-1)).kinds()
    assert ["ARRIVED", "DUE", "FUTURE"] == Told(tmp_path, runs, day(3)).kinds()[:3]


@pytest.mark.parametrize(
    "bundles, kind",
    [
        ([{"status": "begun", "records": 10}], Kind.BEGUN),
        ([{"status": "skipped", "records": 0, "events": None}], Kind.SKIPPED),
        ([{"status": "skipped", "records": 0, "events": None}, {}], Kind.ARRIVED),
        ([{"status": "begun", "records": 10}, {}], Kind.ARRIVED),
        ([{}, {}], Kind.READ_TWICE),  # the state was lost in between
        ([{}, {"again": True, "status": "unchanged", "records": 0}], Kind.READ_TWICE),
        ([{"late": True, "events": 0}], Kind.LATE),
        ([{"events": 0}], Kind.EMPTY),
        ([{"events": None}], Kind.ARRIVED),  # not known is not none
        ([{"id": 1}, {"id": 2}], Kind.ARRIVED),  # two bundles of the same time
        ([{"id": 1}, {"id": 2, "status": "skipped", "records": 0}], Kind.SKIPPED),
        ([{"id": 1, "status": "begun"}, {"id": 2}], Kind.BEGUN),
    ],
)
def test_runs_together_make_a_kind(tmp_path: Path, bundles: list[dict[str, Any]], kind: Kind) -> None:
    """What one run has left to the next would be shown as lost, or as done."""
    runs = [
        run(later(day(2), hours=hours), bundles=[bundle(day(0), **one)], until=day(0) if kind is Kind.BEGUN else None)
        for hours, one in enumerate(bundles)
    ]

    assert kind is Told(tmp_path, runs, later(day(2), hours=9)).at(FIRST).kind


def test_events_of_several_bundles_of_one_time_are_added(tmp_path: Path) -> None:
    """Half of the events of such a time would be left out of the charts."""
    told = Told(tmp_path, [read(0, bundle(day(0), id=1, events=5), bundle(day(0), id=2, events=7))], after(0))

    assert (1, 2) == told.at(FIRST).ids
    assert (12, 12) == (told.at(FIRST).events, told.at(FIRST).records)


def test_bundle_that_was_cut_at_an_end_date_was_not_read_twice(tmp_path: Path) -> None:
    """Where a backfill ends inside a bundle, a warning of events written twice would be wrong."""
    noon = later(day(0), hours=12)
    runs = [
        read(0, bundle(day(0), records=500), until=noon, settings={"end_date": noon}),
        run(later(day(2), hours=2), bundles=[bundle(day(0), records=500)]),
    ]

    assert Kind.ARRIVED is Told(tmp_path, runs, after(0)).at(FIRST).kind


def test_begun_bundle_whose_end_is_in_a_thinned_report_is_written(tmp_path: Path) -> None:
    """Thinned reports would leave bundles that look unfinished for ever."""
    crashed = run(later(day(2), hours=1), status=None, bundles=[bundle(day(0), status="begun")], until=day(0))

    assert Kind.EARLIER is Told(tmp_path, [crashed, read(1)], after(1)).at(FIRST).kind


def test_late_bundle_that_was_only_begun_is_not_written(tmp_path: Path) -> None:
    """A crash while a gap is filled would look as if it had been filled."""
    gap = [[day(1), day(2)]]
    late = bundle(day(1), status="begun", late=True)
    killed = run(later(day(4), hours=1), status=None, bundles=[late], until=day(3), gaps=gap)
    told = Told(tmp_path, [read(0), run(later(day(3), hours=1), bundles=[bundle(day(2))], gaps=gap), killed], after(2))

    assert Kind.BEGUN is told.at(day(1)).kind


def test_gap_stays_when_the_last_run_broke_off_at_once(tmp_path: Path) -> None:
    """A wrong key would make all gaps disappear from the page."""
    gap = [day(1), day(2)]
    runs = [read(0), read(2, bundle(day(2)), gaps=[gap]), reports.broke_off_at_once(later(day(4), hours=2))]
    told = Told(tmp_path, runs, after(2))

    assert ["ARRIVED", "MISSING", "ARRIVED"] == told.kinds()[:3]


def test_windows_of_a_backfill_leave_what_no_run_was_to_read(tmp_path: Path) -> None:
    """A window that was forgotten would be shown as written."""
    runs = [
        read(9, bundle(day(0)), since=day(0), settings={"end_date": day(1)}),
        run(later(day(11), hours=2), bundles=[bundle(day(3))], since=day(3), settings={"end_date": day(4)}),
    ]

    assert ["ARRIVED", "DUE", "DUE", "ARRIVED"] == Told(tmp_path, runs, after(9)).kinds()


def test_gaps_that_touch_are_one_and_name_the_run_that_found_them(tmp_path: Path) -> None:
    """A gap of a week would be seven lines."""
    runs = [
        read(0),
        read(3, bundle(day(3)), gaps=[[day(1), day(3)]]),
        read(5, bundle(day(5)), gaps=[[day(1), day(3)], [day(4), day(5)]]),
    ]
    told = Told(tmp_path, runs, after(5))

    assert [(day(1), day(3), False), (day(4), day(5), False)] == [
        (to_text(one.start), to_text(one.stop), one.given_up) for one in told.gaps()
    ]
    assert [runs[1]["run"], runs[2]["run"]] == [one.run.run for one in told.gaps() if one.run]


def test_bundles_of_other_lengths_overlap_and_nothing_breaks(tmp_path: Path) -> None:
    """When Fullstory sets another length of bundles the page could not be made."""
    hours = [bundle(later(day(1), hours=hour), later(day(1), hours=hour + 1)) for hour in range(24)]
    told = Told(tmp_path, [read(0), read(1, bundle(day(1)), *hours)], after(1))

    assert 26 == told.kinds().count("ARRIVED")
    assert sorted(told.intervals, key=lambda one: one.start) == told.intervals


def test_time_before_the_first_bundle_is_nobodys(tmp_path: Path) -> None:
    """An account younger than start_date would seem to have lost the reports of its first bundles."""
    first = read(5, since=day(0))
    later_one = read(6, since=day(0), state_before=events_state(day(0), day(6), []))

    assert parse_moment(day(5)) == Told(tmp_path / "all", [first, later_one], after(6)).intervals[0].start
    assert parse_moment(day(0)) == Told(tmp_path / "thinned", [later_one], after(6)).intervals[0].start


def test_very_long_stretch_without_reports_is_one_interval(tmp_path: Path) -> None:
    """A start_date of 1970 and bundles of an hour would make half a million cells."""
    hour = bundle(day(0), later(day(0), hours=1))
    since = "1970-01-01T00:00:00Z"
    before = events_state(since, day(0), [])
    told = Told(tmp_path, [run(later(day(1), hours=2), bundles=[hour], since=since, state_before=before)], day(1))

    assert len(told.intervals) < MOST
    assert Kind.EARLIER is told.at("1970-01-01T00:00:00Z").kind
