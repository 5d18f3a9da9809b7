"""The command line: arguments, wiring of all parts, exit status, printing of errors."""

from __future__ import annotations

import argparse
import gc
import json
import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tap_fullstory import __version__, logs
from tap_fullstory.command import CONFIG_HELP, outcome, print_result, read_config, status_of, stdout
from tap_fullstory.errors import STATUS_BUG, ConfigError

if TYPE_CHECKING:
    from tap_fullstory.batch import BatchWriter
    from tap_fullstory.client import Client
    from tap_fullstory.config import BatchConfig, Config
    from tap_fullstory.errors import TapError
    from tap_fullstory.files import FileWriter
    from tap_fullstory.messages import MessageWriter
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.progress import Progress
    from tap_fullstory.report import Report
    from tap_fullstory.report_file import ReportFile
    from tap_fullstory.signals import Stop
    from tap_fullstory.sources import Source
    from tap_fullstory.spool import Spool
    from tap_fullstory.streams import Selection, Stream
    from tap_fullstory.sync import Writer

# Only what `--version` and `--help` need is imported above: they answer at once.

LOGGER = logging.getLogger(__name__)

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h
HOUR, DAY = 3600, 86400  # seconds
KEPT_MEMORY = 16 * 1024 * 1024  # bytes

DESCRIPTION = "Singer tap for Fullstory: every captured event, append only, as Singer messages on stdout."
ABOUT_FORMATS, FILE_FORMATS = ("text", "json", "markdown"), ("parquet", "csv", "jsonl")
CLOSED = "The target closed the pipe: see what it said. Run again with the last state that it printed."
STOPPED = "Stopped by a signal. Run again with the last state to go on from there."
EPILOG = "exit status: 0 complete, 2 command line, 65 data, 69 and 75 run again later, 74 folder, 77 key, 78 settings"


def main() -> NoReturn:
    """Run the command and end the process with its exit status."""
    status = run(sys.argv[1:])
    # Not sys.exit: a download may still be waiting, for up to an hour, and the interpreter could trip over its thread
    # at the end; to free what the system frees anyway would be an eighth of an empty run. All output is unbuffered.
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    args = _parser().parse_args(arguments)
    logs.configure(os.environ)
    _check(args)
    return status_of(lambda: _run(args), closed=CLOSED, stopped=STOPPED)


def _run(args: argparse.Namespace) -> None:
    if args.about:
        _about(args)
    elif args.test:
        _test(args)
    elif args.suggest_columns:
        _suggest_columns(args)
    elif args.plan:
        _plan(args)
    elif args.merge_state:
        _merge_state(args)
    elif args.discover:
        _discover(args)
    else:
        _sync(args)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tap-fullstory", description=DESCRIPTION, epilog=EPILOG)
    add = parser.add_argument
    add("-c", "--config", action="append", metavar="FILE", help=CONFIG_HELP)
    add("-s", "--state", metavar="FILE", help="where the last run ended, JSON")
    add("--catalog", "-p", "--properties", dest="catalog", metavar="FILE", help="which streams and columns, JSON")
    add("-d", "--discover", action="store_true", help="print the catalog and exit; needs no settings and no network")
    add("--test", action="store_true", help="check settings, folder, key and hosts, one line each; writes no records")
    add("--suggest-columns", action="store_true", help="read one recent bundle, print a list for custom_columns")
    add("--plan", action="store_true", help="print windows of the history for runs side by side, JSON, one a line")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--window", type=_window, metavar="48h|7d", help="with --plan: how long one is (7d)")
    length.add_argument("--workers", type=_workers, metavar="N", help="with --plan: so many of equal length")
    add("--newest-first", action="store_true", help="with --plan: the newest window first")
    add("--merge-state", nargs="+", metavar="FILE", help="print one state for those that runs over windows have left")
    add("--about", action="store_true", help="print what the tap is, what it can and its settings, and exit")
    add("--to", metavar="PLACE", help="write files into a folder, s3://… or gs://…, and the state into --state")
    add("--format", choices=(*ABOUT_FORMATS, *FILE_FORMATS), help="of --about: text; of --to: parquet, csv, jsonl")
    add("--dev", action="store_true", help=argparse.SUPPRESS)
    add("--version", action="version", version=f"tap-fullstory {__version__}")
    return parser


