"""Arguments, help, version, discovery."""

import json
import sys

import pytest

from fullstory_emulator import Emulator
from tests.integration.tap import LIST, Tap, bookmark, bundle

pytestmark = pytest.mark.only_source("data_export")

HEAVY = ("singer", "requests", "pendulum", "msgspec", "urllib3")


def test_version_and_help_are_printed_to_stdout(run_tap: Tap) -> None:
    """Scripts that ask for the version, and people who ask for help, would get it on the wrong stream."""
    version = run_tap.bare(["--version"])
    usage = run_tap.bare(["--help"])

    assert (0, b"") == (version.returncode, version.stderr)
    assert version.stdout.startswith(b"tap-fullstory 3.") and 1 == version.stdout.count(b"\n")
    assert (0, b"") == (usage.returncode, usage.stderr)
    for option in (b"--config", b"--state", b"--catalog", b"--properties", b"--discover", b"--version", b"ENV"):
        assert option in usage.stdout


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_version_and_help_import_nothing_heavy(run_tap: Tap, argument: str) -> None:
    """`--help` would take half a second, and fail where a dependency is broken."""
    code = (
        f"import sys, runpy; sys.argv = ['tap-fullstory', {argument!r}]\n"
        "try: runpy.run_module('tap_fullstory', run_name='__main__')\n"
        "except SystemExit as end: status = end.code\n"
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = run_tap_python(run_tap, code)

    assert "0 []" == done.splitlines()[-1]


def run_tap_python(run_tap: Tap, code: str) -> str:
    """What Python code printed on stderr."""
    import subprocess

    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, env=run_tap.environment(), text=True
    ).stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["--nonsense"], ["--config"], ["--state", "x"], ["surplus"]],
    ids=["nothing", "unknown", "no value", "no config", "surplus"],
)
def test_a_wrong_command_line_ends_with_status_2(run_tap: Tap, arguments: list[str]) -> None:
    """A scheduler could not tell a typing mistake from a failure of the service."""
    done = run_tap.bare(arguments)

    assert 2 == done.returncode
    assert b"" == done.stdout
    assert b"Traceback" not in done.stderr and done.stderr


def test_missing_and_unreadable_files_are_named(run_tap: Tap, emulator: Emulator) -> None:
    """People would look for a fault of Fullstory when they mistyped a path."""
    no_config = run_tap.plain(["--config", "nowhere.json"])
    no_state = run_tap("--state", "nowhere-state.json")
    no_catalog = run_tap("--catalog", "nowhere-catalog.json")
    folder = run_tap.plain(["--config", "."])

    assert [78, 78, 78, 78] == [run.status for run in (no_config, no_state, no_catalog, folder)]
    assert "nowhere.json" in no_config.last_line
    assert "nowhere-state.json" in no_state.last_line
    assert "nowhere-catalog.json" in no_catalog.last_line
    assert 0 == emulator.count(LIST)


def test_config_that_is_no_object_is_refused(run_tap: Tap) -> None:
    """A cut or wrong file would be taken for an empty one, or end in a traceback."""
    contents = [b"", b"[]", b'{"api_key": ', b'"text"', b"null", b"\xff\xfe{}", b"[" * 100_000]

    for content, run in zip(contents, run_tap.all({"settings": content} for content in contents), strict=True):
        assert 78 == run.status, content[:20]
        assert b"" == run.stdout
        assert "config.json" in run.last_line
        assert 1 == len(run.stderr_lines)


def test_a_config_with_a_byte_order_mark_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """A file saved by a Windows editor would be refused for a reason nobody can see, or with one nobody understands."""
    run = run_tap(settings=b"\xef\xbb\xbf" + json.dumps(run_tap.settings()).encode())

    assert run.status in (0, 78)
    assert 0 == run.status or "config.json" in run.last_line


def test_later_configs_win_and_env_reads_the_environment(run_tap: Tap, emulator: Emulator) -> None:
    """A secret kept in the environment, or a file with changes for one job, would not take effect."""
    emulator.bundles = [bundle(0), bundle(1), bundle(2)]
    settings = run_tap.settings({"api_key": "wrong-key-here", "user_agent": "from-file", "skip_bundles": []})
    first = run_tap.file("first.json", settings)
    last = run_tap.file("last.json", {"user_agent": "from-last-file"})
    env = {
        "TAP_FULLSTORY_API_KEY": emulator.api_key,
        "TAP_FULLSTORY_USER_AGENT": "from-env",
        "TAP_FULLSTORY_SKIP_BUNDLES": json.dumps([emulator.bundles[0].id]),
        "TAP_FULLSTORY_HTTP_HEADERS": '{"X-One": "1"}',
        "TAP_FULLSTORY_EVENT_KEY": "true",
        "TAP_FULLSTORY_CHECKPOINT_RECORDS": "2",
    }

    run = run_tap.plain(["--config", first, "--config", "ENV", "-c", last], env=env)

    assert 0 == run.status
    assert [100, 101, 102, 200, 201, 202] == run.numbers()
    assert ["event_id"] == run.schema()["key_properties"]
    assert 1 + 2 * 2 <= len(run.states)
    assert {"from-last-file"} == {request.headers["user-agent"] for request in emulator.requests}
    assert {"1"} == {request.headers["x-one"] for request in emulator.requests}

    overridden = run_tap.plain(["--config", "ENV", "--config", first], env=env)
    assert 77 == overridden.status


