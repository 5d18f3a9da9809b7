"""Segment Export: what is asked for, waiting, exports that fail, and moving from one source to the other."""

import json
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import Bundle, Course, Emulator, Export, Fault, Request, Segment, sample_bundles
from tests.integration.tap import (
    DAY,
    EXPORTS,
    FIRST,
    HOUR,
    LINKS,
    OPERATIONS,
    RESULTS,
    TIMEOUT,
    Json,
    Run,
    Tap,
    big_bundle,
    bundle,
    event,
    finished,
    read_lines,
    rfc,
)
from tests.integration.test_resume import MANY, killed

pytestmark = [pytest.mark.long, pytest.mark.only_source("segment_export")]

HOURLY = {"export_window_hours": 1}


def asked(emulator: Emulator) -> list[Json]:
    """The bodies of all requests for exports, in order."""
    return [json.loads(one.body) for one in emulator.requests if (one.method, one.path) == ("POST", EXPORTS)]


def spans(emulator: Emulator) -> list[tuple[str, str]]:
    """The spans of all exports that were asked for, in order."""
    return [(one["timeRange"]["start"], one["timeRange"]["end"]) for one in asked(emulator)]


def to(emulator: Emulator, path: str, method: str = "GET") -> list[Request]:
    """The requests to paths that begin like this."""
    return [one for one in emulator.requests if one.method == method and one.path.startswith(path)]


def day_of(count: int, hours: "tuple[int, ...]" = (1,), day: int = 0) -> Bundle:
    """A bundle with so many events in each of these hours of a day, numbered on."""
    start = FIRST + day * DAY
    moments = [start + hour * HOUR + 60 * number for hour in hours for number in range(count)]
    return Bundle(start, start + DAY, [event(1000 * day + number + 1, at) for number, at in enumerate(moments)])


# --- what is asked for ---


def test_an_export_is_asked_for_with_both_ranges(run_tap: Tap, emulator: Emulator) -> None:
    """What is older than 30 days would be missing without a word, or events of other days would come along."""
    emulator.bundles = [bundle(0)]

    run = run_tap()

    assert 0 == run.status
    (body,) = asked(emulator)
    assert {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_JSON",
        "timeRange": {"start": "2023-11-15T00:00:00Z", "end": "2023-11-16T00:00:00Z"},
        "segmentTimeRange": {"start": "2023-11-15T00:00:00Z", "end": "2023-11-16T00:00:00Z"},
    } == body
    keys = {one.headers.get("authorization") for one in emulator.requests if not one.path.startswith(LINKS)}
    assert {f"Basic {emulator.api_key}"} == keys
    (link,) = to(emulator, LINKS)
    assert not {"authorization", "x-token"} & set(link.headers)


@pytest.mark.proves("connectors", "events of Segment Export")
def test_events_of_sixty_days_ago_come(run_tap: Tap, emulator: Emulator) -> None:
    """The segment `everyone` means the last 30 days: a first load would begin there, without a word."""
    emulator.bundles = [bundle(0, first=1), bundle(60, first=100)]

    run = run_tap(settings={"end_date": rfc(FIRST + 2 * DAY)})
    late = run_tap(settings={"start_date": rfc(FIRST + 60 * DAY)})

    assert (0, [1, 2, 3]) == (run.status, run.numbers())
    assert (0, [100, 101, 102]) == (late.status, late.numbers())


