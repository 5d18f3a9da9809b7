"""Segment Export: what is asked for, what becomes of it, and what is in the file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import requests

from fullstory_emulator import Bundle, Course, Emulator, Fault

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
BEGIN, END = "2023-11-15T00:00:00Z", "2023-11-16T00:00:00Z"
CREATE = "/segments/v1/exports"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(now=FIRST + 10 * DAY, course=Course(polls=0)) as emulator:
        emulator.bundles = [bundle()]
        yield emulator


def event(moment: str = "2023-11-15T01:02:03.004Z", **members: Any) -> dict[str, Any]:
    return {"UserId": 6_600_000_000_000_000_001, "EventStart": moment, "EventType": "click", **members}


def bundle(*events: dict[str, Any]) -> Bundle:
    return Bundle(FIRST, FIRST + DAY, list(events) or [event()])


def ask(emulator: Emulator, path: str, method: str = "GET", **options: Any) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.request(method, emulator.url + path, headers=headers, timeout=10, **options)


def request(start: str = BEGIN, end: str = END, **members: Any) -> dict[str, Any]:
    """The body that creates an export; a member that is None is left out."""
    body = {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_NDJSON",
        "timeRange": {"start": start, "end": end},
        "segmentTimeRange": {"start": "", "end": ""},
        **members,
    }
    return {name: value for name, value in body.items() if value is not None}


def create(emulator: Emulator, *bounds: str, **members: Any) -> str:
    response = ask(emulator, CREATE, "POST", json=request(*bounds, **members))
    assert 200 == response.status_code, response.text
    return str(response.json()["operationId"])


def poll(emulator: Emulator, operation: str) -> Any:
    return ask(emulator, f"/operations/v1/{quote(operation)}").json()


def link(emulator: Emulator, operation: str) -> requests.Response:
    results = poll(emulator, operation)["results"]
    return ask(emulator, f"/search/v1/exports/{results['searchExportId']}/results")


def download(emulator: Emulator, operation: str) -> requests.Response:
    return requests.get(link(emulator, operation).json()["location"], timeout=10)


def text(emulator: Emulator, *bounds: str, **members: Any) -> str:
    return gzip.decompress(download(emulator, create(emulator, *bounds, **members)).content).decode()


def events(emulator: Emulator, *bounds: str, **members: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(emulator, *bounds, **members).splitlines()]


# --- from the request to the file ---


def test_an_export_is_created_polled_linked_and_downloaded(emulator: Emulator) -> None:
    """The whole way, as documented; each step says what the next one needs."""
    emulator.course = Course(polls=2, step="counting")
    operation = create(emulator)
    first, second, third = (poll(emulator, operation) for _ in range(3))

    assert {
        "id": operation,
        "type": "SEARCH_EXPORT",
        "details": None,
        "results": None,
        "state": "PENDING",
        "errorDetails": "",
        "createdAt": "2023-11-25T00:00:00.174736Z",
        "finishedAt": None,
        "estimatePctComplete": 24,
        "step": "counting",
    } == first
    assert ("PENDING", 39) == (second["state"], second["estimatePctComplete"])
    assert ("COMPLETED", 100) == (third["state"], third["estimatePctComplete"])
    assert "2023-11-25T00:00:00.473657Z" == third["finishedAt"]
    assert {"searchExportId": emulator.exports[0].search_export_id, "expires": "2023-12-02T00:00:00.345Z"} == third[
        "results"
    ]
    given = link(emulator, operation).json()
    assert {"location", "expires"} == set(given)
    assert "2023-11-25T00:04:59.658287819Z" == given["expires"]
    file = requests.get(given["location"], timeout=10)
    assert event() == json.loads(gzip.decompress(file.content))
    assert "application/octet-stream" == file.headers["Content-Type"]
    assert 'attachment; filename="Everyone 2023-11-25.ndjson.gz"' == file.headers["Content-Disposition"]
    assert "Content-Encoding" not in file.headers
    assert str(len(file.content)) == file.headers["Content-Length"]

    (export,) = emulator.exports
    assert (request(), operation, "COMPLETED") == (export.request, export.operation_id, export.state)
    assert (4, 1, 1) == (export.polled, export.linked, export.downloaded)


def test_formats_are_lines_an_array_or_a_table(emulator: Emulator) -> None:
    """All three hold the same events."""
    emulator.bundles = [bundle(event(evt_total_real=1.5), event(evt_a_bool=True, EventTargetText='a,"b"\nc'))]
    lines = text(emulator)
    assert lines.endswith("}\n") and 2 == lines.count("\n")
    assert [json.loads(line) for line in lines.splitlines()] == json.loads(text(emulator, format="FORMAT_JSON"))
    table = text(emulator, format="FORMAT_CSV", fields=["UserId", "EventTargetText", "evt_*"])
    assert (
        "UserId,EventTargetText,evt_a_bool,evt_total_real\n"
        "6600000000000000001,,,1.5\n"
        '6600000000000000001,"a,""b""\nc",true,\n'
    ) == table


def test_only_events_of_the_time_range_come(emulator: Emulator) -> None:
    """The start belongs to it, the end does not: windows side by side show each event once."""
    moments = [
        "2023-11-15T00:59:59.999Z",
        "2023-11-15T01:00:00.000Z",
        "2023-11-15T01:59:59.999Z",
        "2023-11-15T02:00:00Z",
    ]
    emulator.bundles = [bundle(*map(event, moments))]
    found = [found["EventStart"] for found in events(emulator, "2023-11-15T01:00:00Z", "2023-11-15T02:00:00Z")]
    assert moments[1:3] == found
    assert moments == [found["EventStart"] for found in events(emulator, "", "")]


def test_a_link_refuses_the_key_and_other_tokens(emulator: Emulator) -> None:
    """A client that sends its key along to a storage server fails there; and gives it away."""
    location = link(emulator, create(emulator)).json()["location"]
    refused = requests.get(location, headers={"Authorization": f"Basic {emulator.api_key}"}, timeout=10)
    assert (400, "application/xml; charset=UTF-8") == (refused.status_code, refused.headers["Content-Type"])
    forged = requests.get(location[:-1] + "x", timeout=10)
    assert 403 == forged.status_code
    assert "<Code>SignatureDoesNotMatch</Code>" in forged.text
    assert 0 == emulator.exports[0].downloaded


def test_links_expire_and_are_given_anew(emulator: Emulator) -> None:
    """A link lives five minutes, the export a week."""
    operation = create(emulator)
    location = link(emulator, operation).json()["location"]
    emulator.advance(299)
    assert 200 == requests.get(location, timeout=10).status_code
    emulator.advance(1)
    late = requests.get(location, timeout=10)
    assert 403 == late.status_code
    assert "<Code>ExpiredToken</Code>" in late.text
    assert 200 == download(emulator, operation).status_code
    emulator.advance(7 * DAY - 300)
    assert 404 == link(emulator, operation).status_code


def test_unknown_operations_and_unfinished_exports_are_not_found(emulator: Emulator) -> None:
    """There is no link before the export has ended, and none for what never was."""
    emulator.course = Course(polls=1)
    create(emulator)
    for path in ("/operations/v1/x", f"/search/v1/exports/{emulator.exports[0].search_export_id}/results"):
        assert 404 == ask(emulator, path).status_code
    assert 404 == ask(emulator, "/operations/v1/x/cancel", "POST").status_code


def test_an_export_can_be_cancelled_while_it_runs(emulator: Emulator) -> None:
    """What a client no longer needs it can give back."""
    emulator.course = Course(polls=1)
    operation = create(emulator)
    assert {} == ask(emulator, f"/operations/v1/{operation}/cancel", "POST").json()
    cancelled = poll(emulator, operation)
    assert ("FAILED", "The operation was cancelled.") == (cancelled["state"], cancelled["errorDetails"])
    assert 400 == ask(emulator, f"/operations/v1/{operation}/cancel", "POST").status_code


def test_a_fault_can_name_paths_with_ids(emulator: Emulator) -> None:
    """An id is not known before it is given; the method tells creating from listing."""
    emulator.faults = [
        Fault("/operations/v1/*", change={"state": "RUNNING"}, without=["type"]),
        Fault(CREATE, method="GET", status=500),
    ]
    operation = create(emulator)
    first = poll(emulator, operation)
    assert ("RUNNING", False) == (first["state"], "type" in first)
    assert "COMPLETED" == poll(emulator, operation)["state"]
