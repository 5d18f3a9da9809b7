"""SCHEMA, RECORD, BATCH and STATE messages; the only code that writes to stdout."""

from __future__ import annotations

import fcntl
import json
import os
import select
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from singer.messages import SchemaMessage, StateMessage

from tap_fullstory.errors import SpoolError, TargetClosed
from tap_fullstory.records import Records
from tap_fullstory.signals import Stop
from tap_fullstory.streams import Selection, Stream

PIPE_SIZE = 1024 * 1024  # bytes; Linux lets everybody ask for so much, and it saves a third of the time
BATCH_ENCODING = {"format": "jsonl", "compression": "gzip"}  # of the files that BATCH messages name
WRITE_SIZE = 128 * 1024  # bytes at once, so that a signal is seen between two writes
F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", None)


class MessageWriter:
    """Writes messages to a file descriptor, one JSON document a line.

    Raises from every method:
        TargetClosed: nobody reads any more.
        Stopped: a signal came, and the target is too slow to take the rest; what is written ends with a whole line.
        SpoolError: the descriptor cannot be written.
    """

    inside_bundles = True

    def __init__(self, descriptor: int, stop: Stop) -> None:
        self._descriptor = descriptor
        self._stop = stop
        if F_SETPIPE_SZ is not None:
            with suppress(OSError):  # no pipe, or a lower limit
                fcntl.fcntl(descriptor, F_SETPIPE_SZ, PIPE_SIZE)

    def schema(self, stream: Stream, selection: Selection) -> None:
        """Write the SCHEMA of a stream, with the selected columns."""
        properties = {name: stream.schema["properties"][name] for name in selection.columns}
        schema = {**stream.schema, "properties": properties}
        replication_key = [stream.replication_key] if stream.replication_key else []
        self._message(SchemaMessage(stream.name, schema, list(stream.key_properties), replication_key).asdict())

    def records(self, stream: str, records: Records) -> None:
        """Write a run of records of the stream of that name."""
        if not records.count:
            return
        head = b'{"type":"RECORD","stream":%b,"record":' % json.dumps(stream).encode()
        tail = b',"time_extracted":%b}\n' % json.dumps(records.time_extracted).encode()
        # A line break can stand only between two records: inside a JSON text it is escaped.
        messages = records.lines.replace(b"\n", tail + head)
        first = messages.find(b"\n") + 1
        self._write(head + messages[:first])
        self._write(messages, first, len(messages) - len(head))  # behind the last one stands a head too many

    def batch(self, stream: str, urls: list[str]) -> None:
        """Write a BATCH: files that hold records of the stream of that name."""
        self._message({"type": "BATCH", "stream": stream, "encoding": BATCH_ENCODING, "manifest": urls})

    def state(self, value: Mapping[str, Any]) -> None:
        """Write the STATE."""
        self._message(StateMessage(value).asdict())

    def _message(self, message: Mapping[str, Any]) -> None:
        try:
            text = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:  # half a surrogate pair, in a bookmark that is only kept: legal as an escape
            text = json.dumps(message, separators=(",", ":")).encode()
        self._write(text + b"\n")

    def _write(self, data: bytes, written: int = 0, stop: int | None = None) -> None:
        """Write whole lines: what stands from *written* up to *stop*."""
        view = memoryview(data)[:stop]
        begin = written
        while written < len(view):
            if self._stop.pressing and (written == begin or data[written - 1 : written] == b"\n"):
                self._stop.check()
            end = written + WRITE_SIZE
            if self._stop.pressing:
                end = data.find(b"\n", written) + 1
            try:
                written += os.write(self._descriptor, view[written:end])
            except BlockingIOError:  # somebody made the other end of stdout non-blocking
                select.select([], [self._descriptor], [], 1.0)
            except BrokenPipeError as error:
                self._stop.check()  # Ctrl-C in a terminal ends the target, too: then that is the reason
                raise TargetClosed from error
            except OSError as error:
                raise SpoolError(
                    f"stdout cannot be written ({error.strerror}). Run again with the last state that arrived."
                ) from error
