"""Processes that make records of events and write them into files: one for each core, as Python uses one core alone.

They are forked before this process has any threads, so they start at once and know all settings. What they are given
comes through pipes; when these close, because this process has ended however it may, they end too.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tap_fullstory.bundles import BEGINNING, Chunk
from tap_fullstory.columns import ColumnReader
from tap_fullstory.encoders import Encoder, TableEncoder, Written, encoder_of
from tap_fullstory.errors import ConfigError, TransientError
from tap_fullstory.layout import Layout
from tap_fullstory.records import EventReader, Window
from tap_fullstory.report import Report

AT_ONCE = 1024 * 1024  # bytes of text, or of events that become columns, that are encoded at once
MOST_WORKERS = 4  # what one process reads and cuts keeps so many busy
LEAVE = 5.0  # seconds in which a worker has to end
SIGNALS = (signal.SIGINT, signal.SIGTERM)  # our parent decides what they mean; Ctrl-C comes to all


@dataclass(frozen=True)
class Task:
    """A file to write.

    Attributes:
        path: of the file, which is there.
        properties: of the schema: its columns.
        bundle_id, window: what the events are read as; see `EventReader`.
    """

    path: Path
    properties: Mapping[str, Any]
    bundle_id: int
    window: Window


class Worker:
    """A process that writes one file after the other.

    Args:
        others: workers that were started before.

    Attributes:
        pid: its process id.
    """

    def __init__(self, layout: Layout, form: str, others: list[Worker]) -> None:
        context = multiprocessing.get_context("fork")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, [*others, self], layout, form), daemon=True)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a worker ignores them; they may come before that
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.pid = self._process.pid or 0

    def close(self) -> None:
        """End the process, whatever it does."""
        self.connection.close()
        self._process.join(LEAVE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


class RemoteEncoder:
    """A file that a worker writes; see `encoders.Encoder`."""

    def __init__(self, worker: Worker, task: Task) -> None:
        self._connection = worker.connection
        with _alive():
            self._connection.send(task)

    def write(self, runs: Sequence[bytes]) -> None:
        """Append the records of events, each run of them a JSON array."""
        with _alive():
            for events in runs:
                self._connection.send_bytes(events)

    def finish(self) -> Written:
        """Write what is left; raises what went wrong on the way."""
        with _alive():
            self._connection.send_bytes(b"")
            answer = self._connection.recv()
        if isinstance(answer, BaseException):
            raise answer
        assert isinstance(answer, Written)
        return answer

    def close(self) -> None:
        """Nothing: the worker lets go of the file when it ends."""


@contextmanager
def _alive() -> Iterator[None]:
    """Make our error of a worker that is not there any more."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise TransientError(
            "A process that writes files has ended before its time; was there too little memory?",
            "Run again with the last state; nothing written so far is lost.",
        ) from error


def start(form: str, layout: Layout) -> list[Worker]:
    """Return a worker for each core; call it while this process has one thread.

    Args:
        form: of the files, one of `encoders.FORMATS`.
        layout: of the events.
    """
    workers: list[Worker] = []
    for _ in range(max(1, min(MOST_WORKERS, len(os.sched_getaffinity(0))))):
        workers.append(Worker(layout, form, workers))
    return workers


def _work(connection: Connection, parents: list[Worker], layout: Layout, form: str) -> None:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    for parent in parents:  # or the pipe would stay open when our parent has gone
        parent.connection.close()
    with suppress(ConfigError):  # it is raised again by the first file
        encoder_of(form)  # what it imports is there before the first events are
    try:
        while True:
            connection.send(_answer(connection, connection.recv(), layout, form))
    except (EOFError, ConnectionError):
        os._exit(0)


def _answer(connection: Connection, task: Task, layout: Layout, form: str) -> Written | BaseException:
    """Write a file; return what is in it, or what went wrong."""
    report = Report()
    rows = 0
    more = True
    try:
        encoder = encoder_of(form)(task.path, task.properties, report)
        with closing(encoder):
            records = _on_their_way(encoder, layout, task, report)
            while more:
                events = connection.recv_bytes()
                more = bool(events)
                if more:
                    rows += records.add(events)
            records.give()
            encoder.finish()
    except (EOFError, ConnectionError):
        raise
    except BaseException as error:
        while more and connection.recv_bytes():
            pass
        return error
    return Written(rows, report)


def _on_their_way(encoder: Encoder, layout: Layout, task: Task, report: Report) -> _Lines | _Columns:
    if isinstance(encoder, TableEncoder):
        return _Columns(encoder, layout, task, report)
    return _Lines(encoder, layout, task, report)


class _Lines:
    """The records of events on their way into a file, some at a time, as text."""

    def __init__(self, encoder: Encoder, layout: Layout, task: Task, report: Report) -> None:
        self._encoder = encoder
        self._reader = EventReader(layout, task.bundle_id, task.window, report)
        self._lines: list[bytes] = []
        self._size = 0

    def add(self, events: bytes) -> int:
        """Take events, a JSON array; return how many records they are."""
        records = self._reader.from_events(Chunk(events, 0, BEGINNING), "")
        self._lines.append(records.lines)
        self._size += len(records.lines)
        if self._size >= AT_ONCE:
            self.give()
        return records.count

    def give(self) -> None:
        """Write what has come so far."""
        self._encoder.write(self._lines)
        self._lines, self._size = [], 0


class _Columns:
    """The same as columns."""

    def __init__(self, encoder: TableEncoder, layout: Layout, task: Task, report: Report) -> None:
        self._encoder = encoder
        self._reader = ColumnReader(layout, task.bundle_id, task.window, report)
        self._size = 0

    def add(self, events: bytes) -> int:
        """Take events, a JSON array; return how many records they are."""
        count = self._reader.from_events(Chunk(events, 0, BEGINNING), "").count
        self._size += len(events)
        if self._size >= AT_ONCE:
            self.give()
        return count

    def give(self) -> None:
        """Write what has come so far."""
        self._encoder.write_columns(self._reader.take())
        self._size = 0
