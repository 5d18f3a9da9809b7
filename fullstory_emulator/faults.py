"""Faults: what goes wrong with an answer, said per path and per number of requests."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

TRAILER = 8  # bytes at the end of a gzip file: CRC-32 and length of the text, four each

LOGIN_PAGE = b"""<!DOCTYPE html>
<html><head><title>Log in</title></head><body><h1>Log in to continue</h1><form method="post"></form></body></html>
"""


@dataclass
class Fault:
    """One thing that goes wrong, with the requests it applies to.

    The faults of an emulator are asked in order and the first that applies to a request is used, alone; the ones after
    it do not count that request. Most members can be combined within one fault.

    Args:
        path: the path it applies to, with a `*` at its end: all that begin so; None: any.
        method: the method it applies to; None: any.
        times: for how many requests; None: for ever.
        skip: how many matching requests pass unharmed before.
        match: query members that must have exactly these values, e.g. `{"id": "170000640048"}`.
        status: answer with this status instead.
        headers: added to the answer, replacing those of the same name; None takes one away.
        body: of the answer instead of the usual one; text is sent as UTF-8.
        raw: 200 with exactly these bytes.
        html: 200 with a login page, as a proxy would do.
        empty: 200 with zero bytes.
        redirect: 302 to this URL.
        delay: seconds before anything is sent.
        cut_at: the connection is closed after that many bytes of the body, though more were announced; negative, as in
            *truncate_at* and *corrupt_at*: counted from the end, when the length is known.
        reset: as *cut_at* (0 unless given), but hard, by TCP reset; without *cut_at* not even a status line is sent.
        truncate_at: a body of only that many bytes, and a Content-Length that agrees.
        stall_after: nothing more is sent for *stall_for* seconds after that many bytes; then the rest is.
        drip: the body is sent this slowly, in bytes per second.
        corrupt_at: the byte of the body at this offset is flipped.
        gzip: the list of bundles is compressed for its way, with `Content-Encoding: gzip`.
        wrong_crc, wrong_length: the checksum or the length at the end of the gzip file is wrong; of a list: as *gzip*.
        drop_bracket: the JSON array, of a bundle, of an export or of the list, lacks its end.
        cut_line: the last line of a bundle or of an export ends in its middle.
        drop_newline: its last line lacks the line end.
        blank_lines: an empty line follows each of its lines.
        blank_end: an empty line follows the last one.
        crlf: its lines end with CR and LF.
        bom: it begins with a byte order mark.
        not_zipped: it is not compressed, though said to be.
        ignore_availability: bundles are listed and served before their time.
        change: members of the JSON object that is the answer, with the values they get.
        without: members that the JSON object lacks.
        expired: the export (for a link, or for an operation) or the link (for a download) has expired.
        other_form: an export is an array where lines were asked for, and lines where an array was.
    """

    path: str | None = None
    method: str | None = field(default=None, kw_only=True)
    times: int | None = field(default=1, kw_only=True)
    skip: int = field(default=0, kw_only=True)
    match: Mapping[str, str] | None = field(default=None, kw_only=True)
    status: int | None = field(default=None, kw_only=True)
    headers: Mapping[str, str | None] | None = field(default=None, kw_only=True)
    body: str | bytes | None = field(default=None, kw_only=True)
    raw: bytes | None = field(default=None, kw_only=True)
    html: bool = field(default=False, kw_only=True)
    empty: bool = field(default=False, kw_only=True)
    redirect: str | None = field(default=None, kw_only=True)
    delay: float = field(default=0.0, kw_only=True)  # seconds
    cut_at: int | None = field(default=None, kw_only=True)
    reset: bool = field(default=False, kw_only=True)
    truncate_at: int | None = field(default=None, kw_only=True)
    stall_after: int | None = field(default=None, kw_only=True)
    stall_for: float = field(default=60.0, kw_only=True)  # seconds
    drip: float | None = field(default=None, kw_only=True)  # bytes per second
    corrupt_at: int | None = field(default=None, kw_only=True)
    gzip: bool = field(default=False, kw_only=True)
    wrong_crc: bool = field(default=False, kw_only=True)
    wrong_length: bool = field(default=False, kw_only=True)
    drop_bracket: bool = field(default=False, kw_only=True)
    cut_line: bool = field(default=False, kw_only=True)
    drop_newline: bool = field(default=False, kw_only=True)
    blank_lines: bool = field(default=False, kw_only=True)
    blank_end: bool = field(default=False, kw_only=True)
    crlf: bool = field(default=False, kw_only=True)
    bom: bool = field(default=False, kw_only=True)
    not_zipped: bool = field(default=False, kw_only=True)
    ignore_availability: bool = field(default=False, kw_only=True)
    change: Mapping[str, Any] | None = field(default=None, kw_only=True)
    without: Sequence[str] = field(default=(), kw_only=True)
    expired: bool = field(default=False, kw_only=True)
    other_form: bool = field(default=False, kw_only=True)
    passed: int = field(default=0, init=False)  # matching requests that *skip* let through
    used: int = field(default=0, init=False)  # requests it was applied to

    def applies(self, method: str, path: str, query: Mapping[str, str]) -> bool:
        """Whether this request is hit; counts it."""
        if self.path is not None and not is_hit(self.path, path):
            return False
        if self.method is not None and self.method != method:
            return False
        if self.match and any(query.get(name) != value for name, value in self.match.items()):
            return False
        if self.times is not None and self.used >= self.times:
            return False
        if self.passed < self.skip:
            self.passed += 1
            return False
        self.used += 1
        return True

    @property
    def spoils_text(self) -> bool:
        """Whether the text of a file is another one, before it is compressed."""
        return (
            self.drop_bracket
            or self.cut_line
            or self.drop_newline
            or self.blank_lines
            or self.blank_end
            or self.crlf
            or self.bom
        )

    @property
    def replaces(self) -> bool:
        """Whether the usual answer is not even made."""
        return (
            self.status is not None
            or self.body is not None
            or self.raw is not None
            or self.html
            or self.empty
            or self.redirect is not None
            or (self.reset and self.cut_at is None)
        )


def is_hit(pattern: str, path: str) -> bool:
    """Whether a path is this one, or begins with what stands before the `*` at the end of the pattern."""
    return path.startswith(pattern[:-1]) if pattern.endswith("*") else path == pattern


HARMLESS = Fault(times=None)


def offset(at: int, length: int | None) -> int:
    """The offset that *at* means in a body of that length; negative ones count from its end."""
    return at if at >= 0 else max(0, at + (length or 0))


def without_bracket(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The text of an array without its last closing bracket and what follows it."""
    last = b""
    for piece in pieces:
        # the bracket may be followed by white space: it is never further from the end than the last two pieces
        if b"]" in piece:
            yield last
            last = piece
        else:
            last += piece
    yield last.rpartition(b"]")[0] if b"]" in last else last


