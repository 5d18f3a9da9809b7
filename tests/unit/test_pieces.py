"""Which part of which bundle is wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import pieces as module
from tap_fullstory import spans
from tap_fullstory.bundles import Bundle
from tap_fullstory.moments import SECOND, comparable
from tap_fullstory.pieces import Piece
from tap_fullstory.records import Window
from tap_fullstory.spans import Span
from tap_fullstory.state import EventsBookmark

ALL = Window()


def bundle(start: int, stop: int, number: int = 1) -> Bundle:
    return Bundle(number, start, stop)


def mark(until: float, since: float = 0, done: tuple[int, ...] = ()) -> EventsBookmark:
    return EventsBookmark(since=int(since * SECOND), until=int(until * SECOND), done=done)


def text(second: float) -> str:
    return comparable(int(second * SECOND))


def span(start: float, stop: float) -> Span:
    return int(start * SECOND), int(stop * SECOND)


def pieces(at: EventsBookmark, *bundles: Bundle, end: float | None = None, again: int | None = None) -> list[Piece]:
    return list(module.pieces(bundles, at, None if end is None else int(end * SECOND), again))


def windows(at: EventsBookmark, *bundles: Bundle, end: float | None = None) -> list[Window | None]:
    return [piece.window for piece in pieces(at, *bundles, end=end)]


def test_bundles_that_follow_each_other_are_emitted_whole() -> None:
    """Events whose time lies outside their bundle would be lost."""
    assert [ALL, ALL, ALL] == windows(mark(10), bundle(10, 20), bundle(20, 30), bundle(40, 50))


@pytest.mark.parametrize("until", [10, 10.5, 15, 19.999])
def test_a_bundle_that_straddles_the_start_is_filtered(until: float) -> None:
    """Events before start_date would come, or those behind it would not."""
    at = mark(until, until)

    expected = [ALL if until == 10 else Window(text(until)), ALL]
    assert expected == windows(at, bundle(10, 20), bundle(20, 30))


def test_a_bundle_that_straddles_what_is_written_is_filtered() -> None:
    """With bundles of another length, events would be written twice."""
    assert [Window(text(10)), ALL] == windows(mark(10), bundle(0, 20), bundle(20, 40))


def test_a_bundle_that_overlaps_the_one_before_is_filtered() -> None:
    """With bundles of another length, events would be written twice."""
    assert [ALL, Window(text(20)), ALL] == windows(mark(10), bundle(10, 20), bundle(15, 30), bundle(30, 40))


def test_all_bundles_of_one_interval_are_emitted_whole() -> None:
    """Of several bundles with one Stop, only the first would be emitted."""
    group = [bundle(10, 20, number) for number in (1, 2, 3)]

    assert [ALL, ALL, ALL, ALL] == windows(mark(10), *group, bundle(20, 30, 4))
    assert [Window(text(15))] * 3 == windows(mark(15, 15), *group)


def test_going_on_within_bundles_of_one_stop() -> None:
    """What is left of a group would be filtered away."""
    assert [ALL, ALL] == windows(mark(20, 0, (1,)), bundle(10, 20, 2), bundle(20, 30, 3))
    assert [Window(text(15))] == windows(mark(20, 15, (1,)), bundle(10, 20, 2))


def test_a_bundle_that_straddles_the_end_is_cut() -> None:
    """A bounded backfill would go beyond its end."""
    found = pieces(mark(0), bundle(0, 10, 1), bundle(10, 20, 2), bundle(20, 30, 3), bundle(30, 40, 4), end=15)

    assert [ALL, Window("", text(15))] == [piece.window for piece in found[:2]]
    assert [False, True] == [piece.cut for piece in found[:2]]
    assert {(None, True)} == {(piece.window, piece.cut) for piece in found[2:]}


def test_an_end_on_a_boundary_cuts_nothing() -> None:
    """The last bundle before the end would be filtered, and events with odd times lost."""
    found = pieces(mark(0), bundle(0, 10, 1), bundle(10, 20, 2), bundle(20, 30, 3), end=20)

    assert [(ALL, False), (ALL, False), (None, True)] == [(piece.window, piece.cut) for piece in found]


def test_all_bundles_that_straddle_the_end_are_cut() -> None:
    """Of several bundles that straddle the end, only one would be emitted."""
    assert [Window("", text(15))] * 2 == windows(mark(10), bundle(10, 20, 1), bundle(10, 20, 2), end=15)


def test_a_bundle_may_straddle_both_ends() -> None:
    """A backfill of an hour from a daily bundle would bring the whole day, or nothing."""
    assert [Window(text(12), text(15))] == windows(mark(12, 12), bundle(10, 20), end=15)
    assert [None] == windows(mark(15, 0), bundle(10, 20), end=15)
    assert [None] == windows(mark(16, 0), bundle(10, 20), end=15)


def test_a_later_bundle_that_reaches_before_the_end_is_still_read() -> None:
    """A hole: the bundle with the later Stop begins before the end, though one with an earlier Stop does not."""
    found = pieces(mark(5), bundle(10, 20, 1), bundle(5, 25, 2), end=10)

    assert Window("", text(10)) in [piece.window for piece in found if piece.bundle.id == 2]


# Gaps -----------------------------------------------------------------------------------------------------------------


def test_what_no_bundle_covers_is_noticed() -> None:
    """A hole in the data would look like a time without visitors."""
    at = mark(10)

    found = pieces(at, bundle(10, 20, 1), bundle(30, 40, 2), bundle(40, 50, 3), bundle(51, 60, 4))

    assert [(), (span(20, 30),), (), (span(50, 51),)] == [piece.missing for piece in found]


def test_before_the_first_bundle_nothing_is_missing() -> None:
    """The time before an account was made would be called a gap, and be looked for by each run."""
    assert [(), ()] == [piece.missing for piece in pieces(mark(10, 10), bundle(30, 40, 1), bundle(40, 50, 2))]
    assert [(span(10, 30),)] == [piece.missing for piece in pieces(mark(10, 5), bundle(30, 40))]


def test_what_is_missing_before_the_end_is_noticed() -> None:
    """A backfill that ends in a gap would call it written."""
    found = pieces(mark(0), bundle(0, 10, 1), bundle(20, 30, 2), end=15)
    assert [(), (span(10, 15),)] == [piece.missing for piece in found]
    found = pieces(mark(0), bundle(0, 10, 1), bundle(20, 30, 2), end=25)
    assert [(), (span(10, 20),)] == [piece.missing for piece in found]


def test_a_late_bundle_is_emitted_as_far_as_it_lies_in_a_gap() -> None:
    """Events would be written twice, or never."""
    at = replace(mark(50), gaps=(span(10, 20), span(30, 35)))

    found = pieces(at, bundle(10, 20, 1), bundle(25, 35, 2), bundle(5, 40, 3), bundle(50, 60, 4))

    assert [1, 2, 4] == [piece.bundle.id for piece in found]
    assert [ALL, Window(text(30)), ALL] == [piece.window for piece in found]
    assert [(span(10, 20),), (span(30, 35),), ()] == [piece.gaps for piece in found]


def test_one_late_bundle_may_lie_in_several_gaps() -> None:
    """Only the first of them would be filled."""
    at = replace(mark(50), gaps=(span(10, 20), span(30, 35)))

    found = pieces(at, bundle(0, 60))

    both = Window(text(10), text(20), (Window(text(30), text(35)),))
    assert [both, Window(text(50))] == [one.window for one in found]
    assert [(span(10, 20), span(30, 35)), ()] == [one.filled for one in found]
    assert ALL == found[1].counted


def test_late_bundles_with_one_stop_fill_all_their_gaps_together() -> None:
    """After an interruption, what the second one has to bring would be called written."""
    at = replace(mark(50), gaps=(span(10, 20), span(30, 35)))

    found = pieces(at, bundle(0, 40, 1), bundle(0, 40, 2), bundle(50, 60, 3))

    assert [1, 2, 3] == [piece.bundle.id for piece in found]
    assert [(), True, ()] == [bool(piece.filled) or () for piece in found]


def test_bundles_with_one_stop_that_are_written_in_part_are_finished_together() -> None:
    """After the first of them, the state would not tell what is written of the second."""
    one, two, three = bundle(0, 20, 1), bundle(0, 20, 2), bundle(20, 30, 3)

    found = pieces(mark(10), one, two, three)

    assert [(), (one, two), (three,)] == [piece.finished for piece in found]


def test_what_stops_where_the_state_does_is_cut_by_what_is_done_there() -> None:
    """An interruption between two bundles of different lengths with one Stop would change what is emitted."""
    assert [Window(text(15))] == windows(mark(20, done=(1,)), bundle(15, 20, 1), bundle(0, 20, 2))


def test_what_stops_where_the_state_does_is_left_by_an_earlier_end() -> None:
    """Each run up to that end would write its beginning once more."""
    assert [None] == windows(mark(20, done=(1,)), bundle(0, 20, 1), bundle(0, 20, 2), end=15)


def test_late_bundles_with_one_stop_all_fill_the_gap() -> None:
    """Of several bundles with one interval, only the first would be emitted."""
    at = replace(mark(50), gaps=(span(10, 20),))

    found = pieces(at, bundle(10, 20, 1), bundle(10, 20, 2), bundle(12, 21, 3))

    assert [(1, ()), (2, (span(10, 20), span(10, 20)))] == [(piece.bundle.id, piece.filled) for piece in found]
    assert [ALL, ALL] == [piece.window for piece in found]


def test_a_longer_bundle_that_is_listed_later_fills_what_seemed_missing() -> None:
    """With bundles of mixed lengths, events would be left out."""
    found = pieces(mark(10), bundle(20, 30, 1), bundle(10, 40, 2))

    assert [ALL, Window("", text(20)), Window(text(30))] == [piece.window for piece in found]
    assert [(span(10, 20),), (), ()] == [piece.missing for piece in found]
    assert [(), (span(10, 20),), ()] == [piece.gaps for piece in found]


def test_gaps_beyond_the_end_are_left() -> None:
    """A bounded run would write what lies beyond its end."""
    at = replace(mark(50), gaps=(span(10, 20), span(30, 40)))

    found = pieces(at, bundle(10, 20, 1), bundle(30, 40, 2), end=15)

    assert [(1, Window("", text(15)))] == [(piece.bundle.id, piece.window) for piece in found]


def test_finished_bundles_are_read_again_where_that_is_wanted() -> None:
    """Values that have settled would not arrive."""
    at = mark(30, 5, (3,))

    found = pieces(at, bundle(0, 10, 1), bundle(10, 20, 2), bundle(20, 30, 3), bundle(30, 40, 4), again=5 * SECOND)

    assert [True, True, True, False] == [piece.again for piece in found]
    assert [Window(text(5)), ALL, ALL, ALL] == [piece.window for piece in found]
    assert [4] == [one.bundle.id for one in pieces(at, bundle(20, 30, 3), bundle(30, 40, 4))]


def test_what_is_in_the_warehouse_of_a_bundle_written_in_two_runs() -> None:
    """The log of bundles would say fewer events than there are."""
    assert [ALL] == [piece.counted for piece in pieces(mark(15, 5), bundle(10, 20))]
    assert [Window(text(15))] == [piece.counted for piece in pieces(mark(15, 5, (7,)), bundle(10, 20))]
    assert [Window(text(15))] == [piece.counted for piece in pieces(mark(15, 15), bundle(10, 20))]


# What other runs have written -----------------------------------------------------------------------------------------


def test_what_is_written_beyond_is_not_emitted_again() -> None:
    """Events that another worker has read would be there twice."""
    at = replace(mark(10), beyond=(span(20, 30), span(45, 55)))

    found = pieces(at, *(bundle(start, start + 10, start) for start in range(10, 60, 10)))

    assert [ALL, None, ALL, Window("", text(45)), Window(text(55))] == [piece.window for piece in found]
    assert [1] * 5 == [len(piece.finished) for piece in found]  # `until` moves over all of them
    assert [ALL] * 5 == [piece.counted for piece in found]
    assert [()] * 5 == [piece.missing for piece in found]


def test_a_longer_bundle_is_emitted_as_far_as_nobody_has_written_it() -> None:
    """With bundles of another length, events would be written twice, or never."""
    at = replace(mark(10), beyond=(span(20, 30), span(40, 50)))

    assert [Window("", text(20), (Window(text(30), text(40)),))] == windows(at, bundle(10, 50))
    assert [Window("", text(20))] == windows(at, bundle(10, 50), end=25)
    assert [None] == windows(replace(at, until=20 * SECOND), bundle(20, 50), end=25)


def test_bundles_with_one_stop_that_are_written_beyond_are_finished_together() -> None:
    """After an interruption between them, the second one would be written again."""
    one, two, three = bundle(10, 20, 1), bundle(10, 20, 2), bundle(20, 30, 3)

    found = pieces(replace(mark(10), beyond=(span(10, 20),)), one, two, three)

    assert [None, None, ALL] == [piece.window for piece in found]
    assert [(), (one, two), (three,)] == [piece.finished for piece in found]


def test_nothing_is_missing_where_others_have_written() -> None:
    """A gap that is known to be none would be looked for."""
    at = replace(mark(10), beyond=(span(15, 20), span(22, 30)))

    found = pieces(at, bundle(40, 50))

    assert [(span(10, 15), span(20, 22), span(30, 40))] == [piece.missing for piece in found]


def test_a_part_of_a_history_may_begin_with_a_gap() -> None:
    """A bundle that is late where a worker's part begins would never be read."""
    asked: list[bool] = []

    def before() -> bool:
        asked.append(True)
        return True

    found = list(module.pieces([bundle(20, 30)], mark(10, 10), 40 * SECOND, None, before))
    assert [(span(10, 20),)] == [piece.missing for piece in found]
    empty = list(module.pieces([bundle(50, 60, 1), bundle(60, 70, 2)], mark(10, 10), 40 * SECOND, None, before))
    assert [(span(10, 40),), ()] == [piece.missing for piece in empty]
    assert 2 == len(asked)  # once each
    # a history that begins later than start_date, and one without an end: nobody is asked
    assert [()] == [piece.missing for piece in pieces(mark(10, 10), bundle(20, 30), end=40)]
    assert [()] == [one.missing for one in module.pieces([bundle(20, 30)], mark(10, 10), None, None, before)]
    assert 2 == len(asked)