@pytest.mark.parametrize(
    "selected, settings, fields",
    [
        (["PageAgent", "PageUrl"], {}, ["EventStart", "PageUrl", "PageUserAgent"]),
        (["PageUrl", "CustomVars"], {}, None),
        (
            ["PageUrl", "EventType"],
            {"event_key": True},
            [
                *("EventCustomName", "EventStart", "EventSubType", "EventTargetText", "EventType"),
                *("PageId", "PageUrl", "SessionId", "UserId", "evt_*"),
            ],
        ),
        (["PageUrl"], {"exclude_event_types": ["seen"]}, ["EventStart", "EventType", "PageUrl"]),
        (["plan"], {"custom_columns": [{"name": "user_plan_str", "column": "plan"}]}, ["EventStart", "user_plan_str"]),
        (["plan"], {"custom_columns": [{"name": "plan_str", "column": "plan"}]}, None),
    ],
)
def test_only_what_is_selected_is_exported(
    run_tap: Tap, emulator: Emulator, selected: list[str], settings: Json, fields: "list[str] | None"
) -> None:
    """Files would hold what nobody wants, or lack what the selection, the key or a filter needs."""
    members = {"PageAgent": "Firefox", "PageUrl": "https://a", "user_plan_str": "x", "plan_str": "y"}
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(5, **members)])]
    catalog = json.loads(run_tap.bare([*run_tap.command(settings=settings)[3:], "--discover"]).stdout)
    for stream in catalog["streams"]:
        for one in stream["metadata"]:
            one["metadata"]["selected"] = not one["breadcrumb"] or one["breadcrumb"][-1] in selected
        if stream["tap_stream_id"] != "events":
            stream["metadata"] = []

    run = run_tap(settings=settings, catalog=catalog)

    assert 0 == run.status, run.stderr
    assert fields == asked(emulator)[0].get("fields")
    (record,) = run.records()
    assert {"EventStart", *selected} - {"EventType"} <= set(record) | {"CustomVars"}


def test_windows_are_aligned_and_old_enough(run_tap: Tap, emulator: Emulator) -> None:
    """Values that still settle would be loaded, or a window twice with other bounds."""
    emulator.bundles = [day_of(1, tuple(range(24)))]
    settings = {"export_window_hours": 6, "start_date": rfc(FIRST + 7 * HOUR + 30), "export_delay_hours": 29.5}

    run = run_tap(settings=settings)

    assert 0 == run.status
    assert [
        ("2023-11-15T06:00:00Z", "2023-11-15T12:00:00Z"),
        ("2023-11-15T12:00:00Z", "2023-11-15T18:00:00Z"),
    ] == spans(emulator)
    assert [*range(9, 19)] == run.numbers(), "from 7:00:30 on, to 18:00"
    assert rfc(FIRST + 18 * HOUR) == run.bookmark["until"]
    assert {100 * (FIRST + 6 * HOUR) + 12, 100 * (FIRST + 12 * HOUR) + 12} == {
        one["_bundle_id"] for one in run.records()
    }


def test_nothing_new_is_no_failure_and_a_wrong_key_is_one(run_tap: Tap, emulator: Emulator) -> None:
    """A run that finds nothing would fail, or a key that was revoked would go unnoticed until there is something."""
    emulator.bundles = [bundle(0)]
    first = run_tap()

    second = run_tap(state=first.states[-1])
    wrong = run_tap(state=first.states[-1], settings={"api_key": "revoked"})

    assert (0, []) == (second.status, second.records())
    assert first.states[-1] == second.states[-1]
    assert "no new window" in second.said[0]
    assert 77 == wrong.status


def test_a_fast_clock_exports_nothing_too_early(run_tap: Tap, emulator: Emulator) -> None:
    """Our clock is years ahead of the emulator's: windows would be exported before their time, empty, and be done."""
    emulator.bundles = [bundle(0), bundle(1)]
    run = run_tap(settings={"export_delay_hours": 48})

    assert (0, rfc(FIRST + DAY)) == (run.status, run.bookmark["until"])
    assert 1 == len(spans(emulator))


def test_a_wrong_segment_is_answered_with_the_nearest(run_tap: Tap, emulator: Emulator) -> None:
    """Ids of segments are letters that nobody remembers."""
    emulator.bundles = [bundle(0)]
    emulator.segments = [*emulator.segments, Segment("aaabbbccc111", "Paying customers")]

    run = run_tap(settings={"segment_id": "Paying customer"})
    wrong = run_tap(settings={"segment_id": "aaabbbccc11"})
    right = run_tap(settings={"segment_id": "aaabbbccc111"})

    for one in (run, wrong):
        assert 78 == one.status
        assert '"segment_id"' in one.last_line and '"aaabbbccc111" (Paying customers)' in one.last_line
    assert (0, 3) == (right.status, len(right.records()))


