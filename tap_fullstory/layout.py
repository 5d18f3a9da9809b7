"""What the fast paths expect: types of events, made of the selected columns and of the names that events had so far.

A type with a member for every name that Fullstory or an account may use would be slow; one for those that were met is
fast, and reads custom variables along with the columns. So the layout learns: events with other names are read on
another path, and from time to time the type is made anew with the names met there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from tap_fullstory.dictionary import (
    BUNDLE_ID,
    CUSTOM_VARS,
    EVENT_ID,
    EVENT_TYPE,
    FIELD_OF,
    FIELDS,
    MAX_INTEGER,
    MIN_INTEGER,
    REPLICATION_KEY,
    Field,
    Kind,
)
from tap_fullstory.identity import CUSTOM_PREFIX, MEMBERS
from tap_fullstory.privacy import OPEN, Privacy, Treatment

MOST_NAMES = 128  # that are no columns; each costs every event a little, and with twice as many dicts are faster

INTEGER = Annotated[int, Meta(ge=MIN_INTEGER, le=MAX_INTEGER)]
_SCALAR = INTEGER | float | str | bool | None
_FLAT = _SCALAR | list[_SCALAR]
# A value that CustomVars takes as it is, as deep as properties are usually nested; deeper ones are read one by one.
SIMPLE = _FLAT | dict[str, _FLAT]
TYPES: dict[Kind, Any] = {
    Kind.STRING: str,
    Kind.INTEGER: INTEGER,
    Kind.NUMBER: INTEGER | float,  # float alone would make 5.0 of 5
    Kind.TIMESTAMP: str,
    Kind.BOOLEAN: bool,
    Kind.JSON: SIMPLE,
}
BY_NAME = {field.name: field for field in FIELDS}

# The type of the tap's own members: nothing that is read fits it, so a member of that name is not taken for ours (it is
# NUL, and events with NUL are read on the exact path). What we set ourselves is not checked.
_OURS = Literal["\0"]
# In an encoded event what follows the first mark belongs into CustomVars, up to the second, which stands before what is
# not selected. Encoded JSON holds no control character, so nothing else looks like them; and one byte is found fast.
EXTRAS_MARK = b"\0"
REST_MARK = b"\1"
_REST = "_rest"
BEFORE_REST = len(b',"%b":' % _REST.encode())  # bytes between what is selected and the second mark
_RESERVED = frozenset({EVENT_ID, BUNDLE_ID, CUSTOM_VARS, _REST})
_LEARNABLE = re.compile(r'[^\x00-\x1f"\\]{1,255}')  # msgspec wants names that need no escapes

_Member = tuple[str, Any, Any]

_CUSTOM = re.compile(r"(?:user|evt|page)_|.*_(?:str|int|real|bool|date)s?\Z", re.DOTALL)


def is_custom(name: str) -> bool:
    """Return whether *name* looks like a custom variable.

    API: https://help.fullstory.com/hc/en-us/articles/360020623294 (prefix and suffix; older exports lack the prefix).
    """
    return _CUSTOM.match(name) is not None


@dataclass(frozen=True)
class Place:
    """Where a type of events keeps a member that has a column.

    Attributes:
        member: the attribute that the member is read into.
        column: the attribute that is written as the column.
        kind: the type of the column.
    """

    member: str
    column: str
    kind: Kind

    @property
    def is_watched(self) -> bool:
        """Whether it needs a second look: times do, and what its column calls otherwise."""
        return self.member != self.column or self.kind is Kind.TIMESTAMP


@dataclass(frozen=True)
class Slot:
    """Where a type of events holds the value of a column.

    Attributes:
        at: how many attributes of the type stand before it.
        column: the name of the column.
        may_be_unset: whether it is UNSET where an event lacks it, not None.
    """

    at: int
    column: str
    may_be_unset: bool


# An attribute, the name under which changes of its values are counted, and what is done to them.
Treated = tuple[str, str, Treatment]


@dataclass(frozen=True)
class Shape:
    """The type of events that have no other members than those met so far.

    Attributes:
        decode: reads a JSON array of them, into structs whose members are typed as the columns.
        watched: those of the members that need a second look.
        watched_late: the same of custom variables; what they hold identifies an event as it came, so they come last.
        treated: those of the members whose values are not written as they are.
        whole: whether an encoded event is a record as it is, and has not to be taken apart at the marks.
        rest: whether members that are not selected follow.
        custom: whether all members that are no columns are custom variables, and kept.
        identifying: those of the members that are no columns but identify an event, by what they are called there.
        slots: where the values of columns are.
        extras: the sorted names of members that are no columns.
        extras_at: how many attributes of the type stand before these.
        make_extras: makes of their values what is written as JSON with their names.
    """

    decode: Callable[[bytes], list[Any]]
    watched: tuple[Place, ...]
    watched_late: tuple[Place, ...]
    treated: tuple[Treated, ...]
    whole: bool
    rest: bool
    custom: bool
    identifying: Mapping[str, str]
    slots: tuple[Slot, ...]
    extras: tuple[str, ...]
    extras_at: int
    make_extras: Callable[..., Any]


class Layout:
    """What is selected, and what events with that look like.

    Args:
        columns: the columns to emit, a subset of `dictionary.columns`.
        unknown: documented fields, or columns of *custom*, that count as unknown, since the catalog does not know them.
        custom: custom variables that have columns of their own.
        privacy: which events and values may leave the tap.
        for_columns: whether records become columns, not text: there, and in `event_id`, what is missing is null, so a
            struct holds None for it; UNSET takes longer.

    Attributes:
        fields: the selected columns that hold members of events.
        field_of: the fields by the names of their members.
        known: names of members that are not for `CustomVars`.
        unknown: names of members that are, though they are documented or have a column.
        identifying: names of custom variables that have a column, and identify an event.
        shape: what to expect; None: anything, for instance since there are too many names.
        convert: makes structs of dicts that have any members, and leaves what is no column; None: there is no such
            type, so each event has to be read on its own.
        watched, watched_late, treated, slots: of these structs, like those of a `Shape`.
        treatments: what is done to the values of selected columns, if anything is, by column.
    """

    def __init__(
        self,
        columns: Sequence[str],
        unknown: Iterable[str],
        custom: Sequence[Field] = (),
        privacy: Privacy = OPEN,
        *,
        for_columns: bool = False,
    ) -> None:
        selected = set(columns)
        self.all_fields = (*FIELDS, *custom)
        self.fields = tuple(field for field in self.all_fields if field.name in selected)
        self.field_of = {name: field for field in self.all_fields for name in field.source_names}
        by_name = {field.name: field for field in self.all_fields}
        self.unknown = frozenset(name for one in unknown if one in by_name for name in by_name[one].source_names)
        self.known = frozenset(self.field_of.keys() - self.unknown)
        self.identifying = tuple(name for name in self.known - FIELD_OF.keys() if name.startswith(CUSTOM_PREFIX))
        self.custom_vars = CUSTOM_VARS in selected
        self.event_id = EVENT_ID in selected
        self.bundle_id = BUNDLE_ID in selected
        self.privacy = privacy
        self._for_columns = for_columns
        treatments = ((field.name, privacy.of_column(field)) for field in self.fields)
        self.treatments = {name: treatment for name, treatment in treatments if treatment}
        self._places = {name: Place(name, field.name, field.kind) for name, field in FIELD_OF.items()}
        # Attributes have names that any type takes; what is read and written is called as it should be.
        self._renamed: dict[str, str] = {}
        for number, field in enumerate(custom):
            (name,) = field.source_names
            member = column = f"custom{number}"
            self._renamed[column] = field.name
            if name != field.name:
                member = f"member{number}"
                self._renamed[member] = name
            self._places[name] = Place(member, column, field.kind)
        self._columns = {
            name: self._places[name] for field in self.fields for name in field.source_names if name in self.known
        }
        taken = (self._renamed.get(place.column) for place in self._columns.values())
        self._taken = frozenset(filter(None, taken))  # columns in every type: nothing else can have their names there
        # what identifies an event, and what decides whether it is emitted
        self._always = {
            REPLICATION_KEY,
            *(MEMBERS if self.event_id else ()),
            *((EVENT_TYPE,) if privacy.selects else ()),
        }
        self._met: set[str] = set()
        self._misses = 0
        self._names: frozenset[str] = frozenset()
        self.shape: Shape | None = None
        self.convert: Callable[[Any], list[Any]] | None = None
        self.watched: tuple[Place, ...] = ()
        self.watched_late: tuple[Place, ...] = ()
        self.treated: tuple[Treated, ...] = ()
        self.slots: tuple[Slot, ...] = ()
        own = self._renamed.values()
        if len(set(own)) < len(own) or not all(map(_is_learnable, own)):
            return
        # What decides about an event must be read by its type, and what counts as unknown is not. And the first mark
        # stands behind a member that every record has.
        untyped = self._always.intersection(self.unknown)
        if self.bundle_id and not untyped:
            self.shape = self._make_shape(self._names)
        members = [*_own(EVENT_ID), *self._members(self._columns), *_own(BUNDLE_ID), *_own(CUSTOM_VARS)]
        self.convert = partial(msgspec.convert, type=list[_struct(members, self._renamed)])  # type: ignore[misc]
        self.watched, self.watched_late = self._watched(self._columns)
        self.treated = self._treated(self._columns)
        self.slots = self._slots(self._columns, members)

    def learn(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take note of events that did not have the shape."""
        if self.shape is None:
            return
        for event in events:
            self._met.update(event)
        if len(self._met - self.known) > MOST_NAMES:
            self.shape = None
            self._met.clear()
            return
        self._misses += 1
        if self._misses & (self._misses - 1):  # ever more seldom, so that rare names do not cost a new type each time
            return
        names = frozenset(name for name in self._met if name in self.known or self._may_learn(name))
        if names != self._names:
            self._names = names
            self.shape = self._make_shape(names)

    def _may_learn(self, name: str) -> bool:
        return _is_learnable(name) and name not in self._taken

    def _make_shape(self, names: frozenset[str]) -> Shape:
        typed = {*self._always, *(self.identifying if self.event_id else ())}
        columns = [name for name in self._columns if name in names | self._always | _SEVERAL]
        rest: dict[str, Any] = {
            place.member: TYPES[place.kind] if name in typed else Raw
            for name, place in self._places.items()
            if name in self.known and name in names | self._always and name not in columns
        }
        # in the same order, whenever each was met
        extras = {f"extra{number}": name for number, name in enumerate(sorted(names - self.known))}
        own = {self._places[name].member: name for name in self.identifying if name in names}
        members = [
            *_own(EVENT_ID),
            *self._members(columns),
            *_own(BUNDLE_ID),
            *_optional(dict.fromkeys(extras, SIMPLE)),
        ]
        if rest:
            members += [(_REST, _OURS, Raw(REST_MARK)), *_optional(rest)]
        renamed = {**extras, **self._renamed}
        decoder = msgspec.json.Decoder(list[_struct(members, renamed, strict=True)])  # type: ignore[misc]
        watched, watched_late = self._watched(columns)
        return Shape(
            decode=decoder.decode,
            watched=watched,
            watched_late=watched_late,
            treated=self._treated(columns) + self._treated_extras(extras),
            whole=not (extras or rest),
            rest=bool(rest),
            custom=self.custom_vars and all(map(is_custom, names - self.known)) and not names & self.unknown,
            identifying=own | {member: name for member, name in extras.items() if name.startswith(CUSTOM_PREFIX)},
            slots=self._slots(columns, members),
            extras=tuple(extras.values()),
            extras_at=[name for name, *_ in members].index(BUNDLE_ID) + 1,
            make_extras=_struct(_optional(dict.fromkeys(extras, SIMPLE)), extras),
        )

    def _members(self, names: Iterable[str]) -> list[_Member]:
        """Return the members of a type that hold the columns of these members of events."""
        members: list[_Member] = []
        for name in names:
            place = self._places[name]
            if place.member != place.column and place.column in self._renamed:
                members += _own(place.column)
            members += _optional({place.member: TYPES[place.kind]}, UNSET if self._may_be_unset(name) else None)
        return members

    def _may_be_unset(self, name: str) -> bool:
        """Return whether a missing member is told apart from one that is null: two may stand for one column."""
        place = self._places[name]
        return not self._for_columns or place.member != place.column or name in _SEVERAL

    def _slots(self, names: Iterable[str], members: Sequence[_Member]) -> tuple[Slot, ...]:
        """Return where a type with these members holds the columns of *names*, and what identifies an event."""
        places = {attribute: at for at, (attribute, *_) in enumerate(members)}
        found = {EVENT_ID: Slot(places[EVENT_ID], EVENT_ID, may_be_unset=False)} if self.event_id else {}
        for name in names:
            column = self._places[name].column
            found[column] = Slot(places[column], self.field_of[name].name, self._may_be_unset(name))
        return tuple(found.values())

    def _watched(self, names: Iterable[str]) -> tuple[tuple[Place, ...], tuple[Place, ...]]:
        watched = {name: self._places[name] for name in names if self._places[name].is_watched}
        late = tuple(place for name, place in watched.items() if name not in FIELD_OF)
        return tuple(place for name, place in watched.items() if name in FIELD_OF), late

    def _treated(self, names: Iterable[str]) -> tuple[Treated, ...]:
        columns = {self._places[name].column: self.field_of[name].name for name in names}
        return tuple(
            (attribute, column, self.treatments[column])
            for attribute, column in columns.items()
            if column in self.treatments
        )

    def _treated_extras(self, extras: Mapping[str, str]) -> tuple[Treated, ...]:
        if not (self.custom_vars and self.privacy.treats):
            return ()
        treated = ((member, name, self.treatment(name)) for member, name in extras.items())
        return tuple(one for one in treated if one[2])

    def treatment(self, name: str) -> Treatment:
        """Return what is done to values that are in CustomVars under this name."""
        return self.privacy.of_variable(name, self.field_of.get(name))


# names of columns that have several
_SEVERAL = frozenset(name for field in FIELDS if len(field.source_names) > 1 for name in field.source_names)


def _is_learnable(name: str) -> bool:
    return name not in _RESERVED and _LEARNABLE.fullmatch(name) is not None


def _own(name: str) -> list[_Member]:
    return [(name, _OURS | UnsetType, UNSET)]


def _optional(types: Mapping[str, Any], missing: Any = UNSET) -> list[_Member]:
    """Members that may be null or missing; one that is not set is left out when encoded."""
    return [
        (name, kind | None | UnsetType if kind is not Raw else kind | UnsetType, missing)
        for name, kind in types.items()
    ]


def _struct(members: Sequence[_Member], rename: Mapping[str, str] | None = None, *, strict: bool = False) -> Any:
    # Without cycles among flat events the garbage collector has nothing to find.
    return msgspec.defstruct("Event", members, rename=rename, forbid_unknown_fields=strict, gc=False)
