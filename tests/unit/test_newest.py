"""Lists that are read newest first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory.newest import Newest

moments = st.integers(0, 12).map(lambda minute: f"2024-01-01T00:{minute:02}:00Z")


def listed(pairs: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """A list as the API gives it: the newest first."""
    return [{"at": at, "id": str(number)} for at, number in sorted(pairs, reverse=True)]


@given(st.lists(st.tuples(moments, st.integers(0, 3)), unique=True), st.data())
def test_whatever_comes_when_each_is_read_once(pairs: list[tuple[str, int]], data: st.DataObject) -> None:
    """What is created in the same moment as the newest one known would be lost, or come twice."""
    pairs.sort(key=lambda pair: pair[0])
    bookmark = None
    read: list[dict[str, Any]] = []
    end = 0
    while end < len(pairs):
        end = data.draw(st.integers(end + 1, len(pairs)))
        newest = Newest(bookmark, "at", "id")
        rest = listed(pairs[:end])
        while rest and not newest.is_passed:
            page, rest = rest[:2], rest[2:]
            read += newest.new(page)
        bookmark = newest.bookmark

    assert sorted(map(repr, listed(pairs))) == sorted(map(repr, read))


def test_times_compare_as_times() -> None:
    """Text sorts `.5Z` before `Z`: a version would be taken for known."""
    newest = Newest(["2024-01-01T00:00:00Z", ""], "at", "id")

    later, known = ({"at": f"2024-01-01T00:00:00{fraction}Z", "id": fraction} for fraction in (".5", ""))

    assert [later] == newest.new([later, known])
    assert (True, False) == (newest.is_reached, newest.is_passed)
    assert ["2024-01-01T00:00:00.5Z", ".5"] == newest.bookmark


@pytest.mark.parametrize("bookmark", [None, [], "x", {}, [None], ["soon", "1"], [1, 2], ["", "1"]])
def test_a_bookmark_that_is_none_means_from_the_beginning(bookmark: Any) -> None:
    """A state that somebody has edited would end the run, or hide everything."""
    one = {"at": "2024-01-01T00:00:00Z", "id": "1"}

    assert [one] == Newest(bookmark, "at", "id").new([one])
