"""`make demo`: what a stranger sees first."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from demo import pages
from demo.tables import columns, cut, shown, table
from tests.end_to_end.pipeline import ROOT, TIMEOUT

COMMAND = [sys.executable, "-m", "demo"]


@pytest.mark.parametrize("source", ["data_export", pytest.param("segment_export", marks=pytest.mark.pipelines)])
def test_demo_tells_its_story(tmp_path: Path, source: str) -> None:
    """All events once, then only new ones, and tables that fit an ordinary terminal; only two pages stay behind."""
    session, runs = ROOT / "demo" / "timeline.html", ROOT / "demo" / "report.html"
    session.unlink(missing_ok=True)
    runs.unlink(missing_ok=True)
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
    visit = text.partition("6. What")[2].partition("7. Look")[0]
    assert "custom " in visit
    assert visit.count("#/") >= 12
    assert max(map(columns, text.splitlines())) <= 100
    assert text.replace("\n", "").isprintable()
    assert not list(temporary.iterdir())
    assert "\n    demo/timeline.html   one visitor's session\n    demo/report.html     the runs: " in text
    page = session.read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and 15 < page.count('<tr id="e')
    assert 'href="https://app.fullstory.com/ui/o-DEMO-na1/session/' in page
    page = runs.read_text("utf-8")
    assert page.lower().startswith("<!doctype html>") and "Healthy." in page


def test_page_that_cannot_be_kept_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a clone that can only be read, or of somebody else, the demo would end with an error after all its work."""
    page = tmp_path / "timeline.html"
    page.write_text("<!DOCTYPE html>")
    monkeypatch.setattr(pages, "FOLDER", page)  # no folder: nobody can write below it, not even root

    said = pages.keep(page)

    assert "demo/timeline.html cannot be written (Not a directory): the page is gone after the demo." == said


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
