"""The stream `individuals`: one export of all people of a segment, exact, whole or not at all."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from fullstory_emulator import Bundle, Course, Emulator, Fault, Segment
from tests.integration.objects import bookmarks, by, catalog
from tests.integration.tap import (
    DAY,
    EXPORTS,
    FIRST,
    LINKS,
    OPERATIONS,
    RESULTS,
    TIMEOUT,
    Json,
    Run,
    Tap,
    bundle,
    event,
    finished,
    parse,
    read_lines,
)
from tests.integration.test_memory import MEASURE, MOST
from tests.integration.test_resume import killed, wait_for

pytestmark = pytest.mark.only_source("data_export")
long = pytest.mark.long  # an export takes a second before it is asked for

NAME = "individuals"
BIG = 6_600_000_000_000_000_001  # doubles do not hold it


@pytest.fixture(autouse=True)
def _at_once(emulator: Emulator) -> None:
    """Exports are completed when they are looked at for the first time."""
    emulator.course = Course(polls=0)


def person(number: int, **members: Any) -> Json:
    """Somebody as an export of individuals has them."""
    return {"IndvId": BIG + number, "Created": "2023-11-15T01:00:00.250Z", "NumEvents": 3, **members}


def read(run_tap: Tap, *streams: str, without: Iterable[str] = (), **settings: Any) -> Run:
    """A run over individuals, and other streams."""
    return run_tap(catalog=catalog(NAME, *streams, without=without), settings=settings)


def asked(emulator: Emulator) -> list[Json]:
    """The bodies of all requests for exports, in order."""
    return [json.loads(one.body) for one in emulator.requests if (one.method, one.path) == ("POST", EXPORTS)]


# What comes -----------------------------------------------------------------------------------------------------------


def test_values_are_exact_and_nothing_is_lost(run_tap: Tap, emulator: Emulator) -> None:
    """A warehouse would hold other numbers and texts than Fullstory, or lack what has no column."""
    plain = person(
        0,
        Uid="u-1",
        TotalSec=0.1,
        ActiveSec=33,
        AvgSessionSec=1e-7,
        LastEventStart="2023-11-16T02:00:00.123456789Z",
        LastIp="",
        Email=None,
        user_plan_str="pro",
        user_big_int=2**62 + 1,
        user_tags_strs=["a", "b"],
        Shoe={"size": [44]},
    )
    odd: Json = {
        "IndvId": str(BIG + 1),
        "Uid": 17,
        "DisplayName": "a\0b\ud800\r\n🍎",
        "NumSessions": 2.0,
        "NumPages": 2**63 + 1,
        "Created": "yesterday",
        "LastSessionStart": "2023-11-15T02:00:00+01:00",
        "LastPage": ["x"],
        "user_a\0_str": "c\0d",
        "user_huge_int": 10**30,
    }
    emulator.individuals = [plain, odd, b'{"IndvId":%d,"TotalSec":1e400,"MaxSessionSec":0.10}' % (BIG + 2)]

    run = read(run_tap)

    assert 0 == run.status
    first, second, third = run.records(NAME)
    more = {"user_plan_str": "pro", "user_big_int": 2**62 + 1, "user_tags_strs": ["a", "b"], "Shoe": {"size": [44]}}
    assert more == parse(first.pop("CustomVars"))
    assert {name: value for name, value in plain.items() if name not in more} == first
    assert isinstance(first["ActiveSec"], int)
    assert {
        "NumPages": str(2**63 + 1),
        "Created": "yesterday",
        "LastPage": ["x"],
        "user_a\ufffd_str": "c\ufffdd",
        "user_huge_int": "1" + 30 * "0",
    } == parse(second.pop("CustomVars"))
    assert {
        "IndvId": BIG + 1,
        "Uid": "17",
        "DisplayName": "a\ufffdb\ufffd\r\n🍎",
        "NumSessions": 2,
        "LastSessionStart": "2023-11-15T01:00:00Z",
    } == second
    assert {"TotalSec": "1e400"} == parse(third.pop("CustomVars"))
    assert {"IndvId": BIG + 2, "MaxSessionSec": 0.1} == third
    said = "\n".join(run.said)
    assert (
        "did not fit their column and are kept in CustomVars: Created (1), LastPage (1), NumPages (1), TotalSec" in said
    )
    assert "Custom variables kept in CustomVars: user_a\ufffd_str (1), user_big_int (1)" in said
    assert "of no documented field and are kept in CustomVars: Shoe (1)." in said
    assert "replaced by U+FFFD: DisplayName (1), user_a\ufffd_str" in said


def test_one_export_of_all_time_is_asked_for(run_tap: Tap, emulator: Emulator) -> None:
    """The segment `everyone` means the last 30 days: all others would be missing, without a word."""
    emulator.now = FIRST + 90 * DAY
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(7, IndvId=BIG)]), bundle(80, first=9)]

    run = read(run_tap, start_date="2024-02-01T00:00:00Z")

    assert 0 == run.status
    assert {BIG, 9, 10, 11} == set(by(run.records(NAME), "IndvId"))
    always = {"start": "", "end": ""}
    assert [
        {
            "segmentId": "everyone",
            "type": "TYPE_INDIVIDUAL",
            "format": "FORMAT_JSON",
            "timeRange": always,
            "segmentTimeRange": always,
        }
    ] == asked(emulator)
    schema = run.schema(NAME)
    assert (["IndvId"], None) == (schema["key_properties"], schema.get("bookmark_properties"))
    assert {} == bookmarks(run)
    assert [] == run_tap.waiting()


@long
@pytest.mark.proves("connectors", "individuals")
def test_the_people_of_an_account_are_those_of_its_events(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody would be missing, twice there, or somebody else."""
    with Emulator.generated(course=Course(polls=2), now=FIRST + 10 * DAY) as account:
        truth = by(account.exported(type="TYPE_INDIVIDUAL"), "IndvId")
        run = read(run_tap, api_url=account.url)

    assert 0 == run.status
    found = by(run.records(NAME), "IndvId")
    flat = {key: {**parse(one.pop("CustomVars", "{}")), **one} for key, one in found.items()}
    assert truth == flat
    assert len(truth) > 50