# --- waiting ---


def test_polling_grows_slower(run_tap: Tap, emulator: Emulator) -> None:
    """Fullstory would be asked a thousand times for one export, or the first answer would come late."""
    emulator.bundles = [bundle(0)]
    emulator.course = Course(polls=3)

    run = run_tap()

    assert (0, 3) == (run.status, len(run.records()))
    create, *polls = [one.at for one in emulator.requests if one.path.startswith((EXPORTS, OPERATIONS))]
    waits = [later - earlier for earlier, later in pairwise([create, *polls])]
    assert 4 == len(waits)
    assert all(least <= wait for least, wait in zip((0.9, 0.9, 1.9, 3.9), waits, strict=True))


def test_the_next_exports_are_made_meanwhile(run_tap: Tap, emulator: Emulator) -> None:
    """A long backfill would wait for each export in turn, instead of for Fullstory alone."""
    emulator.bundles = [bundle(day) for day in range(5)]

    run = run_tap(settings={"prefetch": 2})

    assert (0, 15) == (run.status, len(run.records()))
    order = [
        "create" if one.method == "POST" else "download"
        for one in emulator.requests
        if one.method == "POST" or one.path.startswith(LINKS)
    ]
    assert ["create", "create", "create", "download"] == order[:4], "that of the window and the next two"
    assert 5 == order.count("create") == order.count("download")


def test_a_limit_of_exports_is_no_obstacle(run_tap: Tap, emulator: Emulator) -> None:
    """An account that may have few exports at a time would wait for the wrong one, or be asked on and on."""
    emulator.bundles = [bundle(day) for day in range(3)]
    emulator.endpoint_limits = {EXPORTS: (1, 2.0)}

    run = run_tap(settings={"prefetch": 5})

    assert (0, 9) == (run.status, len(run.records()))
    refused = [one for one in emulator.requests if one.status == 429]
    assert len(refused) <= 4, "as long as the limit holds nobody asks"


@pytest.mark.parametrize("state", ["PENDING", "SOMETHING_NEW"])
def test_an_export_that_does_not_end_is_left_for_the_next_run(run_tap: Tap, emulator: Emulator, state: str) -> None:
    """A job would hang for ever, or the export be paid for once more by each run."""
    emulator.bundles = [bundle(0)]
    stuck = Fault(f"{OPERATIONS}/*", times=None, change={"state": state, "estimatePctComplete": 99, "results": None})
    emulator.faults = [stuck]

    run = run_tap(settings={"export_timeout": 2})
    emulator.faults = []
    rest = run_tap(settings={"export_timeout": 60}, state=run.states[-1])

    assert (75, []) == (run.status, run.records())
    assert "at 99 %" in run.last_line and "export_timeout" in run.last_line and "2 seconds" in run.last_line
    assert (state != "PENDING") == any("SOMETHING_NEW" in line and "WARNING" in line for line in run.said)
    assert 1 == len(run.bookmark["exports"])
    assert (0, 3) == (rest.status, len(rest.records()))
    assert 1 == len(emulator.exports), "the same export"
    assert [] == rest.bookmark["exports"]


