"""Turning events into records, exact path and fast paths side by side.

Three ways lead to the same record, fastest first; what one cannot read exactly goes on to the next:

1. `_expected`: events with members that were met before, whose values fit: typed structs, a whole run in one decode.
2. `_any`: events with any members, whose values fit: dicts, then typed structs.
3. `_exact`: one event, as `exact.py` reads it: odd types, NUL, lone surrogates, numbers that nothing holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, compress, filterfalse, groupby
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from tap_fullstory.bundles import Chunk, split_events
from tap_fullstory.dictionary import (
    BUNDLE_ID,
    CUSTOM_VARS,
    EVENT_ID,
    EVENT_TYPE,
    REPLICATION_KEY,
    Kind,
)
from tap_fullstory.errors import BundleError
from tap_fullstory.exact import fit, parse, to_columns, to_json, uncounted
from tap_fullstory.identity import MEMBERS, event_id
from tap_fullstory.layout import (
    BEFORE_REST,
    BY_NAME,
    EXTRAS_MARK,
    REST_MARK,
    SIMPLE,
    TYPES,
    Layout,
    Place,
    Shape,
    Treated,
    is_custom,
)
from tap_fullstory.moments import are_utc, to_utc
from tap_fullstory.privacy import Note
from tap_fullstory.report import Change, Report

FEW_ESCAPES = 50  # looked at one by one for NUL; with more, one search through all the text is faster
PARTS = 8  # of a run that holds something odd; fewer would look at it more often, more would be short

_NUL = b"\\u0000"

# What Python raises for bytes that the fast paths do not read; all of it goes on to the exact path.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

encode = msgspec.json.Encoder().encode
encode_lines = msgspec.json.Encoder().encode_lines
_decode_dicts = msgspec.json.Decoder(list[dict[str, SIMPLE]]).decode
_decode_names = msgspec.json.Decoder(list[dict[str, Raw]]).decode


NO_BUNDLE = 0


@dataclass(frozen=True)
class Origin:
    """What records were read from; it names their files.

    Attributes:
        bundle_id: of the bundle; `NO_BUNDLE` if it is none.
        start: when the bundle begins, or what is none was read; Unix seconds.
        part: tells apart what is read of one bundle at different times; "" is all of it. It ends in `again_` and when
            the bundle was downloaded once more, or in `behind_` and how many of its events are passed over.
    """

    bundle_id: int
    start: int
    part: str = ""


@dataclass(frozen=True)
class Records:
    """A run of finished records; the unit that travels from a stream to the target.

    Attributes:
        count: how many records.
        lines: the records, each a JSON object on a line of its own.
        events: how many events were read for them, those that a date bound left out included.
        time_extracted: when the bundle was downloaded, RFC 3339.
        stream: whose records they are, if not those of the stream that yields them.
        origin: what they were read from.
        window: if it is there, `lines` are no records yet but events, a JSON array, and records are to be made of
            those that lie in it; `count` is 0 then.
        void: what has come of *origin* so far is not to be kept: its bundle is damaged.
    """

    count: int
    lines: bytes
    events: int
    time_extracted: str
    stream: str | None = None
    origin: Origin | None = None
    window: Window | None = None
    void: bool = False


@dataclass(frozen=True)
class Window:
    """The part of a bundle that is emitted; bounds as `moments.comparable` makes them.

    Attributes:
        start: the first moment, "" for none.
        stop: the moment after the last, None for none.
        also: more parts.
    """

    start: str = ""
    stop: str | None = None
    also: tuple[Window, ...] = ()

    def holds(self, text: Any) -> bool:
        """Return whether an event with this `EventStart` is emitted; one without a readable time always is."""
        if not isinstance(text, str) or (text[:-1] >= self.start and (self.stop is None or text[:-1] < self.stop)):
            return True
        return any(part.holds(text) for part in self.also)


ALL = Window()


@dataclass(frozen=True)
class Made:
    """The records of some of the events."""

    count: int
    lines: bytes


class EventReader:
    """Makes records of the events of one bundle.

    Args:
        layout: what is selected; shared by all bundles, since it learns.
        bundle_id: the value of `_bundle_id`.
        window: which events are emitted.
        report: counts what is changed.
    """

    def __init__(self, layout: Layout, bundle_id: int, window: Window, report: Report) -> None:
        self._layout = layout
        self._bundle_id = bundle_id
        self._marked = Raw(b"%d%b" % (bundle_id, EXTRAS_MARK))
        self._holds = None if window == ALL else window.holds
        self._wants = layout.privacy.wants if layout.privacy.selects else None
        self._report = report

    def from_events(self, chunk: Chunk, time_extracted: str) -> Records:
        """Return the records of the events of *chunk*, which was extracted then.

        Raises:
            BundleError: an event is nested too deeply.
        """
        try:
            runs = list(self._read(chunk.data))
        except RecursionError as error:
            raise BundleError(
                f"Bundle {self._bundle_id} holds an event that is nested too deeply to be read.",
                'Pass over it with "skip_bundles".',
            ) from error
        lines = runs[0].lines if len(runs) == 1 else b"".join(run.lines for run in runs)
        return Records(sum(run.count for run in runs), lines, chunk.events, time_extracted)

    def _read(self, array: bytes) -> Iterator[Made]:
        if self._layout.convert is None:
            yield from map(self._exact, split_events(array))
            return
        if _has_nul(array):
            for odd, group in groupby(split_events(array), _has_nul):
                raws = list(group)
                yield from map(self._exact, raws) if odd else self._in_one(raws)
            return
        run = self._expected(array) if self._layout.shape else self._any(array)
        if run:
            yield run
        else:
            yield from self._in_parts(split_events(array))

    def _in_one(self, raws: Sequence[bytes]) -> Iterator[Made]:
        array = b"[%b]" % b",".join(raws)
        run = self._expected(array) or self._any(array)
        if run:
            yield run
        elif len(raws) == 1:
            yield self._exact(raws[0])
        else:
            yield from self._in_parts(raws)

    def _in_parts(self, raws: Sequence[bytes]) -> Iterator[Made]:
        """Read events some of which are odd in ever shorter runs, so that only these are slow."""
        length = -(-len(raws) // PARTS)
        for start in range(0, len(raws), length):
            yield from self._in_one(raws[start : start + length])

    def _expected(self, array: bytes) -> Made | None:
        shape = self._layout.shape
        if shape is None:
            return None
        try:
            events = shape.decode(array)
            if shape.rest and not array.isascii():
                array.decode()  # what is not selected is not looked at by `decode`
        except _UNREADABLE:
            return None
        if not _complete(events, shape.watched):
            return None
        if self._holds is not None:
            events = [event for event in events if self._holds(event.EventStart)]
        before = len(events)
        if self._wants is not None:
            events = [event for event in events if self._wants(event.EventType)]
        if self._layout.event_id:
            for event in events:
                event.event_id = event_id({**_set(event, shape.identifying), **_identifying(event)})
        if not _complete(events, shape.watched_late):
            return None
        notes = _treat(events, shape.treated)
        run = self._from_expected(events, shape)
        if run:
            self._note(notes, before - len(events))
        return run

    def _from_expected(self, events: list[Any], shape: Shape) -> Made | None:
        """Write out structs of a shape; None if they cannot be told apart then."""
        bundle_id = self._bundle_id if shape.whole else self._marked
        for event in events:
            event._bundle_id = bundle_id
        lines = encode_lines(events)
        if shape.rest:
            selected = _without_rest(lines)
            if len(selected) != len(events):
                return None
            lines = b"".join(selected)
        return Made(len(events), lines if shape.whole else self._with_custom_vars(lines, custom=shape.custom))

    def _with_custom_vars(self, lines: bytes, *, custom: bool) -> bytes:
        """Put into `CustomVars` what stands behind the mark."""
        first, *others = lines.split(EXTRAS_MARK)
        parts = [first]
        extras = []
        for other in others:
            if other.startswith(b"}"):
                parts.append(other)
                continue
            extra, _, following = other[1:].partition(b"}\n")
            extras.append(extra)
            if self._layout.custom_vars:
                # Encoded JSON holds no control character, so this is all that has to be escaped.
                text = extra.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
                parts.append(b',"%b":"{%b}"' % (_CUSTOM_VARS, text))
            parts += (b"}\n", following)
        if extras:
            self._count_names(_decode_names(b"[{%b}]" % b"},{".join(extras)), custom=custom)
        return b"".join(parts)

    def _any(self, array: bytes) -> Made | None:
        layout, known = self._layout, self._layout.known.__contains__
        assert layout.convert
        try:
            members = _decode_dicts(array)
            identities = msgspec.convert(members, list[_IDENTITY]) if layout.event_id else ()
            events = layout.convert(members)
        except _UNREADABLE:
            return None
        if not _complete(events, layout.watched) or not self._types_are_plain(members):
            return None
        met = members
        wanted, left_out = self._wanted(events, members)
        if wanted is not None:
            events, members, identities = (list(compress(all_, wanted)) for all_ in (events, members, identities))
        extras = [{name: one[name] for name in sorted(filterfalse(known, one))} for one in members]
        if layout.event_id:
            for event, identity, extra, one in zip(events, identities, extras, members, strict=True):
                identity.EventStart = event.EventStart
                own = {name: one[name] for name in layout.identifying if name in one}
                event.event_id = event_id({**extra, **own, **_identifying(identity)})
        if not _complete(events, layout.watched_late):
            return None
        layout.learn(met)
        notes = _treat(events, layout.treated)
        if layout.custom_vars and layout.privacy.treats:
            extras = [self._treated(extra, notes) for extra in extras]
        self._note(notes, left_out)
        self._count_names(extras)
        return self._from_any(events, _to_texts(extras) if layout.custom_vars else ())

    def _from_any(self, events: list[Any], custom_vars: Iterable[str | None]) -> Made:
        """Write out structs that `Layout.convert` has made, with their `CustomVars`, if these are selected."""
        if self._layout.bundle_id:
            for event in events:
                event._bundle_id = self._bundle_id
        for event, text in zip(events, custom_vars, strict=False):
            if text is not None:
                event.CustomVars = text
        return Made(len(events), encode_lines(events))

    def _types_are_plain(self, members: Sequence[Mapping[str, Any]]) -> bool:
        """Return whether it can be said at once which events are left out for their type."""
        return self._wants is None or all(isinstance(one.get(EVENT_TYPE), (str, NoneType)) for one in members)

    def _wanted(self, events: Sequence[Any], members: Sequence[Mapping[str, Any]]) -> tuple[Sequence[bool] | None, int]:
        """Return which events are emitted (None: all of them), and how many are left out for their type."""
        if self._holds is None and self._wants is None:
            return None, 0
        held = [self._holds is None or self._holds(event.EventStart) for event in events]
        if self._wants is None:
            return held, 0
        wanted = [holds and self._wants(one.get(EVENT_TYPE)) for holds, one in zip(held, members, strict=True)]
        return wanted, sum(held) - sum(wanted)

    def _exact(self, data: bytes) -> Made:
        layout = self._layout
        changes: list[tuple[Change, str]] = []

        def note(change: Change, name: str) -> None:
            changes.append((change, name))

        members: dict[str, Any] = parse(data, partial(note, Change.REPLACED, "(broken UTF-8)"))
        values, extras, moved = to_columns(
            members, layout.known, layout.all_fields, note, note if layout.custom_vars else uncounted
        )
        if self._holds is not None and not self._holds(values.get(REPLICATION_KEY)):
            return Made(0, b"")
        if self._wants is not None and not self._wants(
            fit(BY_NAME[EVENT_TYPE], members.get(EVENT_TYPE), EVENT_TYPE, uncounted)[0]
        ):
            self._report.left_out += 1
            return Made(0, b"")
        kept = {name: value for name, value in extras.items() if name not in moved or self._is_column(name)}
        record: dict[str, Any] = {}
        if layout.event_id:
            record[EVENT_ID] = event_id({**extras, **_exactly_identifying(members, layout)})
        treated: list[tuple[Change, str]] = []
        if layout.custom_vars and layout.privacy.treats:
            kept = self._treated(kept, treated)
        for name, treatment in layout.treatments.items():
            if name in values:
                values[name] = treatment(values[name], name, _to(treated))
        record |= {field.name: values[field.name] for field in layout.fields if field.name in values}
        if layout.bundle_id:
            record[BUNDLE_ID] = self._bundle_id
        if kept:
            if layout.custom_vars:
                record[CUSTOM_VARS] = encode(dict(sorted(kept.items()))).decode()
                self._report.change(Change.MOVED, moved & kept.keys())
            self._count_extras(Counter(kept.keys() if not layout.custom_vars else kept.keys() - moved))
        self._note(treated)
        left_out = {name for change, name in treated if change is Change.EXCLUDED}
        for change, name in changes:
            if name not in left_out:
                self._changed(change, name)
        return self._from_exact(record)

    def _from_exact(self, record: dict[str, Any]) -> Made:
        """Write out a record."""
        return Made(1, encode_lines([record]))

    def _treated(self, extra: Mapping[str, Any], notes: list[tuple[Change, str]]) -> dict[str, Any]:
        """Return what may be in CustomVars of what would be there."""
        treatment, note = self._layout.treatment, _to(notes)
        found = {name: treatment(name)(value, name, note) for name, value in extra.items()}
        return {name: value for name, value in found.items() if value is not UNSET}

    def _note(self, notes: Sequence[tuple[Change, str]], left_out: int = 0) -> None:
        """Count what was done to values, and events that were left out for their type."""
        if notes:
            for (change, name), count in Counter(notes).items():
                self._report.change(change, {name: count})
        self._report.left_out += left_out

    def _is_column(self, name: str) -> bool:
        return self._layout.field_of[name] in self._layout.fields

    def _changed(self, change: Change, name: str) -> None:
        field = self._layout.field_of.get(name) if name in self._layout.known else None
        if field is None or field in self._layout.fields:
            self._report.change(change, (name,))

    def _count_names(self, extras: Iterable[Mapping[str, Any]], *, custom: bool = False) -> None:
        """Count what is no column, and *custom* says of all of it to be custom variables that are kept."""
        names = chain.from_iterable(extras)
        if custom:
            self._report.custom.update(names)
        else:
            self._count_extras(Counter(names))

    def _count_extras(self, counts: Mapping[str, int]) -> None:
        """Count what is no column."""
        report = self._report
        if not self._layout.custom_vars:
            report.change(Change.DROPPED, counts)
            return
        for name, count in counts.items():
            if name in report.custom or (name not in self._layout.unknown and is_custom(name)):
                report.custom[name] += count
            else:
                change = Change.NOT_IN_CATALOG if name in self._layout.unknown else Change.NEW_FIELD
                report.change(change, {name: count})


_CUSTOM_VARS = CUSTOM_VARS.encode()


def _to_texts(extras: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """Return for each event the text for `CustomVars`; None if it has nothing for it."""
    texts = encode_lines(extras).decode().split("\n")
    return [text if extra else None for extra, text in zip(extras, texts, strict=False)]


def _has_nul(data: bytes) -> bool:
    """Return whether `\\u0000` stands in *data*: a look at a few backslashes is far faster than one at every byte."""
    place = -1
    for _ in range(FEW_ESCAPES):
        place = data.find(b"\\", place + 1)
        if place < 0:
            return False
        if data.startswith(_NUL, place):
            return True
    return _NUL in data[place:]


_IDENTITY: Any = msgspec.defstruct(
    "Identity", [(name, TYPES[BY_NAME[name].kind] | None | msgspec.UnsetType, UNSET) for name in MEMBERS], gc=False
)


def _complete(events: list[Any], watched: Sequence[Place]) -> bool:
    """Bring what is watched into its form and its column; False if that needs the exact path."""
    for place in watched:
        name = place.member
        values = [value for value in map(attrgetter(name), events) if value is not UNSET]
        if not values:
            continue
        is_time = place.kind is Kind.TIMESTAMP and not are_utc([text for text in values if text is not None])
        if is_time and not _normalise(events, name):
            return False
        if place.column != name and not _rename(events, name, place.column):
            return False
    return True


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


def _treat(events: list[Any], treated: Sequence[Treated]) -> list[tuple[Change, str]]:
    """Do to the values of events what has to be done before they are written; return what was done."""
    notes: list[tuple[Change, str]] = []
    note = _to(notes)
    for attribute, name, treatment in treated:
        for event in events:
            value = getattr(event, attribute)
            if value is not UNSET:
                setattr(event, attribute, treatment(value, name, note))
    return notes


def _to(notes: list[tuple[Change, str]]) -> Note:
    return lambda change, name: notes.append((change, name))


def _identifying(event: Any) -> dict[str, Any]:
    """Return the documented members that identify an event, from a struct that has them."""
    values = ((name, getattr(event, name)) for name in MEMBERS)
    return {name: value for name, value in values if value is not UNSET}


def _set(event: Any, members: Mapping[str, str]) -> dict[str, Any]:
    """Return those of *members* that the struct has a value for, by the name that *members* gives them."""
    values = ((name, getattr(event, member)) for member, name in members.items())
    return {name: value for name, value in values if value is not UNSET}


def _without_rest(lines: bytes) -> list[bytes]:
    """Return the lines without what is not selected; more than there were, if line breaks stand in that."""
    return [line[: line.find(REST_MARK) - BEFORE_REST] + b"}\n" for line in lines.split(b"\n")[:-1]]


def read_members(array: bytes) -> Iterable[Mapping[str, Any]]:
    """Return the members of each event, with values as CustomVars holds them."""
    try:
        return _decode_dicts(array)
    except _UNREADABLE:
        events = (parse(one, lambda: None) for one in split_events(array))
        return ({name: to_json(value, name, uncounted) for name, value in event.items()} for event in events)


def _exactly_identifying(members: Mapping[str, Any], layout: Layout) -> dict[str, Any]:
    """Return what has a column and identifies an event: documented members as these hold them, else as CustomVars."""
    found = {name: to_json(members[name], name, uncounted) for name in layout.identifying if name in members}
    for name in MEMBERS:
        if name in members:
            value, _ = fit(BY_NAME[name], members[name], name, uncounted)
            found[name] = to_json(members[name], name, uncounted) if value is UNSET else value
    return found
