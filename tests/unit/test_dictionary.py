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


def test_no_two_columns_differ_in_case_alone() -> None:
    """A warehouse that ignores case could not make the table."""
    names = [one.name.lower() for one in dictionary.columns(event_key=True)]

    assert len(set(names)) == len(names)


def test_every_field_has_a_meaning_in_one_line() -> None:
    """The catalog would leave people guessing."""
    for one in dictionary.columns(event_key=True):
        assert one.meaning and "\n" not in one.meaning
