"""The key that `event_key` adds."""

import json
import re
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, sample_bundles
from tests.integration.tap import DAY, FIRST, Run, Tap

KEYED = {"event_key": True}
BASE: dict[str, Any] = {
    "UserId": 5190000000000001,
    "SessionId": 5320000000000002,
    "PageId": 4560000000000003,
    "EventStart": "2023-11-15T06:20:34.143Z",
    "EventType": "custom",
    "EventSubType": "s",
    "EventCustomName": "Order é",
    "EventTargetText": "a b",
    "evt_total_real": 1.5,
    "evt_name_str": "n",
    "evt_items_strs": ["x", "y"],
    "evt_deep": {"a": 1, "b": {"c": [1, 2]}},
}


def ids(run: Run) -> list[str]:
    """The `event_id` of each record."""
    return [record["event_id"] for record in run.records()]


def keyed_ids(run_tap: Tap, emulator: Emulator, *events: "dict[str, Any] | bytes") -> list[str]:
    """The `event_id` of each of *events*; bytes: exactly this text."""
    texts = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in events]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, raw=b"[" + b",".join(texts) + b"]")]
    run = run_tap(settings=KEYED)
    assert (0, len(events)) == (run.status, len(run.records()))
    return ids(run)


def test_what_settles_later_and_how_it_is_written_do_not_change_the_key(run_tap: Tap, emulator: Emulator) -> None:
    """A second read of the same event would become a second row in a target that upserts."""
    late = {
        "IndvId": 1, "PageDuration": 99, "PageActiveDuration": 9, "UserEmail": "e@example.com", "UserAppKey": "u",
        "UserDisplayName": "d", "PageNumEvents": 7, "user_plan_str": "paid", "page_x_str": "p", "PageAgent": "a",
        "EventTargetSelectorTok": "t", "PageUrl": "u", "New": 1,
    }  # fmt: skip
    turned = dict(reversed(list(BASE.items())))
    turned["evt_deep"] = {"b": {"c": [1, 2]}, "a": 1}
    spelt = json.dumps(BASE, ensure_ascii=False).replace("1.5", "1.50").encode()
    indented = json.dumps(BASE, indent=3).encode()

    first, *others = keyed_ids(run_tap, emulator, BASE, BASE, {**BASE, **late}, turned, spelt, indented)

    assert re.fullmatch("[0-9a-f]{32}", first)
    assert [first] * 5 == others


def test_what_identifies_an_event_changes_the_key(run_tap: Tap, emulator: Emulator) -> None:
    """Two events would be one row, and one of them lost."""
    changes: list[dict[str, Any]] = [
        {"UserId": 2}, {"SessionId": 2}, {"PageId": 2}, {"EventStart": "2023-11-15T06:20:34.144Z"},
        {"EventType": "click"}, {"EventSubType": "t"}, {"EventCustomName": "Order e"}, {"EventTargetText": "ab"},
        {"evt_total_real": 1.25}, {"evt_name_str": "m"}, {"evt_items_strs": ["y", "x"]}, {"evt_items_strs": ["x,y"]},
        {"evt_deep": {"a": 1, "b": {"c": [2, 1]}}}, {"evt_more_int": 0},
        {"EventCustomName": "Order éa", "EventTargetText": " b"},
        {"EventSubType": "sOrder é", "EventCustomName": ""}, {"evt_name_str": 1}, {"evt_name_str": "1"},
        {"UserId": 5320000000000002, "SessionId": 5190000000000001},
    ]  # fmt: skip
    missing = [{name: value for name, value in BASE.items() if name != gone} for gone in BASE]
    events = [BASE, *({**BASE, **change} for change in changes), *missing, {}]

    found = keyed_ids(run_tap, emulator, *events)

    assert len(events) == len(set(found))


@pytest.mark.only_source("data_export")
def test_every_event_of_the_sample_has_a_key_of_its_own_in_every_encoding(run_tap: Tap, emulator: Emulator) -> None:
    """Two of the 144 real events would overwrite each other, or move when the transfer changes."""
    emulator.bundles = sample_bundles()
    runs = []
    for encoding in ("file", "plain"):
        emulator.encoding = encoding  # type: ignore[assignment]
        runs.append(run_tap(settings={**KEYED, "start_date": "2020-01-01", "checkpoint_records": 7}))

    assert 144 == len(set(ids(runs[0])))
    assert ids(runs[0]) == ids(runs[1])
    assert ["event_id"] == runs[0].schema()["key_properties"]


@pytest.mark.parametrize(
    "dirty", ['"evt_x":"a\\u0000"', '"evt_x":"\\ud800"', '"evt_x":1e400', '"evt_x":1180591620717411303425']
)
def test_odd_values_have_a_stable_key(run_tap: Tap, emulator: Emulator, dirty: str) -> None:
    """An odd value would get another key on another path through the tap."""
    odd = b'{"UserId":1,' + dirty.encode() + b"}"
    turned = b"{" + dirty.encode() + b',"UserId":1}'
    alone = keyed_ids(run_tap, emulator, odd)
    among = keyed_ids(run_tap, emulator, {"UserId": 1}, turned, odd, {"UserId": 1, "evt_x": "a"})

    assert alone == [among[1]] == [among[2]]
    assert 3 == len(set(among))
