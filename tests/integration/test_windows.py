"""start_date, end_date, moved dates, changed bundle lengths."""

from collections.abc import Iterable
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, FIRST, GET, HOUR, Tap, bookmark, bundle, event, rfc

NOON = FIRST + 12 * HOUR


def timed(start: int, hours: float, *events: tuple[int, str], **options: Any) -> Bundle:
    """A bundle of events with these numbers and texts as their times."""
    listed = [{"UserId": number, "EventStart": text} for number, text in events]
    return Bundle(start, start + int(hours * HOUR), listed, **options)


def hourly(start: int, hours: int, every: int = HOUR // 2, **options: Any) -> Bundle:
    """A bundle whose events are numbered by the half hours since FIRST."""
    moments: Iterable[int] = range(start, start + hours * HOUR, every)
    return Bundle(start, start + hours * HOUR, [event((at - FIRST) // every, at) for at in moments], **options)


def test_both_dates_are_exact(run_tap: Tap, emulator: Emulator) -> None:
    """Two windows side by side would overlap or leave a gap."""
    emulator.bundles = [
        timed(
            FIRST, 24,
            (1, "2023-11-15T11:59:59.999999999Z"), (2, "2023-11-15T12:00:00.499999999Z"),
            (3, "2023-11-15T12:00:00.5Z"), (4, "2023-11-15T12:00:00.500000000Z"), (5, "2023-11-15T14:00:00.5+02:00"),
            (6, "2023-11-15T12:00:00.500000001Z"), (7, "2023-11-15T12:00:01Z"), (8, "2023-11-15T12:00:01"),
            (9, "2023-11-15T12:00:00.999999999999Z"), (10, "2023-11-15t12:00:02z"),
        )
    ]  # fmt: skip
    windows = [
        ({"start_date": "2023-11-15T12:00:00.5Z"}, [3, 4, 5, 6, 7, 8, 9, 10]),
        ({"end_date": "2023-11-15T12:00:00.5Z"}, [1, 2]),
        ({"start_date": "2023-11-15T12:00:00.5Z", "end_date": "2023-11-15T12:00:01Z"}, [3, 4, 5, 6, 9]),
        ({"start_date": "2023-11-15T12:00:01Z", "end_date": "2023-11-15T14:00:02+02:00"}, [7, 8]),
        ({"start_date": "2023-11-15", "end_date": "2023-11-16"}, [*range(1, 11)]),
    ]

    runs = run_tap.all({"settings": settings} for settings, _ in windows)

    for (settings, expected), run in zip(windows, runs, strict=True):
        assert (0, expected) == (run.status, run.numbers()), settings
        assert run.states


@pytest.mark.only_source("data_export")
def test_only_bundles_that_straddle_a_date_are_filtered(run_tap: Tap, emulator: Emulator) -> None:
    """Events that a bundle delivers late would be dropped though nobody asked for that."""
    late = "2023-11-14T23:59:59Z"
    emulator.bundles = [
        timed(FIRST - DAY, 24, (1, rfc(FIRST - DAY))),
        timed(FIRST, 24, (2, late), (3, rfc(NOON)), (4, "2023-11-17T00:00:00Z")),
        timed(FIRST + DAY, 24, (5, rfc(FIRST + DAY)), (6, late)),
        timed(FIRST + 2 * DAY, 24, (7, rfc(FIRST + 2 * DAY))),
    ]

    run = run_tap(settings={"start_date": "2023-11-15", "end_date": "2023-11-17T00:00:00Z"})
    straddling = run_tap(settings={"start_date": "2023-11-15T00:00:01Z", "end_date": "2023-11-17"})

    assert (0, [2, 3, 4, 5, 6]) == (run.status, run.numbers())
    assert (0, [3, 4, 5, 6]) == (straddling.status, straddling.numbers())
    assert 4 == emulator.count(GET)  # what lies outside is not even downloaded: two a minute


@pytest.mark.long
def test_an_end_moved_later_brings_exactly_the_rest(run_tap: Tap, emulator: Emulator) -> None:
    """A backfill in steps would lose or repeat what lies around each step."""
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST, 24, id=4711), hourly(FIRST + DAY, 24)]
    everything = sorted([*range(48)] * 2 + [*range(48, 96)])
    ends = ["2023-11-15T07:45:00Z", "2023-11-15T08:00:00Z", "2023-11-16T00:00:00Z", "2023-11-16T13:00:00Z", None]
    found: list[int] = []
    state = None
    for end in ends:
        run = run_tap(settings={"end_date": end, "checkpoint_records": 10}, state=state)
        assert 0 == run.status
        if end is not None:
            assert end == run.bookmark["until"]
        found += run.numbers()
        state = run.states[-1]
        downloads = emulator.count(GET)
        again = run_tap(settings={"end_date": end}, state=state)
        assert (0, [], state) == (again.status, again.numbers(), again.states[-1])
        assert downloads == emulator.count(GET)

    assert everything == sorted(found)


def test_a_run_interrupted_in_a_cut_bundle_goes_on_exactly(run_tap: Tap, emulator: Emulator) -> None:
    """An interrupted backfill would lose or repeat events of the bundle that its end date cuts."""
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST, 24, id=4711)]
    cut = {"end_date": "2023-11-15T10:00:00Z", "start_date": "2023-11-15T02:00:00Z", "checkpoint_records": 18}
    run = run_tap(settings=cut)
    assert sorted([*range(4, 20)] * 2) == sorted(run.numbers())
    assert 4 <= len(run.states)

    positions = run.state_positions()
    replays = run_tap.all({"settings": cut, "state": state} for state in run.states)

    for position, replay in zip(positions, replays, strict=True):
        rest = [one.get("UserId", 0) for one in run.after(position)]
        assert (0, rest) == (replay.status, replay.numbers())
        assert run.states[-1] == replay.states[-1]


