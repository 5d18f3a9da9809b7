"""Signals, closed pipes, full devices, folders that cannot be used."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import GET, LIST, TIMEOUT, Run, Tap, big_bundle, bundle, finished, read_lines
from tests.integration.test_resume import MANY, safe, wait_for


def ended(process: "subprocess.Popen[bytes]", begun: bytes = b"") -> tuple[Run, float]:
    """The run and the seconds until its end."""
    begin = time.monotonic()
    rest, errors = process.communicate(timeout=TIMEOUT)
    seconds = time.monotonic() - begin
    return finished(process.returncode, begun + rest, errors), seconds


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_on_a_safe_state(run_tap: Tap, emulator: Emulator, number: int, status: int) -> None:
    """Stopping a job would leave half a line behind, or a state that loses or repeats events."""
    emulator.bundles = [big_bundle(MANY), bundle(1, first=MANY)]
    process = run_tap.start(settings={"checkpoint_records": 700})
    begun = read_lines(process, 2000)
    process.send_signal(number)
    run, seconds = ended(process, begun)

    assert status == run.status
    assert seconds < 5
    assert "STATE" == run.messages[-1]["type"]
    assert len(run.records()) == len(safe(run)) < MANY
    assert 1 == sum(line.startswith("CRITICAL") for line in run.said)

    rest = run_tap(state=run.states[-1])
    assert (0, [*range(MANY + 3)]) == (rest.status, run.numbers() + rest.numbers())


@pytest.mark.only_source("data_export")
def test_a_signal_ends_a_wait(run_tap: Tap, emulator: Emulator) -> None:
    """A job that waits for Fullstory, or for a silent connection, could not be stopped."""
    emulator.bundles = [bundle(0), bundle(1)]
    slow = {"match": {"id": str(emulator.bundles[1].id)}, "times": None}
    for fault in (
        Fault(GET, status=429, headers={"Retry-After": "600"}, **slow),
        Fault(GET, stall_after=5, stall_for=60, **slow),
        Fault(GET, delay=60, **slow),
        Fault(LIST, delay=60, times=None),
    ):
        emulator.faults = [fault]
        process = run_tap.start(settings={"request_timeout": 100})
        # not for a number of requests: the run before may have left the file of the first bundle behind
        wait_for(lambda f=fault: f.used)
        begun = read_lines(process, 4) if fault.path == GET else b""  # the first bundle: a SCHEMA and three RECORDs
        process.send_signal(signal.SIGTERM)
        run, seconds = ended(process, begun)

        assert 143 == run.status
        assert seconds < 5
        assert fault.path == LIST or [0, 1, 2] == run.numbers()
        if fault.path == GET:  # the signal may come while the first bundle is being finished
            assert "2023-11-16T00:00:00Z" == run.bookmark["until"] or 3 == run.bookmark["partial"][1]


@pytest.mark.long
def test_a_signal_ends_a_run_whose_target_takes_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A job whose target hangs could only be killed."""
    emulator.bundles = [big_bundle(MANY)]
    processes = [run_tap.start(settings={"checkpoint_records": 500}) for _ in range(2)]
    for process, number in zip(processes, (signal.SIGTERM, signal.SIGINT), strict=True):
        read_lines(process, 10)
        process.send_signal(number)
    begin = time.monotonic()
    for process, status in zip(processes, (143, 130), strict=True):
        assert status == process.wait(TIMEOUT)
        assert time.monotonic() - begin < 7
        process.communicate()


def test_two_signals_at_once_do_no_harm(run_tap: Tap, emulator: Emulator) -> None:
    """Ctrl-C under an orchestrator that also sends SIGTERM would cut a line and lose the last STATE."""
    emulator.bundles = [big_bundle(MANY)]
    for signals in ([signal.SIGINT, signal.SIGTERM], [signal.SIGINT] * 2) * 2:
        process = run_tap.start(settings={"checkpoint_records": 700})
        begun = read_lines(process, 500)
        for number in signals:
            process.send_signal(number)
        run, seconds = ended(process, begun)

        assert run.status in (130, 143)
        assert seconds < 5
        assert "STATE" == run.messages[-1]["type"]
        assert 1 == sum(line.startswith("CRITICAL") for line in run.said)


@pytest.mark.parametrize("lines", [0, 5])
def test_a_target_that_goes_away_ends_the_run_with_141(run_tap: Tap, emulator: Emulator, lines: int) -> None:
    """The failure of a target would be buried under a traceback of the tap, or the tap would go on for hours."""
    emulator.bundles = [big_bundle(MANY), bundle(1)]
    process = run_tap.start()
    read_lines(process, lines)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()

    assert 141 == process.wait(TIMEOUT)
    assert "Traceback" not in errors and "BrokenPipe" not in errors and "Exception ignored" not in errors
    assert 1 == sum("METRIC" not in line and not line.startswith("INFO") for line in errors.splitlines())


def test_a_full_device_as_stdout_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever writes to a file on a full disk would believe that all is well."""
    emulator.bundles = [bundle(0)]
    with open("/dev/full", "wb") as full:
        process = run_tap.start(stdout=full)
        _, errors = process.communicate(timeout=TIMEOUT)

    assert 74 == process.returncode
    assert b"Traceback" not in errors and b"Exception ignored" not in errors
    assert b"space" in errors.splitlines()[-1].lower() or b"stdout" in errors.splitlines()[-1].lower()


def test_a_closed_stdout_is_no_bug(run_tap: Tap, emulator: Emulator) -> None:
    """A job that was started without any stdout would be reported as a bug of the tap."""
    emulator.bundles = [bundle(0)]
    process = run_tap.start(before=["sh", "-c", 'exec "$@" >&-', "sh"])
    _, errors = process.communicate(timeout=TIMEOUT)

    assert process.returncode in (74, 141)
    assert b"Traceback" not in errors


def read_only(folder: Path) -> Path:
    """A folder nobody may write to, not even root."""
    if os.geteuid() == 0:
        return Path("/proc")
    folder.mkdir(mode=0o500)
    return folder


def test_a_spool_folder_that_cannot_be_used_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """A wrong path would be taken for a failure of Fullstory."""
    emulator.bundles = [bundle(0)]
    file = run_tap.folder / "file"
    file.write_bytes(b"")
    folders = [run_tap.folder / "missing", file, read_only(run_tap.folder / "read-only")]

    for folder, run in zip(folders, run_tap.all({"settings": {"spool_dir": str(f)}} for f in folders), strict=True):
        assert (74, []) == (run.status, run.records()), run.stderr
        assert str(folder) in run.last_line
        assert 1 == sum(not line.startswith("INFO") for line in run.said)


@pytest.mark.only_source("data_export")
def test_a_folder_that_becomes_full_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """A full disk would be retried for an hour, or be reported as a bug."""
    emulator.bundles = [bundle(0), big_bundle(MANY, 1, 100), bundle(2)]
    emulator.encoding = "plain"
    limited = ["sh", "-c", 'ulimit -f 256; exec "$@"', "sh"]  # no file may be larger than 128 or 256 KiB
    run, _ = ended(run_tap.start(before=limited, settings={"retry_timeout": 30}))

    assert (74, [0, 1, 2]) == (run.status, run.numbers())
    assert str(run_tap.spool) in run.last_line
    assert 2 == emulator.count(GET)
    assert [] == run_tap.waiting()
