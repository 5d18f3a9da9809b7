"""What a monitor is told: one line, and how bad it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.moments import parse_moment
from tap_fullstory.reports.check import Level, Verdict, check_line, judge, lasting
from tap_fullstory.reports.health import HOUR
from tap_fullstory.reports.history import read_history
from tap_fullstory.reports.openmetrics import to_openmetrics
from tap_fullstory.reports.summary import to_json, to_lines
from tests import reports
from tests.reports import FIRST, Report, broke_off_at_once, bundle, day, later, run

NOW = later(day(2), hours=6)  # the bundle of day 0 is written, that of day 1 not due
OK, WARNING, CRITICAL, UNKNOWN = Level
# https://nagios-plugins.org/doc/guidelines.html
NUMBER = re.compile(r"[a-z]+=(?:U|\d+(?:s|B)?);\d*;\d*;\d*")
SAMPLE = re.compile(r'([a-z_]+)\{report_dir="((?:[^"\\\n]|\\[\\"n])*)"\} (-?\d+(?:\.\d+)?(?:e[+-]\d+)?)')
HOSTILE = "x | y=1\n\x1b[2J\u202e\x00 z"


def verdict(folder: Path, *runs: Report, now: str = NOW, max_lag: int = 24) -> Verdict:
    """What is said of some reports; max_lag in hours."""
    return judge(read_history(reports.write(folder, runs)), parse_moment(now), max_lag * HOUR)


def nightly(**more: Any) -> Report:
    """The run that writes the bundle of day 0, which ends an hour after it can be had."""
    return run(later(day(2), hours=0.5), **{"bundles": [bundle(FIRST)], **more})


def after(hours: float, status: int | None, **more: Any) -> Report:
    """A run so many hours after that, which reads nothing new."""
    return run(later(day(2), hours=0.5 + hours), status=status, hours_long=0.1, until=day(1), **more)


def test_all_is_well(tmp_path: Path) -> None:
    """An alarm without a reason is one that nobody looks at the next time."""
    line = check_line(verdict(tmp_path, nightly()))

    assert line.startswith("FULLSTORY OK - all that Fullstory could have delivered by now is written, up to ")
    assert "failed=0;" in line and "lag=0s;;86400;0" in line


@pytest.mark.parametrize(
    "hours, max_lag, level",
    [(0, 0, OK), (1, 0, CRITICAL), (1, 1, OK), (6, 5, CRITICAL), (24, 24, OK), (25, 24, CRITICAL)],
)
def test_lag_decides(tmp_path: Path, hours: int, max_lag: int, level: Level) -> None:
    """--max-lag is what may be missing, to the hour."""
    found = verdict(tmp_path, nightly(), now=later(day(3), hours=hours), max_lag=max_lag)

    assert level == found.level
    assert (f"{day(2)} could have been delivered since {day(3)}" in check_line(found)) == (hours > 0)


@pytest.mark.parametrize(
    "status, level",
    [
        (0, OK),
        *((status, CRITICAL) for status in (65, 70, 74, 77, 78)),
        *((status, WARNING) for status in (69, 75, 130, 141, 143)),
        (99, CRITICAL),  # none of ours
    ],
)
def test_the_last_run_decides(tmp_path: Path, status: int, level: Level) -> None:
    """What the next run mends wakes nobody up; what somebody has to mend does."""
    found = verdict(tmp_path, nightly(), after(1, status))

    assert level == found.level
    assert (f"ended with {status} at " in check_line(found)) == (status != 0)


def test_the_line_says_what_the_run_said(tmp_path: Path) -> None:
    """Whoever gets the alarm would have to look for a log."""
    found = verdict(tmp_path, nightly(), after(1, 77, error=reports.FORBIDDEN))

    assert reports.FORBIDDEN in check_line(found)


@pytest.mark.parametrize("statuses, level", [([75, 143], WARNING), ([75, 143, 69], CRITICAL), ([75, 69, 75, 0], OK)])
def test_several_in_a_row_are_no_accident(tmp_path: Path, statuses: list[int], level: Level) -> None:
    """Fullstory would be out of reach for days, and nobody be told."""
    runs = [after(number, status) for number, status in enumerate(statuses, 1)]

    assert level == verdict(tmp_path, nightly(), *runs).level


def test_runs_without_one_that_ended_well(tmp_path: Path) -> None:
    """A tap that never worked would be on its first attempts for ever."""
    found = verdict(tmp_path, *(broke_off_at_once(later(day(2), hours=n), status=75) for n in range(3)))

    assert (CRITICAL, 3, None) == (found.level, found.failed, found.succeeded)
    assert "lag=U;" in check_line(found)


def test_a_killed_run_is_a_warning(tmp_path: Path) -> None:
    """It leaves no status; nobody would hear of the memory that is missing."""
    found = verdict(tmp_path, nightly(), after(1, None))

    assert WARNING == found.level
    assert "killed" in check_line(found)
    assert [] == found.running


def test_killed_runs_are_failures_in_a_row(tmp_path: Path) -> None:
    """A tap that is killed each hour would be a warning for ever."""
    assert CRITICAL == verdict(tmp_path, nightly(), *(after(n, None) for n in (1, 2, 3))).level


def test_a_killed_run_that_another_one_has_followed(tmp_path: Path) -> None:
    """The warning would stay although all is mended."""
    assert OK == verdict(tmp_path, nightly(), after(1, None), after(2, 0)).level


@pytest.mark.parametrize("status, level", [(0, OK), (75, WARNING), (77, CRITICAL)])
def test_a_run_on_its_way_says_nothing_yet(tmp_path: Path, status: int, level: Level) -> None:
    """Each run would end the alarm for as long as it lasts, or raise one."""
    going = run(later(NOW, hours=-1), status=None, hours_long=0.95)

    found = verdict(tmp_path, nightly(), after(1, status), going)

    assert level == found.level
    assert [going["run"]] == [one.run for one in found.running]


def test_the_first_run_is_on_its_way(tmp_path: Path) -> None:
    """A backfill of days would begin with an alarm."""
    found = verdict(tmp_path, run(later(NOW, hours=-1), status=None, hours_long=0.95))

    assert OK == found.level
    assert "the first run has not ended yet" in check_line(found)


def test_of_runs_side_by_side_the_last_to_end_counts(tmp_path: Path) -> None:
    """A long run that ends well would be judged by a short one that came to an end meanwhile."""
    long, short = nightly(hours_long=5), after(0.1, 75)

    assert OK == verdict(tmp_path, long, short).level


def test_bounded_backfills_are_not_judged_beside_others(tmp_path: Path) -> None:
    """A backfill by hand that fails is seen by who started it; the nightly alarm is for the nightly run."""
    backfill = after(1, 78, settings={"end_date": day(0)})

    assert OK == verdict(tmp_path / "both", nightly(), backfill).level
    assert CRITICAL == verdict(tmp_path / "alone", backfill).level


def test_what_a_backfill_was_to_read_and_did_not_is_a_warning(tmp_path: Path) -> None:
    """Once its window is forgotten, nothing else would ever say that these events are not there."""
    backfill = after(1, 78, settings={"start_date": day(-3), "end_date": day(-1)})

    found = verdict(tmp_path, nightly(), backfill)

    assert WARNING == found.level
    assert f"a run was to read {day(-3)} to {day(-1)}, and none has" in check_line(found)
    assert "Run that window again" in found.problems[0].advice


def test_one_window_is_not_all_of_them(tmp_path: Path) -> None:
    """While a history is read in windows side by side, the one that ends first would say that all is written."""
    window = run(day(1), bundles=[bundle(day(0))], since=day(0), settings={"end_date": day(1)})

    line = check_line(verdict(tmp_path, window))

    assert line.startswith("FULLSTORY OK - a run has reached its end_date")
    assert "all that" not in line


@pytest.mark.parametrize("number, words", [(1, "1 gap: "), (2, "2 gaps: ")])
def test_gaps_are_a_warning(tmp_path: Path, number: int, words: str) -> None:
    """A bundle that is missing would be seen when somebody misses its events."""
    gaps = [[day(-3 * n), day(-3 * n + 1)] for n in range(1, number + 1)]

    found = verdict(tmp_path, nightly(gaps=gaps, since=day(-9)))

    assert WARNING == found.level
    assert f"{words}no bundle covers {day(-3)} to {day(-2)}" in check_line(found)
    assert f" gaps={number};0;" in check_line(found)


def test_unreadable_reports_are_a_warning(tmp_path: Path) -> None:
    """The last run could be among them."""
    (tmp_path / "a.json").write_text("{}", "utf-8")
    (tmp_path / "b.json").write_text("{}", "utf-8")

    found = verdict(tmp_path, nightly())

    assert WARNING == found.level
    assert "2 files" in check_line(found) and "a.json" in check_line(found)


def test_clocks_that_differ_are_a_warning(tmp_path: Path) -> None:
    """A lag that is computed from two clocks would be believed."""
    found = verdict(tmp_path, nightly(), now=later(day(1), hours=0))

    assert WARNING == found.level
    assert "in the future" in check_line(found)


@pytest.mark.parametrize("broken", [0, 1])
def test_no_run_is_unknown(tmp_path: Path, broken: int) -> None:
    """A monitor that looks into the wrong folder would see that all is well."""
    for number in range(broken):
        (tmp_path / f"{number}.json").write_text("", "utf-8")

    found = verdict(tmp_path)

    assert UNKNOWN == found.level
    assert check_line(found).startswith("FULLSTORY UNKNOWN - there is no report of a run yet")
    assert bool(broken) == ("0.json" in check_line(found))


def test_the_worst_comes_first(tmp_path: Path) -> None:
    """The screen of a monitor shows the beginning."""
    found = verdict(tmp_path, after(1, 77, gaps=[[day(-3), day(-2)]]), now=day(5))

    assert [CRITICAL, CRITICAL, WARNING] == [one.level for one in found.problems]
    assert check_line(found).startswith("FULLSTORY CRITICAL - 2 days behind")


@pytest.mark.parametrize("error", [HOSTILE, "word " * 10_000, "|" * 5000, "\0" * 5000, ""])
def test_the_line_is_one_that_plugins_print(tmp_path: Path, error: str) -> None:
    """What follows a | is for graphs; a monitor would cut, or mistake, what is not as it expects."""
    (tmp_path / f"odd{HOSTILE[:5]}.json").write_text("", "utf-8")

    line = check_line(verdict(tmp_path, nightly(), after(1, 77, error=error)))

    assert line.isprintable()
    assert len(line.encode()) < 1024
    text, numbers = line.split(" | ")
    assert text.startswith("FULLSTORY CRITICAL - ") and "|" not in text
    assert {"lag", "failed", "gaps", "duration", "records", "bytes"} == {one.split("=")[0] for one in numbers.split()}
    assert [] == [one for one in numbers.split() if not NUMBER.fullmatch(one)]


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 s"), (89, "89 s"), (90, "1.5 min"), (7200, "2 h"), (34200, "9.5 h"), (172800, "2 days")],
)
def test_durations_are_said_in_one_unit(seconds: int, text: str) -> None:
    """34200 s is a number that nobody knows."""
    assert text == lasting(seconds * 10**9)


def test_json_holds_the_same(tmp_path: Path) -> None:
    """A script would have to read the line for people."""
    gap = [day(-3), day(-2)]
    going = run(later(day(3), hours=29.9), status=None, hours_long=0.05)
    found = verdict(tmp_path, nightly(gaps=[gap]), after(1, 77, gaps=[gap]), going, now=later(day(3), hours=30))

    told = json.loads(to_json(found))

    assert "CRITICAL" == told["status"]
    assert ["CRITICAL", "CRITICAL", "WARNING"] == [one["status"] for one in told["problems"]]
    assert (30 * 3600, 24 * 3600) == (told["lag"], told["max_lag"])
    assert (day(1), day(2), day(3)) == (told["until"], told["next_bundle"]["stop"], told["next_bundle"]["due"])
    assert [gap] == told["gaps"]
    assert (77, 360, 0) == tuple(told["last_run"][name] for name in ("status", "duration", "records"))
    assert nightly()["ended_at"] == told["last_success"]
    assert (1, 3, [going["run"]]) == (told["failed_in_a_row"], told["runs"], [one["run"] for one in told["running"]])


def test_json_of_nothing(tmp_path: Path) -> None:
    """A script would fail over members that are missing before the first run."""
    told = json.loads(to_json(verdict(tmp_path)))

    assert {*json.loads(to_json(verdict(tmp_path / "one", nightly())))} == {*told}
    assert ("UNKNOWN", None, None) == (told["status"], told["lag"], told["last_run"])


def test_people_are_told_what_to_do(tmp_path: Path) -> None:
    """Somebody sees that it went wrong, and then has to ask what now."""
    gap = [day(-3), day(-2)]
    runs = (nightly(gaps=[gap]), after(1, 77, error=reports.FORBIDDEN, gaps=[gap]))

    told = to_lines(verdict(tmp_path, *runs, now=later(day(3), hours=30)))

    assert told.startswith("CRITICAL: 3 things are not as they should be\n")
    for words in ("ended with 77", reports.FORBIDDEN, "30 h behind", f"{gap[0]} to {gap[1]}", f"up to {day(2)}"):
        assert words in told
    assert nightly()["ended_at"] in told


def test_people_are_told_that_all_is_well(tmp_path: Path) -> None:
    """Nobody believes a command that says nothing."""
    told = to_lines(verdict(tmp_path, nightly()))

    assert told.startswith("OK: all is well\n")
    assert "1000 records" in told


def test_nothing_in_a_report_steers_a_terminal(tmp_path: Path) -> None:
    """An error may quote what a server has answered."""
    told = to_lines(verdict(tmp_path, nightly(), after(1, 77, error=HOSTILE)))

    assert all(line.isprintable() for line in told.split("\n"))


def parsed(text: str) -> dict[str, float]:
    """The values of metrics, by name; strict where either of the two formats is."""
    *lines, end, rest = text.split("\n")
    assert ("# EOF", "") == (end, rest)
    values: dict[str, float] = {}
    told: dict[str, dict[str, str]] = {}
    for line in lines:
        if line.startswith("#"):
            word, name, value = re.fullmatch(r"# (TYPE|HELP|UNIT) (\w+) (.+)", line).groups()  # type: ignore[union-attr]
            assert name not in values and word not in told.get(name, {})  # no late ones, no two
            told.setdefault(name, {})[word] = value
        else:
            found = SAMPLE.fullmatch(line)
            assert found and found[1] == [*told][-1] and found[1] not in values
            values[found[1]] = float(found[3])
    assert {*told} == {*values}
    for name, facts in told.items():
        assert "gauge" == facts["TYPE"] and "HELP" in facts
        assert not re.search("_(total|created|info|bucket|count|sum)$", name)  # those are of other types
        assert "UNIT" not in facts or name.endswith(f"_{facts['UNIT']}")
    return {name.removeprefix("tap_fullstory_"): value for name, value in values.items()}


def test_metrics_hold_the_same(tmp_path: Path) -> None:
    """What is not there cannot be drawn, and what is malformed ends all metrics of the machine."""
    gap = [day(-3), day(-2)]
    slow = bundle(FIRST, waited=60.5, retries=3)
    found = verdict(tmp_path, nightly(gaps=[gap], bundles=[slow]), now=later(day(3), hours=30))

    values = parsed(to_openmetrics(found, Path('/a "b"\\c\n')))

    assert {
        "check_status": 2,
        "unreadable_reports": 0,
        "lag_seconds": 30 * 3600,
        "written_until_timestamp_seconds": reports.seconds(day(1)),
        "next_bundle_due_timestamp_seconds": reports.seconds(day(3)),
        "gaps": 1,
        "running_runs": 0,
        "failed_runs": 0,
        "last_success_timestamp_seconds": reports.seconds(day(2)) + 3600,
        "last_run_status": 0,
        "last_run_begin_timestamp_seconds": reports.seconds(day(2)) + 1800,
        "last_run_end_timestamp_seconds": reports.seconds(day(2)) + 3600,
        "last_run_duration_seconds": 1800,
        "last_run_records": 1000,
        "last_run_bytes": 200_000,
        "last_run_waited_seconds": 60.5,
        "last_run_retries": 3,
    } == values


def test_metrics_of_a_run_that_was_killed(tmp_path: Path) -> None:
    """It has no status; 0 would be a lie."""
    assert 137 == parsed(to_openmetrics(verdict(tmp_path, nightly(), after(1, None)), tmp_path))["last_run_status"]


def test_metrics_leave_out_what_is_not_known(tmp_path: Path) -> None:
    """A lag of 0 that nobody knows would be drawn as health."""
    users = parsed(to_openmetrics(verdict(tmp_path / "users", run(day(1), since=None)), tmp_path))
    nothing = parsed(to_openmetrics(verdict(tmp_path / "nothing"), tmp_path))

    assert {"lag_seconds", "written_until_timestamp_seconds"} & {*users} == set()
    assert 0 == users["last_run_status"]
    assert {"check_status": 3, "unreadable_reports": 0} == nothing
