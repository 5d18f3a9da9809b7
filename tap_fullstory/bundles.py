"""The `Bundle` value; is its file complete; cutting it into chunks of whole events.

A bundle is one JSON array of objects, as it stands or gzip'd, whatever the headers said.
API: https://developer.fullstory.com/server/v1/exports/get-event-export/ ("optionally gzipped")

The file is read twice: `check` proves that it is whole and that every event can be read, and notes where it may be
cut; `read_chunks` then only follows these notes. So nothing of a damaged bundle is ever written. Where what is written
can be taken back, both are done in one pass: `check_on_the_way`.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO

import msgspec
from isal import isal_zlib as zlib

from tap_fullstory.errors import BundleError
from tap_fullstory.moments import SECOND
from tap_fullstory.spans import Span

READ_SIZE = 64 * 1024  # bytes read from the file at once
BLOCK_SIZE = 128 * 1024  # bytes of unpacked text at once, and the usual size of a chunk; larger was slower
LARGEST_EVENT = 16 * 1024 * 1024  # bytes; reading one takes many times as much memory, and targets refuse such records
GZIP = b"\x1f\x8b"
GZIP_WINDOW = 31  # zlib's window bits for "with a gzip header and trailer"
GZIP_LAYERS = 2  # a file that is gzip'd, in a transfer that is gzip'd
WHITE = b" \t\r\n"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# What stands before the text that is parsed: the bracket alone, or an empty event in place of those already cut off.
FIRST, LATER = b"[", b"[{}"
LONGEST_TOKEN = 16  # characters of a JSON token that can be cut, strings and numbers aside
CANDIDATES = 4  # wrong cuts to try before the slow, exact search


class _Any(msgspec.Struct, gc=False):
    """Any JSON object: reading one proves its syntax and builds next to nothing."""


_decode_objects = msgspec.json.Decoder(list[_Any]).decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode
_OBJECT: dict[str, Any] = {}  # stands for every object that `_scan` reads: millions of empty ones fill the memory
# numbers of any length
_scan = json.JSONDecoder(strict=False, parse_int=str, parse_float=str, object_pairs_hook=lambda _: _OBJECT).raw_decode
_FIRST_BRACE = re.compile(rb"\{")
_NOT_WHITE = re.compile(r"[^ \t\r\n]")
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True)
class Bundle:
    """One file of events that covers `[start, stop)`.

    Attributes:
        id: Fullstory's id; exceeds 32 bits.
        start, stop: Unix seconds.
    """

    id: int
    start: int
    stop: int

    @property
    def span(self) -> Span:
        """The same in Unix nanoseconds."""
        return self.start * SECOND, self.stop * SECOND


@dataclass(frozen=True)
class Position:
    """A place between two events of one bundle.

    Attributes:
        events: events before it.
        bytes: bytes of the unpacked file before it.
        checksum: CRC-32 of these bytes.
    """

    events: int = 0
    bytes: int = 0
    checksum: int = 0


BEGINNING = Position()


@dataclass(frozen=True)
class Chunk:
    """Some of the events, as a JSON array, and the position after them."""

    data: bytes
    events: int
    end: Position


@dataclass
class Cuts:
    """Where the file may be cut: after each of these bytes there have been so many events. And what all of it is."""

    bytes: array[int] = field(default_factory=lambda: array("Q"))
    events: array[int] = field(default_factory=lambda: array("Q"))
    size: int = 0  # bytes of all the unpacked text
    checksum: int = 0  # CRC-32 of it

    def add(self, end: int, events: int) -> None:
        """Note a cut: *events* more have ended before the byte *end*."""
        self.bytes.append(end)
        self.events.append(self.total + events)

    @property
    def total(self) -> int:
        """All events of the file."""
        return self.events[-1] if self.events else 0


def check(file: BinaryIO, most_events: int) -> Cuts:
    """Prove that *file* is whole and that each event in it can be read; return where to cut it.

    Args:
        most_events: at most so many events between two cuts.

    Raises:
        BundleError: it is not; the text is a clause that says what is wrong.
    """
    cuts = Cuts()
    for _ in _pieces(file, most_events, cuts):
        pass
    return cuts


def check_on_the_way(file: BinaryIO, most_events: int, cuts: Cuts) -> Iterator[Chunk]:
    """Yield all events of *file*, and do on the way what `check` does: only at the end they are known to be sound.

    Args:
        cuts: takes what `check` would return.

    Raises:
        BundleError: see `check`; what was yielded is void.
    """
    for buffer, begin, end, events in _pieces(file, most_events, cuts):
        yield Chunk(_as_array(memoryview(buffer)[begin:end]), events, BEGINNING)


def _pieces(file: BinaryIO, most_events: int, cuts: Cuts) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield the pieces between cuts: a buffer, where in it a piece begins and ends, and how many events it holds."""
    blocks = _measured(unpack(file), cuts)
    buffer, offset = _after_bracket(blocks)
    parts, held = [buffer], len(buffer)
    need, prefix = BLOCK_SIZE, FIRST
    while True:
        block = next(blocks, b"")
        parts.append(block)
        held += len(block)
        if block and held < need:
            continue
        buffer = b"".join(parts)
        ends = _events_in(buffer, prefix, last=not block)
        begin = 0
        for end, events in _spread(buffer, prefix, ends, most_events):
            cuts.add(offset + end, events)
            yield buffer, begin, end, events
            begin = end
        if not block:
            return
        if ends:
            length, prefix, need = ends[-1][0], LATER, BLOCK_SIZE
            buffer, offset = buffer[length:], offset + length
        elif len(buffer) > LARGEST_EVENT:
            raise BundleError(f"it holds an event of more than {LARGEST_EVENT} bytes")
        else:
            # a large event is not looked at again for every block
            need = min(2 * len(buffer), LARGEST_EVENT + 1)
        parts, held = [buffer], len(buffer)


