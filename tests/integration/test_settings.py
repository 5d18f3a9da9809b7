"""Wrong, unknown and effective settings."""

import time
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, GET, LIST, Tap, bundle, event

pytestmark = pytest.mark.only_source("data_export")

WRONG: list[tuple[str, Any, str]] = [  # setting, value, what of the value the message shows
    ("start_date", "2024-13-01", "2024-13-01"),
    ("start_date", 1700000000, "1700000000"),
    ("start_date", "", ""),
    ("end_date", "2024-02-30T00:00:00Z", "2024-02-30"),
    ("api_url", "http://api.example.com", "http://api.example.com"),
    ("export_url", "http://127.0.0.1.example.com", "http://127.0.0.1.example.com"),
    ("export_url", "http://localhost@example.com", "example.com"),
    ("export_url", "export.fullstory.com", "export.fullstory.com"),
    ("events_source", "dataexport", "dataexport"),
    ("event_key", "yes", "yes"),
    ("skip_bundles", 170000640048, "170000640048"),
    ("skip_bundles", ["x"], "x"),
    ("skip_bundles", [True], "rue"),
    ("custom_columns", "evt_a_str", "evt_a_str"),
    ("custom_columns", [5], "5"),
    ("custom_columns", ["evt_a.b_str", "EVT_A_B_STR"], "EVT_A_B_STR"),
    ("custom_columns", ["pageurl"], "PageUrl"),
    ("custom_vars", "none", "none"),
    ("custom_vars_exclude", "user_*", "user_*"),
    ("custom_vars_exclude", ["UserEmail"], "UserEmail"),
    ("event_types", "click", "click"),
    ("exclude_event_types", [5], "5"),
    ("hash_columns", "UserEmail", "UserEmail"),
    ("hash_columns", ["UserEmail"], "hash_key"),
    ("strip_query", True, "rue"),
    ("strip_query", ["UserId"], "UserId"),
    ("checkpoint_records", 0, "0"),
    ("checkpoint_records", 1.5, "1.5"),
    ("checkpoint_records", True, "rue"),
    ("request_timeout", 0, "0"),
    ("retry_timeout", -1, "-1"),
    ("retry_timeout", False, "alse"),
    ("prefetch", -1, "-1"),
    ("prefetch", "1.5", "1.5"),
    ("user_agent", "two\nlines", "two"),
]


@pytest.mark.long
def test_each_wrong_value_is_named(run_tap: Tap, emulator: Emulator) -> None:
    """People would not learn which of their settings is wrong, what was read, and what is expected."""
    runs = run_tap.all({"settings": {name: value}} for name, value, _ in WRONG)

    for (name, value, shown), run in zip(WRONG, runs, strict=True):
        assert 78 == run.status, (name, value, run.stderr)
        assert b"" == run.stdout
        assert 1 == len(run.said), run.stderr
        assert name in run.last_line
        assert shown in run.last_line
    assert [] == emulator.requests


SECRET = "s3cr3t-v4lue"
WRONG_SECRETS: list[dict[str, Any]] = [
    {"api_key": None},
    {"api_key": ""},
    {"api_key": SECRET + "\n"},
    {"api_key": SECRET + "é"},
    {"api_key": {"key": SECRET}},
    {"hash_key": [SECRET], "hash_columns": ["UserEmail"]},
    {"hash_columns": ["EventStart"], "hash_key": SECRET},
    {"http_headers": SECRET},
    {"http_headers": {"X-Two": [SECRET]}},
    {"http_headers": {"X-Two": SECRET + "\r\nX-Three: 1"}},
    {"http_headers": {"X Two": SECRET}},
]


def test_wrong_secrets_are_named_and_not_shown(run_tap: Tap, emulator: Emulator) -> None:
    """A key with a typing mistake would stand in the log of an orchestrator."""
    runs = run_tap.all({"settings": settings, "env": {"LOGLEVEL": "DEBUG"}} for settings in WRONG_SECRETS)
    cut = run_tap.plain(
        ["--config", run_tap.file("c.json", run_tap.settings()), "--config", "ENV"],
        env={"TAP_FULLSTORY_HTTP_HEADERS": '{"X-Two": "' + SECRET},
    )
    broken = run_tap(settings=b'{"api_key": "' + SECRET.encode() + b'" "start_date": 1}')
    misspelt = run_tap(settings={"apikey": SECRET, "api_key": None})

    for settings, run in zip(WRONG_SECRETS, runs, strict=True):
        assert 78 == run.status, settings
        assert next(iter(settings)) in run.last_line
        assert SECRET not in run.stderr
    assert (78, 78, 78) == (cut.status, broken.status, misspelt.status)
    assert SECRET not in cut.stderr + broken.stderr + misspelt.stderr
    assert "http_headers" in cut.last_line.lower()
    assert "api_key" in misspelt.last_line
    assert "apikey" in misspelt.stderr
    assert [] == emulator.requests


