"""`--suggest-columns` finds out which custom variables an account has."""

import json
import signal
import time
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, TIMEOUT, Json, Tap, bundle, event, rfc
from tests.integration.test_resume import MANY, crash, safe, wait_for

pytestmark = pytest.mark.only_source("data_export")

SECRET = "Jane Doe <jane.doe@example.com> 0171-5550123"  # what a visitor typed
TODAY = int(time.time()) // DAY * DAY


def suggested(run_tap: Tap, **options: Any) -> tuple[int, str, str]:
    """Exit status, what was printed, and what was logged."""
    done = run_tap.bare(run_tap.command("--suggest-columns", **options)[3:])
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def custom_bundle(day: int, **members: Any) -> Bundle:
    """A bundle of some days ago, with these custom variables on two of its three events."""
    start = TODAY - day * DAY
    events = [event(1, start), event(2, start, **members), event(3, start, **members)]
    return Bundle(start, start + DAY, events)


def test_the_list_can_be_pasted_as_it_is(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody who wants columns would have to find out every name, type and spelling alone."""
    emulator.bundles = [
        custom_bundle(4, evt_old_str="x"),
        custom_bundle(3, **{"evt_order.total_real": 24.5, "user_name_str": SECRET, "user_tags_strs": [SECRET]}),
    ]

    status, printed, log = suggested(run_tap)
    entries: list[Json] = json.loads(printed)

    assert 0 == status
    assert [
        ("evt_order.total_real", "evt_order_total_real", "number", 2, "99.9"),
        ("user_name_str", "user_name_str", "string", 2, "Xxxx Xxx <xxxx.xxx@xxxxxxx.xxx> 9999-999…"),
        ("user_tags_strs", "user_tags_strs", "JSON text", 2, '["Xxxx Xxx <xxxx.xxx@xxxxxxx.xxx> 9999-9…'),
    ] == [tuple(one.values()) for one in entries]
    assert ["name", "column", "type", "events", "example"] == list(entries[0])
    newest = emulator.bundles[1]
    assert str(newest.id) in log and rfc(newest.start) in log and "3 events" in log
    (request,) = [one for one in emulator.requests if one.path == GET]
    assert " bytes of download" in log
    assert str(newest.id) == request.query["id"]
    assert "Jane" not in printed + log and "0171" not in printed + log
    assert [] == run_tap.waiting()

    run = run_tap(settings={"custom_columns": entries, "start_date": rfc(newest.start)})

    assert (0, [24.5, 24.5]) == (run.status, [one["evt_order_total_real"] for one in run.records()[1:]])
    assert [None] * 3 == [run.custom(index) for index in range(3)]
    again = suggested(run_tap, settings={"custom_columns": entries})
    assert entries == json.loads(again[1])


def test_an_empty_bundle_says_nothing_so_an_older_one_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """An account with a bundle every half hour would hear at night that it has no custom variables."""
    empty = [Bundle(TODAY - day * DAY, TODAY - (day - 1) * DAY) for day in (4, 3)]
    emulator.bundles = [custom_bundle(5, evt_a_str="x"), *empty]

    status, printed, log = suggested(run_tap)

    assert (0, ["evt_a_str"]) == (status, [one["name"] for one in json.loads(printed)])
    assert 3 == emulator.count(GET)
    assert all(str(one.id) in log for one in emulator.bundles)


def test_an_account_without_bundles_gets_an_empty_list(run_tap: Tap, emulator: Emulator) -> None:
    """A new account would see a traceback, or a list that is no JSON."""
    status, printed, log = suggested(run_tap)
    kept = suggested(run_tap, settings={"custom_columns": ["a_str"]})

    assert (0, []) == (status, json.loads(printed))
    assert "WARNING" in log
    assert [{"name": "a_str", "column": "a_str", "type": "string", "events": 0}] == json.loads(kept[1])


def test_an_old_bundle_is_better_than_none(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody whose account was quiet for a year would get no list."""
    emulator.bundles = [bundle(0), Bundle(FIRST + DAY, FIRST + 2 * DAY, [event(1, FIRST + DAY, evt_a_str="x")])]

    status, printed, _ = suggested(run_tap)

    assert (0, ["evt_a_str"]) == (status, [one["name"] for one in json.loads(printed)])


@pytest.mark.parametrize(
    "fault, status",
    [
        (Fault(GET, status=401, times=None), 77),
        (Fault(GET, status=403, times=None), 77),
        (Fault(GET, status=500, times=None), 69),
        (Fault(GET, drop_bracket=True, times=None), 65),
    ],
)
def test_what_goes_wrong_ends_as_in_a_sync(run_tap: Tap, emulator: Emulator, fault: Fault, status: int) -> None:
    """Somebody would be told of a bug of the tap, or get half a list."""
    emulator.bundles = [custom_bundle(3, evt_a_str="x")]
    emulator.faults = [fault]

    found = suggested(run_tap, settings={"retry_timeout": 0.1})

    assert (status, "") == found[:2]
    assert [] == run_tap.waiting()


def test_wrong_settings_are_named_and_none_is_a_wrong_command_line(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody would wait for a download before a mistake shows."""
    wrong = suggested(run_tap, settings={"custom_columns": [5]})
    none = run_tap.bare(["--suggest-columns"])

    assert (78, "") == wrong[:2] and "custom_columns" in wrong[2]
    assert (2, b"") == (none.returncode, none.stdout)
    assert [] == emulator.requests


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("fault", [{"delay": 60}, {"stall_after": 5, "stall_for": 60}])
def test_a_signal_ends_it_and_leaves_no_file(
    run_tap: Tap, emulator: Emulator, number: int, status: int, fault: dict[str, float]
) -> None:
    """Half a bundle of visitors' data would stay on the disk of whoever was impatient."""
    emulator.bundles = [custom_bundle(3, evt_a_str="x")]
    emulator.faults = [Fault(GET, times=None, **fault)]  # type: ignore[arg-type]
    process = run_tap.start("--suggest-columns", settings={"request_timeout": 100})
    wait_for(lambda: emulator.count(GET))
    begin = time.monotonic()
    process.send_signal(number)
    printed, log = process.communicate(timeout=TIMEOUT)

    assert (status, b"") == (process.returncode, printed)
    assert time.monotonic() - begin < 5
    assert b"Traceback" not in log
    assert [] == run_tap.waiting()


def test_the_file_of_a_killed_sync_stays(run_tap: Tap, emulator: Emulator) -> None:
    """A look at the columns would cost the sync its place: it would have to download gigabytes once more."""
    text = b'{"EventStart":"2023-11-15T00:01:00Z","UserId":%d,"evt_a_str":"' + b"x" * 300 + b'"}'
    texts = [text % number for number in range(MANY)]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, texts)]
    crashed = crash(run_tap)
    left = run_tap.waiting()

    status, printed, _ = suggested(run_tap)
    rest = run_tap(state=crashed.states[-1])

    assert (0, MANY) == (status, json.loads(printed)[0]["events"])
    assert left
    assert (0, [*range(MANY)]) == (rest.status, safe(crashed) + rest.numbers())
    assert 1 == emulator.count(GET)
