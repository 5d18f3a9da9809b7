"""Transfers that break, bundles that are damaged, servers that answer something else."""

import gzip
import json
import socket
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, LIST, Tap, bundle, event

pytestmark = pytest.mark.only_source("data_export")

TEXT = json.dumps([event(100 + i, FIRST + DAY + 60) for i in range(200)]).encode()
ONCE: dict[str, dict[str, Any]] = {
    "cut": {"cut_at": 100},
    "cut at once": {"cut_at": 0},
    "reset": {"cut_at": 100, "reset": True},
    "reset before the answer": {"reset": True},
    "short": {"truncate_at": 500},
    "wrong checksum": {"wrong_crc": True},
    "wrong length": {"wrong_length": True},
    "no bracket": {"drop_bracket": True},
    "flipped byte": {"corrupt_at": -100},
    "empty": {"empty": True},
    "login page": {"html": True},
    "stall": {"stall_after": 50, "stall_for": 20},
    "not an array": {"raw": b'{"message": "try later"}'},
    "garbage behind": {"raw": gzip.compress(TEXT + b"x")},
    "second array": {"raw": gzip.compress(TEXT + b"[]")},
    "garbage within": {"raw": gzip.compress(TEXT[:5000] + b'"' + TEXT[5000:])},
    "no objects": {"raw": b'[1, "x", null]'},
    "comma at the end": {"raw": TEXT[:-1] + b",]"},
    "bytes behind gzip": {"raw": gzip.compress(TEXT) + b"garbage"},
    "not found": {"status": 404},
    "server error": {"status": 500},
    "bad gateway": {"status": 502},
    "unavailable": {"status": 503},
    "request timeout": {"status": 408},
}


@pytest.mark.long
def test_each_failure_costs_time_not_data(run_tap: Tap, emulator: Emulator) -> None:
    """A passing disturbance would end the run, or damage what is written."""
    with_text = Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=TEXT)
    expected = [0, 1, 2, *range(100, 300), 200, 201, 202]
    names = list(ONCE)
    emulators, options = [], []
    try:
        for name in names:
            one = Emulator(bundles=[bundle(0), with_text, bundle(2)]).start()
            one.faults = [Fault(GET, match={"id": str(with_text.id)}, **ONCE[name])]
            emulators.append(one)
            settings = {"api_url": one.url, "export_url": one.url, "request_timeout": 1, "retry_timeout": 20}
            options.append({"settings": settings})
        runs = run_tap.all(options, at_once=8)
    finally:
        for one in emulators:
            one.stop()

    for name, one, run in zip(names, emulators, runs, strict=True):
        assert 0 == run.status, (name, run.stderr)
        assert expected == run.numbers(), name
        assert 4 == one.count(GET), name
    assert [] == run_tap.waiting()


ALWAYS: dict[str, tuple[dict[str, Any], int]] = {
    "wrong checksum": ({"wrong_crc": True}, 65),
    "no bracket": ({"drop_bracket": True}, 65),
    "login page": ({"html": True}, 65),
    "garbage within": ({"raw": gzip.compress(TEXT[:5000] + b'"' + TEXT[5000:])}, 65),
    "not found": ({"status": 404}, 65),
    "server error": ({"status": 500}, 69),
    "cut": ({"cut_at": 100}, 69),
    "reset": ({"reset": True}, 69),
    "unauthorized": ({"status": 401}, 77),
    "forbidden": ({"status": 403}, 77),
    "bad request": ({"status": 400}, 78),
}


@pytest.mark.long
def test_a_failure_that_stays_ends_the_run_with_what_came_before(run_tap: Tap, emulator: Emulator) -> None:
    """People would not learn which bundle is broken and what to do, or half of it would be in the warehouse."""
    broken = Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=TEXT)
    emulator.bundles = [bundle(0), broken, bundle(2)]
    options, emulators = [], []
    for fault, _ in ALWAYS.values():
        one = Emulator(bundles=emulator.bundles).start()
        one.faults = [Fault(GET, match={"id": str(broken.id)}, times=None, **fault)]
        emulators.append(one)
        options.append({"settings": {"api_url": one.url, "export_url": one.url, "retry_timeout": 0.3}})
    runs = run_tap.all(options)
    for (name, (_, status)), one, run in zip(ALWAYS.items(), emulators, runs, strict=True):
        one.stop()
        assert status == run.status, (name, run.stderr)
        assert [0, 1, 2] == run.numbers(), name
        assert [emulator.bundles[0].id] == run.bookmark["done"]
        assert 1 == sum(line.startswith(("CRITICAL", "ERROR")) for line in run.said), name
        assert "2023-11-16T00:00:00Z" == run.bookmark["until"]
        if status == 65:
            assert str(broken.id) in run.last_line, name
            assert "skip_bundles" in run.last_line, name
        if status in (77, 78):
            assert 2 == one.count(GET), name
        if status == 77:
            assert "api_key" in run.last_line
    assert [] == run_tap.waiting()

    skipping = run_tap(settings={"skip_bundles": [broken.id]})
    assert (0, [0, 1, 2, 200, 201, 202]) == (skipping.status, skipping.numbers())
    assert str(broken.id) in skipping.last_line
    assert "2023-11-18T00:00:00Z" == skipping.bookmark["until"]
    assert str(broken.id) in run_tap(settings={"skip_bundles": [str(broken.id)]}).stderr