def _measured(blocks: Iterator[bytes], cuts: Cuts) -> Iterator[bytes]:
    for block in blocks:
        cuts.size += len(block)
        cuts.checksum = zlib.crc32(block, cuts.checksum)
        yield block


def sealed(checksum: int, seal: bytes) -> int:
    """Return *checksum* so that it also stands for *seal*: what else must be as it was when a position was noted."""
    return zlib.crc32(seal, checksum)


def matches(file: BinaryIO, position: Position, seal: bytes = b"") -> bool:
    """Return whether *file* begins with the bytes for which *position* was noted, sealed with *seal*."""
    try:
        return sealed(_Text(unpack(file)).checksum(position.bytes), seal) == position.checksum
    except BundleError:
        return False


def read_chunks(file: BinaryIO, cuts: Cuts, resume: Position = BEGINNING) -> Iterator[Chunk]:
    """Yield the events after *resume*, a position that *file* matches, in chunks that end at *cuts*."""
    text = _Text(unpack(file))
    position = Position(resume.events, resume.bytes, text.checksum(resume.bytes))
    following = bisect_right(cuts.bytes, resume.bytes)
    for end, events in zip(cuts.bytes[following:], cuts.events[following:], strict=True):
        piece = text.take(end - position.bytes)
        before, position = position, Position(events, end, zlib.crc32(piece, position.checksum))
        yield Chunk(_as_array(piece), events - before.events, position)


def _as_array(piece: memoryview) -> bytes:
    first = _FIRST_BRACE.search(piece)  # behind the bracket or comma before it
    assert first is not None, "a cut stands behind an event"
    return b"".join((b"[", piece[first.start() :], b"]"))


class _Text:
    """Unpacked text, taken in pieces of exactly the length asked for."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = b""

    def take(self, size: int) -> memoryview:
        parts, held = [self._rest], len(self._rest)
        while held < size:
            block = next(self._blocks, b"")
            if not block:
                raise BundleError("it is shorter than expected")
            parts.append(block)
            held += len(block)
        text = b"".join(parts)
        self._rest = text[size:]
        return memoryview(text)[:size]

    def checksum(self, size: int) -> int:
        """Return the CRC-32 of the next bytes, which are passed over."""
        checksum = 0
        for begin in range(0, size, BLOCK_SIZE):
            checksum = zlib.crc32(self.take(min(BLOCK_SIZE, size - begin)), checksum)
        return checksum


def unpack(file: BinaryIO) -> Iterator[bytes]:
    """Yield the text of *file* from its beginning, in blocks of about `BLOCK_SIZE` bytes at most, none of them empty.

    Raises:
        BundleError: the gzip stream is cut or damaged.
    """
    file.seek(0)
    blocks = iter(lambda: file.read(READ_SIZE), b"")
    for _ in range(GZIP_LAYERS):
        first = next(blocks, b"")
        blocks = chain((first,), blocks) if first else blocks
        if not first.startswith(GZIP):
            break
        blocks = _inflate(blocks)
    return blocks


def _inflate(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip members one after the other, each with its checksum and length proven."""
    member, begun = zlib.decompressobj(wbits=GZIP_WINDOW), False
    parts: list[bytes] = []
    size = 0
    for block in blocks:
        packed = block
        while True:
            if not begun:
                packed = packed.lstrip(b"\0")  # some servers pad a file with zeros behind its last member
                if not packed:
                    break
                begun = True
            try:
                text = member.decompress(packed, BLOCK_SIZE)
            except zlib.error as error:  # type: ignore[misc]  # its types do not say that it is an exception
                raise BundleError(f"its compression is damaged: {str(error).rpartition(': ')[2]}") from error
            parts.append(text)
            size += len(text)
            if size >= BLOCK_SIZE:  # never more than asked for, however well it was packed
                yield b"".join(parts)
                parts, size = [], 0
            if member.eof:
                packed = member.unused_data
                member, begun = zlib.decompressobj(wbits=GZIP_WINDOW), False
            elif member.unconsumed_tail or len(text) == BLOCK_SIZE:
                packed = member.unconsumed_tail
            else:
                break
    if size:
        yield b"".join(parts)
    if begun:
        raise BundleError("its compression breaks off")


