"""One line at the bottom of a terminal that says how far a run is; log lines scroll above it.

Plain text without colours, in one row whatever the width: calm when resized, in tmux, and with NO_COLOR.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TextIO

from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.report import Report

INTERVAL = 0.25  # seconds between two looks
CLEAR = "\r\x1b[K"  # to the beginning of the row, and what stands there away
USUAL_WIDTH = 80  # columns, where the terminal does not say
HOUR, DAY = 3600, 86400  # seconds


def wanted(stderr: TextIO | None, stdout: TextIO | None, environ: Mapping[str, str]) -> bool:
    """Return whether there is somebody in front of a terminal, and only log lines go there."""
    if stderr is None or not stderr.isatty() or (stdout is not None and stdout.isatty()):
        return False
    return environ.get("TERM", "dumb") != "dumb" and not environ.get("CI")


class Progress:
    """Draws the line from what a run has counted.

    Args:
        stream: a terminal.
        report: is asked each time.
    """

    def __init__(self, stream: TextIO, report: Report) -> None:
        self._stream = stream
        self._report = report
        self._began = time.monotonic()
        self._drawn = 0.0
        self._lock = threading.RLock()  # log lines come from other threads

    def update(self) -> None:
        """Draw the line anew if that is due."""
        if time.monotonic() - self._drawn >= INTERVAL:
            self.draw()

    def draw(self) -> None:
        """Draw the line."""
        with self._lock:
            self._drawn = time.monotonic()
            self._write(CLEAR + self.text(self._drawn)[: self._columns() - 1])

    @contextmanager
    def away(self) -> Iterator[None]:
        """Take the line away, for others to write, and draw it again."""
        with self._lock:
            self.clear()
            yield
            self.draw()

    def clear(self) -> None:
        """Take the line away."""
        self._write(CLEAR)

    def text(self, now: float) -> str:
        """Return what the line says at *now*, on the monotonic clock."""
        report = self._report
        seconds = max(now - self._began, 1e-3)
        parts = [
            f"{report.bundles} of {report.known} bundles" if report.known else f"{report.bundles} bundles",
            f"{report.records:,} records",
            f"{report.records / seconds:,.0f}/s",
        ]
        if report.until is not None:
            parts.append(f"up to {to_text(report.until // SECOND * SECOND)}, {_behind(report.until)} behind")
        if report.waiting_until > now:
            parts.insert(
                1, f"Fullstory lets us go on in {report.waiting_until - now:.0f} s"
            )  # narrow windows cut the end
        return " | ".join(parts)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or USUAL_WIDTH
        except (OSError, ValueError):
            return USUAL_WIDTH

    def _write(self, text: str) -> None:
        with self._lock:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):  # the terminal is gone; the run goes on
                return


def _behind(until: int) -> str:
    seconds = max(0.0, time.time() - until / SECOND)
    return f"{seconds / DAY:.0f} days" if seconds >= 2 * DAY else f"{seconds / HOUR:.0f} hours"
