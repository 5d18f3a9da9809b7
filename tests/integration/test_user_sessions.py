"""The stream `user_sessions`: the sessions of given people, and no hole among them."""

from typing import Any

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.objects import SESSIONS, bookmarks, by, catalog
from tests.integration.tap import Json, Run, Tap, rfc

pytestmark = pytest.mark.only_source("data_export")

STREAM = "user_sessions"
BEGIN = 1_700_006_400
KEY = ("userId", "sessionId")


def person(number: int, sessions: int, **members: Any) -> Json:
    """A user with so many sessions, an hour apart."""
    listed = [[6606828898126520000 + number, 100 + one, rfc(BEGIN + 3600 * one)] for one in range(sessions)]
    return {"id": str(number), "uid": f"u{number}", "email": f"u{number}@example.com", "sessions": listed, **members}


def read(run_tap: Tap, *people: str, state: Any = None) -> Run:
    return run_tap(catalog=catalog(STREAM), settings={"sessions_for": [*people]}, state=state)


def limits(emulator: Emulator) -> list[str]:
    return [one.query["limit"] for one in emulator.requests if one.path == SESSIONS]


def numbers(run: Run) -> list[int]:
    return [int(one["sessionId"]) - 100 for one in by(run.records(STREAM), *KEY).values()]


@pytest.mark.proves("connectors", "sessions of given people")
def test_all_sessions_and_then_the_new_ones(run_tap: Tap, emulator: Emulator) -> None:
    """A person's history would be cut at the newest twenty, or come again each time."""
    emulator.users = [person(1, 250), person(2, 3)]
    first = read(run_tap, "uid:u1", "u2@example.com")
    emulator.requests.clear()
    emulator.users = [person(1, 251), person(2, 3)]
    second = read(run_tap, "uid:u1", "u2@example.com", state=first.states[-1])

    assert (0, 0) == (first.status, second.status)
    assert 253 == len(by(first.records(STREAM), *KEY))
    (record,) = second.records(STREAM)
    assert {
        "userId": "6606828898126520001",
        "sessionId": "350",
        "createdTime": rfc(BEGIN + 3600 * 250),
        "person": "uid:u1",
    } == {name: value for name, value in record.items() if name != "fsUrl"}
    assert record["fsUrl"].endswith("6606828898126520001:350") or "350" in record["fsUrl"]
    assert ["100", "100"] == limits(emulator)
    assert (["userId", "sessionId"], ["createdTime"]) == (
        second.schema(STREAM)["key_properties"],
        second.schema(STREAM)["bookmark_properties"],
    )


def test_each_person_has_a_bookmark(run_tap: Tap, emulator: Emulator) -> None:
    """Who is added later would have no sessions from before."""
    emulator.users = [person(1, 5), person(2, 7)]
    first = read(run_tap, "uid:u1")
    second = read(run_tap, "uid:u1", "email:u2@example.com", state=first.states[-1])

    assert [*range(7)] == numbers(second)
    assert {"uid:u1", "email:u2@example.com"} == bookmarks(second)[STREAM].keys()


def test_the_limit_grows_until_what_is_known(run_tap: Tap, emulator: Emulator) -> None:
    """More sessions than one answer holds would be a hole that nobody sees."""
    emulator.users = [person(1, 5)]
    first = read(run_tap, "uid:u1")
    emulator.requests.clear()
    emulator.users = [person(1, 1005)]
    second = read(run_tap, "uid:u1", state=first.states[-1])

    assert [*range(5, 1005)] == numbers(second)
    assert ["100", "400", "1600"] == limits(emulator)


def test_sessions_of_one_second(run_tap: Tap, emulator: Emulator) -> None:
    """The second of two sessions that begin at once, on two devices, would be passed over."""
    one = person(1, 3)
    emulator.users = [one]
    first = read(run_tap, "uid:u1")
    emulator.users = [{**one, "sessions": [*one["sessions"], [7, 999, one["sessions"][-1][2]]]}]
    second = read(run_tap, "uid:u1", state=first.states[-1])
    third = read(run_tap, "uid:u1", state=second.states[-1])

    assert ["999"] == [record["sessionId"] for record in second.records(STREAM)]
    assert [] == third.records(STREAM)


