"""Everything that can go wrong on the wire, as a client sees it."""

from __future__ import annotations

import gzip
import http.client
import json
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from fullstory_emulator import Bundle, Course, Emulator, Fault, Prepared

ME, LIST, GET = "/me", "/api/v1/export/list", "/api/v1/export/get"
BUNDLE = Bundle(1_700_006_400, 1_700_092_800, [{"EventType": "click", "n": n} for n in range(100)])


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(bundles=[BUNDLE]) as emulator:
        yield emulator


def download(emulator: Emulator, path: str = GET, **options: Any) -> requests.Response:
    options = {"timeout": 5, "allow_redirects": False, **options}
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.get(emulator.url + path, params={"id": BUNDLE.id}, headers=headers, **options)


def body_of(emulator: Emulator) -> bytes:
    return download(emulator).content


def is_whole(body: bytes) -> bool:
    return len(json.loads(gzip.decompress(body))) == 100


def test_a_fault_is_used_as_often_as_told_and_then_gone(emulator: Emulator) -> None:
    """One bad answer and then a good one is what retries are tested with."""
    emulator.faults = [Fault(GET, status=500), Fault(GET, times=2, status=502)]
    assert [500, 502, 502, 200] == [download(emulator).status_code for _ in range(4)]

    emulator.faults = [Fault(GET, times=None, status=503)]
    assert {503} == {download(emulator).status_code for _ in range(5)}


def test_a_fault_hits_only_the_requests_it_names(emulator: Emulator) -> None:
    """Path, query and number of the request choose."""
    emulator.faults = [
        Fault(GET, status=500, match={"id": "1"}),
        Fault(GET, status=502, skip=2),
        Fault(ME, status=504),
    ]
    assert [200, 200, 502, 200] == [download(emulator).status_code for _ in range(4)]
    assert [504, 200] == [download(emulator, ME).status_code for _ in range(2)]
    assert [0, 1, 1] == [fault.used for fault in emulator.faults]

    emulator.faults = [Fault(GET, status=500, match={"id": str(BUNDLE.id)}), Fault(None, status=503)]
    assert [503, 500, 200] == [download(emulator, path).status_code for path in (ME, GET, GET)]


def test_the_first_fault_that_applies_is_used_alone(emulator: Emulator) -> None:
    """A list of faults is a script, one request after the other."""
    emulator.faults = [Fault(GET, status=500), Fault(GET, status=502, skip=1)]
    assert [500, 200, 502, 200] == [download(emulator).status_code for _ in range(4)]


def test_a_status_comes_with_headers_and_body(emulator: Emulator) -> None:
    """429 and 503 carry Retry-After, and a proxy's page is not JSON."""
    emulator.faults = [Fault(GET, status=503, headers={"Retry-After": "7"}, body="<h1>Busy</h1>")]
    response = download(emulator)
    assert (503, "7", "<h1>Busy</h1>") == (response.status_code, response.headers["Retry-After"], response.text)


def test_headers_alone_change_the_usual_answer(emulator: Emulator) -> None:
    """A wrong content type must not mislead a client that looks at the bytes."""
    emulator.faults = [Fault(GET, headers={"content-type": "text/plain", "Content-Disposition": None})]
    response = download(emulator)
    assert "text/plain" == response.headers["Content-Type"]
    assert "Content-Disposition" not in response.headers
    assert is_whole(response.content)


def test_answers_can_be_replaced(emulator: Emulator) -> None:
    """A login page, nothing at all, given bytes, a redirection: none of them is a bundle."""
    emulator.faults = [
        Fault(GET, html=True),
        Fault(GET, empty=True),
        Fault(GET, raw=b"\x1f\x8bnonsense"),
        Fault(GET, redirect="http://127.0.0.1:9/elsewhere"),
    ]
    page = download(emulator)
    assert 200 == page.status_code
    assert page.headers["Content-Type"].startswith("text/html")
    assert "Log in" in page.text
    nothing = download(emulator)
    assert (200, b"") == (nothing.status_code, nothing.content)
    assert b"\x1f\x8bnonsense" == download(emulator).content
    elsewhere = download(emulator)
    assert (302, "http://127.0.0.1:9/elsewhere") == (elsewhere.status_code, elsewhere.headers["Location"])


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("cut_at", [0, 10])
def test_a_cut_connection_ends_in_the_middle(emulator: Emulator, chunked: bool, cut_at: int) -> None:
    """The client gets exactly so many bytes, and can know that some are missing."""
    emulator.chunked = chunked
    emulator.faults = [Fault(GET, cut_at=cut_at)]
    connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=5)
    connection.request("GET", f"{GET}?id={BUNDLE.id}", headers={"Authorization": f"Basic {emulator.api_key}"})
    response = connection.getresponse()

    assert 200 == response.status
    with pytest.raises(http.client.IncompleteRead) as caught:
        response.read()
    if not chunked:  # with chunks the standard client forgets what it had
        assert cut_at == len(caught.value.partial)
    connection.close()
    assert is_whole(body_of(emulator))


