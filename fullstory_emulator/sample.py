"""The sample: 144 real events of Fullstory's demo shop, 2020-08-27 to 2020-08-30, as a legacy bundle holds them.

From testing/testdata/raw.json of https://github.com/fullstorydev/hauser (MIT licence, data/LICENSE) with two later hand
edits undone: `PageUserAgent` is `PageAgent` again, and `page_foobar_str` is gone from 33 events.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from importlib import resources

from fullstory_emulator.bundles import Bundle, Event


def sample_text() -> bytes:
    """The bytes of the sample: `[{…},\\n{…}]\\n`."""
    return (resources.files("fullstory_emulator") / "data" / "sample-events.json").read_bytes()


def sample_events() -> list[Event]:
    """The 144 events, oldest first."""
    events: list[Event] = json.loads(sample_text())
    return events


def sample_bundles() -> list[Bundle]:
    """The sample as bundles of one UTC day each; every event as it is written in the sample."""
    days: dict[str, list[bytes]] = {}
    for line in sample_text().strip()[1:-1].split(b",\n"):
        days.setdefault(json.loads(line)["EventStart"][:10], []).append(line)
    bundles = []
    for day, events in days.items():
        start = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
        stop = start + timedelta(days=1)
        bundles.append(Bundle(int(start.timestamp()), int(stop.timestamp()), events))
    return bundles
