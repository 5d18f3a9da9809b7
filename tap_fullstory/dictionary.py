"""The documented event fields: one line each, from which schema, catalog and README follow.

A new field of Fullstory is one new line in `FIELDS`.

API: https://developer.fullstory.com/server/v1/segments/export-fields/ (names, types, meanings), and the loader that
Fullstory publishes for the year in which a field was first seen. Where the older Data Export and the newer Segment
Export spell a field differently, `name` is the column and `names` says what each of them calls it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1

CUSTOM_VARS = "CustomVars"
BUNDLE_ID = "_bundle_id"
EVENT_ID = "event_id"
REPLICATION_KEY = "EventStart"
EVENT_TYPE = "EventType"

LONGEST_COLUMN = 63  # bytes; PostgreSQL cuts longer names
_NOT_IN_COLUMN = re.compile(r'[."\\\x00-\x1f\x7f\ud800-\udfff]')


class Kind(str, Enum):
    """The type of a column; every column may also be null."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    TIMESTAMP = "timestamp"
    BOOLEAN = "boolean"
    JSON = "JSON text"


class Source(str, Enum):
    """The APIs that bring events."""

    DATA_EXPORT = "data_export"
    SEGMENT_EXPORT = "segment_export"


BOTH = frozenset(Source)
SEGMENT_ONLY = frozenset({Source.SEGMENT_EXPORT})


@dataclass(frozen=True)
class Field:
    """One documented event field.

    Attributes:
        name: Fullstory's name, which is also the column's.
        kind: the type of its values.
        meaning: one line for people.
        since: `YYYY-MM` of its first appearance, "" if it was there from the start.
        sources: the APIs known to bring it. What a source brings beyond that is read all the same.
        names: what the sources call it, most trusted first, if that differs from `name`.
    """

    name: str
    kind: Kind
    meaning: str
    since: str = ""
    sources: frozenset[Source] = BOTH
    names: tuple[str, ...] = field(default=())

    @property
    def source_names(self) -> tuple[str, ...]:
        """The members of an event that hold this field, most trusted first."""
        return self.names or (self.name,)


S, I, N, T = Kind.STRING, Kind.INTEGER, Kind.NUMBER, Kind.TIMESTAMP  # noqa: E741  # the table must fit the eye

