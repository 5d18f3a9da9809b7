"""The report of a run: when it is written, and what must not get into it."""

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory import report_file
from tap_fullstory.config import parse_setting
from tap_fullstory.errors import ConfigError
from tap_fullstory.logs import NAME
from tap_fullstory.report import Change, Report
from tap_fullstory.report_file import LONGEST_NAME, LONGEST_TEXT, MOST_NAMES, MOST_WARNINGS, ReportFile


@pytest.fixture
def run(tmp_path: Path) -> "Run":
    """A run that writes its report into a folder of its own."""
    return Run(tmp_path)


class Run:
    """A run that has just begun."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.report = Report()
        self.file = ReportFile(self.report)
        self.file.begin({"report_dir": str(folder), **settings})

    def read(self) -> dict[str, Any]:
        """The only report in the folder."""
        (path,) = self.folder.iterdir()
        found: dict[str, Any] = json.loads(path.read_bytes())
        return found


def test_a_report_is_there_from_the_beginning_and_follows_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is killed after hours would have left nothing of them."""
    assert (None, None, 0) == (run.read()["status"], run.read()["ended_at"], run.read()["records"])
    run.report.records = 5
    run.file.update()
    assert 0 == run.read()["records"]

    monkeypatch.setattr(report_file, "INTERVAL", 0.0)
    run.file.update()

    assert (None, 5) == (run.read()["status"], run.read()["records"])


def test_the_first_end_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal that comes while the last report is written would make a failed run of a good one."""
    run.file.end(0, None)
    run.file.end(143, "Stopped.")
    monkeypatch.setattr(report_file, "INTERVAL", 0.0)
    run.file.update()

    assert (0, None) == (run.read()["status"], run.read()["error"])


def test_settings_that_were_not_checked_are_shown_without_harm(tmp_path: Path) -> None:
    """A run that fails for its settings has a report, and what is wrong in them may be anything."""
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    run = Run(
        tmp_path,
        api_key=["a"],
        max_runtime=float("nan"),
        event_types=deep,
        export_url="https://me:secret@host/x",
        sessions_for="jane@example.com",
        user_agent="half a \ud800 pair",
        apikey="a secret whose name is misspelt",
    )
    run.file.end(78, "wrong")

    settings = run.read()["settings"]
    assert {"***"} == {settings[name] for name in ("api_key", "max_runtime", "event_types", "sessions_for", "apikey")}
    assert ("https://***@host/x", "half a ? pair") == (settings["export_url"], settings["user_agent"])


@pytest.mark.parametrize("folder", [None, 5, "", "a\0b", ["reports"]])
def test_what_names_no_folder_gets_no_report(folder: Any) -> None:
    """A wrong report_dir is for the check of settings to say; here it must do no harm."""
    file = ReportFile(Report())
    file.begin({"report_dir": folder})
    file.update()
    file.end(78, "wrong")


def test_a_report_stays_small(run: Run) -> None:
    """An account whose names of variables are made of order numbers would fill the disk with reports."""
    run.report.custom.update({f"evt_{number}_str": number + 1 for number in range(MOST_NAMES + 10)})
    run.report.custom["x" * 10_000] = 10**6
    run.report.change(Change.NEW_FIELD, [f"Field{number}" for number in range(MOST_NAMES + 10)])
    for number in range(MOST_WARNINGS + 5):
        logging.getLogger(NAME).warning("%s", f"{number}" + "w" * 10_000)

    run.file.end(65, "e" * 10_000)

    found = run.read()
    variables = found["custom_variables"]
    assert (MOST_NAMES, 11) == (len(variables["values"]), variables["left_out"])
    assert "evt_0_str" not in variables["values"] and 10**6 == variables["values"]["x" * LONGEST_NAME]
    assert MOST_NAMES == len(variables["new"]) == len(found["changes"]["new_field"])
    assert (MOST_WARNINGS, 5) == (len(found["warnings"]), found["warnings_left_out"])
    assert {LONGEST_TEXT} == {len(text) for text in (*found["warnings"], found["error"])}


def test_files_that_are_no_reports_do_not_matter(run: Run) -> None:
    """Something that somebody put there, or half of a file, would end a run."""
    for number, text in enumerate(
        (b"", b"[]", b"{", b'{"custom_variables": 5}', b'{"custom_variables": {"values": [1]}}')
    ):
        (run.folder / f"20260101T00000{number}Z-00000000.json").write_bytes(text)
    run.report.custom["evt_a_str"] = 1

    run.file.end(0, None)

    names = {path.name[:8] for path in run.folder.iterdir()}
    assert 2 == len(names)
    newest = max(run.folder.iterdir(), key=lambda path: path.name)
    assert ["evt_a_str"] == json.loads(newest.read_bytes())["custom_variables"]["new"]


def test_no_run_fails_for_its_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that cannot be made would keep the data away: a path that is no text, settings without a bottom."""
    deep: list[Any] = []
    for _ in range(600):
        deep = [deep]
    for settings in ({"report_dir": "half a \ud800 pair"}, {"report_dir": str(tmp_path), "event_types": deep}):
        file = ReportFile(Report())
        file.begin(settings)
        file.end(0, None)
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    file = ReportFile(Report())
    file.begin({"report_dir": "reports"})
    file.end(0, None)
    monkeypatch.undo()  # what comes next asks where it is