@pytest.mark.parametrize("encoding", ["file", "transport", "plain", "double"])
def test_all_ways_of_compression_bring_the_same(run_tap: Tap, emulator: Emulator, encoding: Any) -> None:
    """Three generations of the API send bundles differently: the tap would read only one of them."""
    emulator.bundles = [bundle(0), bundle(1, 0), bundle(2, 300)]
    emulator.encoding = encoding

    for emulator.chunked in (False, True):
        run = run_tap()
        assert (0, [0, 1, 2, *range(200, 500)]) == (run.status, run.numbers())


@pytest.mark.parametrize("encoding", ["transport", "plain", "double"])
def test_a_transfer_without_length_that_is_cut_is_noticed(run_tap: Tap, emulator: Emulator, encoding: Any) -> None:
    """The end of a bundle would be missing when a proxy hides that the connection broke."""
    emulator.bundles = [bundle(0, 200)]
    emulator.encoding = encoding
    emulator.faults = [Fault(GET, truncate_at=300)]

    run = run_tap(settings={"retry_timeout": 10})

    assert (0, [*range(200)]) == (run.status, run.numbers())
    assert 2 == emulator.count(GET)


def test_a_gzip_file_in_several_parts_is_read_whole(run_tap: Tap, emulator: Emulator) -> None:
    """Files that were put together from parts would end after the first."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY)]
    middle = len(TEXT) // 2
    parts = gzip.compress(TEXT[:middle]) + gzip.compress(b"") + gzip.compress(TEXT[middle:])
    emulator.faults = [Fault(GET, raw=parts)]

    run = run_tap(settings={"checkpoint_records": 50})

    assert (0, [*range(100, 300)]) == (run.status, run.numbers())
    again = run_tap(state=run.states[1])
    assert 0 == again.status


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.mark.long
def test_hosts_that_cannot_be_reached_end_with_69(run_tap: Tap, emulator: Emulator) -> None:
    """A scheduler could not tell that trying again later helps."""
    for url in (
        f"http://127.0.0.1:{free_port()}",
        "https://export.nowhere.invalid",
        f"https://127.0.0.1:{emulator.port}",
    ):
        run = run_tap(settings={"export_url": url, "retry_timeout": 0.5})
        assert 69 == run.status, (url, run.stderr)
        assert [] == run.records()
        assert url.split("//")[1] in run.last_line
        assert len(run.said) < 8
    assert [] == emulator.requests


LISTS = {400: 78, 401: 77, 403: 77, 404: 78, 500: 69, 503: 69}


@pytest.mark.long
def test_refusals_of_the_list_are_told_apart(run_tap: Tap, emulator: Emulator) -> None:
    """People would look for the key when the add-on is missing, or wait when the key is wrong."""
    emulator.bundles = [bundle(0)]
    emulators = [Emulator(faults=[Fault(LIST, status=status, times=None)]).start() for status in LISTS]
    runs = run_tap.all({"settings": {"export_url": one.url, "retry_timeout": 0.3}} for one in emulators)
    for (status, expected), one, run in zip(LISTS.items(), emulators, runs, strict=True):
        one.stop()
        assert (expected, []) == (run.status, run.records()), status
        assert str(status) in run.last_line
        if status in (403, 404):
            assert "events_source" in run.last_line and "segment_export" in run.last_line
        if status < 500:
            assert 1 == one.count(LIST)
        if status in (401, 403):
            assert "api_key" in run.last_line
    emulator.faults = [Fault(LIST, status=502, times=2)]
    assert (0, [0, 1, 2]) == ((run := run_tap(settings={"retry_timeout": 20})).status, run.numbers())


def test_a_key_without_the_permission_ends_with_77(run_tap: Tap, emulator: Emulator) -> None:
    """A key of the wrong role would look like an empty account."""
    emulator.bundles = [bundle(0)]
    emulator.role = "USER"

    run = run_tap()

    assert (77, []) == (run.status, run.records())
    assert "api_key" in run.last_line


def test_a_redirect_on_the_same_host_is_followed_or_refused_but_not_a_bug(run_tap: Tap, emulator: Emulator) -> None:
    """A server that moved would end the tap with a traceback, or keep it running in circles."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(LIST, redirect=emulator.url + LIST, times=None)]

    run = run_tap(settings={"retry_timeout": 0.3})

    assert run.status in (65, 69, 78)
    assert emulator.count(LIST) < 100


@pytest.mark.parametrize("location", ["http://[::1/x", "https://host:port/x"])
def test_a_redirect_to_what_is_no_url_is_said(run_tap: Tap, emulator: Emulator, location: str) -> None:
    """One broken answer of a proxy would end the run with the traceback of a bug."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, redirect=location)]

    mended = run_tap()
    emulator.faults = [Fault(GET, redirect=location, times=None)]
    lasting = run_tap(settings={"retry_timeout": 0})

    assert (0, [0, 1, 2]) == (mended.status, mended.numbers())
    assert (65, []) == (lasting.status, lasting.numbers())
