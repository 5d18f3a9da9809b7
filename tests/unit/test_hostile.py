"""Bytes that nobody would send, in every file that the tap reads: records, or one of our errors; nothing else."""

from __future__ import annotations

import gzip
import json
import logging
import tempfile
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tap_fullstory import bundles, config
from tap_fullstory.bundles import check, read_chunks
from tap_fullstory.catalog import discover, read_catalog, select
from tap_fullstory.errors import BundleError, CatalogError, ConfigError, ResponseError, StateError, TapError
from tap_fullstory.logs import OneLine
from tap_fullstory.messages import MessageWriter
from tap_fullstory.records import EventReader
from tap_fullstory.signals import Stop
from tap_fullstory.sources import data_export
from tap_fullstory.state import EventsBookmark, parse_events_bookmark, read_bookmarks
from tap_fullstory.streams import events
from tests.unit import event_texts
from tests.unit.test_records import ALL_AND_KEY, EXTRACTED, NARROW, make_reader

STREAMS = [events.stream(event_key=True)]
LONGEST_LINE = 2000  # characters of an error, beside the path of its file

# Bytes ----------------------------------------------------------------------------------------------------------------

# What breaks readers, put anywhere.
PIECES = (
    *(
        b"",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc0\x80",
        b"\xf4\x90\x80\x80",
        b"\xef\xbb\xbf",
        b"\xfe\xff",
        b"\x1f\x8b",
    ),
    *(b"\\u0000", b"\\ud800", b"\\", b'"', b"{", b"}", b"[", b"]", b",", b"},{", b"},\n{", b"]]", b"[]", b":", b"/*"),
    *(b"NaN", b"-Infinity", b"Infinity", b"1e400", b"-1e-400", b"1e99999999999", b"9" * 5000, b"0" * 30, b"-", b"0x1f"),
    *(
        b'{"a":' * 2000,
        b"[" * 2000,
        b"[" * 200_000,
        b"]" * 50,
        b'{"":[' * 100,
        b'{"UserId":1}',
        b'"' * 7,
        b" " * 300_000,
    ),
    *(
        b"null",
        b"true",
        b'"EventStart":',
        b'"PageUserAgent":',
        b'"event_id":',
        b'"CustomVars":',
        b'"_bundle_id":',
        b"\r\n",
    ),
)
_places = st.floats(0, 1)
_changes = st.lists(
    st.tuples(st.just("flip"), _places, st.integers(1, 255))
    | st.tuples(st.just("put"), _places, st.sampled_from(PIECES) | st.binary(max_size=20))
    | st.tuples(st.sampled_from(("cut", "drop", "repeat", "move")), _places, _places),
    max_size=4,
)


def changed(data: bytes, changes: list[tuple[Any, ...]]) -> bytes:
    """Return *data* after flips, cuts and splices; a place is a share of the length."""
    for kind, share, what in changes:
        at = round(share * len(data))
        if kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ what]) + data[at + 1 :]
        elif kind == "put":
            data = data[:at] + what + data[at:]
        elif kind == "cut":
            data = data[:at]
        elif kind in {"drop", "repeat", "move"}:
            begin, end = sorted((at, round(what * len(data))))
            piece, rest = data[begin:end], data[:begin] + data[end:]
            data = {"drop": rest, "repeat": data[:end] + data[begin:], "move": rest + piece}[kind]
    return data


def packed(data: bytes, layers: int) -> bytes:
    """Return *data*, compressed so many times."""
    for _ in range(layers):
        data = gzip.compress(data, 1, mtime=0)
    return data


@st.composite
def hostile_files(draw: st.DrawFn) -> bytes:
    """Whole bundles that were damaged before or after they were compressed, or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    text, _ = draw(event_texts.bundles())
    data = packed(changed(text, draw(_changes)), draw(st.sampled_from((0, 0, 1, 1, 2, 3))))
    return changed(data, draw(_changes)) if draw(st.booleans()) else data


def read(data: bytes, reader: EventReader, block: int) -> list[bytes] | None:
    """Return the records of a file; None if it was refused, or holds what is nested too deeply."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundles, "BLOCK_SIZE", block)
        file = BytesIO(data)
        try:
            cuts = check(file, 3)
        except BundleError as error:
            assert_one_line(error)
            return None
        lines: list[bytes] = []
        count = 0
        for chunk in read_chunks(file, cuts):  # what was checked can be read
            try:
                records = reader.from_events(chunk, EXTRACTED)
            except RecursionError:  # the stream says which bundle it is: tests/integration/test_nesting.py
                return None
            count += records.events
            lines += records.lines.splitlines()
        assert cuts.total == count == len(lines)
        return lines


def assert_one_line(error: TapError, secret: str = "\0") -> None:
    """What is printed for *error* must be one line that somebody reads, and does not hold *secret*."""
    line = as_logged(str(error))
    assert str(error) and line.isprintable() and len(line) <= LONGEST_LINE and secret not in line


def as_logged(text: str) -> str:
    """Return *text* as the log shows it."""
    return OneLine().format(logging.LogRecord("tap_fullstory", logging.INFO, "file", 1, "%s", (text,), None))


