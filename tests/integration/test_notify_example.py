"""`examples/notify/notify.sh` tells about new sessions, with the tap, a state file and jq alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fullstory_emulator import Emulator, Fault
from tests.integration.tap import FIRST, TIMEOUT, Json, Tap, rfc

pytestmark = [pytest.mark.only_source("data_export"), pytest.mark.long]

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "notify" / "notify.sh"
SESSIONS = "/sessions/v2"


def person(uid: str, sessions: int) -> Json:
    listed = [[1, 100 + one, rfc(FIRST + 60 * one)] for one in range(sessions)]
    return {"id": uid, "uid": uid, "email": f"{uid}@example.com", "sessions": listed}


class Job:
    """A folder with the settings, the state and what was told."""

    def __init__(self, tap: Tap) -> None:
        self.tap = tap
        programs = tap.folder / "bin"
        programs.mkdir()
        (programs / "tap-fullstory").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tap_fullstory "$@"\n')
        (programs / "tap-fullstory").chmod(0o755)
        self.environment = {**tap.environment(), "PATH": f"{programs}:{os.environ['PATH']}", "TMPDIR": str(tap.spool)}
        self.people = ["uid:bo"]
        self.state = tap.folder / "my state.json"
        self.told = tap.folder / "told"

    def run(self, command: str = "cat >>told") -> int:
        """Run the script; returns its exit status."""
        config = self.tap.file("config.json", self.tap.settings({"sessions_for": self.people}))
        done = subprocess.run(
            [str(SCRIPT), config, str(self.state), "sh", "-c", command],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            env=self.environment,
            cwd=self.tap.folder,
        )
        assert b"Traceback" not in done.stderr
        assert b"jq:" not in done.stderr, done.stderr
        assert b"" == done.stdout
        assert [] == self.tap.waiting()
        return done.returncode

    def lines(self) -> list[str]:
        """What was told so far."""
        return self.told.read_text().splitlines() if self.told.exists() else []


@pytest.fixture
def job(run_tap: Tap, emulator: Emulator) -> Job:
    emulator.users = [person("bo", 2), person("dana", 3)]
    return Job(run_tap)


def test_new_sessions_are_told_once(job: Job, emulator: Emulator) -> None:
    """A first run that tells the whole past, or a session that is told each hour, and nobody reads it any more."""
    assert (0, []) == (job.run(), job.lines())
    assert (0, []) == (job.run(), job.lines())

    emulator.users = [person("bo", 4), person("dana", 3)]
    job.people.append("dana@example.com")  # whose past is not told either
    assert 0 == job.run()
    new = [f"{rfc(FIRST + 60 * one)}  uid:bo  " for one in (2, 3)]
    assert new == [line[: len(new[0])] for line in job.lines()]
    assert all(line.endswith(f"/session/1:{100 + one}") for line, one in zip(job.lines(), (2, 3), strict=True))

    emulator.users = [person("bo", 4), person("dana", 4)]
    assert 0 == job.run()
    assert 3 == len(job.lines())
    assert "email:dana@example.com" in job.lines()[-1]


def test_the_first_session_of_somebody_is_told(job: Job, emulator: Emulator) -> None:
    """Somebody whom Fullstory did not know yet is new to the state only once; their very first visit is news."""
    emulator.users = []
    assert (0, []) == (job.run(), job.lines())
    emulator.users = [person("bo", 1)]
    assert (0, 1) == (job.run(), len(job.lines()))


def test_what_could_not_be_told_is_told_later(job: Job, emulator: Emulator) -> None:
    """A mail server that is down for an hour must not cost the sessions of that hour."""
    job.run()
    emulator.users = [person("bo", 3)]
    assert 7 == job.run("cat >/dev/null; exit 7")
    assert 0 == job.run()
    assert 1 == len(job.lines())
    assert 0 == job.run()
    assert 1 == len(job.lines())


def test_a_failed_run_keeps_its_place(job: Job, emulator: Emulator) -> None:
    """The status says that it failed, and the next run tells what this one could not see."""
    job.run()
    emulator.users = [person("bo", 3)]
    emulator.faults = [Fault(SESSIONS, times=None, status=503)]
    assert 69 == job.run()
    emulator.faults = []
    assert (0, 1) == (job.run(), len(job.lines()))
