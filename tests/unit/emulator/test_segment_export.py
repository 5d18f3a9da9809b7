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


# --- what goes wrong ---


@pytest.mark.parametrize(
    ("fault", "shown"),
    [
        ({"change": {"state": "RUNNING", "results": None}}, {"state": "RUNNING", "results": None}),
        ({"change": {"state": "UNKNOWN"}}, {"state": "UNKNOWN"}),
        ({"change": {"state": "FAILED", "errorDetails": "no"}}, {"state": "FAILED", "errorDetails": "no"}),
        ({"change": {"type": "DELETE_USER"}}, {"type": "DELETE_USER"}),
        ({"change": {"results": None}}, {"state": "COMPLETED", "results": None}),
        ({"without": ["state"]}, {"state": None}),
    ],
    ids=str,
)
def test_an_operation_can_say_anything(emulator: Emulator, fault: dict[str, Any], shown: dict[str, Any]) -> None:
    """States that are not documented, or no state: for one poll, and then all is well."""
    emulator.faults = [Fault("/operations/v1/*", **fault)]
    operation = create(emulator)
    said = poll(emulator, operation)
    assert shown == {name: said.get(name) for name in shown}
    assert "COMPLETED" == poll(emulator, operation)["state"]
    assert event() == json.loads(gzip.decompress(download(emulator, operation).content))


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "UNKNOWN"])
def test_an_export_can_end_in_any_state(emulator: Emulator, state: str) -> None:
    """And there is no file then."""
    emulator.course = Course(polls=0, state=state, error="no")
    operation = create(emulator)
    assert [(state, None, "no")] * 2 == [
        (said["state"], said["results"], said["errorDetails"]) for said in (poll(emulator, operation) for _ in range(2))
    ]
    assert 404 == ask(emulator, f"/search/v1/exports/{emulator.exports[0].search_export_id}/results").status_code


def test_an_export_can_expire_at_any_step(emulator: Emulator) -> None:
    """Results in the past, a link that is not given, a link that is too old: each once."""
    results, storage = "/search/v1/exports/*", "/fullstoryapp-search-export/*"
    emulator.faults = [Fault(path, expired=True) for path in ("/operations/v1/*", results, storage)]
    operation = create(emulator)
    assert "2023-11-24T23:59:59.658287819Z" == poll(emulator, operation)["results"]["expires"]
    assert 404 == link(emulator, operation).status_code
    assert [403, 200] == [download(emulator, operation).status_code for _ in range(2)]
    assert (2, 1) == (emulator.exports[0].linked, emulator.exports[0].downloaded)


@pytest.mark.parametrize(
    "location", ["ftp://example.com/file", "http://", "file:///etc/hostname", "no URL", "", None, 5]
)
def test_a_link_can_lead_anywhere(emulator: Emulator, location: Any) -> None:
    """What a client does with a link that is none is its own matter."""
    emulator.faults = [Fault("/search/v1/exports/*", change={"location": location})]
    assert location == link(emulator, create(emulator)).json()["location"]


def test_links_lead_to_the_address_that_the_client_knows(emulator: Emulator) -> None:
    """Behind a proxy, or under another name, the emulator has another address than it believes."""
    operation = create(emulator)
    poll(emulator, operation)
    path = f"/search/v1/exports/{emulator.exports[0].search_export_id}/results"
    headers = {"Authorization": f"Basic {emulator.api_key}", "Host": "fullstory.example:8443"}
    given = requests.get(emulator.url + path, headers=headers, timeout=10).json()["location"]
    assert given.startswith("http://fullstory.example:8443/fullstoryapp-search-export/")


def test_all_faults_work_on_the_way_to_an_export(emulator: Emulator) -> None:
    """Creating, polling and linking fail as everything else does, and a refused request has no effect."""
    emulator.faults = [
        Fault(CREATE, status=503, headers={"Retry-After": "1"}),
        Fault(CREATE, method="POST", html=True),
        Fault("/operations/v1/*", empty=True),
        Fault("/operations/v1/*", reset=True),
        Fault("/operations/v1/*", drop_bracket=True, gzip=True),
        Fault("/search/v1/exports/*", truncate_at=10),
    ]
    refused = ask(emulator, CREATE, "POST", json=request())
    assert (503, "1") == (refused.status_code, refused.headers["Retry-After"])
    assert "text/html" in ask(emulator, CREATE, "POST", json=request()).headers["Content-Type"]
    assert [] == emulator.exports
    path = f"/operations/v1/{create(emulator)}"
    assert b"" == ask(emulator, path).content
    with pytest.raises(requests.ConnectionError):
        ask(emulator, path)
    packed = ask(emulator, path)
    assert ("gzip", "COMPLETED") == (packed.headers["Content-Encoding"], packed.json()["state"])
    results = f"/search/v1/exports/{packed.json()['results']['searchExportId']}/results"
    assert b'{"location'[:10] == ask(emulator, results).content


