"""A bundle is cut between events, exactly, or refused."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_fullstory import bundles
from tap_fullstory.bundles import (
    BEGINNING,
    BundleError,
    Chunk,
    Cuts,
    Position,
    check,
    check_on_the_way,
    matches,
    read_chunks,
    sealed,
    split_events,
    unpack,
)
from tests.unit import event_texts

RESOURCES = Path(__file__).parents[1] / "resources" / "bundles"
TEXT = b'\xef\xbb\xbf \r\n[{"a":"},{"},\n {"b":[{},\n{}]} ,{}\n,{"c":"]\\"[{","d":{"e":{}}}, {"f":-1.5e3}\t]\n'
EVENTS = [{"a": "},{"}, {"b": [{}, {}]}, {}, {"c": ']"[{', "d": {"e": {}}}, {"f": -1500.0}]
BLOCKS = [2, 3, 7, 16, 50, 1000]


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets how many bytes are looked at at once."""
    return lambda size: monkeypatch.setattr(bundles, "BLOCK_SIZE", size)


def chunks_of(data: bytes, most: int = 10_000, resume: Position = BEGINNING) -> list[Chunk]:
    file, cuts = BytesIO(data), Cuts()
    checked = check(file, most)
    on_the_way = [(chunk.data, chunk.events) for chunk in check_on_the_way(file, most, cuts)]
    assert checked == cuts
    assert [(chunk.data, chunk.events) for chunk in read_chunks(file, checked)] == on_the_way
    return list(read_chunks(file, checked, resume))


def events_in(chunks: list[Chunk]) -> list[Any]:
    found: list[Any] = []
    for chunk in chunks:
        events = json.loads(chunk.data)
        assert chunk.events == len(events)
        found += events
    return found


def packed(text: bytes, level: int = 6) -> bytes:
    return gzip.compress(text, level, mtime=0)


FORMS = {
    "plain": TEXT,
    "gzip": packed(TEXT),
    "gzip, stored": packed(TEXT, 0),
    "gzip twice": packed(packed(TEXT)),
    "members": packed(TEXT[:20]) + packed(TEXT[20:33]) + packed(b"") + packed(TEXT[33:]),
    "zeros behind": packed(TEXT) + b"\0" * 700,
    "zeros between members": packed(TEXT[:20]) + b"\0" * 10 + packed(TEXT[20:]),
}


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("most", [1, 2, 10_000])
def test_every_event_comes_once_whatever_the_form(blocks: Any, form: str, block: int, most: int) -> None:
    """A bundle would lose, double or cut an event, for the way a server or proxy sent it."""
    blocks(block)

    chunks = chunks_of(FORMS[form], most)

    assert events_in(chunks) == EVENTS
    assert all(1 <= chunk.events <= most for chunk in chunks)
    assert list(range(1, 6))[-1] == chunks[-1].end.events


@pytest.mark.parametrize("text", [b"[]", b" [ \n] ", b"\xef\xbb\xbf[]\r\n", packed(b"[]"), packed(packed(b"[ ]"))])
@pytest.mark.parametrize("block", BLOCKS)
def test_a_bundle_without_events_is_whole(blocks: Any, text: bytes, block: int) -> None:
    """A quiet hour would be taken for damage."""
    blocks(block)

    assert [] == chunks_of(text)


@given(event_texts.bundles(), st.integers(2, 400), st.integers(1, 5))
def test_generated_bundles_are_cut_between_events(bundle: tuple[bytes, list[bytes]], block: int, most: int) -> None:
    """Some event that looks like a boundary would be cut in two."""
    text, events = bundle
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "BLOCK_SIZE", block)
        chunks = chunks_of(text, most)

    assert events == [event.strip() for chunk in chunks for event in split_events(chunk.data)]
    assert all(chunk.events <= most for chunk in chunks)
    for chunk in chunks:
        assert zlib.crc32(text[: chunk.end.bytes]) == chunk.end.checksum
        assert b"}" == text[chunk.end.bytes - 1 : chunk.end.bytes]


# Damage -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [3, 16, 1000])
def test_a_text_cut_anywhere_is_refused(blocks: Any, block: int) -> None:
    """Half a bundle would be written as if it were all."""
    blocks(block)
    whole = TEXT.rstrip()
    for length in range(len(whole)):
        with pytest.raises(BundleError):
            check(BytesIO(whole[:length]), 10)


@pytest.mark.parametrize("form", ["gzip", "gzip, stored", "gzip twice"])
def test_a_packed_file_cut_anywhere_is_refused(form: str) -> None:
    """Half a bundle would be written as if it were all."""
    for length in range(len(FORMS[form])):
        with pytest.raises(BundleError):
            check(BytesIO(FORMS[form][:length]), 10)


def test_members_cut_anywhere_are_refused() -> None:
    """A bundle whose last member never came would be written as if it were all."""
    for length in range(len(FORMS["members"])):
        with pytest.raises(BundleError):
            check(BytesIO(FORMS["members"][:length]), 10)


