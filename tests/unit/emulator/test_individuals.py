"""Segment Export of individuals: who is in it, and what their lifetimes add up to."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from fullstory_emulator import Bundle, Course, Emulator, Segment, sample_bundles, sample_events

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
BIG = 6_600_000_000_000_000_001


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(now=FIRST + 10 * DAY, course=Course(polls=0)) as emulator:
        emulator.bundles = [bundle(*visit())]
        yield emulator


def event(time: str, person: int = BIG, **members: Any) -> dict[str, Any]:
    known = {"IndvId": person, "UserId": 7, "SessionId": 1, "PageId": 1}
    return {**known, "EventStart": f"2023-11-{time}Z", "EventType": "click", **members}


def visit() -> list[dict[str, Any]]:
    """Two sessions of one person: two pages in the first, one in the second, and who it is said in the last event."""
    return [
        event(
            "15T01:00:00.250", PageActiveDuration=4000, UserAppKey="", UserDisplayName="User 1", user_plan_str="Basket"
        ),
        event("15T01:00:10.500", PageActiveDuration=4000, PageId=2),
        event("15T01:00:20.250", PageActiveDuration=2500, PageId=2, user_logins_int=3),
        event(
            "16T02:00:00.000", SessionId=2, UserAppKey="u-1", UserEmail="ada@example.com", PageUrl="https://a.example/"
        ),
        event("16T02:00:00.000", SessionId=2, PageIp="203.0.113.9", PageAgent="Firefox", user_plan_str="Crate"),
    ]


def bundle(*events: dict[str, Any]) -> Bundle:
    return Bundle(FIRST, FIRST + 2 * DAY, list(events))


def text(emulator: Emulator, **members: Any) -> str:
    """The file of an export of individuals, of all time unless said otherwise."""
    always = {"start": "", "end": ""}
    body = {"segmentId": "everyone", "type": "TYPE_INDIVIDUAL", "format": "FORMAT_NDJSON", "timeRange": always}
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    create = f"{emulator.url}/segments/v1/exports"
    sent = {**body, "segmentTimeRange": always, **members}
    created = requests.post(create, json=sent, headers=headers, timeout=10)
    assert 200 == created.status_code, created.text
    operation = f"{emulator.url}/operations/v1/{quote(created.json()['operationId'])}"
    results = requests.get(operation, headers=headers, timeout=10).json()["results"]
    link = f"{emulator.url}/search/v1/exports/{results['searchExportId']}/results"
    location = requests.get(link, headers=headers, timeout=10).json()["location"]
    return gzip.decompress(requests.get(location, timeout=10).content).decode()


def people(emulator: Emulator, **members: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(emulator, **members).splitlines()]


def test_a_person_is_who_the_last_event_says_with_all_that_ever_happened(emulator: Emulator) -> None:
    """Totals, averages and the last session follow from the events; what no event says is not there."""
    assert [
        {
            "IndvId": BIG,
            "Created": "2023-11-15T01:00:00.250Z",
            "Uid": "u-1",
            "DisplayName": "User 1",
            "Email": "ada@example.com",
            "NumSessions": 2,
            "NumPages": 3,
            "NumEvents": 5,
            "TotalSec": 20.0,
            "ActiveSec": 8.0,
            "AvgSessionSec": 10.0,
            "AvgSessionActiveSec": 4.0,
            "MaxSessionSec": 20.0,
            "LastSessionNumPages": 1,
            "LastSessionNumEvents": 2,
            # LastSessionSec and LastSessionActiveSec are 0
            "LastSessionStart": "2023-11-16T02:00:00.000Z",
            "LastEventStart": "2023-11-16T02:00:00.000Z",
            "LastPage": "https://a.example/",
            "LastIp": "203.0.113.9",
            "user_logins_int": 3,
            "user_plan_str": "Crate",
        }
    ] == people(emulator)


def test_the_order_of_the_events_does_not_matter(emulator: Emulator) -> None:
    """Late events of an old session change neither who somebody is nor what came last."""
    before = people(emulator)
    emulator.bundles = [bundle(*visit()[3:]), bundle(*visit()[:3])]
    assert before == people(emulator)


def test_only_people_who_were_there_in_the_range_come_with_their_lifetime_totals(emulator: Emulator) -> None:
    """The range chooses people; it does not cut what is counted of them."""
    emulator.bundles = [bundle(*visit(), event("15T05:00:00", person=2))]
    second_day = {"start": "2023-11-16T00:00:00Z", "end": "2023-11-17T00:00:00Z"}
    assert [2, BIG] == [person["IndvId"] for person in people(emulator)]
    assert [(BIG, 5)] == [(found["IndvId"], found["NumEvents"]) for found in people(emulator, timeRange=second_day)]


def test_everyone_means_the_last_30_days(emulator: Emulator) -> None:
    """As for events: who does not ask for another range misses those who were there before."""
    emulator.advance(25 * DAY)
    assert [] == people(emulator, segmentTimeRange=None)
    assert 1 == len(people(emulator))


def test_a_segment_chooses_people(emulator: Emulator) -> None:
    """One event that matches is enough, and the others count, too."""
    emulator.bundles = [bundle(*visit(), event("15T05:00:00", person=2))]
    emulator.segments = [Segment("crates", "Crates", matches=lambda event: event.get("user_plan_str") == "Crate")]
    assert [(BIG, 5)] == [(found["IndvId"], found["NumEvents"]) for found in people(emulator, segmentId="crates")]


def test_fields_choose_members(emulator: Emulator) -> None:
    """`user_*` and `UserVars` mean all user variables."""
    assert [{"IndvId": BIG, "user_plan_str": "Crate"}] == people(emulator, fields=["IndvId", "user_plan_str"])
    for variables in ("user_*", "UserVars"):
        assert [{"user_logins_int": 3, "user_plan_str": "Crate"}] == people(emulator, fields=[variables])


def test_formats_are_lines_an_array_or_a_table(emulator: Emulator) -> None:
    """All three hold the same people; a table has a cell for each field."""
    assert people(emulator) == json.loads(text(emulator, format="FORMAT_JSON"))
    header, row = text(emulator, format="FORMAT_CSV").splitlines()
    assert header.startswith("IndvId,Created,Uid,") and header.endswith(
        ",LastOperatingSystem,user_logins_int,user_plan_str"
    )
    assert row.startswith(f"{BIG},2023-11-15T01:00:00.250Z,u-1,User 1,") and row.endswith(",,3,Crate")


def test_people_can_be_given(emulator: Emulator) -> None:
    """For text that no event would bring; they come as they are, from a list or one by one."""
    emulator.individuals = [{"IndvId": 1, "NumPages": 0}, b'{"IndvId":1e400}']
    assert '{"IndvId":1,"NumPages":0}\n{"IndvId":1e400}\n' == text(emulator)
    emulator.individuals = lambda: ({"IndvId": number} for number in range(3))
    assert [0, 1, 2] == [person["IndvId"] for person in people(emulator)]
    emulator.individuals = []
    assert "" == text(emulator)


def test_the_sample_has_the_people_of_its_events() -> None:
    """Counts agree with what is in the bundles."""
    emulator = Emulator(bundles=sample_bundles())
    found = emulator.exported(type="TYPE_INDIVIDUAL")
    assert {event["IndvId"] for event in sample_events()} == {person["IndvId"] for person in found}
    assert 144 == sum(person["NumEvents"] for person in found)


def test_an_invented_account_has_known_and_unknown_people() -> None:
    """Somebody with several devices is one person; an unknown one has an empty `Uid`."""
    emulator = Emulator.generated(now=FIRST, events_per_bundle=300)
    found = emulator.exported(type="TYPE_INDIVIDUAL")
    assert len({person["IndvId"] for person in found}) == len(found)
    assert len(emulator.exported()) == sum(person["NumEvents"] for person in found)
    assert {True, False} == {bool(person["Uid"]) for person in found}