@pytest.mark.only_source("data_export")
def test_an_end_moved_while_a_cut_bundle_is_half_done(run_tap: Tap, emulator: Emulator) -> None:
    """A backfill that was interrupted and then given a later end would lose events, or repeat some without a word.

    The state does not hold the end that was, so what was passed over for it cannot be told from what was written.
    """
    emulator.bundles = [hourly(FIRST, 24)]
    cut = {"end_date": "2023-11-15T10:00:00Z", "start_date": "2023-11-15T02:00:00Z", "checkpoint_records": 18}
    run = run_tap(settings=cut)

    for index in (0, 1):
        longer = run_tap(settings={**cut, "end_date": "2023-11-15T20:00:00Z"}, state=run.states[index])
        assert (0, [*range(4, 40)]) == (longer.status, longer.numbers())
        assert any("end_date was moved" in line and "may repeat" in line for line in longer.said)


def test_a_later_start_date_moves_forward(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever moves the start on, to skip a bad time, would still get it."""
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST + DAY, 24)]
    state = bookmark(FIRST - DAY, FIRST)

    inside, beyond, before_until = run_tap.all(
        [
            {"settings": {"start_date": "2023-11-15T12:00:00Z"}, "state": state},
            {"settings": {"start_date": "2023-11-16T12:00:00Z"}, "state": state},
            {"settings": {"start_date": "2023-11-15T00:00:00Z"}, "state": state},
        ]
    )

    assert (0, [*range(24, 96)]) == (inside.status, inside.numbers())
    assert (0, [*range(72, 96)]) == (beyond.status, beyond.numbers())
    assert (0, [*range(96)]) == (before_until.status, before_until.numbers())
    for run in (inside, beyond):
        for position, state in zip(run.state_positions(), run.states, strict=True):
            if not state["bookmarks"]["events"]["partial"]:
                assert state["bookmarks"]["events"]["since"] <= state["bookmarks"]["events"]["until"]
            assert position


@pytest.mark.only_source("data_export")
def test_a_start_date_moved_forward_in_the_middle_of_a_bundle(run_tap: Tap, emulator: Emulator) -> None:
    """A run interrupted inside a bundle would go on with events from before the new start, or lose some."""
    emulator.bundles = [hourly(FIRST, 24)]
    first = run_tap(settings={"checkpoint_records": 10})
    state = first.states[0]
    assert state["bookmarks"]["events"]["partial"]

    moved = run_tap(settings={"start_date": "2023-11-15T12:00:00Z"}, state=state)

    assert (0, [*range(24, 48)]) == (moved.status, moved.numbers())


def test_a_start_date_before_the_state_gets_a_warning(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever moves the start back to get more would wait for events that never come."""
    emulator.bundles = [bundle(0), bundle(1)]
    state = bookmark(FIRST, FIRST + DAY)

    run = run_tap(settings={"start_date": "2023-11-01"}, state=state)
    same = run_tap(settings={"start_date": "2023-11-15"}, state=state)

    assert (0, [100, 101, 102]) == (run.status, run.numbers())
    assert any("start_date" in line and line.startswith("WARNING") for line in run.said)
    assert "2023-11-15T00:00:00Z" == run.bookmark["since"]
    assert not any(line.startswith("WARNING") for line in same.said)


def test_a_state_in_the_future_reads_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A wrong clock or a mixed-up state would start everything anew, or be lost."""
    emulator.bundles = [bundle(0)]
    state = bookmark(FIRST, 4102444800)

    run = run_tap(state=state)

    assert (0, []) == (run.status, run.records())
    assert state == run.states[-1]
    assert any(line.startswith("WARNING") and "2100-01-01" in line for line in run.said)


@pytest.mark.only_source("data_export")
def test_longer_bundles_after_shorter_ones_lose_and_repeat_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """An account that changes the length of its bundles would lose or double the events around the change."""
    six = [hourly(FIRST + i * 6 * HOUR, 6) for i in range(3)]
    emulator.bundles = six
    first = run_tap(settings={"checkpoint_records": 5})
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST + DAY, 24)]
    second = run_tap(state=first.states[-1], settings={"checkpoint_records": 5})

    assert [*range(36)] == first.numbers()
    assert (0, [*range(36, 96)]) == (second.status, second.numbers())
    positions = second.state_positions()
    replays = run_tap.all({"state": second.states[i]} for i in (0, 1, 2, -1))
    for index, replay in zip((0, 1, 2, -1), replays, strict=True):
        assert [one.get("UserId", 0) for one in second.after(positions[index])] == replay.numbers()


def test_shorter_bundles_after_longer_ones_lose_and_repeat_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """The last hours before the change would be loaded twice."""
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST + DAY, 24)]
    first = run_tap()
    emulator.bundles = [hourly(FIRST + i * 6 * HOUR, 6) for i in range(16)]

    second = run_tap(state=first.states[-1])

    assert (0, [*range(96, 192)]) == (second.status, second.numbers())


def test_a_bundle_interrupted_and_then_replaced_by_shorter_ones_leaves_no_hole(
    run_tap: Tap, emulator: Emulator
) -> None:
    """Events would be lost when the length of bundles changes between a crash and the next run."""
    emulator.bundles = [hourly(FIRST, 24)]
    first = run_tap(settings={"checkpoint_records": 10})
    state = first.states[1]
    before = len(first.records()) - len(first.after(first.state_positions()[1]))
    emulator.bundles = [hourly(FIRST + i * 6 * HOUR, 6) for i in range(4)]

    second = run_tap(state=state)

    assert 0 == second.status
    assert {*range(before, 48)} <= set(second.numbers()) <= {*range(48)}
    assert len(second.numbers()) == len(set(second.numbers()))
    repeated = len(second.numbers()) - (48 - before)
    assert 0 == repeated or any(line.startswith("WARNING") and "repeat" in line for line in second.said)


def test_a_window_between_bundles_ends_cleanly(run_tap: Tap, emulator: Emulator) -> None:
    """A backfill of a time without bundles would fail or claim to have read what is not there yet."""
    emulator.bundles = [bundle(0), bundle(5)]

    run, later = run_tap.all(
        [
            {"settings": {"start_date": "2023-11-17", "end_date": "2023-11-18"}},
            {"settings": {"start_date": "2023-11-17", "end_date": "2024-11-18"}},
        ]
    )

    assert (0, []) == (run.status, run.numbers())
    assert "2023-11-18T00:00:00Z" == run.bookmark["until"]  # a bundle that ends after it is listed
    assert (0, [500, 501, 502]) == (later.status, later.numbers())
    assert "2023-11-21T00:00:00Z" == later.bookmark["until"]


def test_an_end_before_a_half_done_bundle_leaves_it_half_done(run_tap: Tap, emulator: Emulator) -> None:
    """One run with an earlier end date in between would make the next one repeat what was written."""
    emulator.bundles = [hourly(FIRST, 24), hourly(FIRST + DAY, 24), hourly(FIRST + 2 * DAY, 24)]
    run = run_tap(settings={"checkpoint_records": 20})
    index = next(
        i for i, state in enumerate(run.states) if state["bookmarks"]["events"]["partial"][:1] == [half_done()]
    )
    rest = [one.get("UserId", 0) for one in run.after(run.state_positions()[index])]

    between = run_tap(state=run.states[index], settings={"end_date": "2023-11-16T00:00:00Z"})
    after = run_tap(state=between.states[-1], settings={"checkpoint_records": 20})

    assert (0, []) == (between.status, between.numbers())
    assert (0, rest) == (after.status, after.numbers())
    assert not any("repeat" in line for line in between.said + after.said)


def half_done() -> int:
    """The id of the second bundle."""
    return (FIRST + DAY) * 100 + 48


@pytest.mark.only_source("data_export")
def test_a_late_bundle_listed_before_a_half_done_one_repeats_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that comes late and stops with the one being written would start that one again."""
    second = hourly(FIRST + DAY, 24)
    emulator.bundles = [hourly(FIRST, 24), second]
    run = run_tap(settings={"checkpoint_records": 20})
    index = next(
        i for i, state in enumerate(run.states) if state["bookmarks"]["events"]["partial"][:1] == [half_done()]
    )
    rest = [one.get("UserId", 0) for one in run.after(run.state_positions()[index])]
    late = Bundle(start=FIRST + DAY, stop=FIRST + 2 * DAY, events=[{"UserId": 900}], id=7)
    emulator.bundles = [hourly(FIRST, 24), late, second]

    after = run_tap(state=run.states[index])

    assert (0, [*rest, 900]) == (after.status, after.numbers())
    assert not any("repeat" in line for line in after.said)
