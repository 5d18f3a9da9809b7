"""A second implementation of event records: slow, obvious, standard library only, and no line shared with the tap.

It follows the documentation (columns, `CustomVars`, times) and the published definition of `event_id`. Tests compare
the tap with it, so a mistake in one of the two shows unless both make the same.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any

LEAST, GREATEST = -(1 << 63), (1 << 63) - 1

INTEGERS = (
    "IndvId UserId SessionId PageId EventDuration EventSecondaryDuration EventPageOffset EventSessionOffset "
    "EventModFrustrated EventModDead EventModError EventModSuspicious EventFirstInputDelay PageDuration "
    "PageActiveDuration PageScreenWidth PageScreenHeight PageViewportWidth PageViewportHeight PageNumEvents "
    "PageNumDerivedEvents PageNumInfos PageNumWarnings PageNumErrors PageClusterId PageMaxScrollDepthPercent "
    "LoadDomContentTime LoadEventTime LoadFirstPaintTime LoadLargestPaintTime ReqStatus "
).split()
NUMBERS = ["EventCumulativeLayoutShift"]
TIMES = ["UserCreated", "SessionStart", "EventStart", "PageStart"]
TEXTS = (
    "UserAppKey UserDisplayName UserEmail EventType EventSubType EventCustomName EventTargetText "
    "EventTargetSelectorTok EventTargetSelector EventVarErrorKind EventVarFields EventWebSourceFileUrl "
    "EventMobileSourceFile PageName PageUrl PageRefererUrl PageIp PageLatLong PageAgent PageBrowser "
    "PageBrowserVersion PageDevice PagePlatform PageOperatingSystem ReqUrl ReqMethod AppName AppPackageName "
    "AppDeviceModel AppDeviceVendor AppVersion AppOsVersion AppViewName "
).split()
COLUMNS = frozenset((*INTEGERS, *NUMBERS, *TIMES, *TEXTS))
NEWER_AGENT, AGENT = "PageUserAgent", "PageAgent"
IDENTIFYING = (
    "UserId",
    "SessionId",
    "PageId",
    "EventStart",
    "EventType",
    "EventSubType",
    "EventCustomName",
    "EventTargetText",
)


NOTHING: Mapping[str, Any] = {}


class DoesNotFit(Exception):
    """The column cannot hold the value without loss."""


class Written:
    """A number as it stands in the source; JSON knows no other object of this type."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Written) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)


def read_events(bundle: bytes) -> list[dict[str, Any]]:
    """Return the events of a bundle; numbers as `Written`."""
    text = bundle.decode("utf-8", "replace").removeprefix("\ufeff")
    events = json.loads(text, strict=False, parse_int=Written, parse_float=Written, parse_constant=Written)
    assert isinstance(events, list) and all(isinstance(event, dict) for event in events)
    return events


def records(
    bundle: bytes,
    bundle_id: int,
    *,
    columns: Collection[str] = (*COLUMNS, "CustomVars", "_bundle_id"),
    unknown: Collection[str] = (),
    own: Mapping[str, str] = NOTHING,
    privacy: Mapping[str, Any] = NOTHING,
    start: str | None = None,
    stop: str | None = None,
) -> list[dict[str, Any]]:
    """Return the records of a bundle, `CustomVars` and other JSON texts as what they stand for.

    Args:
        columns: what is emitted.
        unknown: columns that the catalog does not know.
        own: the columns of custom variables that have one of their own.
        privacy: settings that say what may leave the tap.
        start, stop: times between which an event must lie, RFC 3339 in UTC; stop is exclusive.
    """
    wanted = []
    with_column = {name: column for name, column in own.items() if column not in unknown}
    for event in read_events(bundle):
        values, others, misfits = sort_out(event, with_column)
        if not (is_between(values.get("EventStart"), start, stop) and is_wanted(event, privacy)):
            continue
        record = {
            name: hidden(value, names_of_column(name, own), privacy)[0]
            for name, value in values.items()
            if name in columns
        }
        custom = dict(others)
        for name in COLUMNS.intersection(unknown):
            # Nothing that the catalog does not know is converted: it is kept as it came.
            for source in (NEWER_AGENT, AGENT) if name == AGENT else (name,):
                if source in event:
                    custom[source] = plain(event[source])
        for name, value in misfits.items():
            if column_of(name, own) in columns:
                custom[name] = value
        custom = {
            name: hidden(value, names_of_member(name, own), privacy)[0]
            for name, value in custom.items()
            if not is_meant([name], privacy.get("custom_vars_exclude", ()))
        }
        if custom and "CustomVars" in columns:
            record["CustomVars"] = custom
        if "_bundle_id" in columns:
            record["_bundle_id"] = bundle_id
        if "event_id" in columns:
            record["event_id"] = event_id(event)
        wanted.append(record)
    return wanted