def spoiled_text(pieces: Iterable[bytes], fault: Fault, *, is_array: bool) -> Iterable[bytes]:
    """The text of a file with what a fault does to it. Only an array has a bracket to lose."""
    if fault.drop_bracket and is_array:
        pieces = without_bracket(pieces)
    if fault.cut_line:
        pieces = with_last_line(pieces, lambda line: line[: len(line) // 2])
    if fault.drop_newline:
        pieces = with_last_line(pieces, lambda line: line)
    if fault.blank_lines:
        pieces = (piece.replace(b"\n", b"\n\n") for piece in pieces)
    if fault.blank_end:
        pieces = chain(pieces, [b"\n"])
    if fault.crlf:
        pieces = (piece.replace(b"\n", b"\r\n") for piece in pieces)
    if fault.bom:
        pieces = chain([codecs.BOM_UTF8], pieces)
    return pieces


def with_last_line(pieces: Iterable[bytes], change: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The same text with another last line, which is given, and taken, without its end."""
    last = b""
    for piece in pieces:
        last += piece
        begin = last.rstrip(b"\n").rfind(b"\n") + 1
        if begin:
            yield last[:begin]
            last = last[begin:]
    yield change(last.rstrip(b"\n"))


def with_wrong_trailer(pieces: Iterable[bytes], *, crc: bool, length: bool) -> Iterator[bytes]:
    """The same gzip file with a wrong checksum, a wrong length, or both."""
    held = b""
    for piece in pieces:
        held += piece
        if len(held) > TRAILER:
            yield held[:-TRAILER]
            held = held[-TRAILER:]
    trailer = bytearray(held)
    if crc:
        trailer[0] ^= 0xFF
    if length:
        trailer[4] ^= 0xFF
    yield bytes(trailer)


def flipped(pieces: Iterable[bytes], at: int) -> Iterator[bytes]:
    """The same bytes, with all bits of the one at this offset turned over."""
    for piece in pieces:
        if 0 <= at < len(piece):
            yield piece[:at] + bytes([piece[at] ^ 0xFF]) + piece[at + 1 :]
        else:
            yield piece
        at -= len(piece)


def shortened(pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
    """The first *length* bytes."""
    for piece in pieces:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            return
