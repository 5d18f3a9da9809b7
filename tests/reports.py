"""Reports of runs, as `report.schema.json` describes them, for whoever tests what is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema

from tap_fullstory import __version__

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = json.loads((ROOT / "tap_fullstory" / "reports" / "report.schema.json").read_text("utf-8"))

Report = dict[str, Any]

FORBIDDEN = (
    "Fullstory refused the API key (HTTP 403 from GET https://export.fullstory.com/api/v1/export/list). "
    'Check "api_key" and its role.'
)
CRASHES = (20, 21)  # days; see `hundred_days`
EMPTY = 15
GAP = 30
LATE = 40
LIMITED = range(50, 57)
NEW_VARIABLE = 60
READ_AGAIN = 70
REFUSED = 80
DAYS = 100
FIRST = "2026-08-01T00:00:00Z"  # where the first bundle of `hundred_days` begins
NOW = "2026-11-10T06:00:00Z"  # some hours after the last run of `hundred_days`: the next bundle is not due


def run(
    began: str,
    *,
    hours_long: float = 0.5,
    status: int | None = 0,
    bundles: Sequence[Report] = (),
    since: str | None = FIRST,
    until: str | None = None,
    state_before: Report | None = None,
    **more: Any,
) -> Report:
    """Return the report of a run.

    Args:
        began: RFC 3339.
        status: None: it is running, or was killed; the report was written last after *hours_long*.
        since, until: of the state after it; until: if not given, the Stop of the last bundle that is finished. Without
            either there is no state.
        more: members in place of those that follow from the above.
    """
    ended = later(began, hours=hours_long)
    bundles = list(bundles)
    finished = [one["stop"] for one in bundles if one["status"] != "begun"]
    until = until or max(finished, default=None)
    gaps = more.get("gaps", [])
    after = None if since is None or until is None else events_state(since, until, gaps)
    counts = {what: sum(one[what] for one in bundles) for what in ("records", "bytes", "waited", "retries")}
    stream = {"name": "events", **counts, "seconds": hours_long * 3600, "status": "begun" if status else "finished"}
    if status is None:
        stream["status"] = "begun"
    report = {
        "format": 1,
        "run": run_name(began),
        "tap_version": __version__,
        "began_at": began,
        "updated_at": ended,
        "ended_at": None if status is None else ended,
        "status": status,
        "error": None if status in (0, None) else f"Something went wrong ({status}). Do something about it.",
        "ended_early": False,
        "settings": {"api_key": "***", "start_date": FIRST},
        "streams": [stream],
        "bundles": bundles,
        **counts,
        "changes": {},
        "custom_variables": {"values": {}, "new": [], "left_out": 0},
        "warnings": [],
        "warnings_left_out": 0,
        "gaps": gaps,
        "gaps_given_up": [],
        "state": {"before": state_before, "after": after},
        **more,
    }
    validate(report)
    return report


def bundle(start: str, stop: str | None = None, *, events: int | None = 1000, **more: Any) -> Report:
    """Return what a report says of a bundle; without *stop* it covers a day."""
    stop = stop or later(start, hours=24)
    halves = (seconds(stop) - seconds(start)) // 1800
    found = {
        "id": 100 * seconds(start) + halves,
        "start": start,
        "stop": stop,
        "status": "written",
        "late": False,
        "again": False,
        "events": events,
        "records": events or 0,
        "bytes": 200 * (events or 0),
        "waited": 0.0,
        "retries": 0,
        "seconds": 12.5,
    }
    return {**found, **more}


def events_state(since: str, until: str, gaps: Iterable[Sequence[str]] = ()) -> Report:
    """Return a state of the stream `events` alone."""
    events = {"since": since, "until": until, "done": [], "partial": [], "gaps": [*gaps], "exports": []}
    return {"bookmarks": {"events": events}}


def broke_off_at_once(began: str, status: int = 78) -> Report:
    """Return the report of a run that never read its settings."""
    return run(began, hours_long=0, status=status, since=None, settings={}, streams=[])


def hundred_days() -> list[Report]:
    """Return the runs of a hundred days, the oldest first: one each night, and what comes in between.

    The bundle of day n (from `FIRST`) is delivered at the beginning of day n + 2, and is read half an hour later. The
    constants above name the days whose bundles are not like the others.
    """
    runs: list[Report] = []
    state: Report | None = None
    for number in range(DAYS):
        for report in _night(number, state):
            runs.append(report)
            state = report["state"]["after"] or state
    return runs


def _night(number: int, before: Report | None) -> list[Report]:
    """Return the runs after the bundle of a day could be delivered."""
    at = later(day(number + 2), hours=0.5)
    own = _bundle(number)
    gap, late = [day(GAP), day(GAP + 1)], [day(LATE), day(LATE + 1)]
    before = deepcopy(before)
    if number in CRASHES:
        begun = {**own, "status": "begun", "records": own["records"] // 3}
        rest = {**own, "records": own["records"] - begun["records"], "bytes": 0}
        return [
            run(at, hours_long=0.1, status=None, bundles=[begun], until=day(number), state_before=before),
            run(later(at, hours=1), bundles=[rest], state_before=before),
        ]
    if number in (GAP, LATE):  # nothing is listed
        return [run(at, hours_long=0.01, until=day(number), state_before=before)]
    if GAP < number <= GAP + 3:
        return [run(at, bundles=[own], gaps=[gap], state_before=before)]
    if number == GAP + 4:
        line = f"No bundle covers {gap[0]} to {gap[1]}, and none was listed for 72 hours: it is given up."
        return [run(at, bundles=[own], gaps_given_up=[gap], warnings=[line], state_before=before)]
    if number == LATE + 1:
        return [run(at, bundles=[own], gaps=[late], state_before=before)]
    if number == LATE + 2:
        return [run(at, bundles=[{**_bundle(LATE), "late": True}, own], state_before=before)]
    if number in LIMITED:
        slow = {**own, "waited": 5400.0, "retries": 40, "seconds": 5700.0}
        return [run(at, hours_long=2, bundles=[slow], state_before=before)]
    if number == NEW_VARIABLE:
        new = {"values": {"plan_str": 310, "visits_int": 990}, "new": ["plan_str"], "left_out": 0}
        return [run(at, bundles=[own], custom_variables=new, state_before=before)]
    if number == READ_AGAIN + 1:
        again = {**_bundle(READ_AGAIN), "again": True}
        return [run(at, bundles=[again, own], state_before=before)]
    if number == REFUSED:
        return [_refused(later(at, hours=hours), before) for hours in (0, 12)]
    if number == REFUSED + 1:
        return [run(at, bundles=[_bundle(REFUSED), own], state_before=before)]
    values = {"plan_str": 310, "visits_int": 990} if number > NEW_VARIABLE else {"visits_int": 990}
    plain = {"values": values, "new": ["visits_int"] if number == 0 else [], "left_out": 0}
    changes = {"converted": {"EventTargetId": 3}, "moved": {"PageDuration": 1}} if number % 7 == 0 else {}
    return [run(at, bundles=[own], custom_variables=plain, changes=changes, state_before=before)]


def _refused(at: str, before: Report | None) -> Report:
    stream = {"name": "events", "records": 0, "bytes": 0, "waited": 0, "retries": 0, "seconds": 1, "status": "refused"}
    return run(
        at,
        hours_long=0.001,
        status=77,
        since=None,
        error=FORBIDDEN,
        streams=[stream],
        state_before=before,
    )


def _bundle(number: int) -> Report:
    """Return the bundle of a day: fewer events at weekends."""
    start = day(number)
    weekend = moment(start).weekday() >= 5
    events = 0 if number == EMPTY else (400 if weekend else 1000) + 7 * number
    return bundle(start, events=events)


def write(folder: Path, reports: Iterable[Report]) -> Path:
    """Write reports as the tap does, one file each; return the folder."""
    folder.mkdir(exist_ok=True)
    for one in reports:
        (folder / f"{one['run']}.json").write_text(json.dumps(one), "utf-8")
    return folder


def validate(report: Report) -> None:
    """Raise if a report is not as the schema says.

    The validator that singer-python brings knows Draft 4: const, propertyNames and prefixItems are not looked at.
    """
    jsonschema.Draft4Validator(SCHEMA).validate(report)


def day(number: int) -> str:
    """Return where a day begins, counted from `FIRST`."""
    return later(FIRST, hours=24 * number)


def later(at: str, *, hours: float) -> str:
    """Return a moment so many hours after another one, in whole seconds."""
    return (moment(at) + timedelta(seconds=round(hours * 3600))).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(at: str) -> int:
    """Return Unix seconds."""
    return int(moment(at).timestamp())


def moment(at: str) -> datetime:
    """Return a moment in UTC."""
    return datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def run_name(began: str) -> str:
    """Return the name of a run that began then; the part that is random in real ones follows from the time."""
    return f"{moment(began):%Y%m%dT%H%M%SZ}-{seconds(began) % 0x1_0000_0000:08x}"