FIELDS: tuple[Field, ...] = (
    # Identity and session
    Field("IndvId", I, "Person: merges all UserIds that share one UserAppKey."),
    Field("UserId", I, "Device or browser cookie; changes when cookies are cleared."),
    Field("SessionId", I, "Session; unique only together with UserId."),
    Field("PageId", I, "Page load; unique only together with UserId and SessionId."),
    Field("UserCreated", T, "First time the cookie was seen.", "2020-10", SEGMENT_ONLY),
    Field("UserAppKey", S, "Your own id of the user, as passed to identify; empty for anonymous users."),
    Field("UserDisplayName", S, "Display name of the user."),
    Field("UserEmail", S, "E-mail of the user; empty if unknown."),
    Field("SessionStart", T, "Start of the session.", "2020-10", SEGMENT_ONLY),
    # Event
    Field("EventStart", T, "When the event happened."),
    Field("EventType", S, "Kind of event: click, navigate, custom, …; an open list."),
    Field("EventSubType", S, "Refinement of EventType; absent if there is none.", "2021-05", SEGMENT_ONLY),
    Field("EventCustomName", S, "Name of a custom event.", "2018-12"),
    Field("EventTargetText", S, "Text of the target and its children; the new value of a change; may be truncated."),
    Field("EventTargetSelectorTok", S, "Legacy selector: tokens with non-alphanumerics percent-encoded."),
    Field("EventTargetSelector", S, "Full CSS selector of the target.", "2020-10", SEGMENT_ONLY),
    Field("EventDuration", I, "Milliseconds that a seen element was rendered.", "", SEGMENT_ONLY),
    Field("EventSecondaryDuration", I, "Milliseconds that a seen element was visible.", "", SEGMENT_ONLY),
    Field("EventPageOffset", I, "Milliseconds since the page load.", "2021-05", SEGMENT_ONLY),
    Field("EventSessionOffset", I, "Milliseconds since the start of the session.", "2021-05", SEGMENT_ONLY),
    Field("EventModFrustrated", I, "Running count of clicks in a series of rage clicks; absent means 0."),
    Field("EventModDead", I, "1 for a dead click; absent means 0."),
    Field("EventModError", I, "1 error, 2 console error, 3 uncaught exception; before 2021-06-21 only 1; absent: 0."),
    Field("EventModSuspicious", I, "1 possible SQL injection, 2 possible cross-site scripting; absent means 0."),
    Field("EventCumulativeLayoutShift", N, "Only for cumulative_layout_shift.", "2022-10", SEGMENT_ONLY),
    Field("EventFirstInputDelay", I, "Milliseconds; only for first_input_delay.", "2022-10", SEGMENT_ONLY),
    Field("EventVarErrorKind", S, "Error token, mostly for types that end in _error.", "2024-02", SEGMENT_ONLY),
    Field("EventVarFields", S, "Fields involved in that error.", "2024-02", SEGMENT_ONLY),
    Field("EventWebSourceFileUrl", S, "Script that raised an exception.", "2021-05", SEGMENT_ONLY),
    Field("EventMobileSourceFile", S, "Mobile source file of an exception.", "2021-05", SEGMENT_ONLY),
    # Page, load, request
    Field("PageName", S, "Name of the page set through page properties.", "2024-02", SEGMENT_ONLY),
    Field("PageStart", T, "Start of this page instance.", "2020-10", SEGMENT_ONLY),
    Field("PageDuration", I, "Milliseconds on the page in total; the same on all its events; may grow for a day."),
    Field("PageActiveDuration", I, "Milliseconds of it that the visitor was active."),
    Field("PageUrl", S, "Full URL."),
    Field("PageRefererUrl", S, "Referrer; may be empty."),
    Field("PageIp", S, "IP address; empty if capturing it is switched off."),
    Field("PageLatLong", S, "Latitude and longitude from the IP address, as \"lat,long\"."),
    Field("PageAgent", S, "User agent; newer exports call it PageUserAgent.", "", BOTH, ("PageUserAgent", "PageAgent")),
    Field("PageBrowser", S, "Browser; an open list."),
    Field("PageBrowserVersion", S, "Version of the browser.", "2021-10", SEGMENT_ONLY),
    Field("PageDevice", S, "Desktop, Mobile, Tablet, Robot, Unknown; an open list."),
    Field("PagePlatform", S, "Web or Native Mobile; an open list.", "2020-10", SEGMENT_ONLY),
    Field("PageOperatingSystem", S, "Operating system; an open list."),
    Field("PageScreenWidth", I, "Width of the screen in CSS pixels.", "2020-10", SEGMENT_ONLY),
    Field("PageScreenHeight", I, "Height of the screen in CSS pixels.", "2020-10", SEGMENT_ONLY),
    Field("PageViewportWidth", I, "Width of the viewport in CSS pixels.", "2020-10", SEGMENT_ONLY),
    Field("PageViewportHeight", I, "Height of the viewport in CSS pixels.", "2020-10", SEGMENT_ONLY),
    Field("PageNumEvents", I, "Events on the page in total.", "2024-02", SEGMENT_ONLY),
    Field("PageNumDerivedEvents", I, "Of these, derived by Fullstory.", "2024-02", SEGMENT_ONLY),
    Field("PageNumInfos", I, "Running total of console information calls on the page."),
    Field("PageNumWarnings", I, "Running total of console warnings on the page."),
    Field("PageNumErrors", I, "Running total of console errors on the page."),
    Field("PageClusterId", I, "Internal grouping of pages.", "2018-10"),
    Field("PageMaxScrollDepthPercent", I, "Only for navigate.", "2021-05", SEGMENT_ONLY),
    Field("LoadDomContentTime", I, "Milliseconds; only for load.", "2018-08"),
    Field("LoadEventTime", I, "Milliseconds; only for load.", "2018-08"),
    Field("LoadFirstPaintTime", I, "Milliseconds to the first contentful paint; only for load.", "2018-08"),
    Field("LoadLargestPaintTime", I, "Milliseconds to the largest contentful paint; load.", "2022-10", SEGMENT_ONLY),
    Field("ReqUrl", S, "Only for request.", "2021-04", SEGMENT_ONLY),
    Field("ReqMethod", S, "Only for request.", "2021-04", SEGMENT_ONLY),
    Field("ReqStatus", I, "HTTP status; only for request.", "2021-04", SEGMENT_ONLY),
    # Mobile apps
    Field("AppName", S, "Display name of the app.", "2020-10", SEGMENT_ONLY),
    Field("AppPackageName", S, "Bundle id of the app.", "2020-10", SEGMENT_ONLY),
    Field("AppDeviceModel", S, "Model of the device.", "2021-05", SEGMENT_ONLY),
    Field("AppDeviceVendor", S, "Vendor of the device.", "2021-05", SEGMENT_ONLY),
    Field("AppVersion", S, "Version of the app.", "2021-05", SEGMENT_ONLY),
    Field("AppOsVersion", S, "Version of the operating system.", "2021-05", SEGMENT_ONLY),
    Field("AppViewName", S, "Screen: UIViewController class or Activity by default.", "2021-05", SEGMENT_ONLY),
)  # fmt: skip
FIELD_OF = {name: one for one in FIELDS for name in one.source_names}

