"""What may leave the tap: which events, and what becomes of values that nobody is to see as they are.

All of it is done to values as the record would hold them, when `event_id` has been made of what the source sent, and
before anything is written.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import translate
from functools import lru_cache
from typing import Any

from msgspec import UNSET
from msgspec.json import Encoder

from tap_fullstory.config import Config
from tap_fullstory.dictionary import MAX_INTEGER, MIN_INTEGER, REPLICATION_KEY, Field, Kind
from tap_fullstory.report import Change

MOST_REMEMBERED = 4096  # names of variables whose treatment, and values whose hash, are not worked out anew
LONGEST_REMEMBERED = 200  # characters of such a value

Note = Callable[[Change, str], None]

_encode = Encoder().encode


class Patterns:
    """Names, and patterns such as `user_*` as shells have them; case matters."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._names = frozenset(patterns)  # a name that looks like a pattern is also itself
        self._match = re.compile("|".join(map(translate, sorted(self._names))) or r"(?!)").match

    def __bool__(self) -> bool:
        return bool(self._names)

    def match(self, *names: str) -> bool:
        """Return whether any of *names* is meant."""
        return any(name in self._names or self._match(name) is not None for name in names)


@dataclass(frozen=True)
class Treatment:
    """What is done to the values of one column, or of one variable in CustomVars.

    Attributes:
        exclude: they are left out.
        strip: texts lose query and fragment.
        key: they are hashed with it; None: they are not.
        write_out: they become JSON text, unless they are hashed.
    """

    exclude: bool = False
    strip: bool = False
    key: bytes | None = None
    write_out: bool = False

    def __bool__(self) -> bool:
        return self != _NOTHING

    def __call__(self, value: Any, name: str, note: Note) -> Any:
        """Return what becomes of a value; UNSET: nothing. *note* is told what was done, and of *name*."""
        if self.exclude:
            note(Change.EXCLUDED, name)
            return UNSET
        if value is None:
            return None
        if self.strip:
            stripped = _without_query(value)
            if stripped != value:
                note(Change.STRIPPED, name)
                value = stripped
        if self.key is not None:
            note(Change.HASHED, name)
            text = canonical_text(value)
            return _remembered_hash(self.key, text) if len(text) <= LONGEST_REMEMBERED else _hash(self.key, text)
        return _encode(value).decode() if self.write_out else value


_NOTHING = Treatment()


class Privacy:
    """What the settings say of it.

    Attributes:
        selects: some events are left out for their type.
        treats: some values are not what the source sent, or are left out.
        keeps: whether there is a column for what has none of its own.
    """

    def __init__(self, config: Config) -> None:
        self._only, self._except = config.event_types, config.exclude_event_types
        self._hash, self._strip = Patterns(config.hash_columns), Patterns(config.strip_query)
        self._exclude = Patterns(config.custom_vars_exclude)
        self._key = (config.hash_key or "").encode()
        self.selects = bool(self._only or self._except)
        self.keeps = config.custom_vars != "drop"
        self.treats = bool(self._hash or self._strip or self._exclude)
        self.of_variable = lru_cache(MOST_REMEMBERED)(self._of_variable)

    def wants(self, event_type: Any) -> bool:
        """Return whether events of this type are emitted; anything but a text: the event has none."""
        if not isinstance(event_type, str):
            return not self._only
        return event_type not in self._except and (not self._only or event_type in self._only)

    def excludes(self, name: str) -> bool:
        """Return whether a variable without a column is left out."""
        return self._exclude.match(name)

    def hashes(self, field: Field) -> bool:
        """Return whether the values of a field are hashed; patterns pass over what orders the stream."""
        return field.name != REPLICATION_KEY and self._hash.match(field.name, *field.source_names)

    def of_column(self, field: Field) -> Treatment:
        """Return what is done to the values in the column of a field."""
        return Treatment(
            strip=self._strip.match(field.name, *field.source_names),
            key=self._key if self.hashes(field) else None,
            write_out=field.kind is Kind.JSON,
        )

    def _of_variable(self, name: str, field: Field | None) -> Treatment:
        """Return what is done to values that are in CustomVars under this name.

        Args:
            field: theirs, if they have one and do not fit its column, or the catalog does not know it.
        """
        if self.excludes(name):
            return Treatment(exclude=True)
        if field:
            of_column = self.of_column(field)
            return Treatment(strip=of_column.strip, key=of_column.key)
        return Treatment(strip=self._strip.match(name), key=self._key if self._hash.match(name) else None)


OPEN = Privacy(Config(api_key=""))  # everything leaves as it is


def _hash(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()


_remembered_hash = lru_cache(MOST_REMEMBERED)(_hash)  # most values are on many events of a session


def canonical_text(value: Any) -> str:
    """Return the text that is hashed, the same for equal values: text as it is, all else as JSON.

    Numbers without a fractional part are written as integers (`2.0` is `2`), names of members are sorted.
    """
    if isinstance(value, str):
        return value
    return json.dumps(_canonical(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and MIN_INTEGER <= value <= MAX_INTEGER else value
    if isinstance(value, dict):
        return {name: _canonical(one) for name, one in value.items()}
    return [_canonical(one) for one in value] if isinstance(value, list) else value


def _without_query(value: Any) -> Any:
    """Return a text without what follows `?` or `#`; of lists and objects the texts in them."""
    if isinstance(value, str):
        return value.partition("?")[0].partition("#")[0]
    if isinstance(value, dict):
        return {name: _without_query(one) for name, one in value.items()}
    return [_without_query(one) for one in value] if isinstance(value, list) else value
