"""The events bookmark moves only over what is written, and comes back from JSON as it went."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import spans
from tap_fullstory.bundles import BEGINNING, Bundle, Position
from tap_fullstory.errors import StateError
from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.state import (
    MOST_BEYOND,
    MOST_CONTENTS,
    MOST_GAPS,
    Content,
    EventsBookmark,
    parse_bookmarks,
    parse_events_bookmark,
    read_bookmarks,
)

T0 = 1_704_067_200  # 2024-01-01T00:00:00Z
MEMBERS = ["since", "until", "done", "partial", "gaps", "exports"]


def at(seconds: int, **members: Any) -> EventsBookmark:
    return EventsBookmark(since=T0 * SECOND, until=(T0 + seconds) * SECOND, **members)


def bundle(start: int, stop: int, number: int = 1) -> Bundle:
    return Bundle(number, T0 + start, T0 + stop)


def test_a_finished_bundle_moves_until_to_its_stop() -> None:
    """The bundle would be read again, or the next one never."""
    moved = at(0).after(bundle(0, 10, 7))

    assert at(10, done=(7,)) == moved
    assert moved.is_done(bundle(0, 10, 7))
    assert not moved.is_done(bundle(0, 10, 8))
    assert moved.is_done(bundle(0, 9, 8))
    assert not moved.is_done(bundle(5, 11, 8))


def test_bundles_with_one_stop_are_finished_one_by_one() -> None:
    """Of several bundles with one Stop, only the first would be read."""
    moved = at(0).after(bundle(0, 10, 7)).after(bundle(0, 10, 8))

    assert at(10, done=(7, 8)) == moved
    assert moved.is_done(bundle(0, 10, 8))
    assert not moved.is_done(bundle(0, 10, 9))
    assert at(20, done=(9,)) == moved.after(bundle(10, 20, 9))


def test_without_ids_all_that_ends_at_until_is_finished() -> None:
    """After a cut at a date, or with a state of version 1, the last bundle would be doubled."""
    assert at(10).is_done(bundle(0, 10))
    assert not at(10).is_done(bundle(0, 11))


def test_inside_a_bundle_until_stays() -> None:
    """A crash in the middle of a bundle would lose its other half."""
    position = Position(5, 500, 12345)

    moved = at(10, done=(1,)).inside(bundle(10, 20, 2), position)

    assert at(10, done=(1,), partial=(2, position)) == moved
    assert position == moved.resume(bundle(10, 20, 2))
    assert BEGINNING == moved.resume(bundle(10, 20, 3))
    assert BEGINNING == at(10).resume(bundle(10, 20, 2))
    assert at(20, done=(2,)) == moved.after(bundle(10, 20, 2))


def test_a_late_bundle_of_the_last_stop_leaves_the_begun_one_begun() -> None:
    """What was written of the begun bundle would be written again."""
    begun = at(10, done=(1,), partial=(2, Position(5, 500, 1)))

    assert at(10, done=(1, 3), partial=begun.partial) == begun.after(bundle(0, 10, 3))


def test_finishing_another_bundle_forgets_the_begun_one() -> None:
    """A position would be used for a bundle that is not listed any more."""
    assert at(20, done=(3,)) == at(10, partial=(2, Position(5, 500, 1))).after(bundle(10, 20, 3))


def test_a_date_moves_until_forward_only() -> None:
    """A bounded backfill would end before its end, or take back what is written."""
    begun = at(10, done=(1,), partial=(2, Position(5, 500, 1)))

    assert at(15, partial=begun.partial) == begun.at((T0 + 15) * SECOND)
    assert begun == begun.at((T0 + 10) * SECOND)
    assert begun == begun.at((T0 + 5) * SECOND)


numbers = st.integers(0, 2**63 - 1)
moments = st.integers(0, 250_000_000_000 * SECOND).map(lambda one: one - 62_000_000_000 * SECOND)


def in_pairs(moments: list[int]) -> tuple[tuple[int, int], ...]:
    """Spans apart from each other."""
    moments.sort()
    return tuple(zip(moments[::2], moments[1::2], strict=False))


bookmarks = st.builds(
    lambda one, other, done, partial, gaps, contents, beyond: EventsBookmark(
        min(one, other),
        max(one, other),
        done,
        partial,
        gaps,
        contents=contents,
        beyond=spans.between(beyond, max(one, other), None),
    ),
    moments,
    moments,
    st.lists(numbers, max_size=3).map(tuple),
    st.none() | st.tuples(numbers, st.builds(Position, numbers, numbers, st.integers(0, 2**32 - 1))),
    st.lists(moments, max_size=6, unique=True).map(in_pairs),
    st.none() | st.dictionaries(numbers, st.builds(Content, numbers, numbers, numbers), max_size=3),
    st.lists(moments, max_size=6, unique=True).map(in_pairs),
)


@given(bookmarks)
def test_a_bookmark_comes_back_as_it_went(bookmark: EventsBookmark) -> None:
    """The next run would begin somewhere else."""
    written = json.loads(json.dumps(bookmark.to_json()))

    assert MEMBERS == [name for name in written if name not in {"contents", "beyond"}]
    assert bool(bookmark.beyond) == ("beyond" in written)
    assert bookmark == parse_events_bookmark(written)


def test_merging_states_deeply_brings_nothing_back_that_is_over() -> None:
    """What an orchestrator keeps of an earlier state would make the tap pass over what nobody has read."""
    earlier = at(10, beyond=(((T0 + 20) * SECOND, (T0 + 30) * SECOND),))
    later = earlier.after(bundle(10, 20, 1)).after(bundle(20, 30, 2))

    assert "beyond" in earlier.to_json() and "beyond" not in later.to_json()
    assert later == parse_events_bookmark({**earlier.to_json(), **later.to_json()})


def beyond(*pairs: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(((T0 + start) * SECOND, (T0 + stop) * SECOND) for start, stop in pairs)


def test_what_is_written_beyond_is_forgotten_once_until_has_passed_it() -> None:
    """The state would grow, or a bundle be passed over that came later."""
    begun = at(10, beyond=beyond((20, 30), (40, 50)))

    assert beyond((40, 50)) == begun.after(bundle(10, 30)).beyond
    assert beyond((25, 30), (40, 50)) == begun.after(bundle(10, 25)).beyond
    assert beyond((45, 50)) == begun.at((T0 + 45) * SECOND).beyond
    assert begun.beyond == begun.inside(bundle(10, 60), Position(1, 2, 3)).beyond
    assert beyond((20, 25)) == begun.unread_from((T0 + 25) * SECOND).beyond


def test_which_bundles_are_written_beyond() -> None:
    """Bundles would be read twice, or never."""
    begun = at(10, beyond=beyond((10, 12), (20, 30)), gaps=beyond((2, 4)))

    inside = [(20, 30), (22, 25), (5, 12), (10, 12), (25, 25)]
    outside = [(19, 30), (20, 31), (30, 40), (0, 12), (0, 10), (5, 8), (15, 15)]
    assert [True] * len(inside) == [begun.is_beyond(bundle(*one)) for one in inside]
    assert [False] * len(outside) == [begun.is_beyond(bundle(*one)) for one in outside]


@given(bookmarks)
def test_merging_states_deeply_gives_the_later_one(bookmark: EventsBookmark) -> None:
    """An orchestrator that merges states would keep a position of a bundle that is finished."""
    earlier = at(10, done=(1, 2, 3), partial=(4, Position(1, 2, 3)), gaps=((5, 7),)).to_json()

    merged = {**earlier, **bookmark.to_json()}

    assert ("contents" in merged) == (bookmark.contents is not None)
    assert bookmark == parse_events_bookmark(merged)
    assert not any(isinstance(value, dict) for value in bookmark.to_json().values())


def test_the_shape_of_the_state() -> None:
    """Other programs that read the state would not understand it."""
    bookmark = EventsBookmark(
        since=T0 * SECOND,
        until=(T0 + 60) * SECOND + 500_000_000,
        done=(170916480048,),
        partial=(170924400048, Position(12, 3456, 789)),
    )

    assert {
        "since": "2024-01-01T00:00:00Z",
        "until": "2024-01-01T00:01:00.5Z",
        "done": [170916480048],
        "partial": [170924400048, 12, 3456, 789],
        "gaps": [],
        "exports": [],
    } == bookmark.to_json()


def test_the_state_stays_small() -> None:
    """Orchestrators that keep it in a column or a variable would cut it off."""
    bookmark = at(0, contents={})
    for number in range(10_000):
        one = bundle(100 * number, 100 * number + 50, 2**63 - 1 - number)
        bookmark = bookmark.missing(((T0 + 100 * number) * SECOND + 1, (T0 + 100 * number + 50) * SECOND + 1))
        bookmark = bookmark.without(bookmark.gaps[:-MOST_GAPS])
        bookmark = bookmark.after(one).holds(one, Content(one.stop, 10_000_000, 2**63 - 1 - number))
    far = 200 * number
    bookmark = replace(bookmark, beyond=beyond(*((far + 2 * one, far + 2 * one + 1) for one in range(MOST_BEYOND))))

    assert (MOST_GAPS, MOST_CONTENTS) == (len(bookmark.gaps), len(bookmark.contents or ()))
    assert max(bookmark.contents or ()) - min(bookmark.contents or ()) < MOST_CONTENTS
    assert len(json.dumps(bookmark.to_json())) < 16 * 1024


@pytest.mark.parametrize("value", [None, {}])
def test_no_bookmark_yet(value: Any) -> None:
    """A first run with an empty state would fail."""
    assert parse_events_bookmark(value) is None


@pytest.mark.parametrize("text", ["2024-01-01T00:00:10Z", "2024-01-01T01:00:10+01:00", "2024-01-01T00:00:10"])
def test_a_bookmark_of_version_1_is_understood(text: str) -> None:
    """Whoever comes from tap-fullstory 1.x would start all over."""
    moment = (T0 + 10) * SECOND

    assert EventsBookmark(since=moment, until=moment) == parse_events_bookmark(text)


def test_missing_and_unknown_members_do_no_harm() -> None:
    """A state of an earlier or later version would be refused."""
    assert EventsBookmark(T0 * SECOND, T0 * SECOND) == parse_events_bookmark(
        {"until": "2024-01-01T00:00:00Z", "since": None, "done": None, "new": {"a": 1}}
    )


@pytest.mark.parametrize(
    "value",
    [
        5,
        True,
        [],
        "soon",
        "",
        {"since": "2024-01-01T00:00:00Z"},
        {"until": None},
        {"until": 5},
        {"until": "2024-13-01T00:00:00Z"},
        {"until": "2024-01-01T00:00:00Z", "since": "2024-01-02T00:00:00Z"},
        {"until": "2024-01-01T00:00:00Z", "since": []},
        {"until": "2024-01-01T00:00:00Z", "done": 5},
        {"until": "2024-01-01T00:00:00Z", "done": {}},
        {"until": "2024-01-01T00:00:00Z", "done": ["5"]},
        {"until": "2024-01-01T00:00:00Z", "done": [1.5]},
        {"until": "2024-01-01T00:00:00Z", "done": [True]},
        {"until": "2024-01-01T00:00:00Z", "partial": [1, 2, 3]},
        {"until": "2024-01-01T00:00:00Z", "partial": [1, 2, 3, 4, 5]},
        {"until": "2024-01-01T00:00:00Z", "partial": [1, -2, 3, 4]},
        {"until": "2024-01-01T00:00:00Z", "partial": [1, 2, 3, None]},
        {"until": "2024-01-01T00:00:00Z", "partial": "1"},
        {"until": "2024-01-01T00:00:00Z", "gaps": {}},
        {"until": "2024-01-01T00:00:00Z", "gaps": ["2024-01-01T00:00:00Z"]},
        {"until": "2024-01-01T00:00:00Z", "gaps": [["2024-01-01T00:00:00Z"]]},
        {"until": "2024-01-01T00:00:00Z", "gaps": [["2024-01-01T00:00:00Z", 5]]},
        {"until": "2024-01-01T00:00:00Z", "gaps": [["2024-01-02T00:00:00Z", "2024-01-01T00:00:00Z"]]},
        {"until": "2024-01-01T00:00:00Z", "beyond": [["2024-01-02T00:00:00Z", "2024-01-02T00:00:00Z"]]},
        {"until": "2024-01-01T00:00:00Z", "beyond": {}},
        {"until": "2024-01-01T00:00:00Z", "contents": [[1, 2, 3]]},
        {"until": "2024-01-01T00:00:00Z", "contents": [[1, 2, 3, "4"]]},
        {"until": "2024-01-01T00:00:00Z", "contents": {"1": 2}},
        {"until": "2024-01-01T00:00:00Z", "exports": "none"},
    ],
)
def test_a_wrong_bookmark_is_refused(value: Any) -> None:
    """The run would start somewhere else than its state says, or end with a bug."""
    with pytest.raises(StateError) as caught:
        parse_events_bookmark(value)

    assert "\n" not in str(caught.value)
    assert 78 == caught.value.status


@pytest.mark.parametrize("text", ["{}", '{"bookmarks":{}}', '\ufeff{"bookmarks": {}}\n', '{"currently_syncing":null}'])
def test_an_empty_state_holds_no_bookmark(tmp_path: Path, text: str) -> None:
    """The first run of an orchestrator would fail."""
    path = tmp_path / "state.json"
    path.write_text(text, "utf-8")

    assert {} == read_bookmarks(str(path))


def test_bookmarks_of_other_streams_are_kept() -> None:
    """A run that does not select them would set them back."""
    bookmarks = {"users": {"a": [1]}, "events": {}, "unheard_of": 5}

    assert bookmarks == parse_bookmarks({"bookmarks": bookmarks, "currently_syncing": "users"})
    assert {"events": "2024-01-01T00:00:00Z"} == parse_bookmarks({"events": "2024-01-01T00:00:00Z"})


@pytest.mark.parametrize(
    "text, hint",
    [
        ("", "rename"),
        ("   ", "JSON"),
        ("{", "JSON"),
        ('{"bookmarks":{}}\n{"bookmarks":{}}', "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ('"2024-01-01T00:00:00Z"', "object"),
        ('{"bookmarks":[]}', "bookmarks"),
        ('{"bookmarks":null}', "bookmarks"),
        ('{"bookmarks":{"orders":{"id":1}}}', "orders"),
        ('{"orders":"2024-01-01T00:00:00Z"}', "orders"),
        ('{"type":"STATE","value":{"bookmarks":{}}}', "value"),
        ('{"bookmarks":{"events":5}}', "until"),
        ("[" * 100_000, "JSON"),
    ],
)
def test_a_file_that_is_no_state_of_this_tap_is_refused(tmp_path: Path, text: str, hint: str) -> None:
    """All events would be read again and doubled, for a wrong file."""
    path = tmp_path / "state.json"
    path.write_text(text, "utf-8")

    with pytest.raises(StateError, match=hint):
        read_bookmarks(str(path))


@pytest.mark.parametrize("path", ["missing.json", ".", "\0"])
def test_a_state_that_cannot_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A mistyped path would start all over, or end with a bug."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(StateError, match="cannot be read"):
        read_bookmarks(path)


def test_text_of_moments_in_the_state_is_exact() -> None:
    """A bound would move by a rounding."""
    moment = parse_moment("2024-01-01T00:00:00.123456789Z")

    assert "2024-01-01T00:00:00.123456789Z" == to_text(moment)