def changes(
    bundle: bytes,
    *,
    columns: Collection[str] = (*COLUMNS, "CustomVars", "_bundle_id"),
    unknown: Collection[str] = (),
    own: Mapping[str, str] = NOTHING,
    privacy: Mapping[str, Any] = NOTHING,
) -> dict[str, dict[str, int]]:
    """Return how often what has to be reported of a bundle, by kind and name; the variables of a customer as "CUSTOM".

    What is deselected is not reported, and of what is dropped only that. Replaced are counted by the text, names too.
    """
    found: dict[str, dict[str, int]] = {}

    def count(kind: str, name: str, times: int) -> None:
        if times:
            names = found.setdefault(kind, {})
            names[name] = names.get(name, 0) + times

    def count_hidden(name: str, value: Any, names: set[str]) -> None:
        for kind in hidden(value, names, privacy)[1]:
            count(kind, name, 1)

    def count_fitting(name: str, value: Any) -> None:
        count("CONVERTED", name, is_converted(name, value))
        count("REPLACED", name, len(unsafe(value)))
        if kind_of(name) == "json":
            count("AS_TEXT", name, len(endless(value)))

    def count_kept(shown: str, member: dict[str, Any], kind: str) -> str:
        if is_meant([shown], privacy.get("custom_vars_exclude", ())):
            return "EXCLUDED"
        (value,) = member.values()
        count("REPLACED", shown, len(unsafe(member)))
        count("AS_TEXT", shown, len(endless(value)))
        count_hidden(shown, plain(value), names_of_member(shown, own))
        return kind

    with_column = {name: column for name, column in own.items() if column not in unknown}
    for raw in split(bundle):
        (event,) = read_events(b"[%b]" % raw)
        if not is_wanted(event, privacy):
            count("LEFT_OUT", "", 1)
            continue
        if raw.decode("utf-8", "ignore").encode() != raw:
            count("REPLACED", "(broken UTF-8)", 1)
        values, _, misfits = sort_out(event, with_column)
        for column in set(columns).intersection(values):
            count_hidden(column, values[column], names_of_column(column, own))
        names = distinct(event)
        kept = {}
        for name, value in event.items():
            column = column_of(name, own)
            if name not in (*COLUMNS, NEWER_AGENT, *own):
                kept[names[name]] = "CUSTOM" if is_custom(names[name]) else "NEW_FIELD"
            elif column in unknown:
                kept[name] = "NOT_IN_CATALOG"
            elif column not in columns:
                continue
            elif name in misfits:
                kept[name] = "MOVED"
            elif name != AGENT or NEWER_AGENT not in event or NEWER_AGENT in misfits:
                count_fitting(name, value)
            if names[name] in kept and "CustomVars" in columns:
                kept[names[name]] = count_kept(names[name], {name: value}, kept[names[name]])
        for name, kind in kept.items():
            count(kind if "CustomVars" in columns else "DROPPED", name, 1)
    return found


def is_between(moment: str | None, start: str | None, stop: str | None) -> bool:
    """Return whether a time lies between two bounds; none always does."""
    if moment is None:
        return True
    if start is not None and instant(moment) < instant(start):
        return False
    return stop is None or instant(moment) < instant(stop)


def is_wanted(event: dict[str, Any], privacy: Mapping[str, Any]) -> bool:
    """Return whether an event of this type is emitted."""
    try:
        kind = fit("EventType", event.get("EventType"))
    except DoesNotFit:
        kind = None
    if privacy.get("event_types"):
        return kind in privacy["event_types"]
    return kind is None or kind not in privacy.get("exclude_event_types", ())


def names_of_column(column: str, own: Mapping[str, str]) -> set[str]:
    """Return the names under which a column may be meant: its own, and those of its members."""
    return {column, *(name for name in (NEWER_AGENT, *own) if column_of(name, own) == column)}


def names_of_member(name: str, own: Mapping[str, str]) -> set[str]:
    """Return the names under which a member may be meant: its own, and those of its column."""
    return names_of_column(column_of(name, own), own) if name in (NEWER_AGENT, AGENT, *own) else {name}


def is_meant(names: Collection[str], patterns: Collection[str]) -> bool:
    """Return whether one of the names is, or is like, one of the patterns."""
    return any(name == pattern or fnmatchcase(name, pattern) for name in names for pattern in patterns)