@long
def test_a_segment_of_its_own(run_tap: Tap, emulator: Emulator) -> None:
    """All people would come where a few are wanted."""
    emulator.bundles = [bundle(first=1)]
    emulator.segments = [Segment("two", "Two", matches=lambda event: event["UserId"] == 2)]

    run = read(run_tap, segment_id="two")

    assert [2] == [one["IndvId"] for one in run.records(NAME)]


@long
def test_nobody_is_no_error(run_tap: Tap, emulator: Emulator) -> None:
    """A segment that is empty today would fail the job."""
    emulator.bundles = []

    run = read(run_tap)

    assert (0, []) == (run.status, run.records(NAME))
    assert {} == bookmarks(run)


@long
@pytest.mark.parametrize(
    "without, settings, fields",
    [
        (["Email", "LastIp"], {}, None),
        (["CustomVars", *"Uid DisplayName Email LastPage LastIp LastLatLong".split()], {}, True),
        ([], {"custom_vars": "drop"}, True),
    ],
)
def test_only_what_is_selected_comes(
    run_tap: Tap, emulator: Emulator, without: list[str], settings: Json, fields: "bool | None"
) -> None:
    """What is deselected for privacy would be in the warehouse, in CustomVars, or in a file on the way."""
    members = {"UserEmail": "ada@example.com", "PageIp": "203.0.113.9", "user_plan_str": "pro", "IndvId": BIG}
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(7, **members)])]

    run = read(run_tap, without=without, **settings)

    (record,) = run.records(NAME)
    assert BIG == record["IndvId"]
    assert not set(without) & record.keys()
    assert fields or {"user_plan_str": "pro"} == parse(record["CustomVars"])
    assert not fields or "CustomVars" not in record
    (body,) = asked(emulator)
    columns = set(run.schema(NAME)["schema"]["properties"]) - {"CustomVars"}
    assert (columns if fields else None) == (set(body["fields"]) if "fields" in body else None)


@long
def test_privacy_settings_hold(run_tap: Tap, emulator: Emulator) -> None:
    """Who somebody is would stand in the clear, or could not be joined with events."""
    emulator.individuals = [person(0, Email="ada@example.com", LastPage="https://a.example/?q=1", user_phone_str="+41")]

    run = read(run_tap, hash_columns=["Email", "user_phone_str"], hash_key="k", strip_query=["LastPage"])

    (record,) = run.records(NAME)
    assert (64, "https://a.example/") == (len(record["Email"]), record["LastPage"])
    assert 64 == len(parse(record["CustomVars"])["user_phone_str"])
    assert "ada@example.com" not in run.stdout.decode()