# --- the request ---


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: None} for name in ("segmentId", "type", "format", "timeRange")),
        {"type": "TYPE_EVENTS"},
        {"type": ["TYPE_EVENT"]},
        {"type": "TYPE_INDIVIDUAL", "eventDetails": {"scope": "SCOPE_EVENTS"}},
        {"type": "TYPE_INDIVIDUAL", "fields": ["UserId"]},
        {"type": "TYPE_INDIVIDUAL", "fields": ["evt_*"]},
        {"format": "json"},
        {"eventDetails": {"scope": "SCOPE_EVENT"}},
        {"eventDetails": {"scop": "SCOPE_EVENTS"}},
        {"fields": ["UserId", "UserId"]},
        {"fields": ["userid"]},
        {"fields": ["PageAgent"]},
        {"fields": ["evt_"]},
        {"fields": "UserId"},
        {"timeRange": {"start": BEGIN}},
        {"timeRange": {"start": BEGIN, "end": None}},
        {"timeRange": {"start": BEGIN, "end": BEGIN}},
        {"timeRange": {"start": END, "end": BEGIN}},
        {"timeRange": {"start": "2023-11-15", "end": END}},
        {"timeRange": {"start": "2023-11-15T00:00:00", "end": END}},
        {"timeRange": {"start": "2023-02-30T00:00:00Z", "end": END}},
        {"timeRange": {"start": 1700006400, "end": END}},
        {"timeRange": [BEGIN, END]},
        {"segmentTimeRange": {"start": "yesterday", "end": ""}},
        {"time_range": {"start": BEGIN, "end": END}},
        {"timezone": 1},
        {"now": "soon"},
        {"segmentTimeRange": None, "now": "soon"},
        {"segment": "everyone"},
    ],
    ids=str,
)
def test_a_wrong_request_is_refused_with_a_sentence(emulator: Emulator, wrong: dict[str, Any]) -> None:
    """What Fullstory would refuse must not work here, and nothing is begun."""
    response = ask(emulator, CREATE, "POST", json=request(**wrong))
    assert (400, "required_field") == (response.status_code, response.json()["code"])
    assert response.json()["message"]
    assert [] == emulator.exports


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_refused(emulator: Emulator, body: bytes) -> None:
    """An answer, not a broken connection."""
    assert 400 == ask(emulator, CREATE, "POST", data=body).status_code


def test_an_unknown_segment_is_not_found(emulator: Emulator) -> None:
    """A misspelt or deleted segment is not the same as an empty one."""
    response = ask(emulator, CREATE, "POST", json=request(segmentId="everybody"))
    assert 404 == response.status_code
    assert "everybody" in response.json()["message"]


def test_members_in_snake_case_are_accepted(emulator: Emulator) -> None:
    """Public clients send them."""
    body = {"segment_id": "everyone", "type": "TYPE_EVENT", "format": "FORMAT_NDJSON", "event_details": {}}
    ranges = {"time_range": {"start": BEGIN, "end": END}, "segment_time_range": {"start": "", "end": ""}}
    operation = ask(emulator, CREATE, "POST", json={**body, **ranges}).json()["operationId"]
    assert event() == json.loads(gzip.decompress(download(emulator, operation).content))


@pytest.mark.parametrize("scope", ["SCOPE_EVENTS", "SCOPE_PAGES", "SCOPE_SESSIONS", "SCOPE_INDIVIDUALS"])
def test_everyone_means_the_last_30_days_unless_told_otherwise(emulator: Emulator, scope: str) -> None:
    """Who forgets `segmentTimeRange` loses older events without a word."""
    people = iter(range(1, 5))
    moments = ["2023-11-15T00:00:00.000Z", "2023-11-15T23:59:59.999Z"]
    emulator.bundles = [bundle(*(event(moment, IndvId=next(people), UserId=next(people)) for moment in moments))]
    emulator.now = FIRST + 31 * DAY - 1
    details = {"scope": scope}
    assert 2 == len(events(emulator, "", "", eventDetails=details))
    found = events(emulator, "", "", eventDetails=details, segmentTimeRange=None)
    assert moments[1:] == [found["EventStart"] for found in found]
    pinned = events(emulator, "", "", eventDetails=details, segmentTimeRange=None, now="2023-12-15T00:00:00Z")
    assert 2 == len(pinned)
    narrow = {"start": BEGIN, "end": "2023-11-15T00:00:00.001Z"}
    assert moments[:1] == [
        found["EventStart"] for found in events(emulator, eventDetails=details, segmentTimeRange=narrow)
    ]


