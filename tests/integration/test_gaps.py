"""What no bundle covers is said, kept in the state, and looked for again."""

import time
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, HOUR, LIST, Run, Tap, bookmark, bundle, event, rfc

pytestmark = pytest.mark.only_source("data_export")

ALWAYS = {"gap_check_hours": 1_000_000}


def warnings(run: Run) -> str:
    """All that was warned about."""
    return "\n".join(line for line in run.said if line.startswith("WARNING"))


def test_a_gap_is_warned_about_and_filled_once(run_tap: Tap, emulator: Emulator) -> None:
    """Events of a bundle that Fullstory delivers late would never arrive, and nobody would know."""
    emulator.bundles = [bundle(0), bundle(2), bundle(3)]
    first = run_tap(settings=ALWAYS)
    assert [0, 1, 2, 200, 201, 202, 300, 301, 302] == first.numbers()
    assert [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]] == first.bookmark["gaps"]
    assert f"{rfc(FIRST + DAY)} to {rfc(FIRST + 2 * DAY)}" in warnings(first)

    second = run_tap(settings=ALWAYS, state=first.states[-1])
    assert [] == second.records()
    assert first.bookmark == second.bookmark
    assert rfc(FIRST + DAY) in warnings(second)
    assert str(FIRST + DAY) == emulator.requests[-1].query["start"] or emulator.count(LIST) > 2

    emulator.bundles = [bundle(0), bundle(1), bundle(2), bundle(3), bundle(4)]
    third = run_tap(settings=ALWAYS, state=second.states[-1])
    assert [100, 101, 102, 400, 401, 402] == third.numbers()
    assert [] == third.bookmark["gaps"]

    fourth = run_tap(settings=ALWAYS, state=third.states[-1])
    assert [] == fourth.records()
    assert "" == warnings(fourth)


def test_before_the_first_bundle_there_is_no_gap(run_tap: Tap, emulator: Emulator) -> None:
    """Each first run would warn of the time before the account was made."""
    emulator.bundles = [bundle(0), bundle(1)]

    run = run_tap(settings={"start_date": "2020-01-01"})

    assert [] == run.bookmark["gaps"]
    assert "" == warnings(run)


def test_only_events_inside_a_gap_are_emitted(run_tap: Tap, emulator: Emulator) -> None:
    """A late bundle of another length would bring events a second time."""
    events = [event(number, FIRST + number * HOUR) for number in range(72)]
    emulator.bundles = [bundle(0), bundle(2), Bundle(FIRST, FIRST + 3 * DAY, events)]
    state = bookmark(FIRST, FIRST + 3 * DAY)
    state["bookmarks"]["events"]["gaps"] = [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]]

    run = run_tap(settings=ALWAYS, state=state)

    assert list(range(24, 48)) == run.numbers()
    assert [] == run.bookmark["gaps"]
    assert rfc(FIRST + 3 * DAY) == run.bookmark["until"]


