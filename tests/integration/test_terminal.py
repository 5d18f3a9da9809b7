"""What people in front of a terminal see."""

import os
import pty
import re
import subprocess
import threading

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import GET, TIMEOUT, Tap, bundle, finished

pytestmark = pytest.mark.only_source("data_export")

CLEAR = "\r\x1b[K"


def on_a_terminal(run_tap: Tap, env: dict[str, str], *arguments: str) -> tuple[int, str]:
    """A run whose stderr, and with arguments also stdout, is a terminal: its exit status, and what the terminal got."""
    ours, theirs = pty.openpty()
    seen: list[bytes] = []

    def look() -> None:
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # nobody writes any more
                return
            seen.append(piece)

    reader = threading.Thread(target=look)
    reader.start()
    command = run_tap.command(*arguments, settings={"retry_timeout": 20})
    environment = {name: value for name, value in run_tap.environment(env).items() if name != "CI" or "CI" in env}
    process = subprocess.run(
        command,
        stdout=theirs if arguments else subprocess.PIPE,
        stderr=theirs,
        env=environment,
        cwd=run_tap.folder,
        timeout=TIMEOUT,
        check=False,
    )
    os.close(theirs)
    reader.join(TIMEOUT)
    os.close(ours)
    finished(process.returncode, process.stdout or b"", b"")
    return process.returncode, b"".join(seen).decode()


def screen(text: str) -> list[str]:
    """The rows that stand there at last."""
    rows = [row.rpartition(CLEAR)[2] for row in text.replace("\r\n", "\n").split("\n")]
    return [row for row in rows if row]


def test_a_line_says_how_far_a_run_is(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody who waits for a first load would see nothing for hours."""
    emulator.bundles = [bundle(day) for day in range(4)]
    emulator.faults = [Fault(GET, status=429, headers={"Retry-After": "1"}, skip=2)]

    status, text = on_a_terminal(run_tap, {"TERM": "xterm"})

    assert 0 == status
    drawn = [piece for piece in re.split(re.escape(CLEAR), text) if " bundles | " in piece]
    assert any("of 4 bundles" in piece for piece in drawn)
    assert any("Fullstory lets us go on in" in piece for piece in drawn)
    rows = screen(text)
    assert all(row.startswith(("INFO ", "WARNING ")) for row in rows), rows
    assert "12 records, 4 bundles finished" in rows[-1]


def test_a_line_says_how_far_files_are_written(run_tap: Tap, emulator: Emulator) -> None:
    """Where no messages go to stdout, people look at it in the same terminal, and would see nothing for hours."""
    emulator.bundles = [bundle(day) for day in range(4)]
    emulator.faults = [Fault(GET, status=429, headers={"Retry-After": "1"}, skip=2)]

    status, text = on_a_terminal(run_tap, {"TERM": "xterm"}, "--to", "files")

    assert 0 == status
    assert "of 4 bundles" in text
    assert screen(text)[-1].startswith('{"manifests"')


@pytest.mark.parametrize(
    "env", [{"TERM": "xterm", "CI": "true"}, {"TERM": "dumb"}, {"TERM": "xterm", "LOGLEVEL": "ERROR"}]
)
def test_where_nobody_wants_it_there_is_no_line(run_tap: Tap, emulator: Emulator, env: dict[str, str]) -> None:
    """Logs would be full of control characters."""
    emulator.bundles = [bundle(0)]

    status, text = on_a_terminal(run_tap, env)

    assert 0 == status
    assert "\x1b" not in text


@pytest.mark.parametrize("level, expected", [("INFO", False), ("DEBUG", True)])
def test_metrics_are_not_for_people(run_tap: Tap, emulator: Emulator, level: str, expected: bool) -> None:
    """What a run says would scroll away between lines of JSON."""
    emulator.bundles = [bundle(0)]

    status, text = on_a_terminal(run_tap, {"TERM": "xterm", "LOGLEVEL": level})

    assert 0 == status
    assert expected == ("METRIC" in text)
    assert "1 bundle finished" in text


def test_the_summary_says_where_the_run_ended(run_tap: Tap, emulator: Emulator) -> None:
    """People would have to read the state to know how far the warehouse is."""
    emulator.bundles = [bundle(0), bundle(2)]

    run = run_tap()

    assert "; written up to 2023-11-18T00:00:00Z, 1 gap before." in run.last_line
