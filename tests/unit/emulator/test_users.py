"""Users, their sessions and events, and what becomes of those who are deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from fullstory_emulator import Bundle, Course, Emulator

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
USERS, INDIVIDUAL, EVENTS = "/v2/users", "/users/v1/individual/", "/api/v1/export/userEvents"
DANA = {"IndvId": 7, "UserId": 2**63 - 1, "UserAppKey": "dana/1 ü", "UserEmail": "Dana@example.com"}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(now=FIRST + 10 * DAY) as emulator:
        emulator.bundles = [
            Bundle(
                FIRST,
                FIRST + DAY,
                [
                    event("01:00:00.250", IndvId=7, UserId=5, SessionId=1),
                    event(
                        "02:00:00", **DANA, UserDisplayName="Dana", SessionId=2, user_plan_str="paid", user_age_int=4
                    ),
                    event("02:00:01", **DANA, UserDisplayName="Dana", SessionId=2, SessionStart="2023-11-15T01:59:59Z"),
                    event("03:00:00", IndvId=9, UserId=9, SessionId=3),
                    event("04:00:00", IndvId=11, UserId=11, SessionId=4, UserAppKey="bo", UserEmail="dana@example.com"),
                ],
            )
        ]
        yield emulator


def event(moment: str, **members: Any) -> dict[str, Any]:
    return {"EventStart": f"2023-11-15T{moment}Z", "EventType": "click", **members}


def ask(emulator: Emulator, path: str, method: str = "GET", **query: Any) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.request(method, emulator.url + path, params=query, headers=headers, timeout=10)


def ids(response: requests.Response) -> list[str]:
    return [user["id"] for user in response.json()["results"]]


def many(count: int) -> list[dict[str, Any]]:
    return [{"id": str(number), "uid": f"u{number}"} for number in range(count)]


def test_users_are_those_of_the_events(emulator: Emulator) -> None:
    """Users, sessions and events that disagree would make every join wrong."""
    listed = ask(emulator, USERS, include_schema="true", limit=1).json()

    assert "3" == listed["total_records"]
    assert "next_page_token" not in listed
    dana, nobody, _ = listed["results"]
    assert ("7", "dana/1 ü", "Dana@example.com", "Dana") == tuple(
        dana[name] for name in ("id", "uid", "email", "display_name")
    )
    assert {"plan": "paid", "age": 4} == dana["properties"]
    assert {"properties": {"plan": "string", "age": "integer"}} == dana["schema"]
    assert not {"uid", "email"} & set(nobody)
    assert {**dana, "schema": None} == ask(emulator, f"{USERS}/7").json()
    assert emulator.bundles[0].events[:3] == ask(emulator, EVENTS, uid="dana/1 ü").json()  # type: ignore[index]
    individual = ask(emulator, INDIVIDUAL + quote("dana/1 ü", safe="")).json()
    assert ("2", "2023-11-15T01:00:00.250Z", "2023-11-15T02:00:01.000Z") == tuple(
        individual[name] for name in ("numSessions", "firstSeen", "lastSeen")
    )
    assert {"plan": {"strVal": "paid"}, "age": {"intVal": "4"}} == individual["customVars"]


def test_the_newest_sessions_come_first(emulator: Emulator) -> None:
    """Both endpoints name the same sessions, each in its own form."""
    sessions = ask(emulator, "/sessions/v2", uid="dana/1 ü").json()["sessions"]

    assert [str(2**63 - 1), "2", "1700013599"] == [sessions[0][n] for n in ("userId", "sessionId", "createdTime")]
    assert ["2", "1"] == [session["sessionId"] for session in sessions]
    listed = ask(emulator, "/v2/sessions", uid="dana/1 ü", limit=1).json()["results"]
    assert [f"{2**63 - 1}:2"] == [session["id"] for session in listed]
    assert "2023-11-15T01:59:59Z" == listed[0]["created_time"]
    assert sessions[0]["fsUrl"] == listed[0]["app_url"]
    of_both = ask(emulator, "/sessions/v2", email="dana@example.com").json()["sessions"]
    assert ["4", "2", "1"] == [session["sessionId"] for session in of_both]
    assert [] == ask(emulator, "/sessions/v2", uid="nobody").json()["sessions"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"uid": "bo"}, ["11"]),
        ({"email": "DANA@example.com"}, ["7", "11"]),
        ({"display_name": "Dana"}, ["7"]),
        ({"is_identified": "true"}, ["7", "11"]),
        ({"is_identified": "false"}, ["9"]),
        ({"uid": "bo", "email": "other@example.com"}, []),
    ],
)
def test_filters(emulator: Emulator, query: dict[str, str], expected: list[str]) -> None:
    """A filter leaves those it names, and no others."""
    assert expected == ids(ask(emulator, USERS, **query))


def test_pages_hold_ten_users(emulator: Emulator) -> None:
    """A client that does not follow the token sees ten users; a token fits its filters only."""
    emulator.users = many(25)
    first = ask(emulator, USERS).json()
    token = first["next_page_token"]
    second = ask(emulator, USERS, page_token=token).json()
    third = ask(emulator, USERS, page_token=second["next_page_token"]).json()

    assert [str(n) for n in range(25)] == [u["id"] for page in (first, second, third) for u in page["results"]]
    assert "25" == third["total_records"]
    assert "next_page_token" not in third
    assert 400 == ask(emulator, USERS, page_token=token, is_identified="true").status_code
    emulator.users = many(10)
    assert "next_page_token" not in ask(emulator, USERS).json()


def test_users_can_be_set(emulator: Emulator) -> None:
    """What an account never invents, a test has to be able to serve; it still agrees with sessions and events."""
    properties = {"deep": {"a": [10**30, None]}, "nul": "\x00"}
    emulator.users = [
        {"id": "1", "uid": "bo", "properties": properties, "schema": "odd"},
        {"id": "9"},
        {"id": "2", "uid": "new", "sessions": [[6, 8, "2023-11-01T00:00:00Z"]]},
        {"uid": "no id"},
    ]
    bo = ask(emulator, f"{USERS}/1").json()

    assert (properties, "odd", False) == (bo["properties"], bo["schema"], bo["is_being_deleted"])
    assert ["4"] == [session["sessionId"] for session in ask(emulator, "/sessions/v2", uid="bo").json()["sessions"]]
    assert [emulator.bundles[0].events[4]] == ask(emulator, EVENTS, uid="bo").json()  # type: ignore[index]
    assert ["6:8"] == [session["id"] for session in ask(emulator, "/v2/sessions", uid="new").json()["results"]]
    assert [] == ask(emulator, EVENTS, uid="new").json()
    assert 404 == ask(emulator, f"{USERS}/7").status_code


@pytest.mark.parametrize(
    "path", ["/v2/users/5", "/users/v1/individual/x", "/api/v1/export/userEvents?uid=x", "/v2/users//", "/v2/users/7/"]
)
def test_who_is_unknown_is_not_found(emulator: Emulator, path: str) -> None:
    """404 as the reference shows it."""
    response = ask(emulator, path)
    assert 404 == response.status_code
    assert {"message": "Requested resource does not exist", "code": "resource_not_found"} == response.json()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/sessions/v2"),
        ("GET", "/v2/sessions?limit=5"),
        ("GET", "/sessions/v2?uid=bo&limit=many"),
        ("GET", "/v2/users?page_token=x"),
        ("GET", "/v2/users?is_identified=maybe"),
        ("GET", "/api/v1/export/userEvents"),
        ("DELETE", "/v2/users"),
    ],
)
def test_wrong_requests(emulator: Emulator, method: str, path: str) -> None:
    """A client that asks wrongly gets 400, not something made up."""
    assert 400 == ask(emulator, path, method).status_code


def test_deletion_over_v1_is_an_operation(emulator: Emulator) -> None:
    """It is polled like an export; asked for twice it is one."""
    emulator.deletion = Course(polls=1)
    path = f"{INDIVIDUAL}bo"
    operation = ask(emulator, path, "DELETE").json()["id"]

    assert operation == ask(emulator, path, "DELETE").json()["id"]
    states = [ask(emulator, f"/operations/v1/{operation}").json() for _ in range(2)]
    assert [("PENDING", None), ("COMPLETED", None)] == [(one["state"], one["results"]) for one in states]
    assert {"DELETE_USER"} == {one["type"] for one in states}
    for gone in (path, f"{USERS}/11", f"{EVENTS}?uid=bo"):
        assert 404 == ask(emulator, gone).status_code, gone
    assert ["7", "9"] == ids(ask(emulator, USERS))
    assert 404 == ask(emulator, path, "DELETE").status_code
    listed = ask(emulator, "/operations/v1", type="DELETE_USER").json()["operations"]
    assert [operation] == [one["id"] for one in listed]
    assert 400 == ask(emulator, f"/operations/v1/{operation}/cancel", "POST").status_code


@pytest.mark.parametrize(("path", "query"), [(f"{USERS}/11", {}), (USERS, {"uid": "bo"})])
def test_deletion_over_v2(emulator: Emulator, path: str, query: dict[str, str]) -> None:
    """No operation is named; a look at the user shows how far it is."""
    emulator.deletion = Course(polls=2)
    response = ask(emulator, path, "DELETE", **query)

    assert (200, {}) == (response.status_code, response.json())
    assert [False, False, True] == [user["is_being_deleted"] for user in ask(emulator, USERS).json()["results"]]
    assert ask(emulator, f"{USERS}/11").json()["is_being_deleted"]
    assert "DELETE_USER" == ask(emulator, f"{INDIVIDUAL}bo").json()["existingOperation"]["type"]
    assert 404 == ask(emulator, f"{USERS}/11").status_code


def test_a_deletion_can_fail(emulator: Emulator) -> None:
    """The user is still there, and the operation says why."""
    emulator.deletion = Course(polls=0, state="FAILED", error="under legal hold")
    operation = ask(emulator, f"{INDIVIDUAL}bo", "DELETE").json()["id"]
    ended = ask(emulator, f"/operations/v1/{operation}").json()

    assert ("FAILED", "under legal hold") == (ended["state"], ended["errorDetails"])
    assert not ask(emulator, f"{USERS}/11").json()["is_being_deleted"]


def test_operations_of_both_kinds_are_listed_newest_first(emulator: Emulator) -> None:
    """A page that ends between an export and a deletion loses neither."""
    ask(emulator, f"{INDIVIDUAL}bo", "DELETE")
    emulator.advance(5)
    body = {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_NDJSON",
        "timeRange": {"start": "2023-11-15T00:00:00Z", "end": "2023-11-16T00:00:00Z"},
        "segmentTimeRange": {"start": "", "end": ""},
    }
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    requests.post(f"{emulator.url}/segments/v1/exports", json=body, headers=headers, timeout=10)
    first = ask(emulator, "/operations/v1", limit=1).json()
    second = ask(emulator, "/operations/v1", limit=1, paginationToken=first["nextPaginationToken"]).json()

    kinds = [one["type"] for page in (first, second) for one in page["operations"]]
    assert ["SEARCH_EXPORT", "DELETE_USER"] == kinds
    assert "nextPaginationToken" not in second


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/sessions/v2?uid=bo", 200),
        ("GET", "/users/v1/individual/bo", 200),
        ("DELETE", "/users/v1/individual/bo", 403),
        ("GET", "/v2/users", 403),
        ("DELETE", "/v2/users/7", 403),
        ("GET", "/api/v1/export/userEvents?uid=bo", 403),
    ],
)
def test_a_standard_key_may_look_but_not_delete(emulator: Emulator, method: str, path: str, expected: int) -> None:
    """The level depends on the method, too."""
    emulator.role = "USER"
    assert expected == ask(emulator, path, method).status_code


def test_users_of_an_invented_account() -> None:
    """Devices of one person are one user, who has the sessions and events of all of them."""
    with Emulator.generated(now=FIRST, days=1, events_per_bundle=400) as emulator:
        events = list(emulator.bundles[0].read_events())
        known = {event["UserAppKey"] for event in events} - {""}
        listed = {user.uid: user for user in emulator.known.all() if user.uid}

        assert known <= set(listed)
        for uid in list(known)[:3]:
            theirs = [event for event in ask(emulator, EVENTS, uid=uid).json() if event in events]
            assert [event for event in events if event["UserAppKey"] == uid] == theirs


def test_users_over_the_control_interface(emulator: Emulator) -> None:
    """Tests in another process set users, too."""
    url = f"{emulator.url}/_emulator/users"
    put = requests.put(url, json=many(2), timeout=10)

    assert ["0", "1"] == [user["id"] for user in put.json()]
    assert ["0", "1"] == ids(ask(emulator, USERS))
    requests.put(url, data="null", timeout=10)
    assert ["7", "9", "11"] == [user["id"] for user in requests.get(url, timeout=10).json()]
    assert 405 == requests.delete(url, timeout=10).status_code
    settings = requests.put(f"{emulator.url}/_emulator/settings", json={"deletion": {"polls": 7}}, timeout=10)
    assert 7 == settings.json()["deletion"]["polls"]
