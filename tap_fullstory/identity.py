"""`event_id`: the key of an event, the same in every version of this tap.

It is BLAKE2b with a digest of 128 bits, as 32 hexadecimal digits, over a canonical JSON object of what identifies an
event and never settles later: `UserId`, `SessionId`, `PageId`, `EventStart`, `EventType`, `EventSubType`,
`EventCustomName`, `EventTargetText` and every `evt_*` variable, under these names. The canonical form:

- members that are absent or null are left out; names are sorted by code point, in nested objects too; no white space;
- text as UTF-8; escaped are only `"`, `\\` and control characters (`\\b \\t \\n \\f \\r`, else `\\u00xx` in lower
  case); NUL and lone surrogates are U+FFFD, as in the record;
- a number without a fractional part, within 64 bits, is written as an integer (`2.0` is `2`), any other as the
  shortest decimal text that gives the same double, as Python's `repr` writes it; what no 64-bit integer or double
  holds is text;
- a documented member is taken as its column holds it (the text `"12"` in an integer column is `12`);
- `EventStart` is in UTC with `Z`, without trailing zeros in its fraction, so that sources of different precision agree.

`tests/resources/event_id_vectors.json` holds published vectors; no later version may change one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from msgspec import Raw
from msgspec.json import Encoder

from tap_fullstory.dictionary import MAX_INTEGER, MIN_INTEGER, REPLICATION_KEY

DIGEST_SIZE = 16  # bytes
CUSTOM_PREFIX = "evt_"
# Sorted by code point; all of them sort before "evt_".
MEMBERS = (
    "EventCustomName",
    "EventStart",
    "EventSubType",
    "EventTargetText",
    "EventType",
    "PageId",
    "SessionId",
    "UserId",
)

_encode = Encoder().encode
_TRAILING_ZEROS = re.compile(r"\.?0+Z$")


def event_id(members: Mapping[str, Any]) -> str:
    """Return the key of an event.

    Args:
        members: at least its identifying members, each as the record holds it; others are ignored.
    """
    canonical: dict[str, Any] = {}
    for name in MEMBERS:
        value = members.get(name)
        if value is not None:
            canonical[name] = value if type(value) in _PLAIN else _canonical(value)
    start = canonical.get(REPLICATION_KEY)
    if type(start) is str and start.endswith("0Z") and start[19:20] == ".":
        canonical[REPLICATION_KEY] = _TRAILING_ZEROS.sub("Z", start)
    for name in sorted([name for name in members if name.startswith(CUSTOM_PREFIX)]):
        value = members[name]
        if value is not None:
            canonical[name] = value if type(value) in _PLAIN else _canonical(value)
    return blake2b(_encode(canonical), digest_size=DIGEST_SIZE).hexdigest()


_PLAIN = frozenset({str, int, bool})


def _canonical(value: Any) -> Any:
    if isinstance(value, float):
        whole = value.is_integer() and MIN_INTEGER <= value <= MAX_INTEGER
        return int(value) if whole else Raw(repr(value).encode())
    if isinstance(value, dict):
        return {name: _canonical(value[name]) for name in sorted(value) if value[name] is not None}
    if isinstance(value, list):
        return [_canonical(one) for one in value]
    return value
