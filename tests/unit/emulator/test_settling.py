"""Data that is not final before a day has passed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator

import pytest
import requests

from fullstory_emulator import Bundle, Emulator, settling
from fullstory_emulator.bundles import Event

HOUR, DAY = 3600, 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
AGES = [0, HOUR, 5 * HOUR, 12 * HOUR, DAY - 1]


def events(count: int = 400) -> list[Event]:
    return [
        {
            "IndvId": 1,
            "UserId": n // 10,
            "SessionId": n,
            "EventStart": "2023-11-15T00:00:00.000Z",
            "EventType": "click",
            "PageDuration": 1000 + n,
            "PageActiveDuration": 400,
            "UserAppKey": f"customer-{n}",
            "UserEmail": "fruit@example.com",
            "evt_n_int": n,
        }
        for n in range(count)
    ]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    bundle = Bundle(FIRST, FIRST + HOUR, events())
    with Emulator(bundles=[bundle], now=FIRST + HOUR, delay=0, settle=settling) as emulator:
        yield emulator


def test_after_a_day_an_event_is_as_it_was_given() -> None:
    """From then on nothing changes, whatever is asked."""
    assert all(settling(event, age) is event for event in events() for age in (DAY, 10 * DAY))


def test_an_event_looks_the_same_at_the_same_age() -> None:
    """No dice: a test that fails can be run again."""
    assert [settling(event, age) for event in events() for age in AGES] == [
        settling(event, age) for event in events() for age in AGES
    ]


def test_pages_go_on_and_people_are_identified_later() -> None:
    """Durations grow to their end, and who somebody is can come hours later; nothing else changes."""
    late = 0
    for event in events():
        for age in AGES:
            seen = settling(event, age)
            if seen is None:
                continue
            assert 0.24 * event["PageDuration"] < seen["PageDuration"] < event["PageDuration"]
            unknown = {"IndvId": event["UserId"], "UserAppKey": "", "UserEmail": ""}
            identity = {name: seen[name] for name in unknown}
            assert identity in (unknown, {name: event[name] for name in unknown})
            late += identity == unknown
            growing = ("PageDuration", "PageActiveDuration")
            assert event == {**seen, **{name: event[name] for name in (*unknown, *growing)}}
    assert 0 < late < len(events()) * len(AGES)
    durations = [(settling(event, age) or event)["PageDuration"] for event in events()[:1] for age in AGES]
    assert durations == sorted(set(durations))


def test_some_events_appear_late_and_then_stay() -> None:
    """Swan songs: a window that was read early lacks a few."""
    there = [sum(settling(event, age) is not None for event in events()) for age in [*AGES, DAY]]
    assert there == sorted(there)
    assert 0.9 * there[-1] < there[0] < there[-1]


def test_exports_settle_by_the_clock(emulator: Emulator) -> None:
    """The same window, asked for again, has more rows and other values, until a day has passed."""
    early = emulator.exported()
    emulator.advance(6 * HOUR)
    later = emulator.exported()
    assert len(early) < len(later) < 400
    assert early[0]["PageDuration"] < later[0]["PageDuration"]
    emulator.advance(DAY)
    assert [event["evt_n_int"] for event in emulator.exported()] == list(range(400))
    assert emulator.exported() == emulator.exported()
    emulator.settle = None
    assert [1000 + n for n in range(400)] == [event["PageDuration"] for event in emulator.exported()]


@pytest.mark.parametrize("is_streamed", [False, True])
def test_bundles_settle_too(emulator: Emulator, is_streamed: bool) -> None:
    """A bundle that is available before its time is not final; the truth to compare with is as it is now."""
    emulator.bundles = [Bundle(FIRST, FIRST + HOUR, (lambda: iter(events())) if is_streamed else events())]

    def download() -> list[Event]:
        headers = {"Authorization": f"Basic {emulator.api_key}"}
        query = {"id": emulator.bundles[0].id}
        response = requests.get(f"{emulator.url}/api/v1/export/get", params=query, headers=headers, timeout=10)
        found: list[Event] = json.loads(gzip.decompress(response.content))
        return found

    early = download()
    assert len(early) < 400
    assert early == list(emulator.events())
    emulator.advance(DAY)
    assert events() == download() == list(emulator.events())


def test_an_account_settles_as_it_goes_on() -> None:
    """Invented events, some hours old, some days old: only the new ones are not final."""
    emulator = Emulator.generated(days=2, events_per_bundle=200, now=FIRST + 3 * DAY)
    final = emulator.exported()
    emulator.settle = settling
    unsettled = emulator.exported()
    # the newest bundle with events ended just now
    assert final[:400] == unsettled[:400]
    assert len(unsettled) < len(final)
    emulator.now = FIRST + 4 * DAY
    assert final == emulator.exported(end="2023-11-18T00:00:00Z")