def test_a_reset_leaves_no_answer(emulator: Emulator) -> None:
    """The hard way to lose a connection: before the status line, or within the body."""
    emulator.faults = [Fault(GET, reset=True), Fault(GET, reset=True, cut_at=10)]
    with pytest.raises(requests.ConnectionError, match="reset"):
        download(emulator)
    assert emulator.requests[-1].status is None
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError), match="reset"):
        download(emulator)
    assert 200 == emulator.requests[-1].status


def test_a_truncated_body_looks_complete(emulator: Emulator) -> None:
    """Content-Length agrees with the short body, so only the content tells."""
    emulator.faults = [Fault(GET, truncate_at=30)]
    response = download(emulator)
    assert "30" == response.headers["Content-Length"]
    assert 30 == len(response.content)
    with pytest.raises(EOFError):
        gzip.decompress(response.content)


def test_one_byte_can_be_flipped(emulator: Emulator) -> None:
    """Exactly one, at the given offset, from either end."""
    good = body_of(emulator)
    for at in (20, -3):
        emulator.faults = [Fault(GET, corrupt_at=at)]
        bad = body_of(emulator)
        assert [at % len(good)] == [n for n in range(len(good)) if good[n] != bad[n]]
        with pytest.raises((OSError, zlib.error)):
            gzip.decompress(bad)


@pytest.mark.parametrize("encoding", ["file", "transport", "double"])
@pytest.mark.parametrize(("fault", "message"), [("wrong_crc", "CRC"), ("wrong_length", "length")])
def test_the_gzip_trailer_can_be_wrong(emulator: Emulator, encoding: Any, fault: str, message: str) -> None:
    """All events are there; only the checksum or the length says that something is not right."""
    emulator.encoding = encoding
    emulator.faults = [Fault(GET, wrong_crc=fault == "wrong_crc", wrong_length=fault == "wrong_length")]
    with download(emulator, stream=True) as response:
        body = response.raw.read(decode_content=False)
    if encoding == "double":
        body = gzip.decompress(body)
    assert is_whole(body[:-8] + gzip_trailer(BUNDLE))
    with pytest.raises(gzip.BadGzipFile, match=message):
        gzip.decompress(body)


def gzip_trailer(bundle: Bundle) -> bytes:
    text = b"".join(bundle.read_text())
    return zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")


@pytest.mark.parametrize("encoding", ["file", "plain"])
def test_the_closing_bracket_can_be_missing(emulator: Emulator, encoding: Any) -> None:
    """A complete gzip file may hold incomplete JSON."""
    emulator.encoding = encoding
    emulator.faults = [Fault(GET, drop_bracket=True)]
    body = body_of(emulator)
    text = gzip.decompress(body) if encoding == "file" else body
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)
    assert 100 == len(json.loads(text + b"]"))


def test_a_fault_may_count_from_the_end(emulator: Emulator) -> None:
    """Whoever wants to lose just the last byte does not know how many there are."""
    size = len(body_of(emulator))
    emulator.faults = [Fault(GET, truncate_at=-1), Fault(GET, cut_at=-1)]
    assert size - 1 == len(body_of(emulator))
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match=rf"{size - 1} bytes read, 1 more"):
        download(emulator)


def test_the_list_can_be_spoiled_as_a_bundle_can(emulator: Emulator) -> None:
    """A list may arrive compressed, compressed and damaged, or without its end."""
    whole = download(emulator, LIST).json()
    emulator.faults = [Fault(LIST, gzip=True), Fault(LIST, wrong_crc=True), Fault(LIST, drop_bracket=True)]
    packed = download(emulator, LIST)
    assert ("gzip", whole) == (packed.headers["Content-Encoding"], packed.json())
    with pytest.raises(requests.exceptions.ContentDecodingError):
        download(emulator, LIST)
    assert whole == json.loads(download(emulator, LIST).text + "]}")


