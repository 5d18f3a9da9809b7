"""Killed runs, spool files, folders that several taps share."""

import os
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, FIRST, GET, TIMEOUT, Run, Tap, big_bundle, bundle, event, finished, read_lines

MANY = 12_000  # events; their records are more than any pipe holds


def wait_for(condition: Callable[[], object]) -> None:
    """Return as soon as *condition* holds."""
    end = time.monotonic() + TIMEOUT
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end
        pause.wait(0.02)


def killed(process: "subprocess.Popen[bytes]", begun: bytes) -> Run:
    """What a run printed until it was killed."""
    process.kill()
    rest, errors = process.communicate(timeout=TIMEOUT)
    return finished(process.returncode, begun + rest, errors, whole=False)


def crash(run_tap: Tap, lines: int = 3000, **options: object) -> Run:
    """A run that was killed in the middle of its first bundle."""
    process = run_tap.start(settings={"checkpoint_records": 500}, **options)
    run = killed(process, read_lines(process, lines))
    assert -9 == run.status
    assert run.states and run.states[-1]["bookmarks"]["events"]["partial"]
    return run


def safe(run: Run) -> list[int]:
    """The numbers of the records before the last STATE: what a target keeps."""
    last = run.state_positions()[-1]
    return [m["record"].get("UserId", 0) for m in run.messages[:last] if m["type"] == "RECORD"]


@pytest.mark.only_source("data_export")
def test_a_killed_run_goes_on_from_its_own_file(run_tap: Tap, emulator: Emulator) -> None:
    """A crash would cost a second download of gigabytes, lose events, or leave files behind for ever."""
    emulator.bundles = [big_bundle(MANY), bundle(1, first=MANY)]
    process = run_tap.start(settings={"checkpoint_records": 500})
    begun = read_lines(process, 3000)
    files = [path.stat() for path in run_tap.spool.iterdir()]
    assert files
    assert {0o600} == {stat.S_IMODE(one.st_mode) for one in files}
    crashed = killed(process, begun)
    first = emulator.bundles[0].id
    assert first == crashed.bookmark["partial"][0]
    assert run_tap.waiting()

    downloads = sum(str(first) == request.query.get("id") for request in emulator.requests)
    rest = run_tap(state=crashed.states[-1])

    assert 0 == rest.status
    assert [*range(MANY + 3)] == safe(crashed) + rest.numbers()
    assert 1 == downloads == sum(str(first) == request.query.get("id") for request in emulator.requests)
    assert [] == run_tap.waiting()
    assert not any("repeat" in line for line in rest.said)


@pytest.mark.only_source("data_export")
def test_a_lost_file_with_the_same_bytes_changes_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A container without a disk of its own would repeat or lose records after a crash."""
    emulator.bundles = [big_bundle(MANY)]
    crashed = crash(run_tap)
    for path in run_tap.spool.iterdir():
        path.unlink()

    other = run_tap.folder / "elsewhere"
    other.mkdir()
    emulator.encoding = "plain"  # the same events in another wrapping
    rest = run_tap(state=crashed.states[-1], settings={"spool_dir": str(other)})

    assert 0 == rest.status
    assert [*range(MANY)] == safe(crashed) + rest.numbers()
    assert 2 == emulator.count(GET)
    assert not any("repeat" in line for line in rest.said)
    assert [] == [*other.iterdir()]


@pytest.mark.only_source("data_export")
def test_a_lost_file_and_other_bytes_start_the_bundle_again(run_tap: Tap, emulator: Emulator) -> None:
    """Events would be lost when Fullstory makes an export anew and it differs; people must know what may repeat."""
    events = [event(i, FIRST + 60) for i in range(50)]
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, events), bundle(1, first=50)]
    emulator.remake = lambda one, nth: (
        Bundle(one.start, one.stop, [event(1000, FIRST), *events]) if nth > 1 and one.start == FIRST else None
    )
    keyed = {"event_key": True, "checkpoint_records": 10}
    first = run_tap(settings=keyed)
    state = first.states[1]
    assert 20 == state["bookmarks"]["events"]["partial"][1]

    second = run_tap(settings={"checkpoint_records": 10}, state=state)
    third = run_tap(settings=keyed, state=state)

    assert (0, 0) == (second.status, third.status)
    assert [1000, *range(53)] == second.numbers() == third.numbers()
    (warning,) = [line for line in second.said if line.startswith("WARNING")]
    assert "20" in warning and "repeat" in warning and str(emulator.bundles[0].id) in warning
    assert 1 == sum(line.startswith("WARNING") for line in third.said)
    once = {one["event_id"]: one["UserId"] for one in [*first.records(), *third.records()]}
    assert sorted([*range(53), 1000]) == sorted(once.values())
    for position, later in list(zip(second.state_positions(), second.states, strict=True))[::3]:
        again = run_tap(state=later)
        assert [one.get("UserId", 0) for one in second.after(position)] == again.numbers()


@pytest.mark.only_source("data_export")
def test_fewer_events_than_were_done_leave_no_hole(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle that became shorter, or empty, would end the run as a bug, or hide its events."""
    emulator.bundles = [bundle(0, 30, versions=[[event(5, FIRST + 60)], []]), bundle(1)]
    first = run_tap(settings={"checkpoint_records": 10})
    state = first.states[1]

    short, empty = run_tap(state=state), run_tap(state=state)

    assert (0, [5, 100, 101, 102]) == (short.status, short.numbers())
    assert (0, [100, 101, 102]) == (empty.status, empty.numbers())
    assert any("repeat" in line for line in short.said)


