"""SIGTERM and SIGINT: stop soon, on a line boundary, with a true last STATE."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

from tap_fullstory.errors import Stopped

SAME_GRACE = 0.5  # seconds in which a second signal is taken for the first: supervisors send two in a row
LINE_GRACE = 3.0  # seconds after the signal in which whole runs of records may still be written
LAST_GRACE = 4.5  # seconds after the signal: then it ends, whatever the target does
LAST_WORDS = 0.3  # seconds that are left for what is to be noted then


def stop_at_once() -> None:
    """Raise `Stopped` wherever the main thread is when SIGTERM or SIGINT comes; a second one ends the process."""

    def handle(signum: int, _frame: FrameType | None) -> None:
        signal.signal(signum, signal.SIG_DFL)
        raise Stopped(signum)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


class Stop:
    """Whether a signal has asked us to stop. The second signal ends the process at once.

    Args:
        last_words: is called with the signal's number in a thread before the process ends that way.
    """

    def __init__(self, last_words: Callable[[int], None] | None = None) -> None:
        self._last_words = last_words
        self._signum: int | None = None
        self._at = 0.0

    def install(self) -> None:
        """Listen to SIGTERM and SIGINT."""
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        if self._signum is not None:
            if time.monotonic() - self._at > SAME_GRACE:
                self._leave(signum)
            return
        self._signum, self._at = signum, time.monotonic()
        # A write into a full pipe does not come back; only another thread can end that.
        timer = threading.Timer(LAST_GRACE, self._leave, (signum,))
        timer.daemon = True
        timer.start()

    def _leave(self, signum: int) -> None:
        """End the process, whatever its threads do."""
        try:
            if self._last_words:
                thread = threading.Thread(target=self._last_words, args=(signum,), name="last words", daemon=True)
                thread.start()
                thread.join(LAST_WORDS)
        finally:  # also where no thread can be started any more
            os._exit(128 + signum)

    @property
    def asked(self) -> bool:
        """Whether a signal has come."""
        return self._signum is not None

    @property
    def pressing(self) -> bool:
        """Whether it is time to end with the line that is being written."""
        return self.asked and time.monotonic() - self._at > LINE_GRACE

    def check(self) -> None:
        """Raise `Stopped` if a signal has come."""
        if self._signum is not None:
            raise Stopped(self._signum)
