"""The lines at the end of a run tell everything that was changed."""

from __future__ import annotations

from tap_fullstory.report import Change, Report


def test_each_kind_of_change_is_one_line_with_its_fields() -> None:
    """Users could not find out which values were changed."""
    report = Report()
    report.change(Change.MOVED, ["UserId", "PageUrl"])
    report.change(Change.MOVED, {"UserId": 2})
    report.change(Change.AS_TEXT, ["evt_a"])
    report.custom["evt_b"] += 4

    lines = report.change_lines()

    assert 3 == len(lines)
    assert "PageUrl (1), UserId (3)" in lines[0] and Change.MOVED.value in lines[0]
    assert "evt_a (1)" in lines[1]
    assert "evt_b (4)" in lines[2]


def test_a_run_without_changes_has_no_lines() -> None:
    """Every run would end with noise."""
    assert [] == Report().change_lines()


def test_the_summary_tells_records_bundles_bytes_waits_and_changes() -> None:
    """Nobody would see what a run did, or that a bundle was passed over."""
    report = Report(records=11, bundles=2)
    report.download(300)
    report.download(45)
    report.wait(29.6)
    report.wait(1)
    report.change(Change.MOVED, ["a", "b"])
    report.change(Change.DROPPED, {"c": 5})

    assert "11 records, 2 bundles finished, 345 bytes downloaded, 31 s waited, 7 values changed." == report.summary()


def test_the_summary_names_the_bundles_that_the_settings_say_to_skip() -> None:
    """Somebody would leave a bundle out for years and never be told."""
    report = Report(skip_bundles=frozenset({170000640048, 5}), skipped=1)

    assert "pass over 5, 170000640048: 1 passed over" in report.summary()


def test_the_summary_says_what_is_left_when_the_time_is_over() -> None:
    """A run that has ended early would look like one that has read everything."""
    report = Report(known=20, bundles=7, skipped=1, until=1_704_067_200 * 10**9, ended_early=True)

    assert "12 bundles known so far left from 2024-01-01T00:00:00Z on" in report.summary()
    assert "run again with the last state to go on" in report.summary()