def test_a_changed_byte_in_a_packed_file_never_changes_an_event() -> None:
    """Damage that the checksum shows would be written."""
    file = packed(TEXT)
    for place in range(len(file)):
        damaged = bytearray(file)
        damaged[place] ^= 0x55
        try:
            chunks = chunks_of(bytes(damaged))
        except BundleError:
            continue
        assert place < 10, "only the header of gzip is not covered by its checksum"
        assert events_in(chunks) == EVENTS


DAMAGED = {
    "nothing": b"",
    "white space alone": b" \n ",
    "mark alone": b"\xef\xbb\xbf",
    "an object": b'{"message":"later"}',
    "a page": b"<html>sorry</html>",
    "no bracket at the end": b'[{"a":1}',
    "a comma at the end": b'[{"a":1},',
    "a comma before the bracket": b'[{"a":1},]',
    "a comma first": b'[,{"a":1}]',
    "two commas": b'[{"a":1},,{"a":2}]',
    "no comma": b'[{"a":1}{"a":2}]',
    "no comma, line": b'[{"a":1}\n{"a":2}]',
    "garbage between": b'[{"a":1},x{"a":2}]',
    "garbage before the comma": b'[{"a":1}x,{"a":2}]',
    "garbage behind": b'[{"a":1}]x',
    "another array": b'[{"a":1}][{"a":2}]',
    "two brackets": b'[{"a":1}]]',
    "two opening brackets": b'[[{"a":1}]]',
    "events behind the end": b'[{"a":1}],{"a":2},{"a":3}]',
    "zeros behind": b'[{"a":1}]\0\0',
    "a number": b'[{"a":1},2]',
    "a text": b'["a",{"a":1}]',
    "null": b'[{"a":1},null,{"a":2}]',
    "an array": b'[{"a":1},[],{"a":2}]',
    "true first": b"[true]",
    "wrong number": b'[{"a":01},{"a":2}]',
    "no quote": b'[{"a:1},{"a":2}]',
    "no colon": b'[{"a" 1},{"a":2}]',
    "single quotes": b"[{'a':1},{'a':2}]",
    "a bracket that is never closed": b'[{"a":[1},{"a":2}]',
    "wrong escape": b'[{"a":"\\x"},{"a":2}]',
    "a comment": b'[{"a":1}/* */,{"a":2}]',
    "two marks": b'\xef\xbb\xbf\xef\xbb\xbf[{"a":1}]',
    "UTF-16": '[{"a":1}]'.encode("utf-16"),
    "gzip three times": packed(packed(packed(b'[{"a":1}]'))),
    "garbage behind gzip": packed(b'[{"a":1}]') + b"garbage",
    "half a member behind": packed(b'[{"a":1}]') + packed(b" ")[:-4],
    "text behind gzip": packed(b'[{"a":1}]') + b'[{"a":2}]',
    "wrong checksum": packed(b'[{"a":1}]')[:-8] + b"\0\0\0\0" + packed(b'[{"a":1}]')[-4:],
    "wrong length": packed(b'[{"a":1}]')[:-4] + b"\x08\0\0\0",
    "gzip of nothing": packed(b""),
    "zlib": zlib.compress(b'[{"a":1}]'),
}


@pytest.mark.parametrize("block", [2, 5, 16, 1000])
@pytest.mark.parametrize("damage", DAMAGED)
def test_damage_is_refused(blocks: Any, damage: str, block: int) -> None:
    """Events of a damaged bundle would be written, or what is no event."""
    blocks(block)

    with pytest.raises(BundleError) as caught:
        check(BytesIO(DAMAGED[damage]), 10)
    with pytest.raises(BundleError) as on_the_way:
        list(check_on_the_way(BytesIO(DAMAGED[damage]), 10, Cuts()))

    assert 0 < len(str(caught.value)) < 200
    assert str(caught.value) == str(on_the_way.value)


@pytest.mark.parametrize("path", sorted(RESOURCES.glob("damaged-*")), ids=lambda path: path.name)
def test_damaged_files_are_refused(path: Path) -> None:
    """Events of a damaged bundle would be written."""
    with path.open("rb") as file, pytest.raises(BundleError):
        check(file, 10)


def test_there_is_a_file_for_each_kind_of_damage() -> None:
    """The test above would pass without any file."""
    kinds = {path.name.split(".")[0].removeprefix("damaged-") for path in RESOURCES.glob("damaged-*")}

    assert {"cut", "checksum", "length", "bracket", "between", "behind", "page"} == kinds


def test_the_whole_file_is_read() -> None:
    """All files would be refused, and the damaged ones would prove nothing."""
    with (RESOURCES / "whole.json.gz").open("rb") as file:
        assert 3 == check(file, 10).total


