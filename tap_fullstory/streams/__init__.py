"""What a stream is: data, and one generator."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tap_fullstory.client import Client
from tap_fullstory.config import Config
from tap_fullstory.metrics import Metrics
from tap_fullstory.progress import Progress
from tap_fullstory.records import Records
from tap_fullstory.report import Report
from tap_fullstory.report_file import ReportFile
from tap_fullstory.signals import Stop
from tap_fullstory.sources import Source
from tap_fullstory.state import Checkpoint


@dataclass(frozen=True)
class Selection:
    """What a catalog selects of one stream.

    Attributes:
        columns: names of the columns to emit, in the order of the stream's schema.
        unknown: columns of the stream that the catalog does not know at all; they are not in `columns`.
        warnings: one line for each thing in the catalog that is ignored.
    """

    columns: tuple[str, ...]
    unknown: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Run:
    """What a sync lends to its streams.

    Attributes:
        source: brings events.
        client: asks the API for all else.
        now: the Unix nanoseconds at which the run began.
        selections: of the streams that are selected, by name.
        clock: returns the Unix nanoseconds by Fullstory's clock, once it has answered.
        progress: shows people how far the run is; None: nobody looks.
        report_file: tells them later; None: nobody asked for it.
        deadline: when the run has to end, on the monotonic clock; see `max_runtime`.
        makes_records: whether streams make records of events, or leave that to who writes them.
        takes_back: whether who writes can take back what came of a bundle, so that it may be checked on the way.
    """

    config: Config
    source: Source
    client: Client
    report: Report
    metrics: Metrics
    stop: Stop
    now: int
    selections: Mapping[str, Selection]
    clock: Callable[[], int]
    progress: Progress | None = None
    report_file: ReportFile | None = None
    deadline: float = math.inf
    makes_records: bool = True
    takes_back: bool = False

    @property
    def is_over(self) -> bool:
        """Whether the run has lasted as long as it may."""
        return time.monotonic() >= self.deadline

    def idle(self) -> None:
        """Do what is due while there is nothing to do but wait; raises `Stopped` when a signal has come."""
        self.stop.check()
        self.metrics.flush_if_due()
        self.tell()

    def tell(self) -> None:
        """Say how far the run is, where that is due."""
        if self.progress:
            self.progress.update()
        if self.report_file:
            self.report_file.update()


Items = Generator[Records | Checkpoint, None, None]


class Extract(Protocol):
    """Yields records in order and, wherever a later run may resume, a checkpoint; may be closed at any of these."""

    def __call__(self, run: Run, bookmark: Any, selection: Selection) -> Items: ...


@dataclass(frozen=True)
class Stream:
    """One stream of the tap.

    Attributes:
        name: the `tap_stream_id`.
        schema: JSON Schema of its records.
        key_properties: names of the columns that identify a record; empty: append only.
        replication_method: `INCREMENTAL` or `FULL_TABLE`.
        extract: reads it; takes the stream's bookmark as it stands in the state, or None.
        replication_key: the column that orders an incremental stream, if there is one.
        automatic: columns that are always emitted.
        own: columns that the tap adds; a catalog that does not know them does not switch them off.
        selected_by_default: whether it is synced when nothing says otherwise.
        probe: returns paths of the API host; whoever may read these may read the stream. None: it brings exports.
        exported: whether the key has to be one that may export, too.
    """

    name: str
    schema: dict[str, Any]
    key_properties: tuple[str, ...]
    replication_method: str
    extract: Extract
    replication_key: str | None = None
    automatic: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    selected_by_default: bool = False
    probe: Callable[[Config], Sequence[str]] | None = None
    exported: bool = False
