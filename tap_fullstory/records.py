"""Turning events into records, exact path and fast paths side by side.

Three ways lead to the same record, fastest first; what one cannot read exactly goes on to the next:

1. `_plain`: events that are as documented and have no custom variables: typed structs, a whole run in one decode.
2. `_custom`: the same, and everything that is no column goes into `CustomVars`: dicts, then typed structs.
3. `_exact`: one event, with the standard library: odd types, NUL, lone surrogates, numbers that nothing holds.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from tap_fullstory.bundles import split_events
from tap_fullstory.dictionary import (
    BUNDLE_ID,
    CUSTOM_VARS,
    EVENT_ID,
    FIELDS,
    MAX_INTEGER,
    MIN_INTEGER,
    REPLICATION_KEY,
    Field,
    Kind,
)
from tap_fullstory.identity import MEMBERS, event_id
from tap_fullstory.moments import are_utc, to_utc
from tap_fullstory.report import Change, Report

# Values that CustomVars takes as they are, as deep as properties are usually nested; deeper ones are read one by one.
_INTEGER = Annotated[int, Meta(ge=MIN_INTEGER, le=MAX_INTEGER)]
_SCALAR = _INTEGER | float | str | bool | None
_FLAT = _SCALAR | list[_SCALAR]
_SIMPLE = dict[str, _FLAT | dict[str, _FLAT]]
_TYPES: dict[Kind, Any] = {
    Kind.STRING: str,
    Kind.INTEGER: _INTEGER,
    Kind.NUMBER: _INTEGER | float,  # float alone would make 5.0 of 5
    Kind.TIMESTAMP: str,
}
_BY_NAME = {field.name: field for field in FIELDS}
_FIELD_OF = {name: field for field in FIELDS for name in field.source_names}
_NEWER = {name: field.name for field in FIELDS for name in field.source_names if name != field.name}

PARTS = 8  # of a run that holds something odd; fewer would look at it more often, more would be short

_UNSAFE = re.compile("[\0\ud800-\udfff]")
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_CANONICAL_WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_WIDEST = len(str(MIN_INTEGER))  # characters of the longest 64-bit integer

# What Python raises for bytes that the fast paths do not read; all of it goes on to the exact path.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
_decode_dicts = msgspec.json.Decoder(list[dict[str, Any]]).decode


@dataclass(frozen=True)
class Records:
    """A run of finished records; the unit that travels from a stream to the target.

    Attributes:
        count: how many records.
        lines: the records, each a JSON object on a line of its own.
        events: how many events were read for them, those that a date bound left out included.
        time_extracted: when the bundle was downloaded, RFC 3339.
    """

    count: int
    lines: bytes
    events: int
    time_extracted: str


@dataclass(frozen=True)
class Window:
    """The part of a bundle that is emitted; bounds as `moments.comparable` makes them.

    Attributes:
        start: the first moment, "" for none.
        stop: the moment after the last, None for none.
    """

    start: str = ""
    stop: str | None = None

    def holds(self, text: Any) -> bool:
        """Return whether an event with this `EventStart` is emitted; one without a readable time always is."""
        return not isinstance(text, str) or (text[:-1] >= self.start and (self.stop is None or text[:-1] < self.stop))


ALL = Window()


class EventReader:
    """Makes records of the events of one bundle.

    Args:
        columns: the columns to emit, a subset of `dictionary.columns`.
        unknown: documented fields that count as unknown, since the catalog does not know them.
        bundle_id: the value of `_bundle_id`.
        window: which events are emitted.
        report: counts what is changed.
    """

    def __init__(
        self,
        columns: Sequence[str],
        unknown: Iterable[str],
        bundle_id: int,
        window: Window,
        report: Report,
    ) -> None:
        selected = set(columns)
        self._fields = tuple(field for field in FIELDS if field.name in selected)
        self._unknown = frozenset(name for one in unknown if one in _BY_NAME for name in _BY_NAME[one].source_names)
        self._known = frozenset(_FIELD_OF.keys() - self._unknown)
        timestamps = [field.name for field in self._fields if field.kind is Kind.TIMESTAMP]
        renamed = [name for name, older in _NEWER.items() if older in selected]
        self._watched = (*timestamps, *renamed)
        self._watch = attrgetter(*self._watched, EVENT_ID)  # of one name alone it would give no tuple
        self._custom_vars = CUSTOM_VARS in selected
        self._event_id = EVENT_ID in selected
        self._bundle_id = bundle_id if BUNDLE_ID in selected else None
        self._holds = None if window == ALL else window.holds
        self._report = report
        self._convert = _converter(_event_struct(self._fields, self._bundle_id, strict=False))
        # Only when every documented field is a column does "no unknown member" mean "nothing for CustomVars".
        everything = len(self._fields) == len(FIELDS)
        strict = _event_struct(self._fields, self._bundle_id, strict=True)
        self._decode_run = _decoder(list[strict]) if everything else None  # type: ignore[valid-type]
        self._decode_one = _decoder(strict) if everything else None
        self._mostly_custom = False

    def from_events(self, array: bytes, time_extracted: str) -> Records:
        """Return the records of a JSON array of events."""
        events = self._read(array)
        count = len(events)
        if self._holds is not None:
            events = [event for event in events if self._holds(_start_of(event))]
        return Records(len(events), encode_lines(events), count, time_extracted)

    def _read(self, array: bytes) -> list[Any]:
        nul = _has_nul(array)
        events = None if nul else self._plain(array)
        return self._mixed(split_events(array), nul) if events is None else events

    def _plain(self, array: bytes) -> list[Any] | None:
        if self._decode_run is None:
            return None
        try:
            events = self._decode_run(array)
        except _UNREADABLE:
            return None
        return events if self._finish_plain(events) else None

    def _mixed(self, raws: Sequence[bytes], nul: bool) -> list[Any]:
        """Read the events that are as documented one by one, and the others together."""
        events: list[Any] = [None] * len(raws)
        decode = self._decode_one
        if decode and not self._mostly_custom:
            for number, raw in enumerate(raws):
                if not (nul and _has_nul(raw)):
                    try:
                        events[number] = decode(raw)
                    except _UNREADABLE:
                        continue
            if not self._finish_plain([event for event in events if event is not None]):
                events = [None] * len(raws)
        rest = [number for number, event in enumerate(events) if event is None]
        # Accounts that send a variable with nearly every event: do not look for exceptions every time.
        self._mostly_custom = 2 * len(rest) > len(raws)
        for number, event in zip(rest, self._others([raws[number] for number in rest]), strict=True):
            events[number] = event
        return events

    def _others(self, raws: Sequence[bytes]) -> list[Any]:
        """Read events with custom variables; odd ones among them in ever shorter runs, so that only they are slow."""
        array = b"[%b]" % b",".join(raws)
        events = None if _has_nul(array) else self._custom(array)
        if events is not None:
            return events
        if len(raws) == 1:
            return [self._exact(raws[0])]
        length = -(-len(raws) // PARTS)
        runs = (raws[start : start + length] for start in range(0, len(raws), length))
        return [event for run in runs for event in self._others(run)]

    def _finish_plain(self, events: list[Any]) -> bool:
        if not self._complete(events):
            return False
        if self._event_id:
            for event in events:
                event.event_id = event_id(_identifying(event))
        return True

    def _custom(self, array: bytes) -> list[Any] | None:
        known = self._known
        extras: list[dict[str, Any]] = []
        names: list[str] = []
        try:
            members = _decode_dicts(array)
            identities = msgspec.convert(members, list[_IDENTITY]) if self._event_id else ()
            for one in members:
                unknown = one.keys() - known
                extras.append({name: one.pop(name) for name in sorted(unknown)} if unknown else _NOTHING)
                names += unknown
            events = self._convert(members)
            if self._custom_vars or self._event_id:
                msgspec.convert(extras, list[_SIMPLE])
        except _UNREADABLE:
            return None
        if not self._complete(events):
            return None
        if self._event_id:
            for event, identity, extra in zip(events, identities, extras, strict=True):
                identity.EventStart = event.EventStart
                event.event_id = event_id({**extra, **_identifying(identity)})
        if names:
            if self._custom_vars:
                for event, extra in zip(events, extras, strict=True):
                    if extra:
                        event.CustomVars = encode(extra).decode()
            self._count_extras(Counter(names))
        return events

    def _complete(self, events: list[Any]) -> bool:
        """Give columns with several names their value and times their form; False if that needs the exact path."""
        if not events:
            return True
        for name, values in zip(self._watched, zip(*map(self._watch, events), strict=True), strict=False):
            missing = values.count(UNSET)
            if missing == len(values):
                continue
            if name in _NEWER:
                if not _rename(events, name, _NEWER[name]):
                    return False
                continue
            texts = [text for text in values if text is not UNSET and text is not None]
            if not are_utc(texts) and not _normalise(events, name):
                return False
        return True

    def _exact(self, data: bytes) -> dict[str, Any]:
        members = parse_event(data, partial(self._report.change, Change.REPLACED, ("(broken UTF-8)",)))
        values, extras, moved = _to_columns(members, self._known, self._changed)
        kept = {name: value for name, value in extras.items() if name not in moved or self._is_column(name)}
        record = {field.name: values[field.name] for field in self._fields if field.name in values}
        if self._event_id:
            record = {EVENT_ID: event_id({**extras, **_exactly_identifying(members)}), **record}
        if kept:
            if self._custom_vars:
                record[CUSTOM_VARS] = encode(dict(sorted(kept.items()))).decode()
                self._report.change(Change.MOVED, moved & kept.keys())
            self._count_extras(Counter(kept.keys() if not self._custom_vars else kept.keys() - moved))
        if self._bundle_id is not None:
            record[BUNDLE_ID] = self._bundle_id
        return record

    def _is_column(self, name: str) -> bool:
        return _FIELD_OF[name] in self._fields

    def _changed(self, change: Change, name: str) -> None:
        field = _FIELD_OF.get(name) if name in self._known else None
        if field is None or field in self._fields:
            self._report.change(change, (name,))

    def _count_extras(self, counts: Mapping[str, int]) -> None:
        if not self._custom_vars:
            self._report.change(Change.DROPPED, counts)
            return
        for name, count in counts.items():
            change = Change.NOT_IN_CATALOG if name in self._unknown else Change.NEW_FIELD
            if change is Change.NEW_FIELD and is_custom(name):
                self._report.custom[name] += count
            else:
                self._report.change(change, {name: count})


_NOTHING: dict[str, Any] = {}
_CUSTOM = re.compile(r"(?:user|evt|page)_|.*_(?:str|int|real|bool|date)s?$", re.DOTALL)


def is_custom(name: str) -> bool:
    """Return whether *name* looks like a custom variable.

    API: https://help.fullstory.com/hc/en-us/articles/360020623294 (prefix and suffix; older exports lack the prefix).
    """
    return _CUSTOM.match(name) is not None


# The type of the tap's own columns: nothing that is read fits it, so a member of that name is not taken for ours (it is
# NUL, and events with NUL are read on the exact path). What we set ourselves is not checked.
_OURS = Literal["\0"]


def _event_struct(fields: Sequence[Field], bundle_id: int | None, *, strict: bool) -> type[Struct]:
    """Return the type of one record, its members typed as the columns; members that are not set are left out.

    `_bundle_id` is the default of its member, so that it costs nothing per record.
    """
    members: list[tuple[str, Any, Any]] = [(EVENT_ID, _OURS | UnsetType, UNSET)]
    if bundle_id is not None:
        members.append((BUNDLE_ID, _OURS, bundle_id))
    for field in fields:
        members += [(name, _TYPES[field.kind] | None | UnsetType, UNSET) for name in field.source_names]
    if not strict:
        members.append((CUSTOM_VARS, _OURS | UnsetType, UNSET))
    return msgspec.defstruct("Event", members, forbid_unknown_fields=strict, gc=False)  # flat: no cycles


def _has_nul(data: bytes) -> bool:
    return b"\\" in data and b"\\u0000" in data  # the first look is far faster than the second


def _decoder(kind: Any) -> Callable[[bytes], Any]:
    decode: Callable[[bytes], Any] = msgspec.json.Decoder(kind).decode
    return decode


def _converter(kind: Any) -> Callable[[list[dict[str, Any]]], list[Any]]:
    return partial(msgspec.convert, type=list[kind])


_IDENTITY: Any = msgspec.defstruct(
    "Identity", [(name, _TYPES[_BY_NAME[name].kind] | None | UnsetType, UNSET) for name in MEMBERS], gc=False
)


def _start_of(event: Any) -> Any:
    return event.get(REPLICATION_KEY) if type(event) is dict else event.EventStart


def _rename(events: list[Any], newer: str, name: str) -> bool:
    """Give the column *name* the value of the member *newer*; False if both are there and differ."""
    for event in events:
        value = getattr(event, newer)
        if value is not UNSET:
            if getattr(event, name) not in (UNSET, value):
                return False
            setattr(event, name, value)
            setattr(event, newer, UNSET)
    return True


def _normalise(events: list[Any], name: str) -> bool:
    """Bring the times of a column into their form; False if one cannot be read."""
    for event in events:
        text = getattr(event, name)
        if text is not UNSET and text is not None:
            moment = to_utc(text)
            if moment is None:
                return False
            setattr(event, name, moment)
    return True


def _identifying(event: Any) -> dict[str, Any]:
    """Return the documented members that identify an event, from a struct that has them."""
    values = ((name, getattr(event, name)) for name in MEMBERS)
    return {name: value for name, value in values if value is not UNSET}


# The exact path -------------------------------------------------------------------------------------------------------


class Number(str):
    """A number, as it was written."""

    __slots__ = ()


def parse_event(data: bytes, broken: Callable[[], None]) -> dict[str, Any]:
    """Return the members of one event, every number as it was written; of members with one name the last.

    Args:
        broken: is called when the bytes are no UTF-8; what is broken becomes U+FFFD.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        broken()
        text = data.decode(errors="replace")
    members: dict[str, Any] = json.loads(
        text, strict=False, parse_float=Number, parse_int=Number, parse_constant=Number
    )
    return members