@settings(max_examples=3 * settings().max_examples)  # these take less time than those below
@given(hostile_files(), st.sampled_from((ALL_AND_KEY, NARROW, ("EventStart",))), st.sampled_from((16, 1000, 131072)))
def test_any_bundle_is_read_or_refused(data: bytes, columns: tuple[str, ...], block: int) -> None:
    """Whatever a server or a disk makes of a bundle, the run must not end as a bug, nor write what is no record."""
    reader = make_reader(columns)

    for line in read(data, reader, block) or ():
        record = json.loads(line, parse_constant=no_constant)
        assert set(record) <= {*columns}
        assert "\0" not in line.decode()


def no_constant(text: str) -> Any:
    """Refuse NaN and Infinity, which are no JSON."""
    raise AssertionError(text)


def bomb(parts: Iterator[bytes]) -> bytes:
    """Return *parts*, compressed while they are made."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(map(packer.compress, parts)) + packer.flush()


SIZE = 64  # MiB; a file of some ten kilobytes
MIB = b" " * 2**20
BOMBS: dict[str, Callable[[], Iterator[bytes]]] = {
    "white space alone": lambda: (MIB for _ in range(SIZE)),
    "white space before an event": lambda: iter([b"[", *[MIB] * SIZE, b"{}]"]),
    "one text without end": lambda: iter([b'[{"a":"', *[b"x" * 2**20] * SIZE]),
    "one number without end": lambda: iter([b'[{"a":', *[b"1" * 2**20] * SIZE]),
    "brackets": lambda: iter([b"[" * 2**20] * SIZE),
    "brackets in an event": lambda: iter([b'[{"a":', *[b"[" * 2**20] * SIZE]),
    "names without end": lambda: iter([b'[{"a":0', *[b',"a":0' * 170_000] * SIZE]),
    "zeros behind": lambda: iter([b"[{}]", *[b"\0" * 2**20] * SIZE]),
    "separators": lambda: iter([b"[{}", *[b"}," * 2**19] * SIZE]),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_takes_no_more_memory_than_the_largest_event(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file that unpacks to gigabytes would take the machine down, and what else runs there."""
    largest = 4 * 2**20
    monkeypatch.setattr(bundles, "LARGEST_EVENT", largest)
    data = bomb(BOMBS[name]())
    assert len(data) < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(BundleError) as raised:
            check(BytesIO(data), 10_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert_one_line(raised.value)
    # what waits for its end, doubled before it is looked at again, and that as text with the parts of it
    assert peak < 16 * largest


# Files of settings, catalog and state ---------------------------------------------------------------------------------

_surrogates = st.text(st.characters(), max_size=6) | st.sampled_from(
    ("\ud800", "\0", "\x1b[31m", "a\nb", "\u2028", "x" * 5000)
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(
        (2**63, 2**63 - 1, -(2**63) - 1, 253_402_300_800, 10**400, 1e308, 5e-324, float("nan"), float("inf"), -0.0)
    )
    | st.floats()
    | _surrogates
    | st.sampled_from(
        (
            *("2024-01-01T00:00:00Z", "0001-01-01", "9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59-23:59"),
            *(
                "https://localhost",
                "http://127.0.0.1:0",
                "https://[::1",
                "https://a:99999",
                "https://\ud800",
                "//",
                "na1.x",
            ),
            *(
                "events",
                "string",
                "null",
                "date-time",
                "automatic",
                "properties",
                "UserId",
                "EventStart",
                "data_export",
            ),
        )
    )
)
NAMES = (
    *("bookmarks", "events", "users", "since", "until", "done", "partial", "gaps", "exports", "type", "value", "STATE"),
    *(
        "currently_syncing",
        "streams",
        "tap_stream_id",
        "stream",
        "schema",
        "metadata",
        "breadcrumb",
        "selected",
        "format",
    ),
    *(
        "properties",
        "UserId",
        "EventStart",
        "CustomVars",
        "event_id",
        "exports",
        "Id",
        "Start",
        "Stop",
        "id",
        "start",
        "stop",
    ),
    *(setting.name for setting in config.SETTINGS),
)
_names = st.sampled_from(NAMES) | _surrogates
_any = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=5), max_leaves=12
)
GOOD_STATE = {
    "bookmarks": {
        "events": EventsBookmark(
            since=1_700_006_400 * 10**9, until=1_700_092_800 * 10**9, done=(170000640048,)
        ).to_json(),
        "users": {"since": "2024-01-01T00:00:00Z"},
    }
}
GOOD_CONFIG = {"api_key": "na1.made-up", "start_date": "2024-01-01", "http_headers": {"X-A": "b"}, "skip_bundles": [1]}
GOOD_CATALOG = discover(STREAMS)


@st.composite
def altered(draw: st.DrawFn, good: Any) -> Any:
    """*good* with some of what is in it replaced by anything."""
    if draw(st.integers(0, 3)) == 0:
        return draw(_any)
    if isinstance(good, dict) and good:
        names = draw(st.lists(st.sampled_from(sorted(good)), min_size=1, max_size=2, unique=True))
        others = draw(st.dictionaries(_names, _any, max_size=2))
        return {**others, **good, **{name: draw(altered(good[name])) for name in names}}
    if isinstance(good, list) and good:
        at = draw(st.integers(0, len(good) - 1))
        return [*good[:at], draw(altered(good[at])), *good[at + 1 :]]
    return draw(_any)


