"""The reports of runs in a folder: what `report.schema.json` describes, read back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tap_fullstory.errors import SpoolError
from tap_fullstory.moments import are_utc, parse_moment

FORMAT = 1
SUFFIX = ".json"


class StreamReport(msgspec.Struct, frozen=True):
    """What a run did to one stream; members as in the schema."""

    name: str
    records: int
    bytes: int
    waited: float
    retries: int
    seconds: float
    status: str


class BundleReport(msgspec.Struct, frozen=True):
    """What a run did to one bundle; members as in the schema."""

    id: int
    start: str
    stop: str
    status: str
    late: bool
    again: bool
    events: int | None
    records: int
    bytes: int
    waited: float
    retries: int
    seconds: float


class CustomVariables(msgspec.Struct, frozen=True):
    """Custom variables of a run; members as in the schema."""

    values: dict[str, int]
    new: list[str]
    left_out: int


class States(msgspec.Struct, frozen=True):
    """The states around a run; members as in the schema."""

    before: dict[str, Any] | None
    after: dict[str, Any] | None


class RunReport(msgspec.Struct, frozen=True):
    """What a run left; members as in the schema."""

    format: int
    run: str
    tap_version: str
    began_at: str
    updated_at: str
    ended_at: str | None
    status: int | None
    error: str | None
    ended_early: bool
    settings: dict[str, Any]
    streams: list[StreamReport]
    bundles: list[BundleReport]
    records: int
    bytes: int
    waited: float
    retries: int
    changes: dict[str, dict[str, int]]
    custom_variables: CustomVariables
    warnings: list[str]
    warnings_left_out: int
    gaps: list[tuple[str, str]]
    gaps_given_up: list[tuple[str, str]]
    state: States

    @property
    def since(self) -> int | None:
        """From where on events are written, Unix nanoseconds; None: the run has written no state of events."""
        return _moment(self._events.get("since"))

    @property
    def until(self) -> int | None:
        """Up to where events are written, Unix nanoseconds; None: the run knows of no state of events."""
        return _moment(self._events.get("until"))

    @property
    def end_date(self) -> int | None:
        """Where a bounded run had to end, Unix nanoseconds; None: it was to read up to the newest."""
        return _moment(self.settings.get("end_date"))

    @property
    def start_date(self) -> int | None:
        """Where a run without a state had to begin, Unix nanoseconds; None: a year before it ran."""
        return _moment(self.settings.get("start_date"))

    @property
    def is_first(self) -> bool:
        """Whether it was given no bookmark of events, and so began at `start_date`."""
        return not _events(self.state.before)

    @property
    def _events(self) -> Mapping[str, Any]:
        return _events(self.state.after or self.state.before)


@dataclass(frozen=True)
class History:
    """All that a folder of reports tells.

    Attributes:
        runs: the oldest first.
        unreadable: names of `.json` files that are no such reports, with the reason.
    """

    runs: list[RunReport]
    unreadable: dict[str, str] = field(default_factory=dict)


def read_history(folder: Path) -> History:
    """Return the reports in *folder*.

    All of them, also where the newest would do: ten thousand are read within a second.

    Raises:
        SpoolError: the folder cannot be read.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX) and not name.startswith("."))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SpoolError(
            f"The folder of reports {str(folder)!r} cannot be read ({reason}). It is what report_dir names."
        ) from error
    runs: dict[str, RunReport] = {}
    unreadable: dict[str, str] = {}
    decoder = msgspec.json.Decoder(RunReport)
    for name in names:
        path = folder / name
        try:
            if not path.is_file():  # gone since it was listed; or a pipe, which would be waited for without end
                continue
            report = decoder.decode(path.read_bytes())
        except FileNotFoundError:  # gone in this moment: thinned, or given its last name
            continue
        except OSError as error:
            unreadable[name] = error.strerror or "it cannot be read"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            unreadable[name] = "it is no report of a run"
        else:
            if report.format != FORMAT:
                unreadable[name] = f"its format is {report.format}: another version of tap-fullstory wrote it"
            elif not _has_moments(report):
                unreadable[name] = "a text in it is no moment in UTC"
            elif report.run not in runs or _order(report) > _order(runs[report.run]):
                runs[report.run] = report
    return History(sorted(runs.values(), key=_order), unreadable)


def _order(run: RunReport) -> tuple[str, str, str]:
    return run.began_at[:-1], run.updated_at[:-1], run.run  # moments in UTC compare as text, but for the Z


def _has_moments(run: RunReport) -> bool:
    """Return whether moments stand where they belong, in UTC: all who use a report rely on it."""
    texts = [run.began_at, run.updated_at, *([] if run.ended_at is None else [run.ended_at])]
    texts += [text for one in run.bundles for text in (one.start, one.stop)]
    texts += [text for gap in (*run.gaps, *run.gaps_given_up) for text in gap]
    return are_utc(texts)


def _events(state: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the bookmark of events."""
    bookmarks = (state or {}).get("bookmarks")
    events = bookmarks.get("events") if isinstance(bookmarks, Mapping) else None
    return events if isinstance(events, Mapping) else {}


def _moment(value: Any) -> int | None:
    try:
        return parse_moment(value)
    except (TypeError, ValueError):
        return None
