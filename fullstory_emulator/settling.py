"""Settling: what events look like before a day has passed, when some are late and some members not final.

API: https://help.fullstory.com/hc/en-us/articles/360020829273-What-is-Data-Export (values settle within 24 hours)
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

from fullstory_emulator import moments
from fullstory_emulator.bundles import Bundle, Event

DAY = 86400  # seconds until everything is as it stays
LATE = 20  # one event in so many is late
GROWING = ("PageDuration", "PageActiveDuration", "PageNumEvents")
SAME = ("UserId", "SessionId", "PageId", "EventStart", "EventType", "EventCustomName", "EventTargetText")

# an event and its age in seconds: the event as it is then, or None if it is not there yet
Settle = Callable[[Event, float], Event | None]


def settling(event: Event, age: float) -> Event | None:
    """The event as it is seen at this age in seconds: for `Emulator(settle=settling)`.

    Its page goes on, so durations and counts grow. Half of the browsers are identified some hours later: until then
    `UserAppKey` and `UserEmail` are empty, and `IndvId` is the `UserId`. One event in 20 appears some hours later. What
    happens when depends on the event alone; after 24 hours it is as it was given.
    """
    if age >= DAY:
        return event
    number = _number([event.get(name) for name in SAME])
    if number % LATE == 0 and age < number // LATE % DAY:
        return None
    seen = dict(event)
    for name in GROWING:
        if isinstance(seen.get(name), int):
            seen[name] = seen[name] * (DAY + 3 * int(age)) // (4 * DAY)  # from a quarter on
    number = _number([event.get("UserId")])
    if number % 2 == 0 and age < number // 2 % DAY:
        for name in ("UserAppKey", "UserEmail"):
            if name in seen:
                seen[name] = ""
        if "IndvId" in seen and "UserId" in seen:
            seen["IndvId"] = seen["UserId"]
    return seen


def _number(values: list[Any]) -> int:
    """A number that depends on the values alone, on every machine."""
    return zlib.crc32(repr(values).encode("utf-8", "backslashreplace"))


def moment_of(event: Event, bundle: Bundle) -> int:
    """When an event was, in microseconds; if it does not say so in a readable way, when its bundle begins."""
    # it has to be in some window
    try:
        return moments.parse(event["EventStart"])
    except (KeyError, TypeError, ValueError):
        return bundle.start * moments.SECOND


def seen_events(bundle: Bundle, now: float, settle: Settle) -> Iterator[Event]:
    """The events of a bundle as they are seen at this moment, in seconds."""
    for event in bundle.read_events():
        seen = settle(event, now - moment_of(event, bundle) / moments.SECOND)
        if seen is not None:
            yield seen