@st.composite
def hostile_json(draw: st.DrawFn, good: Any) -> bytes:
    """A file as it should be, with values, then perhaps bytes replaced; or anything."""
    text = json.dumps(draw(altered(good)), ensure_ascii=draw(st.booleans()))
    data = text.encode("utf-8", "surrogatepass")
    return changed(data, draw(_changes)) if draw(st.booleans()) else data


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all examples are written, one after the other."""
    return tmp_path_factory.mktemp("hostile") / "file.json"


@given(data=hostile_json(GOOD_STATE))
@example(data=b'{"bookmarks":{"users":"\\ud800"}}')
@example(data=b'{"bookmarks":{"users":NaN}}')
@example(data=b'{"bookmarks":{"users":1e999}}')
@example(data=b'{"bookmarks":{"events":{"until":"9999-12-31T23:59:59.999999999Z","gaps":["\\udfff"]}}}')
def test_any_state_is_taken_or_refused(path: Path, data: bytes) -> None:
    """A broken state file must be told in one line, and what is taken must come out again as it went in."""
    path.write_bytes(data)
    try:
        bookmarks = read_bookmarks(str(path))
    except StateError as error:
        assert_one_line(error)
        return

    parse_events_bookmark(bookmarks.get("events"))
    assert {"type": "STATE", "value": {"bookmarks": bookmarks}} == json.loads(
        written(bookmarks), parse_constant=no_constant
    )


@pytest.mark.parametrize("depth", [100, 900, 950, 970, 980, 985, 990, 995, 1000, 5000])
@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}")])
def test_a_state_of_any_depth_is_taken_or_refused(path: Path, depth: int, opening: str, closing: str) -> None:
    """A bookmark that could be read and not be written again would end the run at its very end."""
    path.write_text('{"bookmarks":{"users":%s1%s}}' % (opening * depth, closing * depth), "utf-8")
    try:
        bookmarks = read_bookmarks(str(path))
    except StateError as error:
        assert_one_line(error)
        return

    def far_down(frames: int) -> bytes:
        return far_down(frames - 1) if frames else written(bookmarks) + repr(bookmarks).encode()

    assert far_down(30)  # a sync writes from further down than this test does


def written(bookmarks: dict[str, Any]) -> bytes:
    """Return the STATE message that a run ends with."""
    with tempfile.TemporaryFile() as file:
        MessageWriter(file.fileno(), Stop()).state({"bookmarks": bookmarks})
        file.seek(0)
        return file.read()


@given(data=hostile_json(GOOD_CATALOG))
def test_any_catalog_is_taken_or_refused(path: Path, data: bytes) -> None:
    """A broken catalog must be told in one line, and one that is taken selects only what there is."""
    path.write_bytes(data)
    try:
        selected = select(STREAMS, read_catalog(str(path)))
    except CatalogError as error:
        assert_one_line(error)
        return

    for stream, selection in selected:
        assert {"EventStart", "event_id"} <= set(selection.columns) <= set(stream.schema["properties"])
        for line in selection.warnings:
            assert len(line) <= LONGEST_LINE


@given(data=hostile_json(GOOD_CONFIG))
@example(data=b'{"http_headers":{"%b":null}}' % (b"x" * 5000))
def test_any_config_is_taken_or_refused(path: Path, data: bytes) -> None:
    """A broken config file must be told in one line that does not hold the key."""
    path.write_bytes(data)
    try:
        settings = config.read_settings([str(path)], {})
        for line in config.unknown_settings(settings):
            assert len(line) <= LONGEST_LINE
        config.parse_config(settings, {})
    except ConfigError as error:
        assert_one_line(error, secret="na1.made-up")


GOOD_PAGE = {
    "exports": [{"Id": 170000640048, "Start": 1700006400, "Stop": 1700092800}, {"id": "5", "start": "1", "stop": "2"}]
}


@given(answer=altered(GOOD_PAGE))
@example(answer={"exports": [{"Id": 1, "Start": 0, "Stop": 2**63 - 1}]})
@example(answer={"exports": [{"Id": 1, "Start": 253_402_300_799, "Stop": 253_402_300_800}]})
def test_any_list_of_bundles_is_read_or_refused(answer: Any) -> None:
    """A list with a moment beyond all calendars must end as an answer that is not as documented."""
    bookmark = EventsBookmark(since=0, until=0)
    try:
        page = data_export._parse_page(answer)
    except ResponseError as error:
        assert_one_line(error)
        return

    for one in page:
        assert data_export._announcement(bookmark, [one], None, more=False)
        assert bookmark.after(one).to_json()
        assert str(data_export._broken(one, "is damaged"))


@given(text=st.text(st.characters(), max_size=40))
def test_any_text_is_one_line_in_the_log(text: str) -> None:
    """What a server or a visitor writes must neither make a line of its own nor steer the terminal."""
    assert as_logged(text).isprintable()
