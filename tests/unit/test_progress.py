"""The line that says how far a run is."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import termios
import time

import pytest

from tap_fullstory.moments import parse_moment
from tap_fullstory.progress import CLEAR, Progress, wanted
from tap_fullstory.report import Report


class Terminal(io.StringIO):
    """A terminal that says so."""

    def isatty(self) -> bool:
        return True


def text_of(report: Report, after: float = 10.0) -> str:
    """What the line says some seconds after the run began."""
    return Progress(Terminal(), report).text(time.monotonic() + after)


def test_it_says_how_far_a_run_is() -> None:
    """People would not know whether to wait a minute or a day."""
    until = parse_moment("2024-01-05T00:00:00.5Z")
    report = Report(records=1_234_567, bundles=12, known=40, until=until)

    bundles, records, rate, place = text_of(report).split(" | ")

    assert ("12 of 40 bundles", "1,234,567 records") == (bundles, records)
    assert 120_000 < int(rate.removesuffix("/s").replace(",", "")) < 124_000
    assert place.startswith("up to 2024-01-05T00:00:00Z, ") and place.endswith(" days behind")


def test_it_says_how_long_fullstory_lets_us_wait() -> None:
    """A wait for the rate limit would look like a run that hangs."""
    report = Report()
    report.begin_wait(42.0)

    assert "Fullstory lets us go on in 32 s" in text_of(report)
    assert "Fullstory" not in text_of(report, 50.0)


@pytest.mark.parametrize(
    "stderr, stdout, environ, expected",
    [
        (Terminal(), io.StringIO(), {"TERM": "xterm"}, True),
        (Terminal(), None, {"TERM": "tmux-256color", "NO_COLOR": "1"}, True),
        (Terminal(), Terminal(), {"TERM": "xterm"}, False),
        (io.StringIO(), io.StringIO(), {"TERM": "xterm"}, False),
        (None, io.StringIO(), {"TERM": "xterm"}, False),
        (Terminal(), io.StringIO(), {"TERM": "dumb"}, False),
        (Terminal(), io.StringIO(), {}, False),
        (Terminal(), io.StringIO(), {"TERM": "xterm", "CI": "true"}, False),
    ],
)
def test_only_somebody_who_looks_sees_it(
    stderr: io.StringIO | None, stdout: io.StringIO | None, environ: dict[str, str], expected: bool
) -> None:
    """Logs of cron and of CI would be full of control characters, or messages be mixed with the line."""
    assert expected == wanted(stderr, stdout, environ)


def test_it_stays_in_one_row() -> None:
    """In a narrow window the line would fill the screen, row by row."""
    ours, theirs = pty.openpty()
    with open(theirs, "w", encoding="utf-8") as terminal:
        progress = Progress(terminal, Report(records=10**9, bundles=10**4, known=10**5, until=0))
        for columns in (20, 200, 1):
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            progress.draw()
            shown = os.read(ours, 1000).decode().removeprefix(CLEAR)
            assert len(shown) < columns or (columns == 1 and not shown)
    os.close(ours)


def test_a_terminal_that_is_gone_does_no_harm() -> None:
    """Closing the window would end a run under `nohup`."""
    terminal = Terminal()
    progress = Progress(terminal, Report())
    terminal.close()

    progress.draw()
    with progress.away():
        progress.clear()
