"""Meltano itself with the definitions in meltano.yml and hub/: what its users do, into a real PostgreSQL."""

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from demo.postgres import Postgres
from fullstory_emulator import Emulator, Fault
from tests.end_to_end.expected import assert_same_rows, expected_rows, keyed_once
from tests.end_to_end.meltano_project import EMPTY, KEY, MELTANO, STATE_ID, Outside, Project, definition, end, online
from tests.end_to_end.pipeline import ROOT, TIMEOUT
from tests.end_to_end.test_target_postgres import generated

pytestmark = pytest.mark.meltano
schemas = count(1)
LIST, GET = "/api/v1/export/list", "/api/v1/export/get"
HUB = ROOT / "hub" / "tap-fullstory.yml"
HUB_SCHEMAS = ROOT / "tests" / "resources" / "meltano-hub-schemas"
ADDRESS = "git+https://GIT-HOST/OWNER/tap-fullstory.git"


@pytest.fixture
def project(tmp_path: Path, postgres: Postgres, shop: Emulator) -> Iterator[Project]:
    """A project with the definition and a key; nothing was run yet. Nothing but this machine may be asked."""
    with Outside() as outside, postgres.connect() as connection:
        project = Project(tmp_path / "warehouse", shop, postgres, connection, f"meltano_{next(schemas)}", outside)
        project.create(definition())
        yield project
        assert [] == outside.asked
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != ".env":
            assert KEY.encode() not in path.read_bytes(), path


def kinds(done_or_text: str) -> dict[str, str]:
    """What `meltano select --list --all` prints: column to what becomes of it."""
    return {name: kind.strip() for kind, name in re.findall(r"\[([a-z ]+)\] (\S+)", done_or_text)}


def python(*arguments: object) -> str:
    """What Meltano's own interpreter prints, which has a jsonschema that knows today's drafts, and reads YAML."""
    command = [str(MELTANO.parent / "python"), *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def parsed(path: Path) -> dict[str, Any]:
    """The content of a YAML file."""
    found: dict[str, Any] = json.loads(
        python("-c", "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))", path)
    )
    return found


def test_the_hub_admits_its_definition(tmp_path: Path) -> None:
    """The Meltano Hub would refuse the file: it knows the keys, the kinds of settings and the capabilities."""
    check = (ROOT / "tests" / "end_to_end" / "schema_errors.py", HUB)
    schema = HUB_SCHEMAS / "plugin_definitions" / "extractors.schema.json"

    assert "" == python(*check, schema, HUB_SCHEMAS)

    text = HUB.read_text("utf-8")
    for right, wrong in (
        ("\n- catalog\n", "\n- catalogue\n"),
        ("kind: array", "kind: list"),
        ("\nprereq:", "\nneeds:"),
    ):
        assert 1 <= text.count(right)
        (tmp_path / "wrong.yml").write_text(text.replace(right, wrong), "utf-8")
        assert python(check[0], tmp_path / "wrong.yml", schema, HUB_SCHEMAS), wrong


def test_meltano_admits_its_definition() -> None:
    """Meltano ignores what it does not know, and a mistyped key would do nothing, in silence."""
    (schema,) = MELTANO.parent.parent.glob("lib/python*/site-packages/meltano/schemas/meltano.schema.json")

    assert "" == python(ROOT / "tests" / "end_to_end" / "schema_errors.py", ROOT / "meltano.yml", schema)


def test_both_definitions_say_the_same() -> None:
    """What was tried with the one would not hold for the other."""
    hub = parsed(HUB)
    (ours,) = parsed(ROOT / "meltano.yml")["plugins"]["extractors"]

    assert {**ours, "pip_url": ADDRESS} == {name: hub[name] for name in ours}
    # the Hub's own lint
    assert all(list(one) == sorted(one) for one in (hub, *hub["settings"]))


def test_added_to_a_project_of_ones_own(project: Project, shop: Emulator, columns: dict[str, Any], tree: Path) -> None:
    """Who has a project already would get another tap of the same name, or one that loads more than they asked for."""
    shop.bundles = generated(days=1, events=50)
    project.create(EMPTY)
    text = HUB.read_text("utf-8")
    assert 1 == text.count(ADDRESS)
    (project.folder / "tap-fullstory.yml").write_text(text.replace(ADDRESS, f"git+file://{tree}"), "utf-8")

    project("add", "tap-fullstory", "--from-ref", "tap-fullstory.yml", environment=online())
    added = kinds(project("select", "--list", "--all", "tap-fullstory").stdout)
    project("select", "tap-fullstory", "events", "*")
    selected = kinds(project("select", "--list", "--all", "tap-fullstory").stdout)

    assert ("selected", "excluded") == (added["bundles.checksum"], selected["bundles.checksum"])
    assert "*****" == json.loads(project("config", "print", "tap-fullstory").stdout)["api_key"]
    assert "ok    key: " in project("test", "tap-fullstory").stdout
    project.run()
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())
    assert [] == project.rows("bundles")


