"""States of windows, folded into one."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import spans
from tap_fullstory.bundles import Position
from tap_fullstory.merge import MOST_EXPORTS, Folded, Mark, fold, merge
from tap_fullstory.moments import SECOND
from tap_fullstory.spans import Span
from tap_fullstory.state import (
    MOST_BEYOND,
    MOST_CONTENTS,
    MOST_GAPS,
    Content,
    EventsBookmark,
    Export,
    parse_events_bookmark,
)

DAY = 86400
T0 = 1704067200  # 2024-01-01T00:00:00Z


def span(start: float, stop: float) -> Span:
    """A span, in days since T0."""
    return int((T0 + start * DAY) * SECOND), int((T0 + stop * DAY) * SECOND)


def at(start: float, stop: float, **members: Any) -> EventsBookmark:
    return EventsBookmark(*span(start, stop), **members)


def folded(*bookmarks: EventsBookmark, start: int | None = None) -> Folded:
    return fold([Mark(f"{number}.json", one) for number, one in enumerate(bookmarks)], start)


def merged(*bookmarks: EventsBookmark) -> EventsBookmark:
    return folded(*bookmarks).at


def test_windows_side_by_side_are_one() -> None:
    """A backfill by several workers would be read again from its beginning."""
    first, second, third = at(0, 7, done=(1,)), at(7, 14, done=(2, 3)), at(14, 20, done=(4,))

    assert at(0, 20, done=(4,)) == merged(second, third, first)
    assert at(0, 14, done=(2, 3)) == merged(first, at(14, 14), second)
    assert () == folded(first, second, third).holes


def test_what_lies_beyond_a_hole_is_kept_as_finished() -> None:
    """It would be read twice, or the hole never."""
    found = folded(at(0, 7, done=(1,)), at(14, 20, done=(4,)), at(20, 21), at(30, 32))

    assert at(0, 7, done=(1,), beyond=(span(14, 21), span(30, 32))) == found.at
    assert (span(7, 14), span(21, 30)) == found.holes


def test_the_earliest_window_need_not_have_written_anything() -> None:
    """What it is to read would be passed over for good."""
    assert at(0, 0, beyond=(span(7, 14),)) == merged(at(7, 14, done=(2,)), at(0, 0))


def test_a_start_before_all_windows_is_where_the_first_hole_begins() -> None:
    """The first window would be lost if it has left no state."""
    found = folded(at(7, 14, done=(2,)), start=span(0, 0)[0])
    later = folded(at(7, 14, done=(2,)), start=span(8, 8)[0])

    assert (at(0, 0, beyond=(span(7, 14),)), (span(0, 7),)) == (found.at, found.holes)
    assert at(7, 14, done=(2,)) == later.at


def test_a_merged_state_can_be_merged_again() -> None:
    """Windows that end later could not be added."""
    before = merged(at(0, 7, done=(1,)), at(14, 21, done=(3,)), at(28, 35))

    assert at(0, 21, beyond=(span(28, 35),)) == replace(merged(before, at(7, 14, done=(2,))), done=())
    assert before == merged(before)


def test_the_last_bundles_of_all_that_end_together_are_done() -> None:
    """Bundles with one Stop would be written again."""
    assert (1, 2) == merged(at(0, 7, done=(1,)), at(3, 7, done=(2, 1))).done
    # one of them says: all that end there
    assert () == merged(at(0, 7, done=(1,)), at(3, 7)).done
    # one that has just begun there says nothing
    assert (1,) == merged(at(0, 7, done=(1,)), at(7, 7)).done


def test_gaps_stay_gaps() -> None:
    """A bundle that comes late would never be read."""
    found = folded(at(0, 7, gaps=(span(1, 2),), done=(1,)), at(14, 21, gaps=(span(15, 16), span(20, 21)), done=(3,)))

    assert (span(1, 2),) == found.at.gaps
    assert (span(14, 15), span(16, 20)) == found.at.beyond
    assert (span(7, 14), span(15, 16)) == found.holes


def test_a_gap_that_another_run_has_filled_is_none() -> None:
    """An old state among the files would make what came late be written twice."""
    assert () == merged(at(0, 7, gaps=(span(1, 2),)), at(1, 2)).gaps
    assert () == merged(at(0, 7, gaps=(span(1, 2),), done=(1,)), at(0, 14, done=(2,))).gaps


def test_a_bundle_that_is_begun_where_the_rest_ends_is_gone_on_with() -> None:
    """Its events would be written twice."""
    begun = (5, Position(10, 100, 7))

    first = folded(at(0, 7, done=(1,), partial=begun), at(14, 21))
    second = folded(at(0, 7, done=(1,)), at(7, 7, partial=begun))

    assert begun == first.at.partial == second.at.partial
    assert () == first.warnings == second.warnings


def test_a_bundle_that_is_begun_elsewhere_is_warned_of() -> None:
    """Events would be there twice without a word."""
    found = folded(at(0, 7, done=(1,)), at(14, 15, partial=(5, Position(10, 100, 7))))

    assert None is found.at.partial
    (line,) = found.warnings
    assert "1.json" in line and "bundle 5" in line and "up to 10 records" in line


def export(start: float, stop: float, operation: str, request: str = "") -> Export:
    return Export(span(start, stop), operation, request)


def test_exports_that_are_paid_for_are_used() -> None:
    """Each would be made, and counted, once more."""
    one, other, used = export(7, 8, "a"), export(9, 10, "b"), export(14, 15, "c")

    found = folded(at(0, 7, exports=(one,)), at(14, 15), at(8, 9, exports=(other, used)))

    assert (one, other) == found.at.exports
    assert () == found.warnings


def test_exports_of_other_columns_are_not_mixed() -> None:
    """Columns would be missing in some windows."""
    found = folded(at(0, 7, exports=(export(7, 8, "a", "x"),)), at(8, 9, exports=(export(9, 10, "b", "y"),)))

    assert () == found.at.exports
    assert 1 == len(found.warnings)


def test_what_was_read_last_of_each_bundle_is_kept() -> None:
    """Bundles that have not changed would be written again."""
    one, other = Content(T0, 1, 2), Content(T0 + 1, 3, 4)

    assert None is merged(at(0, 7), at(7, 8)).contents
    assert {1: one, 2: other} == merged(at(0, 7, contents={2: other}), at(7, 8, contents={1: one})).contents


def test_a_merged_state_stays_small() -> None:
    """Orchestrators that keep it in a column or a variable would cut it off."""
    number = 300
    marks = [at(3 * one, 3 * one + 1, gaps=(), contents={}) for one in range(1, number)]
    gaps = tuple(span(one / number, (one + 0.5) / number) for one in range(number))
    contents = {2**63 - 1 - one: Content(T0 + one, 10_000_000, 2**63 - 1 - one) for one in range(number)}
    exports = tuple(export(3 * one + 1.5, 3 * one + 2.5, f"{one:032}") for one in range(number))

    found = folded(*marks, at(0, 1, gaps=gaps, contents=contents, exports=exports))

    at_last = found.at
    assert (MOST_GAPS, MOST_CONTENTS) == (len(at_last.gaps), len(at_last.contents or ()))
    assert (MOST_BEYOND, MOST_EXPORTS) == (len(at_last.beyond), len(at_last.exports))
    assert span(3, 4) == at_last.beyond[0]
    assert len(json.dumps(at_last.to_json())) < 16 * 1024
    lines = " ".join(found.warnings)
    assert "gaps" in lines and "exports" in lines and "from 2024-06-02T00:00:00Z on is read again" in lines


# Whole states ---------------------------------------------------------------------------------------------------------


def files(*bookmarks: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{number}.json", one) for number, one in enumerate(bookmarks)]


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_streams_that_follow_the_events_are_merged_like_them(caplog: pytest.LogCaptureFixture) -> None:
    """The log of bundles would be read again, or end too early; or each line come twice."""
    caplog.set_level(logging.INFO)
    first, second = at(0, 7, done=(1,)).to_json(), at(8, 14, done=(2,)).to_json()

    state = merge(files({"events": first, "bundles": first}, {"events": second, "bundles": second}))

    whole = at(0, 7, done=(1,), beyond=(span(8, 14),)).to_json()
    assert {"bookmarks": {"events": whole, "bundles": whole}} == state
    assert ["Not written yet: 2024-01-08T00:00:00Z to 2024-01-09T00:00:00Z."] == lines_of(caplog)


def test_each_gap_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody would know what is missing."""
    merge(files({"events": at(0, 7, done=(1,), gaps=(span(1, 2), span(3, 4))).to_json()}))

    first, second = lines_of(caplog)
    assert "2024-01-02T00:00:00Z to 2024-01-03T00:00:00Z" in first
    assert "2024-01-04T00:00:00Z to 2024-01-05T00:00:00Z" in second


