"""The loop from streams to messages, in the right order; it exists once."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tap_fullstory import bundle_log
from tap_fullstory.errors import ForbiddenError
from tap_fullstory.logs import NAME
from tap_fullstory.records import Records
from tap_fullstory.report import Report, StreamCounts
from tap_fullstory.state import BEGUN, Checkpoint
from tap_fullstory.streams import Run, Selection, Stream

LOGGER = logging.getLogger(NAME)

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


def sync(
    selected: Sequence[tuple[Stream, Selection]],
    bookmarks: dict[str, Any],
    run: Run,
    writer: Writer,
    begun: str | None = None,
) -> None:
    """Sync the selected streams one after the other; *bookmarks* of others are kept as they are.

    Args:
        begun: the stream that an earlier run has begun and not finished, `currently_syncing` of the state; it is first.

    Raises:
        ForbiddenError: the key may not read a stream (403); the others are written.
    """
    states = StateWriter(writer, bookmarks, run.report, begun)
    run.report.streams |= {stream.name: StreamCounts() for stream, _ in selected}
    several = len({stream.name for stream, _ in selected} - {bundle_log.NAME}) > 1  # bundles come along with events
    for stream, selection in selected:  # all of them first: a stream may bring records of another one along
        writer.schema(stream, selection)
    refused: ForbiddenError | None = None
    in_turn = _in_turn(selected, begun)
    for number, (stream, selection) in enumerate(in_turn):
        if several and not run.report.ended_early:
            states.begun, states.following = stream.name, in_turn[(number + 1) % len(in_turn)][0].name
        if run.report.ended_early or (number and run.is_over):
            run.report.ended_early = True
            run.report.left_streams.append(stream.name)
            continue
        try:
            with run.report.syncing(stream.name) as counts:
                sync_stream(stream, selection, states, run, writer)
            counts.status = "begun" if run.report.ended_early else "finished"
        except ForbiddenError as error:
            counts.status = "refused"
            states.write_pending()
            refused = refused or error
            if several:
                LOGGER.error("%s: %s", stream.name, error)
    if not run.report.ended_early:
        states.begun = None
    states.write_last()
    if refused:
        raise refused


def _in_turn(selected: Sequence[tuple[Stream, Selection]], begun: str | None) -> Sequence[tuple[Stream, Selection]]:
    """Return the streams in the order in which they are synced: first the one that an earlier run has begun."""
    names = [stream.name for stream, _ in selected]
    at = names.index(begun) if begun in names else 0
    return [*selected[at:], *selected[:at]]


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
            run.report.written(name, item.count, item.origin.bundle_id if item.origin and not item.stream else None)
            run.metrics.count_records(name, item.count)
        else:
            states.pend(stream.name, item)
            is_cut = run.is_over and not item.last
            if item.failed or (is_cut and stream.replication_method == "FULL_TABLE"):
                states.begun = states.following  # or what fails, or starts over, each time would keep all else from it
            at_leisure = writer.inside_bundles and states.age >= CHECKPOINT_INTERVAL
            if item.due or run.stop.asked or is_cut or at_leisure:
                states.write_pending()
            run.stop.check()
            if is_cut:
                run.report.ended_early = True
                run.report.left_streams.append(stream.name)
                items.close()  # what it has begun stays where the next run finds it
                return
        run.tell()


class StateWriter:
    """Holds the newest safe bookmarks back until they must be written.

    Attributes:
        bookmarks: of all streams; what is pending included.
        begun: the stream that is being synced; None: there is only one, or none.
        following: the one whose turn is next, the first one behind the last.
        events: events written since the last STATE.
    """

    def __init__(self, writer: Writer, bookmarks: dict[str, Any], report: Report, begun: str | None = None) -> None:
        self._writer = writer
        self._report = report
        self._pending = False
        self._written: str | None = None
        self._at = time.monotonic()
        self._names_begun = begun is not None  # then until the end: who merges states would keep what is left out
        self.bookmarks = dict(bookmarks)
        self.begun = self.following = begun
        self.events = 0

    @property
    def age(self) -> float:
        """Seconds since the last STATE."""
        return time.monotonic() - self._at

    def pend(self, stream: str, checkpoint: Checkpoint) -> None:
        """Take a bookmark that may be written from now on, until more records are."""
        for name in (stream, *checkpoint.also):
            if checkpoint.bookmark is None:
                self.bookmarks.pop(name, None)
            else:
                self.bookmarks[name] = checkpoint.bookmark
        self._pending = True

    def write_pending(self) -> None:
        """Write the STATE, unless it is the last one once more."""
        if not self._pending:
            return
        self._pending = False
        self._names_begun = self._names_begun or self.begun is not None
        state = {"bookmarks": self.bookmarks, **({BEGUN: self.begun} if self._names_begun else {})}
        text = repr(state)
        if text != self._written:
            self._writer.state(state)
        self._report.state = {**state, "bookmarks": dict(self.bookmarks)}
        self._written = text
        self._at = time.monotonic()
        self.events = 0

    def write_last(self) -> None:
        """Write the STATE at the end of a run, unless it is the last one once more."""
        self._pending = True
        self.write_pending()
