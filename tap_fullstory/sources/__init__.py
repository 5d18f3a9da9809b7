"""Where bundles come from; one module for each API."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tap_fullstory.bundles import Bundle
from tap_fullstory.spool import SpoolFile
from tap_fullstory.state import EventsBookmark


class Source(Protocol):
    """One API that brings events."""

    def bundles(self, bookmark: EventsBookmark) -> Iterator[Bundle]:
        """Yield what is not finished yet, ordered by Stop."""

    def fetch(self, bundle: Bundle) -> SpoolFile:
        """Bring one bundle whole and checked into a file; from any thread."""