def test_what_cannot_be_reached_is_an_error_and_no_hole(run_tap: Tap, emulator: Emulator) -> None:
    """Sessions that Fullstory does not list would be missing for ever, and the bookmark beyond them."""
    emulator.users = [person(1, 5), person(2, 3)]
    first = read(run_tap, "uid:u1", "uid:u2")
    emulator.users = [person(1, 500) | {"sessions": person(1, 500)["sessions"][300:]}, person(2, 4)]
    second = read(run_tap, "uid:u1", "uid:u2", state=first.states[-1])

    assert 65 == second.status
    assert "uid:u1" in second.last_line and "newest 200" in second.last_line
    assert ["uid:u2"] == [one["person"] for one in second.records(STREAM)]
    before, after = bookmarks(first)[STREAM], bookmarks(second)[STREAM]
    assert before["uid:u1"] == after["uid:u1"] and before["uid:u2"] != after["uid:u2"]
    del after["uid:u1"]  # as the message advises
    assert 200 == len(read(run_tap, "uid:u1", state=second.states[-1]).records(STREAM))


@pytest.mark.parametrize("people", [[], ["uid:nobody"]])
def test_nobody(run_tap: Tap, emulator: Emulator, people: list[str]) -> None:
    """A person who is gone would end each run."""
    emulator.users = [person(1, 5)]

    run = read(run_tap, *people)

    assert (0, []) == (run.status, run.records(STREAM))


def test_somebody_who_is_gone(run_tap: Tap, emulator: Emulator) -> None:
    """A deletion request would break the job."""
    emulator.users = [person(1, 5)]
    first = read(run_tap, "uid:u1")
    emulator.users = []
    second = read(run_tap, "uid:u1", state=first.states[-1])

    assert (0, []) == (second.status, second.records(STREAM))
    assert bookmarks(first) == bookmarks(second)


def test_sessions_that_are_kept_no_longer(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody who comes back after a year would end each run, until the state is mended by hand."""
    emulator.users = [person(1, 5)]
    first = read(run_tap, "uid:u1")
    emulator.users = [person(1, 10) | {"sessions": person(1, 10)["sessions"][7:]}]
    second = read(run_tap, "uid:u1", state=first.states[-1])

    assert (0, [7, 8, 9]) == (second.status, numbers(second))


def test_a_person_who_cannot_be_asked_for(run_tap: Tap, emulator: Emulator) -> None:
    """One odd entry would keep the sessions of all others away."""
    emulator.users = [person(1, 2), person(2, 3)]
    emulator.faults = [Fault(SESSIONS, status=400, match={"uid": "u1"}, times=None)]

    run = read(run_tap, "uid:u1", "uid:u2")

    assert (78, [0, 1, 2]) == (run.status, numbers(run))
    assert {"uid:u2"} == bookmarks(run)[STREAM].keys()


def test_times_that_cannot_be_read_are_kept(run_tap: Tap, emulator: Emulator) -> None:
    """A session would be lost for a text that nobody expected."""
    body = b'{"sessions":[{"userId":"1","sessionId":"2","createdTime":"soon"},{"userId":"1","sessionId":"3"}]}'
    emulator.faults = [Fault(SESSIONS, status=200, raw=body, times=None)]

    run = read(run_tap, "uid:u1")

    assert 0 == run.status
    assert ["2", "3"] == sorted(one["sessionId"] for one in run.records(STREAM))
    assert '{"createdTime":"soon"}' in [one.get("CustomVars") for one in run.records(STREAM)]


@pytest.mark.parametrize("people", ["uid:1", ["dana"], ["uid:"], [1], [""], ["uid:a\0b"]])
def test_people_that_are_none(run_tap: Tap, emulator: Emulator, people: Any) -> None:
    """A slip would list nobody's sessions without a word."""
    run = run_tap(catalog=catalog(STREAM), settings={"sessions_for": people})

    assert 78 == run.status
    assert '"sessions_for"' in run.last_line
