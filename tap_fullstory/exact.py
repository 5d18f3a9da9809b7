"""One object at a time, with the standard library: what no fast path reads, and all that is not an event.

Odd types, NUL, lone surrogates, numbers that nothing holds: each value fits its column, or is kept as it was written.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Container, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import UNSET

from tap_fullstory.dictionary import MAX_INTEGER, MIN_INTEGER, Field, Kind
from tap_fullstory.moments import to_utc
from tap_fullstory.report import Change

UNSAFE = re.compile("[\0\ud800-\udfff]")
_WHOLE = re.compile(r"-?\d+", re.ASCII)
_NOT_ZERO = re.compile("[-0.]*[1-9]")
_CANONICAL_WHOLE = re.compile(r"0|-?[1-9]\d*", re.ASCII)
_WIDEST = len(str(MIN_INTEGER))  # characters of the longest 64-bit integer


class Number(str):
    """A number, as it was written."""

    __slots__ = ()


def parse(data: bytes, broken: Callable[[], None]) -> Any:
    """Return what a JSON document holds, every number as it was written; of members with one name the last.

    Args:
        broken: is called when the bytes are no UTF-8; what is broken becomes U+FFFD.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        broken()
        text = data.decode(errors="replace")
    return json.loads(text, strict=False, parse_float=Number, parse_int=Number, parse_constant=Number)


def to_columns(
    members: Mapping[str, Any],
    known: Container[str],
    fields: Iterable[Field],
    changed: Callable[[Change, str], None],
    kept: Callable[[Change, str], None],
) -> tuple[dict[str, Any], dict[str, Any], frozenset[str]]:
    """Sort the members of an event or another object, as `parse` reads it.

    Args:
        known: names of members that have a column.
        fields: the columns.
        changed, kept: are told what had to be done to a value of a column, and to one that has none.

    Returns:
        The values of columns by column; everything else by its own name; and which of these have a column that their
        value does not fit.
    """
    values: dict[str, Any] = {}
    extras: dict[str, Any] = {}
    moved = set()
    for name, shown in _clean_names(members).items():
        if name not in known:
            if shown != name:
                kept(Change.REPLACED, shown)
            extras[shown] = to_json(members[name], shown, kept)
    for field in fields:
        winner: Any = UNSET
        for name in field.source_names:
            if name not in members or name not in known:
                continue
            value = members[name]
            fitting, change = fit(field, value, name, changed)
            if fitting is UNSET or (winner is not UNSET and fitting != winner):
                extras[name] = to_json(value, name, kept)
                moved.add(name)
                continue
            if winner is not UNSET:
                continue
            winner = fitting
            values[field.name] = fitting
            if change:
                changed(change, name)
    return values, extras, frozenset(moved)


def fit(field: Field, value: Any, name: str, changed: Callable[[Change, str], None]) -> tuple[Any, Change | None]:
    """Return a value as its column holds it (UNSET: it does not fit), and what had to be done for that."""
    if field.kind is Kind.JSON:
        return to_json(value, name, changed), None
    return _FIT[field.kind](value)


def uncounted(_change: Change, _name: str) -> None:
    """Forget a change that is counted elsewhere."""


def _fit_string(value: Any) -> tuple[Any, Change | None]:
    if isinstance(value, Number):
        return str(value), Change.CONVERTED
    if isinstance(value, str):
        return UNSAFE.sub("\ufffd", value), Change.REPLACED if UNSAFE.search(value) else None
    return (None if value is None else UNSET), None


def _fit_integer(value: Any) -> tuple[Any, Change | None]:
    if value is None:
        return None, None
    if isinstance(value, Number):
        return _to_integer(_whole(value)), None if _WHOLE.fullmatch(value) else Change.CONVERTED
    if isinstance(value, str) and _CANONICAL_WHOLE.fullmatch(value):
        return _to_integer(value), Change.CONVERTED
    return UNSET, None


def whole_number(value: Any) -> int | None:
    """Return the 64-bit integer that a number or a text says; None if it says none."""
    integer, _ = _fit_integer(value)
    return integer if isinstance(integer, int) else None


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


def _fit_boolean(value: Any) -> tuple[Any, Change | None]:
    return (value if value is None or isinstance(value, bool) else UNSET), None


# See `fit`.
_FIT: dict[Kind, Callable[[Any], tuple[Any, Change | None]]] = {
    Kind.STRING: _fit_string,
    Kind.INTEGER: _fit_integer,
    Kind.NUMBER: _fit_number,
    Kind.TIMESTAMP: _fit_timestamp,
    Kind.BOOLEAN: _fit_boolean,
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
    try:
        value = Decimal(number)
    except InvalidOperation:  # an exponent beyond all others: what is left is zero, or next to it
        return number if _NOT_ZERO.match(number) else "0"
    if value == 0:
        return "0"
    return f"{value:f}".split(".")[0] if value == value.to_integral_value() else number


def to_json(value: Any, name: str, changed: Callable[[Change, str], None]) -> Any:
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
        return [to_json(one, name, changed) for one in value]
    if isinstance(value, dict):
        clean = _clean_names(value)
        for key in clean:
            if clean[key] != key:
                changed(Change.REPLACED, name)
        return {clean[key]: to_json(one, name, changed) for key, one in value.items()}
    return value


def _clean_names(names: Iterable[str]) -> dict[str, str]:
    """Return by each name one that targets take, as it is if they do, and no two the same."""
    clean = {name: name for name in names if not UNSAFE.search(name)}
    taken = set(clean)
    for name in names:
        if name not in clean:
            other = UNSAFE.sub("\ufffd", name)
            while other in taken:  # or the value of one of the two would be lost
                other += "\ufffd"
            clean[name] = other
            taken.add(other)
    return clean


def _clean(text: str, name: str, changed: Callable[[Change, str], None]) -> str:
    """Return *text* without NUL and lone surrogates, which no target survives."""
    if UNSAFE.search(text) is None:
        return text
    changed(Change.REPLACED, name)
    return UNSAFE.sub("\ufffd", text)