def test_an_export_that_hangs_for_days_is_replaced(run_tap: Tap, emulator: Emulator) -> None:
    """An operation that Fullstory has forgotten would stop the pipeline for good."""
    emulator.bundles = [bundle(0)]
    emulator.course = lambda export: Course(polls=None if export.nth == 1 else 0)
    settings = {"export_timeout": 1.5}
    run = run_tap(settings=settings)
    assert 75 == run.status

    run_tap.clock = FIRST + 3 * DAY
    rest = run_tap(settings={**settings, "end_date": rfc(FIRST + DAY)}, state=run.states[-1])

    assert (0, 3) == (rest.status, len(rest.records())), rest.stderr
    assert 2 == len(emulator.exports)
    assert 1 == len([one for one in to(emulator, OPERATIONS, "POST") if one.path.endswith("/cancel")])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_waits_can_be_stopped_and_loses_no_export(run_tap: Tap, emulator: Emulator, number: int) -> None:
    """What was paid for before a crash would be paid for again after it."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.course = Course(polls=None)
    process = run_tap.start(settings={"prefetch": 1})
    begun = read_lines(process, 2)  # SCHEMA, and the state that names the exports
    process.send_signal(number)
    rest, errors = process.communicate(timeout=TIMEOUT)
    stopped = finished(process.returncode, begun + rest, errors)

    emulator.course = Course(polls=0)
    for export in emulator.exports:
        export.course = Course(polls=0)
    run = run_tap(state=stopped.states[-1])

    assert (143 if number == signal.SIGTERM else -9) == stopped.status
    assert {one.operation_id for one in emulator.exports} == {one[2] for one in stopped.bookmark["exports"]}
    assert (0, 6) == (run.status, len(run.records()))
    assert 2 == len(emulator.exports)


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_killed_inside_a_window_goes_on(run_tap: Tap, emulator: Emulator, kept: bool) -> None:
    """An export made anew may differ, so records would repeat; the one that is paid for has the same bytes."""
    emulator.bundles = [big_bundle(MANY, first=1)]
    process = run_tap.start(settings={"checkpoint_records": 500})
    crashed = killed(process, read_lines(process, 3000))
    assert crashed.bookmark["partial"]
    for path in run_tap.spool.iterdir():
        if not kept:
            path.unlink()

    rest = run_tap(state=crashed.states[-1])

    assert 0 == rest.status
    last = crashed.state_positions()[-1]
    before = [m["record"]["UserId"] for m in crashed.messages[:last] if m["type"] == "RECORD"]
    assert [*range(1, MANY + 1)] == before + rest.numbers()
    assert not any("repeat" in line for line in rest.said)
    assert (1, 1 if kept else 2) == (len(emulator.exports), len(to(emulator, LINKS)))
    assert [] == run_tap.waiting()


def test_exports_of_other_columns_are_not_used(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever selects more columns after a crash would get windows without them, and never know."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(5, user_plan_str="gold", PageUrl="https://a")])]
    emulator.course = Course(polls=None)
    catalog = json.loads(run_tap.bare(["--discover"]).stdout)
    for one in catalog["streams"][0]["metadata"]:
        if one["breadcrumb"] and one["breadcrumb"][-1] == "CustomVars":
            one["metadata"]["selected"] = False
    stopped = run_tap(settings={"export_timeout": 1.5}, catalog=catalog)
    assert 75 == stopped.status and stopped.bookmark["exports"]
    emulator.exports[0].course = emulator.course = Course(polls=0)

    more = run_tap(state=stopped.states[-1])
    same = run_tap(state=stopped.states[-1], catalog=catalog)
    other = run_tap(state=stopped.states[-1], catalog=catalog, settings={"segment_id": "rageClicks"})

    assert {"user_plan_str": "gold"} == more.custom()
    assert (0, 1, 0) == (same.status, len(same.records()), other.status)
    assert [None, "everyone", "rageClicks"] == [
        None if "fields" in one else one["segmentId"] for one in asked(emulator)[:2]
    ] + [asked(emulator)[-1]["segmentId"]]
    assert 3 == len(emulator.exports)


# --- exports that fail ---


def halves(emulator: Emulator) -> list[int]:
    """The lengths of all exports that were asked for, in minutes."""
    return [
        (export.wanted.time_range.end - export.wanted.time_range.start) // 60_000_000 for export in emulator.exports
    ]


FAILED = {
    "failed": (Course(state="FAILED", error="segment deleted"), None, "FAILED: segment deleted"),
    "cancelled": (Course(state="CANCELLED"), None, "CANCELLED"),
    "expired": (None, Fault(f"{RESULTS}/*", times=None, expired=True), "expired"),
    "forgotten": (None, Fault(f"{OPERATIONS}/*", times=None, status=404), "not known to Fullstory any more"),
    "checksum": (None, Fault(f"{LINKS}*", times=None, wrong_crc=True), "damaged"),
    "bracket": (None, Fault(f"{LINKS}*", times=None, drop_bracket=True), "damaged"),
    "empty": (None, Fault(f"{LINKS}*", times=None, empty=True), "damaged"),
}


def failing(emulator: Emulator, kind: str, times: "int | None") -> None:
    """Let exports fail in a way, so often."""
    course, fault, _ = FAILED[kind]
    if course:
        emulator.course = lambda export: course if times is None or export.nth <= times else Course(polls=0)
    if fault:
        emulator.faults = [Fault(**{**vars_of(fault), "times": times})]


def vars_of(fault: Fault) -> dict[str, Any]:
    """The arguments that a fault was made with."""
    return {name: value for name, value in vars(fault).items() if name not in ("passed", "used")}


@pytest.mark.parametrize("kind", FAILED)
def test_an_export_that_fails_once_is_made_again(run_tap: Tap, emulator: Emulator, kind: str) -> None:
    """A hiccup at Fullstory would end the run, or lose a window."""
    emulator.bundles = [bundle(0, first=1)]
    failing(emulator, kind, 1)

    run = run_tap()

    assert (0, [1, 2, 3]) == (run.status, run.numbers()), run.stderr
    assert FAILED[kind][2] in run.stderr
    assert {1440} == set(halves(emulator))
    assert [] == run.bookmark["exports"]


@pytest.mark.parametrize("kind", ["cancelled", "expired", "checksum", "empty"])
def test_an_export_that_fails_twice_is_made_in_halves(run_tap: Tap, emulator: Emulator, kind: str) -> None:
    """A window that is too large to be exported would stop the pipeline for good."""
    emulator.bundles = [day_of(2, (1, 13, 23))]
    failing(emulator, kind, 2)

    run = run_tap()
    whole = run_tap()

    assert (0, [*range(1, 7)]) == (run.status, run.numbers()), run.stderr
    assert any("two halves" in line for line in run.said)
    lengths = halves(emulator)
    assert {1440} == set(lengths[:-3]) and [720, 720, 1440] == lengths[-3:]
    assert whole.records() == run.records()
    assert whole.states[-1] == run.states[-1]
    assert [] == run_tap.waiting()


@pytest.mark.parametrize("kind", ["failed", "forgotten", "bracket"])
def test_an_export_that_always_fails_ends_the_run(run_tap: Tap, emulator: Emulator, kind: str) -> None:
    """The run would never end, or end without a word of what to do; what was written before must stand."""
    emulator.bundles = [bundle(0, first=1), Bundle(FIRST + DAY, FIRST + DAY + HOUR, [event(9, FIRST + DAY)])]
    before = run_tap(settings={"end_date": rfc(FIRST + DAY)})
    failing(emulator, kind, None)

    run = run_tap(state=before.states[-1], settings=HOURLY)
    emulator.faults, emulator.course = [], Course(polls=0)
    later = run_tap(state=run.states[-1], settings=HOURLY)
    skipped = run_tap(state=run.states[-1], settings={**HOURLY, "skip_bundles": [100 * (FIRST + DAY) + 2]})

    assert (65, []) == (run.status, run.records())
    assert FAILED[kind][2] in run.last_line and "skip_bundles" in run.last_line
    assert str(100 * (FIRST + DAY) + 2) in run.last_line
    assert before.bookmark["until"] == run.bookmark["until"]
    assert [60, 30, 15] == sorted({*halves(emulator)} - {1440}, reverse=True)
    assert (0, [9]) == (later.status, later.numbers())
    assert (0, []) == (skipped.status, skipped.numbers())


def test_an_interrupted_run_goes_on_with_the_halves(run_tap: Tap, emulator: Emulator) -> None:
    """Each run would begin with the whole window again, and fail again, before it comes to the halves."""
    emulator.bundles = [day_of(2, (1, 13))]

    def course(export: Export) -> Course:
        if export.nth <= 2:
            return Course(state="FAILED")
        return Course(polls=None if export.nth == 4 else 0)

    emulator.course = course
    stopped = run_tap(settings={"export_timeout": 3})
    emulator.course = Course(polls=0)
    emulator.exports[3].course = Course(polls=0)

    run = run_tap(state=stopped.states[-1])

    assert 75 == stopped.status, stopped.stderr
    assert 2 == len(stopped.bookmark["exports"])
    assert (0, [1, 2, 3, 4]) == (run.status, run.numbers())
    assert 4 == len(emulator.exports)


@pytest.mark.parametrize("encoding", ["JSON", "lines"])
def test_lines_where_an_array_was_asked_for_are_refused(run_tap: Tap, emulator: Emulator, encoding: str) -> None:
    """Of a file of lines nobody can say whether its end is there."""
    emulator.bundles = [Bundle(FIRST, FIRST + HOUR, [event(1), event(2)])]
    emulator.faults = [Fault(f"{LINKS}*", times=1 if encoding == "JSON" else None, other_form=True)]

    run = run_tap(settings={"export_window_hours": 0.25, "end_date": rfc(FIRST + HOUR + 900)})

    assert (0 if encoding == "JSON" else 65) == run.status
    assert "damaged" in run.stderr


def test_an_expired_link_is_fetched_anew(run_tap: Tap, emulator: Emulator) -> None:
    """A link lives for minutes: behind a slow proxy the download would fail for good."""
    emulator.bundles = [bundle(0, first=1)]
    emulator.faults = [Fault(f"{LINKS}*", expired=True)]

    run = run_tap(settings={"retry_timeout": 10})

    assert (0, [1, 2, 3]) == (run.status, run.numbers())
    assert 2 == len(to(emulator, RESULTS)) == len(to(emulator, LINKS))
    assert 1 == len(emulator.exports)
    assert "Signature" not in run.stderr


@pytest.mark.parametrize(
    "path, change, word",
    [
        (f"{OPERATIONS}/*", {"type": "DELETE_USER"}, "DELETE_USER"),
        (f"{OPERATIONS}/*", {"state": None}, "state"),
        (f"{OPERATIONS}/*", {"results": None}, "names no file"),
        (f"{RESULTS}/*", {"location": "ftp://files.example/x"}, "https"),
        (f"{RESULTS}/*", {"location": "http://files.example/x"}, "https"),
        (f"{RESULTS}/*", {"location": 5}, "location"),
        (EXPORTS, {"operationId": ""}, "operationId"),
    ],
)
def test_answers_that_are_not_as_documented(
    run_tap: Tap, emulator: Emulator, path: str, change: Json, word: str
) -> None:
    """An answer of another shape would end as a bug, or send the key to somebody else."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(path, times=None, change=change)]

    run = run_tap(settings={"retry_timeout": 0.2})

    assert (65, []) == (run.status, run.records())
    assert word in run.last_line


