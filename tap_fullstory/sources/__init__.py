"""Where bundles come from; one module for each API."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tap_fullstory.bundles import Bundle, check
from tap_fullstory.errors import BundleError
from tap_fullstory.spool import SpoolFile
from tap_fullstory.state import EventsBookmark, Export


@dataclass(frozen=True)
class Extent:
    """Where the bundles of a part of history lie, without a list of all of them; Unix seconds.

    Attributes:
        start: of the first of them.
        stop: of the last of them.
        length: of one, as a rule.
        offset: of a start, within the length.
    """

    start: int
    stop: int
    length: int
    offset: int = 0


class Source(Protocol):
    """One API that brings events.

    Attributes:
        has_twins: whether several bundles may stop at the same moment, and one of them come late.
        exports: what is paid for and not used up; for the state.
    """

    has_twins: bool

    @property
    def exports(self) -> tuple[Export, ...]: ...

    def bundles(self, bookmark: EventsBookmark, end: int | None, again: int | None) -> Iterator[Bundle]:
        """Yield what is not finished yet, at least up to the first that begins at *end* or later.

        What covers something of a gap is not finished. The order is that of Stop; one that is begun may come before.
        Those that are done and stop at `until` come before others that stop there, which tells what these cover.

        Args:
            end: Unix nanoseconds; None: up to the newest.
            again: Unix nanoseconds; what stops after that is yielded also if it is finished. None: nothing is.
        """

    def is_any_before(self, moment: int) -> bool:
        """Return whether there are bundles that stop at *moment* (Unix nanoseconds) or before; from any thread."""

    def extent(self, start: int, end: int | None) -> Extent | None:
        """Return where the bundles lie that cover something of [*start*, *end*), Unix nanoseconds; None: there is none.

        Args:
            end: None: up to the newest.
        """

    def newest(self) -> Iterator[Bundle]:
        """Yield what is finished, the newest first; for those who want a look at one."""

    def listed(self, bookmark: EventsBookmark, end: int | None) -> Iterator[Bundle]:
        """Yield what `bundles` does, but set nothing going; for those who plan."""

    def fetch(self, bundle: Bundle, usable: Callable[[SpoolFile], bool], unchecked: int = 0) -> SpoolFile:
        """Bring one bundle whole and checked into a file; from any thread.

        Args:
            usable: whether a whole file that an earlier run left will do.
            unchecked: a file of at most so many bytes need not be checked; see `SpoolFile.repair`.
        """

    def release(self, bundle: Bundle) -> None:
        """Take note that a bundle is written: what was paid for it is used up. From any thread."""


def fill(
    file: SpoolFile, most_events: int, usable: Callable[[SpoolFile], bool], bring: Callable[[], None]
) -> SpoolFile:
    """Return *file* whole and checked: as an earlier run left it if that will do, else once *bring* has filled it.

    Args:
        most_events: at most so many events between two cuts of the file.
    """
    try:
        if not (file.whole and is_sound(file, most_events) and usable(file)):
            bring()
    except BaseException:
        file.close(keep=False)
        raise
    return file


def is_sound(file: SpoolFile, most_events: int) -> bool:
    """Return whether the file can be read to its end; if so, its cuts are noted."""
    try:
        file.cuts = check(file.file, most_events)
    except BundleError:
        return False
    return True
