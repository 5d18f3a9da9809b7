"""Bundles that ended lately are read again, so that settled values replace early ones."""

import time
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, GET, Run, Tap, bundle, event, rfc

pytestmark = pytest.mark.only_source("data_export")

SETTINGS = {"event_key": True, "reread_hours": 1_000_000}


def warnings(run: Run) -> list[str]:
    """All that was warned about."""
    return [line for line in run.said if line.startswith("WARNING")]


def durations(run: Run) -> dict[int, Any]:
    """Of each event that was emitted, the value that settles."""
    return {record["UserId"]: record.get("PageDuration") for record in run.records()}


def settled(day: int, duration: int, count: int = 3) -> Bundle:
    """A bundle whose values change as time goes by."""
    start = bundle(day).start
    events = [event(100 * day + i, start + 60 * i, PageDuration=duration) for i in range(count)]
    return Bundle(start, start + DAY, events)


def test_changed_bundles_are_emitted_again_and_others_not(run_tap: Tap, emulator: Emulator) -> None:
    """Early values would stay for ever, or everything would be loaded again by each run."""
    emulator.bundles = [settled(0, 1), settled(1, 1)]
    first = run_tap(settings=SETTINGS)
    assert 6 == len(first.records())

    second = run_tap(settings=SETTINGS, state=first.states[-1])
    assert 4 == emulator.count(GET)
    assert [] == second.records()
    assert first.bookmark == second.bookmark
    assert "2 bundles read again, 0 of them written again" in second.last_line

    emulator.bundles = [settled(0, 1), settled(1, 20), settled(2, 1)]
    third = run_tap(settings=SETTINGS, state=second.states[-1])
    assert {100: 20, 101: 20, 102: 20, 200: 1, 201: 1, 202: 1} == durations(third)
    ids = {record["UserId"]: record["event_id"] for record in first.records()}
    assert all(ids[record["UserId"]] == record["event_id"] for record in third.records() if record["UserId"] < 200)

    assert [] == run_tap(settings=SETTINGS, state=third.states[-1]).records()


def test_another_order_is_no_change(run_tap: Tap, emulator: Emulator) -> None:
    """Exports are made on demand: each run would load everything recent again."""
    one = settled(0, 1, 50)
    emulator.bundles = [one]
    first = run_tap(settings=SETTINGS)
    events = list(one.read_events())
    turned = [dict(reversed(found.items())) for found in reversed(events)]
    emulator.bundles = [Bundle(one.start, one.stop, turned)]

    assert [] == run_tap(settings=SETTINGS, state=first.states[-1]).records()


def test_fewer_events_are_warned_about_with_the_query_that_finds_them(run_tap: Tap, emulator: Emulator) -> None:
    """A deletion at Fullstory would stay unnoticed, and the deleted rows in the warehouse."""
    emulator.bundles = [settled(0, 1, 5)]
    first = run_tap(settings=SETTINGS)
    emulator.bundles = [settled(0, 1, 3)]

    second = run_tap(settings=SETTINGS, state=first.states[-1])

    assert 3 == len(second.records())
    (line,) = warnings(second)
    assert "2 events fewer" in line
    assert f'"_bundle_id" = {bundle(0).id}' in line
    extracted = {message["time_extracted"] for message in second.messages if message["type"] == "RECORD"}
    assert f"\"_sdc_extracted_at\" < '{extracted.pop()}'" in line
    assert [] == warnings(run_tap(settings=SETTINGS, state=second.states[-1]))


def test_only_recent_bundles_are_read_again(run_tap: Tap, emulator: Emulator) -> None:
    """A year would be downloaded by each run."""
    today = int(time.time()) // DAY * DAY
    emulator.bundles = [Bundle(today - day * DAY, today - (day - 1) * DAY, [event(day)]) for day in (6, 5, 4, 3, 2)]
    settings = {"event_key": True, "reread_hours": 80}
    first = run_tap(settings=settings)
    assert 5 == emulator.count(GET)

    second = run_tap(settings=settings, state=first.states[-1])

    assert {today - DAY, today - 2 * DAY, today - 3 * DAY} >= {one[1] for one in second.bookmark["contents"]}
    assert 5 + len(second.bookmark["contents"]) == emulator.count(GET)
    assert 2 <= len(second.bookmark["contents"]) <= 3