# --- who may ---


CANCEL = "/operations/v1/x/cancel"
STANDARD_PATHS = ["/segments/v1", "/segments/v1/everyone", "/operations/v1", "/operations/v1/x", CANCEL]


@pytest.mark.parametrize("path", [CREATE, "/search/v1/exports/x/results", *STANDARD_PATHS])
def test_each_endpoint_wants_the_key_and_its_level(emulator: Emulator, path: str) -> None:
    """Reading data needs an Architect, looking at operations does not."""
    method = "POST" if path in (CREATE, CANCEL) else "GET"
    assert 401 == requests.request(method, emulator.url + path, timeout=10).status_code
    emulator.role = "USER"
    allowed = path in STANDARD_PATHS
    assert allowed == (403 != ask(emulator, path, method).status_code)
    emulator.role = "ARCHITECT"
    assert 403 != ask(emulator, path, method).status_code


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CREATE, 405),
        ("POST", "/operations/v1/x", 405),
        ("GET", "/operations/v1/x/cancel", 405),
        ("POST", "/search/v1/exports/x/results", 405),
        ("DELETE", "/segments/v1/everyone", 405),
        ("POST", "/segments/v1/exports/", 404),
        ("GET", "/operations/v1/", 404),
        ("GET", "/segments/v2/everyone", 404),
        ("GET", "/search/v1/exports/x", 404),
        ("GET", "/segments/v1/exports/x", 404),
    ],
)
def test_methods_and_paths_are_exact(emulator: Emulator, method: str, path: str, status: int) -> None:
    """Endpoints that only some connectors believe in do not exist."""
    assert status == ask(emulator, path, method).status_code


# --- operations ---


def test_an_export_takes_its_time_by_the_clock(emulator: Emulator) -> None:
    """Not the polls alone decide; a client that does not wait does not get on."""
    emulator.course = Course(polls=0, seconds=60)
    operation = create(emulator)
    assert ["PENDING"] * 3 == [poll(emulator, operation)["state"] for _ in range(3)]
    emulator.advance(90)
    done = poll(emulator, operation)
    assert "COMPLETED" == done["state"]
    # it was ready before anybody asked
    assert ("2023-11-25T00:01:00.473657Z", "2023-12-02T00:01:00.345Z") == (
        done["finishedAt"],
        done["results"]["expires"],
    )


def test_the_estimate_rises_and_is_never_100_before_the_end(emulator: Emulator) -> None:
    """A client that waits for 100 % waits rightly, one that waits for ever with a stuck export does not."""
    emulator.course = Course(polls=None)
    operation = create(emulator)
    shown = [poll(emulator, operation) for _ in range(50)]
    estimates = [operation["estimatePctComplete"] for operation in shown]
    assert estimates == sorted(estimates) and estimates[0] < estimates[-1] < 100
    assert {"PENDING"} == {operation["state"] for operation in shown}


def test_the_course_may_depend_on_the_export(emulator: Emulator) -> None:
    """One of many fails, and says why."""
    emulator.course = lambda export: (
        Course(state="FAILED", error="segment deleted", polls=0) if export.nth == 2 else None
    )
    shown = []
    for _ in range(3):
        operation = create(emulator)
        poll(emulator, operation)
        shown.append(poll(emulator, operation))
    assert ["COMPLETED", "FAILED", "COMPLETED"] == [operation["state"] for operation in shown]
    assert ("segment deleted", None) == (shown[1]["errorDetails"], shown[1]["results"])
    assert shown[1]["finishedAt"]
    failed = emulator.exports[1].search_export_id
    assert 404 == ask(emulator, f"/search/v1/exports/{failed}/results").status_code


def test_exports_are_made_anew_from_what_is_there_when_they_complete(emulator: Emulator) -> None:
    """Not from what was there when they were asked for, and not from what comes later."""
    emulator.course = Course(polls=1)
    operation = create(emulator)
    poll(emulator, operation)
    found = bundle(event(), event())
    emulator.bundles = [found]
    poll(emulator, operation)
    found.events = []
    assert 2 == len(gzip.decompress(download(emulator, operation).content).splitlines())
    emulator.course = Course(polls=0)
    assert "" == text(emulator)
    assert 2 == len({export.operation_id for export in emulator.exports})


