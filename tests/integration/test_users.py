"""The stream `users`, and what all streams of objects have in common."""

import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from fullstory_emulator import Emulator, Fault
from tests.integration.objects import SEGMENTS, USERS, bookmarks, by, catalog
from tests.integration.tap import Json, Tap, bundle, finished, parse
from tests.integration.test_resume import wait_for

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.only_source("data_export")


def user(number: int, **members: Any) -> Json:
    """A user as `GET /v2/users` shows them."""
    return {
        "id": str(6606828898126520000 + number),
        "uid": f"u{number}",
        "display_name": f"Visitor {number}",
        "email": f"u{number}@example.com",
        "is_being_deleted": False,
        "properties": {"plan": "pro"},
        "schema": None,
        "type_conflicts": None,
        "app_url": "https://app.fullstory.com/ui/o-DEMO-na1/segments/everyone/people:search:abc/user/xyz",
        **members,
    }


@pytest.mark.proves("connectors", "users")
def test_all_pages_are_read(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever has more than ten users would miss the others."""
    emulator.users = [user(number) for number in range(25)]

    run = run_tap(catalog=catalog("users"))

    assert 0 == run.status
    assert [one["id"] for one in emulator.users] == [*by(run.records("users"), "id")]
    assert 3 == emulator.count(USERS)
    said = [line for line in run.said if "this takes 3 requests" in line]
    assert 1 == len(said) and "25 users" in said[0]
    assert (["id"], None) == (run.schema("users")["key_properties"], run.schema("users").get("bookmark_properties"))
    assert {} == bookmarks(run)


def test_nothing_is_read_that_is_not_selected(run_tap: Tap, emulator: Emulator) -> None:
    """The first run of everybody would read people, and need a key for that."""
    emulator.bundles = [bundle()]

    run = run_tap()

    assert {"events"} == {one["stream"] for one in run.messages if "stream" in one}
    assert {"/api/v1/export/list", "/api/v1/export/get"} == {one.path for one in emulator.requests}


def test_values_are_exact_and_flat(run_tap: Tap, emulator: Emulator) -> None:
    """Targets drop what is nested, and a warehouse would hold other numbers than Fullstory."""
    properties = {
        "address": {"city": "Olten", "zip": [4600, 4601]},
        "big": 9007199254740993,
        "huge": 2**70 + 1,
        "half": 0.1,
        "text": "a\0b\ud800",
        "none": None,
    }
    emulator.users = [user(1, properties=properties, schema={"properties": {"big": "int"}}, new_member={"a": [1]})]

    (record,) = run_tap(catalog=catalog("users")).records("users")

    assert all(value is None or isinstance(value, (str, int, float)) for value in record.values())
    found = parse(record["properties"])
    assert {**properties, "huge": str(2**70 + 1), "text": "a\ufffdb\ufffd"} == found
    assert {"properties": {"big": "int"}} == parse(record["schema"])
    assert record["type_conflicts"] is None
    assert {"new_member": {"a": [1]}} == parse(record["CustomVars"])


def test_what_is_missing_or_of_another_type_loses_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A run would end at the first anonymous user, or write a value that its column does not take."""
    odd = {"id": "1", "app_url": {"a": 1}, "display_name": 7, "email": ["a@example.com"]}
    emulator.users = [odd, {"id": 2, "properties": None}]

    run = run_tap(catalog=catalog("users"))

    assert 0 == run.status
    first, second = run.records("users")
    assert ("1", "7") == (first["id"], first["display_name"])
    assert {"app_url": {"a": 1}, "email": ["a@example.com"]} == parse(first["CustomVars"])
    assert ("2", None) == (second["id"], second["properties"])
    assert {"uid", "email", "display_name", "CustomVars"} & second.keys() == set()
    assert any("did not fit their column" in line and "email (1)" in line for line in run.said)


def test_identified_users_alone(run_tap: Tap, emulator: Emulator) -> None:
    """Most users of a shop are anonymous, and each ten of them are a request."""
    emulator.users = [user(1), {"id": "2", "is_being_deleted": False}]

    run = run_tap(catalog=catalog("users"), settings={"users_identified_only": True})

    assert ["u1"] == [one["uid"] for one in run.records("users")]


def test_deselected_columns(run_tap: Tap, emulator: Emulator) -> None:
    """What is deselected for privacy would be in the warehouse, or in CustomVars."""
    emulator.users = [user(1, email=["odd"], more=1)]

    plain = run_tap(catalog=catalog("users", without=["email", "properties"]))
    closed = run_tap(catalog=catalog("users", without=["email", "CustomVars"]))

    (record,) = plain.records("users")
    assert {"email", "properties"} & record.keys() == set()
    assert {"more": 1} == parse(record["CustomVars"])
    assert {"email", "properties"} & plain.schema("users")["schema"]["properties"].keys() == set()
    dropped = run_tap(catalog=catalog("users", without=["email"]), settings={"custom_vars": "drop"})
    for run in (closed, dropped):
        (record,) = run.records("users")
        assert "CustomVars" not in record
        assert "CustomVars" not in run.schema("users")["schema"]["properties"]
        assert any("were dropped" in line and "more (1)" in line for line in run.said)


def test_privacy_settings_hold_for_all_streams(run_tap: Tap, emulator: Emulator) -> None:
    """An e-mail that is hashed in events would stand in the clear beside them."""
    emulator.users = [user(1, properties={"phone": "+41 62 555", "plan": "pro", "secret": 1}, app_url="https://x/?a=1")]
    settings = {
        "hash_columns": ["email", "phone", "is_being_deleted"],
        "hash_key": "k",
        "strip_query": ["app_url"],
        "custom_vars_exclude": ["secret"],
    }

    run = run_tap(catalog=catalog("users"), settings=settings)

    (record,) = run.records("users")
    properties = parse(record["properties"])
    assert [64] * 3 == [len(one) for one in (record["email"], properties["phone"], record["is_being_deleted"])]
    assert ("pro", None, "https://x/") == (properties["plan"], properties.get("secret"), record["app_url"])
    types = run.schema("users")["schema"]["properties"]
    assert ["null", "string"] == types["is_being_deleted"]["type"]
    assert "+41" not in run.stdout.decode() + run.stderr


def test_a_catalog_from_before_a_column(run_tap: Tap, emulator: Emulator) -> None:
    """A catalog that somebody keeps would lose what a later version has a column for."""
    emulator.users = [user(1)]
    old = catalog("users")
    (entry,) = (one for one in old["streams"] if one["tap_stream_id"] == "users")
    del entry["schema"]["properties"]["email"]

    (record,) = run_tap(catalog=old).records("users")

    assert "email" not in record
    assert {"email": "u1@example.com"} == parse(record["CustomVars"])


# Trouble --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 500])
def test_a_request_that_fails_is_tried_again(run_tap: Tap, emulator: Emulator, status: int) -> None:
    """One refusal among a thousand requests would end a run of hours."""
    emulator.users = [user(number) for number in range(15)]
    headers = {"Retry-After": "1"} if status == 429 else None
    emulator.faults = [Fault(USERS, status=status, headers=headers, skip=1)]

    run = run_tap(catalog=catalog("users"), settings={"retry_timeout": 5})

    assert (0, 15) == (run.status, len(run.records("users")))


@pytest.mark.parametrize(
    "body",
    [
        {"results": [{"id": "1"}], "next_page_token": "same"},
        {"results": {"id": "1"}},
        {"results": ["1"]},
        {"results": [], "next_page_token": {"a": 1}},
        {},
        [],
    ],
)
def test_answers_that_are_not_as_documented(run_tap: Tap, emulator: Emulator, body: Any) -> None:
    """A run would go round in circles for ever, or end with a traceback."""
    emulator.faults = [Fault(USERS, status=200, raw=json.dumps(body).encode(), times=None)]

    run = run_tap(catalog=catalog("users"), settings={"retry_timeout": 0.2})

    assert 65 == run.status
    assert USERS in run.last_line and "not as documented" in run.last_line


def test_a_stream_that_the_key_may_not_read_does_not_stop_the_others(run_tap: Tap, emulator: Emulator) -> None:
    """Segments would not be there because people are not allowed."""
    emulator.bundles = [bundle()]
    emulator.role = "USER"

    run = run_tap(catalog=catalog("events", "users", "segments"))

    assert 77 == run.status
    assert [] == run.records("events") == run.records("users")
    assert len(run.records("segments")) > 1
    assert 1 == run.stderr.count("CRITICAL") and "Traceback" not in run.stderr
    assert any(line.startswith("ERROR users: ") and "403" in line for line in run.said)


def test_any_other_error_ends_the_run(run_tap: Tap, emulator: Emulator) -> None:
    """A 403 that is remembered would hide what has to be mended first."""
    emulator.role = "USER"
    emulator.faults = [Fault(SEGMENTS, status=500, times=None)]

    assert 69 == run_tap(catalog=catalog("users", "segments"), settings={"retry_timeout": 0.2}).status


def test_an_interrupted_stream_is_the_first_one_and_starts_over(run_tap: Tap, emulator: Emulator) -> None:
    """A stream at the end of a list would never be reached, or stay half read."""
    emulator.bundles = [bundle()]
    emulator.users = [user(number) for number in range(25)]
    emulator.faults = [fault := Fault(USERS, delay=60, skip=2)]
    process = run_tap.start(catalog=catalog("events", "users", "segments"))

    wait_for(lambda: fault.used)
    process.send_signal(signal.SIGTERM)
    stopped = finished(process.wait(30), *process.communicate())

    assert 143 == stopped.status
    assert "users" == stopped.states[-1]["currently_syncing"]
    assert "users" not in bookmarks(stopped) and "events" in bookmarks(stopped)
    emulator.faults = []
    again = run_tap(catalog=catalog("events", "users", "segments"), state=stopped.states[-1])
    assert (0, 25, []) == (again.status, len(again.records("users")), again.records("events"))
    read = list(dict.fromkeys(one["stream"] for one in again.messages if one["type"] == "RECORD"))
    assert ["users", "segments"] == read
    assert again.states[-1]["currently_syncing"] is None
    assert bookmarks(stopped) == bookmarks(again)


def test_a_run_that_is_over_says_which_streams_are_left(run_tap: Tap, emulator: Emulator) -> None:
    """A job with an hour of time would be killed in it, or pass for done."""
    emulator.users = [user(number) for number in range(25)]
    emulator.faults = [Fault(USERS, delay=3, skip=1)]

    run = run_tap(catalog=catalog("users", "segments"), settings={"max_runtime": 1.5})

    assert 0 == run.status
    assert "max_runtime is over: not finished: users, segments; run again" in run.last_line
    assert {} == bookmarks(run)


def test_a_stream_that_never_gets_done_does_not_keep_the_others_from_being_read(
    run_tap: Tap, emulator: Emulator
) -> None:
    """People who take longer to read than a run may last would be all that is read, night after night."""
    emulator.bundles = [bundle()]
    emulator.users = [user(number) for number in range(25)]
    emulator.faults = [Fault(USERS, delay=3, skip=1, times=None)]
    begun = {"bookmarks": {}, "currently_syncing": "users"}

    for streams, following in [(["users", "segments"], "segments"), (["events", "users"], "events")]:
        run = run_tap(catalog=catalog(*streams), settings={"max_runtime": 1.5}, state=begun)

        assert (0, following) == (run.status, run.states[-1]["currently_syncing"])


def test_a_stream_that_fails_each_time_does_not_keep_the_others_from_being_read(
    run_tap: Tap, emulator: Emulator
) -> None:
    """Events would grow old behind a list that nobody needs, until Fullstory has them no more."""
    emulator.bundles = [bundle()]
    emulator.faults = [Fault(USERS, status=500, times=None)]
    settings = {"retry_timeout": 0.2}

    run = run_tap(
        catalog=catalog("events", "users"), settings=settings, state={"bookmarks": {}, "currently_syncing": "users"}
    )
    again = run_tap(catalog=catalog("events", "users"), settings=settings, state=run.states[-1])

    assert (69, [], "events") == (run.status, run.records("events"), run.states[-1]["currently_syncing"])
    assert (69, 3) == (again.status, len(again.records("events")))


def test_files_of_objects(run_tap: Tap, emulator: Emulator, tmp_path: Path) -> None:
    """Whoever loads files would have events without people."""
    emulator.users = [user(number) for number in range(25)]
    folder = tmp_path / "files"

    for _ in range(2):
        command = run_tap.command("--to", str(folder), "--format", "parquet", catalog=catalog("users", "segments"))
        run = run_tap.bare(command[3:])

        assert 0 == run.returncode, run.stderr
        manifest = json.loads(max((folder / "_manifests").iterdir()).read_text())
        assert [] == manifest["bundle_ids"]
        (users,) = (one for one in manifest["files"] if one["stream"] == "users")
        table = parquet.read_table(folder / users["path"])
        assert [one["id"] for one in emulator.users] == table["id"].to_pylist()
        assert {"users", "segments"} == {one["stream"] for one in manifest["files"]}


def test_the_lines_of_the_readme(run_tap: Tap, emulator: Emulator) -> None:
    """Who follows them would select something else, or read everything anew."""
    emulator.users = [user(1)]
    text = (ROOT / "README.md").read_text("utf-8").partition("## Other streams")[2]
    select, reset = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)[:2]
    folder = run_tap.folder
    (folder / "config.json").write_text(json.dumps(run_tap.settings()))
    (folder / "state.json").write_text('{"bookmarks": {"segments": 1, "settings_history": {"geo": ["x"]}}}')
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"

    def bash(lines: str) -> bytes:
        command = ["bash", "-euo", "pipefail", "-c", lines]
        return subprocess.run(
            command, cwd=folder, env=run_tap.environment({"PATH": path}), check=True, stdout=subprocess.PIPE
        ).stdout

    messages = [json.loads(line) for line in bash(select).splitlines()]
    bash(reset)

    assert {"events", "users", "segments"} == {one["stream"] for one in messages if one["type"] == "SCHEMA"}
    assert {"bookmarks": {"segments": 1}} == json.loads((folder / "state.json").read_text())


def test_batches_of_objects(run_tap: Tap, emulator: Emulator, tmp_path: Path) -> None:
    """A target that takes BATCH would get people one by one, or not at all."""
    emulator.users = [user(number) for number in range(25)]
    root = {"storage": {"root": (tmp_path / "batches").as_uri()}}

    run = run_tap(catalog=catalog("users", "segments"), settings={"batch_config": root})

    assert 0 == run.status
    batches = [one for one in run.messages if one["type"] == "BATCH"]
    assert ["users", "segments"] == [one["stream"] for one in batches]
    with gzip.open(batches[0]["manifest"][0].removeprefix("file://")) as file:
        assert [one["id"] for one in emulator.users] == [json.loads(line)["id"] for line in file]
