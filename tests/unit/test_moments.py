"""Moments are exact to the nanosecond."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory.moments import SECOND, are_utc, comparable, parse_moment, to_text, to_utc
from tests.unit import event_texts, judge

TIMES = [json.loads(text) for text in event_texts.TIMES]
NO_TIMES = [json.loads(text) for text in event_texts.NO_TIMES]
LEAST, GREATEST = parse_moment("0001-01-01"), parse_moment("9999-12-31T23:59:59.999999999Z")
moments = st.integers(LEAST, GREATEST)


@pytest.mark.parametrize(
    "text, moment",
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T00:00:00.0000000019Z", 1),
        ("1969-12-31T23:59:59.5Z", -SECOND // 2),
        ("2024-02-29T01:00:00+01:00", 1_709_164_800 * SECOND),
        ("2024-02-29 00:00:00", 1_709_164_800 * SECOND),
    ],
)
def test_texts_become_moments(text: str, moment: int) -> None:
    """Bounds would lie somewhere else than their text says."""
    assert moment == parse_moment(text)


@pytest.mark.parametrize("text", ["2024", "2024-1-1", "2024-02-30", "1704067200", "today", *NO_TIMES[3:]])
def test_other_texts_are_no_moments(text: str) -> None:
    """A mistyped date would be taken for another one."""
    with pytest.raises(ValueError, match=re.escape(text)):
        parse_moment(text)


@given(moments)
def test_a_moment_comes_back_from_its_text(moment: int) -> None:
    """Each run would begin a bit earlier or later than the last one ended."""
    assert moment == parse_moment(to_text(moment))
    assert to_text(moment) == to_utc(to_text(moment))


@given(st.lists(moments | st.sampled_from([parse_moment(text) for text in TIMES]), min_size=2, max_size=2))
def test_texts_compare_as_their_moments(both: list[int]) -> None:
    """An event beside a bound would fall on its wrong side."""
    one, other = both

    assert (one < other) == (comparable(one) < comparable(other))


@pytest.mark.parametrize("text", TIMES)
def test_times_are_brought_to_utc(text: str) -> None:
    """The warehouse would hold times that cannot be compared."""
    assert judge.utc(text) == to_utc(text)


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_told(text: str) -> None:
    """A target that checks times would end the run."""
    assert to_utc(text) is None


near = st.sampled_from(
    ["2024-01-01T00:00:00Z", "2024-01-01", "T00:00:00Z", "2024-01-01T00:00:00.", "1Z", "20240101", ""]
)
alike = st.from_regex(
    r"(2024-02-(29|30)T[0-2][039]:[0-9]0:[0-6]9(\.\d{3})?Z|2024-02-29T23:00:00|Z2024-02-29T23:00:00Z)", fullmatch=True
)


@given(st.lists(near | st.sampled_from([*TIMES, *NO_TIMES]), max_size=4) | st.lists(alike, max_size=4))
def test_looking_at_many_times_at_once_sees_what_looking_at_each_sees(texts: list[str]) -> None:
    """Texts that make times only when joined would pass for times."""
    assert all(text == to_utc(text) for text in texts) == are_utc(texts)
