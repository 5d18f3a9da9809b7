"""The list of bundles: pages, spellings, groups with one Stop, lists that do not move."""

import json
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, HOUR, LIST, Tap, bookmark, bundle, event

pytestmark = pytest.mark.only_source("data_export")

HALF = 1800


def short(number: int, stop: int | None = None) -> Bundle:
    """A bundle of half an hour with one event, the *number*-th; *stop* counts half hours and sets its interval."""
    at = number if stop is None else stop
    start = FIRST + at * HALF
    return Bundle(start, start + HALF, [event(number, start + 60)], id=10**12 + number)


def test_more_bundles_than_a_page_holds_arrive_once_and_in_order(run_tap: Tap, emulator: Emulator) -> None:
    """An account with more than 20 new bundles would lose or repeat some."""
    emulator.bundles = [short(i) for i in range(43)]

    run = run_tap()

    assert (0, [*range(43)]) == (run.status, run.numbers())
    assert 43 == emulator.count(GET)
    assert [10**12 + 42] == run.bookmark["done"]
    assert emulator.count(LIST) <= 6

    again = run_tap(state=run.states[-1])
    assert (0, []) == (again.status, again.numbers())
    assert run.states[-1] == again.states[-1]
    assert 43 == emulator.count(GET)


@pytest.mark.parametrize("before", [19, 18, 20])
def test_a_page_that_ends_inside_a_group_with_one_stop_loses_nothing(
    run_tap: Tap, emulator: Emulator, before: int
) -> None:
    """Bundles that end together would be lost where a page ends between them."""
    group = [short(before + i, before) for i in range(3)]
    rest = [short(before + 3 + i, before + 1 + i) for i in range(2)]
    emulator.bundles = [short(i) for i in range(before)] + group + rest

    run = run_tap()

    assert (0, [*range(before + 5)]) == (run.status, run.numbers())
    assert before + 5 == emulator.count(GET)
    at_group = [s["bookmarks"]["events"] for s in run.states if len(s["bookmarks"]["events"]["done"]) == 2]
    assert [[one.id for one in group[:2]]] == [one["done"] for one in at_group]


@pytest.mark.parametrize("style", ["numbers", "strings", "lower", "capital_strings"])
def test_both_spellings_of_the_list_are_read(run_tap: Tap, emulator: Emulator, style: Any) -> None:
    """The documentation shows two spellings: the tap would read one and break on the other."""
    emulator.bundles = [short(i) for i in range(3)]
    emulator.member_style = style

    run = run_tap()

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    assert [10**12 + 2] == run.bookmark["done"]
    assert {10**12, 10**12 + 1, 10**12 + 2} == {one["_bundle_id"] for one in run.records()}


def test_a_page_of_21_is_read_whole(run_tap: Tap, emulator: Emulator) -> None:
    """A stand-in of Fullstory's own was seen to send one bundle too many; it would be skipped, or end the paging."""
    emulator.page_size = 21
    emulator.bundles = [short(i) for i in range(45)]

    assert [*range(45)] == run_tap().numbers()


def test_empty_list_and_empty_bundles(run_tap: Tap, emulator: Emulator) -> None:
    """A quiet day, or a new account, would look like a failure."""
    nothing = run_tap()
    emulator.bundles = [bundle(0, 0), Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=b"[\n]\n"), bundle(2)]
    some = run_tap()

    assert (0, []) == (nothing.status, nothing.records())
    assert 1 <= len(nothing.states)
    assert (0, [200, 201, 202]) == (some.status, some.numbers())
    assert 3 <= len(some.states)
    again = run_tap(state=some.states[0])
    assert (0, [200, 201, 202]) == (again.status, again.numbers())
    later = run_tap(state=nothing.states[-1])
    assert (0, [200, 201, 202]) == (later.status, later.numbers())


def test_a_bundle_listed_late_with_the_stop_already_reached_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """Bundles that become available one after the other, but end together, would be lost for ever."""
    emulator.bundles = [short(0), short(1, 1)]
    first = run_tap()
    emulator.bundles = [short(0), short(1, 1), short(2, 1), short(3, 1), short(4, 2)]
    second = run_tap(state=first.states[-1])

    assert [0, 1] == first.numbers()
    assert (0, [2, 3, 4]) == (second.status, second.numbers())
    groups = [state["bookmarks"]["events"]["done"] for state in second.states]
    assert [10**12 + 1, 10**12 + 2] in [sorted(group) for group in groups]
    for position, state in zip(second.state_positions(), second.states, strict=True):
        again = run_tap(state=state)
        assert [one["UserId"] for one in second.after(position)] == again.numbers()


