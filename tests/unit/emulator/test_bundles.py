"""The text of bundles: as written, streamed, prepared."""

from __future__ import annotations

import gzip
import json
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from fullstory_emulator import Bundle, Emulator, Prepared, bundle_id
from fullstory_emulator.bundles import Encoded

START, STOP = 1_700_006_400, 1_700_092_800


def mixed() -> Iterator[Encoded]:
    yield b'{"n":1},\n{"n":2}'
    yield {"n": 2**63 - 1}


def text_of(bundle: Bundle) -> bytes:
    return b"".join(bundle.read_text())


def test_the_id_tells_start_and_length_in_half_hours() -> None:
    """Ids look as those seen in practice."""
    assert 156_314_880_048 == bundle_id(1_563_148_800, 1_563_148_800 + 86400)
    assert 170_000_640_048 == Bundle(START, STOP).id
    assert 7 == Bundle(START, STOP, id=7).id


@pytest.mark.parametrize(
    ("bundle", "text"),
    [
        (Bundle(0, 1800), b"[]\n"),
        (Bundle(0, 1800, [{"a": 1}]), b'[{"a":1}]\n'),
        (Bundle(0, 1800, [{"a": 1}, {"b": "é"}]), '[{"a":1},\n{"b":"é"}]\n'.encode()),
        (Bundle(0, 1800, [{"a": 1}, b'{"b":2}'], separator=b" , ", closing=b"]"), b'[{"a":1} , {"b":2}]'),
        (Bundle(0, 1800, mixed), b'[{"n":1},\n{"n":2},\n{"n":9223372036854775807}]\n'),
        (Bundle(0, 1800, [{"a": "\ud800\x00"}]), b'[{"a":"\\ud800\\u0000"}]\n'),
        (Bundle(0, 1800, [{"a": 1}], raw=b"[nonsense"), b"[nonsense"),
    ],
)
def test_events_are_written_as_fullstory_does(bundle: Bundle, text: bytes) -> None:
    """One event a line, compact, as it is; hostile text exactly as given."""
    assert text == text_of(bundle)


def test_the_truth_is_what_is_served() -> None:
    """`events()` and a download must agree for every kind of bundle, in the order of the list."""
    block = b'{"n":4},\n{"n":5}'
    bundles = [
        Bundle(START + 1800, START + 3600, mixed),
        Bundle(START, START + 1800, [{"n": 0}]),
        Bundle(START + 3600, START + 5400, raw=b' [ {"n" : 3} ] '),
        Bundle(START + 5400, START + 7200, source=Prepared(block, 2)),
    ]
    served: list[Any] = []
    with Emulator(bundles=bundles, encoding="plain") as emulator:
        for bundle in emulator.listed():
            served += get(emulator, bundle).json()
        assert served == list(emulator.events())
    assert [0, 1, 2, 2**63 - 1, 3, 4, 5, 4, 5] == [event["n"] for event in served]


def get(emulator: Emulator, bundle: Bundle) -> requests.Response:
    headers = {"Authorization": f"Basic {emulator.api_key}"}
    return requests.get(f"{emulator.url}/api/v1/export/get?id={bundle.id}", headers=headers, stream=True, timeout=10)


@pytest.mark.parametrize("repeat", [0, 1, 2, 3, 1000])
def test_a_prepared_bundle_is_one_correct_gzip_file(repeat: int) -> None:
    """Repeating a compressed block saves the work, not the checksum, and the lengths are known."""
    source = Prepared(b",\n".join(b'{"n":%d}' % n for n in range(100)), repeat)

    packed = b"".join(source.read_gzip())
    text = b"".join(source.read_text())

    assert source.gzip_length == len(packed)
    assert source.length == len(text)
    assert text == gzip.decompress(packed)
    assert 100 * repeat == len(json.loads(text))


def test_a_prepared_bundle_may_be_larger_than_4_gib() -> None:
    """Its lengths are whole numbers of any size; only gzip's own field begins anew after 2^32."""
    source = Prepared(b'{"text":"%b"}' % (b"fruit " * 200_000), 5000)
    assert 6_000_000_000 < source.length
    size = 0
    end = b""
    for piece in source.read_gzip():
        size += len(piece)
        end = piece
    assert source.gzip_length == size
    assert (source.length % 2**32).to_bytes(4, "little") == end[-4:]


@pytest.mark.parametrize("encoding", ["file", "transport", "plain", "double"])
def test_a_prepared_bundle_comes_in_every_encoding(encoding: Any) -> None:
    """For measuring, too, a client may be told to unpack differently."""
    bundle = Bundle(START, STOP, source=Prepared(b'{"n":1}', 50))
    with Emulator(bundles=[bundle], encoding=encoding) as emulator, get(emulator, bundle) as response:
        assert ("Content-Length" in response.headers) or encoding == "double"
        body = response.content  # undoes Content-Encoding
        assert [{"n": 1}] * 50 == json.loads(gzip.decompress(body) if encoding in ("file", "double") else body)


def test_a_streamed_bundle_is_never_held_in_memory() -> None:
    """300 MB pass through an emulator that holds a few."""
    event = b'{"text":"%b"}' % (b"x" * 1_000_000)
    bundle = Bundle(START, STOP, lambda: (event for _ in range(300)))
    with Emulator(bundles=[bundle], encoding="plain") as emulator:
        tracemalloc.start()
        with get(emulator, bundle) as response:
            assert "chunked" == response.headers["Transfer-Encoding"]
            size = sum(len(part) for part in response.iter_content(65536))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert size > 300_000_000
    assert peak < 40_000_000


def test_a_slow_client_slows_the_making_of_a_bundle() -> None:
    """What the client does not take is not made in advance."""
    made = 0

    def events() -> Iterator[bytes]:
        nonlocal made
        for _ in range(300):
            made += 1
            yield b'{"text":"%b"}' % (b"x" * 1_000_000)

    bundle = Bundle(START, STOP, events)
    with Emulator(bundles=[bundle], encoding="plain") as emulator, get(emulator, bundle) as response:
        assert b"[" == response.raw.read(1)
        time.sleep(0.3)
        assert 0 < made < 100
