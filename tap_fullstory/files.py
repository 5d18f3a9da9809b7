"""Records as files for a warehouse to load: a file for each bundle, or several, then their manifest, then the state.

A file is named after its bundle and the part of it that it holds, so what is written once more, after a crash or on
purpose, takes the place of what was there.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import Queue
from types import TracebackType
from typing import Any

from tap_fullstory import __version__
from tap_fullstory.encoders import FORMATS, Encoder, Written, encoder_of
from tap_fullstory.errors import SpoolError
from tap_fullstory.metrics import Metrics
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.records import NO_BUNDLE, Origin, Records
from tap_fullstory.report import Report
from tap_fullstory.storage import Draft, Storage, remove_left, unwritable, write_atomically
from tap_fullstory.streams import Selection, Stream
from tap_fullstory.workers import RemoteEncoder, Task, Worker

MANIFESTS = "_manifests"
LARGEST_FILE = 1024 * 1024 * 1024  # bytes of what a file is made of, as text: then the next one begins
LINES_SIZE = 1024 * 1024  # bytes that are given on at once
WAITING = 8  # such runs that may wait to be written; with fewer a worker often waits while another has its turn
TURN_SIZE = 8 * 1024 * 1024  # bytes of events for one worker, then for the next: smaller bundles are one file
_FILE = re.compile(r"(?P<start>[^/]+/\d{8}T\d{6}Z-\d+)(?:-(?P<part>[^/]+))?-\d{4,}\.(?:parquet|csv\.gz|jsonl\.gz)")
_STEM = re.compile(r"\d{8}T\d{6}Z-\d+")
_BEHIND = re.compile(r"(?:(?P<of>.+)-)?behind_(?P<events>\d+)")


class FileWriter:
    """Writes records into files of a place; see `sync.Writer`.

    As a context manager it removes what is begun and not finished.

    Args:
        form: one of `encoders.FORMATS`.
        state_path: where the state goes once what it covers is written; None: nowhere but into `result`.
        metrics: counts records, too.
        workers: who makes records of events; none: they come as records.

    Attributes:
        result: what has been written, for the one document that the command prints.

    Raises from every method:
        SpoolError: the place, or the folder of the state, cannot be written.
    """

    inside_bundles = False

    def __init__(
        self,
        storage: Storage,
        form: str,
        state_path: Path | None,
        report: Report,
        *,
        metrics: Metrics | None = None,
        workers: Sequence[Worker] = (),
    ) -> None:
        self._storage = storage
        self._names = _Names(storage)
        self._form = form
        self._state_path = state_path
        self._report = report
        self._metrics = metrics or Metrics()
        self._workers = workers
        self._properties: dict[str, dict[str, Any]] = {}
        self._parts: dict[tuple[str, int], _Part] = {}
        self._origin: dict[str, Origin] = {}  # of what is open
        self._number: dict[str, int] = {}  # of the next file of that
        self._lane = self._given = 0  # the worker whose turn it is, and how many bytes it has been given in it
        self._origins: dict[tuple[str, Origin], None] = {}
        self._files: list[dict[str, Any]] = []
        self._last: set[tuple[str, Origin]] = set()
        self.result: dict[str, Any] = {"manifests": [], "files": 0, "rows": 0, "bytes": 0, "state": None}
        if state_path:
            _check_state(state_path)

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for part in self._parts.values():
            part.abandon()
        for worker in self._workers:
            worker.close()

    def schema(self, stream: Stream, selection: Selection) -> None:
        """Take note of the selected columns of a stream."""
        self._properties[stream.name] = {name: stream.schema["properties"][name] for name in selection.columns}

    def records(self, stream: str, records: Records) -> None:
        """Write a run of records into a file of their bundle; of events, the records that are made of them."""
        assert records.origin
        origin = (stream, records.origin)
        assert origin not in self._last, "a state within a bundle is the last one: its files are closed"
        self._origins[origin] = None
        if records.void:
            self._take_back(*origin)
        if not records.lines:
            return
        if self._origin.get(stream) != records.origin:
            self._finish(stream)
            self._origin[stream] = records.origin
            self._number[stream] = self._lane = self._given = 0
        lane = self._next_lane(records)
        part = self._parts.get((stream, lane))
        if part and part.is_full:
            self._finish_part(stream, lane)
            part = None
        if part is None:
            part = self._parts[stream, lane] = self._begin(stream, lane, records)
        part.write(records)

    def _next_lane(self, records: Records) -> int:
        """Return which worker is to have this; each has a turn of so much, whatever it does meanwhile."""
        if records.window is None:
            return 0
        turn = TURN_SIZE if len(self._parts) < len(self._workers) else LINES_SIZE
        if self._given >= turn:
            self._lane, self._given = (self._lane + 1) % len(self._workers), 0
        self._given += len(records.lines)
        return self._lane

    def _begin(self, stream: str, lane: int, records: Records) -> _Part:
        """Return a new file for records like these."""
        assert records.origin
        name = f"{stream}/{_named(records.origin)}-{self._number[stream]:04d}.{FORMATS[self._form]}"
        self._number[stream] += 1
        draft, properties = self._storage.draft(name), self._properties[stream]
        try:
            if records.window is None:
                return _Part(name, draft, encoder_of(self._form)(draft.path, properties, self._report))
            task = Task(draft.path, properties, records.origin.bundle_id, records.window)
            return _Part(name, draft, RemoteEncoder(self._workers[lane], task))
        except OSError as error:
            draft.close()
            raise unwritable(draft, error) from error

    def _finish(self, stream: str) -> None:
        """Finish what is open of a stream."""
        for lane in [lane for name, lane in self._parts if name == stream]:
            self._finish_part(stream, lane)

    def _finish_part(self, stream: str, lane: int) -> None:
        """Write the rest of a file, and give it its name."""
        part = self._parts[stream, lane]
        written, size = part.finish()
        self._report.add(written.report)
        made = written.rows - part.rows  # by a worker, so nobody has counted them yet
        self._report.written(stream, made, self._origin[stream].bundle_id)
        self._metrics.count_records(stream, made)
        if written.rows:
            self._storage.put(part.draft, part.name)
            self._names.add(part.name)
            entry = {"path": part.name, "url": self._storage.url(part.name), "stream": stream}
            self._files.append({**entry, "rows": written.rows, "bytes": size})
        part.draft.close()
        del self._parts[stream, lane]

    def _take_back(self, stream: str, origin: Origin) -> None:
        """Remove what has been written of a bundle, the open one, since it began."""
        for lane in [lane for name, lane in self._parts if name == stream]:
            part = self._parts.pop((stream, lane))
            part.finish()  # its worker has to come to an end of it
            part.draft.close()
        self._origin.pop(stream, None)
        begin = f"{stream}/{_named(origin)}-"
        for one in self._files:
            if one["path"].startswith(begin):
                self._remove(one["path"])
                self._report.written(stream, -one["rows"], origin.bundle_id)
        self._files = [one for one in self._files if not one["path"].startswith(begin)]

    def state(self, value: Mapping[str, Any]) -> None:
        """Finish all files, write their manifest, and then the state."""
        for stream in self._properties:
            self._finish(stream)
        self._write_manifests()
        self.result["state"] = value
        if self._state_path:
            _write_state(self._state_path, value)

    def _write_manifests(self) -> None:
        """Write a manifest for each bundle of which files were written since the last state.

        What earlier runs have written of the same events goes.
        """
        named: dict[str, str] = {}
        for _, origin in self._origins:
            named.setdefault(_stem(origin), _named(origin))
        for stem, name in named.items():
            self._write_manifest(stem, f"{MANIFESTS}/{name}.json")
        for stream, stem in dict.fromkeys((stream, _stem(origin)) for stream, origin in self._origins):
            for path in self._names.of(stream, stem):
                if self._is_replaced(path):
                    self._remove(path)
        self._files, self._last, self._origins = [], {*self._origins}, {}

    def _write_manifest(self, stem: str, name: str) -> None:
        """Write the manifest of a bundle, and take out of earlier ones what is not there any more."""
        mine = [one for one in self._files if one["path"].partition("/")[2].startswith(f"{stem}-")]
        new = {one["path"] for one in mine}
        files, outdated = mine, {}
        for other in self._names.of(MANIFESTS, stem):
            manifest = _parsed(self._storage.read(other))
            left = [one for one in manifest["files"] if one["path"] not in new and not self._is_replaced(one["path"])]
            if other == name:
                files = mine + left
            elif left != manifest["files"]:
                outdated[other] = {**manifest, **_files_of(left)}
        bundle_id = int(stem.rpartition("-")[2])
        ids = [bundle_id] if bundle_id != NO_BUNDLE else []
        manifest = {"format": self._form, **_files_of(files), "bundle_ids": ids, "tap_version": __version__}
        for one, content in {name: manifest, **outdated}.items():
            if content["files"]:
                self._storage.write(one, json.dumps(content, indent=1).encode() + b"\n")
                self._names.add(one)
            else:
                self._remove(one)
        if mine:
            self.result["manifests"].append(self._storage.url(name))
        written = _files_of(mine)
        self.result["files"] += len(mine)
        self.result["rows"] += written["rows"]
        self.result["bytes"] += written["bytes"]

    def _remove(self, name: str) -> None:
        self._storage.remove(name)
        self._names.discard(name)

    def _is_replaced(self, path: str) -> bool:
        """Return whether a file of an earlier run holds only records that have been written once more since."""
        found = _FILE.fullmatch(path)
        if found is None or path in (one["path"] for one in self._files):
            return False
        return any(
            found["start"] == f"{stream}/{_stem(origin)}" and _covers(origin.part, found["part"] or "")
            for stream, origin in self._origins
        )


class _Names:
    """The names of files in a place, by bundle.

    Each folder is listed once: what others write there meanwhile is of other bundles, and to list thousands of files
    for each bundle would take longer than all else.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._folders: dict[str, dict[str, set[str]]] = {}

    def of(self, folder: str, stem: str) -> list[str]:
        """Return the names of the files of a bundle in a folder."""
        if folder not in self._folders:
            self._folders[folder] = {}
            for name in self._storage.names(f"{folder}/"):
                self.add(name)
        return sorted(self._folders[folder].get(stem, ()))

    def add(self, name: str) -> None:
        """Take note of a file."""
        folder, stem = _folder_and_stem(name)
        if folder in self._folders:
            self._folders[folder].setdefault(stem, set()).add(name)

    def discard(self, name: str) -> None:
        """Take note that a file is gone."""
        folder, stem = _folder_and_stem(name)
        self._folders.get(folder, {}).get(stem, set()).discard(name)


