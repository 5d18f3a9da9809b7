"""The report that each run leaves in `report_dir`: one JSON file, of the shape in `reports/report.schema.json`.

It is there from the beginning of a run on, so that a run which is killed leaves one, too, and it is written anew once a
minute. No run fails for its report.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from tap_fullstory import __version__
from tap_fullstory.config import SHORTEST_SECRET, bare, is_secret, shown
from tap_fullstory.logs import FORMATTER, HIDDEN, NAME, OneLine, plain
from tap_fullstory.moments import SECOND, to_text
from tap_fullstory.report import BundleCounts, Report, StreamCounts
from tap_fullstory.spans import Span

LOGGER = logging.getLogger(__name__)

FORMAT = 1
INTERVAL = 60.0  # seconds between two writes while a run works
PATIENCE = 5.0  # seconds for which a run waits for the folder
DAY = 86400  # seconds
WEEK = 7 * DAY  # after that, of runs that found nothing, one a day stays
MOST_NAMES = 1000  # of custom variables, or of columns with one kind of change
MOST_KNOWN = 100_000  # names in other reports: of somebody who has more, each is new, or might be
MOST_WARNINGS = 100
LONGEST_NAME, LONGEST_TEXT = 200, 2000  # characters
PEOPLE = "user_sessions"  # the stream whose bookmark names people

_FILE = re.compile(r"(?P<day>\d{8})T\d{6}Z-[0-9a-f]{8}(?P<idle>-idle)?\.json", re.ASCII)


class ReportFile:
    """Writes the report of this run; nothing, unless `begin` finds that one is wanted.

    Attributes:
        before: the state that the run was given; None: none.
        keep_days: how long reports are kept; None: for ever.
    """

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._settings: Mapping[str, Any] = {}
        self._people = OneLine()  # hides them
        self._warnings = _Warnings()
        self._began = time.time()
        self._run = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(self._began))}-{os.urandom(4).hex()}"
        self._at = 0.0  # on the monotonic clock: when it was written last
        self._has_begun = self._has_failed = self._has_ended = False
        self._mode = 0o600  # who may read it
        self._thread: threading.Thread | None = None  # that wrote it last, or does so still
        self._others: _Others | None = None
        self._judged: set[str] = set()  # names of custom variables
        self._new: set[str] = set()  # of these, those that no report had
        self.before: Mapping[str, Any] | None = None
        self.keep_days: float | None = None

    def begin(self, settings: Mapping[str, Any]) -> None:
        """Write the report of a run that has just begun with these settings, checked or not, if they want one."""
        folder, people = settings.get("report_dir"), settings.get("sessions_for")
        if not isinstance(folder, str) or not folder or "\0" in folder:
            return
        logger = logging.getLogger(NAME)
        if logger.level > logging.WARNING:  # then fewer are printed, and as many kept
            for handler in logger.handlers:
                handler.setLevel(logger.level)
            logger.setLevel(logging.WARNING)
        logger.addHandler(self._warnings)
        with self._forgiving():
            from tap_fullstory.storage import OPEN_TO_ALL, umask  # only who wants reports waits for it

            self._mode = OPEN_TO_ALL & ~umask()  # now, while nobody else looks: to look is to change it
            self._settings = {name: _shown(name, value) for name, value in settings.items()}
            named = list(_texts(people))
            values = [one for one in map(_value, named) if len(one) >= SHORTEST_SECRET]
            self._people.hide([*named, *values, *([shown(bare(people))] if named else ())])  # as errors show them
            self._folder = Path(folder).absolute()
        self.update()

    def update(self) -> None:
        """Write the report anew if that is due."""
        is_busy = self._thread is not None and self._thread.is_alive()
        if self._folder and not is_busy and (not self._at or time.monotonic() - self._at >= INTERVAL):
            self._at = time.monotonic()
            self._patiently(partial(self._write, self._folder, None, None))

    def end(self, status: int, error: str | None) -> None:
        """Write the report for the last time, and remove old ones; from any thread.

        Args:
            error: what was said of it; None: all went well.
        """
        if self._folder:
            self._patiently(partial(self._end, self._folder, status, error))

    def _end(self, folder: Path, status: int, error: str | None) -> None:
        self._has_ended = True
        self._write(folder, status, error)
        if status == 0 and not (self._report.records or self._report.fetched or self._warnings.texts):
            (folder / f"{self._run}.json").rename(folder / f"{self._run}-idle.json")
        thin(folder, time.time(), self.keep_days, self._run)

    def _patiently(self, work: Callable[[], None]) -> None:
        """Do it, but go on without it if the folder does not answer, as network drives do."""

        def forgiving() -> None:
            with self._lock, self._forgiving():
                if not self._has_ended:
                    work()

        with self._forgiving():
            self._thread = thread = threading.Thread(target=forgiving, name="report", daemon=True)
            thread.start()
            thread.join(PATIENCE)
            if thread.is_alive():
                raise TimeoutError(errno.ETIMEDOUT, "it does not answer")

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Let a run go on that cannot write its report, and say so once."""
        try:
            yield
        except Exception as error:  # also what we got wrong here: the data matter more
            if not self._has_failed:
                self._has_failed = True
                why = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
                where = plain(str(self._folder))  # it may be no text
                LOGGER.warning("No report of this run in %s (%s); all else goes on. See report_dir.", where, why)

    def _write(self, folder: Path, status: int | None, error: str | None) -> None:
        from tap_fullstory.storage import remove_left, write_atomically

        folder.mkdir(parents=True, exist_ok=True)  # somebody may have tidied up
        if not self._has_begun:
            remove_left(folder)
            self._has_begun = True
        unjudged = {_short(name) for name in list(self._report.custom)} - self._judged
        if unjudged:
            self._others = self._others or _Others(folder, self._run)
            self._new |= self._others.unnamed(unjudged)
        self._judged |= unjudged
        document = {
            "format": FORMAT,
            "run": self._run,
            "tap_version": __version__,
            "began_at": _now(self._began),
            "updated_at": _now(time.time()),
            "ended_at": None if status is None else _now(time.time()),
            "status": status,
            "error": None if error is None else self._text(error),
            "settings": self._settings,
            "warnings": [self._text(text) for text in self._warnings.texts],
            "warnings_left_out": self._warnings.left_out,
            "state": {"before": _without_people(self.before), "after": _without_people(self._report.state)},
            **_counted(self._report, self._new),
        }
        text = json.dumps(FORMATTER.hidden_in(document), ensure_ascii=False, separators=(",", ":"))
        data = text.encode(errors="replace") + b"\n"
        write_atomically(folder / f"{self._run}.json", data, mode=self._mode)

    def _text(self, text: str) -> str:
        """Return what was said to people as the report may hold it."""
        return plain(self._people.hidden(FORMATTER.hidden(text)))[:LONGEST_TEXT]


