"""States: what is accepted, what is refused, what is written, what follows from each."""

import json
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, LIST, Run, Tap, bookmark, bundle, event


@pytest.mark.only_source("data_export")
def test_no_state_yet(run_tap: Tap, emulator: Emulator) -> None:
    """A first run with the empty state of an orchestrator would be refused."""
    emulator.bundles = [bundle(0)]
    states: list[Any] = [{}, {"bookmarks": {}}, b" {}\n", {"bookmarks": {}, "currently_syncing": None}]

    for run in run_tap.all({"state": state} for state in states):
        assert (0, [0, 1, 2]) == (run.status, run.numbers())
        assert bookmark(FIRST - 14 * DAY, FIRST + DAY, [emulator.bundles[0].id])["bookmarks"]["events"] == run.bookmark


def test_the_state_of_tap_fullstory_1_is_understood(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever moves over from the old tap would load everything again."""
    emulator.bundles = [bundle(0), bundle(1), bundle(2)]

    exact, fraction, zone = run_tap.all(
        {"state": {"events": text}}
        for text in ("2023-11-16T00:00:00Z", "2023-11-16T00:00:00.000000Z", "2023-11-16T00:00:00+00:00")
    )

    for run in (exact, fraction, zone):
        assert (0, [100, 101, 102, 200, 201, 202]) == (run.status, run.numbers())
        assert "2023-11-18T00:00:00Z" == run.bookmark["until"]
        assert {"bookmarks"} == {*run.states[-1]} - {"currently_syncing"}


def test_other_bookmarks_and_members_are_kept_and_ignored(run_tap: Tap, emulator: Emulator) -> None:
    """The bookmarks of streams that are not selected today would be lost; an older state would be refused."""
    emulator.bundles = [bundle(0), bundle(1)]
    state = bookmark(FIRST - DAY, FIRST + DAY, [emulator.bundles[0].id])
    state["bookmarks"]["users"] = {"version": 7, "nested": {"a": [1]}}
    state["bookmarks"]["events"]["news"] = 5
    short = {"bookmarks": {"events": {"since": "2023-11-14T00:00:00Z", "until": "2023-11-16T00:00:00Z"}}}

    run = run_tap(state=state)
    brief = run_tap(state=short)

    assert (0, [100, 101, 102]) == (run.status, run.numbers())
    for value in run.states:
        assert {"version": 7, "nested": {"a": [1]}} == value["bookmarks"]["users"]
    assert brief.status in (0, 78)
    assert 78 == brief.status or [100, 101, 102] == brief.numbers()


GOOD = bookmark(FIRST - DAY, FIRST)["bookmarks"]["events"]
WRONG: list[Any] = [
    b"",
    b" \n",
    b'{"bookmarks": {"events": {"since": "2023',
    b"[]",
    b'"text"',
    b"[" * 100_000,
    {"bookmarks": {"pages": {"since": 1}}},
    {"bookmarks": {"events": "soon"}},
    {"bookmarks": {"events": {**GOOD, "until": "soon"}}},
    {"bookmarks": {"events": {**GOOD, "done": ["x"]}}},
    {"bookmarks": {"events": {**GOOD, "partial": [1, 2]}}},
    {"bookmarks": {"events": {**GOOD, "partial": [1, -2, 3, 4]}}},
    {"bookmarks": {"events": {**GOOD, "partial": "x"}}},
    {"events": "soon"},
]


def test_states_that_cannot_be_used_are_refused(run_tap: Tap, emulator: Emulator) -> None:
    """A damaged or mixed-up file would silently load everything again, or nothing."""
    emulator.bundles = [bundle(0)]
    runs = run_tap.all({"state": state} for state in WRONG)

    for state, run in zip(WRONG, runs, strict=True):
        assert 78 == run.status, (state, run.stderr)
        assert b"" == run.stdout
        assert 1 == len(run.said)
        assert "state" in run.last_line
    assert ">" in runs[0].last_line and "empty" in runs[0].last_line
    assert "pages" in runs[6].last_line
    assert 0 == emulator.count(LIST)


def test_a_whole_state_message_is_accepted_or_explained(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever saves the tap's last line instead of the value in it would load everything again."""
    emulator.bundles = [bundle(0), bundle(1)]
    message = {"type": "STATE", "value": bookmark(FIRST - DAY, FIRST + DAY, [emulator.bundles[0].id])}

    run = run_tap(state=message)

    assert run.status in (0, 78)
    assert [100, 101, 102] == run.numbers() if run.status == 0 else "value" in run.last_line


@pytest.mark.only_source("data_export")
def test_states_come_after_every_bundle_and_often_enough_inside(run_tap: Tap, emulator: Emulator) -> None:
    """A run that is interrupted late would do too much again."""
    emulator.bundles = [bundle(0, 47), bundle(1, 5), bundle(2, 20), bundle(3, 0)]
    run = run_tap(settings={"checkpoint_records": 10})

    assert (0, 72) == (run.status, len(run.records()))
    counts = [0]
    for message in run.messages:
        if message["type"] == "RECORD":
            counts[-1] += 1
        elif message["type"] == "STATE":
            counts.append(0)
    assert 10 >= max(counts)
    untils = [state["bookmarks"]["events"]["until"] for state in run.states]
    assert sorted(untils) == untils
    for day in (16, 17, 18, 19):
        assert f"2023-11-{day}T00:00:00Z" in untils
    finished = [s["bookmarks"]["events"] for s in run.states if not s["bookmarks"]["events"]["partial"]]
    assert [[one.id] for one in emulator.bundles] == [one["done"] for one in finished][-4:]
    for state in run.states:
        partial = state["bookmarks"]["events"]["partial"]
        assert not partial or (4 == len(partial) and partial[0] in {one.id for one in emulator.bundles})
        assert [] == state["bookmarks"]["events"]["gaps"] == state["bookmarks"]["events"]["exports"]


def test_filtered_events_count_too(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that straddles a date would go on without any STATE while its events are passed over."""
    emulator.bundles = [bundle(0, 60)]
    run = run_tap(settings={"checkpoint_records": 10, "start_date": "2023-11-15T00:55:00Z"})

    assert (0, [55, 56, 57, 58, 59]) == (run.status, run.numbers())
    assert 5 <= len(run.states)


def assert_replays(run_tap: Tap, run: Run, settings: dict[str, Any]) -> None:
    """Reading again from each STATE of *run* brings exactly the records that followed it."""
    whole = {name: value for name, value in settings.items() if name != "checkpoint_records"}
    replays = run_tap.all({"settings": whole, "state": state} for state in run.states)
    for position, replay in zip(run.state_positions(), replays, strict=True):
        assert 0 == replay.status, replay.stderr
        assert run.after(position) == replay.records()
        assert run.states[-1] == replay.states[-1]


@pytest.mark.parametrize(
    "encoding, chosen",
    [
        ("file", {"checkpoint_records": 3}),
        ("plain", {"checkpoint_records": 4, "start_date": "2023-11-15T00:03:00Z", "event_key": True}),
    ],
)
@pytest.mark.proves("connectors", "goes on where it ended")
def test_reading_again_from_any_state_brings_exactly_the_rest(
    run_tap: Tap, emulator: Emulator, encoding: Any, chosen: dict[str, Any]
) -> None:
    """A run that is started again would lose or double records."""
    dirty = [event(50 + i, FIRST + DAY + i, evt_x_str="é\0" * i, PageUrl="},\n{") for i in range(7)]
    emulator.bundles = [
        bundle(0, 8),
        Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=json.dumps(dirty, indent=1).encode()),
        bundle(2, 0),
        bundle(3, 5),
    ]
    emulator.encoding = encoding

    run = run_tap(settings=chosen)

    assert 0 == run.status
    assert len(run.states) >= 7
    assert_replays(run_tap, run, chosen)


@pytest.mark.only_source("data_export")
def test_each_state_of_a_run_that_failed_can_be_used(run_tap: Tap, emulator: Emulator) -> None:
    """A failure would leave a STATE behind that loses or repeats events."""
    emulator.bundles = [bundle(0, 5), bundle(1, 5), bundle(2, 5)]
    emulator.faults = [Fault(GET, status=500, match={"id": str(emulator.bundles[2].id)}, times=None)]
    failed = run_tap(settings={"checkpoint_records": 2, "retry_timeout": 0})
    emulator.faults = []

    assert 69 == failed.status
    assert 10 == len(failed.records())
    rest = run_tap(state=failed.states[-1])
    assert (0, [200, 201, 202, 203, 204]) == (rest.status, rest.numbers())
    middle = run_tap(state=failed.states[1])
    emitted = len(failed.records()) - len(failed.after(failed.state_positions()[1]))
    everything = [one["UserId"] for one in emulator.events()]
    assert everything[emitted:] == middle.numbers()
