"""What a folder of reports says, for Prometheus: a file that its node exporter reads.

Such a file is OpenMetrics as well as the older text format of Prometheus, to which `# UNIT` and `# EOF` are comments.
All metrics are gauges: what both formats call the same.
https://prometheus.io/docs/specs/om/open_metrics_spec/
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tap_fullstory.logs import plain
from tap_fullstory.moments import SECOND, parse_moment
from tap_fullstory.reports.check import KILLED, Verdict, ended_at

PREFIX = "tap_fullstory"
UNITS = ("seconds", "bytes")
SUFFIX = ".prom"  # the node exporter reads no other files


def to_openmetrics(verdict: Verdict, folder: Path) -> str:
    """Return the metrics; what is not known is not among them.

    Args:
        folder: of the reports; a label, as one node exporter refuses two metrics that differ in nothing.
    """
    label = plain(str(folder.absolute())).replace("\\", "\\\\").replace('"', '\\"')
    lines = []
    for name, meaning, value in _metrics(verdict):
        if value is None:
            continue
        full = f"{PREFIX}_{name}"
        lines.append(f"# TYPE {full} gauge")
        lines += [f"# UNIT {full} {unit}" for unit in UNITS if full.endswith(f"_{unit}")]
        lines += [f"# HELP {full} {meaning}", f'{full}{{report_dir="{label}"}} {value}']
    return "\n".join([*lines, "# EOF", ""])


def _metrics(verdict: Verdict) -> Iterator[tuple[str, str, float | None]]:
    """Yield name, meaning and value; None: not known."""
    at, last, good = verdict.at, verdict.last, verdict.succeeded
    yield "check_status", "What --check says: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.", int(verdict.level)
    yield "unreadable_reports", "Files in the folder that cannot be read as reports.", len(verdict.unreadable)
    if at is None:
        return
    until = at.until
    lag = None if until is None else at.lag
    yield "lag_seconds", "For how long the next bundle could have been delivered by now.", _seconds(lag)
    yield "written_until_timestamp_seconds", "Up to there events are written.", _seconds(until)
    yield "next_bundle_due_timestamp_seconds", "When the next bundle can be delivered.", _seconds(at.due)
    yield "gaps", "Spans of time that no bundle covers so far.", len(at.gaps)
    yield "running_runs", "Runs that are on their way.", len(verdict.running)
    yield "failed_runs", "Runs that failed since the last that did not.", verdict.failed
    if good is not None:
        yield "last_success_timestamp_seconds", "When a run ended with 0 last.", _seconds(ended_at(good))
    if last is None:
        return
    began, ended = parse_moment(last.began_at), ended_at(last)
    status = KILLED if last.status is None else last.status
    yield "last_run_status", f"Exit status of the last run that ended; {KILLED}: it was killed.", status
    yield "last_run_begin_timestamp_seconds", "When it began.", _seconds(began)
    yield "last_run_end_timestamp_seconds", "When it ended, or was heard of last.", _seconds(ended)
    yield "last_run_duration_seconds", "How long it took.", _seconds(ended - began)
    yield "last_run_records", "Records that it wrote.", last.records
    yield "last_run_bytes", "Bytes of bundles that it downloaded.", last.bytes
    yield "last_run_waited_seconds", "How long it waited, as Fullstory asked or after failures.", last.waited
    yield "last_run_retries", "Requests that it sent once more.", last.retries


def _seconds(nanoseconds: int | None) -> float | None:
    return None if nanoseconds is None else nanoseconds / SECOND