def _to_columns(
    members: Mapping[str, Any], known: frozenset[str], changed: Callable[[Change, str], None]
) -> tuple[dict[str, Any], dict[str, Any], frozenset[str]]:
    """Sort the members of an event.

    Returns:
        The values of columns by column; everything else by its own name; and which of these are documented fields
        whose value does not fit.
    """
    values: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    moved = set()
    for name, value in members.items():
        if name not in known:
            extras[_clean(name, name, changed)] = _to_json(value, name, changed)
    for field in FIELDS:
        winner: Any = UNSET
        for name in field.source_names:
            if name not in members or name not in known:
                continue
            value = members[name]
            if winner is not UNSET and value == winner:
                continue
            fitting, change = _FIT[field.kind](value) if winner is UNSET else (UNSET, None)
            if fitting is UNSET:
                extras[name] = _to_json(value, name, changed)
                moved.add(name)
                continue
            winner = value
            values[field.name] = fitting
            if change:
                changed(change, name)
    return values, extras, frozenset(moved)


def _exactly_identifying(members: Mapping[str, Any]) -> dict[str, Any]:
    """Return the documented members that identify an event, as their columns hold them; else as CustomVars does."""
    found = {}
    for name in MEMBERS:
        if name in members:
            value, _ = _FIT[_BY_NAME[name].kind](members[name])
            found[name] = _to_json(members[name], name, _uncounted) if value is UNSET else value
    return found


