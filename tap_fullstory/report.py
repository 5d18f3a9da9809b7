"""What a run counts, for the summary at its end and for its report: values changed, bundles, bytes, waits."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from tap_fullstory.bundles import Bundle
from tap_fullstory.moments import to_text
from tap_fullstory.spans import Span

_LOCK = threading.Lock()
_FETCHING = threading.local()  # `bundle`: the counts of the one that this thread brings


class Change(Enum):
    """What may happen to a value; the text ends the sentence "n values of …"."""

    CONVERTED = "converted to the type of their column without loss"
    MOVED = "did not fit their column and are kept in CustomVars"
    REPLACED = "had NUL, lone surrogates or broken UTF-8 replaced by U+FFFD"
    AS_TEXT = "are kept as text: no 64-bit integer or double holds them"
    NEW_FIELD = "are of no documented field and are kept in CustomVars"
    NOT_IN_CATALOG = "are of fields that the catalog does not know and are kept in CustomVars"
    DROPPED = "have no column and were dropped, since CustomVars is left out"
    EXCLUDED = "were left out, as custom_vars_exclude says"
    STRIPPED = "lost query and fragment, as strip_query says"
    HASHED = "were hashed, as hash_columns says"
    CUT = "were cut to microseconds, which is what files of columns hold"


@dataclass
class StreamCounts:
    """What a run did to one stream."""

    records: int = 0
    bytes: int = 0  # downloaded
    waited: float = 0.0  # seconds
    retries: int = 0
    seconds: float = 0.0
    status: str = "waiting"  # then begun; finished or refused


@dataclass
class BundleCounts:
    """What a run did to one bundle."""

    bundle: Bundle
    status: str = "begun"  # then written, unchanged or skipped
    late: bool = False  # it fills a gap
    again: bool = False  # it was finished before
    events: int | None = None  # in its file
    records: int = 0
    bytes: int = 0  # downloaded
    waited: float = 0.0  # seconds
    retries: int = 0
    seconds: float = 0.0  # to bring it


@dataclass
class Report:
    """Counts of one run. Threads that download count `bytes`, `waited` and `retries`, the one that writes all else."""

    records: int = 0
    bundles: int = 0
    bytes: int = 0  # downloaded
    waited: float = 0.0  # seconds, as Fullstory asked or after failures
    retries: int = 0  # requests that were sent once more
    streams: dict[str, StreamCounts] = field(default_factory=dict)
    stream: StreamCounts | None = None  # that is being synced
    fetched: dict[int, BundleCounts] = field(default_factory=dict)  # bundles, by id, in the order they were begun in
    state: Mapping[str, Any] | None = None  # the last one written
    custom: Counter[str] = field(default_factory=Counter)  # values of custom variables kept in CustomVars, by name
    known: int = 0  # bundles listed so far that are to be written
    until: int | None = None  # Unix nanoseconds: up to there events are written
    left_out: int = 0  # events, for their type
    gaps: tuple[Span, ...] = ()  # before that, which no bundle covers
    given_up: list[Span] = field(default_factory=list)  # gaps that later runs do not look for
    waiting_until: float = 0.0  # on the monotonic clock: when Fullstory lets us go on
    ended_early: bool = False  # since max_runtime was over
    left_streams: list[str] = field(default_factory=list)  # that are not finished then
    kept: frozenset[int] = frozenset()  # ids of bundles whose files are for the next run then
    skip_bundles: frozenset[int] = frozenset()  # ids that the settings say to pass over
    skipped: int = 0  # bundles passed over
    read_again: int = 0  # finished bundles that were downloaded again, as reread_hours says
    written_again: int = 0  # of these, since their content had changed or was not known
    changes: dict[Change, Counter[str]] = field(default_factory=lambda: {change: Counter() for change in Change})

    def change(self, change: Change, names: Iterable[str] | Mapping[str, int]) -> None:
        """Count one change for each of *names* (columns or members)."""
        self.changes[change].update(names)

    def add(self, other: Report) -> None:
        """Add what another process has counted of the values of events."""
        for change, names in other.changes.items():
            self.changes[change].update(names)
        self.custom.update(other.custom)
        self.left_out += other.left_out

    def begin_wait(self, seconds: float) -> None:
        """Take note of a wait that begins now."""
        self.waiting_until = time.monotonic() + seconds

    def wait(self, seconds: float) -> None:
        """Count seconds of waiting."""
        with _LOCK:
            for one in self._concerned():
                one.waited += seconds

    def retry(self) -> None:
        """Count a request that is sent once more."""
        with _LOCK:
            for one in self._concerned():
                one.retries += 1

    def download(self, size: int) -> None:
        """Count downloaded bytes."""
        with _LOCK:
            for one in self._concerned():
                one.bytes += size

    def _concerned(self) -> Iterator[Report | StreamCounts | BundleCounts]:
        """Yield what counts that which this thread does now: the run, its stream, and the bundle it brings."""
        yield self
        if self.stream:
            yield self.stream
        if bundle := getattr(_FETCHING, "bundle", None):
            yield bundle

    @contextmanager
    def syncing(self, name: str) -> Iterator[StreamCounts]:
        """Count what happens meanwhile for the stream of that name, too."""
        self.stream = counts = self.streams.setdefault(name, StreamCounts())
        counts.status, began = "begun", time.monotonic()
        try:
            yield counts
        finally:
            counts.seconds, self.stream = time.monotonic() - began, None

    @contextmanager
    def fetching(self, bundle: Bundle) -> Iterator[BundleCounts]:
        """Count what this thread does meanwhile for a bundle, too."""
        _FETCHING.bundle = counts = self.of_bundle(bundle)
        began = time.monotonic()
        try:
            yield counts
        finally:
            counts.seconds, _FETCHING.bundle = counts.seconds + time.monotonic() - began, None

    def of_bundle(self, bundle: Bundle) -> BundleCounts:
        """Return what is counted of a bundle."""
        return self.fetched.setdefault(bundle.id, BundleCounts(bundle))

    def written(self, stream: str, count: int, bundle_id: int | None = None) -> None:
        """Count records of a stream; those of events are of a bundle, too."""
        self.records += count
        self.streams.setdefault(stream, StreamCounts()).records += count
        if bundle_id in self.fetched:
            self.fetched[bundle_id].records += count

    def change_lines(self) -> list[str]:
        """Return one line for each kind of change that happened, each field with its count."""
        lines = [
            f"Values that {change.value}: " + _counted(counts) + "."
            for change, counts in self.changes.items()
            if counts
        ]
        if self.custom:
            lines.append("Custom variables kept in CustomVars: " + _counted(self.custom) + ".")
        return lines

    def summary(self) -> str:
        """Return the last line of a run."""
        changed = sum(sum(counts.values()) for change, counts in self.changes.items())
        skipped = ""
        if self.skip_bundles:
            ids = ", ".join(map(str, sorted(self.skip_bundles)))
            skipped = f"; skip_bundles says to pass over {ids}: {self.skipped} passed over in this run"
        types = ""
        if self.left_out:
            types = f"; {_some(self.left_out, 'event')} left out for their type"
        where = ""
        if self.until is not None:
            where = f"; written up to {to_text(self.until)}" + (
                f", {_some(len(self.gaps), 'gap')} before" if self.gaps else ""
            )
        again = ""
        if self.read_again:
            again = f"; {_some(self.read_again, 'bundle')} read again, {self.written_again} of them written again"
        left = ""
        if self.ended_early:
            since = "" if self.until is None else f" from {to_text(self.until)} on"
            streams = ", ".join(self.left_streams)
            bundles = _some(max(0, self.known - self.bundles - self.skipped), "bundle")
            known = f"{bundles} known so far left{since}; " if self.known else ""
            left = f"; max_runtime is over: {known}not finished: {streams}; run again with the last state to go on"
        return (
            f"{_some(self.records, 'record')}, {_some(self.bundles, 'bundle')} finished, "
            f"{_some(self.bytes, 'byte')} downloaded, {self.waited:.0f} s waited, "
            f"{_some(changed, 'value')} changed{types}{where}{again}{skipped}{left}."
        )


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
