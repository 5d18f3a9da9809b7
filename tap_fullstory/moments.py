"""Moments: RFC 3339 text outside, whole Unix nanoseconds inside.

Nanoseconds, since Fullstory prints up to nine digits and a bound that is rounded loses or repeats an event.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache

SECOND = 1_000_000_000  # nanoseconds
LATEST = 253_402_300_799  # Unix seconds: 9999-12-31T23:59:59Z, the last that RFC 3339 can say
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# RFC 3339, section 5.6; also without a zone, which is read as UTC.
_MOMENT = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"[Tt ](?P<time>(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d)(?:\.(?P<fraction>\d+))?"
    r"(?P<zone>[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)?",
    re.ASCII,
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_FORM = re.compile(rb"0000-00-00T00:00:00(?:\.0+)?Z")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_CANONICAL = re.compile(r"(?:\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z)*", re.ASCII)


def parse_moment(text: str) -> int:
    """Return the Unix nanoseconds of an RFC 3339 date or date-time; digits beyond nine are cut off.

    Raises:
        ValueError: not such a text.
    """
    canonical = to_utc(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    if canonical is None:
        raise ValueError(text)
    whole, _, fraction = canonical[:-1].partition(".")
    return _seconds(whole) * SECOND + int(fraction[:9].ljust(9, "0"))


def to_text(moment: int) -> str:
    """Return *moment* (Unix nanoseconds) as RFC 3339 in UTC, with as many digits as it needs."""
    seconds, fraction = divmod(moment, SECOND)
    text = (EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{fraction:09d}".rstrip("0") + "Z" if fraction else f"{text}Z"


def to_utc(text: str) -> str | None:
    """Return an RFC 3339 date-time as `YYYY-MM-DDTHH:MM:SS[.fraction]Z`, its digits kept; None if it is none.

    Without a zone it is taken as UTC.
    """
    match = _MOMENT.fullmatch(text)
    if match is None or not is_date(match["date"]):
        return None
    whole, zone = f"{match['date']}T{match['time']}", match["zone"]
    if zone and zone not in "Zz":
        try:
            moment = datetime.fromisoformat(whole + zone).astimezone(timezone.utc)
        except OverflowError:  # year 0 or 10000
            return None
        whole = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{whole}.{match['fraction']}Z" if match["fraction"] else f"{whole}Z"


def are_utc(texts: list[str]) -> bool:
    """Return whether each of *texts* already is what `to_utc` makes of it; one look at all of them, for speed."""
    joined = "".join(texts)
    if _have_one_form(texts, joined):
        return True
    return (
        joined.count("Z") == len(texts)
        and _CANONICAL.fullmatch(joined) is not None
        # each text begins with a day: so none holds the end of its neighbour
        and all(map(is_date, {text[:10] for text in texts}))
    )


def _have_one_form(texts: list[str], joined: str) -> bool:
    """Return whether all are in UTC and equally long, as they usually are: ten times as fast as a pattern."""
    if not texts:
        return True
    size = len(texts[0])
    form = texts[0].encode(errors="replace").translate(_ZEROS)
    return (
        _FORM.fullmatch(form) is not None
        and joined.encode(errors="replace").translate(_ZEROS) == form * len(texts)
        # from here on digits stand where digits belong; each text begins with an hour: so it holds no other's end
        and max(joined[14::size]) <= "5"
        and max(joined[17::size]) <= "5"
        and all(text[11:] <= "23" and is_date(text[:10]) for text in {text[:13] for text in texts})
    )


@lru_cache(maxsize=4096)
def is_date(text: str) -> bool:
    """Return whether *text* (`YYYY-MM-DD`) is a day of the calendar."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def comparable(moment: int) -> str:
    """Return *moment* so that it compares, as text, with any `to_utc` text without its `Z`.

    A shorter text that is a prefix sorts first, so `…00` < `…00.5` as it should; that is why the zone must go.
    """
    return to_text(moment)[:-1]


def _seconds(whole: str) -> int:
    return (datetime.fromisoformat(f"{whole}+00:00") - EPOCH) // timedelta(seconds=1)
