"""Settings are checked before anything happens, and nothing secret is shown."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.config import (
    SETTINGS,
    BatchConfig,
    Config,
    is_loopback,
    parse_columns,
    parse_config,
    parse_setting,
    read_settings,
    secrets,
    unknown_settings,
)
from tap_fullstory.dictionary import custom_field
from tap_fullstory.errors import ConfigError
from tap_fullstory.moments import parse_moment

KEY = {"api_key": "made-up"}
LISTS = ("event_types", "exclude_event_types", "hash_columns", "strip_query", "custom_vars_exclude")


def test_the_key_alone_is_enough() -> None:
    """A default would not be the documented one."""
    config = parse_config(KEY, {})

    assert ("made-up", None, None) == (config.api_key, config.start_date, config.end_date)
    assert "https://api.fullstory.com" == config.api_url
    assert "https://export.fullstory.com" == config.export_url
    assert ("data_export", False, frozenset()) == (config.events_source, config.event_key, config.skip_bundles)
    assert (10_000, 600, 3600, 1) == (
        config.checkpoint_records,
        config.request_timeout,
        config.retry_timeout,
        config.prefetch,
    )
    assert Path("/var/tmp") == config.spool_dir
    assert {} == config.http_headers


def test_every_setting_is_checked_and_documented() -> None:
    """A setting would have no effect, or nobody would know of it."""
    assert sorted(one.name for one in fields(Config)) == sorted(one.name for one in SETTINGS)


@pytest.mark.parametrize(
    "settings, environ, folder",
    [
        ({}, {"TMPDIR": "/some/where"}, "/some/where"),
        ({}, {"TMPDIR": ""}, "/var/tmp"),
        ({"spool_dir": "/else"}, {"TMPDIR": "/some/where"}, "/else"),
    ],
)
def test_the_spool_folder_follows_tmpdir(settings: dict[str, Any], environ: dict[str, str], folder: str) -> None:
    """Bundles would fill a disk that is not meant for them."""
    assert Path(folder) == parse_config({**KEY, **settings}, environ).spool_dir


@pytest.mark.parametrize(
    "settings, url",
    [
        ({"api_key": "eu1.abc"}, "https://api.eu1.fullstory.com"),
        ({"api_key": "na1.abc"}, "https://api.fullstory.com"),
        ({"api_key": "eu1.abc", "api_url": "https://proxy/"}, "https://proxy"),
    ],
)
def test_european_keys_ask_the_european_host(settings: dict[str, Any], url: str) -> None:
    """European customers would get nothing but refusals."""
    assert url == parse_config(settings, {}).api_url


@pytest.mark.parametrize(
    "name, value, parsed",
    [
        ("start_date", "2024-01-01", parse_moment("2024-01-01T00:00:00Z")),
        ("start_date", "2024-01-01T01:00:00+01:00", parse_moment("2024-01-01T00:00:00Z")),
        ("export_url", "http://127.0.0.1:8000/", "http://127.0.0.1:8000"),
        ("export_url", "http://localhost:8000", "http://localhost:8000"),
        ("export_url", "http://[::1]:8000", "http://[::1]:8000"),
        ("skip_bundles", [170000640048, "5"], frozenset({170000640048, 5})),
        ("request_timeout", 0.5, 0.5),
        ("retry_timeout", 0, 0),
        ("prefetch", 0, 0),
        ("custom_vars", "drop", "drop"),
        ("custom_vars_exclude", ["user_*", "a"], ("user_*", "a")),
        ("event_types", ["click", "", "click"], frozenset({"click", ""})),
        ("exclude_event_types", [], frozenset()),
        ("hash_columns", ["UserEmail", "user_*"], ("UserEmail", "user_*")),
        ("hash_key", "é \n", "é \n"),
        ("strip_query", ["*Url"], ("*Url",)),
        ("custom_columns", [], ()),
        ("custom_columns", ["evt_a.b_int"], (custom_field("evt_a.b_int", "evt_a_b_int"),)),
        (
            "custom_columns",
            [
                {"name": "evt_a_str", "column": "a", "type": "string", "events": 5, "example": "xxx"},
                {"name": "UserId ", "column": None},
            ],
            (custom_field("evt_a_str", "a"), custom_field("UserId ", "UserId ")),
        ),
        ("http_headers", {"X-Trace": "a b", "x": ""}, {"X-Trace": "a b", "x": ""}),
        ("api_key", "bmExLmFiYw==", "bmExLmFiYw=="),
    ],
)
def test_right_values_are_taken(name: str, value: Any, parsed: Any) -> None:
    """A value that the documentation allows would be refused."""
    assert parsed == parse_setting(name, value)


@pytest.mark.parametrize(
    "name, values",
    [
        ("api_key", [5, "", "two words", "line\n", "é", [], {}]),
        ("start_date", ["", "2024-13-01", "yesterday", 1704067200, 20240101, True, []]),
        ("end_date", ["2023-02-29", {}]),
        (
            "export_url",
            ["", "export.fullstory.com", "http://export.fullstory.com", "ftp://host", 5, "https://", "https://a b"],
        ),
        (
            "export_url",
            [
                "https://user:pass@host",
                "https://a\0b",
                "https://host?a",
                "https://host#a",
                "https://host:port",
                "https://[::1",
            ],
        ),
        ("api_url", ["http://10.0.0.1", "http://localhost.example.com", "http://128.0.0.1"]),
        ("events_source", ["export", "", 5, ["data_export"]]),
        ("segment_id", ["", " ", "a\nb", 5, ["everyone"]]),
        ("export_window_hours", [0, 0.2, 5, 7, 25, 48, -1, "1", True, math.nan]),
        ("export_delay_hours", [-1, "24", True, 1e9, math.nan]),
        ("export_timeout", [0, -1, "60", True, 1e10]),
        ("event_key", ["true", 1, 0, "", []]),
        ("skip_bundles", [5, "5", ["a"], [1.5], [True], {}, ["-5"]]),
        ("custom_vars", ["dropped", "", 5, True, [], {}, "JSON"]),
        *((name, [5, "a", {}, True, [5], [None], [["a"]], ["a\0"], ["\ud800"]]) for name in LISTS),
        *((name, [[""]]) for name in LISTS if "types" not in name),
        ("hash_key", ["", 5, [], True, "a\0", "\ud800"]),
        ("custom_columns", [5, "a", {}, [5], [""], [None], [[]], ["a\0"], ["\ud800"], [{}], [{"name": 5}]]),
        ("custom_columns", [[{"name": "a", "colunm": "b"}], [{"column": "b"}], [{"name": ""}]]),
        (
            "custom_columns",
            [[{"name": "a", "column": one}] for one in ("", "a.b", 'a"', "a\\", "a\n", "a\0", "é" * 32, 5, "\ud800")],
        ),
        ("checkpoint_records", [0, -1, 1.5, "10", True]),
        ("user_agent", ["", "a\r\nb", 5]),
        (
            "http_headers",
            [[], "a", {"": "a"}, {"a b": "c"}, {"a:": "b"}, {"a": 5}, {"a": "b\nc"}, {"AUTHORIZATION": "x"}],
        ),
        ("request_timeout", [0, -1, "5", True, float("nan"), float("inf")]),
        ("retry_timeout", [-1, "5", float("nan"), float("inf")]),
        ("spool_dir", ["", 5, "a\0b"]),
        ("prefetch", [-1, 1.0, "1", False]),
        ("batch_config", [5, "file:///data", [], {}, {"storage": None}, {"storage": "file:///data"}]),
        (
            "batch_config",
            [{"storage": one} for one in ({}, {"root": ""}, {"root": 5}, {"root": None}, {"root": "a\0"})],
        ),
        ("batch_config", [{"storage": {"root": "a", "prefix": one}} for one in (5, "/a", "../a", "a/../../b", "a\0")]),
        ("batch_config", [{"storage": {"root": "a"}, "batch_size": one} for one in (0, -1, 1.5, "10", True)]),
        ("batch_config", [{"storage": {"root": "a"}, "encoding": one} for one in ("jsonl", [], 5)]),
    ],
)
def test_wrong_values_are_refused_with_their_name(name: str, values: list[Any]) -> None:
    """A mistake in the settings would show hours later, as something else."""
    for value in values:
        with pytest.raises(ConfigError, match=f'"{name}"') as caught:
            parse_setting(name, value)
        text = str(caught.value)
        assert 78 == caught.value.status
        assert "expected" in text and "\n" not in text
        if name not in ("api_key", "hash_key", "http_headers"):
            assert json.dumps(value, ensure_ascii=False)[:20].replace("user:pass@", "***@")[:12] in text
            assert "pass" not in text


@pytest.mark.parametrize(
    "value, named",
    [
        ({"format": "jsonl", "root": "a"}, ["no", '"format", "root"', "encoding, storage, batch_size"]),
        ({"storage": {"root": "a", "params": {}}}, ["no", '"storage.params"', "root, prefix"]),
        ({"storage": {"root": "a"}, "encoding": {"level": 9}}, ["no", '"encoding.level"', "format, compression"]),
        ({"storage": {"root": "a"}, "encoding": {"format": "parquet"}}, ['"jsonl"', '"encoding.format"', "only"]),
        ({"storage": {"root": "a"}, "encoding": {"compression": "none"}}, ['"gzip"', '"encoding.compression"', "only"]),
        ({"encoding": {"format": "jsonl"}}, ['"storage.root"', "file:///", "s3://"]),
    ],
)
def test_a_wrong_member_of_batch_config_is_named(value: Any, named: list[str]) -> None:
    """Files of another kind, or in another place, would be expected in vain."""
    with pytest.raises(ConfigError, match='"batch_config"') as caught:
        parse_setting("batch_config", value)
    assert all(one in str(caught.value).partition("expected")[2] for one in named)


def test_batch_config_is_that_of_other_taps() -> None:
    """A config that works with a tap on the Meltano SDK would have to be written anew."""
    encoding = {"format": "jsonl", "compression": "gzip"}
    storage = {"root": "s3://bucket/batches", "prefix": "shop/"}

    full = parse_setting("batch_config", {"encoding": encoding, "storage": storage, "batch_size": 5})
    least = parse_setting("batch_config", {"storage": {"root": "batches"}})
    nulls = {"encoding": None, "storage": {"root": "batches", "prefix": None}, "batch_size": None}

    assert BatchConfig("s3://bucket/batches", "shop/", 5) == full
    assert BatchConfig("batches", "", 10_000) == least == parse_setting("batch_config", nulls)
    assert parse_config(KEY, {}).batch_config is None


@pytest.mark.parametrize(
    "value, named",
    [
        (["evt_a_b", "evt_a.b"], ["evt_a_b", "evt_a.b"]),
        (["evt_a_str", "EVT_A_STR"], ["evt_a_str", "EVT_A_STR"]),
        ([{"name": "a", "column": "Plan"}, "plan"], ["Plan", "plan"]),
        (["pageurl"], ["pageurl", "PageUrl"]),
        (["PageUrl"], ["PageUrl", "PageUrl"]),
        ([{"name": "a", "column": "pageuseragent"}], ["pageuseragent", "PageUserAgent"]),
        ([{"name": "a", "column": "CUSTOMVARS"}], ["CUSTOMVARS", "CustomVars"]),
        ([{"name": "a", "column": "_Bundle_id"}], ["_Bundle_id", "_bundle_id"]),
        ([{"name": "PageUrl", "column": "url"}], ["PageUrl", "documented"]),
        ([{"name": "PageUserAgent", "column": "agent"}], ["PageUserAgent", "documented"]),
        ([{"name": "a", "column": "b"}, {"name": "a", "column": "c"}], ['"a"', "twice"]),
        (["x" * 63 + "_a", "x" * 63 + "_b"], ["x" * 63 + "_a", "x" * 63 + "_b"]),
    ],
)
def test_columns_that_collide_are_both_named(value: Any, named: list[str]) -> None:
    """A warehouse that ignores case would mix two variables in one column, or refuse the table."""
    with pytest.raises(ConfigError, match='"custom_columns"') as caught:
        parse_setting("custom_columns", value)
    assert all(name in str(caught.value).partition("expected")[2] for name in named)


@pytest.mark.parametrize(
    "settings, named",
    [
        ({"hash_columns": ["EventStart"]}, ["hash_columns", "EventStart", "stay"]),
        ({"hash_columns": ["_bundle_id"]}, ["hash_columns", "_bundle_id", "stay"]),
        ({"hash_columns": ["event_id"]}, ["hash_columns", "event_id", "stay"]),
        ({"hash_columns": ["CustomVars"]}, ["hash_columns", "CustomVars", "user_*"]),
        ({"hash_columns": ["useremail"]}, ["hash_columns", "useremail", "UserEmail", "[u]seremail"]),
        ({"hash_columns": ["pageUserAgent"]}, ["hash_columns", "pageUserAgent", "PageUserAgent"]),
        ({"hash_columns": ["PLAN"], "custom_columns": [{"name": "a", "column": "plan"}]}, ["PLAN", "plan"]),
        ({"hash_columns": ["A"], "custom_columns": [{"name": "a", "column": "plan"}]}, ["A", "a"]),
        ({"strip_query": ["EventStart"]}, ["strip_query", "EventStart"]),
        ({"strip_query": ["UserId"]}, ["strip_query", "UserId", "no URLs"]),
        ({"strip_query": ["n_int"], "custom_columns": ["n_int"]}, ["strip_query", "n_int", "no URLs"]),
        ({"strip_query": ["pageurl"]}, ["strip_query", "pageurl", "PageUrl"]),
        ({"custom_vars_exclude": ["UserEmail"]}, ["custom_vars_exclude", "UserEmail", "Deselect"]),
        ({"custom_vars_exclude": ["a"], "custom_columns": ["a"]}, ["custom_vars_exclude", "a", "Deselect"]),
        ({"custom_vars_exclude": ["useremail"]}, ["custom_vars_exclude", "useremail", "UserEmail"]),
    ],
)
def test_names_that_would_do_nothing_are_refused(settings: dict[str, Any], named: list[str]) -> None:
    """Values would leave the tap as they are, and whoever wrote the name would not know."""
    with pytest.raises(ConfigError) as caught:
        parse_config({**KEY, "hash_key": "pepper", **settings}, {})
    assert 78 == caught.value.status
    assert all(one in str(caught.value) for one in named) and "pepper" not in str(caught.value)


def test_names_that_mean_something_are_taken() -> None:
    """A column or variable could not be hashed, since its name is like another."""
    names = ["UserEmail", "PageUserAgent", "user_plan_str", "[u]seremail", "Event*", "*", "userid", "UserId", "n"]
    own = [{"name": "userid", "column": "their_id"}, {"name": "n_int", "column": "n"}]

    config = parse_config(
        {**KEY, "hash_columns": names, "hash_key": "k", "strip_query": ["PageUrl", "*"], "custom_columns": own}, {}
    )

    assert tuple(names) == config.hash_columns


@pytest.mark.parametrize("settings", [{"hash_columns": ["UserEmail"]}, {"hash_columns": ["user_*"], "hash_key": None}])
def test_hashes_need_a_key(settings: dict[str, Any]) -> None:
    """Everybody could find out which e-mail address a hash stands for."""
    with pytest.raises(ConfigError, match=r"hash_columns.*hash_key"):
        parse_config({**KEY, **settings}, {})
    assert "k" == parse_config({**KEY, "hash_key": "k"}, {}).hash_key, "a key alone does nothing"


def test_types_are_wanted_or_not_wanted() -> None:
    """Nobody could say what happens to a type in both lists, or in none."""
    with pytest.raises(ConfigError, match=r"event_types.*exclude_event_types"):
        parse_config({**KEY, "event_types": ["click"], "exclude_event_types": ["load"]}, {})
    parse_config({**KEY, "event_types": ["click"], "exclude_event_types": []}, {})


def test_discovery_looks_only_at_what_decides_on_columns() -> None:
    """A catalog could not be made before the key is there, or a wrong column would be found only by the first run."""
    config = parse_columns({"event_key": True, "custom_columns": ["a"], "prefetch": "wrong", "strange": 1})

    assert (True, ("a",)) == (config.event_key, tuple(one.name for one in config.custom_columns))
    assert ("drop", ("UserId",)) == (
        parse_columns({"custom_vars": "drop"}).custom_vars,
        parse_columns({"hash_columns": ["UserId"]}).hash_columns,
    )
    for wrong in ({"custom_columns": ["PageUrl"]}, {"hash_columns": ["EventStart"]}, {"custom_vars": 5}):
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            parse_columns(wrong)


@pytest.mark.parametrize("settings", [{}, {"api_key": None}])
def test_a_missing_key_is_named(settings: dict[str, Any]) -> None:
    """A first user would not know what to do."""
    with pytest.raises(ConfigError, match=r"api_key.*TAP_FULLSTORY_API_KEY"):
        parse_config(settings, {})


def test_null_means_the_default() -> None:
    """Orchestrators that send null for what is not set would fail."""
    assert parse_config(KEY, {}) == parse_config({**dict.fromkeys([one.name for one in SETTINGS]), **KEY}, {})


@pytest.mark.parametrize("end", ["2024-01-01", "2023-12-31T23:59:59.999Z"])
def test_an_end_that_does_not_lie_behind_the_start_is_refused(end: str) -> None:
    """The run would read nothing and say that all is well."""
    with pytest.raises(ConfigError, match=r"end_date.*start_date"):
        parse_config({**KEY, "start_date": "2024-01-01", "end_date": end}, {})


def test_secrets_are_in_no_error_and_no_text() -> None:
    """The key would stand in a log that many can read."""
    settings = {"api_key": "made up secret", "http_headers": {"X-Secret": "hidden\nvalue"}}
    for name, value in settings.items():
        with pytest.raises(ConfigError) as caught:
            parse_setting(name, value)
        assert "secret" not in str(caught.value).replace("found a secret", "") and "hidden" not in str(caught.value)

    config = parse_config({"api_key": "made-up", "hash_key": "pepper", "http_headers": {"X-Secret": "hidden"}}, {})
    assert all(secret not in repr(config) for secret in ("made-up", "pepper", "hidden"))


def test_all_secrets_are_known_to_the_log() -> None:
    """A secret that comes back in an answer would be logged."""
    assert ["made-up", "pepper", "hidden"] == secrets(
        {"api_key": "made-up", "hash_key": "pepper", "http_headers": {"a": "hidden", "b": "1", "c": 5}}
    )
    assert [] == secrets({"api_key": 5, "http_headers": "text"})


def test_what_a_plan_says_of_a_window_is_no_unknown_setting() -> None:
    """Each run over a window would warn of what the tap itself has printed."""
    assert [] == unknown_settings({**KEY, "plan": {"window": 1, "of": 2}})
    assert parse_config(KEY, {}) == parse_config({**KEY, "plan": {"window": 1}}, {})


def test_unknown_settings_are_named_with_the_nearest_known() -> None:
    """A mistyped setting would be without effect and without a word."""
    lines = unknown_settings({**KEY, "start_dat": 1, "exportUrl": 2})

    assert 2 == len(lines)
    assert '"exportUrl"' in lines[0] and '"export_url"' in lines[0]
    assert '"start_dat"' in lines[1] and '"start_date"' in lines[1]


@pytest.mark.parametrize(
    "host, is_ours",
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("", False),
        ("localhost.example.com", False),
        ("0.0.0.0", False),
        ("2130706433", False),
        ("10.0.0.1", False),
    ],
)
def test_only_this_machine_is_loopback(host: str, is_ours: bool) -> None:
    """The key would go over the network in the clear."""
    assert is_ours == is_loopback(host)


def test_later_files_win_and_the_environment_is_one_of_them(tmp_path: Path) -> None:
    """Settings of a base file could not be overridden."""
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    first.write_text('{"api_key": "a", "prefetch": 1, "event_key": false}')
    second.write_text('\ufeff{"prefetch": 2}', "utf-8")
    environ = {
        "TAP_FULLSTORY_EVENT_KEY": "true",
        "TAP_FULLSTORY_API_KEY": "123",
        "TAP_FULLSTORY_SKIP_BUNDLES": "[5]",
        "TAP_FULLSTORY_START_DATE": "",
        "TAP_FULLSTORY_HTTP_HEADERS": '{"X": "y"}',
        "TAP_FULLSTORY_PREFETCH": "7",
        "OTHER": "1",
    }

    assert {"api_key": "a", "prefetch": 2, "event_key": False} == read_settings([str(first), str(second)], environ)
    assert {
        "api_key": "123",
        "prefetch": 2,
        "event_key": True,
        "skip_bundles": [5],
        "http_headers": {"X": "y"},
    } == read_settings(["ENV", str(second)], environ)


@pytest.mark.parametrize("text, value", [("True", True), ("False", False), ("yes", "yes"), ("[", "[")])
def test_the_environment_is_read_as_json_or_left_to_the_check(text: str, value: Any) -> None:
    """A value would be guessed, or a mistyped one end with a bug."""
    assert {"event_key": value} == read_settings(["ENV"], {"TAP_FULLSTORY_EVENT_KEY": text})


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 100_000])
def test_an_absurd_value_in_the_environment_is_an_error_of_the_user(text: str) -> None:
    """The tap would die of a bug."""
    settings = read_settings(["ENV"], {"TAP_FULLSTORY_PREFETCH": text})

    with pytest.raises(ConfigError):
        parse_setting("prefetch", settings["prefetch"])


@pytest.mark.parametrize(
    "text, hint",
    [
        (b"", "is empty"),
        (b"  \n", "is empty"),
        (b"{", "line 1"),
        (b"[]", "an array"),
        (b'"a"', "a string"),
        (b"null", "null"),
        (b"5", "a number"),
        (b"\xff\xfe{}", "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: bytes, hint: str) -> None:
    """A first user would see a traceback."""
    path = tmp_path / "config.json"
    path.write_bytes(text)

    with pytest.raises(ConfigError, match=hint):
        read_settings([str(path)], {})


@pytest.mark.parametrize("path", ["missing.json", ".", "\0"])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A mistyped path would look like a bug."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(ConfigError, match="cannot be read"):
        read_settings([path], {})


@pytest.mark.parametrize(
    "url", ["https://user:s3cr3t/more@host", "https://user:p@s3cr3t@host", "https://host/?t=s3cr3t"]
)
def test_what_may_be_secret_in_a_wrong_url_is_not_shown(url: str) -> None:
    """A password in a URL would stand in the log of a scheduler."""
    with pytest.raises(ConfigError, match="export_url") as caught:
        parse_setting("export_url", url)
    assert "s3cr3t" not in str(caught.value)


def test_a_silence_longer_than_the_system_can_count_is_refused() -> None:
    """It would be taken for a very short one."""
    with pytest.raises(ConfigError, match="request_timeout"):
        parse_setting("request_timeout", 4294968)