def test_a_fault_may_name_the_beginning_of_a_path_and_a_method(emulator: Emulator) -> None:
    """Ids are in paths; and one path may mean two things."""
    emulator.faults = [Fault("/api/v1/*", status=500), Fault(GET, method="POST", status=502), Fault("*", status=503)]
    assert [500, 503, 200] == [download(emulator, path).status_code for path in (LIST, ME, ME)]
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    assert 200 == download(emulator).status_code
    assert 502 == requests.post(emulator.url + GET, json={"id": BUNDLE.id}, headers=headers, timeout=5).status_code


def test_members_of_an_answer_can_be_others_or_missing(emulator: Emulator) -> None:
    """Every answer that is an object; and nothing else."""
    emulator.faults = [
        Fault(ME, change={"role": None, "more": [1]}, without=["orgId", "nothing"]),
        Fault(LIST, change={"exports": "none"}, status=None),
        Fault(GET, change={"n": 1}),
        Fault("/operations/v1/x", change={"code": "gone"}),
    ]
    assert {"email": "owner@example.com", "role": None, "more": [1]} == download(emulator, ME).json()
    assert {"exports": "none"} == download(emulator, LIST).json()
    assert is_whole(body_of(emulator))
    missing = download(emulator, "/operations/v1/x")
    assert (404, "gone") == (missing.status_code, missing.json()["code"])


TEXT = b"".join(BUNDLE.read_text())
LINES = b"".join(b'{"EventType":"click","n":%d}\n' % n for n in range(100))


@pytest.fixture(params=["bundle", "lines", "prepared"])
def file(request: pytest.FixtureRequest, emulator: Emulator) -> tuple[str, bytes, dict[str, str]]:
    """The URL of a file, its text, and the headers it needs: faults are the same for bundles and exports."""
    key = {"Authorization": f"Basic {emulator.api_key}"}
    if request.param == "bundle":
        return f"{emulator.url}{GET}?id={BUNDLE.id}", TEXT, key
    if request.param == "prepared":
        prepared = Bundle(0, 1800, source=Prepared(TEXT[1:-2], 1))
        emulator.bundles = [prepared]
        return f"{emulator.url}{GET}?id={prepared.id}", TEXT, key
    emulator.course = Course(polls=0)
    body = {
        "segmentId": "everyone",
        "type": "TYPE_EVENT",
        "format": "FORMAT_NDJSON",
        "timeRange": {"start": "", "end": ""},
        "segmentTimeRange": {"start": "", "end": ""},
    }
    created = requests.post(f"{emulator.url}/segments/v1/exports", json=body, headers=key, timeout=5).json()
    status = requests.get(f"{emulator.url}/operations/v1/{created['operationId']}", headers=key, timeout=5).json()
    results = f"{emulator.url}/search/v1/exports/{status['results']['searchExportId']}/results"
    return requests.get(results, headers=key, timeout=5).json()["location"], LINES, {}


File = tuple[str, bytes, dict[str, str]]


def spoiled(emulator: Emulator, file: File, **fault: Any) -> bytes:
    url, _, headers = file
    emulator.faults = [Fault("/api/v1/export/get", **fault), Fault("/fullstoryapp-search-export/*", **fault)]
    return requests.get(url, headers=headers, timeout=5).content


@pytest.mark.parametrize(
    ("fault", "change"),
    [
        ("blank_lines", lambda text: text.replace(b"\n", b"\n\n")),
        ("blank_end", lambda text: text + b"\n"),
        ("crlf", lambda text: text.replace(b"\n", b"\r\n")),
        ("bom", lambda text: b"\xef\xbb\xbf" + text),
        ("drop_newline", lambda text: text[:-1]),
        ("drop_bracket", lambda text: text.rstrip(b"]\n") if text.startswith(b"[") else text),
    ],
)
def test_the_text_of_a_file_can_be_spoiled(
    emulator: Emulator, file: File, fault: str, change: Callable[[bytes], bytes]
) -> None:
    """A whole gzip file, correct in every number, with another text inside."""
    assert change(file[1]) == gzip.decompress(spoiled(emulator, file, **{fault: True}))