@long
def test_a_large_account_needs_no_large_machine(run_tap: Tap, emulator: Emulator) -> None:
    """Millions of people would get the container of a scheduler killed."""
    people = 200_000
    text = {"Email": "somebody@example.com", "LastPage": "https://a.example/" + "x" * 200}
    emulator.individuals = lambda: (person(number, **text) for number in range(people))
    command = run_tap.command(catalog=catalog(NAME))

    run = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, check=False, timeout=TIMEOUT)

    assert 0 == run.returncode, run.stderr
    assert f"{people} records" in run.stderr.decode().splitlines()[-1]
    assert int(run.stdout) < MOST


# Trouble --------------------------------------------------------------------------------------------------------------


def test_without_permission_the_other_streams_go_on(run_tap: Tap, emulator: Emulator) -> None:
    """Segments would not be there because people may not be exported; and nobody would know what to buy."""
    emulator.role = "USER"

    run = read(run_tap, "segments")

    assert (77, []) == (run.status, run.records(NAME))
    assert len(run.records("segments")) > 1
    assert "403" in run.last_line and "add-on" in run.last_line


def test_a_key_that_may_not_export_is_found_before_the_first_run(run_tap: Tap, emulator: Emulator) -> None:
    """It would be found out in the middle of the night; and looking must not set an export going."""
    emulator.segments = [Segment("a b/c", "Odd")]

    def tested(role: str, **settings: str) -> "tuple[int, list[bytes]]":
        emulator.role = role
        done = run_tap.bare(run_tap.command("--test", catalog=catalog(NAME), settings=settings)[3:])
        return done.returncode, [line for line in done.stdout.splitlines() if line.startswith(b"FAIL")]

    assert (0, []) == tested("ARCHITECT")
    assert (0, []) == tested("ADMIN", segment_id="a b/c")
    status, (failed,) = tested("USER")
    assert (77, True) == (status, failed.startswith(b"FAIL  key: "))
    status, (failed,) = tested("ADMIN", segment_id="gone")
    assert (78, True) == (status, failed.startswith(b"FAIL  individuals: "))
    assert [] == emulator.exports


def test_a_segment_that_does_not_exist(run_tap: Tap, emulator: Emulator) -> None:
    """A slip of the pen would read like a failure of Fullstory."""
    run = read(run_tap, segment_id="everybody")

    assert 78 == run.status
    assert '"segment_id" names no segment of the account: "everybody". The nearest: "everyone"' in run.last_line


@long
def test_an_export_that_fails_is_asked_for_once_more(run_tap: Tap, emulator: Emulator) -> None:
    """A passing failure of Fullstory would fail the job; one that lasts would go on for ever, or pass for nobody."""
    emulator.individuals = [person(1)]
    failed = Course(polls=0, state="FAILED", error="out of cheese")
    emulator.course = lambda export: failed if export.nth == 1 else None

    once = read(run_tap)
    emulator.course = failed
    always = read(run_tap)

    assert (0, 1) == (once.status, len(once.records(NAME)))
    assert any("ended as FAILED: out of cheese. Trying again." in line for line in once.said)
    assert (65, [], 4) == (always.status, always.records(NAME), len(emulator.exports))
    assert "The export of individuals ended as FAILED: out of cheese. No individual was written." in always.last_line
    assert [] == run_tap.waiting()


@long
@pytest.mark.parametrize(
    "damage",
    [
        {"truncate_at": -8},
        {"truncate_at": 0},
        {"drop_bracket": True},
        {"wrong_crc": True},
        {"wrong_length": True},
        {"corrupt_at": 300},
        {"cut_line": True, "other_form": True},
        {"other_form": True},
        {"raw": b"<html>"},
    ],
    ids=str,
)
def test_a_damaged_file_is_fetched_again_and_never_written_in_part(
    run_tap: Tap, emulator: Emulator, damage: Mapping[str, Any]
) -> None:
    """Half of the people would replace all of them, with status 0."""
    emulator.individuals = [person(number, LastPage=f"https://a.example/{number:x}") for number in range(2000)]

    emulator.faults = [Fault(f"{LINKS}*", **damage)]
    once = read(run_tap)
    emulator.faults = [Fault(f"{LINKS}*", times=None, **damage)]
    always = read(run_tap)

    assert (0, 2000) == (once.status, len(by(once.records(NAME), "IndvId")))
    assert 1 == len(emulator.exports) - 1
    assert (65, []) == (always.status, always.records(NAME))
    assert "The export of individuals arrived damaged: " in always.last_line
    assert [] == run_tap.waiting()