def _after_bracket(blocks: Iterator[bytes]) -> tuple[bytes, int]:
    """Return what follows the opening bracket in the first blocks, and the offset of that."""
    buffer, offset = b"", 0  # white space before the buffer is not kept
    for block in blocks:
        buffer += block
        text = (buffer if offset else buffer.removeprefix(BYTE_ORDER_MARK)).lstrip(WHITE)
        if text.startswith(b"["):
            return text[1:], offset + len(buffer) - len(text) + 1
        if not text:
            buffer, offset = b"", offset + len(buffer)
        elif offset or not BYTE_ORDER_MARK.startswith(buffer):
            break
        if offset > LARGEST_EVENT:
            break
    shown = buffer.lstrip()[:1].decode("latin-1")
    raise BundleError(f"it begins with {shown!r}, not with a JSON array" if shown else "it is empty")


def _events_in(buffer: bytes, prefix: bytes, *, last: bool) -> list[tuple[int, int]]:
    """Find whole events at the beginning of *buffer*.

    Args:
        prefix: makes, set before *buffer*, a JSON array of it.
        last: nothing follows *buffer*, so the array must end in it.

    Returns:
        Places behind an event, each with the number of events since the place before; empty if no event ends here.
    """
    earlier = 1 if prefix == LATER else 0
    if last:
        text = buffer.rstrip(WHITE)
        try:
            events = len(_decode_objects(prefix + text)) - earlier
        except _UNREADABLE:
            return _search(buffer, prefix, last=True)
        return [(_rstrip(text, len(text) - 1), events)] if events else []
    place = len(buffer)
    for _ in range(CANDIDATES):
        place = buffer.rfind(b"{", 0, place)
        comma = _rstrip(buffer, place) - 1
        if comma < 1:
            break
        end = _rstrip(buffer, comma)
        if buffer[comma : comma + 1] != b"," or buffer[end - 1 : end] != b"}":
            continue
        try:
            # The proof: inside a string or a nested value, one more bracket cannot end what the first one began.
            events = len(_decode_objects(b"".join((prefix, memoryview(buffer)[:end], b"]")))) - earlier
        except _UNREADABLE:
            continue
        return [(end, events)]
    return _search(buffer, prefix, last=False)


def _rstrip(buffer: bytes, end: int) -> int:
    while end > 0 and buffer[end - 1] in WHITE:
        end -= 1
    return end


def _search(buffer: bytes, prefix: bytes, *, last: bool) -> list[tuple[int, int]]:
    """Do what `_events_in` does event by event, with the standard library, which reads what is not quite JSON, too.

    Raises:
        BundleError: it is not JSON at all.
    """
    # One character a byte, so that positions are the same; nothing of the text is kept.
    text = (prefix + buffer).decode("latin-1")
    ends: list[tuple[int, int]] = []
    place = _skip_white(text, 1)
    closed = text.startswith("]", place)  # no event at all
    place += closed
    while not closed:
        try:
            event, end = _scan(text, place)
        except (json.JSONDecodeError, RecursionError) as error:
            cut = isinstance(error, json.JSONDecodeError) and _is_cut(error)
            if cut and not last:
                return ends
            raise BundleError("its JSON breaks off" if cut else "its JSON is damaged") from error
        if not isinstance(event, dict):
            raise BundleError("it holds something that is not an event")
        if end > len(prefix):  # else it is the empty event of the prefix
            ends.append((end - len(prefix), 1))
        place = _skip_white(text, end)
        if place == len(text):
            if last:
                raise BundleError("its JSON breaks off")
            return ends
        closed = text[place] == "]"
        if not closed and text[place] != ",":
            raise BundleError("its JSON is damaged")
        place = _skip_white(text, place + 1)
    if _skip_white(text, place) < len(text):
        raise BundleError("something stands behind its closing bracket")
    return ends


def _skip_white(text: str, place: int) -> int:
    found = _NOT_WHITE.search(text, place)
    return found.start() if found else len(text)


def _is_cut(error: json.JSONDecodeError) -> bool:
    """Return whether more text may mend the error: it lies at the end, or is a string without one."""
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc) - LONGEST_TOKEN


def _spread(buffer: bytes, prefix: bytes, ends: list[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    """Turn what `_events_in` found into as few cuts as *most* events between two of them allow."""
    if any(events > most for _, events in ends):
        ends = _search(buffer[: ends[-1][0]] + b"]", prefix, last=True)
    total = last = 0
    for end, events in ends:
        if total and total + events > most:
            yield last, total
            total = 0
        total += events
        last = end
    if total:
        yield last, total


def split_events(array: bytes) -> list[bytes]:
    """Return the events of a JSON array one by one."""
    try:
        return [bytes(raw) for raw in _decode_raws(array)]
    except _UNREADABLE:
        events = array[1:]
        ends = _search(events, FIRST, last=True)
    starts = [0, *(end for end, _ in ends[:-1])]
    return [events[start:end].lstrip(b"," + WHITE) for start, (end, _) in zip(starts, ends, strict=True)]
