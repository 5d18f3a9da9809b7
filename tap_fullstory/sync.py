"""The loop from streams to messages, in the right order; it exists once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tap_fullstory.records import Records
from tap_fullstory.state import Checkpoint
from tap_fullstory.streams import Run, Selection, Stream

CHECKPOINT_INTERVAL = 60.0  # seconds


class Writer(Protocol):
    """Where records and states go.

    Attributes:
        inside_bundles: whether a STATE between two events of a bundle is worth what it costs, though none is needed.
    """

    inside_bundles: bool

    def schema(self, stream: Stream, selection: Selection) -> None:
        """Take note of a stream with the selected columns, before its first record."""

    def records(self, stream: str, records: Records) -> None:
        """Write a run of records of the stream of that name."""

    def state(self, value: Mapping[str, Any]) -> None:
        """Write the STATE, behind all records written so far."""


def sync(selected: Sequence[tuple[Stream, Selection]], bookmarks: dict[str, Any], run: Run, writer: Writer) -> None:
    """Sync the selected streams one after the other; *bookmarks* of others are kept as they are."""
    states = StateWriter(writer, bookmarks)
    for stream, selection in selected:  # all of them first: a stream may bring records of another one along
        writer.schema(stream, selection)
    for number, (stream, selection) in enumerate(selected):
        if run.report.ended_early or (number and run.is_over):
            run.report.ended_early = True
            break
        sync_stream(stream, selection, states, run, writer)
    states.write_last()


def sync_stream(stream: Stream, selection: Selection, states: StateWriter, run: Run, writer: Writer) -> None:
    """Write the records of a stream, and a STATE wherever one is due."""
    items = stream.extract(run, states.bookmarks.get(stream.name), selection)
    for item in items:
        if isinstance(item, Records):
            if writer.inside_bundles and states.events + item.events > run.config.checkpoint_records:
                states.write_pending()
            name = item.stream or stream.name
            writer.records(name, item)
            states.events += item.events
            run.report.records += item.count
            run.metrics.count_records(name, item.count)
        else:
            states.pend(stream.name, item)
            at_leisure = writer.inside_bundles and states.age >= CHECKPOINT_INTERVAL
            if item.due or run.stop.asked or run.is_over or at_leisure:
                states.write_pending()
            run.stop.check()
            if run.is_over and not item.last:
                run.report.ended_early = True
                items.close()  # what it has begun stays where the next run finds it
                return
        if run.progress:
            run.progress.update()


class StateWriter:
    """Holds the newest safe bookmarks back until they must be written.

    Attributes:
        bookmarks: of all streams; what is pending included.
        events: events written since the last STATE.
    """

    def __init__(self, writer: Writer, bookmarks: dict[str, Any]) -> None:
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
