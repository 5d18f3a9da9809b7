"""Events arrive in PostgreSQL as they are: all of them, once, value by value."""

import json
import signal
import subprocess
import threading
from typing import Any

import pytest

from demo.processes import stop
from fullstory_emulator import Bundle, Emulator, Fault, sample_bundles
from tests.end_to_end.expected import assert_same_rows, expected_rows, keyed_once
from tests.end_to_end.pipeline import TIMEOUT, Pipeline

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
BIGGEST = 2**63 - 1
EVENT: dict[str, Any] = {"EventStart": "2023-11-15T08:00:00.123Z", "EventType": "click"}


def events_of(*events: dict[str, Any]) -> list[dict[str, Any]]:
    """Complete events: what they do not say themselves is as in EVENT."""
    return [{**EVENT, **event} for event in events]


def generated(days: int, events: int) -> list[Bundle]:
    """Bundles of an invented account, one for each day from FIRST on."""
    shop = Emulator.generated(now=FIRST + (days + 1) * DAY, days=days, events_per_bundle=events)
    return [Bundle(one.start, one.stop, list(one.read_events())) for one in shop.bundles if one.start >= FIRST][:days]


@pytest.mark.proves("connectors", "events of Data Export")
def test_every_value_arrives(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """A value that changes on its way into the table is a wrong answer to somebody's question."""
    shop.bundles = generated(days=3, events=700)

    pipeline.run()

    assert 2100 == pipeline.count()
    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_real_events_arrive(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """Events that Fullstory really wrote are the measure, not those we invent."""
    shop.bundles = sample_bundles()

    pipeline.run()

    assert 144 == pipeline.count()
    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"UserId": BIGGEST, "SessionId": -BIGGEST - 1, "PageId": 2**53 + 1, "IndvId": 0}, id="64 bits"),
        pytest.param({"EventStart": "2023-11-15T09:30:00.123456789+05:30"}, id="zone and nanoseconds"),
        pytest.param({"EventStart": "2023-11-15T09:30:00"}, id="no zone"),
        pytest.param({"EventStart": "2023-11-15T09:30:00.5Z"}, id="half a second"),
        pytest.param({"EventTargetText": "NUL\0in the\0 middle\0"}, id="NUL"),
        pytest.param({"EventTargetText": "lone \ud83d surrogate"}, id="surrogate"),
        pytest.param({"EventTargetText": "\U0001f353 \u2028 \u202e \\ \" ' \r\n\t \x01 \x7f \ufeff"}, id="odd text"),
        pytest.param({"EventTargetText": ""}, id="empty text"),
        pytest.param({"EventTargetText": None, "UserId": None, "PageUrl": None}, id="null"),
        pytest.param({"PageUserAgent": "the newer name"}, id="page agent"),
        pytest.param({"PageUrl": "https://shop.example/" + "x" * 2**20}, id="a million characters"),
        pytest.param(
            {
                "evt_order.total_real": 0.1 + 0.2,
                "evt_small_real": 5e-324,
                "evt_tags_strs": ["a", None, "NUL\0"],
                "evt_nested": {"deep": [{"er": True}], "NUL\0": "\udc00"},
                "evt_null_str": None,
                "user_int": -(2**63),
                "A field of tomorrow": "x",
                "pagevar; drop table": False,
            },
            id="custom variables",
        ),
    ],
)
def test_awkward_values_arrive(
    pipeline: Pipeline, shop: Emulator, columns: dict[str, Any], event: dict[str, Any]
) -> None:
    """No value may stop the run, nor be changed more than PostgreSQL demands, nor hurt its neighbours."""
    shop.bundles = [Bundle(FIRST, FIRST + DAY, events_of({}, event, {}))]

    pipeline.run()

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_numbers_stay_the_same_double(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """A float that goes through text may come back as its neighbour."""
    names = [name for name, schema in columns.items() if "number" in schema["type"]]
    values = [0.1 + 0.2, 1 / 3, 5e-324, 1.7976931348623157e308, -0.5, 1e22, 123456789.123456789]
    shop.bundles = [Bundle(FIRST, FIRST + DAY, events_of(*({name: value} for name in names for value in values)))]

    pipeline.run()

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_second_run_adds_only_what_is_new(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """Rows of a table without a key that are loaded again are there twice."""
    bundles = generated(days=3, events=200)
    shop.bundles = bundles[:2]
    first = pipeline.run()
    shop.bundles = bundles

    second = pipeline.run(first.states[-1])
    third = pipeline.run(second.states[-1])

    assert second.states[-1] == third.states[-1]
    assert_same_rows(expected_rows(bundles, columns), pipeline.rows())


def test_empty_bundles_are_no_obstacle(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """A quiet day is normal: the run succeeds, and the next one starts behind it."""
    quiet = [Bundle(FIRST, FIRST + DAY, []), Bundle(FIRST + DAY, FIRST + 2 * DAY, [])]
    busy = Bundle(FIRST + 2 * DAY, FIRST + 3 * DAY, events_of({"EventStart": "2023-11-17T12:00:00Z"}))
    shop.bundles = quiet

    first = pipeline.run()
    assert 0 == pipeline.count()
    shop.bundles = [*quiet, busy]
    pipeline.run(first.states[-1])

    assert_same_rows(expected_rows([busy], columns), pipeline.rows())


def test_nothing_at_all_is_no_obstacle(pipeline: Pipeline) -> None:
    """An account that is a day old has no bundle yet; that is no error, and leaves a state."""
    run = pipeline.run()

    assert 0 == pipeline.count()
    assert "events" in run.states[-1]["bookmarks"]


def test_loading_again_with_a_key_doubles_nothing(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """With `event_key` a lost state file costs time, not correctness."""
    shop.bundles = generated(days=2, events=300)
    assert 600 == keyed_once(shop.bundles)
    pipeline.settings = {"event_key": True}

    pipeline.run()
    pipeline.run()

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())
    assert 600 == len({row["event_id"] for row in pipeline.rows()})


def test_late_values_replace_early_ones(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """With `event_key` a bundle read again brings what settled in the meantime, in the same rows."""
    early = events_of({"PageId": 1, "PageDuration": 10}, {"PageId": 2, "PageDuration": 20})
    late = events_of({"PageId": 1, "PageDuration": 11}, {"PageId": 2, "PageDuration": 22, "evt_late_str": "x"})
    late[1].pop("evt_late_str")  # evt_* are part of the key: a new one is another event
    pipeline.settings = {"event_key": True}

    shop.bundles = [Bundle(FIRST, FIRST + DAY, early)]
    pipeline.run()
    shop.bundles = [Bundle(FIRST, FIRST + DAY, late)]
    pipeline.run()

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_killed_between_bundles(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """A tap that is killed while it waits for a bundle has left nothing half done."""
    shop.bundles = generated(days=3, events=300)
    shop.faults = [Fault("/api/v1/export/get", match={"id": str(shop.bundles[2].id)}, delay=600, times=None)]
    tap = pipeline.start_tap(None, subprocess.DEVNULL)
    assert tap.stdout is not None
    messages = b""
    try:
        for line in tap.stdout:
            messages += line
            if b'"STATE"' in line and state_of(line)["bookmarks"]["events"]["done"] == [shop.bundles[1].id]:
                break
    finally:
        stop(tap, signal.SIGKILL)
        tap.stdout.close()
    shop.faults = []

    half = pipeline.load(messages)
    assert 600 == pipeline.count()
    pipeline.run(half.states[-1])

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_stopped_in_the_middle_of_a_bundle(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """SIGTERM, as every orchestrator sends it, costs no event and repeats none, also without a key."""
    shop.bundles = generated(days=2, events=3000)
    pipeline.settings = {"checkpoint_records": 100}
    tap = pipeline.start_tap(None, subprocess.DEVNULL)
    assert tap.stdout is not None
    try:
        # far more than a pipe holds is still to come, so the tap cannot have finished
        messages = b"".join(tap.stdout.readline() for _ in range(1000))
        tap.send_signal(signal.SIGTERM)
        messages += tap.stdout.read()
        status = tap.wait(TIMEOUT)
    finally:
        stop(tap, signal.SIGKILL)
        tap.stdout.close()

    half = pipeline.load(messages)
    assert 143 == status
    assert 900 < pipeline.count() < 3000
    pipeline.run(half.states[-1])

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def test_tap_and_target_killed_at_any_moment(pipeline: Pipeline, shop: Emulator, columns: dict[str, Any]) -> None:
    """With a key even rows that the target stored without a word about it are there once in the end."""
    shop.bundles = generated(days=2, events=2000)
    assert 4000 == keyed_once(shop.bundles)
    pipeline.settings = {"event_key": True, "checkpoint_records": 100}
    pipeline.target_settings = {"batch_size_rows": 250}
    tap = pipeline.start_tap(None, subprocess.DEVNULL)
    target = pipeline.start_target(tap.stdout, subprocess.DEVNULL)
    assert tap.stdout is not None
    tap.stdout.close()
    assert target.stdout is not None
    try:
        for _ in range(1200):
            if pipeline.count() >= 500:
                break
            threading.Event().wait(0.05)
    finally:
        stop(target, signal.SIGKILL)
        stop(tap, signal.SIGKILL)
    states = [json.loads(line) for line in target.stdout.read().splitlines(keepends=True) if line.endswith(b"\n")]
    target.stdout.close()
    assert 500 <= pipeline.count() < 4000

    pipeline.run(states[-1] if states else None)

    assert_same_rows(expected_rows(shop.bundles, columns), pipeline.rows())


def state_of(line: bytes) -> dict[str, Any]:
    """The value of a STATE message."""
    message: dict[str, Any] = json.loads(line)
    assert "STATE" == message["type"]
    value: dict[str, Any] = message["value"]
    return value
