"""The report that each run leaves in `report_dir`."""

import json
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import tap_fullstory
from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.hidden import DEBUG, HEADER, KEY, assert_hidden
from tests.integration.objects import catalog
from tests.integration.reports import read_reports
from tests.integration.tap import (
    DAY,
    FIRST,
    GET,
    LIST,
    TIMEOUT,
    Json,
    Tap,
    big_bundle,
    bundle,
    event,
    finished,
    read_lines,
    rfc,
)
from tests.integration.test_resume import MANY

only_data_export = pytest.mark.only_source("data_export")


class Reports:
    """The folder of reports of a tap."""

    def __init__(self, tap: Tap) -> None:
        self.folder = tap.folder / "reports"
        self.settings = {"report_dir": str(self.folder)}

    def all(self) -> list[Json]:
        """All of them, the oldest first; each has to be as the schema says, and nothing else lies there."""
        return read_reports(self.folder)

    def only(self) -> Json:
        """The only one."""
        (report,) = self.all()
        return report


@pytest.fixture
def reports(run_tap: Tap) -> Reports:
    """The folder of reports of the tap."""
    return Reports(run_tap)


def test_a_run_leaves_one_report(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Who asks whether it ran, and what it did, would have to read logs."""
    emulator.bundles = [bundle(0), bundle(1, 0), bundle(2, 5)]

    run = run_tap(settings={**reports.settings, "checkpoint_records": 2}, state={"bookmarks": {}})

    report = reports.only()
    assert (0, None, False) == (report["status"], report["error"], report["ended_early"])
    assert tap_fullstory.__version__ == report["tap_version"]
    assert report["began_at"] <= report["updated_at"] <= report["ended_at"]
    assert {"bookmarks": {}} == report["state"]["before"]
    assert run.states[-1] == report["state"]["after"]
    assert [("written", 3, 3), ("written", 0, 0), ("written", 5, 5)] == [
        (one["status"], one["events"], one["records"]) for one in report["bundles"]
    ]
    assert [(rfc(FIRST + day * DAY), rfc(FIRST + (day + 1) * DAY)) for day in range(3)] == [
        (one["start"], one["stop"]) for one in report["bundles"]
    ]
    assert {one["_bundle_id"] for one in run.records()} < {one["id"] for one in report["bundles"]}
    (stream,) = report["streams"]
    assert ("events", 8, "finished") == (stream["name"], stream["records"], stream["status"])
    assert 8 == report["records"]
    assert 0 < report["bytes"] == stream["bytes"] == sum(one["bytes"] for one in report["bundles"])


@only_data_export
def test_waits_and_retries_are_those_of_their_bundle(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Nobody could tell which bundle costs the time."""
    emulator.bundles = [bundle(0), bundle(1)]
    slow = emulator.bundles[1].id
    emulator.faults = [
        Fault(GET, status=429, headers={"Retry-After": "1"}, match={"id": str(slow)}, times=2),
        Fault(LIST, status=500),
    ]

    run_tap(settings={**reports.settings, "retry_timeout": 20})

    report = reports.only()
    quick, waited = report["bundles"]
    assert (0, 0) == (quick["retries"], quick["waited"])
    assert 2 == waited["retries"]
    assert 2 <= waited["waited"] <= waited["seconds"]
    assert 3 == report["retries"] == report["streams"][0]["retries"]
    assert waited["waited"] < report["waited"] == report["streams"][0]["waited"]
    assert any("HTTP 500" in text for text in report["warnings"])


def test_a_run_that_finds_nothing_leaves_a_report_too(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A monitor would take a job that found nothing for one that did not run."""
    emulator.bundles = [bundle(0)]
    first = run_tap(settings=reports.settings)

    run_tap(settings=reports.settings, state=first.states[-1])

    _, second = reports.all()
    assert (0, 0, []) == (second["status"], second["records"], second["bundles"])
    assert first.states[-1] == second["state"]["before"]
    assert first.bookmark == second["state"]["after"]["bookmarks"]["events"]


@only_data_export
@pytest.mark.parametrize(
    ("options", "faults", "status"),
    [
        ({"settings": {"start_date": "2023-13-01"}}, [], 78),
        ({"state": b""}, [], 78),
        ({"catalog": {"streams": [{"tap_stream_id": "pages", "metadata": [], "selected": True}]}}, [], 78),
        ({"settings": {"spool_dir": "/proc/nowhere"}}, [], 74),
        ({}, [Fault(LIST, status=401)], 77),
        ({}, [Fault(LIST, status=403)], 77),
        ({}, [Fault(LIST, status=500, times=None)], 69),
        ({}, [Fault(LIST, status=429, headers={"Retry-After": "7200"})], 75),
        ({}, [Fault(GET, raw=b"{}", times=None)], 65),
    ],
)
def test_a_run_that_fails_says_why_in_its_report(
    run_tap: Tap,
    reports: Reports,
    options: dict[str, Any],
    faults: list[Fault],
    status: int,
) -> None:
    """The page could not say what went wrong, and what to do."""
    run_tap.emulator.bundles = [bundle(0)]
    run_tap.emulator.faults = faults

    run = run_tap(**{**options, "settings": {**reports.settings, **options.get("settings", {})}})

    report = reports.only()
    assert (status, status) == (run.status, report["status"])
    assert report["error"] and f"CRITICAL {report['error']}" == run.last_line
    assert report["ended_at"] is not None


@only_data_export
def test_a_bug_is_named_without_what_it_says(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """The text of an exception can hold anything, also what a visitor typed."""
    emulator.bundles = [bundle(0)]
    breaking = "import tap_fullstory.sync as s\ndef fail(*_): raise ValueError('typed by a visitor')\ns.sync = fail\n"
    (run_tap.folder / "sitecustomize.py").write_text(breaking, "utf-8")

    done = run_tap.bare(run_tap.command(settings=reports.settings)[3:], {"PYTHONPATH": str(run_tap.folder)})

    assert 70 == done.returncode
    report = reports.only()
    assert (70, True) == (report["status"], "ValueError" in report["error"])
    assert "visitor" not in json.dumps(report)


def test_a_stopped_run_leaves_a_report(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A job that a scheduler stops would be missing from the list of runs."""
    emulator.bundles = [big_bundle(MANY)]
    process = run_tap.start(settings=reports.settings)
    begun = read_lines(process, 2000)
    process.send_signal(signal.SIGTERM)
    rest, errors = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, begun + rest, errors)

    report = reports.only()
    assert (143, 143) == (run.status, report["status"])
    assert run.states[-1] == report["state"]["after"]
    assert [("begun", len(run.records()))] == [(one["status"], one["records"]) for one in report["bundles"]]
    assert "begun" == report["streams"][0]["status"]


@only_data_export
@pytest.mark.long
def test_a_run_whose_target_takes_nothing_leaves_a_report(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """It ends while it writes, where nothing but another thread can note that."""
    emulator.bundles = [big_bundle(MANY)]
    process = run_tap.start(settings=reports.settings)
    read_lines(process, 2000)
    threading.Event().wait(1)  # until the pipe is full
    process.send_signal(signal.SIGTERM)

    assert 143 == process.wait(TIMEOUT)
    process.kill()
    process.communicate()
    assert 143 == reports.only()["status"]


@only_data_export
def test_a_killed_run_leaves_a_report_without_an_end(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """What kills a job, a machine that went down or memory that ran out, would leave no trace."""
    emulator.bundles = [big_bundle(MANY)]
    process = run_tap.start(settings=reports.settings)
    read_lines(process, 2000)
    process.kill()
    process.communicate()

    report = reports.only()
    assert (None, None) == (report["status"], report["ended_at"])


@only_data_export
def test_a_closed_pipe_is_in_the_report(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A target that gave up would look like a tap that did."""
    emulator.bundles = [big_bundle(MANY)]
    process = run_tap.start(settings=reports.settings)
    read_lines(process, 10)
    assert process.stdout
    process.stdout.close()

    assert 141 == process.wait(TIMEOUT)
    process.stderr.close()  # type: ignore[union-attr]
    report = reports.only()
    assert (141, True) == (report["status"], "target" in report["error"])


@only_data_export
@pytest.mark.parametrize("how", ["a file", "full", "not ours"])
def test_a_run_does_not_need_its_report(run_tap: Tap, emulator: Emulator, how: str) -> None:
    """A full disk beside the data would keep the data away."""
    emulator.bundles = [bundle(0), bundle(1)]
    folder = Path("/proc/1/reports") if how == "not ours" else run_tap.folder / "reports"
    if how == "a file":
        folder.write_bytes(b"")
    limited = ["sh", "-c", 'ulimit -f 1; exec "$@"', "sh"] if how == "full" else []  # enough for a bundle

    process = run_tap.start(settings={"report_dir": str(folder)}, before=limited)
    printed, errors = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, printed, errors)

    assert 0 == run.status
    assert [0, 1, 2, 100, 101, 102] == run.numbers()
    assert 1 == sum("No report of this run" in line for line in run.said)
    assert how != "full" or [] == [*folder.iterdir()]


@only_data_export
def test_a_folder_that_goes_away_is_made_again(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Somebody who tidies up while a run works would leave it without a report."""
    emulator.bundles = [big_bundle(MANY)]
    process = run_tap.start(settings=reports.settings)
    begun = read_lines(process, 100)
    reports.only()
    for path in reports.folder.iterdir():
        path.unlink()
    reports.folder.rmdir()
    printed, errors = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, begun + printed, errors)

    assert 0 == run.status
    assert MANY == reports.only()["records"]
    assert "No report" not in run.stderr


@only_data_export
def test_a_report_holds_no_secret(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Reports are read by monitors and sent around, and whoever has the key has all data."""
    emulator.api_key = KEY
    emulator.bundles = [bundle(0)]
    settings = {
        **reports.settings,
        "http_headers": {"X-Token": HEADER},
        "hash_key": HEADER,
        "hash_columns": ["UserEmail"],
        "api_secret": HEADER,  # a name that the tap does not know
    }
    emulator.faults = [Fault(None, status=500, body=f"{KEY} {HEADER}".encode())]

    run = run_tap(settings=settings, env=DEBUG)

    assert 0 == run.status
    assert_hidden(run, run_tap.folder)
    shown = reports.only()["settings"]
    assert {"***"} == {shown[name] for name in ("api_key", "http_headers", "hash_key", "api_secret")}
    assert (["UserEmail"], emulator.url) == (shown["hash_columns"], shown["export_url"])


@only_data_export
def test_a_report_holds_nothing_of_a_record(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """What a visitor typed would lie in a folder that nobody thinks of when somebody asks to be deleted."""
    typed = "Jane Example, 1 Main Street"
    emulator.bundles = [
        Bundle(
            FIRST, FIRST + DAY, [event(1, UserEmail=typed, PageUrl=[typed], evt_order_str=typed, EventTargetText=typed)]
        )
    ]

    run = run_tap(settings={**reports.settings, "event_key": True})

    assert 1 == len(run.records())
    assert 1 == reports.only()["records"]
    (text,) = [path.read_text("utf-8") for path in reports.folder.iterdir()]
    assert "Jane" not in text and "Street" not in text
    assert "evt_order_str" in text


@only_data_export
def test_a_report_names_nobody_whose_sessions_are_listed(run_tap: Tap, reports: Reports) -> None:
    """Settings, bookmarks and warnings of user_sessions name people."""
    settings = {**reports.settings, "sessions_for": ["email:jane@example.com", "uid:jane/7"], "retry_timeout": 0.2}
    for faults in ([], [Fault("/sessions/v2", status=400, body=b"no jane@example.com")]):
        run_tap.emulator.faults = faults
        run = run_tap(settings=settings, catalog=catalog("user_sessions"))
        assert [] == faults or "jane" in run.stderr

    for report in reports.all():
        assert "jane" not in json.dumps(report)
        assert "2 people" == report["settings"]["sessions_for"]
    assert "2 people" == reports.all()[0]["state"]["after"]["bookmarks"]["user_sessions"]


@only_data_export
def test_new_custom_variables_are_those_that_no_report_has_named(
    run_tap: Tap, emulator: Emulator, reports: Reports
) -> None:
    """The analyst who waits for a variable would have to compare lists."""
    state: Json = {}
    for day, names in enumerate((["a_str"], ["a_str", "b_int"], ["b_int"], [])):
        moment = FIRST + day * DAY
        events = [event(day, moment, **{f"evt_{name}": 1 for name in names})]
        emulator.bundles = [*emulator.bundles, Bundle(moment, moment + DAY, events)]
        state = run_tap(settings=reports.settings, state=state).states[-1]

    found = [report["custom_variables"] for report in reports.all()]
    assert [["evt_a_str"], ["evt_b_int"], [], []] == [one["new"] for one in found]
    assert {"evt_a_str": 1, "evt_b_int": 1} == found[1]["values"]


@only_data_export
def test_changed_values_are_counted_by_column(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A field that changes its type at Fullstory would be noticed in the warehouse only."""
    emulator.bundles = [
        Bundle(FIRST, FIRST + DAY, [event(1, PageUrl="a\0b", PageNumInfos="many"), event(2, NewField=1)])
    ]

    run_tap(settings=reports.settings)

    changes = reports.only()["changes"]
    assert {"moved": {"PageNumInfos": 1}, "new_field": {"NewField": 1}, "replaced": {"PageUrl": 1}} == changes


@only_data_export
def test_gaps_late_bundles_and_what_is_read_again(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """The calendar could not show what is missing, and what came late."""
    settings = {**reports.settings, "event_key": True, "reread_hours": 1_000_000, "gap_check_hours": 1_000_000}
    emulator.bundles = [bundle(0), bundle(2)]
    first = run_tap(settings=settings)
    emulator.bundles = [bundle(0), bundle(1), bundle(2, 4)]
    run_tap(settings=settings, state=first.states[-1])

    before, after = reports.all()
    gap = [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]]
    assert (gap, []) == (before["gaps"], after["gaps"])
    told = {one["start"]: (one["status"], one["late"], one["again"], one["records"]) for one in after["bundles"]}
    assert {
        rfc(FIRST): ("unchanged", False, True, 0),
        rfc(FIRST + DAY): ("written", True, False, 3),
        rfc(FIRST + 2 * DAY): ("written", False, True, 4),
    } == told


@only_data_export
@pytest.mark.parametrize("stream", ["events", "bundles"])
def test_a_run_that_fails_forgets_no_gap(run_tap: Tap, emulator: Emulator, reports: Reports, stream: str) -> None:
    """A key that is refused for a day would end the warning of a gap, as if its bundle had come."""
    emulator.bundles = [bundle(0), bundle(2)]
    settings = {**reports.settings, "gap_check_hours": 1_000_000}
    first = run_tap(settings=settings, catalog=catalog(stream))
    emulator.faults = [Fault(LIST, status=401)]
    run_tap(settings=settings, catalog=catalog(stream), state=first.states[-1])

    before, after = reports.all()
    assert [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]] == before["gaps"] == after["gaps"]


@only_data_export
def test_the_state_of_before_is_all_of_it(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Who looks for the reason why a stream was first would not see that an earlier run had begun it."""
    emulator.bundles = [bundle(0)]
    state = {"bookmarks": {}, "currently_syncing": "segments"}

    run_tap(settings=reports.settings, catalog=catalog("events", "segments"), state=state)

    assert state == reports.only()["state"]["before"]


@only_data_export
def test_warnings_are_kept_whatever_is_printed(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """With LOGLEVEL=ERROR a run that misses a day would look as if all were well."""
    emulator.bundles = [bundle(0), bundle(2)]

    run = run_tap(settings=reports.settings, env={"LOGLEVEL": "ERROR"})

    assert (0, "") == (run.status, run.stderr)
    assert any("No bundle covers" in text for text in reports.only()["warnings"])


@only_data_export
def test_given_up_gaps_and_skipped_bundles_are_named(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """What will never come would look as if it were still on its way."""
    emulator.bundles = [bundle(0), bundle(2), bundle(3)]
    settings = {**reports.settings, "gap_check_hours": 0, "skip_bundles": [emulator.bundles[2].id]}

    run_tap(settings=settings)

    report = reports.only()
    assert [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]] == report["gaps_given_up"]
    assert ["written", "written", "skipped"] == [one["status"] for one in report["bundles"]]


@only_data_export
def test_each_stream_is_told_apart(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A key that may not read one stream would look like a run that read none."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault("/segments/v1", status=403, times=None)]

    run = run_tap(settings=reports.settings, catalog=catalog("events", "bundles", "segments"))

    report = reports.only()
    assert (77, 77) == (run.status, report["status"])
    streams = {one["name"]: (one["records"], one["status"]) for one in report["streams"]}
    assert {"events": (3, "finished"), "bundles": (1, "finished"), "segments": (0, "refused")} == streams
    assert (3, 4) == (report["bundles"][0]["records"], report["records"])


@only_data_export
def test_files_are_reported_like_messages(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """Who writes files with --to would see bundles without records."""
    emulator.bundles = [bundle(0), bundle(1, 5)]
    place = run_tap.folder / "files"
    state = run_tap.folder / "files.state.json"

    done = run_tap.bare([*run_tap.command("--to", str(place), settings=reports.settings)[3:], "--state", str(state)])

    report = reports.only()
    assert (0, 0) == (done.returncode, report["status"])
    assert [3, 5] == [one["records"] for one in report["bundles"]]
    assert json.loads(state.read_bytes()) == report["state"]["after"]


@only_data_export
def test_what_a_damaged_bundle_costs_is_its_own(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A bundle that had to be downloaded twice could not be told from others, nor could its records be trusted."""
    emulator.bundles = [bundle(0), bundle(1, 5)]
    emulator.faults = [Fault(GET, wrong_crc=True, match={"id": str(emulator.bundles[1].id)})]

    done = run_tap.bare(run_tap.command("--to", str(run_tap.folder / "files"), settings=reports.settings)[3:])

    report = reports.only()
    assert (0, 1) == (done.returncode, report["retries"])
    assert [(3, 0), (5, 1)] == [(one["records"], one["retries"]) for one in report["bundles"]]
    assert 8 == report["records"] == report["streams"][0]["records"]
    assert report["bytes"] == sum(one["bytes"] for one in report["bundles"])


@only_data_export
def test_what_is_no_run_leaves_no_report(run_tap: Tap, reports: Reports) -> None:
    """A monitor would take a check by hand for the nightly run."""
    for mode in ("--test", "--discover", "--about"):
        run_tap.bare(run_tap.command(mode, settings=reports.settings)[3:])

    assert not reports.folder.exists()


@only_data_export
def test_old_reports_are_thinned(run_tap: Tap, emulator: Emulator, reports: Reports) -> None:
    """A job every five minutes would fill the folder with runs that found nothing."""
    now = time.time()
    reports.folder.mkdir()

    def left(days: float, idle: str) -> str:
        name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now - days * DAY))}-{int(days * 1000):08x}{idle}.json"
        (reports.folder / name).write_bytes(b"{}")
        return name

    noon = now % DAY / DAY - 0.5  # days since noon: none of the pairs is on two days
    kinds = (3, ""), (4, "-idle"), (20, ""), (21, "-idle"), (40, ""), (41, "-idle")
    pairs = [[left(days + noon - since, idle) for since in (0, 0.01)] for days, idle in kinds]
    (reports.folder / "mine.json").write_bytes(b"{}")
    emulator.bundles = [bundle(0)]

    run_tap(settings={**reports.settings, "report_keep_days": 30})

    kept = [*pairs[0], *pairs[1], *pairs[2], pairs[3][1], "mine.json"]
    assert {*kept} < {path.name for path in reports.folder.iterdir()}
    assert len(kept) + 1 == len([*reports.folder.iterdir()])