# Large --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("filling", [b"x", b'\\"},{', b"},{", b"\xff"])
def test_an_event_over_many_blocks_is_one_event(blocks: Any, filling: bytes) -> None:
    """A long text would be cut, or read so often that a bundle never ends."""
    blocks(100)
    text = b'[{"a":1},{"b":"%b"},{"c":3}]' % (filling * 3000)

    chunks = chunks_of(text, 1)

    assert [1, 1, 1] == [chunk.events for chunk in chunks]
    assert b'{"b":"%b"}' % (filling * 3000) == chunks[1].data[1:-1].strip()


def test_an_event_beyond_the_limit_is_refused(blocks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle without an end of events would fill the memory."""
    blocks(100)
    monkeypatch.setattr(bundles, "LARGEST_EVENT", 1000)
    most = b'[{"a":"%b"}]'

    assert 1 == check(BytesIO(packed(most % (b"x" * 700))), 10).total
    with pytest.raises(BundleError, match="more than 1000 bytes"):
        check(BytesIO(packed(most % (b"x" * 5000))), 10)


@pytest.mark.parametrize("inside", [b" ", b"x"], ids=["white space", "text"])
def test_a_bomb_stays_small_in_memory(inside: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to hundreds of times its size would end the process."""
    monkeypatch.setattr(bundles, "LARGEST_EVENT", 4 * 1024 * 1024)
    bomb = packed(b'[{"a":"' + inside * 60_000_000, 9)
    tracemalloc.start()
    try:
        with pytest.raises(BundleError):
            check(BytesIO(bomb), 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 40_000_000


def test_blocks_are_no_larger_than_asked_for(blocks: Any) -> None:
    """However well a file is packed, one block would fill the memory."""
    blocks(1000)

    sizes = [len(block) for block in unpack(BytesIO(packed(packed(b" " * 1_000_000))))]

    assert 1_000_000 == sum(sizes)
    assert 0 < min(sizes) and max(sizes) <= 2 * 1000


# Going on in the middle ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["plain", "gzip", "members"])
@pytest.mark.parametrize("block", [5, 16, 1000])
@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_reading_goes_on_behind_every_event(blocks: Any, form: str, block: int, most: int) -> None:
    """A run that was stopped would lose or repeat events."""
    blocks(block)
    ends = [BEGINNING, *(chunk.end for chunk in chunks_of(TEXT, 1))]
    assert [0, 1, 2, 3, 4, 5] == [end.events for end in ends]

    for end in ends:  # also those that another checkpoint_records would not stop at
        chunks = chunks_of(FORMS[form], most, end)

        assert events_in(chunks) == EVENTS[end.events :]
        assert all(chunk.events <= most for chunk in chunks)
        if chunks:
            assert ends[-1] == chunks[-1].end


def test_a_position_holds_the_checksum_of_what_lies_before_it() -> None:
    """A state could not be checked by anybody but this version of the tap."""
    for chunk in chunks_of(TEXT, 1):
        assert zlib.crc32(TEXT[: chunk.end.bytes]) == chunk.end.checksum


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b'"},{"', b'"},["'),
        TEXT.replace(b",\n {", b", \n{"),
        TEXT.replace(b" \r\n[", b"[ \r\n"),
        b"[]",
        b'[{"a":1}]',
    ],
)
def test_other_bytes_than_those_read_then_are_noticed(text: bytes) -> None:
    """Events would be lost where Fullstory made the bundle anew."""
    end = chunks_of(TEXT, 1)[3].end

    assert matches(BytesIO(TEXT), end)
    assert not matches(BytesIO(text), end)


def test_bytes_behind_the_position_may_change() -> None:
    """A bundle would be read again from its beginning without need."""
    end = chunks_of(TEXT, 1)[1].end

    changed = TEXT[: end.bytes] + b',{"new":1}]'
    chunks = chunks_of(changed, 1, end)

    assert matches(BytesIO(changed), end)
    assert [{"new": 1}] == events_in(chunks)


def test_a_position_holds_for_one_seal_only() -> None:
    """Events beyond a moved end_date would count as written."""
    end = chunks_of(TEXT, 1)[2].end
    sealed_end = Position(end.events, end.bytes, sealed(end.checksum, b"2024-01-01T00:00:00"))

    assert end.checksum == sealed(end.checksum, b"")
    assert matches(BytesIO(TEXT), sealed_end, b"2024-01-01T00:00:00")
    assert not matches(BytesIO(TEXT), sealed_end)
    assert not matches(BytesIO(TEXT), sealed_end, b"2024-01-02T00:00:00")


@pytest.mark.parametrize(
    "data, events",
    [
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":"},{"} , {"b":[{},{}]}\n', [b'{"a":"},{"}', b'{"b":[{},{}]}']),
        (b'{"a":"\\ud800"},\n{"b":"\t"},{}', [b'{"a":"\\ud800"}', b'{"b":"\t"}', b"{}"]),
        (b'{"a":"\xff"},{"b":NaN}', [b'{"a":"\xff"}', b'{"b":NaN}']),
    ],
)
def test_events_are_told_apart(data: bytes, events: list[bytes]) -> None:
    """One odd event would take its neighbours along."""
    assert events == [event.strip() for event in split_events(b"[%b]" % data)]