@pytest.mark.parametrize("role", ["USER", "VIEW_ONLY"])
def test_a_key_that_may_not_export(run_tap: Tap, emulator: Emulator, role: str) -> None:
    """Somebody with a Standard key would not know what to change."""
    emulator.bundles = [bundle(0)]
    emulator.role = role

    run = run_tap()

    assert 77 == run.status
    assert "Architect" in run.last_line and "Segment Export" in run.last_line


# --- values that settle ---


def test_settled_values_replace_early_ones(run_tap: Tap, emulator: Emulator) -> None:
    """With a short delay, durations and identities would stay as they were in the first minutes."""
    emulator.bundles = [bundle(0, first=1)]

    def settle(one: Json, age: float) -> "Json | None":
        if one["UserId"] == 3 and age < 26 * HOUR:
            return None  # a swan song
        return {**one, "PageDuration": min(int(age), 30 * HOUR)}

    emulator.settle = settle
    settings = {"event_key": True, "reread_hours": 100_000, "export_delay_hours": 1, "end_date": rfc(FIRST + DAY)}
    run_tap.clock = FIRST + DAY + HOUR
    first = run_tap(settings=settings)
    run_tap.clock = FIRST + 2 * DAY
    second = run_tap(settings=settings, state=first.states[-1])
    run_tap.clock = FIRST + 2 * DAY + 10 * HOUR
    third = run_tap(settings=settings, state=second.states[-1])

    assert [0, 0, 0] == [first.status, second.status, third.status]
    assert [1, 2] == first.numbers()
    assert [1, 2, 3] == second.numbers()
    assert {one["event_id"] for one in first.records()} < {one["event_id"] for one in second.records()}
    assert [] == third.records(), "nothing has changed any more"