def test_bundles_of_one_interval_under_different_ids_are_all_emitted(run_tap: Tap, emulator: Emulator) -> None:
    """Half of the events of such an account would be taken for a repetition."""
    emulator.bundles = [bundle(0, first=1, id=11), bundle(0, first=50, id=12), bundle(0, first=1, id=10), bundle(1)]

    run = run_tap()

    assert (0, [1, 1, 2, 2, 3, 3, 50, 51, 52, 100, 101, 102]) == (run.status, sorted(run.numbers()))


def exports(*bundles: Bundle) -> bytes:
    """An answer of the list with these bundles."""
    return json.dumps({"exports": [{"Start": one.start, "Stop": one.stop, "Id": one.id} for one in bundles]}).encode()


def test_a_list_that_does_not_move_ends_with_65_after_the_new(run_tap: Tap, emulator: Emulator) -> None:
    """The tap would page for ever, or lose what it could have read."""
    emulator.bundles = [short(i, 5) for i in range(25)]

    run = run_tap()

    assert 65 == run.status
    assert [*range(20)] == run.numbers()
    assert 20 == emulator.count(GET)
    assert emulator.count(LIST) <= 4
    assert str(FIRST + 6 * HALF) in run.last_line or "2023-11-15T03:00:00Z" in run.last_line
    again = run_tap(state=run.states[-1])
    assert (65, []) == (again.status, again.numbers())


def test_a_stop_not_after_the_start_sent_ends_with_65_after_the_new(run_tap: Tap, emulator: Emulator) -> None:
    """A list that ignores `start` would make the tap read the same for ever."""
    one, two = bundle(0), bundle(1)
    emulator.bundles = [one, two]
    emulator.faults = [Fault(LIST, raw=exports(one, two), times=None)]

    run = run_tap(state=bookmark(FIRST - DAY, one.stop, [one.id]))

    assert 65 == run.status
    assert [100, 101, 102] == run.numbers()
    assert emulator.count(LIST) <= 4
    assert run.bookmark["until"] == "2023-11-17T00:00:00Z"


def test_a_bundle_longer_than_its_successors_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """Bundles that begin before others end would be taken for an error."""
    emulator.bundles = [bundle(0), Bundle(FIRST + 23 * HOUR, FIRST + 26 * HOUR, [event(7, FIRST + 25 * HOUR)])]

    assert [0, 1, 2, 7] == run_tap().numbers()


ODD_LISTS = [
    b"[]",
    b'{"exports": null}',
    b'{"exports": [{"Id": null, "Start": 1700006400, "Stop": 1700092800}]}',
    b'{"exports": [{"Id": 1, "Start": 1700006400}]}',
    b'{"exports": [{"Id": 1, "Start": 1700092800, "Stop": 1700006400}]}',
    b'{"exports": [{"Id": "x", "Start": 1700006400, "Stop": 1700092800}]}',
    b'{"exports": [{"Id": 1, "Start": true, "Stop": 1700092800}]}',
    b'{"exports": [{"Id": 1, "Start": 1700006400, "Stop": 99999999999999999999}]}',
    b'{"exports": ',
    b"<html><body>Log in</body></html>",
    b"",
    b"[" * 50_000,
]


def test_a_list_that_is_not_as_documented_ends_with_65(run_tap: Tap, emulator: Emulator) -> None:
    """A change of the API, or the page of a proxy, would look like an account without data or a bug of the tap."""
    emulators = [Emulator(faults=[Fault(LIST, raw=body, times=None)]).start() for body in ODD_LISTS]
    runs = run_tap.all({"settings": {"export_url": one.url, "retry_timeout": 0}} for one in emulators)
    for body, one, run in zip(ODD_LISTS, emulators, runs, strict=True):
        one.stop()
        assert 65 == run.status, (body[:80], run.stderr)
        assert [] == run.records()
        assert "list" in run.last_line
        assert len(run.last_line) < 1000