def _uncounted(_change: Change, _name: str) -> None:
    """Forget a change that is counted elsewhere."""


def _fit_string(value: Any) -> tuple[Any, Change | None]:
    if isinstance(value, Number):
        return str(value), Change.CONVERTED
    if isinstance(value, str):
        return _UNSAFE.sub("\ufffd", value), Change.REPLACED if _UNSAFE.search(value) else None
    return (None if value is None else UNSET), None


def _fit_integer(value: Any) -> tuple[Any, Change | None]:
    if value is None:
        return None, None
    if isinstance(value, Number):
        return _to_integer(_whole(value)), None if _WHOLE.fullmatch(value) else Change.CONVERTED
    if isinstance(value, str) and _CANONICAL_WHOLE.fullmatch(value):
        return _to_integer(value), Change.CONVERTED
    return UNSET, None


def _fit_number(value: Any) -> tuple[Any, Change | None]:
    if value is None:
        return None, None
    if not isinstance(value, Number):
        return UNSET, None
    if _WHOLE.fullmatch(value):
        integer = _to_integer(value)
        if integer is not UNSET:
            return integer, None
        double = float(value)  # the largest double has 309 digits
        return (double if math.isfinite(double) and int(double) == int(value) else UNSET), None
    double = float(value)
    return (double if math.isfinite(double) else UNSET), None


