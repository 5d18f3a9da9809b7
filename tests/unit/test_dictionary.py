"""The columns are the documented fields, in types that every target takes."""

from __future__ import annotations

import pytest

from tap_fullstory import dictionary
from tap_fullstory.dictionary import FIELDS, Kind
from tests.unit import judge


def test_the_columns_are_the_documented_fields() -> None:
    """A field would miss its column, or have the wrong type for ever: columns cannot be changed later."""
    expected = {
        **dict.fromkeys(judge.INTEGERS, Kind.INTEGER),
        **dict.fromkeys(judge.NUMBERS, Kind.NUMBER),
        **dict.fromkeys(judge.TIMES, Kind.TIMESTAMP),
        **dict.fromkeys(judge.TEXTS, Kind.STRING),
    }

    assert expected == {one.name: one.kind for one in FIELDS}
    assert len(expected) == len(FIELDS)


@pytest.mark.parametrize("event_key", [False, True])
def test_the_schema_is_flat_with_one_type_each(event_key: bool) -> None:
    """Targets would refuse the stream, or make a column of the wrong width."""
    schema = dictionary.schema(event_key=event_key)
    shapes = {
        name: {key: value for key, value in one.items() if key != "description"}
        for name, one in schema["properties"].items()
    }
    number, time = {"type": ["null", "number"]}, {"type": ["null", "string"], "format": "date-time"}
    text = {"type": ["null", "string"]}
    integer = {"type": ["null", "integer"], "minimum": -(2**63), "maximum": 2**63 - 1}

    assert {
        **({"event_id": text} if event_key else {}),
        **dict.fromkeys(judge.TEXTS, text),
        **dict.fromkeys(judge.INTEGERS, integer),
        **dict.fromkeys(judge.NUMBERS, number),
        **dict.fromkeys(judge.TIMES, time),
        "CustomVars": text,
        "_bundle_id": integer,
    } == shapes
    assert "object" == schema["type"]


@pytest.mark.parametrize(
    "name, kind",
    [
        ("user_plan_str", Kind.STRING),
        ("evt_order.items_int", Kind.INTEGER),
        ("evt_total_real", Kind.NUMBER),
        ("is_on_bool", Kind.BOOLEAN),
        ("user_since_date", Kind.TIMESTAMP),
        *((f"evt_x_{ending}s", Kind.JSON) for ending in ("str", "int", "real", "bool", "date")),
        ("evt_x", Kind.STRING),
        ("evt_x_INT", Kind.STRING),
        ("evt_x_int_", Kind.STRING),
        ("int", Kind.STRING),
        ("_int", Kind.INTEGER),
    ],
)
def test_the_type_of_a_custom_column_follows_from_its_name(name: str, kind: Kind) -> None:
    """A column would have another type than its values, and all of them would move into CustomVars."""
    assert kind == dictionary.custom_field(name, "a").kind


@pytest.mark.parametrize(
    "variable, column",
    [
        ("user_plan_str", "user_plan_str"),
        ("evt_order.total_real", "evt_order_total_real"),
        ('a."\\\n\x7f.b', "a______b"),
        ("x" * 70, "x" * 63),
        ("é" * 40, "é" * 31),
        ("größe 🍓", "größe 🍓"),
    ],
)
def test_names_of_columns_are_such_as_every_target_takes(variable: str, column: str) -> None:
    """A target would take a dot for a step of a path, or cut two names to the same one."""
    assert column == dictionary.column_name(variable)


def test_custom_columns_stand_between_the_documented_and_the_taps_own() -> None:
    """Columns of a table would come in another order for each run."""
    own = [dictionary.custom_field("b_bool", "b"), dictionary.custom_field("a_strs", "a")]

    properties = dictionary.schema(event_key=True, custom=own)["properties"]

    assert ["b", "a", "CustomVars", "_bundle_id"] == list(properties)[-4:]
    assert [["null", "boolean"], ["null", "string"]] == [properties[name]["type"] for name in ("b", "a")]
    assert "b_bool" in properties["b"]["description"]


def test_no_two_columns_differ_in_case_alone() -> None:
    """A warehouse that ignores case could not make the table."""
    names = [one.name.lower() for one in dictionary.columns(event_key=True)]

    assert len(set(names)) == len(names)


def test_every_field_has_a_meaning_in_one_line() -> None:
    """The catalog would leave people guessing."""
    for one in dictionary.columns(event_key=True):
        assert one.meaning and "\n" not in one.meaning
