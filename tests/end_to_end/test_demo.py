"""`make demo`: what a stranger sees first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo.tables import columns, cut, shown, table
from tests.end_to_end.pipeline import ROOT, TIMEOUT

COMMAND = [sys.executable, "-m", "demo"]


@pytest.mark.parametrize("source", ["data_export", pytest.param("segment_export", marks=pytest.mark.pipelines)])
def test_demo_tells_its_story(tmp_path: Path, source: str) -> None:
    """All events once, then only new ones, and tables that fit an ordinary terminal; nothing stays behind."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    temporary.chmod(0o755)

    demo = subprocess.run(
        [*COMMAND, "--source", source],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary), "HOME": "/nonexistent", "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )

    text = demo.stdout.decode()
    assert (0, "") == (demo.returncode, demo.stderr.decode()), text
    assert (source == "segment_export") == ('"segment_export"' in text)
    assert "9,000 events in" in text
    assert "3,000 new events in" in text
    assert "12,000 in all, none twice" in text
    timeline = text.partition("6. What")[2].partition("7. The")[0]
    assert "custom " in timeline
    assert timeline.count("#/") >= 12
    assert max(map(columns, text.splitlines())) <= 100
    assert text.replace("\n", "").isprintable()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_demo_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever has seen enough gets the machine back as it was."""
    demo = subprocess.Popen(
        COMMAND, cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert demo.stdout is not None
    for line in demo.stdout:
        if b"target-postgres" in line:
            break

    demo.send_signal(number)
    _, errors = demo.communicate(timeout=TIMEOUT)

    assert 130 == demo.returncode
    assert "Stopped." == errors.decode().strip()
    assert not list(tmp_path.iterdir())


def test_table_fits() -> None:
    """Wide cells are cut, numbers stand to the right, double-width characters count twice."""
    found = table(["name", "n"], [("マンゴー", 1200), ("x" * 40, 7)], width=20)

    assert [
        "name               n",
        "-------------  -----",
        "マンゴー       1,200",
        "xxxxxxxxxx...      7",
    ] == found.splitlines()
    assert all(columns(line) <= 20 for line in found.splitlines())
    assert "マ..." == cut("マンゴー", 6)


def test_control_characters_are_spelled_out() -> None:
    """Text that visitors typed must not steer the terminal of whoever looks at it."""
    assert r"a\x1b[31m\r\nb\u2028ö \u202e" == shown("a\x1b[31m\r\nb\u2028ö \u202e")