def test_states_of_windows_that_have_not_begun(caplog: pytest.LogCaptureFixture) -> None:
    """One worker that has done nothing yet would keep all others waiting."""
    first = at(0, 7, done=(1,)).to_json()

    assert {"bookmarks": {"events": first}} == merge(files({}, {"events": first}, {"events": None}, {"events": {}}))
    assert {"bookmarks": {}} == merge(files({}, {}))
    assert [] == lines_of(caplog)


def test_other_streams_keep_their_bookmarks(caplog: pytest.LogCaptureFixture) -> None:
    """A stream would start over, or a choice be made in silence."""
    state = merge(files({"users": 1, "segments": 5}, {"segments": 5}, {"users": 2}))

    assert {"bookmarks": {"users": 2, "segments": 5}} == state
    (line,) = lines_of(caplog)
    assert '"users"' in line and "2.json" in line


# Any states -----------------------------------------------------------------------------------------------------------

days = st.integers(0, 40)
pairs = st.tuples(days, days).map(sorted)


def bookmark(window: list[int], gaps: Iterable[list[int]], beyond: Iterable[list[int]]) -> EventsBookmark:
    """One that says, as far as it may, what it is given."""
    found = at(*window)
    for start, stop in gaps:
        found = replace(found, gaps=spans.between(spans.add(found.gaps, span(start, stop)), found.since, found.until))
    for start, stop in beyond:
        found = replace(found, beyond=spans.between(spans.add(found.beyond, span(start, stop)), found.until, None))
    return replace(found, beyond=tuple(one for one in found.beyond if one[0] > found.until))