@long
@pytest.mark.parametrize("fault", [{"cut_at": 2000}, {"cut_at": 2000, "reset": True}, {"status": 503}])
def test_a_transfer_that_breaks_off_starts_over(run_tap: Tap, emulator: Emulator, fault: Mapping[str, Any]) -> None:
    """A large file would never arrive."""
    emulator.individuals = [person(number, LastPage=f"https://a.example/{number:x}") for number in range(2000)]
    emulator.faults = [Fault(f"{LINKS}*", **fault)]

    run = read(run_tap, retry_timeout=20)

    assert (0, 2000, 1) == (run.status, len(by(run.records(NAME), "IndvId")), len(emulator.exports))


@long
def test_links_and_results_that_have_expired(run_tap: Tap, emulator: Emulator) -> None:
    """A link is good for five minutes, results for a week; a run that was held up would fail."""
    emulator.individuals = [person(1)]

    emulator.faults = [Fault(f"{LINKS}*", expired=True)]
    link = read(run_tap, retry_timeout=20)
    emulator.faults = [Fault(f"{RESULTS}/*", expired=True)]
    results = read(run_tap, retry_timeout=20)

    assert (0, 1, 0, 1) == (link.status, len(link.records(NAME)), results.status, len(results.records(NAME)))
    assert [2, 0, 1] == [export.linked for export in emulator.exports]


@long
def test_an_export_that_takes_too_long(run_tap: Tap, emulator: Emulator) -> None:
    """A run would wait for ever; and the next one waits for an export of its own, which has to be said."""
    emulator.course = Course(polls=None)

    run = read(run_tap, export_timeout=2)

    assert 75 == run.status
    assert "The export of individuals is not ready after 2 s" in run.last_line
    assert 'raise "export_timeout": the next run asks for a new export' in run.last_line


@long
def test_a_signal_ends_the_wait_for_an_export(run_tap: Tap, emulator: Emulator) -> None:
    """An orchestrator would have to kill the run."""
    emulator.course = Course(polls=None)
    process = run_tap.start(catalog=catalog(NAME, "segments"))

    wait_for(lambda: any(one.path.startswith(f"{OPERATIONS}/") for one in emulator.requests))
    process.send_signal(signal.SIGTERM)
    stopped = finished(process.wait(30), *process.communicate())

    assert (143, NAME) == (stopped.status, stopped.states[-1]["currently_syncing"])


@long
def test_a_killed_run_starts_over(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever came before the crash would be missing, or its file would stay for ever."""
    people = 30_000
    emulator.individuals = lambda: (person(number, DisplayName="x" * 300) for number in range(people))
    process = run_tap.start(catalog=catalog(NAME))

    crashed = killed(process, read_lines(process, 3000))
    left = run_tap.waiting()
    again = run_tap(catalog=catalog(NAME), state=crashed.states[-1] if crashed.states else None)

    assert (-9, 1) == (crashed.status, len(left))
    assert 0 < len(crashed.records(NAME)) < people
    assert (0, people, []) == (again.status, len(by(again.records(NAME), "IndvId")), run_tap.waiting())
    assert {} == bookmarks(again)


@long
@pytest.mark.parametrize("depth", [600, 100_000])
def test_a_variable_nested_too_deeply_is_said(run_tap: Tap, emulator: Emulator, depth: int) -> None:
    """A run would end with a traceback."""
    emulator.individuals = [b'{"IndvId":1,"user_deep":%b%b}' % (b"[" * depth, b"]" * depth)]

    run = read(run_tap)

    assert (65, []) == (run.status, run.records(NAME))


@long
def test_beside_events_from_the_same_source(run_tap: Tap, emulator: Emulator) -> None:
    """An export of people would be taken for one of events, or the other way round."""
    emulator.bundles = [bundle(first=1)]
    emulator.now = FIRST + 3 * DAY
    settings = {"events_source": "segment_export", "export_window_hours": 24, "start_date": "2023-11-15T00:00:00Z"}

    run = read(run_tap, "events", **settings)

    assert (0, [1, 2, 3]) == (run.status, run.numbers())
    assert {1, 2, 3} == set(by(run.records(NAME), "IndvId"))
    assert ["TYPE_EVENT", "TYPE_EVENT", "TYPE_INDIVIDUAL"] == [one["type"] for one in asked(emulator)]
