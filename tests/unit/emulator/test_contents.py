"""What an export holds: the right events, in Segment Export's form, however they are made."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Prepared, Segment, sample_bundles, sample_events
from fullstory_emulator.bundles import Event, encode
from fullstory_emulator.contents import REMEMBERED, Content, Lines, encoded_exported, exported
from fullstory_emulator.wanted import parse

DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
EVERYONE = [Segment("everyone", "Everyone")]
HOURS = [
    f"2023-11-{15 + hour // 24}T{hour % 24:02}:00:00Z" for hour in range(97)
]  # of the four days from FIRST on, and their end


def content(bundles: Any, start: str = "", end: str = "", *, lines: Lines | None = None, **members: Any) -> Content:
    body = {"segmentId": "everyone", "type": "TYPE_EVENT", "format": "FORMAT_JSON", **members}
    now = FIRST + 100 * DAY
    _, wanted = parse(json.dumps({**body, "timeRange": {"start": start, "end": end}}).encode(), EVERYONE, now)
    return Content(wanted, bundles, now, None, lines)


def text(content: Content, **options: Any) -> str:
    return b"".join(content.file(**options).read_text()).decode()


def account(**options: Any) -> Emulator:
    options = {"days": 3, "events_per_bundle": 300, "now": FIRST + 4 * DAY, **options}
    return Emulator.generated(**options)


def legacy(emulator: Emulator, start: str, end: str) -> list[Event]:
    """The events of the time range, found by reading all bundles."""
    events = (event for bundle in emulator.bundles for event in bundle.read_events())
    # without the Z, as a fraction may stand before it
    return [event for event in events if start[:-1] <= event["EventStart"] < end[:-1]]


# --- the form of events ---


def test_events_have_the_names_of_segment_export_and_no_zeros() -> None:
    """Both APIs differ in one name, and say zero by saying nothing."""
    event = {
        "PageAgent": "Mozilla",
        "PageNumErrors": 0,
        "PageNumInfos": 1,
        "PageUrl": "",
        "evt_total_real": 0,
        "evt_gift_bool": False,
        "LoadEventTime": 0.0,
    }
    assert {
        "PageUserAgent": "Mozilla",
        "PageNumInfos": 1,
        "PageUrl": "",
        "evt_total_real": 0,
        "evt_gift_bool": False,
    } == exported(event)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        (["UserId", "PageUserAgent"], ["UserId", "PageUserAgent"]),
        (["evt_*"], ["evt_a_str", "evt_b_str"]),
        (["evt_b_str", "user_*", "page_*"], ["evt_b_str", "user_a_str", "page_a_str"]),
        (["PageNumErrors"], []),
    ],
)
def test_fields_choose_members(fields: list[str], names: list[str]) -> None:
    """`page_*` means custom variables, not PageUrl; a variable without prefix cannot be asked for."""
    custom = dict.fromkeys(("evt_a_str", "evt_b_str", "user_a_str", "page_a_str", "acct_bool"), "x")
    event = {"UserId": 1, "PageAgent": "Mozilla", "PageUrl": "", "PageNumErrors": 0, **custom}
    assert set(names) == set(exported(event, fields))
    assert set(custom) < set(exported(event))


def test_the_short_way_over_encoded_events_gives_the_same() -> None:
    """Invented events are not parsed; texts that look like members must not be taken for some."""
    tricky = {
        "UserId": 1,
        "PageNumErrors": 0,
        "EventTargetText": '","PageAgent":"x","PageNumErrors":0,"',
        "PageUrl": ",",
        "PageNumInfos": 0,
        "PageAgent": '"PageAgent":',
        "evt_PageAgent": {"PageAgent": 0},
        "PageNumWarnings": 0,
    }
    assert exported(tricky) | {"evt_PageAgent": {"PageUserAgent": 0}} == json.loads(encoded_exported(encode(tricky)))
    for event in account().events():
        assert exported(event) == json.loads(encoded_exported(encode(event)))


# --- which events ---


def test_the_windows_of_an_invented_account_hold_each_event_once() -> None:
    """Side by side, however they cut its bundles; in order, and none that has not happened yet."""
    emulator = account()
    hourly = [found for start, end in pairwise(HOURS) for found in emulator.exported(start, end)]
    assert hourly == emulator.exported()
    assert [exported(event) for event in legacy(emulator, HOURS[0], HOURS[-1])] == hourly
    cut = emulator.exported(HOURS[5], HOURS[30])
    assert [exported(event) for event in legacy(emulator, HOURS[5], HOURS[30])] == cut
    emulator.now = FIRST + 2 * DAY + 7200
    assert "2023-11-17T01" == max(found["EventStart"] for found in emulator.exported())[:13]


def test_a_remembered_bundle_gives_the_same_as_a_new_one() -> None:
    """Not made anew for each window, and not for ever in memory."""
    made = 0

    def events() -> Iterator[bytes]:
        nonlocal made
        made += 1
        for minute in range(60):
            yield encode({"UserId": minute, "EventStart": f"2023-11-15T00:{minute:02}:00.000Z"})

    bundle = Bundle(FIRST, FIRST + 3600, events)
    lines = Lines()
    cuts = [f"2023-11-15T00:{minute:02}:00Z" for minute in range(0, 60, 7)]
    for _ in range(2):
        found = [
            event["UserId"]
            for start, end in pairwise(["", *cuts, ""])
            for event in content([bundle], start, end, lines=lines).events()
        ]
        assert list(range(60)) == found
    assert 1 == made


def test_a_bundle_too_large_to_remember_is_read_up_to_the_end_of_the_window() -> None:
    """Memory stays bounded, and no more is made than is needed."""
    made = 0

    def events() -> Iterator[bytes]:
        nonlocal made
        for number in range(REMEMBERED * 3):
            made += 1
            yield b'{"EventStart":"2023-11-15T00:%02d:00.000Z","n":%d}' % (number * 30 // REMEMBERED, number)

    bundle = Bundle(FIRST, FIRST + 7200, events)
    lines = Lines()
    for _ in range(2):
        made = 0
        found = sum(1 for _ in content([bundle], "2023-11-15T00:31:00Z", "2023-11-15T00:32:00Z", lines=lines).events())
        assert REMEMBERED // 30 - 1 <= found <= REMEMBERED // 30 + 1
        assert made < REMEMBERED * 1.2


def test_an_event_is_found_wherever_its_bundle_says_it_is() -> None:
    """A bundle may hold an event of another day, and an event without a time has to be somewhere."""
    bundle = Bundle(
        FIRST,
        FIRST + DAY,
        [
            {"EventStart": "2023-11-20T00:00:00Z", "n": 1},
            {"EventStart": "2023-11-15T23:00:00+01:00", "n": 2},
            {"EventStart": "some day", "n": 3},
            {"EventStart": None, "n": 4},
            {"n": 5},
        ],
    )
    days = ["2023-11-15T00:00:00Z", "2023-11-16T00:00:00Z", "2023-11-20T00:00:00Z", ""]
    found = [[event["n"] for event in content([bundle], *pair).events()] for pair in pairwise(days)]
    assert [[2, 3, 4, 5], [], [1]] == found


@pytest.mark.parametrize(
    "events",
    [
        [{"n": 1}, {"n": 2}],
        [b'{"n":1},\n{"n":2}'],
        lambda: iter([{"n": 1}, b'{"n":2}']),
    ],
)
def test_events_may_be_given_in_any_form(events: Any) -> None:
    """Lists, encoded or not, and functions."""
    assert '[{"n":1},\n{"n":2}]\n' == text(content([Bundle(FIRST, FIRST + DAY, events)]))


def test_text_given_ready_is_exported_or_passed_on() -> None:
    """Hostile content reaches the client by exports, too."""
    good = Bundle(FIRST, FIRST + DAY, raw=b' [ {"PageAgent" : 9007199254740993} ]')
    hostile = Bundle(FIRST, FIRST + DAY, raw=b'[{"n":1},')
    no_events = Bundle(FIRST, FIRST + DAY, raw=b"[1]")
    everything = content([good, hostile, no_events], format="FORMAT_NDJSON")
    assert '{"PageUserAgent":9007199254740993}\n[{"n":1},\n[1]\n' == text(everything)
    assert "" == text(content([hostile], "2023-11-16T00:00:00Z", format="FORMAT_NDJSON"))
    assert "UserId\n" == text(content([hostile], format="FORMAT_CSV", fields=["UserId"]))


def test_the_sample_can_be_exported() -> None:
    """The real events, day by day, are all there."""
    days = [f"2020-08-{day}T00:00:00Z" for day in (27, 28, 29, 30, 31)]
    emulator = Emulator(bundles=sample_bundles())
    found = [event for start, end in pairwise(days) for event in emulator.exported(start, end)]
    assert [exported(event) for event in sample_events()] == found


def test_a_segment_has_its_events_and_a_scope_widens_it() -> None:
    """From the matching events to their pages, their sessions and everything of their people."""

    def event(n: int, person: int, session: int, page: int, kind: str = "click") -> Event:
        start = f"2023-11-15T00:00:{n:02}Z"
        ids = {"IndvId": person, "UserId": person, "SessionId": session, "PageId": page}
        return {**ids, "EventStart": start, "EventType": kind, "n": n}

    events = [event(1, 1, 1, 1, "custom"), event(2, 1, 1, 1), event(3, 1, 1, 2), event(4, 1, 2, 1), event(5, 2, 1, 1)]
    emulator = Emulator(bundles=[Bundle(FIRST, FIRST + DAY, events)])
    emulator.segments = [Segment("custom", "Custom", matches=lambda event: event["EventType"] == "custom")]
    found = {
        scope: [event["n"] for event in emulator.exported(segmentId="custom", eventDetails={"scope": f"SCOPE_{scope}"})]
        for scope in ("EVENTS", "PAGES", "SESSIONS", "INDIVIDUALS")
    }
    assert {"EVENTS": [1], "PAGES": [1, 2], "SESSIONS": [1, 2, 3], "INDIVIDUALS": [1, 2, 3, 4]} == found


def test_an_invented_account_has_events_in_its_segments() -> None:
    """The demo segments are not empty, and not everybody."""
    emulator = account(events_per_bundle=1500)
    everyone = len(emulator.exported())
    for segment in emulator.segments[1:]:
        assert 0 < len(emulator.exported(segmentId=segment.id)) < everyone, segment.name


# --- the text ---


def test_lines_and_arrays_can_be_swapped() -> None:
    """What was promised is not always what comes; and nothing is no line, but an array."""
    bundles = [Bundle(FIRST, FIRST + DAY, [{"n": 1}, {"n": 2}])]
    lines, array = content(bundles, format="FORMAT_NDJSON"), content(bundles)
    assert '{"n":1}\n{"n":2}\n' == text(lines) == text(array, other_form=True)
    assert '[{"n":1},\n{"n":2}]\n' == text(array) == text(lines, other_form=True)
    assert ("", "[]\n") == (text(content([], format="FORMAT_NDJSON")), text(content([])))


def test_a_table_has_all_columns_or_those_asked_for() -> None:
    """Without fields the header depends on the data."""
    events = [{"UserId": 2**63 - 1, "PageAgent": "a,b", "user_tags_strs": ["x", "ü"], "acct_bool": True}]
    bundles = [Bundle(FIRST, FIRST + DAY, events)]
    (row,) = csv.DictReader(io.StringIO(text(content(bundles, format="FORMAT_CSV"))))
    assert {
        "UserId": "9223372036854775807",
        "PageUserAgent": "a,b",
        "user_tags_strs": '["x", "ü"]',
        "acct_bool": "true",
    } == {name: value for name, value in row.items() if value}
    assert ["IndvId", "UserId", "SessionId"] == list(row)[:3]
    fields = ["UserId", "user_*", "evt_*"]
    assert "UserId,user_tags_strs" == text(content(bundles, format="FORMAT_CSV", fields=fields)).splitlines()[0]


@pytest.mark.parametrize("format_", ["FORMAT_JSON", "FORMAT_NDJSON"])
@pytest.mark.parametrize(
    ("start", "end"),
    [(HOURS[24], HOURS[48]), (HOURS[0], HOURS[72]), (HOURS[5], HOURS[30]), (HOURS[6], HOURS[7])],
)
def test_prepared_content_is_repeated_and_correct(start: str, end: str, format_: str) -> None:
    """Fast, but the file is as whole as any other: its text, its checksum, its length."""
    emulator = account(prepared=True, events_per_bundle=6_000)
    file = content(emulator.bundles, start, end, lines=Lines(), format=format_).file()
    assert file.source is not None
    packed = b"".join(file.source.read_gzip())
    assert file.source.gzip_length == len(packed)
    found = gzip.decompress(packed)
    assert b"".join(file.read_text()) == found
    events = json.loads(found) if format_ == "FORMAT_JSON" else [json.loads(line) for line in found.splitlines()]
    assert [exported(event) for event in legacy(emulator, start, end)] == events


def test_prepared_content_may_be_empty() -> None:
    """Between the last event of a block and the end of its bundle nothing happens."""
    emulator = account(prepared=True, events_per_bundle=10)
    end = "2023-11-15T23:59:59Z", "2023-11-16T00:00:00Z"
    for format_, expected in {"FORMAT_JSON": b"[]\n", "FORMAT_NDJSON": b""}.items():
        file = content(emulator.bundles, *end, lines=Lines(), format=format_).file()
        assert file.source is not None
        assert expected == gzip.decompress(b"".join(file.source.read_gzip()))


def test_prepared_content_of_a_test_is_exported_event_by_event() -> None:
    """Only of an invented account is it known what the block holds."""
    block = b'{"EventStart":"2023-11-15T00:00:00Z", "PageAgent":"x"}, {"n":2}'
    bundle = Bundle(FIRST, FIRST + DAY, source=Prepared(block, 2, separator=b", "))
    found = list(content([bundle]).events())
    assert [{"EventStart": "2023-11-15T00:00:00Z", "PageUserAgent": "x"}, {"n": 2}] * 2 == found
