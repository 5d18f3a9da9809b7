"""What a folder of reports says, in short: for scripts and for people."""

from __future__ import annotations

import json
from typing import Any

from tap_fullstory.logs import plain
from tap_fullstory.moments import SECOND, parse_moment, to_text
from tap_fullstory.reports.check import Verdict, ended_at, ending, lasting, standing
from tap_fullstory.reports.history import RunReport

FORMAT = 1


def to_json(verdict: Verdict) -> str:
    """Return all that is known of the present as one JSON document; moments are RFC 3339, durations seconds."""
    at = verdict.at
    document = {
        "format": FORMAT,
        "now": to_text(verdict.now),
        "status": verdict.level.name,
        "problems": [{"status": one.level.name, "what": one.what, "advice": one.advice} for one in verdict.problems],
        "lag": _seconds(at.lag) if at is not None and at.until is not None else None,
        "max_lag": _seconds(verdict.max_lag),
        "until": _moment(at.until if at else None),
        "next_bundle": {
            "stop": _moment(at.next_stop if at else None),
            "due": _moment(at.due if at else None),
        },
        "gaps": [[to_text(start), to_text(stop)] for start, stop in (at.gaps if at else ())],
        "last_run": _run(verdict.last),
        "last_success": verdict.succeeded and verdict.succeeded.ended_at,
        "failed_in_a_row": verdict.failed,
        "running": [_run(run) for run in verdict.running],
        "runs": verdict.runs,
        "unreadable": verdict.unreadable,
    }
    return json.dumps(document, indent=1)


def to_lines(verdict: Verdict) -> str:
    """Return the same for people, in lines that steer no terminal."""
    at, last = verdict.at, verdict.last
    lines = [("", f"{verdict.level.name}: {_headline(verdict)}")]
    if last is not None:
        lines.append(("last run", f"{ending(last)}, after {lasting(_duration(last))}"))
        lines.append(("", f"{last.records} records, {last.bytes} bytes, waited {last.waited:.0f} s"))
    lines += [("running", f"since {run.began_at}") for run in verdict.running]
    if verdict.succeeded is not None and verdict.succeeded is not last:
        lines.append(("last success", str(verdict.succeeded.ended_at)))
    lines.append(("events", standing(at) if at is None or not at.lag else f"written up to {_moment(at.until)}"))
    if at is not None and at.next_stop is not None and at.due is not None:
        lines.append(("next bundle", f"up to {to_text(at.next_stop)}, can be delivered from {to_text(at.due)}"))
    for start, stop in at.gaps if at else ():
        lines.append(("gap", f"{to_text(start)} to {to_text(stop)}"))
    lines += [("unreadable", f"{name}: {reason}") for name, reason in verdict.unreadable.items()]
    for one in verdict.problems:
        lines += [(one.level.name, one.what), ("", one.advice)]
    width = max(len(name) for name, _ in lines)
    first, *rest = [plain(text) for _, text in lines]
    names = [name for name, _ in lines[1:]]
    return "\n".join([first, *(f"  {name.ljust(width)}  {text}" for name, text in zip(names, rest, strict=True))])


def _headline(verdict: Verdict) -> str:
    if not verdict.problems:
        return "all is well" if verdict.last else "the first run has not ended yet"
    count = len(verdict.problems)
    return "one thing is not as it should be" if count == 1 else f"{count} things are not as they should be"


def _run(run: RunReport | None) -> dict[str, Any] | None:
    if run is None:
        return None
    names = ("run", "began_at", "updated_at", "ended_at", "status", "error", "records", "bytes", "waited", "retries")
    return {**{name: getattr(run, name) for name in names}, "duration": _seconds(_duration(run))}


def _duration(run: RunReport) -> int:
    return ended_at(run) - parse_moment(run.began_at)


def _seconds(nanoseconds: int) -> int | float:
    seconds, rest = divmod(nanoseconds, SECOND)
    return nanoseconds / SECOND if rest else seconds


def _moment(moment: int | None) -> str | None:
    return None if moment is None else to_text(moment)