def test_all_settings_may_come_from_the_environment(run_tap: Tap, emulator: Emulator) -> None:
    """A container without any file could not run the tap; text that looks like JSON would be mangled."""
    emulator.api_key = "12345678"
    emulator.bundles = [bundle(0)]
    settings = run_tap.settings({"user_agent": "true"})
    env = {
        f"TAP_FULLSTORY_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
    }
    run = run_tap.plain(["--config", "ENV"], env=env)
    wrong = run_tap.plain(["--config", "ENV"], env={**env, "TAP_FULLSTORY_CHECKPOINT_RECORDS": "many"})

    assert 0 == run.status
    assert [0, 1, 2] == run.numbers()
    assert "true" == emulator.requests[0].headers["user-agent"]
    assert 78 == wrong.status
    assert "checkpoint_records" in wrong.last_line.lower() and "many" in wrong.last_line


def test_short_names_and_dev_are_accepted(run_tap: Tap, emulator: Emulator) -> None:
    """Command lines written for other Singer taps would fail."""
    emulator.bundles = [bundle(0), bundle(1)]
    config = run_tap.file("c.json", run_tap.settings())
    catalog = run_tap.file("p.json", json.loads(run_tap.bare(["-d"]).stdout))
    state = run_tap.file("s.json", bookmark(emulator.bundles[0].start, emulator.bundles[1].start))

    for flag in ("-p", "--properties", "--catalog"):
        run = run_tap.plain(["--dev", "-c", config, "-s", state, flag, catalog])
        assert (0, [100, 101, 102]) == (run.status, run.numbers())


def test_discovery_needs_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """Meltano, which discovers before the key is known and passes a state, could not install the tap."""
    unreachable = run_tap.settings({"api_url": "https://nowhere.invalid", "export_url": "https://nowhere.invalid"})
    config = run_tap.file("c.json", unreachable)
    usual = run_tap.file("u.json", run_tap.settings())
    state = run_tap.file("s.json", {"bookmarks": {}})

    plain = run_tap.bare(["--discover"])
    others = [
        run_tap.bare(["--discover", "--config", config, "--state", state]),
        run_tap.bare(["--discover", "--config", usual, "--state", "nowhere.json"]),
    ]

    assert 0 == plain.returncode
    assert isinstance(json.loads(plain.stdout)["streams"], list)
    for other in others:
        assert (0, plain.stdout) == (other.returncode, other.stdout)
    assert [] == emulator.requests


def test_discovery_shows_the_key_that_the_settings_ask_for(run_tap: Tap) -> None:
    """A target that upserts would be given a catalog without its key."""
    config = run_tap.file("c.json", {"event_key": True})
    keyed = run_tap.bare(["--discover", "--config", config])
    plain = run_tap.bare(["--discover"])

    (entry,) = [one for one in json.loads(keyed.stdout)["streams"] if one["tap_stream_id"] == "events"]
    assert 0 == keyed.returncode
    assert ["event_id"] == entry["key_properties"]
    assert "event_id" in entry["schema"]["properties"]
    (fact,) = [one["metadata"] for one in entry["metadata"] if not one["breadcrumb"]]
    assert ["event_id"] == fact["table-key-properties"]
    (member,) = [one["metadata"] for one in entry["metadata"] if one["breadcrumb"] == ["properties", "event_id"]]
    assert "automatic" == member["inclusion"]
    assert "event_id" not in json.dumps(json.loads(plain.stdout))


def test_nothing_but_messages_goes_to_stdout(run_tap: Tap, emulator: Emulator) -> None:
    """A target would stop at the first line that is no message."""
    emulator.bundles = [bundle(0)]

    run = run_tap(env={"LOGLEVEL": "DEBUG", "PYTHONWARNINGS": "always"})
    failed = run_tap(settings={"api_key": "wrong-key-here"}, env={"LOGLEVEL": "DEBUG"})

    assert 0 == run.status
    assert {"SCHEMA", "RECORD", "STATE"} == {message["type"] for message in run.messages}
    assert "SCHEMA" == run.messages[0]["type"]
    assert "STATE" == run.messages[-1]["type"]
    assert 77 == failed.status
    assert not failed.records()


def test_discovery_does_not_depend_on_the_encoding_of_stdout(run_tap: Tap) -> None:
    """In a container without a locale nobody could discover."""
    plain = run_tap.bare(["--discover"])
    ascii_only = run_tap.bare(["--discover"], env={"PYTHONIOENCODING": "ascii"})

    assert (0, plain.stdout) == (ascii_only.returncode, ascii_only.stdout)


def test_an_empty_name_of_a_state_file_is_not_no_state(run_tap: Tap) -> None:
    """An empty variable in a script would read everything again, in silence."""
    config = run_tap.file("c.json", run_tap.settings())

    assert 78 == run_tap.plain(["--config", config, "--state", ""]).status
    assert 78 == run_tap.plain(["--config", config, "--catalog", ""]).status


def test_a_misspelt_variable_is_said(run_tap: Tap, emulator: Emulator) -> None:
    """A setting in the environment would be without effect, in silence."""
    config = run_tap.file("c.json", run_tap.settings())
    env = {"TAP_FULLSTORY_STRAT_DATE": "2023-11-15", "TAP_FULLSTORY__SELECT": "[]", "TAP_FULLSTORY_HTTP_HEADERS_X": "1"}

    run = run_tap.plain(["--config", config, "--config", "ENV"], env=env)

    said = [line for line in run.stderr.splitlines() if line.startswith("WARNING")]
    assert 1 == len(said)
    assert "strat_date" in said[0] and "start_date" in said[0]