def test_a_damaged_file_of_a_crash_is_not_trusted(run_tap: Tap, emulator: Emulator) -> None:
    """A file that was cut when the machine went down would end every run, or lose its end."""
    emulator.bundles = [big_bundle(MANY)]
    crashed = crash(run_tap)
    for path in run_tap.spool.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    rest = run_tap(state=crashed.states[-1])

    assert 0 == rest.status
    assert [*range(MANY)] == safe(crashed) + rest.numbers()
    assert [] == run_tap.waiting()


def test_files_of_a_crash_are_removed_by_the_next_run(run_tap: Tap, emulator: Emulator) -> None:
    """The disk would fill up, crash by crash."""
    emulator.bundles = [big_bundle(MANY), bundle(1, first=MANY), bundle(2, first=MANY + 3)]
    crash(run_tap)
    assert run_tap.waiting()
    stranger = run_tap.spool / "somebody-elses.json.gz"
    stranger.write_bytes(b"x")

    run = run_tap()

    assert (0, MANY + 6) == (run.status, len(run.records()))
    assert [stranger.name] == run_tap.waiting()


@pytest.mark.only_source("data_export")
def test_a_run_that_starts_anew_reads_what_fullstory_has_now(run_tap: Tap, emulator: Emulator) -> None:
    """A full refresh would load what the disk still holds of an old crash, not what Fullstory says today."""
    emulator.bundles = [big_bundle(MANY)]
    crash(run_tap)
    for left in run_tap.waiting():
        os.utime(run_tap.spool / left, (time.time() - 7200,) * 2)
    emulator.bundles = [bundle(0, 5)]

    run = run_tap()

    assert (0, [0, 1, 2, 3, 4]) == (run.status, run.numbers())
    assert 2 == emulator.count(GET)
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
def test_a_file_of_another_download_is_not_used(run_tap: Tap, emulator: Emulator) -> None:
    """A run that goes on from an older state would restart from a stale file though Fullstory has the right bytes."""
    emulator.bundles = [bundle(0, 30)]
    state = run_tap(settings={"checkpoint_records": 10}).states[1]
    emulator.bundles = [big_bundle(MANY)]
    crash(run_tap)
    emulator.bundles = [bundle(0, 30)]

    run = run_tap(state=state)

    assert (0, [*range(20, 30)]) == (run.status, run.numbers())
    assert not any("repeat" in line for line in run.said)
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
def test_two_taps_share_one_folder(run_tap: Tap, emulator: Emulator) -> None:
    """A second job on the same machine would take away or mix up the files of the first."""
    emulator.bundles = [big_bundle(MANY), bundle(1, first=MANY)]
    slow = run_tap.start(settings={"checkpoint_records": 500})
    begun = read_lines(slow, 100)
    with Emulator(bundles=[bundle(0, 4000), bundle(1, 30)]) as second:
        other = {"api_url": second.url, "export_url": second.url}
        wait_for(lambda: [".bundle"] * 2 == [Path(name).suffix for name in run_tap.waiting()])
        mine = run_tap.waiting()
        quick = run_tap(settings=other)
        same = run_tap()
        assert set(mine) <= set(run_tap.waiting())
    rest, errors = slow.communicate(timeout=TIMEOUT)
    run = finished(slow.returncode, begun + rest, errors)

    assert (0, 4030) == (quick.status, len(quick.records()))
    assert (0, [*range(MANY + 3)]) == (same.status, same.numbers())
    assert (0, [*range(MANY + 3)]) == (run.status, run.numbers())
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
def test_an_interrupted_bundle_that_is_not_listed_any_more(run_tap: Tap, emulator: Emulator) -> None:
    """A state that points into a bundle beyond Fullstory's retention would end every run from then on."""
    emulator.bundles = [bundle(0, 30), bundle(1)]
    first = run_tap(settings={"checkpoint_records": 10})
    emulator.bundles = [bundle(1)]

    run = run_tap(state=first.states[1])

    assert (0, [100, 101, 102]) == (run.status, run.numbers())
