"""The people of an account, as a Segment Export of individuals has them: who they are, and their lifetime totals.

API: https://developer.fullstory.com/server/v1/segments/export-fields/
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from fullstory_emulator import moments
from fullstory_emulator.bundles import Bundle, Encoded, Event, Events, encode
from fullstory_emulator.contents import Moment, file_of, happening, is_readable
from fullstory_emulator.dictionary import INDIVIDUAL_FIELDS, USER_VARIABLES
from fullstory_emulator.settling import Settle
from fullstory_emulator.wanted import Range, Wanted

USER_VARIABLE = "user_"
SHOWN = {"Uid": "UserAppKey", "DisplayName": "UserDisplayName", "Email": "UserEmail"}  # what the last event says
LAST = {  # as the last event says
    "LastPage": "PageUrl",
    "LastIp": "PageIp",
    "LastLatLong": "PageLatLong",
    "LastBrowser": "PageBrowser",
    "LastDevice": "PageDevice",
    "LastPlatform": "PagePlatform",
    "LastOperatingSystem": "PageOperatingSystem",
}


@dataclass
class Session:
    """What one person did without a longer break."""

    first: Moment
    last: Moment
    start: str = ""  # the first moment, as it is written
    events: int = 0
    active: dict[Any, int] = field(default_factory=dict)  # milliseconds, by page

    @property
    def seconds(self) -> float:
        """From the first event to the last one."""
        return (self.last - self.first) / moments.SECOND

    @property
    def active_seconds(self) -> float:
        """Of these, the active ones."""
        return min(sum(self.active.values()) / 1000, self.seconds)


@dataclass
class Individual:
    """One person; *said* is what the events said about it, later ones over earlier ones."""

    id: int
    sessions: dict[Any, Session] = field(default_factory=dict)
    said: Event = field(default_factory=dict)
    latest: tuple[Moment, str] = (-(2**63), "")  # event, and how its moment is written

    def add(self, event: Event, moment: Moment) -> None:
        """Count an event, in whatever order they come."""
        text = str(event.get("EventStart", ""))
        session = self.sessions.setdefault(
            (event.get("UserId"), event.get("SessionId")), Session(moment, moment, start=text)
        )
        if moment < session.first:
            session.first, session.start = moment, text
        session.last = max(session.last, moment)
        session.events += 1
        active = event.get("PageActiveDuration", 0)
        page = event.get("PageId")
        session.active[page] = max(session.active.get(page, 0), active if isinstance(active, int) else 0)
        if moment >= self.latest[0]:
            self.latest = moment, text
            self.said.update(event)
        else:
            self.said = event | self.said

    def members(self) -> Event:
        """As an export has them, zeros included."""
        sessions = sorted(self.sessions.values(), key=lambda session: session.first)
        last = sessions[-1]
        total = _sum(session.seconds for session in sessions)
        active = _sum(session.active_seconds for session in sessions)
        return {
            "IndvId": self.id,
            "Created": sessions[0].start,
            **{name: self.said.get(source, "") for name, source in SHOWN.items()},
            "NumSessions": len(sessions),
            "NumPages": sum(len(session.active) for session in sessions),
            "NumEvents": sum(session.events for session in sessions),
            "TotalSec": total,
            "ActiveSec": active,
            "AvgSessionSec": round(total / len(sessions), 3),
            "AvgSessionActiveSec": round(active / len(sessions), 3),
            "MaxSessionSec": max(session.seconds for session in sessions),
            "LastSessionNumPages": len(last.active),
            "LastSessionNumEvents": last.events,
            "LastSessionSec": last.seconds,
            "LastSessionActiveSec": last.active_seconds,
            "LastSessionStart": last.start,
            "LastEventStart": self.latest[1],
            **{name: self.said[source] for name, source in LAST.items() if source in self.said},
            **{name: value for name, value in self.said.items() if name.startswith(USER_VARIABLE)},
        }


class Individuals:
    """The people of one export: all that match the segment and did something in the time range. They are read now.

    Args:
        wanted: the request.
        bundles: where events come from.
        now: nothing that is later has happened; in seconds.
        settle: what an event looks like at that age.
        given: these people instead, whoever is asked for, in whatever form; None: those of the events.
    """

    def __init__(
        self, wanted: Wanted, bundles: Sequence[Bundle], now: float, settle: Settle | None, given: Events | None
    ) -> None:
        self._wanted = wanted
        self._items: Events
        if given is not None:
            self._items = given if callable(given) else list(given)
        else:
            found = _found(wanted, bundles, now, settle)
            self._items = [_exported(found[number].members(), wanted.fields) for number in sorted(found)]

    def file(self, *, other_form: bool = False) -> Bundle:
        """The text of the export, as if it were a bundle."""
        return file_of(self._wanted, self._encoded, INDIVIDUAL_FIELDS, other_form=other_form)

    def events(self) -> Iterator[Event]:
        """The people as dicts, those that are given encoded left out."""
        return (item for item in self._read() if not isinstance(item, bytes))

    def _read(self) -> Iterator[Encoded]:
        yield from self._items() if callable(self._items) else self._items

    def _encoded(self) -> Iterator[bytes]:
        return (item if isinstance(item, bytes) else encode(item) for item in self._read())


def _found(wanted: Wanted, bundles: Sequence[Bundle], now: float, settle: Settle | None) -> dict[int, Individual]:
    """The people that match and were there in time, with all that they ever did."""
    people: dict[int, Individual] = {}
    matching: set[int] = set()
    present: set[int] = set()
    matches = wanted.segment.matches
    for bundle in filter(is_readable, bundles):
        for moment, event in happening(bundle, Range(end=int(now * moments.SECOND)), now, settle):
            number = event.get("IndvId", event.get("UserId"))
            if not isinstance(number, int):
                continue
            people.setdefault(number, Individual(number)).add(event, moment)
            if moment in wanted.segment_range and (matches is None or matches(event)):
                matching.add(number)
            if moment in wanted.time_range:
                present.add(number)
    return {number: people[number] for number in matching & present}


def _exported(individual: Event, fields: Sequence[str]) -> Event:
    """Without zeros, as numbers are written in exports; of *fields* only, unless empty."""
    has_variables = not fields or not set(fields).isdisjoint(USER_VARIABLES)
    return {
        name: value
        for name, value in individual.items()
        if (name not in INDIVIDUAL_FIELDS or value != 0)
        and (not fields or name in fields or (has_variables and name.startswith(USER_VARIABLE)))
    }


def _sum(seconds: Iterator[float]) -> float:
    return round(sum(seconds), 3)