def hidden(value: Any, names: Collection[str], privacy: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Return what may leave the tap of a value, and what was done to it."""
    done: list[str] = []
    if value is None:
        return None, done
    if is_meant(names, privacy.get("strip_query", ())):
        bare = without_query(value)
        if bare != value:
            done.append("STRIPPED")
        value = bare
    if "EventStart" not in names and is_meant(names, privacy.get("hash_columns", ())):
        done.append("HASHED")
        text = value
        if not isinstance(value, str):
            text = json.dumps(integral(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        value = hmac.new(privacy["hash_key"].encode(), text.encode(), hashlib.sha256).hexdigest()
    return value, done


def without_query(value: Any) -> Any:
    """Return texts up to the first question mark or hash sign."""
    if isinstance(value, str):
        return re.split("[?#]", value)[0]
    if isinstance(value, list):
        return list(map(without_query, value))
    return {name: without_query(one) for name, one in value.items()} if isinstance(value, dict) else value


def integral(value: Any) -> Any:
    """Return a value with 64-bit integers in place of floats that are equal to one."""
    if isinstance(value, dict):
        return {name: integral(one) for name, one in value.items()}
    if isinstance(value, list):
        return list(map(integral, value))
    is_whole = isinstance(value, float) and value == int(value) and LEAST <= int(value) <= GREATEST
    return int(value) if is_whole else value


def split(bundle: bytes) -> list[bytes]:
    """Return the events of a bundle as they are written."""
    text = bundle.decode("latin-1")  # a character for each byte
    place = text.index("[") + 1
    decoder = json.JSONDecoder(strict=False, parse_int=Written)
    events = []
    while True:
        while text[place] in " \t\r\n,":
            place += 1
        if text[place] == "]":
            return events
        _, end = decoder.raw_decode(text, place)
        events.append(bundle[place:end])
        place = end


def is_custom(name: str) -> bool:
    """Return whether a customer gave a member this name; else Fullstory did."""
    kinds = ("str", "int", "real", "bool", "date")
    endings = tuple(f"_{kind}{plural}" for kind in kinds for plural in ("", "s"))
    return name.startswith(("user_", "evt_", "page_")) or name.endswith(endings)


def is_converted(name: str, value: Any) -> bool:
    """Return whether a value that fits its column had to be converted."""
    if kind_of(name) == "text":
        return isinstance(value, Written)
    if kind_of(name) == "integer" and value is not None:
        return not isinstance(value, Written) or re.fullmatch("-?[0-9]+", value.text) is None
    return False


def unsafe(value: Any) -> list[str]:
    """Return the texts within a value that no target takes as they are."""
    if isinstance(value, str):
        return [value] if safe(value) != value else []
    if isinstance(value, dict):
        return [text for name, one in value.items() for text in unsafe(name) + unsafe(one)]
    return [text for one in value for text in unsafe(one)] if isinstance(value, list) else []


def endless(value: Any) -> list[str]:
    """Return the numbers within a value that no 64-bit integer or double holds."""
    if isinstance(value, Written):
        return [value.text] if isinstance(number(value.text), str) else []
    if isinstance(value, dict):
        value = list(value.values())
    return [text for one in value for text in endless(one)] if isinstance(value, list) else []


def column_of(name: str, own: Mapping[str, str]) -> str:
    """Return what the column of a member is called, if it has one."""
    return AGENT if name == NEWER_AGENT else own.get(name, name)


def kind_of(name: str) -> str:
    """Return the type of the column that a member has, or would have."""
    if name == NEWER_AGENT or name in TEXTS:
        return "text"
    if name in INTEGERS:
        return "integer"
    if name in NUMBERS:
        return "number"
    if name in TIMES:
        return "time"
    endings = {"_int": "integer", "_real": "number", "_bool": "boolean", "_date": "time"}
    for ending in ("_str", *endings):
        if name.endswith(ending + "s"):
            return "json"
        if name.endswith(ending):
            return endings.get(ending, "text")
    return "text"


def sort_out(
    event: dict[str, Any], own: Mapping[str, str] = NOTHING
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Return the values of columns, what is no column, and what does not fit its column."""
    values: dict[str, Any] = {}
    others: dict[str, Any] = {}
    misfits: dict[str, Any] = {}
    names = distinct(event)
    for name, value in event.items():
        if name in (NEWER_AGENT, AGENT):
            continue
        if name not in COLUMNS and name not in own:
            others[names[name]] = plain(value)
            continue
        try:
            values[column_of(name, own)] = fit(name, value)
        except DoesNotFit:
            misfits[name] = plain(value)
    for name in (NEWER_AGENT, AGENT):  # the newer name first: it wins
        if name not in event:
            continue
        try:
            value = fit(AGENT, event[name])
        except DoesNotFit:
            misfits[name] = plain(event[name])
            continue
        if AGENT not in values:
            values[AGENT] = value
        elif value != values[AGENT]:
            misfits[name] = plain(event[name])
    return values, others, misfits


def fit(name: str, value: Any) -> Any:
    """Return *value* as the column of the member holds it, JSON text as what it stands for."""
    kind = kind_of(name)
    if value is None or (kind == "boolean" and isinstance(value, bool)):
        return value
    if kind == "json":
        return plain(value)
    if kind == "text":
        if isinstance(value, Written):
            return value.text
        if isinstance(value, str):
            return safe(value)
    elif kind == "integer":
        if isinstance(value, Written):
            return whole(value.text)
        if isinstance(value, str) and re.fullmatch("0|-?[1-9][0-9]*", value):
            return whole(value)
    elif kind == "number":
        if isinstance(value, Written):
            found = number(value.text)
            if not isinstance(found, str):
                return found
    elif kind == "time" and isinstance(value, str):
        return utc(value)
    raise DoesNotFit


def whole(text: str) -> int:
    """Return a number as a 64-bit integer, if it is one."""
    match = re.fullmatch(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?", text)
    if match is None:
        raise DoesNotFit
    sign, before, behind, exponent = match[1], match[2], match[3] or "", match[4] or "0"
    digits = (before + behind).lstrip("0")
    if not digits:
        return 0
    if len(exponent.lstrip("+-0")) > 9:  # nobody writes out so many zeros
        raise DoesNotFit
    zeros = int(exponent) - len(behind)  # the value is digits times ten to this
    while zeros < 0 and digits.endswith("0"):
        digits, zeros = digits[:-1], zeros + 1
    if zeros < 0 or len(digits) + zeros > 19:
        raise DoesNotFit
    value = int(sign + digits + "0" * zeros)
    if not LEAST <= value <= GREATEST:
        raise DoesNotFit
    return value


def number(text: str) -> int | float | str:
    """Return a number as JSON readers take it: a 64-bit integer, a double, or else its text."""
    if re.fullmatch("-?[0-9]+", text):
        if len(text) <= 20 and LEAST <= int(text) <= GREATEST:
            return int(text)
        double = float(text)
        exact = abs(double) < float("inf") and Fraction(double) == Fraction(Decimal(text))
        return double if exact else text
    double = float(text)
    return double if abs(double) < float("inf") else text


def plain(value: Any) -> Any:
    """Return any value as `CustomVars` keeps it."""
    if isinstance(value, Written):
        return number(value.text)
    if isinstance(value, str):
        return safe(value)
    if isinstance(value, list):
        return list(map(plain, value))
    if isinstance(value, dict):
        names = distinct(value)
        return {names[name]: plain(one) for name, one in value.items()}
    return value


def safe(text: str) -> str:
    """Return text without NUL and lone surrogates."""
    return "".join("\ufffd" if one == "\0" or "\ud800" <= one <= "\udfff" else one for one in text)


def distinct(names: Collection[str]) -> dict[str, str]:
    """Return safe names by what they were, each longer by as many U+FFFD as keep it apart from the others."""
    found = {name: name for name in names if safe(name) == name}
    for name in names:
        shown = safe(name)
        while name not in found and shown in found.values():
            shown += "\ufffd"
        found.setdefault(name, shown)
    return found


def utc(text: str) -> str:
    """Return an RFC 3339 time in UTC, with all its digits."""
    match = re.fullmatch(
        r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})"
        r"(\.[0-9]+)?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))?",
        text,
    )
    if match is None:
        raise DoesNotFit
    try:
        moment = datetime(*map(int, match.group(1, 2, 3, 4, 5, 6)), tzinfo=timezone.utc)  # type: ignore[misc]
        if match[8]:
            hours, minutes = int(match[9]), int(match[10])
            if hours > 23 or minutes > 59:
                raise DoesNotFit
            offset = timedelta(hours=hours, minutes=minutes)
            moment = moment - offset if match[8] == "+" else moment + offset
    except (ValueError, OverflowError):
        raise DoesNotFit from None
    return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}{match[7] or ''}Z"


def instant(text: str) -> Fraction:
    """Return the seconds since year 1 of an RFC 3339 time in UTC."""
    before, _, fraction = text.rstrip("Z").partition(".")
    seconds = (datetime.fromisoformat(before) - datetime.min).total_seconds()
    return Fraction(int(seconds)) + Fraction(int(fraction or "0"), 10 ** len(fraction))


def event_id(event: dict[str, Any]) -> str:
    """Return the published key of an event, from the event alone."""
    values, others, misfits = sort_out(event)
    members = {name: value for name, value in {**misfits, **values}.items() if name in IDENTIFYING}
    members |= {name: value for name, value in others.items() if name.startswith("evt_")}
    start = values.get("EventStart")
    if start is not None and "." in start:
        members["EventStart"] = start.rstrip("Z").rstrip("0").rstrip(".") + "Z"
    text = json.dumps(canonical(members), ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def canonical(value: Any) -> Any:
    """Return a value so that equal ones have the same text."""
    if isinstance(value, dict):
        return {name: canonical(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return list(map(canonical, value))
    if isinstance(value, float) and value == int(value) and LEAST <= int(value) <= GREATEST:
        return int(value)
    return value
