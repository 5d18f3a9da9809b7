"""examples/cron/tap-fullstory.sh: a state file that is always whole, whatever becomes of a run."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.end_to_end.expected import assert_same_rows, expected_rows
from tests.end_to_end.job import SCRIPT, Job, bundle, session, until
from tests.end_to_end.pipeline import TAP, TARGET, TIMEOUT, Pipeline

pytestmark = pytest.mark.pipelines


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
    assert job.expected_pages() == job.pages()
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


def test_a_tap_that_is_not_there(job: Job) -> None:
    """A PATH that is wrong, the first thing to go wrong under cron, must not look like a run without news."""
    run = job.run(TAP="tap-of-nowhere")

    assert 127 == run.returncode
    assert "tap-of-nowhere" in job.log()
    assert 1 == len(run.stderr.splitlines())


def test_target_that_dies_keeps_what_it_confirmed(job: Job) -> None:
    """States printed before the target died are kept, the one it died over is not."""
    run = job.run(job.command("dies at the second state"))

    assert run.returncode in (3, 141)  # the tap had ended before it, or has met a closed pipe
    assert "target 3" in run.stderr
    assert [bundle(0).id] == job.state()["bookmarks"]["events"]["done"]
    assert 0 == job.run().returncode
    assert {*job.expected_pages()} == {*job.pages()}


def test_the_tap_ends_when_the_target_is_gone(job: Job) -> None:
    """A tap that goes on for nobody would keep the lock for hours."""
    job.shop.bundles = [bundle(0, events=20_000)]
    job.write_config(checkpoint_records=100)

    run = job.run(job.command("dies at the second state"))

    assert 141 == run.returncode
    assert "target 3" in run.stderr
    assert 100 == job.confirmed()


def test_only_states_get_into_the_state_file(job: Job) -> None:
    """A target that prints other things as well does not spoil the state."""
    run = job.run(job.command("says odd things"))

    assert 0 == run.returncode, job.log()
    assert [bundle(1).id] == job.state()["bookmarks"]["events"]["done"]


@pytest.fixture
def long_run(job: Job) -> Iterator["subprocess.Popen[bytes]"]:
    """A run whose target waits after the first state until a file `stored.go` appears; there is more in the pipe."""
    process = job.start(job.command("waits"))
    assert until((job.folder / "state.json").exists)
    yield process
    (job.folder / "stored.go").touch()
    process.wait(TIMEOUT)


def test_second_instance_leaves_the_first_alone(job: Job, long_run: "subprocess.Popen[bytes]") -> None:
    """Two runs at the same time would load everything twice."""
    second = job.run(job.command("waits"))

    assert (75, "") == (second.returncode, second.stderr)
    assert "still going" in job.log()
    (job.folder / "stored.go").touch()
    assert 0 == long_run.wait(TIMEOUT)
    assert job.expected_pages() == job.pages()


def test_killed_script_leaves_a_lock_while_its_run_goes_on(job: Job, long_run: "subprocess.Popen[bytes]") -> None:
    """Killed alone, the script leaves tap and target running: a new one must not start beside them."""
    long_run.kill()
    long_run.wait(TIMEOUT)

    assert 75 == job.run().returncode
    (job.folder / "stored.go").touch()
    assert until(lambda: job.run().returncode == 0)

    assert job.expected_pages() == job.pages()
    assert [bundle(1).id] == job.state()["bookmarks"]["events"]["done"]


@pytest.mark.parametrize(
    "number, group",
    [
        (signal.SIGTERM, False),  # systemd, Kubernetes, kill
        (signal.SIGTERM, True),  # timeout, orchestrators
        (signal.SIGINT, True),  # Ctrl-C
        (signal.SIGHUP, True),  # the terminal is closed
    ],
)
def test_told_to_stop_it_stops_the_tap_alone(job: Job, number: int, group: bool) -> None:
    """What the tap has written already would not be stored, or stored and not remembered: loaded again next time."""
    job.shop.bundles = [bundle(0, events=20_000)]
    job.write_config(checkpoint_records=500)
    process = job.start(job.command("waits"))
    assert until((job.folder / "state.json").exists)

    (os.killpg if group else os.kill)(process.pid, number)
    assert until(lambda: "stopping the tap" in job.log())
    (job.folder / "stored.go").touch()

    assert 143 == process.wait(TIMEOUT)
    assert (job.folder / "stored.end").exists(), "the target was not allowed to read to the end"
    assert 500 < job.confirmed() == len(job.pages()) < 20_000
    assert "stopping the target" not in job.log()

    assert 0 == job.run().returncode
    assert job.expected_pages() == job.pages()


def test_told_twice_it_stops_the_target_too(job: Job, long_run: "subprocess.Popen[bytes]") -> None:
    """A target that hangs could not be stopped by a terminal, nor by anything but SIGKILL."""
    pause = threading.Event()
    while long_run.poll() is None:
        long_run.terminate()
        pause.wait(0.3)

    assert 143 == long_run.returncode
    assert not (job.folder / "stored.end").exists()
    assert [bundle(0).id] == job.state()["bookmarks"]["events"]["done"]
    (job.folder / "stored.go").touch()
    assert 0 == job.run().returncode  # so nothing has the lock
    assert {*job.expected_pages()} == {*job.pages()}


def test_signals_at_any_moment_mix_nothing_up(job: Job) -> None:
    """Several in a row, and while something ends by itself: a run that went well would be said to have failed."""
    tap = job.bin / "tap-of-states"
    tap.write_text("#!/bin/sh\nfor at in 1 2 3 4 5; do echo '{\"bookmarks\": {}}'; sleep 0.02; done\n")
    tap.chmod(0o755)
    rng, pause, seen = Random(1), threading.Event(), set()
    for _ in range(40):
        process = job.start([str(SCRIPT), str(job.folder), "cat"], TAP=str(tap))
        assert until((job.folder / "log").exists)
        pause.wait(rng.uniform(0, 0.2))
        for _ in range(rng.choice([1, 1, 2, 3])):
            with suppress(ProcessLookupError):
                process.send_signal(rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
            pause.wait(rng.uniform(0, 0.02))
        status = process.wait(TIMEOUT)
        assert until(lambda leader=process.pid: not session(leader))
        if status >= 0:  # else the first one came before anything was begun
            assert f"Ended: tap {status}, target 0, state file 0." in job.log().splitlines()[-1]
        seen.add(status)
        (job.folder / "log").unlink()

    assert {0, 143} <= seen <= {0, 143, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP}


@pytest.mark.parametrize("victims", [("tap",), ("target",), ("tap", "target"), ("all",)], ids="-".join)
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment_it_goes_on_without_loss(job: Job, victims: tuple[str, ...], seed: int) -> None:
    """Out of memory, kill -9, a power cut: an event would be missing for ever, or more there twice than need be."""
    job.shop.bundles = [bundle(day, events=1500) for day in range(3)]
    job.write_config(checkpoint_records=100)
    rng, unconfirmed = Random(seed), 0
    pause = threading.Event()
    for _ in range(3):
        process = job.start(job.command("is slow"), TAP=str(job.bin / "tap"))
        pids = {of: job.pid(of) for of in ("tap", "target")}
        pause.wait(rng.uniform(0, 1))
        for pid in session(process.pid) if victims == ("all",) else [pids[of] for of in victims]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(TIMEOUT)
        assert until(lambda leader=process.pid: not session(leader))
        unconfirmed += max(0, len({*job.pages()}) - job.confirmed())
        for name in ("bin/tap.pid", "stored.pid"):
            (job.folder / name).unlink(missing_ok=True)

    assert 0 == job.run().returncode, job.log()
    assert {*job.expected_pages()} == {*job.pages()}
    assert len(job.pages()) <= len(job.expected_pages()) + unconfirmed


def test_state_file_is_whole_at_any_moment(job: Job) -> None:
    """Whoever looks at the state file while runs replace it sees the old or the new one, never a part."""
    job.shop.bundles = [bundle(day) for day in range(60)]
    process = job.start(job.command())
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
    assert "target 0, state file 74" in job.log()


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
