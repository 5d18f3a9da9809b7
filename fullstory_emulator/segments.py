"""Segments: which events belong together, as an account names it.

API: https://developer.fullstory.com/server/v1/segments/list-segments/
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fullstory_emulator.bundles import Event

EVERYONE_DAYS = 30.0


@dataclass(frozen=True)
class Segment:
    """A segment of the account.

    Args:
        id: as in requests.
        name: as people see it.
        creator: the e-mail of who made it; `""`: it is built in.
        created: when, as text; `""`: built in, and then not shown.
        matches: whether an event belongs to it, given the event as Data Export writes it; None: every event does.
        days: its own time range, the last so many days; None: all time.
    """

    id: str
    name: str
    creator: str = field(default="", kw_only=True)
    created: str = field(default="", kw_only=True)
    matches: Callable[[Event], bool] | None = field(default=None, kw_only=True)
    days: float | None = field(default=None, kw_only=True)

    @property
    def members(self) -> dict[str, Any]:
        """As the API shows it."""
        shown = {"id": self.id, "name": self.name, "creator": self.creator}
        if self.created:
            shown["created"] = self.created
        return {**shown, "url": f"https://app.fullstory.com/ui/o-DEMO-na1/segments/{self.id}"}


DEMO_SEGMENTS: Sequence[Segment] = (
    # its own range is documented. API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
    Segment("everyone", "Everyone", days=EVERYONE_DAYS),
    Segment("rageClicks", "Rage Clicks", matches=lambda event: bool(event.get("EventModFrustrated"))),
    Segment(
        "abcdefg12345",
        'Orders "accepted"',  # a name with quotes: it becomes part of a file name
        creator="owner@example.com",
        created="2020-10-22T14:30:10.631Z",
        matches=lambda event: event.get("EventCustomName") == "Order Completed",
    ),
    # older ids look like this and have to be quoted in paths
    Segment(
        "owner@example.com:4241245858598272",
        "Searches",
        creator="owner@example.com",
        created="2018-02-07T11:28:18Z",
        matches=lambda event: event.get("EventType") == "change",
    ),
)