def _fit_timestamp(value: Any) -> tuple[Any, Change | None]:
    if value is None:
        return None, None
    moment = to_utc(value) if isinstance(value, str) and not isinstance(value, Number) else None
    return (UNSET if moment is None else moment), None


# Each returns the value as the column holds it (UNSET: it does not fit), and what had to be done for that.
_FIT: dict[Kind, Callable[[Any], tuple[Any, Change | None]]] = {
    Kind.STRING: _fit_string,
    Kind.INTEGER: _fit_integer,
    Kind.NUMBER: _fit_number,
    Kind.TIMESTAMP: _fit_timestamp,
}


def _to_integer(text: str) -> Any:
    """Return a whole number as int, UNSET if it is none or 64 bits do not hold it."""
    if len(text) > _WIDEST or not _WHOLE.fullmatch(text):  # JSON has no leading zeros, so longer is larger
        return UNSET
    value = int(text)
    return value if MIN_INTEGER <= value <= MAX_INTEGER else UNSET


def _whole(number: Number) -> str:
    """Return the digits of a whole number, also of `2.0` and `2e3`; what is not whole or far too large as it is."""
    if (
        _WHOLE.fullmatch(number) or not abs(float(number)) <= 2.0**63
    ):  # too large, infinite or not a number: never write out its zeros
        return number
    value = Decimal(number)
    if value == 0:
        return "0"
    return f"{value:f}".split(".")[0] if value == value.to_integral_value() else number


def _to_json(value: Any, name: str, changed: Callable[[Change, str], None]) -> Any:
    """Return a value as CustomVars holds it; *name* is what it is counted under."""
    if isinstance(value, Number):
        number, _ = _fit_number(value)
        if number is UNSET:
            changed(Change.AS_TEXT, name)
            return str(value)
        return number
    if isinstance(value, str):
        return _clean(value, name, changed)
    if isinstance(value, list):
        return [_to_json(one, name, changed) for one in value]
    if isinstance(value, dict):
        return {_clean(key, name, changed): _to_json(one, name, changed) for key, one in value.items()}
    return value


def _clean(text: str, name: str, changed: Callable[[Change, str], None]) -> str:
    """Return *text* without NUL and lone surrogates, which no target survives."""
    if _UNSAFE.search(text) is None:
        return text
    changed(Change.REPLACED, _UNSAFE.sub("\ufffd", name))
    return _UNSAFE.sub("\ufffd", text)
