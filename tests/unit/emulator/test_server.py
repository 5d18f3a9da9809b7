"""Who is let in, what is listed, how bundles come, and how often."""

from __future__ import annotations

import gzip
import json
import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import trustme

from fullstory_emulator import Bundle, Emulator, Fault

DAY = 86400
FIRST = 1_700_006_400  # midnight UTC
ME, LIST, GET = "/me", "/api/v1/export/list", "/api/v1/export/get"


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(now=FIRST + 100 * DAY) as emulator:
        yield emulator


def ask(emulator: Emulator, path: str, *, key: str | None = None, **query: Any) -> requests.Response:
    authorization = f"Basic {emulator.api_key}" if key is None else key
    return requests.get(emulator.url + path, params=query, headers={"Authorization": authorization}, timeout=10)


def day(number: int, events: int = 1) -> Bundle:
    start = FIRST + number * DAY
    return Bundle(start, start + DAY, [{"EventType": "click", "n": n} for n in range(events)])


def listed(emulator: Emulator, **query: Any) -> list[int]:
    return [bundle["Start"] for bundle in ask(emulator, LIST, **query).json()["exports"]]


# --- the key ---


@pytest.mark.parametrize("path", [ME, LIST, GET])
@pytest.mark.parametrize(
    "authorization", ["", "Bearer demo-key-not-secret", "Basic wrong", "Basic ZGVtby1rZXktbm90LXNlY3JldA==", "basic x"]
)
def test_anything_but_the_key_verbatim_is_refused(emulator: Emulator, path: str, authorization: str) -> None:
    """A client that encodes the key, or sends it as Bearer, would fail at Fullstory and has to fail here."""
    response = ask(emulator, path, key=authorization)

    assert 401 == response.status_code
    assert {"message": "access is unauthorized", "code": "unauthorized"} == response.json()


def test_a_request_without_key_is_refused(emulator: Emulator) -> None:
    """Forgetting the header is not the same as sending an empty one."""
    assert 401 == requests.get(emulator.url + ME, timeout=10).status_code


def test_a_key_may_hold_any_character(emulator: Emulator) -> None:
    """Keys contain characters that encoders like to touch."""
    emulator.api_key = "na1.a+b/c=="
    assert 200 == ask(emulator, ME).status_code


@pytest.mark.parametrize(("role", "status"), [("USER", 403), ("VIEW_ONLY", 403), ("ARCHITECT", 200), ("ADMIN", 200)])
def test_exports_need_the_architect_role(emulator: Emulator, role: str, status: int) -> None:
    """A key of too low a role passes /me and is refused by the export."""
    emulator.role = role

    assert role == ask(emulator, ME).json()["role"]
    response = ask(emulator, LIST, start=0)
    assert status == response.status_code
    if status == 403:
        assert {"message": "insufficient permissions", "code": "forbidden"} == response.json()


@pytest.mark.parametrize("path", ["//me", "/api//v1/export/list", "/me/", "/v2/people", "/"])
def test_unknown_paths_are_not_found(emulator: Emulator, path: str) -> None:
    """Carelessly joined URLs must not work."""
    connection = HTTPConnection(urlsplit(emulator.url).netloc, timeout=10)  # requests would tidy the path up
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Basic {emulator.api_key}"})
        assert 404 == connection.getresponse().status
    assert path == emulator.requests[-1].path


# --- the list ---


def test_only_bundles_that_end_after_start_are_listed(emulator: Emulator) -> None:
    """A bundle whose Stop equals start was seen before and must not come again."""
    emulator.bundles = [day(0), day(1)]

    assert [FIRST, FIRST + DAY] == listed(emulator, start=FIRST + DAY - 1)
    assert [FIRST + DAY] == listed(emulator, start=FIRST + DAY)
    assert [] == listed(emulator, start=FIRST + 2 * DAY)


def test_the_list_is_sorted_by_end_and_cut_at_the_page_size(emulator: Emulator) -> None:
    """Paging by the last Stop works only if no earlier one follows."""
    emulator.bundles = [day(number) for number in range(24, -1, -1)]

    assert [FIRST + number * DAY for number in range(20)] == listed(emulator, start=0)
    assert [FIRST + number * DAY for number in range(20, 25)] == listed(emulator, start=FIRST + 20 * DAY)
    emulator.page_size = 2
    assert 2 == len(listed(emulator))