def _folder_and_stem(name: str) -> tuple[str, str]:
    folder, _, file = name.partition("/")
    found = _STEM.match(file)
    return folder, found[0] if found else ""


class _Part:
    """One file on its way: what is given to it is encoded in a thread, while the next records are made.

    Attributes:
        rows: how many records it has been given.
    """

    def __init__(self, name: str, draft: Draft, encoder: Encoder) -> None:
        self.name = name
        self.draft = draft
        self.rows = 0
        self._encoder = encoder
        self._given = 0
        self._lines: list[bytes] = []
        self._size = 0
        self._error: BaseException | None = None
        self._written: Written | None = None
        self._queue: Queue[list[bytes] | None] = Queue(WAITING)
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    @property
    def is_full(self) -> bool:
        """Whether the next records belong into another file."""
        return self._given >= LARGEST_FILE

    def write(self, records: Records) -> None:
        """Append records, or what records are to be made of."""
        self.rows += records.count
        self._given += len(records.lines)
        self._lines.append(records.lines)
        self._size += len(records.lines)
        if self._size >= LINES_SIZE:
            self._give()

    def finish(self) -> tuple[Written, int]:
        """Write what is left; return what is in the file, and its size in bytes."""
        self._give()
        self._end()
        self._encoder.close()
        if self._error:
            raise self._error
        return self._written or Written(self.rows), os.fstat(self.draft.file.fileno()).st_size

    def abandon(self) -> None:
        """Remove it."""
        self._error = self._error or InterruptedError()  # what is waiting is not worth writing any more
        self._end()
        self._encoder.close()
        self.draft.close()

    def _end(self) -> None:
        self._queue.put(None)
        self._thread.join()

    def _give(self) -> None:
        if self._error:
            raise self._error
        if self._lines:
            self._queue.put(self._lines)
        self._lines, self._size = [], 0

    def _work(self) -> None:
        while (runs := self._queue.get()) is not None:
            self._try(partial(self._encoder.write, runs))
        self._try(self._finish)

    def _finish(self) -> None:
        self._written = self._encoder.finish()

    def _try(self, do: Callable[[], None]) -> None:
        """Do it, unless something went wrong before; what goes wrong is raised where somebody sees it."""
        if self._error is not None:
            return
        try:
            do()
        except OSError as error:
            self._error = unwritable(self.draft, error)
        except BaseException as error:
            self._error = error


