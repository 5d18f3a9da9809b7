"""What a run tells people and monitoring."""

import json

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, LIST, Tap, bookmark, bundle

pytestmark = pytest.mark.only_source("data_export")


def test_first_and_last_line_say_what_is_read_and_what_was(run_tap: Tap, emulator: Emulator) -> None:
    """Nobody could tell how long a backfill takes, and what it brought."""
    emulator.bundles = [bundle(day) for day in range(10)]
    run = run_tap()

    first = run.stderr_lines[0]
    assert "10 bundles" in first
    assert "2023-11-15" in first and "2023-11-25" in first
    assert "minutes" in first
    assert "30 records" in run.last_line and "10 bundles" in run.last_line
    assert "bytes" in run.last_line and "waited" in run.last_line

    more = [bundle(day) for day in range(30)]
    emulator.bundles = more
    second = run_tap(state=bookmark(FIRST - DAY, FIRST + DAY, [more[0].id]))
    assert "20" in second.stderr_lines[0] or "29" in second.stderr_lines[0]
    assert "87 records" in second.last_line


def test_metrics_are_those_of_singer(run_tap: Tap, emulator: Emulator) -> None:
    """Monitoring that reads METRIC lines would see nothing, or wrong numbers."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.faults = [Fault(GET, status=500)]
    run = run_tap(settings={"retry_timeout": 20, "checkpoint_records": 2})

    assert 0 == run.status
    metrics = run.metrics()
    counted = [one for one in metrics if one["metric"] == "record_count"]
    assert 6 == sum(one["value"] for one in counted)
    assert {("counter", "events")} == {(one["type"], one["tags"]["endpoint"]) for one in counted}
    requests = [one for one in metrics if one["metric"] == "http_request_duration"]
    assert len(emulator.requests) == len(requests)
    assert {"timer"} == {one["type"] for one in requests}
    assert {200, 500} == {one["tags"]["http_status_code"] for one in requests}
    assert {LIST, GET} == {one["tags"]["endpoint"] for one in requests}
    (job,) = [one for one in metrics if one["metric"] == "job_duration"]
    assert "succeeded" == job["tags"]["status"]

    failed = run_tap(settings={"api_key": "wrong-key-here"})
    (job,) = [one for one in failed.metrics() if one["metric"] == "job_duration"]
    assert "failed" == job["tags"]["status"]


def test_the_log_level_is_honoured(run_tap: Tap, emulator: Emulator) -> None:
    """A quiet cron job would fill its log, and a search for an error would find nothing more."""
    emulator.bundles = [bundle(0)]
    quiet = run_tap(env={"LOGLEVEL": "ERROR"}, settings={"typo": 1})
    lower = run_tap(env={"LOGLEVEL": "warning"}, settings={"typo": 1})
    usual = run_tap(settings={"typo": 1})
    debug = run_tap(env={"LOGLEVEL": "DEBUG"})
    strange = run_tap(env={"LOGLEVEL": "LOUD"})
    failed = run_tap(env={"LOGLEVEL": "CRITICAL"}, settings={"api_key": "wrong-key-here"})

    assert "" == quiet.stderr
    assert 1 == len(lower.stderr_lines) and "typo" in lower.stderr
    assert len(debug.stderr_lines) >= len(usual.stderr_lines) - 1
    assert [0] * 5 == [run.status for run in (quiet, lower, usual, debug, strange)]
    assert 77 == failed.status
    assert 1 == len(failed.stderr_lines)


def test_retries_are_told(run_tap: Tap, emulator: Emulator) -> None:
    """A run that takes an hour longer than usual would give no reason."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, wrong_crc=True), Fault(LIST, status=502)]
    run = run_tap(settings={"retry_timeout": 20})

    assert 0 == run.status
    assert any("502" in line for line in run.said)
    assert any(str(emulator.bundles[0].id) in line for line in run.said)


@pytest.mark.proves("capabilities", "structured-logging")
def test_under_meltano_lines_are_structured(run_tap: Tap, emulator: Emulator) -> None:
    """Meltano would show errors as INFO, and lines of a traceback one by one."""
    emulator.bundles = [bundle(0), bundle(1)]
    formatters = {"singer_formatter": {"()": "singer_sdk.logging.StructuredFormatter"}}
    handlers = {"console": {"class": "logging.StreamHandler", "formatter": "singer_formatter"}}
    root = {"handlers": ["console"], "level": "INFO"}
    config = {"version": 1, "formatters": formatters, "handlers": handlers, "root": root}
    env = {"SINGER_SDK_LOG_CONFIG": run_tap.file("log.json", config)}

    good = run_tap(env=env, settings={"typo": 1})
    bad = run_tap(env=env, settings={"api_key": "wrong-key-here"})

    for run, status, levels in ((good, 0, {"info", "warning"}), (bad, 77, {"info", "critical"})):
        lines = [json.loads(line) for line in run.stderr_lines]
        assert (status, levels) == (run.status, {line["level"] for line in lines})
        assert {"tap_fullstory"} == {line["logger_name"].partition(".")[0] for line in lines}
        assert any("metric_info" in line for line in lines)
    assert "wrong-key-here" not in bad.stderr
