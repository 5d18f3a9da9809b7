"""The fast path expects the names that events had so far, and no more of them than are fast."""

from __future__ import annotations

import msgspec
import pytest

from tap_fullstory import dictionary, layout
from tap_fullstory.layout import Layout

ALL = tuple(one.name for one in dictionary.columns(event_key=False))
ALL_AND_KEY = tuple(one.name for one in dictionary.columns(event_key=True))


def expects(one: Layout, event: bytes) -> bool:
    assert one.shape is not None
    try:
        one.shape.decode(b"[%b]" % event)
    except msgspec.ValidationError:
        return False
    return True


def test_names_are_expected_once_they_were_met() -> None:
    """Every event with a custom variable would take the slower path for ever."""
    one = Layout(ALL, ())
    event = b'{"EventStart":"2024-01-01T00:00:00Z","PageUrl":"","evt_order.total_real":1.5}'

    assert not expects(one, event)
    one.learn([{"EventStart": "", "PageUrl": "", "evt_order.total_real": 1.5}])
    assert expects(one, event)
    assert not expects(one, b'{"evt_other_str":""}')


def test_a_type_is_made_ever_more_seldom() -> None:
    """An account with a new name in every bundle would spend its time on types that are used once."""
    one = Layout(ALL, ())
    shapes = []
    for number in range(64):
        one.learn([{f"evt_{number}": number}])
        shapes.append(one.shape)

    assert 7 == len({id(shape) for shape in shapes}), "after 1, 2, 4, 8, 16, 32 and 64 misses"


def test_a_type_is_kept_when_nothing_new_was_met() -> None:
    """The same type would be made again and again."""
    one = Layout(ALL, ())
    one.learn([{"evt_a": 1}])
    shape = one.shape
    one.learn([{"evt_a": 2}])

    assert shape is one.shape


def test_too_many_names_end_the_learning(monkeypatch: pytest.MonkeyPatch) -> None:
    """A type of thousands of members would be slower than none."""
    monkeypatch.setattr(layout, "MOST_NAMES", 10)
    one = Layout(ALL, ())
    names = [f"evt_{number}" for number in range(1000)]
    one.learn([dict.fromkeys(names[:10])])
    assert one.shape is not None

    one.learn([dict.fromkeys(names)])
    assert one.shape is None

    one.learn([dict.fromkeys(names[:1])])
    assert one.shape is None


@pytest.mark.parametrize(
    "name", ["", 'quote"', "back\\slash", "line\nend", "nul\0", "x" * 256, *sorted(layout._RESERVED)]
)
def test_names_that_a_type_cannot_have_are_passed_over(name: str) -> None:
    """The tap would die of a name that somebody gave to a variable."""
    one = Layout(ALL_AND_KEY, ())
    one.learn([{name: 1, "evt_a": 1}])

    assert expects(one, b'{"evt_a":1}')


@pytest.mark.parametrize("name", ["größe", "🍓", "extra0", "class", "with blank", "dots.and-dashes", "x" * 255])
def test_any_other_name_is_expected(name: str) -> None:
    """Variables with such names would be slow, or mistaken for one another."""
    one = Layout(ALL, ())
    one.learn([{name: 1, "aaa": 2}])

    assert expects(one, msgspec.json.encode({name: 1, "aaa": 2}))


def test_a_variable_with_a_column_is_expected_under_its_own_name() -> None:
    """The column would be filled by another variable that happens to have its name, or stay empty."""
    own = [dictionary.custom_field("evt_a.b_int", "n"), dictionary.custom_field("evt_c_int", "evt_c_int")]
    one = Layout((*ALL, "n", "evt_c_int"), (), own)
    one.learn([{"evt_a.b_int": 1, "evt_c_int": 2, "n": 3, "evt_d": 4}])

    assert expects(one, b'{"evt_a.b_int":1,"evt_c_int":2,"evt_d":4}')
    assert not expects(one, b'{"evt_a.b_int":"1"}')
    assert not expects(one, b'{"n":1}')


@pytest.mark.parametrize(
    "own",
    [
        {"CustomVars": "theirs"},
        {"_rest": "theirs"},
        {"a": "_rest"},
        {'quote"': "a"},
        {"a": "b", "b": "c"},
        {"x" * 256: "a"},
    ],
)
def test_names_of_which_no_type_can_be_made_are_read_one_by_one(own: dict[str, str]) -> None:
    """The tap would die of a name that somebody gave a column."""
    one = Layout((*ALL, *own.values()), (), [dictionary.custom_field(*names) for names in own.items()])

    assert one.shape is None and one.convert is None


def test_nothing_is_expected_if_what_identifies_an_event_has_no_type() -> None:
    """With an old catalog an event would get another key than with a new one."""
    assert Layout(ALL_AND_KEY, ("UserId",)).shape is None
    assert Layout(ALL, ("UserId",)).shape is not None


def test_nothing_is_expected_without_the_column_that_stands_before_the_marks() -> None:
    """A record would hold a mark, or lose what stands behind it."""
    assert Layout(tuple(name for name in ALL if name != "_bundle_id"), ()).shape is None