def _stem(origin: Origin) -> str:
    """Return a name for a bundle, which sorts by time."""
    start = to_text(origin.start * SECOND).replace("-", "").replace(":", "")
    return f"{start}-{origin.bundle_id}"


def _named(origin: Origin) -> str:
    return "-".join(filter(None, (_stem(origin), origin.part)))


def _covers(part: str, other: str) -> bool:
    """Return whether a part of a bundle holds all that another one holds; see `Origin.part`."""
    if part in ("", other):
        return True
    one, another = _BEHIND.fullmatch(part), _BEHIND.fullmatch(other)
    if one:
        return bool(another and one["of"] == another["of"] and int(one["events"]) < int(another["events"]))
    return other.startswith((f"{part}-behind_", f"{part}-again_"))


def _files_of(files: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what a manifest says of its files."""
    return {"files": files, **{what: sum(one[what] for one in files) for what in ("rows", "bytes")}}


def _parsed(manifest: bytes | None) -> dict[str, Any]:
    try:
        parsed = json.loads(manifest or b"{}")
        _files_of(parsed["files"])
        _ = [one["path"] + "" for one in parsed["files"]]
    except (ValueError, TypeError, KeyError):  # it is none of ours
        return {"files": []}
    return dict(parsed)


def _check_state(path: Path) -> None:
    """Raise `SpoolError` if a state cannot be written there; better now than behind hours of work."""
    try:
        remove_left(path.resolve().parent)
        Draft(path.resolve().parent).close()
    except OSError as error:
        raise SpoolError(
            f"The state cannot be written to {str(path)!r} ({error.strerror}). See that its folder is there, has room "
            "and may be written; nothing has been read yet."
        ) from error


def _write_state(path: Path, value: Mapping[str, Any]) -> None:
    try:
        write_atomically(path, json.dumps(value, separators=(",", ":")).encode() + b"\n")
    except OSError as error:
        raise SpoolError(
            f"The state cannot be written to {str(path)!r} ({error.strerror}). What it covers is written, and will be "
            "written once more, in place of what is there, by the next run."
        ) from error