def test_the_last_line_can_be_cut(emulator: Emulator, file: File) -> None:
    """All lines but one are good: who reads as far as it goes does not notice."""
    text = gzip.decompress(spoiled(emulator, file, cut_line=True))
    *_, last = file[1].splitlines()
    assert file[1].startswith(text)
    assert len(file[1]) - len(last) < len(text) + 1 < len(file[1]) - 10


def test_spoiled_texts_can_be_combined(emulator: Emulator, file: File) -> None:
    """One fault, several members."""
    text = gzip.decompress(spoiled(emulator, file, crlf=True, bom=True, blank_end=True))
    assert b"\xef\xbb\xbf" + (file[1] + b"\n").replace(b"\n", b"\r\n") == text


@pytest.mark.parametrize(
    "fault", [{"wrong_crc": True}, {"wrong_length": True}, {"truncate_at": -20}, {"corrupt_at": 40}, {"cut_at": -20}]
)
def test_the_bytes_of_a_file_can_be_spoiled(emulator: Emulator, file: File, fault: dict[str, Any]) -> None:
    """What happens to the bytes happens to all files alike."""
    with pytest.raises((gzip.BadGzipFile, EOFError, zlib.error, requests.RequestException)):
        gzip.decompress(spoiled(emulator, file, **fault))
    assert file[1] == gzip.decompress(spoiled(emulator, file, times=0))


def test_a_file_can_come_without_compression(emulator: Emulator, file: File) -> None:
    """A proxy may have unpacked it: who looks at the first bytes is well off."""
    assert file[1] == spoiled(emulator, file, not_zipped=True)


def test_exports_obey_ranges_as_bundles_do(emulator: Emulator, file: File) -> None:
    """A broken download can be continued, if the file is still the same."""
    emulator.ranges = True
    url, text, headers = file
    whole = requests.get(url, headers=headers, timeout=5)
    rest = requests.get(url, headers={**headers, "Range": "bytes=10-", "If-Range": whole.headers["ETag"]}, timeout=5)
    assert (206, text) == (rest.status_code, gzip.decompress(whole.content[:10] + rest.content))
    emulator.faults = [Fault(None, cut_at=10)]
    with pytest.raises(requests.RequestException):
        requests.get(url, headers=headers, timeout=5)


def test_an_answer_can_be_late(emulator: Emulator) -> None:
    """A client's timeout for the first byte has to be reached."""
    emulator.faults = [Fault(GET, delay=0.4), Fault(GET, delay=5)]
    begin = time.monotonic()
    assert is_whole(body_of(emulator))
    assert time.monotonic() - begin >= 0.4
    with pytest.raises(requests.ReadTimeout):
        download(emulator, timeout=0.2)


def test_a_body_can_stall(emulator: Emulator) -> None:
    """Silence within the body: some clients wait for ever; after it the rest arrives."""
    emulator.faults = [Fault(GET, stall_after=10, stall_for=0.3), Fault(GET, stall_after=10)]
    begin = time.monotonic()
    assert is_whole(body_of(emulator))
    assert time.monotonic() - begin >= 0.3
    with pytest.raises(requests.ConnectionError, match="timed out"):
        download(emulator, timeout=0.2)


def test_a_body_can_drip(emulator: Emulator) -> None:
    """A slow line: every byte arrives, in its time."""
    size = len(body_of(emulator))
    emulator.faults = [Fault(GET, drip=size / 0.4)]
    begin = time.monotonic()
    assert is_whole(body_of(emulator))
    assert 0.3 <= time.monotonic() - begin < 3


def test_stopping_does_not_wait_for_a_stalled_client() -> None:
    """A test that forgot a stalled connection must not hang at its end."""
    with Emulator(bundles=[BUNDLE], faults=[Fault(GET, stall_after=1, stall_for=60)]) as emulator:
        response = download(emulator, stream=True)
        begin = time.monotonic()
    assert time.monotonic() - begin < 2
    response.close()


def test_an_unknown_fault_is_an_error() -> None:
    """A misspelt fault must not pass as no fault."""
    with pytest.raises(TypeError):
        Fault(GET, cut_of=10)  # type: ignore[call-arg]