_JSON_TYPES: dict[Kind, dict[str, Any]] = {
    Kind.STRING: {"type": ["null", "string"]},
    # With the bounds, PostgreSQL targets make a bigint of it; without, some make it numeric.
    Kind.INTEGER: {"type": ["null", "integer"], "minimum": MIN_INTEGER, "maximum": MAX_INTEGER},
    Kind.NUMBER: {"type": ["null", "number"]},
    Kind.TIMESTAMP: {"type": ["null", "string"], "format": "date-time"},
    Kind.BOOLEAN: {"type": ["null", "boolean"]},
    Kind.JSON: {"type": ["null", "string"]},
}

# Columns of the tap itself, in the order of the schema.
EVENT_ID_FIELD = Field(EVENT_ID, S, "Key of the event: 128-bit hash, 32 hexadecimal digits; only with event_key.")
CUSTOM_VARS_FIELD = Field(CUSTOM_VARS, S, "JSON object of everything that has no column: custom variables, new fields.")
BUNDLE_ID_FIELD = Field(
    BUNDLE_ID, I, "Bundle that brought the event: 100 times its start in Unix seconds, plus its length in half hours."
)


# The type of a custom variable by how its name ends; several values (`_strs`) are JSON text.
# API: https://help.fullstory.com/hc/en-us/articles/360020623294
_CUSTOM_KINDS = {"str": S, "int": I, "real": N, "bool": Kind.BOOLEAN, "date": T}
_CUSTOM_KINDS |= {f"{ending}s": Kind.JSON for ending in _CUSTOM_KINDS}


def column_name(variable: str) -> str:
    """Return what the column of a custom variable is called when nobody says otherwise.

    Dots and what has to be escaped become `_`, since targets take dots for steps of a path; what is too long is cut.
    """
    return _NOT_IN_COLUMN.sub("_", variable).encode()[:LONGEST_COLUMN].decode(errors="ignore")


def custom_field(name: str, column: str) -> Field:
    """Return the field of the custom variable *name* that has a column of its own."""
    _, underscore, ending = name.rpartition("_")
    kind = _CUSTOM_KINDS.get(ending, S) if underscore else S
    return Field(column, kind, f"Custom variable {name}.", names=(name,))


def columns(*, event_key: bool, custom: Sequence[Field] = ()) -> tuple[Field, ...]:
    """Return every column of `events`, in the order of its schema.

    Args:
        custom: custom variables that have columns of their own.
    """
    key = (EVENT_ID_FIELD,) if event_key else ()
    return (*key, *FIELDS, *custom, CUSTOM_VARS_FIELD, BUNDLE_ID_FIELD)


def column_schema(field: Field, *, hashed: bool = False) -> dict[str, Any]:
    """Return the JSON Schema of the column of a field, or of hashes in place of its values."""
    if hashed:
        return {**_JSON_TYPES[Kind.STRING], "description": f"Keyed hash: {field.meaning}"}
    return {**_JSON_TYPES[field.kind], "description": field.meaning}


def schema(*, event_key: bool, custom: Sequence[Field] = (), hashed: Container[str] = ()) -> dict[str, Any]:
    """Return the JSON Schema of `events`: a flat, closed list of nullable scalars, which every target takes.

    Args:
        hashed: columns that hold hashes in place of values.
    """
    properties = {
        one.name: column_schema(one, hashed=one.name in hashed) for one in columns(event_key=event_key, custom=custom)
    }
    return {"type": "object", "properties": properties, "additionalProperties": False}
