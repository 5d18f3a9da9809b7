"""Messages arrive whole, one a line, whatever reads them."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tap_fullstory.errors import SpoolError, Stopped, TargetClosed
from tap_fullstory.messages import MessageWriter
from tap_fullstory.records import Records
from tap_fullstory.signals import Stop
from tap_fullstory.streams import Selection, Stream

TIME = "2024-01-01T00:00:00.123Z"
PROPERTIES = {"é": {"type": ["null", "string"]}, "b": {"type": ["null", "integer"]}}
STREAM = Stream(
    name='ev"ents',
    schema={"type": "object", "properties": PROPERTIES, "additionalProperties": False},
    key_properties=("b",),
    replication_method="INCREMENTAL",
    replication_key="é",
    extract=lambda run, bookmark, selection: iter(()),  # noqa: ARG005  # nobody calls it
)


class Pipe:
    """A pipe with somebody who reads all of it."""

    def __init__(self) -> None:
        self.source, self.sink = os.pipe()
        self.parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while part := os.read(self.source, 1 << 16):
            self.parts.append(part)

    def text(self) -> bytes:
        os.close(self.sink)
        self._reader.join(10)
        os.close(self.source)
        return b"".join(self.parts)


def written(write: Callable[[MessageWriter], None]) -> list[Any]:
    pipe = Pipe()
    write(MessageWriter(pipe.sink, Stop()))
    text = pipe.text()
    assert text.endswith(b"\n")
    return [json.loads(line) for line in text.split(b"\n")[:-1]]


def records(*lines: bytes) -> Records:
    return Records(len(lines), b"".join(line + b"\n" for line in lines), len(lines), TIME)


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes nothing more; its writing end does not block."""
    source, sink = os.pipe()
    os.set_blocking(sink, False)
    yield source, sink
    for descriptor in (source, sink):
        os.close(descriptor)


def test_each_record_is_a_message_of_its_own() -> None:
    """A target would refuse the stream, or load records without their time."""
    lines = [b'{"a":1}', b'{"a":"x\\n\\"},{"}', '{"a":"é\u2028"}'.encode(), b"{}"]

    messages = written(lambda writer: writer.records(STREAM.name, records(*lines)))

    assert [
        {"type": "RECORD", "stream": 'ev"ents', "record": json.loads(line), "time_extracted": TIME} for line in lines
    ] == messages


def test_no_records_are_no_message() -> None:
    """An empty line would end the target."""
    messages = written(lambda writer: (writer.records(STREAM.name, records()), writer.state({}))[1])

    assert [{"type": "STATE", "value": {}}] == messages


def test_schema_and_state_are_as_singer_has_them() -> None:
    """A target would refuse the stream, or keep a state that this tap cannot read."""
    value = {"bookmarks": {"events": {"done": [2**63 - 1], "partial": []}}}

    def write(writer: MessageWriter) -> None:
        writer.schema(STREAM, Selection(("é",)))
        writer.state(value)

    first, second = written(write)

    assert {
        "type": "SCHEMA",
        "stream": 'ev"ents',
        "schema": {"type": "object", "properties": {"é": PROPERTIES["é"]}, "additionalProperties": False},
        "key_properties": ["b"],
        "bookmark_properties": ["é"],
    } == first
    assert {"type": "STATE", "value": value} == second


def test_batch_is_as_the_meltano_sdk_has_it() -> None:
    """A target would refuse the message, or read the files in another way."""
    urls = ["file:///data/é 1.jsonl.gz", "s3://bucket/1"]

    messages = written(lambda writer: writer.batch(STREAM.name, urls))

    encoding = {"format": "jsonl", "compression": "gzip"}
    assert [{"type": "BATCH", "stream": 'ev"ents', "encoding": encoding, "manifest": urls}] == messages


def test_a_run_larger_than_any_pipe_arrives_whole() -> None:
    """A part of a line would be lost where the pipe is full."""
    lines = [b'{"a":"%b%d"}' % (b"x" * 10_000, number) for number in range(300)]

    messages = written(lambda writer: writer.records(STREAM.name, records(*lines)))

    assert [json.loads(line) for line in lines] == [message["record"] for message in messages]


def test_a_reader_that_has_gone_is_told() -> None:
    """The tap would end with a bug, or go on for nobody."""
    source, sink = os.pipe()
    os.close(source)
    try:
        with pytest.raises(TargetClosed):
            MessageWriter(sink, Stop()).state({})
    finally:
        os.close(sink)


def test_a_descriptor_that_cannot_be_written_is_told() -> None:
    """A full disk behind stdout would look like a bug."""
    source, sink = os.pipe()
    try:
        with pytest.raises(SpoolError, match="stdout"):
            MessageWriter(source, Stop()).state({})
    finally:
        os.close(source)
        os.close(sink)


def test_a_pipe_that_does_not_block_is_waited_for(full_pipe: tuple[int, int]) -> None:
    """Lines would be cut where another program made stdout non-blocking."""
    source, sink = full_pipe
    parts: list[bytes] = []
    line = b'{"a":"%b"}' % (b"x" * 3_000_000)

    def read() -> None:
        while sum(map(len, parts)) < len(line):
            parts.append(os.read(source, 1 << 16))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    MessageWriter(sink, Stop()).records(STREAM.name, records(line))
    reader.join(10)

    assert json.loads(line) == json.loads(b"".join(parts))["record"]


class Pressing(Stop):
    """A signal that came some time ago."""

    pressing = True

    def __init__(self) -> None:
        super().__init__()
        self._signum = 15


def test_a_pressing_signal_ends_on_a_line_boundary() -> None:
    """Half a line would be the last thing that a target gets."""
    pipe = Pipe()
    lines = [b'{"a":"%b"}' % (b"x" * 500_000)] * 3

    class AfterTheFirst(Pressing):
        looks = 0

        @property
        def pressing(self) -> bool:  # type: ignore[override]
            self.looks += 1
            return self.looks > 2

    with pytest.raises(Stopped) as caught:
        MessageWriter(pipe.sink, AfterTheFirst()).records(STREAM.name, records(*lines))

    text = pipe.text()
    assert 143 == caught.value.status
    assert text.endswith(b"\n")
    found = [json.loads(line)["record"] for line in text.splitlines()]
    assert 1 <= len(found) < 3
    assert json.loads(lines[0]) == found[0]


def test_nothing_begins_once_a_signal_is_pressing() -> None:
    """The tap would not end within its five seconds."""
    pipe = Pipe()

    with pytest.raises(Stopped):
        MessageWriter(pipe.sink, Pressing()).records(STREAM.name, records(b'{"a":1}'))

    assert b"" == pipe.text()
