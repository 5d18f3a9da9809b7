"""What is suggested is a list that the setting takes, and shows nothing that visitors did."""

from __future__ import annotations

import json
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import bundles
from tap_fullstory.bundles import check
from tap_fullstory.config import parse_config, parse_setting
from tap_fullstory.dictionary import custom_field
from tap_fullstory.errors import BundleError
from tap_fullstory.privacy import Privacy
from tap_fullstory.suggest import Seen, look, mask, to_entries, to_text_list
from tests.unit import event_texts, judge


class Spooled:
    """A bundle in the spool folder."""

    def __init__(self, text: bytes) -> None:
        self.file = BytesIO(text)
        self.cuts = check(self.file, 10)


def seen_in(text: bytes) -> Seen:
    spooled: Any = Spooled(text)
    return look(spooled)


@pytest.mark.parametrize("odd", [b"", b',{"evt_b_str":"\\ud800","evt_n_int":1e400}'], ids=["plain", "odd"])
def test_each_variable_is_counted_once_an_event(odd: bytes) -> None:
    """Somebody would give a column to a variable that hardly any event has."""
    events = b'{"UserId":1,"evt_a.b_str":"x","PageUserAgent":"z"},{"evt_a.b_str":null,"evt_c":[]},{"New":{"a":1}}'

    seen = seen_in(b"[%b%b]" % (events, odd))

    assert (3 if not odd else 4) == seen.events
    expected = {"evt_a.b_str": 2, "evt_c": 1, "New": 1}
    assert (expected if not odd else {**expected, "evt_b_str": 1, "evt_n_int": 1}) == seen.counts
    assert ("x", {"a": 1}) == (seen.examples["evt_a.b_str"], seen.examples["New"])
    assert "evt_c" not in seen.examples


@given(event_texts.bundles())
def test_whatever_is_found_the_setting_takes_what_is_suggested(bundle: tuple[bytes, list[bytes]]) -> None:
    """The list that somebody pastes would end the next run with status 78."""
    seen = seen_in(bundle[0])

    entries = json.loads(to_text_list(to_entries(seen, [])))

    fields = parse_setting("custom_columns", entries)
    found = {name for event in judge.read_events(bundle[0]) for name in event} - {*judge.COLUMNS, judge.NEWER_AGENT}
    assert {name for name in found if name and judge.safe(name) == name} == {one.source_names[0] for one in fields}
    assert all("." not in one.name and len(one.name.encode()) <= 63 for one in fields)
    assert entries == to_entries(seen, fields), "what was pasted stays as it is"


def test_columns_that_are_there_stay_and_others_give_way() -> None:
    """Pasting the list would rename or drop columns of a table that is full."""
    own = [custom_field("evt_z_int", "Total"), custom_field("evt_gone_str", "evt_gone_str")]
    seen = Seen(events=9)
    for name in ("evt_z_int", "total", "pageurl", "a.b", "a_b", "A_B", "x" * 70, "x" * 63 + "é", "event_id"):
        seen.counts[name] = 3

    entries = to_entries(seen, own)

    assert [("evt_z_int", "Total", 3), ("evt_gone_str", "evt_gone_str", 0)] == [
        (one["name"], one["column"], one["events"]) for one in entries[:2]
    ]
    assert {
        "A_B": "A_B",
        "a.b": "a_b_2",
        "a_b": "a_b_3",
        "event_id": "event_id_2",
        "pageurl": "pageurl_2",
        "total": "total_2",
        "x" * 70: "x" * 63,
        "x" * 63 + "é": "x" * 61 + "_2",
    } == {one["name"]: one["column"] for one in entries[2:]}
    assert sorted(one["name"] for one in entries[2:]) == [one["name"] for one in entries[2:]]


def test_what_may_not_leave_the_tap_is_not_suggested() -> None:
    """A variable that somebody keeps out would get a column, or be counted by events that are left out."""
    privacy = Privacy(
        parse_config(
            {
                "api_key": "a",
                "event_types": ["click"],
                "custom_vars_exclude": ["user_*"],
                "hash_columns": ["evt_a_int"],
                "hash_key": "k",
            },
            {},
        )
    )
    spooled: Any = Spooled(
        b'[{"EventType":"click","evt_a_int":1,"user_a_str":"x"},{"EventType":"load","evt_b":1},{"evt_c":1}]'
    )

    seen = look(spooled, privacy)

    assert 1 == seen.events
    assert [{"name": "evt_a_int", "column": "evt_a_int", "type": "string", "events": 1}] == to_entries(seen, [])


@pytest.mark.parametrize(
    "value, masked",
    [
        ("Jane Doe, 4th", "Xxxx Xxx, 9xx"),
        ("jane@example.com", "xxxx@xxxxxxx.xxx"),
        ("Zoë Ünal ß漢٣é🍓\u0301", "Xxx Xxxx xx9xxx"),
        (12.5, "99.9"),
        (-1, "-9"),
        (True, "xxxx"),
        (["a b", 1, None], '["x x", 9, xxxx]'),
        ({"Key": "Value"}, '{"Xxx": "Xxxxx"}'),
        ("a" * 41, "x" * 40 + "…"),
        ("a\n\t", "x\n\t"),
    ],
)
def test_an_example_shows_no_letter_and_no_digit(value: Any, masked: str) -> None:
    """A name or an address of a visitor would stand in a terminal, or in a ticket."""
    assert masked == mask(value)


@given(st.text())
def test_nothing_but_punctuation_is_left(text: str) -> None:
    """Some alphabet, somewhere, would be shown as it is."""
    assert all(one in "Xx9…" or (one.isascii() and not one.isalnum()) for one in mask(text))


def test_the_list_has_an_entry_a_line() -> None:
    """Nobody could take out single columns."""
    entries = [{"name": "a\n", "column": "é"}, {"name": "b", "column": "c"}]

    assert '[\n  {"name": "a\\n", "column": "é"},\n  {"name": "b", "column": "c"}\n]' == to_text_list(entries)
    assert "[]" == to_text_list([])


def test_an_event_that_nobody_can_read_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is nested a thousand times would end the command with a traceback."""

    def too_deep(_array: bytes) -> Any:
        raise RecursionError

    spooled: Any = Spooled(b"[{}]")
    monkeypatch.setattr("tap_fullstory.suggest.read_members", too_deep)

    with pytest.raises(BundleError, match="skip_bundles"):
        look(spooled)


def test_a_large_bundle_is_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of the machine would have to hold a day of events."""
    monkeypatch.setattr(bundles, "BLOCK_SIZE", 20)

    seen = seen_in(b"[%b]" % b",".join([b'{"evt_a":1}'] * 100))

    assert (100, {"evt_a": 100}) == (seen.events, seen.counts)
