"""Segment Export: operations, what becomes of them, and the links to their files.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/ and the pages on operations and results
that it leads to.
"""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fullstory_emulator import moments
from fullstory_emulator.contents import Content, Lines
from fullstory_emulator.individuals import Individuals
from fullstory_emulator.wanted import INDIVIDUAL, Wanted

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator

DAY = 86400.0
PENDING, COMPLETED, FAILED = "PENDING", "COMPLETED", "FAILED"
SEARCH_EXPORT = "SEARCH_EXPORT"
FRACTIONS = ("174736", "473657")  # of the second in which an operation begins and ends: up to microseconds
NANOSECONDS = "658287819"  # of the second in which a link expires


@dataclass(frozen=True)
class Course:
    """How an export goes.

    Args:
        polls: how often it is said to be pending; None: for ever.
        seconds: of the emulator's clock that it takes at least.
        state: in which it ends; with any other than `COMPLETED` there is no file.
        error: `errorDetails` if it fails.
        step: what a pending one says it is doing; `""`: nothing.
    """

    polls: int | None = field(default=1, kw_only=True)
    seconds: float = field(default=0.0, kw_only=True)
    state: str = field(default=COMPLETED, kw_only=True)
    error: str = field(default="The export could not be made.", kw_only=True)
    step: str = field(default="", kw_only=True)


USUAL = Course()


@dataclass(eq=False)
class Export:
    """One export that was asked for. All moments are those of the emulator's clock, in Unix seconds."""

    nth: int  # counted from 1
    request: dict[str, Any]  # as it was sent
    wanted: Wanted
    created: float
    course: Course = USUAL
    state: str = PENDING
    error: str = ""
    polled: int = 0  # how often the operation was asked for
    linked: int = 0  # how often a link was given
    downloaded: int = 0  # how often a file was begun
    finished: float | None = None
    expires: float | None = None
    content: Content | Individuals | None = field(default=None, repr=False)  # of a completed one

    @property
    def operation_id(self) -> str:
        """As in `/operations/v1/{id}`."""
        return base64.urlsafe_b64encode(f"SEARCH_EXPORT:{self._secret[:16]}".encode()).decode().rstrip("=")

    @property
    def search_export_id(self) -> str:
        """As in `/search/v1/exports/{id}/results`."""
        return self._secret[16:40]

    @property
    def _secret(self) -> str:
        return hashlib.sha256(f"export {self.nth} {self.created}".encode()).hexdigest()

    @property
    def name(self) -> str:
        """Of the file, as it is said with a download."""
        extension = self.wanted.format.removeprefix("FORMAT_").lower()
        segment = re.sub(r"[^\w .-]", "_", self.wanted.segment.name, flags=re.ASCII)
        return f"{segment} {moments.shown(self.created)[:10]}.{extension}.gz"

    @property
    def percent(self) -> int:
        """`estimatePctComplete`: rising while it is pending, never 100."""
        if self.state == COMPLETED:
            return 100
        return 99 * self.polled // ((self.course.polls or 4) + self.polled + 1)

    def document(self) -> dict[str, Any]:
        """The operation as the API shows it.

        API: https://developer.fullstory.com/server/v1/operations/get-operation-status/
        """
        results = None
        if self.state == COMPLETED and self.expires is not None:
            results = {"searchExportId": self.search_export_id, "expires": moments.shown(self.expires, "345")}
        finished = None if self.finished is None else moments.shown(self.finished, FRACTIONS[1])
        shown = {
            "id": self.operation_id,
            "type": SEARCH_EXPORT,
            "details": None,
            "results": results,
            "state": self.state,
            "errorDetails": self.error,
            "createdAt": moments.shown(self.created, FRACTIONS[0]),
            "finishedAt": finished,
            "estimatePctComplete": self.percent,
        }
        if self.course.step and self.state == PENDING:
            shown["step"] = self.course.step
        return shown


@dataclass(frozen=True)
class Link:
    """A signed link to the file of an export."""

    export: Export
    token: str
    expires: float  # Unix seconds of the emulator's clock


class Exports:
    """All exports of an emulator, and the links to them."""

    def __init__(self, emulator: Emulator) -> None:
        self.all: list[Export] = []
        self._emulator = emulator
        self._by_operation: dict[str, Export] = {}
        self._by_search_export: dict[str, Export] = {}
        self._links: dict[str, Link] = {}  # by token
        self._lines = Lines()
        self._lock = threading.RLock()

    def create(self, request: dict[str, Any], wanted: Wanted) -> Export | None:
        """A new export, also if the same was asked for before; None: too many are running."""
        emulator = self._emulator
        with self._lock:
            if emulator.most_running is not None:
                running = sum(self.look(export).state == PENDING for export in self.all)
                if running >= emulator.most_running:
                    return None
            export = Export(len(self.all) + 1, request, wanted, emulator.now)
            course = emulator.course(export) if callable(emulator.course) else emulator.course
            export.course = course or USUAL
            self.all.append(export)
            self._by_operation[export.operation_id] = export
            self._by_search_export[export.search_export_id] = export
            return export

    def look(self, export: Export) -> Export:
        """The export as it is now: when its time has come, it ends."""
        course = export.course
        end = export.created + course.seconds
        with self._lock:
            now = self._emulator.now
            if export.state == PENDING and course.polls is not None and export.polled >= course.polls and now >= end:
                self._finish(export, now if course.polls else end)
        return export

    def poll(self, export: Export) -> dict[str, Any]:
        """What is said about the export now. It counts as a poll."""
        with self._lock:
            self.look(export).polled += 1
            return export.document()

    def cancel(self, export: Export) -> bool:
        """End the export. Whether it was still running."""
        with self._lock:
            if self.look(export).state != PENDING:
                return False
            export.state, export.error, export.finished = FAILED, "The operation was cancelled.", self._emulator.now
            return True

    def link(self, export: Export) -> Link | None:
        """A new link to the file; None: there is none, not yet or no longer."""
        with self._lock:
            now = self._emulator.now
            if self.look(export).expires is None or now >= (export.expires or 0):
                return None
            export.linked += 1
            token = hashlib.sha256(f"{export.search_export_id} {export.linked}".encode()).hexdigest()
            self._links[token] = link = Link(export, token, now + self._emulator.link_lifetime)
            return link

    def linked(self, token: str) -> Link | None:
        """The link with this token, however old."""
        return self._links.get(token)

    def by_operation(self, operation_id: str) -> Export | None:
        """The export of this operation."""
        return self._by_operation.get(operation_id)

    def by_search_export(self, search_export_id: str) -> Export | None:
        """The export with this id of its results."""
        return self._by_search_export.get(search_export_id)

    def count_download(self, export: Export) -> Export:
        """The export, one more time downloaded."""
        with self._lock:
            export.downloaded += 1
            return export

    def content(self, wanted: Wanted, now: float) -> Content | Individuals:
        """What an export brings that ends at this moment."""
        emulator = self._emulator
        if wanted.type == INDIVIDUAL:
            return Individuals(wanted, emulator.begun(now), now, emulator.settle, emulator.individuals)
        return Content(wanted, emulator.begun(now), now, emulator.settle, self._lines if emulator.is_invented else None)

    def _finish(self, export: Export, moment: float) -> None:
        export.state = export.course.state
        export.finished = moment
        if export.state == COMPLETED:
            export.content = self.content(export.wanted, moment)
            export.expires = moment + self._emulator.export_lifetime
        else:
            export.error = export.course.error
