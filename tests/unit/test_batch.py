"""Files for BATCH messages: how many records each holds, and when there is none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.batch import BatchWriter
from tap_fullstory.config import BatchConfig
from tap_fullstory.errors import SpoolError, TargetClosed
from tap_fullstory.records import Records
from tap_fullstory.storage import Draft, Folder

TIME = "2024-01-01T00:00:00.123Z"


class Messages:
    """Keeps the messages; fails as told."""

    def __init__(self) -> None:
        self.written: list[Any] = []
        self.error: Exception | None = None

    def batch(self, stream: str, urls: list[str]) -> None:
        if self.error:
            raise self.error
        self.written.append((stream, *urls))

    def state(self, value: Any) -> None:
        self.written.append(value)


class Bucket:
    """Object storage in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, bytes] = {}
        self.error: Exception | None = None

    def url(self, name: str) -> str:
        return f"s3://bucket/100%20/{name}"

    def draft(self, _: str) -> Draft:
        return Draft(self.folder)

    def put(self, draft: Draft, name: str) -> None:
        with draft:
            self.objects[name] = draft.path.read_bytes()

    def remove(self, name: str) -> None:
        if self.error:
            raise self.error
        del self.objects[name]


def writer_of(messages: Messages, storage: Any, config: BatchConfig) -> BatchWriter:
    some: Any = messages
    return BatchWriter(some, storage, config)


def records(first: int, count: int) -> Records:
    lines = b"".join(b'{"a":%d}\n' % number for number in range(first, first + count))
    return Records(count, lines, count, TIME)


def write_some(messages: Messages, bucket: Bucket) -> None:
    with writer_of(messages, bucket, BatchConfig("s3://bucket")) as writer:
        writer.records("events", records(0, 3))
        writer.records("bundles", records(0, 3))
        writer.state({})


@pytest.mark.parametrize("runs", [[25], [1] * 25, [7, 18], [10, 10, 5], [0, 25, 0], [3, 22]])
def test_a_file_ends_where_it_is_full(tmp_path: Path, runs: list[int]) -> None:
    """A target holds a file in memory: it would be killed, or records would be missing where a file ends."""
    messages, bucket = Messages(), Bucket(tmp_path)

    first = 0
    with writer_of(messages, bucket, BatchConfig("s3://bucket", "x/", 10)) as writer:
        for count in runs:
            writer.records("events", records(first, count))
            first += count
        writer.state({"bookmarks": {}})

    *batches, state = messages.written
    found = [gzip.decompress(data).splitlines() for data in bucket.objects.values()]
    assert [10, 10, 5] == [*map(len, found)]
    assert [*range(25)] == [json.loads(line)["a"] for lines in found for line in lines]
    assert [("events", bucket.url(name)) for name in bucket.objects] == batches
    assert all(name.startswith("x/tap-fullstory--events-") for name in bucket.objects)
    assert {"bookmarks": {}} == state
    assert [] == [*tmp_path.iterdir()]


def test_streams_have_files_of_their_own(tmp_path: Path) -> None:
    """Records would arrive in the table of another stream."""
    messages, bucket = Messages(), Bucket(tmp_path)

    with writer_of(messages, bucket, BatchConfig("s3://bucket")) as writer:
        for stream, first in (("events", 0), ("bundles", 100), ("events", 2)):
            writer.records(stream, records(first, 2))
        writer.state({})

    assert ["events", "bundles", {}] == [one[0] if isinstance(one, tuple) else one for one in messages.written]
    assert [4, 2] == [gzip.decompress(data).count(b"\n") for data in bucket.objects.values()]


def test_what_is_not_announced_is_removed(tmp_path: Path) -> None:
    """Each target that goes away would leave files behind that nobody loads."""
    messages, bucket = Messages(), Bucket(tmp_path)
    messages.error = TargetClosed()

    with pytest.raises(TargetClosed):
        write_some(messages, bucket)

    assert ([], {}, []) == (messages.written, bucket.objects, [*tmp_path.iterdir()])


def test_why_a_run_ended_is_said_even_if_a_file_stays(tmp_path: Path) -> None:
    """The reason would be hidden behind a failure to clean up."""
    messages, bucket = Messages(), Bucket(tmp_path)
    messages.error, bucket.error = TargetClosed(), SpoolError("gone")

    with pytest.raises(TargetClosed):
        write_some(messages, bucket)

    assert 1 == len(bucket.objects)


def test_names_are_written_as_targets_read_them(tmp_path: Path) -> None:
    """A target on the Meltano SDK takes %20 for a part of the name, and would not find the file."""
    messages = Messages()
    folder = tmp_path / "a b%20é"

    with writer_of(messages, Folder(folder), BatchConfig(str(folder))) as writer:
        writer.records("events", records(0, 3))
        writer.state({})

    (_, url), _ = messages.written
    (path,) = folder.iterdir()
    assert f"file://{path}" == url


def test_two_runs_share_no_name(tmp_path: Path) -> None:
    """Two workers with one folder would overwrite each other's files."""
    names: set[str] = set()
    for _ in range(2):
        bucket = Bucket(tmp_path)
        with writer_of(Messages(), bucket, BatchConfig("s3://bucket", batch_size=1)) as writer:
            writer.records("events", records(0, 3))
        names |= bucket.objects.keys()

    assert 6 == len(names)
