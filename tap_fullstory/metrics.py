"""Singer METRIC lines: record counts, HTTP timing, job timing.

singer-python's own counters and timers set the log configuration back each time they are made, so only its names and
its line are used. Points are kept until `flush`, which the sync calls at least once a minute while it works.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from singer.metrics import Metric, Point, Status, Tag, log

LOGGER = logging.getLogger(__name__)

FLUSH_INTERVAL = 60.0  # seconds


@dataclass
class HttpTimer:
    """What is known of a request once it is answered."""

    http_status: int | None = None


class Metrics:
    """Collects points from any thread and logs them from one."""

    def __init__(self) -> None:
        self._points: SimpleQueue[Point] = SimpleQueue()
        self._counts: dict[str, int] = {}
        self._began = self._flushed = time.monotonic()

    def count_records(self, stream: str, count: int) -> None:
        """Count records of a stream; logs what there is if that is due."""
        self._counts[stream] = self._counts.get(stream, 0) + count
        self.flush_if_due()

    @contextmanager
    def http_timer(self, endpoint: str) -> Iterator[HttpTimer]:
        """Time one request, until its answer begins."""
        began, timer = time.monotonic(), HttpTimer()
        try:
            yield timer
        finally:
            status = Status.failed if timer.http_status is None else Status.succeeded
            tags = {Tag.endpoint: endpoint, Tag.http_status_code: timer.http_status, Tag.status: status}
            self._points.put(Point("timer", Metric.http_request_duration, time.monotonic() - began, tags))

    def flush_if_due(self) -> None:
        """Log what there is if the last time is a minute ago."""
        if time.monotonic() - self._flushed >= FLUSH_INTERVAL:
            self.flush()

    def flush(self) -> None:
        """Log what there is."""
        self._flushed = time.monotonic()
        while True:
            try:
                log(LOGGER, self._points.get_nowait())
            except Empty:
                break
        for stream, count in self._counts.items():
            log(LOGGER, Point("counter", Metric.record_count, count, {Tag.endpoint: stream}))
        self._counts = dict.fromkeys(self._counts, 0)

    def finish(self, *, succeeded: bool) -> None:
        """Log what there is, and how long it took in all."""
        self.flush()
        tags = {Tag.job_type: "sync", Tag.status: Status.succeeded if succeeded else Status.failed}
        log(LOGGER, Point("timer", Metric.job_duration, time.monotonic() - self._began, tags))