# --- from one source to the other ---


def loaded(*runs: Run) -> list[tuple[int, str]]:
    """What a target that only adds rows has in the end: which event, by its number and time."""
    return sorted((one.get("UserId", 0), one["EventStart"]) for run in runs for one in run.records())


@pytest.mark.parametrize("window", [1, 6, 24])
@pytest.mark.parametrize("length", [6, 24])
def test_there_and_back_again_loses_and_repeats_nothing(
    run_tap: Tap, emulator: Emulator, length: int, window: int
) -> None:
    """Moving an existing pipeline would leave a hole at the seam, or load some hours twice."""
    days = 4
    emulator.bundles = [
        Bundle(start, start + length * HOUR, [event(start // 1800 + n, start + n * 1800) for n in range(2 * length)])
        for start in range(FIRST, FIRST + days * DAY, length * HOUR)
    ]
    numbers = [one["UserId"] for each in emulator.bundles for one in each.read_events()]
    exports = {"export_window_hours": window}
    bundles: Json = {"events_source": "data_export"}
    key = {"event_key": True}

    run_tap.clock = FIRST + 2 * DAY + 3 * HOUR  # so far there is a day and three hours
    first = run_tap(settings={**bundles, **key})
    run_tap.clock += 7 * HOUR
    second = run_tap(settings={**exports, **key}, state=first.states[-1])
    run_tap.clock += 14 * HOUR
    third = run_tap(settings={**bundles, **key}, state=second.states[-1])
    inside = rfc(FIRST + 3 * DAY + 4 * HOUR + 100)  # inside bundles and windows
    run_tap.clock = FIRST + 5 * DAY
    fourth = run_tap(settings={**exports, **key, "end_date": inside}, state=third.states[-1])
    fifth = run_tap(
        settings={**bundles, **key, "end_date": rfc(FIRST + 3 * DAY + 9 * HOUR + 7)}, state=fourth.states[-1]
    )
    sixth = run_tap(settings={**exports, **key}, state=fifth.states[-1])

    runs = (first, second, third, fourth, fifth, sixth)
    assert [0] * 6 == [one.status for one in runs]
    assert inside == fourth.bookmark["until"]
    assert sorted(numbers) == [number for number, _ in loaded(*runs)]
    assert not any("WARNING" in line for one in runs for line in one.said)
    fresh = run_tap(settings={**bundles, **key})
    assert {one["event_id"] for run in runs for one in run.records()} == {one["event_id"] for one in fresh.records()}
    assert sixth.bookmark["until"] == fresh.bookmark["until"]


def without_zeros(record: Json) -> Json:
    """A record as Segment Export brings it: it leaves out zeros."""
    return {name: value for name, value in record.items() if value != 0 or isinstance(value, (bool, float))}


def test_both_sources_bring_the_same_records(tmp_path: Path) -> None:
    """Columns, custom variables or ids of a pipeline would change with the source of its events."""
    now = FIRST + 10 * DAY
    with Emulator.generated(days=2, events_per_bundle=400, now=now) as emulator:
        emulator.bundles = [*emulator.bundles, *sample_bundles()]
        runs = []
        for source in ("data_export", "segment_export"):
            folder = tmp_path / source
            folder.mkdir()
            tap = Tap(folder, emulator, source)
            tap.clock = now
            begun = {"start_date": "2020-08-27T00:00:00Z", "end_date": "2020-08-31T00:00:00Z", "event_key": True}
            runs.append(tap(settings=begun))
            runs.append(tap(settings={**begun, "start_date": rfc(now - 4 * DAY), "end_date": rfc(now)}))

    sample, generated, sample_again, generated_again = runs
    assert [0] * 4 == [one.status for one in runs]
    assert (144, 800) == (len(sample.records()), len(generated.records()))
    for one, other in ((sample, sample_again), (generated, generated_again)):
        assert [*map(without_zeros, one.records())] == [*map(without_zeros, other.records())]


def test_a_gap_between_bundles_is_filled_by_exports(run_tap: Tap, emulator: Emulator) -> None:
    """Hours that Data Export never listed would stay missing, though Segment Export has them."""
    every = [bundle(day, first=100 * day + 1) for day in range(4)]
    emulator.bundles = [every[0], every[1], every[3]]
    gap = run_tap(settings={"events_source": "data_export"})
    assert 1 == len(gap.bookmark["gaps"])
    emulator.bundles = every

    for window in (24, 6):
        run = run_tap(settings={"export_window_hours": window}, state=gap.states[-1])
        assert (0, [201, 202, 203], []) == (run.status, run.numbers(), run.bookmark["gaps"])
        assert gap.bookmark["until"] == run.bookmark["until"]


def test_a_state_of_one_source_with_exports_is_kept_by_the_other(run_tap: Tap, emulator: Emulator) -> None:
    """Who moves back and forth would lose what is paid for, or carry it along for ever."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.course = Course(polls=None)
    stopped = run_tap(settings={"export_timeout": 1.5})
    assert 2 == len(stopped.bookmark["exports"])

    back = run_tap(settings={"events_source": "data_export", "end_date": rfc(FIRST + DAY)}, state=stopped.states[-1])
    rest = run_tap(settings={"events_source": "data_export"}, state=back.states[-1])

    assert (0, 3, stopped.bookmark["exports"][1:]) == (back.status, len(back.records()), back.bookmark["exports"])
    assert (0, 3, []) == (rest.status, len(rest.records()), rest.bookmark["exports"])


def test_a_dry_run_says_what_it_would_read(run_tap: Tap, emulator: Emulator) -> None:
    """`--test` would look at the hosts of the other source."""
    emulator.bundles = [bundle(0), bundle(1)]

    done = run_tap.bare([*run_tap.command(settings={**HOURLY})[3:], "--test"])
    wrong = run_tap.bare([*run_tap.command(settings={"segment_id": "nobody"})[3:], "--test"])

    text = done.stdout.decode()
    assert 0 == done.returncode, done.stderr
    assert "ok    export: " in text and '"everyone"' in text
    assert "ok    first load: 48 windows of 1 hour since 2023-11-15T00:00:00Z" in text
    assert 78 == wrong.returncode
    assert 'FAIL  export: "segment_id" names no segment' in wrong.stdout.decode()
    assert 0 == len(emulator.exports)


def test_columns_are_suggested_from_one_window(run_tap: Tap, emulator: Emulator) -> None:
    """`--suggest-columns` would pay for the exports of days, or look at bundles that the account does not have."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(1, FIRST + 23 * HOUR, user_plan_str="gold")])]

    done = run_tap.bare([*run_tap.command(settings=HOURLY)[3:], "--suggest-columns"])

    assert 0 == done.returncode, done.stderr
    (entry,) = json.loads(done.stdout)
    assert ("user_plan_str", "xxxx") == (entry["name"], entry["example"])
    assert [("2023-11-15T23:00:00Z", "2023-11-16T00:00:00Z")] == spans(emulator)
    assert [] == run_tap.waiting()