def _check(args: argparse.Namespace) -> None:
    """End the process with status 2 if two arguments do not go together."""
    for name in ("window", "workers", "newest_first"):
        if getattr(args, name) and not args.plan:  # a sync would begin in its place
            _parser().error(f"--{name.replace('_', '-')} is for --plan")
    if args.to == "":
        _parser().error("--to names no place")
    formats = FILE_FORMATS if args.to is not None else ABOUT_FORMATS
    if args.format not in (None, *formats):
        _parser().error(f"--format {args.format} is none of {'--to' if args.to is not None else '--about'}")


def _window(text: str) -> int:
    """Return the seconds of `48h` or `7d`."""
    found = re.fullmatch(r"(\d{1,6})([hd])", text, re.ASCII)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected hours or days, such as 48h or 7d")
    return int(found[1]) * (DAY if found[2] == "d" else HOUR)


def _workers(text: str) -> int:
    if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not int(text):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number, 1 or more")
    return int(text)


def _about(args: argparse.Namespace) -> None:
    from tap_fullstory.about import FORMATS, about

    print_result(FORMATS[args.format or ABOUT_FORMATS[0]](about()))


def _discover(args: argparse.Namespace) -> None:
    from tap_fullstory import config
    from tap_fullstory.catalog import discover

    parsed = config.parse_columns(config.read_settings(args.config or (), os.environ))
    print_result(json.dumps(discover(all_streams(parsed)), ensure_ascii=False, indent=2))


def all_streams(parsed: Config) -> list[Stream]:
    """Return all streams that the tap has with these settings."""
    from tap_fullstory.dictionary import FIELDS
    from tap_fullstory.privacy import Privacy
    from tap_fullstory.streams import (
        bundles,
        events,
        individuals,
        operations,
        segments,
        settings,
        settings_history,
        user_sessions,
        users,
    )

    privacy = Privacy(parsed)
    return [
        events.stream(
            event_key=parsed.event_key,
            custom=parsed.custom_columns,
            hashed={one.name for one in (*FIELDS, *parsed.custom_columns) if privacy.hashes(one)},
            custom_vars=privacy.keeps,
        ),
        bundles.stream(),
        *(
            module.stream(privacy)
            for module in (users, individuals, user_sessions, segments, operations, settings, settings_history)
        ),
    ]


