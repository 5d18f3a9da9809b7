"""`--test` says whether a run can succeed, before it is waited for."""

import re
import time
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.objects import catalog
from tests.integration.tap import DAY, GET, HOUR, LIST, Tap, bookmark, rfc

pytestmark = pytest.mark.only_source("data_export")

ME = "/me"
TODAY = int(time.time()) // DAY * DAY


def days(count: int) -> list[Bundle]:
    """The last bundles of an account that are there today."""
    return [Bundle(TODAY - day * DAY, TODAY - (day - 1) * DAY) for day in range(count + 1, 1, -1)]


def results_of(run_tap: Tap, **options: Any) -> tuple[int, list[str], list[str]]:
    """Exit status, what was printed, and what was logged."""
    done = run_tap.bare(run_tap.command("--test", **options)[3:])
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode().splitlines(), done.stderr.decode().splitlines()


@pytest.mark.proves("capabilities", "test")
def test_all_is_well(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody who sets the tap up would have to wait for a first load to see a mistake."""
    emulator.bundles = days(3)

    status, lines, log = results_of(run_tap)

    assert (0, []) == (status, log)
    assert ["ok    settings", "ok    spool folder", "ok    key", "ok    export", "ok    first load"] == [
        line.partition(":")[0] for line in lines
    ]
    assert "its role is ARCHITECT" in lines[2]
    assert f"of 24 hours, which ends {rfc(TODAY - DAY)}." in lines[3]
    assert (
        "3 bundles since 2023-11-01T00:00:00Z; at Fullstory's 2 downloads a minute this takes at least 1 minute"
        in lines[4]
    )
    assert 0 == emulator.count(GET)
    assert [] == run_tap.waiting()


@pytest.mark.proves("capabilities", "test")
def test_a_long_load_is_estimated(run_tap: Tap, emulator: Emulator) -> None:
    """All pages of a year would be asked for, only to test."""
    emulator.bundles = days(365)

    _, lines, _ = results_of(run_tap, settings={"start_date": rfc(TODAY - 400 * DAY)})

    assert re.search("36[56] bundles since", lines[4]) and "or so" in lines[4]  # 366: midnight has passed since TODAY
    assert "at least 3 hours" in lines[4]
    assert emulator.count(LIST) < 6


def test_what_is_left_is_counted_from_the_state(run_tap: Tap, emulator: Emulator) -> None:
    """An account that is up to date would be told to wait for hours."""
    emulator.bundles = days(5)
    state = bookmark(TODAY - 9 * DAY, TODAY - 2 * DAY, [emulator.bundles[-2].id])

    _, lines, _ = results_of(run_tap, state=state)

    assert lines[4].startswith("ok    first load: 1 bundle since")


@pytest.mark.parametrize(
    "trouble, status, failed",
    [
        ((None, "USER"), 77, {"key", "export"}),
        ((Fault(None, status=401, times=None), "ADMIN"), 77, {"key", "export"}),
        ((Fault(LIST, status=403, times=None), "ADMIN"), 77, {"export"}),
        ((Fault(LIST, status=404, times=None), "ADMIN"), 78, {"export"}),
        ((Fault(ME, status=500, times=None), "ADMIN"), 69, {"key"}),
        ((Fault(ME, body='{"email": "owner@example.com"}', times=None), "ADMIN"), 65, {"key"}),
        ((Fault(None, reset=True, times=None), "ADMIN"), 69, {"key", "export"}),
    ],
)
def test_each_failure_is_named(
    run_tap: Tap, emulator: Emulator, trouble: "tuple[Fault | None, str]", status: int, failed: set[str]
) -> None:
    """A test that says only "failed" would leave people guessing between key, role, host and add-on."""
    emulator.bundles = days(1)
    fault, emulator.role = trouble
    emulator.faults = [fault] if fault else []

    found, lines, log = results_of(run_tap, settings={"retry_timeout": 0})

    assert status == found
    assert failed == {line[6:].partition(":")[0] for line in lines if line.startswith("FAIL")}
    assert log[-1].startswith("CRITICAL")
    assert "owner@example.com" not in "".join(lines + log)


def test_a_spool_folder_that_is_not_there_is_named(run_tap: Tap, emulator: Emulator) -> None:
    """The first run would end in the middle of the night."""
    found, lines, _ = results_of(run_tap, settings={"spool_dir": str(run_tap.folder / "none")})

    assert 74 == found
    assert lines[1].startswith("FAIL  spool folder")
    assert lines[2].startswith("ok    key")


def test_wrong_settings_end_it_at_once(run_tap: Tap, emulator: Emulator) -> None:
    """A half-read file would be tested instead of being named."""
    found, lines, log = results_of(run_tap, settings={"prefetch": "many"})

    assert (78, []) == (found, lines)
    assert '"prefetch"' in log[-1]


def test_an_account_without_bundles_is_no_failure(run_tap: Tap, emulator: Emulator) -> None:
    """A new account would look broken."""
    found, lines, _ = results_of(run_tap)

    assert 0 == found
    assert "no bundle" in lines[3] and "no bundle" in lines[4]


def test_no_secret_is_shown(run_tap: Tap, emulator: Emulator) -> None:
    """What people paste into a question for help would hold the key."""
    emulator.faults = [Fault(None, status=400, body=f"no: {emulator.api_key}", times=None)]

    _, lines, log = results_of(run_tap, settings={"start_date": rfc(TODAY - HOUR)})

    assert emulator.api_key not in "".join(lines + log)


def test_streams_that_are_selected_are_tried(run_tap: Tap, emulator: Emulator) -> None:
    """A key that may not read people would be found out in the middle of the night."""
    emulator.role = "USER"
    everything = catalog("users", "user_sessions", "segments", "operations", "settings", "settings_history")

    status, lines, _ = results_of(run_tap, catalog=everything, settings={"sessions_for": ["uid:u1"]})

    assert 77 == status
    assert ["FAIL  settings", "FAIL  settings_history", "FAIL  users"] == sorted(
        line.partition(":")[0] for line in lines if line.startswith("FAIL")
    )
    assert {"ok    segments: may be read.", "ok    user_sessions: may be read."} <= {*lines}
    assert 0 == emulator.count(LIST)
    emulator.role = "ADMIN"
    assert 0 == results_of(run_tap, catalog=everything)[0]
