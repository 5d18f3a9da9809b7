"""examples/cron/tap-fullstory.sh: a state file that is always whole, whatever becomes of a run."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.expected import assert_same_rows, expected_rows
from tests.end_to_end.pipeline import ROOT, TAP, TARGET, TIMEOUT, Pipeline

SCRIPT = ROOT / "examples" / "cron" / "tap-fullstory.sh"
DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z

# Stores records in a file and prints states, as a target does. Its behaviour is its second argument.
TARGET_STAND_IN = """
import json, os, sys, time
path, behaviour = sys.argv[1:]
with open(path, "a") as stored:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "RECORD":
            stored.write(json.dumps(message["record"]) + "\\n")
        if message["type"] == "STATE":
            stored.flush()
            text = json.dumps(message["value"])
            if behaviour == "dies at the second state" and os.path.exists(path + ".one"):
                print(text[: len(text) // 2], end="", flush=True)
                os._exit(3)
            print(text, flush=True)
            open(path + ".one", "w").close()
            if behaviour == "waits":
                open(path + ".waiting", "w").close()
                while not os.path.exists(path + ".go"):
                    time.sleep(0.02)
            if behaviour == "says odd things":
                print("{}", "loaded 5 rows", "", '{"bookmarks": {', sep="\\n", flush=True)
"""


@dataclass
class Job:
    """A folder as the crontab names it."""

    folder: Path
    shop: Emulator

    def write_config(self, **settings: Any) -> None:
        """The tap's settings."""
        config = {
            "api_key": self.shop.api_key,
            "api_url": self.shop.url,
            "export_url": self.shop.url,
            "start_date": "2023-11-01T00:00:00Z",
            **settings,
        }
        (self.folder / "config.json").write_text(json.dumps(config))

    def command(self, behaviour: str = "") -> list[str]:
        """The script with the stand-in as its target."""
        return [str(SCRIPT), str(self.folder), sys.executable, str(self.folder / "target.py"), *self.stored, behaviour]

    def run(self, command: list[str] | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the script as cron does: elsewhere, with hardly any environment."""
        return subprocess.run(
            command or self.command(),
            cwd="/",
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def environment(self, **more: str) -> dict[str, str]:
        """What cron gives, and where the tap is."""
        return {"PATH": f"{TAP.parent}:/usr/bin:/bin", "HOME": "/nonexistent", "TMPDIR": str(self.folder), **more}

    @property
    def stored(self) -> list[str]:
        """The argument that names the stand-in's file."""
        return [str(self.folder / "stored")]

    def records(self) -> list[dict[str, Any]]:
        """What the stand-in stored."""
        path = self.folder / "stored"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def state(self) -> dict[str, Any]:
        """The state file, which must be whole at any time."""
        text = (self.folder / "state.json").read_text()
        assert text.endswith("}\n")
        value: dict[str, Any] = json.loads(text)
        assert value["bookmarks"]["events"]
        return value

    def log(self) -> str:
        """The log file."""
        return (self.folder / "log").read_text()


@pytest.fixture
def job(tmp_path: Path, shop: Emulator) -> Job:
    """A folder, with spaces in its name, for an account with two bundles of five events."""
    folder = tmp_path / "my fullstory job"
    folder.mkdir()
    (folder / "target.py").write_text(TARGET_STAND_IN)
    shop.bundles = [bundle(0), bundle(1)]
    job = Job(folder, shop)
    job.write_config()
    return job


def bundle(day: int) -> Bundle:
    """Five events of one day."""
    start = FIRST + day * DAY
    hours = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(start + hour * 3600)) for hour in range(5)]
    events = [{"EventStart": hour, "EventType": "click", "PageId": start + at} for at, hour in enumerate(hours)]
    return Bundle(start, start + DAY, events)


def test_first_run_loads_all_and_the_second_nothing(job: Job) -> None:
    """Without a state everything is loaded, with one only what is new."""
    first = job.run()
    assert (0, "") == (first.returncode, first.stderr), job.log()
    assert 10 == len(job.records())
    state = job.state()

    second = job.run()
    assert (0, "") == (second.returncode, second.stderr), job.log()
    assert 10 == len(job.records())
    assert state == job.state()

    job.shop.bundles = [bundle(0), bundle(1), bundle(2)]
    assert 0 == job.run().returncode
    assert 15 == len({record["PageId"] for record in job.records()}) == len(job.records())
    assert 0o600 == (job.folder / "state.json").stat().st_mode & 0o777


def test_refused_key_changes_nothing(job: Job) -> None:
    """The tap's exit status says what to do, and the state of better days stays."""
    assert 0 == job.run().returncode
    state = job.state()
    job.write_config(api_key="revoked-key")

    run = job.run()

    assert 77 == run.returncode
    assert "tap 77" in run.stderr
    assert 1 == len(run.stderr.splitlines())
    assert state == job.state()
    assert "revoked-key" not in job.log() + run.stderr


def test_refused_key_at_the_first_run(job: Job) -> None:
    """A first run that fails at once leaves no state file, above all no empty one."""
    job.write_config(api_key="wrong-key")

    assert 77 == job.run().returncode

    assert not [path.name for path in job.folder.glob("state*")]


def test_target_that_dies_keeps_what_it_confirmed(job: Job) -> None:
    """States printed before the target died are kept, the one it died over is not."""
    run = job.run(job.command("dies at the second state"))

    assert 0 != run.returncode
    assert "target 3" in run.stderr
    assert [bundle(0).id] == job.state()["bookmarks"]["events"]["done"]
    assert 0 == job.run().returncode
    assert {record["PageId"] for record in job.records()} == {
        event["PageId"] for one in job.shop.bundles for event in one.read_events()
    }


def test_only_states_get_into_the_state_file(job: Job) -> None:
    """A target that prints other things as well does not spoil the state."""
    run = job.run(job.command("says odd things"))

    assert 0 == run.returncode, job.log()
    assert [bundle(1).id] == job.state()["bookmarks"]["events"]["done"]


@pytest.fixture
def long_run(job: Job) -> Iterator["subprocess.Popen[bytes]"]:
    """A run whose target waits after the first state until a file `stored.go` appears."""
    process = subprocess.Popen(
        job.command("waits"), env=job.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    assert until((job.folder / "state.json").exists)
    yield process
    (job.folder / "stored.go").touch()
    process.wait(TIMEOUT)


def test_second_instance_leaves_the_first_alone(job: Job, long_run: "subprocess.Popen[bytes]") -> None:
    """Two runs at the same time would load everything twice."""
    second = job.run()

    assert (75, "") == (second.returncode, second.stderr)
    assert "still going" in job.log()
    (job.folder / "stored.go").touch()
    assert 0 == long_run.wait(TIMEOUT)
    assert 10 == len(job.records())


def test_killed_script_leaves_a_lock_while_its_run_goes_on(job: Job, long_run: "subprocess.Popen[bytes]") -> None:
    """Killed alone, the script leaves tap and target running: a new one must not start beside them."""
    long_run.kill()
    long_run.wait(TIMEOUT)

    assert 75 == job.run().returncode
    (job.folder / "stored.go").touch()
    assert until(lambda: job.run().returncode == 0)

    assert 10 == len({record["PageId"] for record in job.records()}) == len(job.records())
    assert [bundle(1).id] == job.state()["bookmarks"]["events"]["done"]


def test_state_file_is_whole_at_any_moment(job: Job) -> None:
    """Whoever looks at the state file while runs replace it sees the old or the new one, never a part."""
    job.shop.bundles = [bundle(day) for day in range(60)]
    process = subprocess.Popen(job.command(), env=job.environment(), stdin=subprocess.DEVNULL)
    seen = set()
    while process.poll() is None:
        if (job.folder / "state.json").exists():
            seen.add(json.dumps(job.state()))

    assert 0 == process.returncode
    assert len(seen) > 1
    assert [bundle(59).id] == job.state()["bookmarks"]["events"]["done"]


def test_state_that_cannot_be_written_is_said(job: Job) -> None:
    """A full disk must not end in a run that seems fine and repeats everything next time."""
    (job.folder / "state.json.new").mkdir()

    run = job.run()

    assert 74 == run.returncode
    assert "state file 74" in run.stderr


def test_missing_folder_is_a_wrong_command_line(tmp_path: Path) -> None:
    """Whoever mistypes the folder reads how it is meant."""
    run = subprocess.run(
        [str(SCRIPT), str(tmp_path / "nowhere"), "target"], capture_output=True, text=True, check=False
    )

    assert 2 == run.returncode
    assert "Usage" in run.stderr


def test_with_the_real_target(job: Job, pipeline: Pipeline, columns: dict[str, Any]) -> None:
    """The line in the script's own example works: runs a day apart, into PostgreSQL."""
    assert pipeline.emulator is job.shop
    target = str(pipeline.write_target_settings())
    command = [str(SCRIPT), str(job.folder), "target-postgres", "--config", target]
    path = f"{TAP.parent}:{TARGET.parent}:{os.defpath}"

    first = job.run(command, PATH=path)
    job.shop.bundles = [bundle(0), bundle(1), bundle(2)]
    second = job.run(command, PATH=path)

    assert [0, 0] == [first.returncode, second.returncode], job.log()
    assert_same_rows(expected_rows(job.shop.bundles, columns), pipeline.rows())


def until(condition: Any) -> bool:
    """Whether *condition* came true within a minute."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.05) for _ in range(1200))