def _test(args: argparse.Namespace) -> None:
    """Print one line a check; raises the first error that a check met."""
    from dataclasses import replace

    from tap_fullstory.check import PATIENCE, Checks
    from tap_fullstory.client import Client
    from tap_fullstory.extraction import begin
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.moments import SECOND
    from tap_fullstory.report import Report
    from tap_fullstory.state import parse_events_bookmark

    parsed, selected, bookmarks, _ = _inputs(args)
    now = time.time_ns()
    at = begin(parse_events_bookmark(bookmarks.get("events")), parsed, now)
    names = ", ".join(stream.name for stream, _ in selected)
    print_result(f"ok    settings: as they should be; selected: {names or 'no stream'}.")
    client = Client(replace(parsed, retry_timeout=min(parsed.retry_timeout, PATIENCE)), Report(), Metrics())
    first: TapError | None = None
    for result in Checks(parsed, client, at, now // SECOND, [stream for stream, _ in selected]).results():
        print_result(logs.FORMATTER.hidden(str(result)))
        first = first or result.error
    if first:
        raise first


def _suggest_columns(args: argparse.Namespace) -> None:
    from tap_fullstory.client import Client
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.report import Report
    from tap_fullstory.signals import stop_at_once
    from tap_fullstory.spool import Spool
    from tap_fullstory.suggest import suggest, to_text_list

    parsed = read_config(args, _parser())
    stop_at_once()
    report = Report()
    spool = Spool(parsed.spool_dir, owner=(parsed.export_url, parsed.api_key))
    client = Client(parsed, report, Metrics())
    source = open_source(parsed, client, spool, None)
    print_result(to_text_list(suggest(source, parsed, report)))


def _plan(args: argparse.Namespace) -> None:
    from tap_fullstory.client import Client
    from tap_fullstory.extraction import begin
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.plan import USUAL_WINDOW, Choice, plan
    from tap_fullstory.report import Report
    from tap_fullstory.signals import stop_at_once
    from tap_fullstory.spool import Spool
    from tap_fullstory.state import parse_events_bookmark, read_bookmarks

    parsed = read_config(args, _parser())
    bookmarks = read_bookmarks(args.state) if args.state is not None else {}
    stop_at_once()
    at = begin(parse_events_bookmark(bookmarks.get("events")), parsed, time.time_ns())
    spool = Spool(parsed.spool_dir, owner=(parsed.export_url, parsed.api_key))
    source = open_source(parsed, Client(parsed, Report(), Metrics()), spool, None)
    lines = plan(source, parsed, at, Choice(args.window or USUAL_WINDOW, args.workers, args.newest_first))
    if lines:
        print_result("\n".join(map(json.dumps, lines)))


def _merge_state(args: argparse.Namespace) -> None:
    from tap_fullstory.merge import merge
    from tap_fullstory.state import read_bookmarks

    start = read_config(args, _parser()).start_date if args.config else None
    print_result(json.dumps(merge([(path, read_bookmarks(path)) for path in args.merge_state], start)))


def _inputs(
    args: argparse.Namespace, look: Callable[[Mapping[str, Any]], None] | None = None
) -> tuple[Config, list[tuple[Stream, Selection]], dict[str, Any], str | None]:
    """Return the settings, the selected streams, bookmarks and begun stream of the state; warns of what is odd.

    Args:
        look: is given the settings before they are checked.
    """
    from tap_fullstory.catalog import read_catalog, select
    from tap_fullstory.state import read_state

    parsed = read_config(args, _parser(), look)
    selected = select(all_streams(parsed), read_catalog(args.catalog) if args.catalog is not None else None)
    begins = args.state is None or (args.to is not None and not os.path.exists(args.state))  # then it will be made
    bookmarks, begun = ({}, None) if begins else read_state(args.state)
    for _, selection in selected:
        for line in selection.warnings:
            LOGGER.warning("%s", line)
    if not selected:
        LOGGER.warning("The catalog selects no stream, so there is nothing to do.")
    return parsed, selected, bookmarks, begun


def _sync(args: argparse.Namespace) -> None:
    began = time.monotonic()
    gc.disable()  # importing makes much and leaves no garbage: looking for it would be a sixth of an empty run
    from tap_fullstory.report import Report
    from tap_fullstory.report_file import ReportFile

    report = Report()
    report_file = ReportFile(report)
    try:
        _sync_reported(args, began, report, report_file)
    except (Exception, KeyboardInterrupt) as error:
        status, line = outcome(error, closed=CLOSED, stopped=STOPPED)
        if status == STATUS_BUG:  # what a bug says may hold anything
            line = f"This is a bug of the tap ({type(error).__name__}). Please report it with its lines in the log."
        report_file.end(status, line or STOPPED)
        raise
    report_file.end(0, None)


def _sync_reported(args: argparse.Namespace, began: float, report: Report, report_file: ReportFile) -> None:
    """Sync; what happens is counted in *report*, which is written into *report_file* on the way."""
    from tap_fullstory.client import Client
    from tap_fullstory.metrics import Metrics
    from tap_fullstory.signals import Stop
    from tap_fullstory.spool import Spool
    from tap_fullstory.state import BEGUN, parse_events_bookmark
    from tap_fullstory.streams import Run
    from tap_fullstory.sync import sync

    gc.freeze()
    gc.enable()
    parsed, selected, bookmarks, begun = _inputs(args, report_file.begin)
    report_file.keep_days = parsed.report_keep_days
    if args.state is not None:
        report_file.before = {"bookmarks": bookmarks, **({BEGUN: begun} if begun else {})}
    report.skip_bundles = parsed.skip_bundles
    streams = {stream.name for stream, _ in selected}
    is_log_alone = "bundles" in streams and "events" not in streams
    left = parse_events_bookmark(bookmarks.get("bundles" if is_log_alone else "events"))
    report.gaps = left.gaps if left else ()  # also if the run ends before it looks for them
    if args.to is not None and parsed.batch_config:
        raise ConfigError('"batch_config" is for a target that reads stdout, --to is for none: leave one of them out.')
    _keep_memory()
    stop, metrics = Stop(lambda signum: report_file.end(128 + signum, STOPPED)), Metrics()
    stop.install()
    spool = Spool(parsed.spool_dir, owner=(parsed.export_url, parsed.api_key))
    selections = {stream.name: selection for stream, selection in selected}
    files = _files(args, parsed, report, metrics, selections) if args.to is not None else None
    batches = _batches(parsed, parsed.batch_config, stop) if parsed.batch_config else None
    writer: Writer = files or batches or _messages(stop)
    client = Client(parsed, report, metrics)
    source = open_source(parsed, client, spool, selections)
    progress = _progress(report, None if files else sys.stdout)
    logs.keep_below(progress)
    deadline = math.inf if parsed.max_runtime is None else began + parsed.max_runtime
    lent = Run(
        config=parsed,
        source=source,
        client=client,
        report=report,
        metrics=metrics,
        stop=stop,
        now=time.time_ns(),
        selections=selections,
        clock=client.now,
        progress=progress,
        report_file=report_file,
        deadline=deadline,
        makes_records=files is None,
        takes_back=files is not None,
    )
    succeeded = False
    try:
        with files or batches or nullcontext():
            sync(selected, bookmarks, lent, writer, begun)
        spool.clean(report.kept)
        succeeded = True
    finally:
        metrics.finish(succeeded=succeeded)
        logs.keep_below(None)
        for line in report.change_lines():
            LOGGER.info("%s", line)
        LOGGER.info("%s", report.summary())
    if files:
        print_result(json.dumps(files.result))


def _messages(stop: Stop) -> MessageWriter:
    """Return what writes Singer messages to stdout."""
    from tap_fullstory.messages import MessageWriter

    return MessageWriter(stdout().fileno(), stop)


def _batches(parsed: Config, batch_config: BatchConfig, stop: Stop) -> BatchWriter:
    """Return what writes files and Singer messages that name them."""
    from tap_fullstory.batch import BatchWriter
    from tap_fullstory.storage import open_storage

    return BatchWriter(_messages(stop), open_storage(batch_config.root, parsed.spool_dir), batch_config)


def _files(
    args: argparse.Namespace, parsed: Config, report: Report, metrics: Metrics, selections: Mapping[str, Selection]
) -> FileWriter:
    """Return what writes files; while there are no threads yet, since it starts processes."""
    from tap_fullstory.encoders import check_installed, has_columns
    from tap_fullstory.files import FileWriter
    from tap_fullstory.storage import open_storage
    from tap_fullstory.streams import events
    from tap_fullstory.workers import start

    form = args.format or FILE_FORMATS[0]
    state_path = None if args.state is None else Path(args.state)
    storage = open_storage(args.to, parsed.spool_dir)
    check_installed(form)
    selection = selections.get(events.NAME)
    layout = events.layout(selection, parsed, for_columns=has_columns(form)) if selection else None
    workers = start(form, layout) if layout else []
    return FileWriter(storage, form, state_path, report, metrics=metrics, workers=workers)


def open_source(parsed: Config, client: Client, spool: Spool, selections: Mapping[str, Selection] | None) -> Source:
    """Return where events come from; only what it needs is imported.

    Args:
        selections: of the streams that are selected; None: everything is wanted of the events.
    """
    if parsed.events_source == "data_export":
        from tap_fullstory.sources.data_export import DataExport

        return DataExport(client, spool, parsed.export_url, parsed.checkpoint_records)
    from tap_fullstory.sources.segment_export import SegmentExport, members
    from tap_fullstory.streams.events import NAME

    if selections is None:
        return SegmentExport(client, spool, parsed, None)
    columns = selections[NAME].columns if NAME in selections else ()
    by_type = bool(parsed.event_types or parsed.exclude_event_types)
    return SegmentExport(client, spool, parsed, members(columns, parsed.custom_columns, by_type=by_type))


def _progress(report: Report, messages: TextIO | None) -> Progress | None:
    """Return what shows people how far a run is, if they look and want to know.

    Args:
        messages: where messages go; None: there are none.
    """
    from tap_fullstory.progress import Progress, wanted

    if not LOGGER.isEnabledFor(logging.INFO) or logs.FORMATTER.structured:
        return None
    return Progress(sys.stderr, report) if wanted(sys.stderr, messages, os.environ) else None


def _keep_memory() -> None:
    """Ask the C library to keep what is freed: each chunk needs as much again, and new memory took 6 % of a run."""
    import ctypes

    with suppress(AttributeError, OSError):  # not glibc
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)
