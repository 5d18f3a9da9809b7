"""Processes that write files: what they are given, what comes back, and how they end."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory import workers
from tap_fullstory.dictionary import columns
from tap_fullstory.encoders import Written
from tap_fullstory.errors import BundleError, TransientError
from tap_fullstory.layout import Layout
from tap_fullstory.records import ALL, Window
from tap_fullstory.report import Change
from tap_fullstory.workers import RemoteEncoder, Task, Worker

TIMEOUT = 60.0  # seconds; all of it takes a moment
BUNDLE = 170000640048


@pytest.fixture
def worker() -> Iterator[Worker]:
    layout = Layout([one.name for one in columns(event_key=False)], ())
    worker = Worker(layout, "jsonl", [])
    yield worker
    worker.close()


def events(*numbers: int, **members: Any) -> bytes:
    """An array of events."""
    return json.dumps(
        [{"EventStart": f"2024-01-01T00:00:{number:02d}Z", "UserId": number, **members} for number in numbers]
    ).encode()


def a_file(folder: Path) -> Path:
    path = folder / "file"
    path.touch()
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def write(worker: Worker, path: Path, *runs: bytes, window: Window = ALL) -> Written:
    encoder = RemoteEncoder(worker, Task(path, {}, BUNDLE, window))
    encoder.write(runs)
    return encoder.finish()


def test_records_of_events_are_written(worker: Worker, tmp_path: Path) -> None:
    """What goes through a worker would be something else than what goes to a target."""
    path = a_file(tmp_path)

    written = write(worker, path, events(1, 2), events(3, user_plan_str="a\0"))

    assert 3 == written.rows
    assert [1, 2, 3] == [row["UserId"] for row in rows(path)]
    assert {BUNDLE} == {row["_bundle_id"] for row in rows(path)}
    assert {"user_plan_str": 1} == dict(written.report.custom) == dict(written.report.changes[Change.REPLACED])


def test_files_follow_each_other(worker: Worker, tmp_path: Path) -> None:
    """The second file would hold the window, or the counts, of the first."""
    path = a_file(tmp_path)
    write(worker, path, events(1, user_plan_str="a"), window=Window("2024-01-01T00:00:02"))

    written = write(worker, path, events(1, 2))

    assert 2 == written.rows
    assert not written.report.custom


def test_what_is_outside_of_the_window_is_left_out(worker: Worker, tmp_path: Path) -> None:
    """A bundle that is wanted in part would be there whole."""
    path = a_file(tmp_path)

    written = write(worker, path, events(1, 2, 3), window=Window("2024-01-01T00:00:02"))

    assert 2 == written.rows
    assert [2, 3] == [row["UserId"] for row in rows(path)]


def test_an_error_arrives_where_it_is_seen_and_the_worker_goes_on(worker: Worker, tmp_path: Path) -> None:
    """An event that cannot be read would look like a worker that died, or stop the next file."""
    path = a_file(tmp_path)

    with pytest.raises(BundleError, match="JSON breaks off"):
        write(worker, path, b"[nonsense]", *[events(1)] * 2000)  # more than the pipe holds

    assert 1 == write(worker, path, events(1)).rows


def test_a_file_that_cannot_be_written_is_said(worker: Worker, tmp_path: Path) -> None:
    """A full disk would look like a worker that died."""
    with pytest.raises(OSError, match="nowhere"):
        write(worker, tmp_path / "nowhere" / "file", events(1))


def test_a_worker_that_was_killed_is_said(worker: Worker, tmp_path: Path) -> None:
    """The run would wait for ever, or take what is there for the whole file."""
    encoder = RemoteEncoder(worker, Task(a_file(tmp_path), {}, BUNDLE, ALL))
    os.kill(worker.pid, signal.SIGKILL)

    with pytest.raises(TransientError, match="ended before its time"):
        encoder.finish()


PARENT = """
import os, sys, time
from tap_fullstory.layout import Layout
from tap_fullstory.workers import start
workers = start("jsonl", Layout(("EventStart", "_bundle_id"), ()))
print(*[worker.pid for worker in workers], flush=True)
time.sleep(60)
"""


def test_workers_do_not_outlive_us(tmp_path: Path) -> None:
    """A run that is killed would leave processes that hold memory and files."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert pids
        parent.kill()

    deadline = time.monotonic() + TIMEOUT
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.05)


def is_running(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


def test_a_signal_to_all_leaves_workers_to_us(worker: Worker, tmp_path: Path) -> None:
    """Ctrl-C would end them in the middle of a file that is to be finished."""
    encoder = RemoteEncoder(worker, Task(a_file(tmp_path), {}, BUNDLE, ALL))
    for signum in (signal.SIGINT, signal.SIGTERM):
        os.kill(worker.pid, signum)
    encoder.write([events(1)])

    assert 1 == encoder.finish().rows


def test_a_signal_right_after_its_start_does_not_end_a_worker(tmp_path: Path) -> None:
    """Whether Ctrl-C ends a run well would depend on a millisecond."""
    layout = Layout([one.name for one in columns(event_key=False)], ())
    for _ in range(50):
        worker = Worker(layout, "jsonl", [])
        os.kill(worker.pid, signal.SIGTERM)
        try:
            assert 1 == write(worker, a_file(tmp_path), events(1)).rows
        finally:
            worker.close()


def test_there_is_a_worker_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a small machine they would only take memory from each other."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})
    started = workers.start("jsonl", Layout(("EventStart", "_bundle_id"), ()))
    try:
        assert 3 == len(started)
    finally:
        for one in started:
            one.close()