points = st.integers(0, 60)
some_spans = st.lists(st.tuples(points, points), max_size=4)


@given(
    lengths=st.lists(
        st.tuples(st.integers(1, 12), st.sampled_from(["there", "twin", "missing"])), min_size=1, max_size=9
    ),
    until=points,
    end=st.none() | points,
    written=some_spans,
    ids=st.booleans(),
)
def test_each_event_that_nobody_has_written_is_emitted_once(
    lengths: list[tuple[int, str]], until: int, end: int | None, written: list[tuple[int, int]], ids: bool
) -> None:
    """Events would be lost, or be there twice, whatever the windows and the lengths of bundles."""
    listed: list[Bundle] = []
    start = 0
    for length, kind in lengths:
        for number in range({"there": 1, "twin": 2, "missing": 0}[kind]):
            listed.append(bundle(start, start + length, 10 * start + number))
        start += length
    beyond: tuple[Span, ...] = ()
    for first, last in written:
        beyond = spans.add(beyond, span(first, last))
    beyond = spans.between(beyond, until * SECOND, None)
    done = tuple(one.id for one in listed if one.stop == until) if ids else ()
    at = replace(mark(until, 0, done), beyond=beyond)

    found = pieces(at, *(one for one in listed if not at.is_done(one)), end=end)

    def wanted(moment: float) -> bool:
        inside = moment >= until and (end is None or moment < end)
        return inside and not spans.between(beyond, *span(moment, moment + 0.1))

    for one in listed:
        for moment in (number + 0.5 for number in range(one.start, one.stop)):
            windows = [piece.window for piece in found if piece.bundle == one]
            emitted = sum(window is not None and window.holds(text(moment) + "Z") for window in windows)
            assert wanted(moment) == emitted, (one, moment)
    if until:  # else it is before the first of all
        last = max((one.stop for one in listed), default=0)
        covered = [span(one.start, one.stop) for one in listed]
        holes = [number for number in range(until, last) if wanted(number + 0.5)]
        expected = [number for number in holes if not spans.between(covered, *span(number, number + 1))]
        missing = [range(first // SECOND, stop // SECOND) for piece in found for first, stop in piece.missing]
        assert expected == sorted(number for one in missing for number in one)
    # what they leave is what a run leaves
    for piece in found:
        for one in piece.finished:
            at = at.after(one)
    assert all(a >= at.until for a, _ in at.beyond)
    assert not [piece for piece in pieces(at, *listed, end=end) if piece.window and not piece.cut and not piece.gaps]
