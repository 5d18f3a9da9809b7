"""Records as files that the target itself loads, and BATCH messages that name them, in place of RECORD messages.

The shape of both is that of the Meltano SDK: https://sdk.meltano.com/en/latest/batch.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any
from urllib.parse import unquote
from uuid import uuid4

from tap_fullstory.config import BatchConfig
from tap_fullstory.encoders import GzipLines
from tap_fullstory.errors import SpoolError
from tap_fullstory.messages import MessageWriter
from tap_fullstory.records import Records
from tap_fullstory.report import Report
from tap_fullstory.storage import Draft, Storage, unwritable
from tap_fullstory.streams import Selection, Stream


class BatchWriter:
    """Writes SCHEMA, BATCH and STATE messages; see `sync.Writer`.

    A file is announced when it is whole, and before the STATE that covers its records. No two runs give a file the same
    name, so any number of them may write into one place. As a context manager it removes what is begun and not
    announced.

    Raises from every method:
        SpoolError: the place, or stdout, cannot be written.
        TargetClosed, Stopped: as `MessageWriter` does.
    """

    inside_bundles = True

    def __init__(self, messages: MessageWriter, storage: Storage, config: BatchConfig) -> None:
        self._messages = messages
        self._storage = storage
        self._config = config
        self._run = uuid4()
        self._number = 0
        self._files: dict[str, _File] = {}

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def schema(self, stream: Stream, selection: Selection) -> None:
        """Write the SCHEMA of a stream, with the selected columns."""
        self._messages.schema(stream, selection)

    def records(self, stream: str, records: Records) -> None:
        """Write a run of records into the file of their stream, and into the next ones if there are too many."""
        left, begin = records.count, 0
        while left:
            file = self._files.get(stream) or self._begin(stream)
            count = min(left, self._config.batch_size - file.count)
            end = len(records.lines) if count == left else _end(records.lines, begin, count)
            file.write(records.lines[begin:end], count)
            left, begin = left - count, end
            if file.count == self._config.batch_size:
                self._finish(stream)

    def state(self, value: Mapping[str, Any]) -> None:
        """Announce what the STATE covers, and write it."""
        for stream in list(self._files):
            self._finish(stream)
        self._messages.state(value)

    def _begin(self, stream: str) -> _File:
        self._number += 1
        name = f"{self._config.prefix}tap-fullstory--{stream}-{self._run}-{self._number:06d}.jsonl.gz"
        file = self._files[stream] = _File(name, self._storage.draft(name))
        return file

    def _finish(self, stream: str) -> None:
        """Give a file its name, and announce it."""
        file = self._files[stream]
        file.finish()
        self._storage.put(file.draft, file.name)
        self._files.pop(stream).close()
        try:
            self._messages.batch(stream, [_readable(self._storage.url(file.name))])
        except BaseException:  # nobody knows of it: it would lie there for ever
            with suppress(SpoolError):
                self._storage.remove(file.name)
            raise


class _File:
    """One file on its way."""

    def __init__(self, name: str, draft: Draft) -> None:
        self.name = name
        self.draft = draft
        self.count = 0
        self._encoder = GzipLines(draft.path, {}, Report())

    def write(self, lines: bytes, count: int) -> None:
        """Append records."""
        self._try(lambda: self._encoder.write([lines]))
        self.count += count

    def finish(self) -> None:
        """Write what is left."""
        self._try(self._encoder.finish)

    def close(self) -> None:
        """Let go of it; what has no name by now is gone."""
        self._encoder.close()
        self.draft.close()

    def _try(self, do: Callable[[], None]) -> None:
        try:
            do()
        except OSError as error:
            raise unwritable(self.draft, error) from error


def _readable(url: str) -> str:
    """Return the URL of a file in the form in which targets read it: they take `%20` for a part of its name."""
    return unquote(url) if url.startswith("file://") else url


def _end(lines: bytes, begin: int, count: int) -> int:
    """Return where so many lines end."""
    for _ in range(count):
        begin = lines.index(b"\n", begin) + 1
    return begin
