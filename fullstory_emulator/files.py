"""Files before they go out: bundles and exports, compressed, spoiled, in parts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Literal

from fullstory_emulator.answers import Answer, error
from fullstory_emulator.bundles import Bundle, compress
from fullstory_emulator.faults import Fault, spoiled_text, with_wrong_trailer

Encoding = Literal["file", "transport", "plain", "double"]

FAST = 1  # compression level of bundles made while they are sent
SMALL = 6  # compression level of all others


def packed(bundle: Bundle, encoding: Encoding, fault: Fault) -> Answer:
    """The answer that brings a bundle; its length is None where only making it would tell."""
    source = None if fault.spoils_text else bundle.source
    text: Iterable[bytes] = bundle.read_text()
    if fault.spoils_text:
        text = spoiled_text(text, fault, is_array=b"]" in bundle.closing)
    headers = {"Content-Type": "application/json", "Content-Disposition": "attachment; filename=DataExport.json"}
    if encoding == "plain":
        return Answer(200, headers, text, source.length if source else None)

    if fault.not_zipped:
        body, length = text, source.length if source else None
    elif source is not None:
        body, length = source.read_gzip(), source.gzip_length
    else:
        body, length = compress(text, FAST if bundle.is_streamed else SMALL), None
    if fault.wrong_crc or fault.wrong_length:
        body = with_wrong_trailer(body, crc=fault.wrong_crc, length=fault.wrong_length)
    if encoding in ("file", "double"):
        headers["Content-Type"] = "application/gzip"
        headers["Content-Disposition"] = 'attachment; filename="DataExport.json.gz"'
    if encoding == "double":
        body, length = compress(body, FAST), None
    if encoding in ("transport", "double"):
        headers["Content-Encoding"] = "gzip"
    return Answer(200, headers, body, length)


def held(answer: Answer, headers: Mapping[str, str], *, ranges: bool, most: float) -> Answer:
    """The answer in memory, so that its length can be said, unless it has more than *most* bytes.

    With *ranges* in any case, and then only the part that *headers* ask for.
    """
    if ranges:
        body = b"".join(answer.body)
        answer.body, answer.length = (body,), len(body)
        return part(answer, body, headers)
    if answer.length is None and most:
        hold(answer, most)
    return answer


def hold(answer: Answer, most: float) -> None:
    """Make the body now and say its length, or only its beginning if it has more than *most* bytes."""
    pieces = iter(answer.body)
    made: list[bytes] = []
    size = 0
    while size <= most:
        piece = next(pieces, None)
        if piece is None:
            answer.body, answer.length = made, size
            return
        made.append(piece)
        size += len(piece)
    answer.body = chain(made, pieces)


def part(answer: Answer, body: bytes, headers: Mapping[str, str]) -> Answer:
    """An answer with the part of *body* that *headers*, with lower-case names, ask for; all of it if they do not.

    Only one range from a given byte on is understood. A server may ignore all others.
    API: https://www.rfc-editor.org/rfc/rfc9110#section-14
    """
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    answer.headers |= {"Accept-Ranges": "bytes", "ETag": tag}
    asked = re.fullmatch(r"bytes=([0-9]+)-([0-9]*)", headers.get("range", ""))
    if not asked or headers.get("if-range", tag) != tag:
        return answer
    first, last = int(asked[1]), min(int(asked[2] or len(body)), len(body) - 1)
    if first > last:
        refusal = error(416)
        refusal.headers |= {"Content-Range": f"bytes */{len(body)}"}
        return refusal
    answer.status = 206
    answer.headers |= {"Content-Range": f"bytes {first}-{last}/{len(body)}"}
    answer.body, answer.length = (body[first : last + 1],), last + 1 - first
    return answer
