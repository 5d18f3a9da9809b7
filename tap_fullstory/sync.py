"""The loop from streams to messages, in the right order; it exists once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tap_fullstory.messages import MessageWriter
from tap_fullstory.records import Records
from tap_fullstory.state import Checkpoint
from tap_fullstory.streams import Run, Selection, Stream

CHECKPOINT_INTERVAL = 60.0  # seconds


def sync(
    selected: Sequence[tuple[Stream, Selection]], bookmarks: dict[str, Any], run: Run, writer: MessageWriter
) -> None:
    """Sync the selected streams one after the other; *bookmarks* of others are kept as they are."""
    states = StateWriter(writer, bookmarks)
    for stream, selection in selected:  # all of them first: a stream may bring records of another one along
        writer.schema(stream, selection)
    for stream, selection in selected:
        sync_stream(stream, selection, states, run, writer)
    states.write_last()


def sync_stream(stream: Stream, selection: Selection, states: StateWriter, run: Run, writer: MessageWriter) -> None:
    """Write the records of a stream, and a STATE wherever one is due."""
    for item in stream.extract(run, states.bookmarks.get(stream.name), selection):
        if isinstance(item, Records):
            if states.events + item.events > run.config.checkpoint_records:
                states.write_pending()
            name = item.stream or stream.name
            writer.records(name, item)
            states.events += item.events
            run.report.records += item.count
            run.metrics.count_records(name, item.count)
        else:
            states.pend(stream.name, item)
            if item.due or run.stop.asked or states.age >= CHECKPOINT_INTERVAL:
                states.write_pending()
            run.stop.check()
        if run.progress:
            run.progress.update()


class StateWriter:
    """Holds the newest safe bookmarks back until they must be written.

    Attributes:
        bookmarks: of all streams; what is pending included.
        events: events written since the last STATE.
    """

    def __init__(self, writer: MessageWriter, bookmarks: dict[str, Any]) -> None:
        self._writer = writer
        self._pending = False
        self._written: str | None = None
        self._at = time.monotonic()
        self.bookmarks = dict(bookmarks)
        self.events = 0

    @property
    def age(self) -> float:
        """Seconds since the last STATE."""
        return time.monotonic() - self._at

    def pend(self, stream: str, checkpoint: Checkpoint) -> None:
        """Take a bookmark that may be written from now on, until more records are."""
        for name in (stream, *checkpoint.also):
            self.bookmarks[name] = checkpoint.bookmark
        self._pending = True

    def write_pending(self) -> None:
        """Write the STATE, unless it is the last one once more."""
        if not self._pending:
            return
        self._pending = False
        text = repr(self.bookmarks)
        if text != self._written:
            self._writer.state({"bookmarks": self.bookmarks})
        self._written = text
        self._at = time.monotonic()
        self.events = 0

    def write_last(self) -> None:
        """Write the STATE at the end of a run, if none has been written."""
        if self._written is None:
            self._pending = True
            self.write_pending()
