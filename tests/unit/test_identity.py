"""`event_id` is what was published, and equal for what is the same event."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import pytest

from tap_fullstory import dictionary
from tap_fullstory.bundles import check, read_chunks
from tap_fullstory.identity import event_id
from tap_fullstory.layout import Layout
from tap_fullstory.records import ALL, EventReader
from tap_fullstory.report import Report
from tests.unit import judge

VECTORS = json.loads((Path(__file__).parents[1] / "resources" / "event_id_vectors.json").read_text("utf-8"))["vectors"]
COLUMNS = tuple(one.name for one in dictionary.columns(event_key=True))
START = "2024-01-01T00:00:00Z"


def key_of(event: str) -> str:
    file = BytesIO(f"[{event}]".encode())
    reader = EventReader(Layout(COLUMNS, ()), 1, ALL, Report())
    (chunk,) = read_chunks(file, check(file, 10))
    key = json.loads(reader.from_events(chunk, START).lines)["event_id"]
    assert isinstance(key, str)
    return key


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["case"] for vector in VECTORS])
def test_published_keys_never_change(vector: dict[str, str]) -> None:
    """Every event read again with this version would be in the warehouse twice."""
    assert vector["event_id"] == key_of(vector["event"])


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["case"] for vector in VECTORS])
def test_published_keys_follow_the_published_definition(vector: dict[str, str]) -> None:
    """Nobody else could compute the key from its definition."""
    assert vector["event_id"] == judge.event_id(judge.read_events(f"[{vector['event']}]".encode())[0])


def test_published_keys_are_as_alike_as_their_events() -> None:
    """The vectors would prove less than they seem to."""
    keys = {vector["case"]: vector["event_id"] for vector in VECTORS}

    same = [
        keys["plain"],
        keys["what settles later does not count"],
        keys["an offset and zeros at the end of the fraction"],
    ]
    assert 1 == len(set(same))
    assert len(keys) - 2 == len(set(keys.values()))


@pytest.mark.parametrize(
    "one, other",
    [
        ('{"UserId":12}', '{"UserId":"12"}'),
        ('{"UserId":12}', '{"UserId":12.0}'),
        ('{"EventType":"5"}', '{"EventType":5}'),
        ('{"EventType":"a"}', '{"EventSubType":null,"EventType":"a","PageUrl":"b","user_x":1,"page_y":2,"IndvId":3}'),
        ('{"EventStart":"2024-01-01T00:00:00Z"}', '{"EventStart":"2024-01-01T01:00:00.000000+01:00"}'),
        ('{"EventStart":"2024-01-01T00:00:00.12Z"}', '{"EventStart":"2024-01-01 00:00:00.120"}'),
        ('{"EventStart":"2024-01-01T00:00:10Z"}', '{"EventStart":"2024-01-01T00:00:10.0Z"}'),
        ('{"evt_a":1,"evt_b":{"x":1,"y":2}}', '{"evt_b":{"y":2.0,"x":1,"z":null},"evt_a":1e0}'),
        ('{"evt_a":9223372036854775000}', '{"evt_a":9223372036854775000}'),
        ('{"evt_a":-0.0}', '{"evt_a":0}'),
        ('{"evt_a":"\\u0000"}', '{"evt_a":"\\ufffd"}'),
    ],
)
def test_the_same_event_has_one_key(one: str, other: str) -> None:
    """An event read from another source, or later, would be in the warehouse twice."""
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(
    "one, other",
    [
        ('{"UserId":9007199254740993}', '{"UserId":9007199254740992}'),
        ('{"UserId":1}', '{"SessionId":1}'),
        ('{"EventType":"a"}', '{"EventSubType":"a"}'),
        ('{"EventStart":"2024-01-01T00:00:00.1Z"}', '{"EventStart":"2024-01-01T00:00:00.01Z"}'),
        ('{"EventStart":"2024-01-01T00:00:10Z"}', '{"EventStart":"2024-01-01T00:00:01Z"}'),
        ('{"evt_a":"1"}', '{"evt_a":1}'),
        ('{"evt_a":true}', '{"evt_a":1}'),
        ('{"evt_a":[1,2]}', '{"evt_a":[2,1]}'),
        ('{"evt_a":[null]}', '{"evt_a":[]}'),
        ('{"evt_a":0.1}', '{"evt_a":0.10000000000000002}'),
        ('{"evt_a":1}', '{"evt_A":1}'),
        ('{"UserId":"a"}', '{"UserId":"b"}'),
    ],
)
def test_different_events_have_different_keys(one: str, other: str) -> None:
    """A target that upserts would replace one event by another."""
    assert key_of(one) != key_of(other)


def test_a_key_is_32_hexadecimal_digits() -> None:
    """A column for the key would be too narrow."""
    key = event_id({"EventType": "a"})

    assert 32 == len(key)
    assert set(key) <= set("0123456789abcdef")