def test_each_run_brings_what_is_new(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """Without a state of its own each run would load all of Fullstory again, and double the table."""
    bundles = generated(days=3, events=300)
    shop.bundles = bundles[:2]

    first = project.run()
    state = project.state()
    downloads = shop.count(GET)
    second = project.run()

    assert_same_rows(expected_rows(bundles[:2], columns), project.rows())
    assert ["No state was found, complete import."] == first.lines("warning", "meltano")
    assert [] == second.lines("warning", "meltano")
    assert (2, 2) == (downloads, shop.count(GET))
    assert bundles[1].id in project.bookmark()["done"]
    assert {"events"} == set(state["bookmarks"])
    assert [] == project.rows("bundles")  # which Meltano would select, too, if the definition did not say otherwise

    shop.bundles = bundles
    project.run()

    assert_same_rows(expected_rows(bundles, columns), project.rows())
    assert state != project.state()


def test_log_lines_keep_their_level_and_come_once(project: Project, shop: Emulator) -> None:
    """Whoever looks for warnings in Meltano's log would not find the tap's, or find each line twice, or the key."""
    shop.bundles = generated(days=1, events=10)
    shop.faults = [Fault(GET, wrong_crc=True)]
    project.write_env(TAP_FULLSTORY_RETRY_TIMEOUT="20")

    done = project.run()

    entries = project_log = done.entries("tap-fullstory")
    said = [one["event"] for one in entries if one["event"] != "METRIC"]
    assert len(said) == len(set(said))
    assert said[0].startswith("Reading events from 2020-01-01T00:00:00Z on: 1 bundle")
    assert said[-1].startswith("10 records, 1 bundle")
    (warning,) = done.lines("warning", "tap-fullstory")
    assert str(shop.bundles[0].id) in warning
    assert {"info", "warning"} == {one["level"] for one in project_log}
    assert {"tap_fullstory"} == {one["plugin_logger"].partition(".")[0] for one in entries}
    metrics = [one["metric_info"] for one in entries if one["event"] == "METRIC"]
    assert {"http_request_duration", "record_count", "job_duration"} == {one["metric"] for one in metrics}
    assert KEY not in done.stderr


def test_config_test(project: Project, shop: Emulator) -> None:
    """People ask Meltano whether their settings are right, and believe the answer."""
    shop.bundles = generated(days=1, events=3000)  # more than a pipe holds: Meltano stops reading after one record

    assert "Plugin configuration is valid" in project("config", "test", "tap-fullstory").stdout


def test_wrong_key(project: Project, shop: Emulator) -> None:
    """Who mistypes the key would see "Extractor failed" and not why, or see the key in the log."""
    shop.bundles = generated(days=1, events=10)
    project.write_env(TAP_FULLSTORY_API_KEY="mistyped-key")

    run = project.run(status=1)
    tested = project("config", "test", "tap-fullstory", status=1)

    (line,) = run.lines("critical", "tap-fullstory")
    assert "Fullstory refused the API key (HTTP 401" in line and 'Check "api_key"' in line
    assert "Extractor failed" in run.lines("error", "meltano")
    assert "Fullstory refused the API key (HTTP 401" in tested.stdout + tested.stderr
    assert "mistyped-key" not in run.stdout + run.stderr + tested.stdout + tested.stderr
    assert {} == project.state()


def test_command_test(project: Project, shop: Emulator) -> None:
    """An account whose first bundle is still to come is no wrong configuration, but `config test` needs a record."""
    project("config", "test", "tap-fullstory", status=1)
    good = project("test", "tap-fullstory")
    project.write_env(TAP_FULLSTORY_API_KEY="mistyped-key")
    bad = project("test", "tap-fullstory", status=1)

    assert "ok    key: " in good.stdout and "there is no bundle" in good.stdout
    assert "FAIL  key: " in bad.stdout
    assert "mistyped-key" not in bad.stdout + bad.stderr
    assert 0 == shop.count(GET)


def test_selecting_columns(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """Columns that somebody left out, for privacy or cost, would arrive in the warehouse."""
    shop.bundles = generated(days=1, events=50)

    usual = kinds(project("select", "--list", "--all", "tap-fullstory").stdout)
    project("select", "--exclude", "tap-fullstory", "events", "PageIp")
    project("select", "--exclude", "tap-fullstory", "events", "User*")
    fewer = kinds(project("select", "--list", "--all", "tap-fullstory").stdout)
    project.run()

    events = {f"events.{name}" for name in columns}
    left_out = {"events.PageIp", *(name for name in events if name.startswith("events.User"))}
    assert events == {name for name in usual if name.startswith("events.")}
    assert {"automatic"} == {usual[name] for name in events} - {"selected"}
    assert "automatic" == usual["events.EventStart"]
    assert {"selected", "automatic"}.isdisjoint({usual[name] for name in usual if name == "bundles.checksum"})
    assert left_out == {name for name in events if fewer[name] == "excluded"}
    (one, *_) = rows = project.rows()
    assert 50 == len(rows)
    assert events - left_out == {f"events.{name}" for name in one if not name.startswith("_sdc_")}


def test_selecting_one_column_and_the_log_of_bundles(project: Project, shop: Emulator) -> None:
    """`select` adds to what is selected: whoever wants three columns has to get three, and `bundles` if they ask."""
    shop.bundles = generated(days=1, events=50)

    project("select", "--clear", "tap-fullstory")
    project("select", "tap-fullstory", "events", "EventType")
    project("select", "tap-fullstory", "bundles", "*")
    project.run()

    assert {"EventStart", "EventType"} == {name for name in project.rows()[0] if not name.startswith("_sdc_")}
    assert [50] == [row["events"] for row in project.rows("bundles")]
    assert {"events", "bundles"} == set(project.state()["bookmarks"])


def test_settings_arrive_as_they_are_meant(project: Project, shop: Emulator) -> None:
    """In .env all is text: a list, an object or a number that arrives as text would be refused by the tap."""
    shop.bundles = bundles = generated(days=3, events=20)
    project.write_env(
        TAP_FULLSTORY_EVENT_KEY="true",
        TAP_FULLSTORY_SKIP_BUNDLES=f"[{bundles[0].id}]",
        TAP_FULLSTORY_HTTP_HEADERS='{"X-Team": "secret-of-the-team"}',
        TAP_FULLSTORY_CHECKPOINT_RECORDS="7",
        TAP_FULLSTORY_END_DATE="2023-11-17",
        TAP_FULLSTORY_SPOOL_DIR=str(project.folder),
        TAP_FULLSTORY_USER_AGENT="the team",
    )
    project("config", "set", "tap-fullstory", "retry_timeout", "30")

    done = project.run()
    printed = json.loads(project("config", "print", "tap-fullstory").stdout)

    assert {bundles[1].id} == {row["_bundle_id"] for row in project.rows()}
    assert {"event_id"} <= set(project.rows()[0])
    assert {("secret-of-the-team", "the team")} == {
        (one.headers["x-team"], one.headers["user-agent"]) for one in shop.requests
    }
    assert 30 == printed["retry_timeout"]
    assert {"*****"} == {printed["api_key"], printed["http_headers"]}
    assert "secret-of-the-team" not in done.stdout + done.stderr


def test_full_refresh(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """A table that was dropped could not be filled again; with a key, what is there must not be doubled."""
    shop.bundles = generated(days=2, events=300)
    assert 600 == keyed_once(shop.bundles)
    project.write_env(TAP_FULLSTORY_EVENT_KEY="true")
    project.run()
    state = project.bookmark()

    again = project.run("--full-refresh")

    assert 4 == shop.count(GET)
    assert [] == again.lines("warning", "tap-fullstory")
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())
    assert state == project.bookmark()


def test_what_failed_is_gone_on_from(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """One bad night would load everything again, or leave out what was to come after the failure."""
    shop.bundles = generated(days=3, events=300)
    shop.faults = [Fault(GET, match={"id": str(shop.bundles[2].id)}, status=500, times=None)]
    project.write_env(TAP_FULLSTORY_RETRY_TIMEOUT="0")

    failed = project.run(status=1)
    half = project.bookmark()
    shop.faults = []
    downloads = shop.count(GET)
    project.run()

    assert 1 == len(failed.lines("critical", "tap-fullstory"))
    assert ([shop.bundles[1].id], []) == (half["done"], half["partial"])
    assert downloads + 1 == shop.count(GET)
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())


def test_a_tap_that_is_stopped_inside_a_bundle(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """A state inside a bundle has to survive Meltano, which keeps states of failed runs apart and merges them."""
    shop.bundles = generated(days=1, events=5000)
    project.write_env(
        TAP_FULLSTORY_CHECKPOINT_RECORDS="100",
        TARGET_POSTGRES_BATCH_SIZE_ROWS="100",
        MELTANO_ELT_BUFFER_SIZE="100000",  # or the tap would be done long before the target
    )
    process = project.start("--log-format", "json", "run", "tap-fullstory", "target-postgres")
    try:
        project.wait_for_rows(process, 300)
        log = (project.folder / "log").read_text("utf-8")
        found = re.search(r'"pid": (\d+)[^\n]*"name": "tap-fullstory"', log)
        assert found
        os.kill(int(found[1]), signal.SIGTERM)
        assert 1 == process.wait(120)
    finally:
        end(process)

    half = project.bookmark()
    assert shop.bundles[0].id == half["partial"][0]
    assert 300 <= len(project.rows()) == half["partial"][1] < 5000
    project.write_env()
    project.run("--state-strategy", "merge")

    assert ([], [shop.bundles[0].id]) == (project.bookmark()["partial"], project.bookmark()["done"])
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())


def test_stopped_by_sigterm(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """Orchestrators stop Meltano with SIGTERM; no event may be lost by it, and with a key none be there twice."""
    bundles = generated(days=3, events=500)
    assert 1500 == keyed_once(bundles)
    project.write_env(TAP_FULLSTORY_EVENT_KEY="true", TARGET_POSTGRES_BATCH_SIZE_ROWS="100")
    shop.bundles = bundles[:1]
    project.run()
    state = project.bookmark()
    shop.bundles = bundles
    shop.faults = [Fault(GET, match={"id": str(bundles[2].id)}, delay=600, times=None)]

    process = project.start("run", "tap-fullstory", "target-postgres")
    try:
        project.wait_for_rows(process, 700)
        assert 143 == end(process, signal.SIGTERM)
    finally:
        end(process)
    log = (project.folder / "log").read_text("utf-8")
    stored = len(project.rows())
    after = project.bookmark()
    shop.faults = []
    project.write_env(TAP_FULLSTORY_EVENT_KEY="true")
    project.run()

    assert "Stopped by a signal." in log and KEY not in log
    assert 700 <= stored < 1500
    assert after["until"] >= state["until"]
    assert_same_rows(expected_rows(bundles, columns), project.rows())
    assert [bundles[2].id] == project.bookmark()["done"]


def test_start_date_moved_back(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """People move it back and wonder why nothing comes: the log has to say so, and there has to be a way."""
    shop.bundles = bundles = generated(days=3, events=100)
    project.write_env(TAP_FULLSTORY_START_DATE="2023-11-16")
    project.run()
    project.write_env(TAP_FULLSTORY_START_DATE="2020-01-01")
    downloads = shop.count(GET)

    run = project.run()

    assert (downloads, 100 * downloads) == (shop.count(GET), len(project.rows()))
    (warning,) = run.lines("warning", "tap-fullstory")
    assert "start_date" in warning and "2023-11-16" in warning
    earlier = {"TAP_FULLSTORY_END_DATE": "2023-11-16"}
    project.run("--state-id-suffix", "earlier", environment=earlier)
    assert_same_rows(expected_rows(bundles, columns), project.rows())


def test_state_elsewhere(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """In a container the folder `.meltano` is gone after the run, and the next would load everything again."""
    shop.bundles = generated(days=2, events=50)
    project.write_env(MELTANO_STATE_BACKEND_URI=f"file://{project.folder}/states")

    project.run()
    shutil.rmtree(project.folder / ".meltano")
    project.run()

    assert 2 == shop.count(GET)
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())
    assert [shop.bundles[1].id] == project.bookmark()["done"]


def test_runs_with_states_of_their_own(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """A backfill beside the daily run would move its bookmark, and leave out or repeat days."""
    shop.bundles = generated(days=3, events=100)
    march = {"TAP_FULLSTORY_END_DATE": "2023-11-16"}
    april = {"TAP_FULLSTORY_START_DATE": "2023-11-16"}

    project.run("--state-id-suffix", "old", environment=march)
    project.run("--state-id-suffix", "new", environment=april)

    assert {f"{STATE_ID}:old", f"{STATE_ID}:new"} == set(project("state", "list").stdout.split())
    assert "2023-11-16T00:00:00Z" == project.bookmark(f"{STATE_ID}:old")["until"]
    assert "2023-11-18T00:00:00Z" == project.bookmark(f"{STATE_ID}:new")["until"]
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())


def test_windows_side_by_side(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """Runs side by side would overwrite each other's state, or what they have read be read again by the next one."""
    shop.bundles = everything = generated(days=4, events=50)
    text = (ROOT / "README.md").read_text("utf-8").partition("### Windows side by side")[2]
    lines = text.partition("```bash\n")[2].partition("```")[0].replace("--window 7d", "--window 2d")

    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        cwd=project.folder,
        env={**project.environment(), "PATH": f"{MELTANO.parent}:/usr/bin:/bin"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert {STATE_ID, "window-1", "window-2"} == set(project("state", "list").stdout.split())
    downloads = shop.count(GET)
    shop.bundles = [*everything, *generated(days=5, events=50)[4:]]
    project.run()
    assert (4, 5) == (downloads, shop.count(GET))
    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())


def test_one_stream_read_anew(project: Project, shop: Emulator) -> None:
    """Resetting one stream by the README's lines would make all of Fullstory come again, or nothing."""
    shop.bundles = generated(days=1, events=20)
    text = (ROOT / "README.md").read_text("utf-8").partition("**Reading one stream anew**")[2]
    lines = text.partition("With Meltano")[2].partition("```bash\n")[2].partition("```")[0]
    shop.settings["geo", ""] = [  # three pages
        {"metadata": {"lastUpdated": f"2024-01-{day:02}T{hour:02}:00:00Z"}}
        for day in range(28, 18, -1)
        for hour in range(23, -1, -1)
    ]
    versions = sum(map(len, shop.settings.values()))
    project("select", "tap-fullstory", "settings_history", "*")

    project.run()
    before, asked = project.state(), len(shop.requests)
    project.run()
    again, asked = len(shop.requests) - asked, len(shop.requests)
    environment = {**project.environment(), "PATH": f"{MELTANO.parent}:/usr/bin:/bin", "STATE_ID": STATE_ID}
    subprocess.run(["bash", "-euo", "pipefail", "-c", lines], cwd=project.folder, env=environment, check=True)
    reset = project.state()
    project.run()
    anew = len(shop.requests) - asked

    assert versions == len(project.rows("settings_history"))
    assert {"events", "settings_history"} <= before["bookmarks"].keys()
    assert {"events"} == before["bookmarks"].keys() - {"settings_history"} == reset["bookmarks"].keys()
    assert before["bookmarks"] == project.state()["bookmarks"]
    assert again < anew
    assert 1 == shop.count(GET)


def test_a_schedule(project: Project, shop: Emulator, columns: dict[str, Any]) -> None:
    """What runs each night has to be what was tried by hand."""
    shop.bundles = generated(days=1, events=20)

    project("job", "add", "fullstory", "--tasks", "tap-fullstory target-postgres")
    project("schedule", "add", "nightly", "--job", "fullstory", "--interval", "@daily")
    project("schedule", "run", "nightly")

    assert_same_rows(expected_rows(shop.bundles, columns), project.rows())
    project("state", "clear", "--force", STATE_ID)
    assert {} == project.state()