@pytest.mark.parametrize(
    "people",
    ["jane@example.com", [{"email": "jane@example.com"}], [*["email:jane.of.the.long.name@example.com"] * 9, 5]],
)
def test_an_error_in_the_list_of_people_names_none(tmp_path: Path, people: Any) -> None:
    """A mistake in sessions_for, as simple as brackets that are missing, would put people into a report."""
    run = Run(tmp_path, sessions_for=people)
    with pytest.raises(ConfigError) as found:
        parse_setting("sessions_for", people)
    assert "jane" in str(found.value)

    run.file.end(78, str(found.value))

    assert "jane" not in json.dumps(run.read())
    assert "sessions_for" in run.read()["error"]


def test_a_login_in_a_url_is_hidden_wherever_it_stands(tmp_path: Path) -> None:
    """A password in a URL, of a proxy or of a bucket, would be sent around with the report."""
    batch = {"storage": {"root": "s3://me:pass/w@rd@bucket/x"}, "more": ["s3://me:passw@rd@bucket/x?token=rd"]}
    run = Run(tmp_path, batch_config=batch, export_url="https://me:pa@ss/w@rd@host/x?token=rd")
    with pytest.raises(ConfigError) as found:
        parse_setting("batch_config", batch["more"])
    run.file.end(78, str(found.value))

    assert "rd" not in json.dumps(run.read()["settings"])
    assert "rd@" not in run.read()["error"]
    assert run.read()["settings"]["batch_config"]["storage"]["root"].endswith("bucket/x")


def test_a_run_does_not_remove_its_own_report(tmp_path: Path) -> None:
    """A machine whose clock is set only after it has begun, or a run longer than reports are kept, would leave none."""
    with pytest.MonkeyPatch.context() as unset:
        unset.setattr(time, "time", lambda: 0.0)
        run = Run(tmp_path)
    run.file.keep_days = 1.0

    run.file.end(69, "Try again.")

    assert 69 == run.read()["status"]


def test_a_clock_that_is_far_ahead_removes_no_history(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run of a machine whose clock is wrong would remove all that is known of the runs before."""
    earlier = run.folder / "20260101T000000Z-00000000.json"
    earlier.write_text("{}", "utf-8")
    run.file.keep_days = 400.0
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)

    run.file.end(0, None)

    assert earlier.exists()


def test_other_reports_are_read_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account with new names in each bundle would read years of reports once a minute, and do nothing else."""
    other = run.folder / "20260101T000000Z-00000000.json"
    other.write_text(json.dumps({"custom_variables": {"values": {"evt_a": 1, "evt_b": 1}}}), "utf-8")
    monkeypatch.setattr(report_file, "INTERVAL", 0.0)
    run.report.custom["evt_new_0"] = 1
    run.file.update()
    other.unlink()
    run.report.custom.update(["evt_a", "evt_new_1"])
    run.file.update()

    assert ["evt_new_0", "evt_new_1"] == run.read()["custom_variables"]["new"]


def test_a_folder_that_does_not_answer_holds_nobody_up(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A network drive that hangs would keep the data away, which go elsewhere."""
    monkeypatch.setattr(report_file, "INTERVAL", 0.0)
    monkeypatch.setattr(report_file, "PATIENCE", 0.1)
    pipe = run.folder / "20260101T000000Z-00000000.json"
    os.mkfifo(pipe)  # whoever opens it waits for somebody who writes
    run.report.custom["evt_a_str"] = 1
    for _ in range(3):
        run.file.update()
    waiting = [thread for thread in threading.enumerate() if thread.name == "report"]
    run.file.end(0, None)

    assert 1 == len(waiting)
    assert ["does not answer" in text for text in caplog.messages] == [True]
    pipe.write_text("", "utf-8")
    for thread in threading.enumerate():
        if thread.name == "report":
            thread.join()
    pipe.unlink()
    assert 0 == run.read()["status"]
