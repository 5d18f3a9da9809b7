"""The reports in a folder are read back, and what is none of them is named."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.errors import SpoolError
from tap_fullstory.reports.history import read_history
from tests import reports
from tests.reports import FIRST, Report, bundle, later, run

AT = "2026-08-03T00:30:00Z"


def test_reports_are_read_in_order(tmp_path: Path) -> None:
    """The last run would be taken for the first, and monitors would judge by it."""
    runs = reports.hundred_days()
    reports.write(tmp_path, reversed(runs))

    history = read_history(tmp_path)

    assert [one["began_at"] for one in runs] == [one.began_at for one in history.runs]
    assert {} == history.unreadable


def test_fractions_of_a_second_are_in_order(tmp_path: Path) -> None:
    """Of two runs within a second the wrong one would be the last."""
    first = run(AT, run="20260803T003000Z-ffffffff")
    second = run(AT, run="20260803T003000Z-00000000", began_at=AT.replace("Z", ".5Z"))
    reports.write(tmp_path, [first, second])

    assert [first["run"], second["run"]] == [one.run for one in read_history(tmp_path).runs]


def test_what_a_run_knows_of_events(tmp_path: Path) -> None:
    """Lag and coverage follow from it."""
    reports.write(tmp_path, [run(AT, bundles=[bundle(FIRST)])])

    (one,) = read_history(tmp_path).runs

    assert reports.seconds(FIRST) * 10**9 == one.since
    assert reports.seconds(later(FIRST, hours=24)) * 10**9 == one.until
    assert one.end_date is None


def test_state_before_counts_until_one_is_written(tmp_path: Path) -> None:
    """After a run that failed at once nobody would know how far events are written."""
    before = reports.events_state(FIRST, later(FIRST, hours=24))
    reports.write(tmp_path, [run(AT, status=77, since=None, state_before=before)])

    (one,) = read_history(tmp_path).runs

    assert reports.seconds(later(FIRST, hours=24)) * 10**9 == one.until


@pytest.mark.parametrize(
    "state",
    [
        None,
        {},
        {"bookmarks": None},
        {"bookmarks": []},
        {"bookmarks": {"events": 7}},
        {"bookmarks": {"events": {"since": 1, "until": ["x"]}}},
        {"bookmarks": {"events": {"since": "soon", "until": "2026-13-01T00:00:00Z"}}},
    ],
)
def test_odd_states_are_survived(tmp_path: Path, state: Any) -> None:
    """A state that somebody has edited would end the monitor with a traceback."""
    odd = {**run(AT), "state": {"before": None, "after": state}, "settings": {"end_date": 5}}
    reports.write(tmp_path, [odd])

    (one,) = read_history(tmp_path).runs

    assert (None, None, None) == (one.since, one.until, one.end_date)


def without(name: str) -> Report:
    """A report that lacks a member."""
    return {key: value for key, value in run(AT).items() if key != name}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '"report"',
        "[" * 100_000,
        "\ud800",
        json.dumps({"name": "somebody", "version": 1}),
        json.dumps(without("state")),
        json.dumps(run(AT) | {"bundles": {}}),
        json.dumps(run(AT) | {"records": "many"}),
        json.dumps(run(AT) | {"format": 2}),
        json.dumps(run(AT) | {"began_at": "yesterday"}),
        json.dumps(run(AT) | {"updated_at": "2026-08-03"}),
        json.dumps(run(AT) | {"ended_at": ""}),
        json.dumps(run(AT) | {"gaps": [["2026-08-01T00:00:00Z", "x"]]}),
        json.dumps(run(AT) | {"gaps": [["2026-08-01T00:00:00Z"]]}),
        json.dumps(run(AT) | {"gaps_given_up": [["2026-08-01T00:00:00+01:00", "2026-08-02T00:00:00Z"]]}),
        json.dumps(run(AT) | {"bundles": [bundle(FIRST) | {"start": "x"}]}),
    ],
)
def test_what_is_no_report_is_named(tmp_path: Path, content: str) -> None:
    """One broken or foreign file would hide all others, or end the monitor with a traceback."""
    reports.write(tmp_path, [run(AT)])
    (tmp_path / "other.json").write_text(content, "utf-8", errors="surrogatepass")

    history = read_history(tmp_path)

    assert 1 == len(history.runs)
    assert ["other.json"] == [*history.unreadable]


def test_a_newer_format_is_said_to_be_one(tmp_path: Path) -> None:
    """Somebody would look for what is broken where only this command is too old."""
    (tmp_path / "new.json").write_text(json.dumps(run(AT) | {"format": 2}), "utf-8")

    assert "format is 2" in read_history(tmp_path).unreadable["new.json"]


def test_members_of_later_versions_are_passed_over(tmp_path: Path) -> None:
    """To update the tap before the monitor would raise an alarm."""
    reports.write(tmp_path, [run(AT, more={"of": "it"}, bundles=[bundle(FIRST, more=1)])])

    assert 1 == len(read_history(tmp_path).runs)


def test_other_files_are_passed_over(tmp_path: Path) -> None:
    """A report that is being written, notes, folders and pipes would be called broken, or waited for."""
    for name in ("20260803T003000Z-00000000.json.tmp", ".hidden.json", "notes.txt"):
        (tmp_path / name).write_text("{", "utf-8")
    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "circle.json").symlink_to("circle.json")

    history = read_history(tmp_path)

    assert ([], {}) == (history.runs, history.unreadable)


def test_one_run_under_two_names_is_one(tmp_path: Path) -> None:
    """A copy that somebody has made would count as a run, and the older of two could win."""
    early = run(AT, status=None, hours_long=0.1)
    reports.write(tmp_path, [run(AT)])
    for name in ("0.json", "z.json"):
        (tmp_path / name).write_text(json.dumps(early), "utf-8")

    (one,) = read_history(tmp_path).runs

    assert 0 == one.status


@pytest.mark.parametrize("name", ["missing", "file", "nul\0"])
def test_folders_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    """A line that says which folder it is, no traceback."""
    (tmp_path / "file").write_text("", "utf-8")

    with pytest.raises(SpoolError, match="folder of reports"):
        read_history(tmp_path / name)