def test_what_was_written_before_the_setting_is_emitted_once_more(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever switches it on would keep the early values of the last days."""
    emulator.bundles = [settled(0, 1), settled(1, 1)]
    first = run_tap(settings={"event_key": True})
    assert "contents" not in first.bookmark

    second = run_tap(settings=SETTINGS, state=first.states[-1])
    assert 6 == len(second.records())
    assert [] == run_tap(settings=SETTINGS, state=second.states[-1]).records()

    third = run_tap(settings={"event_key": True}, state=second.states[-1])
    assert "contents" not in third.bookmark
    assert [] == third.records()


def test_it_needs_a_key(run_tap: Tap, emulator: Emulator) -> None:
    """Everything recent would be in the warehouse once more after each run."""
    run = run_tap(settings={"reread_hours": 48})

    assert 78 == run.status
    assert "event_key" in run.last_line


def test_each_state_of_a_run_that_reads_again_can_be_used(run_tap: Tap, emulator: Emulator) -> None:
    """A run that is interrupted would go on without what had changed."""
    emulator.bundles = [settled(day, 1, 6) for day in range(3)]
    first = run_tap(settings={**SETTINGS, "checkpoint_records": 2})
    emulator.bundles = [settled(0, 2, 6), settled(1, 1, 6), settled(2, 2, 6), settled(3, 1, 6)]

    whole = run_tap(settings={**SETTINGS, "checkpoint_records": 2}, state=first.states[-1])
    assert 18 == len(whole.records())
    for position in whole.state_positions():
        again = run_tap(settings=SETTINGS, state=whole.messages[position]["value"])
        rest = [record["UserId"] for record in whole.after(position)]
        assert rest == again.numbers()


def test_events_before_the_start_stay_out(run_tap: Tap, emulator: Emulator) -> None:
    """Reading a bundle again would bring what start_date leaves out."""
    start = bundle(0).start
    emulator.bundles = [settled(0, 1), settled(1, 1)]
    settings = {**SETTINGS, "start_date": rfc(start + 60)}
    first = run_tap(settings=settings)
    assert [1, 2, 100, 101, 102] == first.numbers()
    emulator.bundles = [settled(0, 2), settled(1, 1)]

    assert [1, 2] == run_tap(settings=settings, state=first.states[-1]).numbers()


def test_a_bundle_that_an_end_date_cut_is_not_changed_by_that(run_tap: Tap, emulator: Emulator) -> None:
    """What was written in two runs would be written a third time."""
    emulator.bundles = [settled(0, 1)]
    first = run_tap(settings={**SETTINGS, "end_date": rfc(bundle(0).start + 60)})
    second = run_tap(settings=SETTINGS, state=first.states[-1])
    assert [0, 1, 2] == [*first.numbers(), *second.numbers()]

    assert [] == run_tap(settings=SETTINGS, state=second.states[-1]).records()


def test_what_settles_while_a_bundle_is_cut_arrives(run_tap: Tap, emulator: Emulator) -> None:
    """Early values would stay in the part of a bundle that a run up to an end date has written."""
    emulator.bundles = [settled(0, 1)]
    first = run_tap(settings={**SETTINGS, "end_date": rfc(bundle(0).start + 60)})
    assert {0: 1} == durations(first)
    emulator.bundles = [settled(0, 2)]
    second = run_tap(settings={**SETTINGS, "end_date": rfc(bundle(0).start + 120)}, state=first.states[-1])
    assert {0: 2, 1: 2} == durations(second)
    third = run_tap(settings=SETTINGS, state=second.states[-1])
    assert {2: 2} == durations(third)

    assert [] == run_tap(settings=SETTINGS, state=third.states[-1]).records()


def test_no_more_bundles_are_read_again_than_the_state_holds(run_tap: Tap, emulator: Emulator) -> None:
    """Those that it does not hold would be written again by each run, changed or not."""
    emulator.bundles = [bundle(hour, 1, hours=1) for hour in range(105)]
    first = run_tap(settings=SETTINGS)
    assert 100 == len(first.bookmark["contents"])

    second = run_tap(settings=SETTINGS, state=first.states[-1])

    assert [] == second.records()
    assert "100 bundles read again, 0 of them written again" in second.last_line
