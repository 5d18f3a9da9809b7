"""Retry-After, and waits where the server gives no time."""

import time
from datetime import timedelta
from email.utils import format_datetime
from itertools import pairwise

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import GET, LIST, Tap, bundle, utc_now

pytestmark = pytest.mark.only_source("data_export")

SLACK = 1.5  # seconds that may pass beyond what the server said


def gaps(emulator: Emulator, path: str) -> list[float]:
    """Seconds between requests to this path."""
    at = [request.at for request in emulator.requests if request.path == path]
    return [later - earlier for earlier, later in pairwise(at)]


@pytest.mark.long
def test_retry_after_is_obeyed_exactly_and_not_counted(run_tap: Tap, emulator: Emulator) -> None:
    """The tap would be refused again and again, give up in the middle, or waste minutes."""
    emulator.bundles = [bundle(0), bundle(1), bundle(2)]
    told = Fault(GET, status=429, headers={"Retry-After": "2"}, times=2)
    emulator.faults = [told, Fault(LIST, status=429, headers={"Retry-After": "1"})]

    run = run_tap(settings={"retry_timeout": 0.5, "prefetch": 3})

    assert (0, [0, 1, 2, 100, 101, 102, 200, 201, 202]) == (run.status, run.numbers())
    assert 5 == emulator.count(GET)  # one request when the time has come, not one for each bundle that waits
    first, second, *_ = gaps(emulator, GET)
    assert 2 <= first <= 2 + SLACK and 2 <= second <= 2 + SLACK
    assert 1 <= gaps(emulator, LIST)[0] <= 1 + SLACK
    assert any(" 5 s" in line or "5." in line for line in run.said[-1:])


@pytest.mark.long
def test_a_date_is_obeyed(run_tap: Tap, emulator: Emulator) -> None:
    """A date instead of seconds would be taken for nothing, or for a wait without end."""
    emulator.bundles = [bundle(0)]
    until = utc_now().replace(microsecond=0) + timedelta(seconds=3)
    past = utc_now() - timedelta(days=400)
    emulator.faults = [
        Fault(GET, status=429, headers={"Retry-After": format_datetime(until, usegmt=True)}),
        Fault(GET, status=429, headers={"Retry-After": format_datetime(past, usegmt=True)}),
    ]
    offset = time.time() - time.monotonic()

    run = run_tap(settings={"retry_timeout": 2})

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    at = [request.at + offset for request in emulator.requests if request.path == GET]
    assert 3 == len(at)
    assert until.timestamp() <= at[1] <= until.timestamp() + SLACK


@pytest.mark.parametrize("value", [None, "soon", "nan", "inf", "-5", "Fri, 99 Foo 2024 00:00:00 GMT"])
def test_without_a_time_waits_grow_and_are_counted(run_tap: Tap, emulator: Emulator, value: "str | None") -> None:
    """A server that says no and not until when would be asked in a loop, or for ever."""
    emulator.bundles = [bundle(0)]
    headers = None if value is None else {"Retry-After": value}
    emulator.faults = [Fault(GET, status=429, headers=headers, times=None)]

    run = run_tap(settings={"retry_timeout": 1.2})

    assert (75, []) == (run.status, run.records())
    assert 2 <= emulator.count(GET) <= 4
    assert 0.9 <= gaps(emulator, GET)[0] <= 1 + SLACK


@pytest.mark.long
def test_without_a_time_the_second_wait_is_twice_the_first(run_tap: Tap, emulator: Emulator) -> None:
    """A tired server would get the same load from all taps at once."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, status=429, times=2)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    first, second = gaps(emulator, GET)
    assert 1 <= first <= 1 + SLACK
    assert 2 <= second <= 2 + SLACK


@pytest.mark.parametrize("value", ["3601", "99999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_more_than_an_hour_ends_the_run_at_once(run_tap: Tap, emulator: Emulator, value: str) -> None:
    """A job would hang for days instead of saying when to come back."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.faults = [Fault(GET, status=429, headers={"Retry-After": value}, times=None, skip=1)]
    begin = time.monotonic()

    run = run_tap(settings={"retry_timeout": 4})

    assert (75, [0, 1, 2]) == (run.status, run.numbers())
    assert time.monotonic() - begin < 10
    assert 2 == emulator.count(GET)
    assert "2023-11-16T00:00:00Z" == run.bookmark["until"]


@pytest.mark.long
def test_503_with_retry_after_is_obeyed_and_counted(run_tap: Tap, emulator: Emulator) -> None:
    """A server under maintenance would be asked too early, or for ever."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, status=503, headers={"Retry-After": "2"})]
    run = run_tap(settings={"retry_timeout": 20})
    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    assert 2 <= gaps(emulator, GET)[0] <= 2 + SLACK

    emulator.faults = [Fault(GET, status=503, headers={"Retry-After": "5"}, times=None)]
    before = emulator.count(GET)
    ended = run_tap(settings={"retry_timeout": 1})
    assert ended.status in (69, 75)
    assert before + 1 == emulator.count(GET)


@pytest.mark.long
def test_the_limit_of_downloads_costs_no_more_than_it_must(run_tap: Tap, emulator: Emulator) -> None:
    """A backfill would take longer than Fullstory's own limit dictates, or annoy it with useless requests."""
    emulator.rate_limit = (2, 2.0)
    emulator.bundles = [bundle(day) for day in range(10)]

    run = run_tap()

    assert (0, 30) == (run.status, len(run.records()))
    at = [request.at for request in emulator.requests if request.path == GET]
    assert at[-1] - at[0] <= 4 * 2.0 * 1.03 + 1
    refused = sum(request.status == 429 for request in emulator.requests)
    assert 10 + refused == len(at)
    assert refused <= 5


@pytest.mark.parametrize("value", ["0", "Sat, 01 Jan 2000 00:00:00 GMT"])
@pytest.mark.long
def test_a_503_that_names_no_time_to_wait_is_no_reason_to_hurry(run_tap: Tap, emulator: Emulator, value: str) -> None:
    """A server in trouble would get hundreds of requests a second."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(GET, status=503, headers={"Retry-After": value}, times=None)]

    run = run_tap(settings={"retry_timeout": 2})

    assert run.status in (69, 75)
    assert emulator.count(GET) <= 4


def test_a_list_that_is_not_as_documented_is_asked_for_again(run_tap: Tap, emulator: Emulator) -> None:
    """One bad answer of a proxy would end a night's run."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(LIST, raw=b'{"message": "try later"}')]

    run = run_tap()

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
