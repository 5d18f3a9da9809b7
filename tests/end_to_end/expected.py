"""What the table must hold, worked out from the emulator's events alone; shares nothing with the tap.

contract.md says it in words: a column's value is the source's, other members are in CustomVars, absent is NULL.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

Row = dict[str, Any]
Columns = Mapping[str, Mapping[str, Any]]
Time = Callable[[str], Any]
Counted = Counter[tuple[tuple[str, str], ...]]  # rows that can be compared, and how often each is there
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
KEY_MEMBERS = (
    "UserId", "SessionId", "PageId", "EventStart", "EventType", "EventSubType", "EventCustomName", "EventTargetText",
)  # fmt: skip


def instant(text: str) -> datetime:
    """The moment an RFC 3339 time names, to the microsecond that PostgreSQL keeps; without a zone it is UTC."""
    # target-postgres cuts what is finer than microseconds
    return EPOCH + timedelta(microseconds=nanoseconds(text) // 1000)


def nanoseconds(text: str) -> int:
    """The moment an RFC 3339 time names, in nanoseconds since 1970; without a zone it is UTC."""
    whole, _, rest = text.replace("Z", "+00:00").partition(".")
    digits = ""
    while rest and rest[0].isdigit():
        digits, rest = digits + rest[0], rest[1:]
    moment = datetime.fromisoformat(whole + rest)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return (moment - EPOCH) // timedelta(seconds=1) * 10**9 + int(digits[:9].ljust(9, "0"))


def expected_rows(bundles: Iterable[Any], columns: Columns, time: Time = instant) -> list[Row]:
    """One row for each event of *bundles*."""
    return [expected_row(event, bundle.id, columns, time) for bundle in bundles for event in bundle.read_events()]


def expected_row(event: Mapping[str, Any], bundle_id: int, columns: Columns, time: Time = instant) -> Row:
    """The row of *event*, with the names and values that `found_row` gives a row of the database.

    Args:
        time: what stands for a time: `instant`, or `nanoseconds` where targets may keep them.
    """
    row: Row = dict.fromkeys(columns)
    others: Row = {}
    for member, value in event.items():
        column = "PageAgent" if member == "PageUserAgent" else member
        if column not in columns:
            others[member] = clean(value)
        elif value is not None:
            row[column] = converted(value, columns[column], time)
    row["CustomVars"] = frozen(others) if others else None
    row["_bundle_id"] = bundle_id
    return row


def converted(value: Any, schema: Mapping[str, Any], time: Time) -> Any:
    """*value*, which fits its column, as the database gives it back."""
    if schema.get("format") == "date-time":
        return time(value)
    if "integer" in schema["type"]:
        assert isinstance(value, int)
        return value
    if "number" in schema["type"]:
        return float(value)
    assert isinstance(value, str)
    return clean(value)


def clean(value: Any) -> Any:
    """*value* without what PostgreSQL cannot store: NUL and lone surrogates are U+FFFD."""
    if isinstance(value, str):
        return "".join("\ufffd" if one == "\0" or "\ud800" <= one <= "\udfff" else one for one in value)
    if isinstance(value, list):
        return [clean(one) for one in value]
    if isinstance(value, dict):
        return {clean(name): clean(one) for name, one in value.items()}
    return value


def found_row(row: Row) -> Row:
    """A row of the database, comparable with `expected_row`: without the target's own columns."""
    found = {}
    for name, value in row.items():
        if name.startswith("_sdc_") or name == "event_id":
            continue
        if name == "CustomVars" and value is not None:
            found[name] = frozen(json.loads(value))
        elif isinstance(value, datetime) and value.tzinfo is None:
            found[name] = value.replace(tzinfo=timezone.utc)  # "timestamp" columns hold UTC
        elif isinstance(value, Decimal):
            found[name] = float(value)  # target-postgres makes numbers numeric: they have to name the same double
        else:
            found[name] = value
    return found


def frozen(value: Any) -> str:
    """*value* as text that is the same for the same JSON value, whatever the order of its members."""
    return json.dumps(value, sort_keys=True)


def keyed_once(bundles: Iterable[Any]) -> int:
    """How many events of *bundles* differ in what `event_id` is made of."""
    return len(
        {
            frozen({name: value for name, value in event.items() if name in KEY_MEMBERS or name.startswith("evt_")})
            for bundle in bundles
            for event in bundle.read_events()
        }
    )


def assert_same_rows(expected: Iterable[Row], found: Iterable[Row]) -> None:
    """Each expected row is there as often as expected, and no other; in any order."""
    assert_same(expected, map(found_row, found))


def assert_same(expected: Iterable[Row], found: Iterable[Row]) -> None:
    """The same of rows that are comparable as they are."""
    assert_counts(counted(expected), counted(found))


def assert_counts(left: Counted, right: Counted) -> None:
    """Each row is as often in the one as in the other."""
    missing, surplus = left - right, right - left
    if missing or surplus:
        a, b = next(iter(missing), ()), next(iter(surplus), ())
        difference = sorted(set(a) ^ set(b))
        raise AssertionError(
            f"{missing.total()} rows missing and {surplus.total()} too many of {left.total()}; for example {difference}"
        )


def counted(rows: Iterable[Row]) -> Counted:
    """How often each row is there."""
    return Counter(_comparable(row) for row in rows)


def _comparable(row: Row) -> tuple[tuple[str, str], ...]:
    # repr: 1, 1.0 and True are different values here; the same double has the same repr
    assert not any(isinstance(value, float) and math.isnan(value) for value in row.values())
    return tuple(sorted((name, repr(value)) for name, value in row.items()))