def test_bundles_with_the_same_end_keep_their_order(emulator: Emulator) -> None:
    """Two bundles may share a Stop; which comes first is up to the test."""
    emulator.bundles = [Bundle(FIRST + 7200, FIRST + DAY), Bundle(FIRST, FIRST + DAY), Bundle(FIRST, FIRST + 3600)]
    assert [FIRST, FIRST + 7200, FIRST] == listed(emulator)


def test_a_bundle_is_available_a_day_after_its_end(emulator: Emulator) -> None:
    """Fullstory waits for late data; neither list nor get may be early."""
    emulator.bundles = [day(0)]
    emulator.now = FIRST + 2 * DAY - 1
    assert [] == listed(emulator)
    assert 404 == ask(emulator, GET, id=day(0).id).status_code

    emulator.advance(1)
    assert [FIRST] == listed(emulator)
    assert 200 == ask(emulator, GET, id=day(0).id).status_code

    emulator.delay = DAY + 1
    assert [] == listed(emulator)


def test_a_fault_can_ignore_availability(emulator: Emulator) -> None:
    """An early bundle is listed and served if a test wants that."""
    emulator.bundles = [day(0)]
    emulator.now = FIRST
    emulator.faults = [Fault(times=None, ignore_availability=True)]

    assert [FIRST] == listed(emulator)
    assert 200 == ask(emulator, GET, id=day(0).id).status_code


@pytest.mark.parametrize("start", ["abc", "1.5", "2023-11-15", "--5", ""])
def test_a_start_that_is_no_whole_number_is_a_bad_request(emulator: Emulator, start: str) -> None:
    """A fractional or formatted start is a bug of the client."""
    assert 400 == ask(emulator, LIST, start=start).status_code


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("numbers", {"Start": FIRST, "Stop": FIRST + DAY, "Id": FIRST * 100 + 48}),
        ("strings", {"start": str(FIRST), "stop": str(FIRST + DAY), "id": str(FIRST * 100 + 48)}),
        ("lower", {"start": FIRST, "stop": FIRST + DAY, "id": FIRST * 100 + 48}),
        ("capital_strings", {"Start": str(FIRST), "Stop": str(FIRST + DAY), "Id": str(FIRST * 100 + 48)}),
    ],
)
def test_members_are_spelled_as_told(emulator: Emulator, style: Any, expected: dict[str, Any]) -> None:
    """Schema and example of the reference disagree; a client has to read all of them."""
    emulator.bundles = [day(0)]
    emulator.member_style = style
    assert [expected] == ask(emulator, LIST).json()["exports"]


def test_parameters_may_come_as_json_by_post(emulator: Emulator) -> None:
    """The help article documents this for the export endpoints."""
    emulator.bundles = [day(0), day(1)]
    response = requests.post(
        emulator.url + LIST,
        json={"start": FIRST + DAY},
        headers={"Authorization": f"Basic {emulator.api_key}"},
        timeout=10,
    )
    assert [FIRST + DAY] == [bundle["Start"] for bundle in response.json()["exports"]]
    assert {"start": str(FIRST + DAY)} == emulator.requests[-1].query


# --- downloads ---


def raw_download(emulator: Emulator, **headers: str) -> tuple[requests.Response, bytes]:
    headers = {"Authorization": f"Basic {emulator.api_key}", **headers}
    url = f"{emulator.url}{GET}?id={emulator.bundles[0].id}"
    with requests.get(url, headers=headers, stream=True, timeout=10) as response:
        return response, response.raw.read(decode_content=False)