bookmarks = st.builds(bookmark, pairs, st.lists(pairs, max_size=3), st.lists(pairs, max_size=3))


def written(one: EventsBookmark, day: int) -> bool:
    """Whether a bookmark says that this day is written."""
    noon = span(day + 0.5, day + 0.5)[0]
    inside = [(one.since, one.until), *one.beyond]
    return any(a <= noon < b for a, b in inside) and not any(a <= noon < b for a, b in one.gaps)


@given(st.lists(bookmarks, min_size=1, max_size=6))
def test_a_day_is_written_if_any_of_them_has_written_it(found: list[EventsBookmark]) -> None:
    """Events would be lost, or written twice."""
    whole = merged(*found)

    assert [any(written(one, day) for one in found) for day in range(41)] == [written(whole, day) for day in range(41)]
    assert whole.since == min(one.since for one in found)
    assert all(a > whole.until for a, _ in whole.beyond)
    assert all(whole.since <= a and b <= whole.until for a, b in whole.gaps)
    assert whole == parse_events_bookmark(whole.to_json())


@given(st.lists(bookmarks, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_files_does_not_matter(found: list[EventsBookmark], random: Any) -> None:
    """`state-*.json` would mean something else than the same files by name."""
    others = [*found]
    random.shuffle(others)

    assert merged(*found) == merged(*others)
    assert merged(*found) == merged(merged(*found), *found)