def test_an_end_before_the_start_is_refused(run_tap: Tap, emulator: Emulator) -> None:
    """An end before the start would silently replicate nothing for ever."""
    before = {"start_date": "2024-01-02", "end_date": "2024-01-01T00:00:00Z"}
    run = run_tap(settings=before)

    assert 78 == run.status
    assert "start_date" in run.last_line and "end_date" in run.last_line
    assert "2024-01-01" in run.last_line
    assert [] == emulator.requests


def test_unknown_settings_get_a_warning_with_the_nearest_name(run_tap: Tap, emulator: Emulator) -> None:
    """A misspelt setting would be without effect and nobody would know."""
    emulator.bundles = [bundle(0)]

    run = run_tap(settings={"strat_date": "2024-01-01", "checkpoint_record": 3, "zzz": 1})

    assert 0 == run.status
    assert 3 == len(run.records())
    warnings = [line for line in run.said if "known" in line]
    assert 3 == len(warnings)
    assert any("strat_date" in line and '"start_date"' in line for line in warnings)
    assert any("checkpoint_record" in line and '"checkpoint_records"' in line for line in warnings)
    assert any("zzz" in line for line in warnings)


@pytest.mark.parametrize("key", ["na1.QUJD+/=%7e==", "eu1.abc:def", "dXNlcjpwYXNz"])
def test_the_key_is_sent_as_it_is(run_tap: Tap, emulator: Emulator, key: str) -> None:
    """Fullstory would answer 401 to a key that was encoded once more."""
    emulator.api_key = key
    emulator.bundles = [bundle(0)]

    run = run_tap()

    assert 0 == run.status
    assert {f"Basic {key}"} == {request.headers["authorization"] for request in emulator.requests}


def test_user_agent_and_headers_reach_the_api(run_tap: Tap, emulator: Emulator) -> None:
    """A proxy that wants a header of its own would refuse the tap."""
    emulator.bundles = [bundle(0)]

    run = run_tap(settings={"user_agent": "acme/1.0 (data@example.com)", "http_headers": {"X-Proxy-Token": "abc123"}})
    usual = run_tap()

    assert (0, 0) == (run.status, usual.status)
    assert {LIST, GET} == {request.path for request in emulator.requests[:3]}
    half = len(emulator.requests) // 2
    for request in emulator.requests[:half]:
        assert "acme/1.0 (data@example.com)" == request.headers["user-agent"]
        assert "abc123" == request.headers["x-proxy-token"]
    assert emulator.requests[half].headers["user-agent"].startswith("tap-fullstory/3.")


def test_a_netrc_entry_does_not_replace_the_key(run_tap: Tap, emulator: Emulator) -> None:
    """A password for another program on the same host would be sent instead of the key, and refused."""
    emulator.bundles = [bundle(0)]
    netrc = run_tap.folder / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\ndefault login someone password else\n")
    netrc.chmod(0o600)

    run = run_tap(env={"NETRC": str(netrc)})

    assert 0 == run.status
    assert {f"Basic {emulator.api_key}"} == {request.headers["authorization"] for request in emulator.requests}


def test_hosts_may_have_a_path_and_a_slash_at_the_end(run_tap: Tap, emulator: Emulator) -> None:
    """A URL copied with its slash would ask for `//api/v1/export/list`, which is 404."""
    emulator.bundles = [bundle(0)]

    run = run_tap(settings={"export_url": emulator.url + "/", "api_url": emulator.url + "/"})

    assert (0, [0, 1, 2]) == (run.status, run.numbers())


def test_dates_may_be_dates_or_have_a_zone(run_tap: Tap, emulator: Emulator) -> None:
    """A start that was not understood would load too much or too little."""
    emulator.bundles = [bundle(0), bundle(1)]
    starts = ["2023-11-16", "2023-11-16T02:00:00+02:00", "2023-11-15T23:59:59.5Z"]

    for run in run_tap.all({"settings": {"start_date": start}} for start in starts):
        assert (0, [100, 101, 102]) == (run.status, run.numbers())


def test_without_a_start_date_the_last_year_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """A first run without the setting would load nothing, or ten years."""
    today = int(time.time()) // DAY * DAY
    emulator.bundles = [
        Bundle(today - days * DAY, today - (days - 1) * DAY, [event(days, today - days * DAY + 60)])
        for days in (400, 380, 360, 3)
    ]

    run = run_tap(settings={"start_date": None})

    assert (0, [360, 3]) == (run.status, run.numbers())


def test_settings_that_only_others_have_do_not_stop_the_tap(run_tap: Tap, emulator: Emulator) -> None:
    """Settings of a later version, or of Meltano's own, would keep the tap from running."""
    emulator.bundles = [bundle(0)]

    run = run_tap(settings={"stream_maps": {}, "flattening_enabled": False})

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    assert "stream_maps" in run.stderr