class _Warnings(logging.Handler):
    """Keeps what a run warns of; what ends it is said apart from that."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.left_out = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.CRITICAL:
            return
        if len(self.texts) < MOST_WARNINGS:
            self.texts.append(record.getMessage())
        else:
            self.left_out += 1


def thin(folder: Path, now: float, keep_days: float | None, run: str = "") -> None:
    """Remove reports that are older than *keep_days*, and of old ones that found nothing all but the last of a day.

    Args:
        now: Unix seconds.
        keep_days: None: for ever.
        run: the one whose report stays, whatever the clock said when it began.
    """
    found = sorted(filter(None, map(_FILE.fullmatch, os.listdir(folder))), key=lambda one: one[0])
    others = [one for one in found if not (run and one[0].startswith(run))]
    oldest = "" if keep_days is None else _stamp(now - keep_days * DAY)
    if others and others[-1][0] < oldest:  # all of them at once: rather the clock is wrong
        return
    week_ago = _stamp(now - WEEK)
    last = {one["day"]: one[0] for one in found}
    for one in others:
        is_one_of_many = one["idle"] and one[0] < week_ago and one[0] != last[one["day"]]
        if one[0] < oldest or is_one_of_many:
            with suppress(OSError):  # another run may have removed it
                (folder / one[0]).unlink()


class _Others:
    """The names of custom variables in other reports, each of which is read once, the newest first."""

    def __init__(self, folder: Path, run: str) -> None:
        found = filter(None, map(_FILE.fullmatch, os.listdir(folder)))
        self._unread = sorted(folder / one[0] for one in found if not one["idle"] and not one[0].startswith(run))
        self._known: set[str] = set()

    def unnamed(self, names: set[str]) -> set[str]:
        """Return those of *names* that no other report has; a look at the newest will mostly do."""
        left = names - self._known
        while left and self._unread and len(self._known) < MOST_KNOWN:
            with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):  # no report
                self._known.update(json.loads(self._unread.pop().read_bytes())["custom_variables"]["values"].keys())
            left -= self._known
        return left


def _counted(report: Report, new: set[str]) -> dict[str, Any]:
    values = _most(report.custom)
    return {
        "ended_early": report.ended_early,
        "streams": [_stream(name, counts) for name, counts in list(report.streams.items())],
        "bundles": [_bundle(counts) for counts in list(report.fetched.values())],
        "records": report.records,
        "bytes": report.bytes,
        "waited": round(report.waited, 3),
        "retries": report.retries,
        "changes": {change.name.lower(): _most(counts) for change, counts in report.changes.items() if counts},
        "custom_variables": {
            "values": values,
            "new": [name for name in values if name in new],
            "left_out": max(0, len(report.custom) - MOST_NAMES),
        },
        "gaps": _spans(report.gaps),
        "gaps_given_up": _spans(report.given_up),
    }


def _stream(name: str, counts: StreamCounts) -> dict[str, Any]:
    return {"name": name, "records": counts.records, **_traffic(counts), "status": counts.status}


def _bundle(counts: BundleCounts) -> dict[str, Any]:
    return {
        "id": counts.bundle.id,
        "start": to_text(counts.bundle.start * SECOND),
        "stop": to_text(counts.bundle.stop * SECOND),
        "status": counts.status,
        "late": counts.late,
        "again": counts.again,
        "events": counts.events,
        "records": counts.records,
        **_traffic(counts),
    }


def _traffic(counts: StreamCounts | BundleCounts) -> dict[str, Any]:
    return {
        "bytes": counts.bytes,
        "waited": round(counts.waited, 3),
        "retries": counts.retries,
        "seconds": round(counts.seconds, 3),
    }


def _most(counts: Counter[str]) -> dict[str, int]:
    """Return the counts of those that are counted most."""
    found: Counter[str] = Counter()
    for name, count in Counter(dict(counts)).most_common(MOST_NAMES):
        found[_short(name)] += count
    return dict(sorted(found.items()))


def _short(name: str) -> str:
    return plain(FORMATTER.hidden(name))[:LONGEST_NAME]


def _spans(spans: Sequence[Span]) -> list[list[str]]:
    return [[to_text(start), to_text(stop)] for start, stop in spans]


def _shown(name: str, value: Any) -> Any:
    """Return the value of a setting as a report may show it; one that is not known may be a misspelt secret."""
    if name == "sessions_for" and isinstance(value, list):
        return f"{len(value)} people"
    if is_secret(name) or name == "sessions_for":
        return HIDDEN
    try:
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):  # of settings that were not checked
        return HIDDEN
    return bare(value)


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in the value of a setting, checked or not."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _value(person: str) -> str:
    """Return `a@example.com` of `email:a@example.com`."""
    return person.partition(":")[2] or person


def _without_people(state: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    bookmarks = state.get("bookmarks") if state else None
    if not isinstance(bookmarks, dict) or PEOPLE not in bookmarks:
        return state
    people = bookmarks[PEOPLE]
    count = len(people) if isinstance(people, dict) else 0
    return {**(state or {}), "bookmarks": {**bookmarks, PEOPLE: f"{count} people"}}


def _now(seconds: float) -> str:
    return to_text(int(seconds * 1000) * (SECOND // 1000))


def _stamp(seconds: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(max(0, seconds)))