@pytest.mark.parametrize(
    ("encoding", "content_headers", "times_compressed"),
    [
        ("file", ("application/gzip", None), 1),
        ("transport", ("application/json", "gzip"), 1),
        ("plain", ("application/json", None), 0),
        ("double", ("application/gzip", "gzip"), 2),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_bundle_comes_in_every_known_encoding(
    emulator: Emulator,
    encoding: Any,
    content_headers: tuple[str, str | None],
    times_compressed: int,
    chunked: bool,
) -> None:
    """Three generations of the API compress differently, and a proxy may do it twice."""
    emulator.bundles = [day(0, events=3)]
    emulator.encoding = encoding
    emulator.chunked = chunked

    response, body = raw_download(emulator)

    assert content_headers == (response.headers["Content-Type"], response.headers.get("Content-Encoding"))
    assert chunked == ("Content-Length" not in response.headers)
    assert "DataExport.json" in response.headers["Content-Disposition"]
    for _ in range(times_compressed):
        body = gzip.decompress(body)
    assert list(emulator.events()) == json.loads(body)


def test_transport_encoding_needs_a_client_that_accepts_it(emulator: Emulator) -> None:
    """A client without gzip gets JSON as it is."""
    emulator.bundles = [day(0)]
    emulator.encoding = "transport"

    response, body = raw_download(emulator, **{"Accept-Encoding": "identity"})

    assert "Content-Encoding" not in response.headers
    assert list(emulator.events()) == json.loads(body)


@pytest.mark.parametrize(("id", "status"), [("1", 404), ("99999999999999999999", 404), ("x", 400), ("", 400)])
def test_an_unknown_bundle_is_not_found(emulator: Emulator, id: str, status: int) -> None:
    """Ids are not guessed from their digits."""
    emulator.bundles = [day(0)]
    assert status == ask(emulator, GET, id=id).status_code


def test_a_bundle_can_change_between_downloads(emulator: Emulator) -> None:
    """Exports are made anew at each download: rows settle, and a client must not count on the same bytes."""
    emulator.bundles = [day(0, events=2), Bundle(FIRST, FIRST + DAY, [{"n": 1}], id=7, versions=[[{"n": 2}], []])]
    emulator.encoding = "plain"
    assert [[{"n": 1}], [{"n": 2}], [], []] == [ask(emulator, GET, id=7).json() for _ in range(4)]

    emulator.remake = lambda bundle, nth: Bundle(bundle.start, bundle.stop, [{"nth": nth}]) if nth > 1 else None
    assert [2, 1] == [len(ask(emulator, GET, id=day(0).id).json()) for _ in range(2)]
    assert [{"nth": 3}] == ask(emulator, GET, id=day(0).id).json()


# --- the rate limit ---


def test_the_third_download_in_a_minute_is_refused(emulator: Emulator) -> None:
    """The answer says in whole seconds when to come again, and other endpoints are not concerned."""
    emulator.bundles = [day(0)]
    emulator.rate_limit = (2, 60.0)
    assert [200, 200] == [ask(emulator, GET, id=day(0).id).status_code for _ in range(2)]

    emulator.advance(20.5)
    response = ask(emulator, GET, id=day(0).id)

    assert 429 == response.status_code
    assert re.fullmatch("(39|40)", response.headers["Retry-After"])
    assert "text/plain" in response.headers["Content-Type"]
    assert 200 == ask(emulator, LIST).status_code


def test_waiting_as_told_is_enough(emulator: Emulator) -> None:
    """A refused download does not make the wait longer."""
    emulator.bundles = [day(0)]
    emulator.rate_limit = (2, 60.0)
    statuses = []
    for _ in range(6):
        response = ask(emulator, GET, id=day(0).id)
        statuses.append(response.status_code)
        emulator.advance(float(response.headers.get("Retry-After", 0)))
    assert [200, 200, 429, 200, 200, 429] == statuses


def test_the_rate_limit_is_kept_in_real_time(emulator: Emulator) -> None:
    """Without help from `advance` a client has to wait."""
    emulator.bundles = [day(0)]
    emulator.rate_limit = (1, 0.3)
    assert [200, 429] == [ask(emulator, GET, id=day(0).id).status_code for _ in range(2)]
    emulator.rate_limit = (1, 0.001)
    assert 200 == ask(emulator, GET, id=day(0).id).status_code


# --- the log ---


def test_every_request_is_recorded(emulator: Emulator) -> None:
    """Tests assert on what a client really sent, and when."""
    ask(emulator, LIST, start=5)
    ask(emulator, ME, key="Basic wrong")

    first, second = emulator.requests
    assert ("GET", LIST, {"start": "5"}, 200) == (first.method, first.path, first.query, first.status)
    assert "Basic wrong" == second.headers["authorization"]
    assert 401 == second.status
    assert first.at <= second.at
    assert 1 == emulator.count(LIST)
    assert 0 == emulator.count(GET)


def test_an_emulator_can_be_stopped_and_started_again() -> None:
    """The port stays, so that a client sees an outage."""
    emulator = Emulator().start()
    assert 200 == ask(emulator, ME).status_code
    emulator.stop()
    with pytest.raises(requests.ConnectionError):
        ask(emulator, ME)
    with emulator:
        assert 200 == ask(emulator, ME).status_code


# --- ranges, connections ---


def partial(emulator: Emulator, **headers: str) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}", "Accept-Encoding": "identity", **headers}
    return requests.get(f"{emulator.url}{GET}?id={emulator.bundles[0].id}", headers=headers, timeout=10)


def test_ranges_are_unknown_unless_asked_for(emulator: Emulator) -> None:
    """No page says that Fullstory knows them: a client that needs them has to fail here."""
    emulator.bundles = [day(0, events=9)]

    response = partial(emulator, Range="bytes=5-")

    assert 200 == response.status_code
    assert {"ETag", "Accept-Ranges", "Content-Range"}.isdisjoint(response.headers)


@pytest.mark.parametrize(
    ("range", "first", "last"),
    [("bytes=5-", 5, None), ("bytes=0-", 0, None), ("bytes=5-9", 5, 9), ("bytes=5-9999", 5, None)],
)
def test_a_range_is_served(emulator: Emulator, range: str, first: int, last: int | None) -> None:
    """A client could not be tested that goes on where it was interrupted."""
    emulator.bundles = [day(0, events=9)]
    emulator.ranges = True
    whole = partial(emulator)

    response = partial(emulator, Range=range, **{"If-Range": whole.headers["ETag"]})

    end = len(whole.content) - 1 if last is None else last
    assert (200, "bytes") == (whole.status_code, whole.headers["Accept-Ranges"])
    assert (206, whole.content[first : end + 1]) == (response.status_code, response.content)
    assert f"bytes {first}-{end}/{len(whole.content)}" == response.headers["Content-Range"]
    assert whole.headers["ETag"] == response.headers["ETag"]


def test_a_range_of_another_file_is_the_whole_of_this_one(emulator: Emulator) -> None:
    """A client would put the end of one file behind the beginning of another."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [{"n": 1}], versions=[[{"n": 2}, {"n": 3}]])]
    emulator.ranges = True
    before = partial(emulator)

    response = partial(emulator, Range="bytes=5-", **{"If-Range": before.headers["ETag"]})

    assert 200 == response.status_code
    assert [{"n": 2}, {"n": 3}] == json.loads(gzip.decompress(response.content))
    assert before.headers["ETag"] != response.headers["ETag"]


@pytest.mark.parametrize(
    ("range", "status"),
    [("bytes=9999-", 416), ("bytes=-5", 200), ("bytes=0-1,3-4", 200), ("lines=1-", 200), ("x", 200)],
)
def test_other_ranges_are_refused_or_ignored(emulator: Emulator, range: str, status: int) -> None:
    """What stands behind the end is refused; a server may ignore what it does not know."""
    emulator.bundles = [day(0)]
    emulator.ranges = True

    response = partial(emulator, Range=range)

    assert status == response.status_code
    assert status == 200 or response.headers["Content-Range"].startswith("bytes */")


def test_requests_of_one_connection_can_be_told() -> None:
    """Nobody could see whether a client keeps its connection."""
    with Emulator() as emulator, requests.Session() as session:
        for _ in range(2):
            session.get(emulator.url + ME, timeout=10)
        requests.get(emulator.url + ME, timeout=10)

    first, second, third = (request.peer for request in emulator.requests)
    assert first == second != third


def test_an_idle_connection_is_closed_when_its_time_is_over() -> None:
    """A client would never meet a connection that the server has closed meanwhile."""
    with Emulator(keep_alive=0.1) as emulator:
        connection = HTTPConnection("127.0.0.1", emulator.port, timeout=10)
        connection.request("GET", ME)
        connection.getresponse().read()
        assert b"" == connection.sock.recv(1)
        connection.close()


def test_it_speaks_https() -> None:
    """What a client does about certificates could not be tested."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    with Emulator(tls=context) as emulator:
        assert emulator.url.startswith("https://127.0.0.1:")
        connection = HTTPSConnection("127.0.0.1", emulator.port, timeout=10, context=trusting)
        connection.request("GET", ME)
        assert 401 == connection.getresponse().status
        connection.close()
