"""Where bundles come from; one module for each API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from tap_fullstory.bundles import Bundle
from tap_fullstory.spool import SpoolFile
from tap_fullstory.state import EventsBookmark


class Source(Protocol):
    """One API that brings events."""

    def bundles(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        """Yield what is not finished yet, at least up to the first that begins at *end* or later.

        What covers something of a gap is not finished. The order is that of Stop; one that is begun may come before.
        Those that are done and stop at `until` come before others that stop there, which tells what these cover.

        Args:
            end: Unix nanoseconds; None: up to the newest.
            again: Unix nanoseconds; what stops after that is yielded also if it is finished. None: nothing is.
        """

    def fetch(self, bundle: Bundle, usable: Callable[[SpoolFile], bool]) -> SpoolFile:
        """Bring one bundle whole and checked into a file; from any thread.

        Args:
            usable: whether a whole file that an earlier run left will do.
        """