def test_a_part_of_a_gap_stays_a_gap(run_tap: Tap, emulator: Emulator) -> None:
    """The half of a gap that is still missing would be forgotten."""
    state = bookmark(FIRST, FIRST + 3 * DAY)
    state["bookmarks"]["events"]["gaps"] = [[rfc(FIRST), rfc(FIRST + 2 * DAY)]]
    emulator.bundles = [bundle(1, hours=12), bundle(2)]

    run = run_tap(settings=ALWAYS, state=state)

    assert [100, 101, 102] == run.numbers()
    halves = [[rfc(FIRST), rfc(FIRST + DAY // 2)], [rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]]
    assert halves == run.bookmark["gaps"]


def test_late_bundles_with_one_interval_all_arrive_once(run_tap: Tap, emulator: Emulator) -> None:
    """Of two bundles that fill a gap, one would be lost, or come twice after an interruption."""
    state = bookmark(FIRST, FIRST + 3 * DAY, [bundle(2).id])
    state["bookmarks"]["events"]["gaps"] = [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]]
    emulator.bundles = [bundle(0), bundle(1, 5, id=7), bundle(1, 5, id=8, first=150), bundle(2), bundle(3)]
    settings = {**ALWAYS, "checkpoint_records": 2}

    whole = run_tap(settings=settings, state=state)
    assert [*range(100, 105), *range(150, 155), 300, 301, 302] == whole.numbers()

    for position in whole.state_positions():
        again = run_tap(settings=settings, state=whole.messages[position]["value"])
        assert 0 == again.status, again.stderr
        assert [record["UserId"] for record in whole.after(position)] == again.numbers()
        assert whole.bookmark == again.bookmark


@pytest.mark.long
def test_each_state_of_a_run_with_gaps_can_be_used(run_tap: Tap, emulator: Emulator) -> None:
    """A run that is interrupted while it fills a gap would repeat or lose what is in it."""
    state = bookmark(FIRST, FIRST + 5 * DAY, [bundle(4).id])
    state["bookmarks"]["events"]["gaps"] = [
        [rfc(FIRST), rfc(FIRST + DAY)],
        [rfc(FIRST + DAY + 6 * HOUR), rfc(FIRST + 2 * DAY)],
        [rfc(FIRST + 3 * DAY), rfc(FIRST + 4 * DAY)],
    ]
    events = [event(number, FIRST + DAY + number * HOUR) for number in range(24)]
    late = Bundle(FIRST + DAY, FIRST + 2 * DAY, events)
    emulator.bundles = [bundle(0, 5), late, bundle(2), bundle(4), bundle(6, 5)]
    settings = {**ALWAYS, "checkpoint_records": 2}

    whole = run_tap(settings=settings, state=state)
    assert [*range(5), *range(6, 24), *range(600, 605)] == whole.numbers()
    days = [[rfc(FIRST + day * DAY), rfc(FIRST + (day + 1) * DAY)] for day in (3, 5)]
    assert days == whole.bookmark["gaps"]

    states = [whole.messages[position]["value"] for position in whole.state_positions()]
    runs = run_tap.all([{"settings": settings, "state": one} for one in states])
    for position, again in zip(whole.state_positions(), runs, strict=True):
        assert 0 == again.status, again.stderr
        assert [record["UserId"] for record in whole.after(position)] == again.numbers()
        assert whole.bookmark == again.bookmark


def test_an_old_gap_is_given_up_with_a_warning(run_tap: Tap, emulator: Emulator) -> None:
    """Each run would list from years ago on, for ever; or stop looking without a word."""
    emulator.bundles = [bundle(0), bundle(2), bundle(3)]
    first = run_tap()
    assert [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]] == first.bookmark["gaps"]  # it is looked for once more at least

    second = run_tap(state=first.states[-1])
    assert [] == second.bookmark["gaps"]
    assert "given up" in warnings(second)
    assert f"{rfc(FIRST + DAY)} to {rfc(FIRST + 2 * DAY)}" in warnings(second)

    assert "" == warnings(run_tap(state=second.states[-1]))
    assert [] == run_tap(settings={"gap_check_hours": 0}).bookmark["gaps"]


def test_a_recent_gap_is_kept(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that comes two days late would find nobody waiting for it."""
    today = int(time.time()) // DAY * DAY
    emulator.bundles = [Bundle(today - day * DAY, today - (day - 1) * DAY, [event(day)]) for day in (4, 2)]
    run = run_tap()
    for _ in range(2):
        run = run_tap(state=run.states[-1])
        assert [[rfc(today - 3 * DAY), rfc(today - 2 * DAY)]] == run.bookmark["gaps"]
    assert [] == run_tap(settings={"gap_check_hours": 1}, state=run.states[-1]).bookmark["gaps"]


def test_a_gap_before_the_end_date_is_kept(run_tap: Tap, emulator: Emulator) -> None:
    """A bounded backfill would call written what was never listed."""
    emulator.bundles = [bundle(0), bundle(2)]
    end = rfc(FIRST + DAY + DAY // 2)

    run = run_tap(settings={**ALWAYS, "end_date": end})
    assert [0, 1, 2] == run.numbers()
    assert ([[rfc(FIRST + DAY), end]], end) == (run.bookmark["gaps"], run.bookmark["until"])

    emulator.bundles = [
        bundle(0),
        Bundle(FIRST + DAY, FIRST + 2 * DAY, [event(1, FIRST + DAY), event(2, FIRST + 2 * DAY - 1)]),
    ]
    later = run_tap(settings={**ALWAYS, "end_date": end}, state=run.states[-1])
    assert [1] == later.numbers()
    assert [] == later.bookmark["gaps"]
    assert [2] == run_tap(settings=ALWAYS, state=later.states[-1]).numbers()


@pytest.mark.parametrize("page_size", [2, 3, 20])
def test_gaps_are_found_across_pages(run_tap: Tap, emulator: Emulator, page_size: int) -> None:
    """A late bundle would not be found, or new ones not, where many finished ones are listed in between."""
    emulator.page_size = page_size
    days = [day for day in range(25) if day not in (1, 13)]
    emulator.bundles = [bundle(day, 1) for day in days]
    first = run_tap(settings=ALWAYS)
    assert [100 * day for day in days] == first.numbers()

    emulator.bundles = [bundle(day, 1) for day in range(26)]
    second = run_tap(settings=ALWAYS, state=first.states[-1])
    assert [100, 1300, 2500] == second.numbers()


def test_a_bundle_that_is_passed_over_leaves_no_gap(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that is broken for good would be asked for again by each run."""
    emulator.bundles = [bundle(0), bundle(1), bundle(2)]

    run = run_tap(settings={"skip_bundles": [bundle(1).id]})

    assert [] == run.bookmark["gaps"]


@pytest.mark.long
def test_a_late_bundle_before_one_that_is_half_done(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that comes late while the one behind it is half done would make that one start again."""
    emulator.bundles = [bundle(0), bundle(2, 50), bundle(3)]
    settings = {**ALWAYS, "checkpoint_records": 10}
    whole = run_tap(settings=settings)
    (state,) = [one for one in whole.states if one["bookmarks"]["events"]["partial"][:2] == [bundle(2).id, 20]]
    emulator.bundles = [bundle(0), bundle(1, 30), bundle(2, 50), bundle(3)]

    run = run_tap(settings=settings, state=state)

    assert [*range(220, 250), *range(100, 130), 300, 301, 302] == run.numbers()
    assert [] == run.bookmark["gaps"]
    for position in run.state_positions():
        again = run_tap(settings=settings, state=run.messages[position]["value"])
        assert 0 == again.status, again.stderr
        assert [record["UserId"] for record in run.after(position)] == again.numbers()
        assert run.bookmark == again.bookmark


def test_a_late_bundle_before_one_that_is_half_done_and_cut(run_tap: Tap, emulator: Emulator) -> None:
    """What came late would be called missing, and be written once more by the next run."""
    emulator.bundles = [bundle(0), bundle(2, 50), bundle(3)]
    settings = {**ALWAYS, "checkpoint_records": 10, "end_date": rfc(FIRST + 2 * DAY + 30 * 60)}
    whole = run_tap(settings=settings)
    assert 33 == len(whole.records())
    (state,) = [one for one in whole.states if one["bookmarks"]["events"]["partial"][:2] == [bundle(2).id, 20]]
    emulator.bundles = [bundle(0), bundle(1, 30), bundle(2, 50), bundle(3)]

    run = run_tap(settings=settings, state=state)
    assert [*range(220, 230), *range(100, 130)] == run.numbers()
    assert [] == run.bookmark["gaps"]

    rest = run_tap(settings=ALWAYS, state=run.states[-1])
    assert [*range(230, 250), 300, 301, 302] == rest.numbers()


def test_an_account_that_is_full_of_gaps_keeps_a_small_state(run_tap: Tap, emulator: Emulator) -> None:
    """A state of a megabyte would be refused by the orchestrator that has to keep it."""
    emulator.bundles = [bundle(2 * number, 1, hours=1) for number in range(300)]

    run = run_tap(settings={**ALWAYS, "checkpoint_records": 1})

    assert 300 == len(run.records())
    assert 100 == len(run.bookmark["gaps"])
    assert max(len(str(state)) for state in run.states) < 16 * 1024
    assert rfc(FIRST + 597 * HOUR) == run.bookmark["gaps"][-1][0]
    assert len(warnings(run).splitlines()) < 30


def test_a_failure_while_a_gap_is_filled_keeps_it(run_tap: Tap, emulator: Emulator) -> None:
    """A late bundle that cannot be downloaded today would be forgotten."""
    state: Any = bookmark(FIRST, FIRST + 3 * DAY, [bundle(2).id])
    state["bookmarks"]["events"]["gaps"] = [[rfc(FIRST + DAY), rfc(FIRST + 2 * DAY)]]
    emulator.bundles = [bundle(1), bundle(2), bundle(3)]
    emulator.faults = [Fault(GET, status=500, times=None, match={"id": str(bundle(1).id)})]

    failed = run_tap(settings={**ALWAYS, "retry_timeout": 0.1}, state=state)
    assert 69 == failed.status
    assert [] == failed.records()

    emulator.faults = []
    last = failed.states[-1] if failed.states else state
    assert [100, 101, 102, 300, 301, 302] == run_tap(settings=ALWAYS, state=last).numbers()


# Several bundles with one Stop


def hours(start: int, count: int, first: int = 0, **options: Any) -> Bundle:
    """A bundle with one event an hour, numbered by the hours since FIRST."""
    events = [event(first + hour, FIRST + hour * HOUR) for hour in range(start, start + count)]
    return Bundle(FIRST + start * HOUR, FIRST + (start + count) * HOUR, events, **options)


def with_gaps(until: int, done: list[int], *gaps: tuple[int, int]) -> Any:
    """A state; all moments in hours since FIRST."""
    state: Any = bookmark(FIRST, FIRST + until * HOUR, done)
    state["bookmarks"]["events"]["gaps"] = [
        [rfc(FIRST + start * HOUR), rfc(FIRST + stop * HOUR)] for start, stop in gaps
    ]
    return state


def brings_the_rest(run_tap: Tap, whole: Run, settings: Any) -> None:
    """Each state of a run brings exactly what followed it, without a word of what may repeat."""
    states = [whole.messages[position]["value"] for position in whole.state_positions()]
    runs = run_tap.all([{"settings": settings, "state": state} for state in states], 2)
    for position, again in zip(whole.state_positions(), runs, strict=True):
        assert (0, [record["UserId"] for record in whole.after(position)]) == (again.status, again.numbers())
        assert whole.bookmark == again.bookmark
        assert "may repeat" not in again.stderr


@pytest.mark.long
def test_late_bundles_with_one_stop_and_several_gaps(run_tap: Tap, emulator: Emulator) -> None:
    """Interrupted behind the first gap, the run would never bring what the second bundle has for the second gap."""
    emulator.bundles = [hours(0, 24, id=7), hours(0, 24, 1000, id=8), hours(24, 24)]
    settings = {**ALWAYS, "checkpoint_records": 3}

    whole = run_tap(settings=settings, state=with_gaps(48, [hours(24, 24).id], (2, 6), (10, 16)))

    assert [*range(2, 6), *range(10, 16), *range(1002, 1006), *range(1010, 1016)] == whole.numbers()
    assert [] == whole.bookmark["partial"]
    brings_the_rest(run_tap, whole, settings)


@pytest.mark.long
def test_new_bundles_with_one_stop_that_begin_in_a_gap(run_tap: Tap, emulator: Emulator) -> None:
    """What the second one has for the gap before an earlier end_date would be lost."""
    emulator.bundles = [hours(24, 24, id=7), hours(24, 24, 1000, id=8)]
    settings = {**ALWAYS, "checkpoint_records": 4}

    whole = run_tap(settings=settings, state=with_gaps(36, [], (24, 36)))

    assert [*range(24, 48), *range(1024, 1048)] == sorted(whole.numbers())
    brings_the_rest(run_tap, whole, settings)


def test_a_late_bundle_before_a_late_one_that_is_half_done(run_tap: Tap, emulator: Emulator) -> None:
    """The other bundle with the Stop of the one that is half done would be lost."""
    one, other, behind = hours(24, 24, id=7), hours(24, 24, 1000, id=8), hours(48, 24)
    emulator.bundles = [one, other, behind]
    settings = {**ALWAYS, "checkpoint_records": 8}
    first = run_tap(settings=settings, state=with_gaps(72, [behind.id], (0, 48)))
    (position,) = [at for at in first.state_positions() if '"partial":[7,16,' in first.stdout.decode().splitlines()[at]]
    emulator.bundles.append(hours(0, 24))

    second = run_tap(settings=settings, state=first.messages[position]["value"])

    expected = [*range(24), *(record["UserId"] for record in first.after(position))]
    assert sorted(expected) == sorted(second.numbers())


def test_a_longer_bundle_that_stops_with_one_that_is_done(run_tap: Tap, emulator: Emulator) -> None:
    """Its events in the gap would come twice; and what else is emitted of it would depend on interruptions."""
    emulator.bundles = [hours(24, 48, id=7), hours(48, 24, 1000)]
    run = run_tap(settings=ALWAYS, state=with_gaps(72, [hours(48, 24).id], (24, 48)))
    assert [*range(24, 72)] == run.numbers()

    emulator.bundles = [*(hours(hour, 1, 1000) for hour in range(4)), hours(0, 4, id=99999999999999)]
    whole = run_tap(settings=ALWAYS)
    assert [1000, 1001, 1002, 1003, 3] == whole.numbers()
    brings_the_rest(run_tap, whole, ALWAYS)


def test_bundles_with_one_stop_that_an_end_date_cuts(run_tap: Tap, emulator: Emulator) -> None:
    """Interrupted between the two, the next run, or the run after it, would write one of them twice."""
    emulator.bundles = [hours(0, 24, id=7), hours(0, 24, 1000, id=8)]
    settings = {**ALWAYS, "checkpoint_records": 6}
    cut = {**settings, "end_date": rfc(FIRST + 12 * HOUR)}
    first = run_tap(settings=cut)
    brings_the_rest(run_tap, first, cut)

    second = run_tap(settings=settings, state=first.states[-1])
    assert [*range(12, 24), *range(1012, 1024)] == second.numbers()
    brings_the_rest(run_tap, second, settings)


def test_an_earlier_end_leaves_a_late_bundle_that_stops_where_the_state_does(run_tap: Tap, emulator: Emulator) -> None:
    """Each run up to that end would write the beginning of it once more."""
    emulator.bundles = [hours(0, 24, id=7), hours(0, 24, 1000, id=8)]
    cut = {**ALWAYS, "end_date": rfc(FIRST + 12 * HOUR)}

    first = run_tap(settings=cut, state=with_gaps(24, [7]))
    assert [] == first.numbers()
    assert [*range(1000, 1024)] == run_tap(settings=ALWAYS, state=first.states[-1]).numbers()
