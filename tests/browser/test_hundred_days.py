"""A hundred days of real runs, with all that can go wrong, on the page that `tap-fullstory-report` makes of them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fullstory_emulator import Emulator
from tests.browser.conftest import Opener
from tests.browser.days import DAYS, KILLED, LIMITED, MISSING, NEW, REFUSED, VARIABLE, History, clock, moment
from tests.integration.reports import read_reports
from tests.integration.tap import DAY, FIRST, TIMEOUT, Tap, rfc

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """What a hundred runs have left."""
    with Emulator() as emulator:
        made = History(Tap(tmp_path_factory.mktemp("days"), emulator))
        made.make()
        yield made


@pytest.fixture(scope="module")
def path(history: History) -> Path:
    """The page, as the command writes it an hour after the last run."""
    path = history.folder.parent / "report.html"
    done = report(history, "-o", str(path))
    assert (0, b"") == (done.returncode, done.stdout), done.stderr
    return path


@pytest.fixture
def page(path: Path, open_page: Opener) -> Page:
    """The page, opened."""
    return open_page(path)


def report(history: History, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """What the command says of the history."""
    return subprocess.run(
        [sys.executable, "-m", "tap_fullstory.reports", str(history.folder), *arguments],
        check=False,
        capture_output=True,
        timeout=TIMEOUT,
        env=history.tap.environment(clock(history.now)),
    )


def minute(seconds: float) -> str:
    """A moment as the page writes it."""
    return rfc(seconds).replace(":00Z", "Z")


def test_each_run_has_left_its_report(history: History) -> None:
    """What the page shows would be less than what happened."""
    reports = read_reports(history.folder)

    assert DAYS == len(reports)
    statuses = {day: one["status"] for day, one in enumerate(reports) if one["status"] != 0}
    assert {**dict.fromkeys(KILLED), REFUSED: 77} == statuses


def test_everything_is_found_in_the_words_at_the_top(page: Page) -> None:
    """Each of these would have to be looked for among a hundred runs."""
    assert "Healthy." in page.locator(".verdict").inner_text()
    found = page.locator("#noticed").inner_text()

    start, stop = FIRST + MISSING * DAY, FIRST + (MISSING + 1) * DAY
    assert f"Gap: no bundle from {minute(start)} to {minute(stop)}; given up." in found
    assert "2 runs: killed, or the machine went down." in found
    for day in (*KILLED, REFUSED):
        assert minute(moment(day)) in found
    assert "(status 77)" in found
    assert f"Rate limits: {len(LIMITED)} runs from {minute(moment(LIMITED[0]))}" in found
    assert f"New custom variables: {VARIABLE}." in found


def test_the_new_variable_comes_with_the_line_that_makes_a_column_of_it(page: Page) -> None:
    """Who finds it would have to look up how the setting is written."""
    found = page.locator("#variables").inner_text()

    assert minute(moment(NEW)) in found
    assert f'"custom_columns": ["{VARIABLE}"]' in found


def test_a_monitor_agrees_with_the_page(history: History) -> None:
    """Two answers to one question are none."""
    done = report(history, "--check", "--max-lag", "6h")

    assert (0, True) == (done.returncode, done.stdout.startswith(b"FULLSTORY OK"))


def test_a_monitor_warns_when_a_day_was_left_out(history: History) -> None:
    """Fullstory could have delivered a bundle for a day, and nobody would know."""
    history = History(history.tap, now=history.now + DAY)

    done = report(history, "--check", "--max-lag", "6h")

    assert (2, True) == (done.returncode, b"7 h behind" in done.stdout), done.stdout
