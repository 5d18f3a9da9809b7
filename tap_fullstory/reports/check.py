"""Is it healthy: what monitors ask, and what people want to know first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from tap_fullstory.logs import plain
from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.reports.health import SILENT, Health, health, is_silent
from tap_fullstory.reports.history import History, RunReport
from tap_fullstory.spans import Span

# Exit statuses after which the next run may do better by itself: not reachable, come later, stopped.
PASSING = frozenset({69, 75, 130, 141, 143})
KILLED = 137  # what a shell says of somebody who was killed; the report of such a run says nothing
IN_A_ROW = 3  # runs that fail one after the other are no accident
LONGEST_PART = 500  # characters of what one run has to say
LONGEST_LINE = 800  # characters; monitors cut at 1024 or more


class Level(IntEnum):
    """How well it is; the numbers are the exit statuses of monitoring plugins.

    https://nagios-plugins.org/doc/guidelines.html
    """

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


@dataclass(frozen=True)
class Problem:
    """Something that is not as it should be, and what to do about it."""

    level: Level
    what: str
    advice: str


@dataclass(frozen=True)
class Verdict:
    """What a history says about the present.

    Attributes:
        now, max_lag: nanoseconds.
        at: None: there is no run.
        last: the last run that ended or was killed; None: none has.
        succeeded: the last that ended with 0; None: none is known.
        failed: runs that did not, since then.
        running: those that are on their way, the oldest first.
        problems: the worst first.
    """

    now: int
    max_lag: int
    at: Health | None = None
    last: RunReport | None = None
    succeeded: RunReport | None = None
    failed: int = 0
    running: Sequence[RunReport] = ()
    runs: int = 0
    unreadable: dict[str, str] = field(default_factory=dict)
    problems: Sequence[Problem] = ()

    @property
    def level(self) -> Level:
        """The worst of all problems."""
        return max((one.level for one in self.problems), default=Level.OK)


def judge(history: History, now: int, max_lag: int) -> Verdict:
    """Return how *history* looks at *now* (Unix nanoseconds) to somebody who takes a lag up to *max_lag*."""
    at = health(history, now)
    if at is None:
        return unknown(
            "there is no report of a run yet", now, max_lag, unreadable=history.unreadable, more=_unreadable(history)
        )
    # runs over a part of the history, side by side perhaps, are of another kind, unless there are no others
    runs = [run for run in history.runs if run.end_date is None] or history.runs
    running = [run for run in runs if run.ended_at is None and not is_silent(run, now)]
    # one that began early may have ended late
    ended = sorted((run for run in runs if run.ended_at is not None or is_silent(run, now)), key=ended_at)
    good = [number for number, run in enumerate(ended) if run.status == 0]
    failed = len(ended) - 1 - good[-1] if good else len(ended)
    last = ended[-1] if ended else None
    problems = [*_lag(at, last, max_lag), *_failure(last, failed), *_gaps(at), *_unread(at), *_unreadable(history)]
    problems += _future(history, now)
    return Verdict(
        now=now,
        max_lag=max_lag,
        at=at,
        last=last,
        succeeded=ended[good[-1]] if good else None,
        failed=failed,
        running=running,
        runs=len(history.runs),
        unreadable=history.unreadable,
        problems=sorted(problems, key=lambda one: -one.level),
    )


def unknown(
    why: str, now: int, max_lag: int, *, unreadable: dict[str, str] | None = None, more: Sequence[Problem] = ()
) -> Verdict:
    """Return the verdict where no run tells anything."""
    advice = "See that the setting report_dir names this folder, and that the tap runs."
    return Verdict(now, max_lag, unreadable=unreadable or {}, problems=[Problem(Level.UNKNOWN, why, advice), *more])


def ended_at(run: RunReport) -> int:
    """Return when a run ended, or was heard of last; Unix nanoseconds."""
    return parse_moment(run.ended_at or run.updated_at)


def lasting(nanoseconds: int) -> str:
    """Return a duration as people say it, in one unit: `9.5 h`."""
    seconds = nanoseconds / SECOND
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {unit}"
    return f"{seconds:.0f} s"


def standing(at: Health | None) -> str:
    """Return how far events are written, in a line."""
    if at is None or at.until is None:
        return "how far events are written is not known"
    if at.lag and at.next_stop is not None and at.due is not None:
        return (
            f"{lasting(at.lag)} behind: the bundle up to {to_text(at.next_stop)} could have been delivered since "
            f"{to_text(at.due)}"
        )
    if at.next_stop is None:  # of windows side by side, others may be behind it
        return f"a run has reached its end_date; the newest that is written ends at {to_text(at.until)}"
    return f"all that Fullstory could have delivered by now is written, up to {to_text(at.until)}"


def ending(run: RunReport) -> str:
    """Return how a run ended, in a line."""
    if run.ended_at is None:
        return f"was killed: it has said nothing since {run.updated_at}, and has not ended"
    if run.status == 0:
        return f"ended well at {run.ended_at}"
    return f"ended with {run.status} at {run.ended_at}"


def check_line(verdict: Verdict) -> str:
    """Return the line that a monitoring plugin prints: what is wrong, and numbers for graphs."""
    told = [one.what for one in verdict.problems]
    if not told:
        told = [standing(verdict.at), _running_or_last(verdict)]
    text = cut(plain("; ".join(told)), LONGEST_LINE).replace("|", "/")  # what follows | is for programs
    return f"FULLSTORY {verdict.level.name} - {text} | {_numbers(verdict)}"


def cut(text: str, longest: int) -> str:
    """Return *text* in one line, and not too long."""
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _running_or_last(verdict: Verdict) -> str:
    if verdict.last is None:
        return "the first run has not ended yet"
    return f"the last run {ending(verdict.last)}"


def _numbers(verdict: Verdict) -> str:
    """Return what graphs are made of: `name=value[unit];[warning above];[critical above];[least]`."""
    at, last = verdict.at, verdict.last
    lag = f"{at.lag // SECOND}s" if at is not None and at.until is not None else "U"
    numbers = [f"lag={lag};;{verdict.max_lag // SECOND};0", f"failed={verdict.failed};;{IN_A_ROW - 1};0"]
    numbers.append(f"gaps={len(at.gaps) if at else 0};0;;0")
    if last is not None:
        numbers.append(f"duration={(ended_at(last) - parse_moment(last.began_at)) // SECOND}s;;;0")
        numbers += [f"records={last.records};;;0", f"bytes={last.bytes}B;;;0"]
    return " ".join(numbers)


def _lag(at: Health, last: RunReport | None, max_lag: int) -> list[Problem]:
    if at.until is None or at.lag <= max_lag:
        return []
    advice = "See that the tap is started."
    if last is not None and at.due is not None and ended_at(last) > at.due:
        advice = "See what the last run says."
        if last.status == 0:
            advice = "Runs end well and no such bundle was listed: if it does not come, ask Fullstory."
    return [Problem(Level.CRITICAL, standing(at), advice)]


def _failure(last: RunReport | None, failed: int) -> list[Problem]:
    if last is None or last.status == 0:
        return []
    level = Level.WARNING if last.ended_at is None or last.status in PASSING else Level.CRITICAL
    what = f"the last run {ending(last)}"
    if failed >= IN_A_ROW:
        level, what = Level.CRITICAL, f"{failed} runs in a row have failed; {what}"
    advice = "Errors say what to do; see also the table of exit statuses in the README."
    if last.ended_at is None:
        advice = "See what has killed it: no memory, a time limit, a reboot. The next run goes on where the state says."
    elif last.error:
        what = f"{what}: {cut(last.error, LONGEST_PART)}"
    return [Problem(level, what, advice)]


def _gaps(at: Health) -> list[Problem]:
    if not at.gaps:
        return []
    count = "1 gap" if len(at.gaps) == 1 else f"{len(at.gaps)} gaps"
    advice = "Later runs look again, for gap_check_hours. If no bundle comes, ask Fullstory."
    return [Problem(Level.WARNING, f"{count}: no bundle covers {_first(at.gaps)}", advice)]


def _unread(at: Health) -> list[Problem]:
    if not at.unread:
        return []
    advice = "Run that window again, with its own settings and its own last state."
    return [Problem(Level.WARNING, f"a run was to read {_first(at.unread)}, and none has", advice)]


def _first(spans: Sequence[Span]) -> str:
    """Return the first of *spans*, and how many more there are."""
    start, stop = map(to_text, spans[0])
    return f"{start} to {stop}" + (f", and {len(spans) - 1} more" if spans[1:] else "")


def _unreadable(history: History) -> list[Problem]:
    if not history.unreadable:
        return []
    count = len(history.unreadable)
    name, reason = next(iter(history.unreadable.items()))
    which = f"{count} files are no reports that can be read, such as" if count > 1 else "no report that can be read:"
    return [
        Problem(
            Level.WARNING,
            f"{which} {cut(name, LONGEST_PART)} ({reason})",
            "Update tap-fullstory here, or move what is no report of it out of the folder.",
        )
    ]


def _future(history: History, now: int) -> list[Problem]:
    newest = max(parse_moment(run.updated_at) for run in history.runs)
    if newest - now <= SILENT:
        return []
    return [
        Problem(
            Level.WARNING,
            f"the newest report is of {to_text(newest)}, {lasting(newest - now)} in the future",
            "Set the clocks: what is said here about time is wrong as long as they differ.",
        )
    ]