def test_operations_are_listed_newest_first_and_in_pages(emulator: Emulator) -> None:
    """Paging brings each one once; the last page has no token."""
    emulator.course = lambda export: Course(polls=None if export.nth == 3 else 0)
    operations = [create(emulator) for _ in range(5)]
    path, query = "/operations/v1", {"limit": "2", "type": "SEARCH_EXPORT"}
    pages = [ask(emulator, path, params=query).json()]
    while "nextPaginationToken" in pages[-1]:
        query["paginationToken"] = pages[-1]["nextPaginationToken"]
        pages.append(ask(emulator, path, params=query).json())
    assert [2, 2, 1] == [len(page["operations"]) for page in pages]
    assert operations[::-1] == [operation["id"] for page in pages for operation in page["operations"]]
    pending = ask(emulator, path, params={"state": "PENDING"}).json()
    assert [operations[2]] == [operation["id"] for operation in pending["operations"]]
    assert {"operations": []} == ask(emulator, path, params={"type": "DELETE_USER"}).json()
    assert {0} == {export.polled for export in emulator.exports}


@pytest.mark.parametrize(
    "query",
    [{"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"paginationToken": "x"}, {"state": "RUNNING"}, {"type": "x"}],
)
def test_a_wrong_question_for_operations_is_refused(emulator: Emulator, query: dict[str, str]) -> None:
    """No silent first page for a token that means nothing."""
    assert 400 == ask(emulator, "/operations/v1", params=query).status_code


def test_too_many_running_exports_are_refused_for_a_while(emulator: Emulator) -> None:
    """A client that begins many at once has to wait for its own."""
    emulator.course = Course(polls=1)
    emulator.most_running = 2
    first = create(emulator)
    create(emulator)
    refused = ask(emulator, CREATE, "POST", json=request())
    assert (429, "10", "too_many_requests") == (
        refused.status_code,
        refused.headers["Retry-After"],
        refused.json()["code"],
    )
    poll(emulator, first)
    poll(emulator, first)
    create(emulator)
    assert 3 == len(emulator.exports)


def test_each_endpoint_may_have_a_rate_limit(emulator: Emulator) -> None:
    """Polling too often is answered with 429, as everything else."""
    emulator.endpoint_limits = {"/operations/v1/*": (2, 60.0)}
    operation = create(emulator)
    path = f"/operations/v1/{operation}"
    statuses = [ask(emulator, path).status_code for _ in range(3)]
    assert [200, 200, 429] == statuses
    assert 1 <= int(ask(emulator, path).headers["Retry-After"]) <= 60
    assert 200 == ask(emulator, "/operations/v1").status_code
    emulator.advance(60)
    assert 200 == ask(emulator, path).status_code


# --- segments ---


def test_segments_are_listed_in_pages(emulator: Emulator) -> None:
    """The built-in one has no `created`; ids of all shapes are found again."""
    first = ask(emulator, "/segments/v1", params={"limit": "3"}).json()
    second = ask(emulator, "/segments/v1", params={"paginationToken": first["nextPaginationToken"]}).json()
    assert "nextPaginationToken" not in second
    listed = [*first["segments"], *second["segments"]]
    assert ["everyone", "rageClicks", "abcdefg12345", "owner@example.com:4241245858598272"] == [s["id"] for s in listed]
    assert {
        "id": "everyone",
        "name": "Everyone",
        "creator": "",
        "url": "https://app.fullstory.com/ui/o-DEMO-na1/segments/everyone",
    } == listed[0]
    assert listed == [ask(emulator, f"/segments/v1/{quote(s['id'], safe='')}").json() for s in listed]
    assert 404 == ask(emulator, "/segments/v1/nobody").status_code
    mine = ask(emulator, "/segments/v1", params={"creator": "owner@example.com"}).json()["segments"]
    assert listed[2:] == mine


def test_the_file_is_named_after_the_segment(emulator: Emulator) -> None:
    """Whatever people call their segments: the name has to survive a header and a file system."""
    response = download(emulator, create(emulator, segmentId="abcdefg12345", format="FORMAT_JSON"))
    assert 'attachment; filename="Orders _accepted_ 2023-11-25.json.gz"' == response.headers["Content-Disposition"]
