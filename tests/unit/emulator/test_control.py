"""Control over HTTP, for tests in another process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fullstory_emulator import Emulator, sample_bundles, sample_events

DAY = 86400
START = 1_700_006_400


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(bundles=sample_bundles()) as emulator:
        yield emulator


def control(emulator: Emulator, method: str, path: str = "", value: Any = None) -> requests.Response:
    return requests.request(method, f"{emulator.url}/_emulator{path}", json=value, timeout=10)


def ask(emulator: Emulator, path: str, **query: Any) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.get(emulator.url + path, params=query, headers=headers, timeout=10)


def test_settings_are_read_and_changed(emulator: Emulator) -> None:
    """What is set over HTTP is in force for the next request."""
    settings = {"encoding": "plain", "rate_limit": [1, 60], "page_size": 2, "member_style": "lower"}
    assert 200 == control(emulator, "PUT", "/settings", settings).status_code

    overview = control(emulator, "GET").json()
    assert settings == {name: overview[name] for name in settings}
    assert {"bundles": 4, "listed": 4, "requests": 0} == {n: overview[n] for n in ("bundles", "listed", "requests")}
    assert emulator.api_key not in json.dumps(overview)
    exports = ask(emulator, "/api/v1/export/list").json()["exports"]
    assert 2 == len(exports)
    assert 50 == len(ask(emulator, "/api/v1/export/get", id=exports[0]["id"]).json())
    assert 429 == ask(emulator, "/api/v1/export/get", id=exports[0]["id"]).status_code


@pytest.mark.parametrize(
    "wrong", [{"encoding": "zip"}, {"speed": 1}, {"rate_limit": 5}, {"page_size": 1, "encoding": "zip"}, [1]]
)
def test_wrong_settings_are_refused(emulator: Emulator, wrong: Any) -> None:
    """A sentence says why, and nothing changes."""
    emulator.now = START  # the real time would go on
    before = control(emulator, "GET").json()
    response = control(emulator, "PUT", "/settings", wrong)
    assert 400 == response.status_code
    assert response.json()["message"]
    assert before == control(emulator, "GET").json()


def test_the_clock_is_set_and_advanced(emulator: Emulator) -> None:
    """Bundles become available as time passes."""
    emulator.now = START
    control(emulator, "PUT", "/bundles", [{"start": START, "stop": START + DAY, "events": [{"n": 1}]}])
    assert [] == ask(emulator, "/api/v1/export/list").json()["exports"]

    assert {"now": START + 2 * DAY} == control(emulator, "POST", "/clock", {"advance": 2 * DAY}).json()
    assert 1 == len(ask(emulator, "/api/v1/export/list").json()["exports"])

    assert {"now": START + DAY} == control(emulator, "PUT", "/clock", {"now": START + DAY}).json()
    assert START + DAY == emulator.now


def test_faults_are_added_shown_and_removed(emulator: Emulator) -> None:
    """A fault from another process works as one given in Python."""
    control(emulator, "POST", "/faults", {"path": "/me", "status": 503, "headers": {"Retry-After": "3"}})
    control(emulator, "POST", "/faults", [{"path": "/me", "raw": "nonsense"}, {"times": None, "status": 500}])

    first = ask(emulator, "/me")
    assert (503, "3") == (first.status_code, first.headers["Retry-After"])
    assert "nonsense" == ask(emulator, "/me").text
    shown = control(emulator, "GET", "/faults").json()
    assert {"path": "/me", "raw": "nonsense", "used": 1} == shown[1]
    assert {"path": None, "times": None, "status": 500, "used": 0} == shown[2]

    assert [] == control(emulator, "DELETE", "/faults").json()
    assert 200 == ask(emulator, "/me").status_code
    assert 400 == control(emulator, "POST", "/faults", {"path": "/me", "explode": True}).status_code


def test_content_is_replaced_however_large(emulator: Emulator) -> None:
    """More than the megabyte at which many servers stop."""
    events = [{"text": "x" * 1000} for _ in range(2000)]
    response = control(emulator, "PUT", "/bundles", [{"start": START, "stop": START + DAY, "events": events}])
    assert [{"start": START, "stop": START + DAY, "id": START * 100 + 48, "listed": True}] == response.json()
    assert events == list(emulator.events())


def test_the_expected_events_can_be_fetched(emulator: Emulator) -> None:
    """The truth to compare with, one event a line."""
    lines = control(emulator, "GET", "/events").content.splitlines()
    assert sample_events() == [json.loads(line) for line in lines]


def test_the_request_log_is_read_without_keys(emulator: Emulator) -> None:
    """Someone may point a client with a real key here; it must not be repeated."""
    ask(emulator, "/me", a="b")
    response = control(emulator, "GET", "/requests")
    (request,) = response.json()
    assert ("GET", "/me", {"a": "b"}, 200) == tuple(request[n] for n in ("method", "path", "query", "status"))
    assert emulator.api_key not in response.text
    assert [] == control(emulator, "DELETE", "/requests").json()
    assert [] == emulator.requests


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("DELETE", "/clock"), ("PUT", "")])
def test_unknown_control_requests_are_not_found(emulator: Emulator, method: str, path: str) -> None:
    """A misspelt control request must not pass for a working one."""
    assert 404 == control(emulator, method, path).status_code


def test_exports_are_controlled_and_looked_at(emulator: Emulator) -> None:
    """How they go, what was created, and what should be in them."""
    emulator.now = 1_600_000_000
    settings = {
        "course": {"polls": 0, "seconds": 5.0, "state": "COMPLETED", "error": "no", "step": "counting"},
        "export_lifetime": 60,
        "link_lifetime": 10,
        "most_running": 1,
        "endpoint_limits": {"/operations/v1": [1, 60.0]},
        "settle": True,
    }
    control(emulator, "PUT", "/settings", settings)
    overview = control(emulator, "GET").json()
    assert settings == {name: overview[name] for name in settings}
    control(emulator, "PUT", "/settings", {"settle": False})
    assert emulator.settle is None

    request = {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_JSON",
        "timeRange": {"start": "2020-08-27T00:00:00Z", "end": "2020-08-28T00:00:00Z"},
    }
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    url = f"{emulator.url}/segments/v1/exports"
    assert [200, 429] == [requests.post(url, json=request, headers=headers, timeout=10).status_code for _ in range(2)]
    (export,) = control(emulator, "GET", "/exports").json()
    assert (request, "PENDING", "counting") == (
        export["request"],
        export["operation"]["state"],
        export["operation"]["step"],
    )
    assert [0, 0, 0] == [export[count] for count in ("polled", "linked", "downloaded")]
    assert json.dumps(request) == control(emulator, "GET", "/requests").json()[0]["body"]

    lines = control(emulator, "POST", "/exported", request["timeRange"]).content.splitlines()
    assert emulator.exported(**request["timeRange"]) == [json.loads(line) for line in lines]
    assert 50 == len(lines)
    assert 400 == control(emulator, "POST", "/exported", {"start": "x"}).status_code
    emulator.course = lambda _: None
    assert "(a function)" == control(emulator, "GET").json()["course"]


@pytest.mark.parametrize("wrong", [{"course": {"poll": 1}}, {"course": 3}, {"endpoint_limits": {"/me": 3}}])
def test_wrong_settings_of_exports_are_refused(emulator: Emulator, wrong: Any) -> None:
    """A misspelt one must not pass for the usual."""
    assert 400 == control(emulator, "PUT", "/settings", wrong).status_code
