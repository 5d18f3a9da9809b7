"""Bundles: intervals of events, their JSON text and its compression.

A bundle is one JSON array of flat objects, one per event.
API: https://developer.fullstory.com/server/v1/exports/get-event-export/
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any

HALF_HOUR = 1800  # seconds; the unit in which an id counts the length of its bundle
PIECE = 256 * 1024  # bytes; how much text is put together before it is compressed or sent
GZIP = 31  # zlib's window bits for "with a gzip header and trailer"
RAW_DEFLATE = -15  # zlib's window bits for "no header at all"
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # deflate, no name, no time, unknown system
LAST_DEFLATE_BLOCK = b"\x03\x00"  # an empty block with the "final" bit

Event = dict[str, Any]
Encoded = Event | bytes  # bytes: one or more events already encoded, joined by the bundle's separator
Events = Sequence[Encoded] | Callable[[], Iterable[Encoded]]


def bundle_id(start: int, stop: int) -> int:
    """The id Fullstory gives a bundle: 100 x start + length in half hours (seen in practice, not documented)."""
    return start * 100 + (stop - start) // HALF_HOUR


class Bundle:
    """The events of one interval `[start, stop)`, in Unix seconds.

    The content is the first given of *raw*, *source*, *events*; none of them: an empty array.

    Args:
        events: a list of events, or a function without arguments that returns an iterator of them, asked anew for each
            download and never held in memory. An item is a dict, or bytes: one or more encoded events joined by
            *separator*.
        id: `bundle_id(start, stop)` unless given.
        raw: exactly this JSON text, for hostile content.
        source: compressed beforehand, see `Prepared`; or a function without arguments that returns it.
        versions: the events of the second, third, … download; the last one given stays.
        separator, opening, closing: the text around and between events.
    """

    def __init__(
        self,
        start: int,
        stop: int,
        events: Events | None = None,
        id: int | None = None,
        raw: bytes | None = None,
        *,
        source: Prepared | Callable[[], Prepared] | None = None,
        versions: Sequence[Events] = (),
        separator: bytes = b",\n",
        opening: bytes = b"[",
        closing: bytes = b"]\n",
    ) -> None:
        self.start = start
        self.stop = stop
        self.events = events
        self.id = bundle_id(start, stop) if id is None else id
        self.raw = raw
        self._source = source
        self.versions = versions
        self.separator = separator
        self.opening = opening
        self.closing = closing

    def __repr__(self) -> str:
        return f"Bundle(start={self.start}, stop={self.stop}, id={self.id})"

    @property
    def source(self) -> Prepared | None:
        """What was compressed beforehand; None: nothing was."""
        return self._source() if callable(self._source) else self._source

    @property
    def is_prepared(self) -> bool:
        """Whether it was compressed beforehand."""
        return self.raw is None and self._source is not None

    @property
    def is_streamed(self) -> bool:
        """Whether the text is made while it is sent, so that its length is not known beforehand."""
        return self.raw is None and self._source is None and callable(self.events)

    def version(self, nth: int) -> Bundle:
        """The bundle as the *nth* download shows it, counted from 1."""
        if nth < 2 or not self.versions:
            return self
        return self.like(self.versions[min(nth - 2, len(self.versions) - 1)])

    def like(self, events: Events) -> Bundle:
        """A bundle with other events, the same otherwise."""
        return Bundle(
            self.start,
            self.stop,
            events,
            self.id,
            separator=self.separator,
            opening=self.opening,
            closing=self.closing,
        )

    def read_text(self) -> Iterator[bytes]:
        """The JSON text in pieces of about 256 KiB."""
        if self.raw is not None:
            yield self.raw
        elif (source := self.source) is not None:
            yield from source.read_text()
        else:
            yield from self._encode()

    def read_events(self) -> Iterator[Event]:
        """The events as dicts, one after the other.

        Raises:
            ValueError: *raw* is not a JSON array.
        """
        if self.raw is not None:
            yield from json.loads(self.raw)
        elif (source := self.source) is not None:
            yield from source.read_events()
        else:
            for item in self.items():
                if isinstance(item, bytes):
                    yield from json.loads(b"[%b]" % item)
                else:
                    yield item

    def items(self) -> Iterable[Encoded]:
        """*events* as they were given."""
        if self.events is None:
            return ()
        return self.events() if callable(self.events) else self.events

    def _encode(self) -> Iterator[bytes]:
        waiting = [self.opening]
        size = 0
        separator = b""
        for item in self.items():
            text = item if isinstance(item, bytes) else encode(item)
            waiting += (separator, text)
            separator = self.separator
            size += len(text)
            if size >= PIECE:
                yield b"".join(waiting)
                waiting.clear()
                size = 0
        waiting.append(self.closing)
        yield b"".join(waiting)


def encode(event: Event) -> bytes:
    """One event as compact UTF-8 JSON."""
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # a lone surrogate has no UTF-8 form; as \ud800 it is still legal JSON
        return json.dumps(event, separators=(",", ":")).encode()


def compress(pieces: Iterable[bytes], level: int = 6) -> Iterator[bytes]:
    """The same bytes as one gzip member; the text of the same bundle always gives the same file."""
    packer = zlib.compressobj(level, zlib.DEFLATED, GZIP)
    for piece in pieces:
        packed = packer.compress(piece)
        if packed:
            yield packed
    yield packer.flush()


class Prepared:
    """A bundle that repeats one block of events, compressed once: as fast as the network, of known length.

    Args:
        block: encoded events joined by *separator*.
        repeat: how often the block appears.
        more: further blocks after that, each with how often it appears.
        level: of the compression, 1 to 9.
    """

    def __init__(
        self,
        block: bytes,
        repeat: int,
        *,
        more: Sequence[tuple[bytes, int]] = (),
        level: int = 6,
        separator: bytes = b",\n",
        opening: bytes = b"[",
        closing: bytes = b"]\n",
    ) -> None:
        self.blocks = [(block, repeat) for block, repeat in ((block, repeat), *more) if repeat]
        self.level = level
        self._runs = [(separator + block, repeat) for block, repeat in self.blocks]  # texts, and how often each comes
        if self._runs:
            # no separator before the very first
            self._runs[:1] = [(opening + self.blocks[0][0], 1), (self._runs[0][0], self._runs[0][1] - 1)]
        else:
            self._runs = [(opening, 1)]
        self._runs.append((closing, 1))

    @property
    def length(self) -> int:
        """Bytes of the JSON text."""
        return sum(len(text) * times for text, times in self._runs)

    @property
    def gzip_length(self) -> int:
        """Bytes of the gzip file."""
        packed = sum(len(packed) * times for packed, times in self._packed)
        return len(GZIP_HEADER) + packed + len(LAST_DEFLATE_BLOCK) + len(self._trailer)

    def read_text(self) -> Iterator[bytes]:
        """The JSON text, a block a piece."""
        for text, times in self._runs:
            yield from repeat(text, times)

    def read_gzip(self) -> Iterator[bytes]:
        """The text as one gzip member."""
        yield GZIP_HEADER
        for packed, times in self._packed:
            yield from repeat(packed, times)
        yield LAST_DEFLATE_BLOCK + self._trailer

    def read_events(self) -> Iterator[Event]:
        """The events as dicts; *separator* is a comma, with or without space."""
        for block, times in self.blocks:
            for _ in range(times):
                yield from json.loads(b"[%b]" % block)

    @cached_property
    def _packed(self) -> list[tuple[bytes, int]]:
        return [(self._pack(text), times) for text, times in self._runs]

    def _pack(self, text: bytes) -> bytes:
        # a full flush ends on a byte and forgets what came before: such runs can be put one after the other
        packer = zlib.compressobj(self.level, zlib.DEFLATED, RAW_DEFLATE)
        return packer.compress(text) + packer.flush(zlib.Z_FULL_FLUSH)

    @cached_property
    def _trailer(self) -> bytes:
        crc: Checksum = (0, 0)
        for text, times in self._runs:
            crc = _joined_crc(crc, _repeated_crc(_crc(text), times))
        return crc[0].to_bytes(4, "little") + (self.length % 2**32).to_bytes(4, "little")


Checksum = tuple[int, int]  # CRC-32 of some bytes, and how many they are


def _crc(text: bytes) -> Checksum:
    return zlib.crc32(text), len(text)


def _repeated_crc(crc: Checksum, times: int) -> Checksum:
    """The checksum of *times* repetitions, by doubling."""
    result: Checksum = (0, 0)
    while times:
        if times % 2:
            result = _joined_crc(result, crc)
        crc = _joined_crc(crc, crc)
        times //= 2
    return result


def _joined_crc(left: Checksum, right: Checksum) -> Checksum:
    """The checksum of two runs of bytes put together, as zlib's crc32_combine (which Python does not offer)."""
    crc, length = left[0], right[1]
    matrix = [0xEDB88320] + [1 << bit for bit in range(31)]  # what one zero bit does to a CRC
    matrix = _squared(_squared(_squared(matrix)))  # eight zero bits
    while length:
        if length % 2:
            crc = _applied(matrix, crc)
        matrix = _squared(matrix)
        length //= 2
    return crc ^ right[0], left[1] + right[1]


def _applied(matrix: list[int], vector: int) -> int:
    result = 0
    for row in matrix:
        if vector & 1:
            result ^= row
        vector >>= 1
    return result


def _squared(matrix: list[int]) -> list[int]:
    return [_applied(matrix, row) for row in matrix]
