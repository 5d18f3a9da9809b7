"""The command line of `tap-fullstory-report`."""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tap_fullstory import __version__, logs
from tap_fullstory.command import print_result, status_of
from tap_fullstory.errors import SpoolError, TapError

if TYPE_CHECKING:
    from tap_fullstory.reports.check import Verdict
    from tap_fullstory.reports.history import History

# Only what `--version` and `--help` need is imported above: they answer at once.

LOGGER = logging.getLogger(__name__)

DESCRIPTION = (
    "What the reports of runs say, which tap-fullstory writes into the folder that its setting report_dir names: is it "
    "healthy, how far behind, what went wrong. All that is asked for is done; without an option: some lines for people."
)
EPILOG = (
    "exit status: 0 done, 2 command line, 74 a file or folder; with --check those of monitoring plugins: 0 OK, "
    "1 WARNING, 2 CRITICAL, 3 UNKNOWN, also for a wrong command line"
)
UNKNOWN = 3  # exit status
SIZES = {"m": 60, "h": 3600, "d": 86400}  # seconds
STDOUT = Path("-")
READABLE = 0o644  # the node exporter is another user


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a command line as a monitor expects it, if one asks."""

    for_monitor = False

    def error(self, message: str) -> NoReturn:
        """End the process."""
        if self.for_monitor:
            print_result(f"FULLSTORY UNKNOWN - {_for_monitor(message)}")
            self.exit(UNKNOWN)
        super().error(message)


def main() -> NoReturn:
    """Run the command and end the process with its exit status."""
    os._exit(run(sys.argv[1:]))  # as the tap does; all output is unbuffered


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    parser.for_monitor = "--check" in arguments
    args = parser.parse_args(arguments)
    logs.configure(os.environ)
    outcome = 0

    def work() -> None:
        nonlocal outcome
        outcome = _run(args)

    status = status_of(work, closed="Nobody reads what this prints any more.", stopped="Stopped by a signal.")
    if args.check and status:
        return UNKNOWN
    return status or outcome


def _parser() -> _Parser:
    # no abbreviations: what --check does to exit statuses also holds where the rest cannot be parsed
    parser = _Parser(prog="tap-fullstory-report", description=DESCRIPTION, epilog=EPILOG, allow_abbrev=False)
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="where the reports are")
    add("--check", action="store_true", help="for Nagios, Icinga and the like: one line, and their exit statuses")
    add(
        "--max-lag",
        type=_duration,
        default=SIZES["d"],
        metavar="6h|90m|2d",
        help="it is CRITICAL when the next bundle could have been delivered for longer than that (24h)",
    )
    add("--openmetrics", type=Path, metavar="FILE", help="write metrics for Prometheus' node exporter: NAME.prom")
    add("--json", action="store_true", help="print the same facts as one JSON document")
    add("-o", dest="page", type=Path, metavar="FILE", help="write all of it as a page, HTML; - is stdout")
    add("--version", action="version", version=f"tap-fullstory-report {__version__}")
    return parser


def _duration(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6})([mhd])", text, re.ASCII)
    if found is None:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of minutes, hours or days: 90m, 6h, 2d")
    return int(found[1]) * SIZES[found[2]]


def _run(args: argparse.Namespace) -> int:
    from tap_fullstory.signals import stop_at_once

    stop_at_once()
    try:
        return _report(args)
    except TapError as error:
        if not args.check:
            raise
        print_result(f"FULLSTORY UNKNOWN - {_for_monitor(str(error))}")
        return UNKNOWN


def _report(args: argparse.Namespace) -> int:
    """Write files first: a line that says OK must not come before one that could not be written."""
    from tap_fullstory.moments import SECOND
    from tap_fullstory.reports.check import check_line, judge, unknown
    from tap_fullstory.reports.history import read_history
    from tap_fullstory.reports.summary import to_json, to_lines

    now, max_lag = int(time.time()) * SECOND, args.max_lag * SECOND
    try:
        history = read_history(args.folder)
    except SpoolError as error:
        if args.openmetrics:  # else Prometheus would go on to see what was true once
            _write_metrics(args, unknown(str(error), now, max_lag))
        raise
    verdict = judge(history, now, max_lag)
    if args.openmetrics:
        _write_metrics(args, verdict)
    page = _page(history, now, max_lag) if args.page else ""
    if args.page and args.page != STDOUT:
        _write(args.page, f"{page}\n")
    if args.check:
        print_result(check_line(verdict))
    if args.json:
        print_result(to_json(verdict))
    if args.page == STDOUT:
        print_result(page)
    if not (args.check or args.json or args.openmetrics or args.page):
        print_result(to_lines(verdict))
    return int(verdict.level) if args.check else 0


def _page(history: History, now: int, max_lag: int) -> str:
    from tap_fullstory.reports.page import to_html

    return to_html(history, now, max_lag)


def _write_metrics(args: argparse.Namespace, verdict: Verdict) -> None:
    from tap_fullstory.reports.openmetrics import SUFFIX, to_openmetrics

    if args.openmetrics.suffix != SUFFIX:
        LOGGER.warning("The node exporter reads only files whose names end in %s.", SUFFIX)
    _write(args.openmetrics, to_openmetrics(verdict, args.folder), mode=READABLE)


def _write(path: Path, text: str, *, mode: int | None = None) -> None:
    from tap_fullstory.storage import write_atomically

    try:
        write_atomically(path, text.encode(), mode=mode)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise SpoolError(
            f"{str(path)!r} cannot be written ({reason}). See that its folder is there, has room and may be written."
        ) from error


def _for_monitor(message: str) -> str:
    return logs.plain(" ".join(message.split())).replace("|", "/")
