"""What a request to create an export asks for, and what is wrong with it.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fullstory_emulator import moments
from fullstory_emulator.dictionary import is_field, is_individual_field
from fullstory_emulator.segments import Segment

INDIVIDUAL = "TYPE_INDIVIDUAL"
TYPES = ("TYPE_EVENT", INDIVIDUAL)
FORMATS = ("FORMAT_JSON", "FORMAT_NDJSON", "FORMAT_CSV")
# the page's schema says these, its prose has singular forms
SCOPES = ("SCOPE_EVENTS", "SCOPE_PAGES", "SCOPE_SESSIONS", "SCOPE_INDIVIDUALS")
MEMBERS = ("segmentId", "type", "format", "timeRange", "segmentTimeRange", "timezone", "now", "fields", "eventDetails")
REQUIRED = MEMBERS[:4]
DAY = 86400 * moments.SECOND


@dataclass(frozen=True)
class Range:
    """Moments from *start*, inclusive, to *end*, exclusive, in microseconds; None: without bound."""

    start: int | None = None
    end: int | None = None

    def __contains__(self, moment: int) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)

    def within(self, other: Range) -> Range:
        """The moments that are in both."""
        starts = [start for start in (self.start, other.start) if start is not None]
        ends = [end for end in (self.end, other.end) if end is not None]
        return Range(max(starts, default=None), min(ends, default=None))


@dataclass(frozen=True)
class Wanted:
    """A valid request to create an export."""

    segment: Segment
    type: str
    format: str
    time_range: Range
    segment_range: Range
    fields: tuple[str, ...]  # empty: all
    scope: str


class Refusal(ValueError):
    """The request is refused with this status and sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def parse(body: bytes, segments: Sequence[Segment], now: float) -> tuple[dict[str, Any], Wanted]:
    """The request as it was sent, and what it asks for.

    Raises:
        Refusal: it is not as documented, or names no segment.
    """
    try:
        sent = json.loads(body)
    except ValueError:
        raise Refusal(400, "the body is not JSON") from None
    given = _members(sent, MEMBERS, "the request")
    for name in REQUIRED:
        if name not in given:
            raise Refusal(400, f"{name} is required")
    type_ = _one_of(given["type"], TYPES, "type")
    format_ = _one_of(given["format"], FORMATS, "format")
    details = _members(given.get("eventDetails") or {}, ("scope",), "eventDetails")
    scope = _one_of(details.get("scope", SCOPES[0]), SCOPES, "eventDetails.scope")
    if type_ == INDIVIDUAL and "eventDetails" in given:
        raise Refusal(400, "eventDetails are for TYPE_EVENT only")
    fields = _fields(given.get("fields"), is_individual_field if type_ == INDIVIDUAL else is_field)
    time_range = _range(given["timeRange"], "timeRange")
    if not isinstance(given.get("timezone", ""), str):
        raise Refusal(400, "timezone is a text")
    pinned = _moment(given["now"], "now") if given.get("now") else int(now * moments.SECOND)
    segment = next((segment for segment in segments if segment.id == given["segmentId"]), None)
    if segment is None:
        raise Refusal(404, f"There is no segment {given['segmentId']!r}")
    if given.get("segmentTimeRange") is not None:
        segment_range = _range(given["segmentTimeRange"], "segmentTimeRange")
    elif segment.days is not None:
        segment_range = Range(pinned - int(segment.days * DAY))
    else:
        segment_range = Range()
    return sent, Wanted(segment, type_, format_, time_range, segment_range, fields, scope)


def _members(value: Any, known: Sequence[str], what: str) -> dict[str, Any]:
    """The members by their camelCase names; those in snake_case are accepted too."""
    if not isinstance(value, dict):
        raise Refusal(400, f"{what} is not an object")
    given: dict[str, Any] = {}
    for name, member in value.items():
        camel = re.sub("_([a-z])", lambda found: found[1].upper(), name)
        if camel not in known:
            raise Refusal(400, f"{what} has no member {name!r}")
        if camel in given:
            raise Refusal(400, f"{name} is given twice")
        given[camel] = member
    return given


def _one_of(value: Any, choices: Sequence[str], name: str) -> str:
    if value not in choices:
        raise Refusal(400, f"{name} is one of {', '.join(choices)}, not {value!r}")
    return str(value)


def _range(value: Any, name: str) -> Range:
    bounds = _members(value, ("start", "end"), name)
    if set(bounds) != {"start", "end"}:
        raise Refusal(400, f"{name} needs start and end")
    start, end = (
        None if bounds[bound] == "" else _moment(bounds[bound], f"{name}.{bound}") for bound in ("start", "end")
    )
    if start is not None and end is not None and start >= end:
        raise Refusal(400, f"{name}.start is not before {name}.end")
    return Range(start, end)


def _moment(value: Any, name: str) -> int:
    try:
        return moments.parse(value)
    except (TypeError, ValueError):
        raise Refusal(400, f"{name} is not an RFC 3339 time: {value!r}") from None


def _fields(value: Any, is_known: Callable[[str], bool]) -> tuple[str, ...]:
    names = [] if value is None else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Refusal(400, "fields is an array of names")
    for name in names:
        if not is_known(name):
            raise Refusal(400, f"there is no field {name!r}")
        if names.count(name) > 1:
            raise Refusal(400, f"the field {name!r} is named twice")
    return tuple(names)
