"""Invented events are shaped like the 144 real ones of the sample: what is measured with them means something.

Tolerances are factors: generous, as the sample is five pages of one shop, but a wrong shape is outside of them.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import pytest

from fullstory_emulator import sample_events
from fullstory_emulator.account import Account

Event = dict[str, Any]
DAY = 1_699_920_000  # 2023-11-14


def invented(seed: int, **options: Any) -> list[Event]:
    text = b",\n".join(Account(seed=seed, **options).encoded_events(DAY, 10_000))
    events: list[Event] = json.loads(b"[%b]" % text)
    return events


def encoded(events: list[Event]) -> bytes:
    return b",\n".join(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode() for event in events)


def kinds(events: list[Event]) -> dict[str, float]:
    return {kind: count / len(events) for kind, count in Counter(event["EventType"] for event in events).items()}


def columns(events: list[Event]) -> dict[str, float]:
    """In which share of the events each column is."""
    found = Counter(name for event in events for name in event if not is_custom(name))
    return {name: count / len(events) for name, count in found.items()}


def is_custom(name: str) -> bool:
    return name.startswith(("evt_", "user_", "page_"))


def with_custom(events: list[Event]) -> float:
    return sum(any(map(is_custom, event)) for event in events) / len(events)


def per(events: list[Event], *names: str) -> float:
    """Events per session, or per page."""
    return len(events) / len({tuple(event[name] for name in names) for event in events})


def within(factor: float, expected: float, found: float) -> bool:
    return expected / factor <= found <= expected * factor


SAMPLE = sample_events()


@pytest.fixture(scope="module", params=(1, 2, 3))
def seed(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture(scope="module")
def shop(seed: int) -> list[Event]:
    """The single-page shop, which is what the sample is of."""
    return invented(seed, sites=("shop",))


@pytest.fixture(scope="module")
def mixed(seed: int) -> list[Event]:
    """What an account has unless told otherwise."""
    return invented(seed)


def test_event_types_are_as_frequent_as_in_the_sample(shop: list[Event], mixed: list[Event]) -> None:
    """Each type of the sample within a factor of 2 (a mix: 2.5), and hardly anything else."""
    found, found_mixed = kinds(shop), kinds(mixed)
    for kind, share in kinds(SAMPLE).items():
        assert within(2, share, found[kind]), kind
        assert within(2.5, share, found_mixed[kind]), kind
    assert sum(share for kind, share in found.items() if kind not in kinds(SAMPLE)) < 0.03
    assert sum(share for kind, share in found_mixed.items() if kind not in kinds(SAMPLE)) < 0.08


def test_events_are_as_large_as_in_the_sample(shop: list[Event], mixed: list[Event]) -> None:
    """Bytes of JSON per event within 10 %, and gzipped within a factor of 1.5."""
    text = encoded(SAMPLE)
    size, packed = len(text) / len(SAMPLE), len(gzip.compress(text)) / len(SAMPLE)
    for events in (shop, mixed):
        found = encoded(events)
        assert within(1.1, size, len(found) / len(events))
        assert 900 < len(found) / len(events) < 1200
        assert within(1.5, packed, len(gzip.compress(found)) / len(events))


def test_as_many_events_have_custom_variables(shop: list[Event], mixed: list[Event]) -> None:
    """Within a factor of 1.6: what clients do with them costs them most."""
    for events in (shop, mixed):
        assert within(1.6, with_custom(SAMPLE), with_custom(events))
        assert within(2, 0.326, sum(any(name.startswith("evt_") for name in event) for event in events) / len(events))


def test_columns_are_as_often_there(shop: list[Event], mixed: list[Event]) -> None:
    """A column that is there always, is there always; others within a factor of 2.5. In a mix, apps lack some."""
    found, found_mixed = columns(shop), columns(mixed)
    for name, share in columns(SAMPLE).items():
        if share == 1:
            assert 1 == found[name], name
            assert found_mixed[name] > 0.75, name
        else:
            assert within(2.5, share, found[name]), name
            assert within(2.5, share, found_mixed[name]), name
    assert {"EventModFrustrated"} == set(found) - set(columns(SAMPLE))


def test_no_text_is_empty_more_often(shop: list[Event]) -> None:
    """Of the texts of elements a tenth is empty in the sample; here between a thirtieth and a third."""
    texts = [event["EventTargetText"] for event in shop if "EventTargetText" in event]
    assert within(3.3, 0.1, texts.count("") / len(texts))


def test_pages_and_sessions_are_as_long(shop: list[Event], mixed: list[Event]) -> None:
    """Events per session and, in the single-page shop, per page: within a factor of 1.5."""
    sample_session = per(SAMPLE, "UserId", "SessionId")
    assert within(1.5, sample_session, per(shop, "UserId", "SessionId"))
    assert within(1.5, sample_session, per(mixed, "UserId", "SessionId"))
    assert within(1.5, per(SAMPLE, "UserId", "SessionId", "PageId"), per(shop, "UserId", "SessionId", "PageId"))
    durations = {event["PageId"]: event["PageDuration"] for event in shop}
    assert within(2, 31_000, sum(durations.values()) / len(durations))


def test_the_mix_is_as_told() -> None:
    """70 single-page, 15 classic, 15 app of a hundred visitors, or only those that were asked for."""
    visitors = Account(visitors=4000).visitors
    found = Counter({"ios": "app", "android": "app"}.get(visitor.site, visitor.site) for visitor in visitors)
    assert within(1.05, 0.7, found["shop"] / 4000)
    assert within(1.2, 0.15, found["classic"] / 4000)
    assert within(1.2, 0.15, found["app"] / 4000)
    assert {"classic", "ios", "android"} == {visitor.site for visitor in Account(sites=("classic", "app")).visitors}
