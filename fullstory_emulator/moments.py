"""Moments: RFC 3339 texts, and the microseconds since 1970 that they mean."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

SECOND = 1_000_000  # microseconds
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
RFC_3339 = re.compile(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@lru_cache(maxsize=65536)
def parse(text: str) -> int:
    """The moment in microseconds; what is finer is cut off.

    Raises:
        ValueError: it is no RFC 3339 time with a zone.
    """
    found = RFC_3339.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    zone = "+00:00" if found[3] in "Zz" else found[3]
    moment = datetime.fromisoformat(found[1].upper() + zone)  # raises for the 30th of February
    fraction = int((found[2] or "").ljust(6, "0")[:6])
    return (moment - EPOCH) // timedelta(microseconds=1) + fraction


def shown(seconds: float, fraction: str = "") -> str:
    """The moment as text, in whole seconds, with the digits of *fraction* after the point."""
    text = (EPOCH + timedelta(seconds=int(seconds))).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{fraction}Z" if fraction else f"{text}Z"
