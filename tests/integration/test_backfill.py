"""History in parallel: `--plan`, runs over windows, `--merge-state`; and runs that end when their time is over."""

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import (
    DAY,
    EXPORTS,
    FIRST,
    GET,
    HOUR,
    LIST,
    TIMEOUT,
    Json,
    Run,
    Tap,
    bundle,
    event,
    finished,
    rfc,
)

LONG = {"start_date": rfc(FIRST), "export_window_hours": 6, "checkpoint_records": 2}
ORDER = random.Random(20231115)
LONG_TEST = pytest.mark.long
ROOT = Path(__file__).resolve().parent.parent.parent


def short(number: int, count: int = 5, **options: Any) -> Bundle:
    """A bundle of six hours."""
    return bundle(number, count, hours=6, **options)


def spread(start: int, hours: int, **options: Any) -> Bundle:
    """A bundle with an event in each half hour, numbered from FIRST on."""
    moments = range(start, start + hours * HOUR, HOUR // 2)
    return Bundle(start, start + hours * HOUR, [event((at - FIRST) // 1800 + 1, at) for at in moments], **options)


def numbers_of(bundles: Iterable[Bundle]) -> Counter[int]:
    return Counter(one.get("UserId", 0) for bundle in bundles for one in bundle.read_events())


def bare(tap: Tap, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """A mode that is no sync, with the usual settings."""
    options["settings"] = {**LONG, **options.get("settings", {})}
    return tap.bare([*tap.command(**options)[3:], *arguments])


def plan(tap: Tap, *arguments: str, **options: Any) -> list[Json]:
    """The windows that are planned."""
    done = bare(tap, "--plan", *arguments, **options)
    assert 0 == done.returncode, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


def window(tap: Tap, overlay: Json, state: Any = None, **changes: Any) -> Run:
    """A run over one window."""
    command = tap.command("--config", tap.file("window.json", overlay), settings={**LONG, **changes}, state=state)
    return tap.plain(command[3:])


def killed(tap: Tap, overlay: Json, lines: int) -> Run:
    """A run over one window that is killed once so many lines are read."""
    arguments = "--config", tap.file("window.json", overlay)
    process = tap.start(*arguments, settings=LONG)
    assert process.stdout is not None
    stdout = b"".join(process.stdout.readline() for _ in range(lines))  # what is in the pipe is lost with the target
    process.send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=TIMEOUT)
    return finished(process.returncode, stdout, stderr)


def kept(run: Run) -> list[int]:
    """What a target keeps of a run that was killed: all before the last state."""
    last = run.state_positions()[-1]
    return [m["record"].get("UserId", 0) for m in run.messages[:last] if m["type"] == "RECORD"]


def merged(tap: Tap, *states: Any) -> Json:
    """What the states become, and what is said of it."""
    done = tap.bare(["--merge-state", *(tap.file("state.json", one) for one in states)])
    assert 0 == done.returncode, done.stderr.decode()
    (line,) = done.stdout.splitlines()
    state: Json = json.loads(line)
    return state


def asked_for(emulator: Emulator) -> list[str]:
    """The bundles that were downloaded, or the windows that were exported."""
    ids = [one.query["id"] for one in emulator.requests if one.path == GET]
    made = [one for one in emulator.requests if one.path == EXPORTS and one.method == "POST"]
    return ids + [json.loads(one.body)["timeRange"]["start"] for one in made]


def names_of(tap: Tap, bundles: Iterable[Bundle]) -> list[str]:
    """How `asked_for` calls them."""
    return [str(one.id) if tap.source == "data_export" else rfc(one.start) for one in bundles]


def bounds(windows: Sequence[Json]) -> list[tuple[str, str]]:
    return [(one["start_date"], one["end_date"]) for one in windows]


# The whole way --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("left_out", [pytest.param(None, marks=LONG_TEST), pytest.param(0, marks=LONG_TEST), 2])
def test_windows_in_any_order_bring_everything_once(run_tap: Tap, emulator: Emulator, left_out: "int | None") -> None:
    """Events would be lost between two windows, be there twice, or be read again after the states are merged."""
    emulator.bundles = [short(number) for number in range(12)]
    windows = plan(run_tap, "--workers", "5")
    assert [2, 2, 3, 2, 3] == [one["plan"]["bundles"] for one in windows]
    left = [one for number, one in enumerate(windows) if number != left_out]
    dead = killed(run_tap, left[-1], 8)  # in the middle of its first bundle
    assert dead.bookmark["partial"]
    rows = Counter(kept(dead))
    tasks: list[tuple[Json, Any]] = [*((one, None) for one in left[:-1]), (left[-1], dead.states[-1])]
    ORDER.shuffle(tasks)

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda task: window(run_tap, *task), tasks))

    for run in runs:
        assert 0 == run.status, run.stderr
        rows.update(run.numbers())
    state = merged(
        run_tap, *({"bookmarks": {}} if left_out == 0 else {} for _ in "12"), *(run.states[-1] for run in runs)
    )
    emulator.bundles.append(short(12))
    missing = [] if left_out is None else emulator.bundles[0:2] if left_out == 0 else emulator.bundles[4:7]
    if left_out == 0:  # nobody but the settings knows that there should be something
        done = run_tap.bare(
            [
                "--config",
                run_tap.file("config.json", run_tap.settings(LONG)),
                "--merge-state",
                run_tap.file("state.json", state),
            ]
        )
        state = json.loads(done.stdout)
        assert rfc(FIRST) == state["bookmarks"]["events"]["until"]
    emulator.requests.clear()
    last = run_tap(settings=LONG, state=state)
    again = run_tap(settings=LONG, state=last.states[-1])

    rows.update(last.numbers())
    assert numbers_of(emulator.bundles) == rows
    assert names_of(run_tap, [*missing, emulator.bundles[-1]]) == asked_for(emulator)
    assert (0, []) == (again.status, again.numbers())
    assert "beyond" not in last.bookmark and [] == last.bookmark["gaps"]
    assert {"since": rfc(FIRST), "until": rfc(emulator.bundles[-1].stop)}.items() <= last.bookmark.items()


@LONG_TEST
def test_every_state_of_a_run_over_holes_can_be_gone_on_from(run_tap: Tap, emulator: Emulator) -> None:
    """A run with a merged state that is interrupted would lose or repeat events."""
    emulator.bundles = [short(number) for number in range(8)]
    windows = plan(run_tap, "--window", "6h")
    runs = [window(run_tap, windows[number]) for number in (0, 2, 3, 5)]
    state = merged(run_tap, *(run.states[-1] for run in runs))
    settings = {**LONG, "start_date": rfc(FIRST), "end_date": rfc(FIRST + 45 * HOUR)}

    run = run_tap(settings=settings, state=state)

    assert (0, numbers_of(emulator.bundles[i] for i in (1, 4, 6, 7))) == (run.status, Counter(run.numbers()))
    positions = run.state_positions()
    replays = run_tap.all({"settings": settings, "state": one} for one in run.states)
    for position, replay in zip(positions, replays, strict=True):
        assert [one.get("UserId", 0) for one in run.after(position)] == replay.numbers()
        assert run.states[-1] == replay.states[-1]


def test_an_end_within_what_is_written_beyond(run_tap: Tap, emulator: Emulator) -> None:
    """The rest of a window would be read twice, or the time up to the end be called missing."""
    emulator.bundles = [spread(FIRST + 6 * HOUR * number, 6) for number in range(4)]
    windows = plan(run_tap, "--window", "12h")
    second = window(run_tap, windows[1])
    state = merged(run_tap, {"events": rfc(FIRST)}, second.states[-1])

    cut = run_tap(settings={**LONG, "end_date": rfc(FIRST + 15 * HOUR)}, state=state)
    rest = run_tap(settings=LONG, state=cut.states[-1])

    assert rfc(FIRST + 15 * HOUR) == cut.bookmark["until"]
    assert [[rfc(FIRST + 15 * HOUR), rfc(FIRST + 24 * HOUR)]] == cut.bookmark["beyond"]
    assert [*range(1, 25)] == cut.numbers() and [] == rest.numbers()
    assert [] == rest.bookmark["gaps"]


@LONG_TEST
def test_a_state_in_the_middle_of_a_bundle_is_gone_on_with_if_it_is_the_first(run_tap: Tap, emulator: Emulator) -> None:
    """Events would repeat though the state says how far the bundle is."""
    emulator.bundles = [short(number) for number in range(4)]
    first, second = plan(run_tap, "--workers", "2")
    begun, other = (killed(run_tap, one, 8) for one in (first, second))
    whole = window(run_tap, second)

    good = run_tap(settings=LONG, state=merged(run_tap, begun.states[-1], whole.states[-1]))
    done = run_tap.bare(["--merge-state", *(run_tap.file("s.json", one.states[-1]) for one in (begun, other))])

    assert numbers_of(emulator.bundles[:2]) == Counter(kept(begun) + good.numbers())
    assert b"records may repeat" in done.stderr and str(emulator.bundles[2].id).encode() in done.stderr
    assert emulator.bundles[0].id == json.loads(done.stdout)["bookmarks"]["events"]["partial"][0]


@pytest.mark.only_source("data_export")
@pytest.mark.long
def test_bundles_of_another_length_in_the_middle_of_history(run_tap: Tap, emulator: Emulator) -> None:
    """Where an account has changed the length of its bundles, events would be lost or doubled at a window's end."""
    later = FIRST + 48 * HOUR
    emulator.bundles = [
        *(spread(FIRST + 6 * HOUR * number, 6) for number in range(4)),
        spread(FIRST + 24 * HOUR, 24),
        *(spread(later + 6 * HOUR * number, 6) for number in range(4)),
    ]
    windows = plan(run_tap, "--window", "12h", "--newest-first")
    assert [1] * 6 == [2 // one["plan"]["bundles"] for one in windows]

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: window(run_tap, one), [*windows[:3], *windows[4:]]))
    last = run_tap(settings=LONG, state=merged(run_tap, *(run.states[-1] for run in runs)))

    found = Counter(number for run in [*runs, last] for number in run.numbers())
    assert numbers_of(emulator.bundles) == found
    assert [*range(49, 73)] == last.numbers()


@LONG_TEST
@pytest.mark.only_source("segment_export")
def test_windows_of_another_length_after_the_plan(run_tap: Tap, emulator: Emulator) -> None:
    """A run after the backfill, with shorter exports, would read twice what lies beyond the hole."""
    emulator.bundles = [spread(FIRST + 6 * HOUR * number, 6) for number in range(8)]
    windows = plan(run_tap, "--window", "10h")
    assert [2] * 4 == [one["plan"]["bundles"] for one in windows]
    runs = [window(run_tap, windows[number]) for number in (0, 2)]
    state = merged(run_tap, *(run.states[-1] for run in runs))

    last = run_tap(settings={**LONG, "export_window_hours": 8, "prefetch": 1}, state=state)

    found = Counter(number for run in [*runs, last] for number in run.numbers())
    assert numbers_of(emulator.bundles) == found


@LONG_TEST
@pytest.mark.only_source("data_export")
def test_twins_at_the_end_of_a_window(run_tap: Tap, emulator: Emulator) -> None:
    """Of several bundles with one interval, all but one would be lost, or be there twice."""
    twins = [short(number, first=1000 + 100 * number, id=number + 1) for number in range(6)]
    emulator.bundles = [one for number in range(6) for one in (short(number), twins[number])]
    windows = plan(run_tap, "--window", "12h")
    runs = [window(run_tap, windows[number]) for number in (0, 2)]
    last = run_tap(settings=LONG, state=merged(run_tap, *(run.states[-1] for run in runs)))
    again = run_tap(settings=LONG, state=last.states[-1])

    assert numbers_of(emulator.bundles) == Counter(number for run in [*runs, last] for number in run.numbers())
    assert ([], last.bookmark) == (again.numbers(), again.bookmark)
    replays = run_tap.all({"settings": LONG, "state": state} for state in last.states)
    for position, replay in zip(last.state_positions(), replays, strict=True):
        assert [one.get("UserId", 0) for one in last.after(position)] == replay.numbers()


@LONG_TEST
@pytest.mark.only_source("data_export")
def test_a_bundle_that_is_late_at_the_begin_of_a_window_is_found(run_tap: Tap, emulator: Emulator) -> None:
    """No run would look for it: the one before ends there, and for the next one nothing comes before it."""
    everything = [short(number) for number in range(8)]
    emulator.bundles = everything
    windows = plan(run_tap, "--window", "12h")
    emulator.bundles = [*everything[:3], *everything[5:]]  # at the end of one window, and at the begin of another
    runs = [window(run_tap, one) for one in windows]
    state = merged(run_tap, *(run.states[-1] for run in runs))
    assert [[rfc(everything[3].start), rfc(everything[5].start)]] == state["bookmarks"]["events"]["gaps"]
    emulator.bundles = everything

    last = run_tap(settings=LONG, state=state)

    assert numbers_of(everything[3:5]) == Counter(last.numbers())
    assert [] == last.bookmark["gaps"]


@LONG_TEST
@pytest.mark.only_source("data_export")
def test_a_gap_beyond_is_looked_for_once_the_run_comes_there(run_tap: Tap, emulator: Emulator) -> None:
    """What came late in a window would be passed over as written."""
    everything = [short(number) for number in range(8)]
    emulator.bundles = [*everything[:5], *everything[6:]]
    windows = plan(run_tap, "--window", "12h")
    runs = [window(run_tap, windows[number]) for number in (0, 2, 3)]
    state = merged(run_tap, *(run.states[-1] for run in runs))
    emulator.bundles = everything

    last = run_tap(settings=LONG, state=state)

    assert numbers_of([everything[2], everything[3], everything[5]]) == Counter(last.numbers())


@LONG_TEST
def test_what_has_settled_is_read_again_beyond_a_hole(run_tap: Tap, emulator: Emulator) -> None:
    """With reread_hours, early values would stay where another worker has read them."""
    emulator.bundles = [short(number) for number in range(6)]
    settings = {**LONG, "event_key": True, "reread_hours": 1_000_000, "prefetch": 1}
    windows = plan(run_tap, "--window", "12h")
    runs = [window(run_tap, windows[number], **settings) for number in (0, 2)]
    state = merged(run_tap, *(run.states[-1] for run in runs))
    one = emulator.bundles[4]
    emulator.bundles[4] = Bundle(one.start, one.stop, [{**e, "PageDuration": 7} for e in one.read_events()], one.id)

    last = run_tap(settings=settings, state=state)

    rows = {record["event_id"]: record for run in [*runs, last] for record in run.records()}
    assert numbers_of(emulator.bundles) == Counter(row.get("UserId", 0) for row in rows.values())
    assert [7] * 5 == [row["PageDuration"] for row in rows.values() if row.get("UserId", 0) // 100 == 4]


@LONG_TEST
def test_the_log_of_bundles_names_each_once(run_tap: Tap, emulator: Emulator) -> None:
    """The log would say that bundles are missing, or hold fewer events than there are."""
    from tests.integration.test_bundles_stream import catalog, log_of

    emulator.bundles = [spread(FIRST + 6 * HOUR * number, 6) for number in range(6)]
    windows = plan(run_tap, "--window", "12h")
    runs = []
    for number in (0, 2):
        overlay = run_tap.file("window.json", windows[number])
        runs.append(run_tap("--config", overlay, settings=LONG, catalog=catalog()))
    state = merged(run_tap, *(run.states[-1] for run in runs))
    assert state["bookmarks"]["events"] == state["bookmarks"]["bundles"]

    last = run_tap(settings=LONG, catalog=catalog(), state=state)

    log = {key: one["events"] for run in [*runs, last] for key, one in log_of(run).items()}
    assert 6 == sum(len(log_of(run)) for run in [*runs, last])
    assert {one.id: 12 for one in emulator.bundles} == log


@LONG_TEST
@pytest.mark.only_source("data_export")
def test_the_lines_of_the_readme(run_tap: Tap, emulator: Emulator) -> None:
    """Somebody with a year of history would follow them, and end with something else."""
    emulator.bundles = [bundle(number, 2) for number in range(15)]
    text = (ROOT / "README.md").read_text("utf-8").partition("## History in parallel")[2]
    lines = text.partition("```bash\n")[2].partition("```")[0]
    folder = run_tap.folder
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "config.json").write_text(json.dumps(run_tap.settings({"start_date": rfc(FIRST)})))
    target = folder / "target-postgres"
    target.write_text(
        "#!/bin/bash -e\n"
        # as real ones do: two that find no table both make it, and the second of them fails
        "[ -e table ] || { mkdir making-the-table; sleep 1; mkdir table; }\n"
        "tee rows.$$ | grep bookmarks | sed -u 's/.*\"value\": *//; s/}$//'\n"
    )
    target.chmod(0o700)
    path = f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin"

    for _ in range(2):  # they may run again
        done = subprocess.run(["bash", "-euc", lines], cwd=folder, env=run_tap.environment({"PATH": path}), check=False)
        assert 0 == done.returncode

    rows = [line for file in folder.glob("rows.*") for line in file.read_text().splitlines() if '"RECORD"' in line]
    numbers = [json.loads(line)["record"].get("UserId", 0) for line in rows]
    assert numbers_of(emulator.bundles) == Counter(numbers)
    state = json.loads((folder / "state.json").read_text())["bookmarks"]["events"]
    assert (rfc(FIRST), rfc(FIRST + 15 * DAY)) == (state["since"], state["until"])
    assert 3 == len([*folder.glob("window-*/state.json")])


# --plan ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--window", "7h"], [2] * 6),
        (["--window", "2d"], [8, 4]),
        ([], [12]),
        (["--workers", "7"], [1, 2, 2, 1, 2, 2, 2]),
        (["--workers", "100"], [1] * 12),
    ],
)
def test_windows_lie_side_by_side(run_tap: Tap, emulator: Emulator, arguments: list[str], expected: list[int]) -> None:
    """Windows that overlap would bring events twice, and those with time between them would lose some."""
    emulator.bundles = [short(number, 1) for number in range(12)]

    windows = plan(run_tap, *arguments)
    newest_first = plan(run_tap, *arguments, "--newest-first")

    assert expected == [one["plan"]["bundles"] for one in windows]
    assert windows == newest_first[::-1]
    assert all({"start_date", "end_date", "plan"} == set(one) for one in windows)
    starts, ends = ([one[name] for one in windows] for name in ("start_date", "end_date"))
    assert (rfc(FIRST), rfc(FIRST + 72 * HOUR)) == (starts[0], ends[-1])
    assert starts[1:] == ends[:-1]
    seconds = [datetime.fromisoformat(one.replace("Z", "+00:00")).timestamp() - FIRST for one in starts]
    assert [0] * len(starts) == [one % (6 * HOUR) for one in seconds]


def test_dates_and_state_say_what_is_planned(run_tap: Tap, emulator: Emulator) -> None:
    """What is written would be read again, or what is not wanted."""
    emulator.bundles = [short(number, 1) for number in range(12)]
    begin, end = rfc(FIRST + 8 * HOUR, ".5"), rfc(FIRST + 32 * HOUR)
    first = run_tap(settings={**LONG, "end_date": rfc(FIRST + 12 * HOUR)})
    beyond = {**first.bookmark, "beyond": [[rfc(FIRST + 24 * HOUR), rfc(FIRST + 60 * HOUR)]]}

    dates = plan(run_tap, "--window", "12h", settings={"start_date": begin, "end_date": end})
    rest = plan(run_tap, "--window", "30h", state=first.states[-1])
    holes = plan(run_tap, "--workers", "2", state={"bookmarks": {"events": beyond}})

    hours = [(begin, 18), (18, 30), (30, end)]
    assert [
        tuple(one if isinstance(one, str) else rfc(FIRST + one * HOUR) for one in pair) for pair in hours
    ] == bounds(dates)
    assert [(12, 42), (42, 72)] == hours_of(rest)
    assert [(12, 24), (60, 72)] == hours_of(holes)


def hours_of(windows: Sequence[Json]) -> list[tuple[float, ...]]:
    """The bounds of windows in hours since FIRST."""
    moments = [[datetime.fromisoformat(one.replace("Z", "+00:00")) for one in pair] for pair in bounds(windows)]
    return [tuple((one.timestamp() - FIRST) / HOUR for one in pair) for pair in moments]


def test_the_plan_says_how_much_and_how_long(run_tap: Tap, emulator: Emulator) -> None:
    """Nobody would know whether to take four workers, or a whole day."""
    emulator.bundles = [short(number, 1) for number in range(12)]

    done = bare(run_tap, "--plan", "--window", "12h")

    (line,) = [line for line in done.stderr.decode().splitlines() if "METRIC" not in line]
    assert "6 windows of up to 2 bundles, 12 bundles of 6 hours" in line
    assert f"{rfc(FIRST)} to {rfc(FIRST + 72 * HOUR)}" in line
    if run_tap.source == "data_export":
        assert "at least 5 minutes" in line
        assert (1, 0) == (emulator.count(LIST), emulator.count(GET))
    else:
        assert "as fast as it can" in line
        assert 0 == emulator.count(LIST) + len(asked_for(emulator))
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("days", [0, 1000])
def test_the_newest_of_many_short_bundles_is_found_in_few_calls(run_tap: Tap, emulator: Emulator, days: int) -> None:
    """A plan would end at the first page of the list, or ask for hundreds of pages."""
    hours = 500
    emulator.bundles = [bundle(number, 0, hours=1) for number in range(hours)]
    if days:  # nothing has come for long
        emulator.now = FIRST + days * 24 * HOUR

    windows = plan(run_tap, "--window", "100h")

    assert [(100 * n, 100 * n + 100) for n in range(5)] == hours_of(windows)
    assert emulator.count(LIST) <= 20


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("days, hours, calls", [(10, 24, 1), (90, 24, 1), (90, 6, 1), (90, 1, 3)])
def test_a_plan_up_to_now_takes_few_list_calls(
    run_tap: Tap, emulator: Emulator, days: int, hours: int, calls: int
) -> None:
    """A plan over a year would page through everything that is listed."""
    begin = int(time.time()) // DAY * DAY - days * DAY
    bundles = [
        Bundle(begin + one * hours * HOUR, begin + (one + 1) * hours * HOUR) for one in range(days * 24 // hours)
    ]
    emulator.bundles = bundles
    newest = max(one.stop for one in bundles if one.stop + DAY <= time.time())  # it is there a day later

    windows = plan(run_tap, "--window", "7d", settings={"start_date": rfc(begin)})

    assert (rfc(begin), rfc(newest)) == (windows[0]["start_date"], windows[-1]["end_date"])
    assert emulator.count(LIST) <= calls


@pytest.mark.only_source("data_export")
def test_with_an_end_one_list_call_is_enough(run_tap: Tap, emulator: Emulator) -> None:
    """A plan over years would wait for the limit of the list."""
    emulator.bundles = [bundle(number, 0, hours=1) for number in range(500)]

    windows = plan(run_tap, "--window", "2d", settings={"end_date": rfc(FIRST + 100 * HOUR)})

    assert [(0, 48), (48, 96), (96, 100)] == hours_of(windows)
    assert 1 == emulator.count(LIST)


def test_where_there_is_nothing_to_plan(run_tap: Tap, emulator: Emulator) -> None:
    """A script would run over a window that is none."""
    emulator.bundles = [short(0)]
    state = {"events": rfc(FIRST + 6 * HOUR)}

    done = bare(run_tap, "--plan", state=state)
    before = bare(run_tap, "--plan", state=state, settings={"end_date": rfc(FIRST + 5 * HOUR)})

    for one in (done, before):
        assert (0, b"") == (one.returncode, one.stdout)
        assert b"Nothing to plan" in one.stderr


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--window", "7"], "such as 48h or 7d"),
        (["--window", "0h"], "such as 48h or 7d"),
        (["--window", "1.5d"], "such as 48h or 7d"),
        (["--workers", "0"], "a whole number, 1 or more"),
        (["--workers", "many"], "a whole number, 1 or more"),
        (["--workers", "2", "--window", "7d"], "not allowed with"),
    ],
)
def test_wrong_windows_are_refused(run_tap: Tap, arguments: list[str], expected: str) -> None:
    """A slip would plan something else."""
    done = bare(run_tap, "--plan", *arguments)

    assert (2, b"") == (done.returncode, done.stdout)
    assert expected in done.stderr.decode()


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("arguments", [["--window", "7d"], ["--workers", "4"], ["--newest-first"]])
def test_a_forgotten_plan_is_no_sync(run_tap: Tap, emulator: Emulator, arguments: list[str]) -> None:
    """All of the history would begin to arrive where a plan was expected."""
    done = bare(run_tap, *arguments)

    assert (2, b"") == (done.returncode, done.stdout)
    assert f"{arguments[0]} is for --plan" in done.stderr.decode()
    assert [] == emulator.requests


@pytest.mark.only_source("data_export")
def test_a_window_is_a_config_without_a_warning(run_tap: Tap, emulator: Emulator) -> None:
    """Each of a hundred runs would warn of a setting that the tap itself has printed."""
    emulator.bundles = [short(0)]
    (overlay,) = plan(run_tap)

    run = window(run_tap, overlay)

    assert (0, 5) == (run.status, len(run.records()))
    assert not [line for line in run.said if "WARNING" in line]


# --merge-state --------------------------------------------------------------------------------------------------------


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"bookmarks": {"pages": 1}}', b'{"bookmarks":{"events":5}}'])
def test_files_that_are_no_states_are_not_merged(run_tap: Tap, content: bytes) -> None:
    """A window would be passed over, since its state was cut off."""
    good = run_tap.file("good.json", {"events": rfc(FIRST)})
    done = run_tap.bare(["--merge-state", good, run_tap.file("bad.json", content)])
    missing = run_tap.bare(["--merge-state", good, "nowhere.json"])
    none = run_tap.bare(["--merge-state"])

    assert (78, b"") == (done.returncode, done.stdout)
    assert (78, b"") == (missing.returncode, missing.stdout)
    assert (2, b"") == (none.returncode, none.stdout)


# max_runtime ----------------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_runs_that_end_when_their_time_is_over_bring_everything_once(run_tap: Tap, emulator: Emulator) -> None:
    """A run that may last an hour each night would repeat or lose what lies where it ends."""
    emulator.bundles = [short(number, 4) for number in range(2)]
    settings = {**LONG, "max_runtime": 0.001, "prefetch": 0}
    found: list[int] = []
    state = None
    ended = 0
    for _ in range(100):  # on a busy machine some of them end before anything has come
        run = run_tap(settings=settings, state=state)
        assert 0 == run.status, run.stderr
        found += run.numbers()
        state = run.states[-1]
        if "max_runtime is over" not in run.last_line:
            break
        ended += 1
        assert "run again with the last state" in run.last_line

    assert numbers_of(emulator.bundles) == Counter(found)
    assert ended >= 4  # once in each part of a bundle
    assert [] == run_tap.waiting()


@pytest.mark.long
def test_a_run_ends_while_fullstory_says_to_wait(run_tap: Tap, emulator: Emulator) -> None:
    """A run would last an hour longer than it may."""
    emulator.bundles = [short(number) for number in range(3)]
    path = GET if run_tap.source == "data_export" else EXPORTS
    emulator.faults = [Fault(path, status=429, headers={"Retry-After": "3000"}, times=None, skip=1)]

    run = run_tap(settings={**LONG, "max_runtime": 4, "prefetch": 0})

    assert (0, numbers_of(emulator.bundles[:1])) == (run.status, Counter(run.numbers()))
    assert rfc(emulator.bundles[1].start) == run.bookmark["until"]
    assert "max_runtime is over: 2 bundles known so far left" in run.last_line
    assert f"from {rfc(emulator.bundles[1].start)} on" in run.last_line


@pytest.mark.only_source("data_export")
def test_what_has_waited_is_there_for_the_next_run(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle would be downloaded, and count for the limit, once more after each run."""
    emulator.bundles = [bundle(0, 4)]
    for _ in range(20):  # on a busy machine some of them end before anything has come
        first = run_tap(settings={"max_runtime": 0.001, "checkpoint_records": 2})
        if first.bookmark["partial"]:
            break
    assert 1 == len(run_tap.waiting())
    downloads = emulator.count(GET)

    second = run_tap(state=first.states[-1])

    assert [0, 1, 2, 3] == first.numbers() + second.numbers()
    assert downloads == emulator.count(GET)
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
@pytest.mark.long
def test_runs_that_always_end_early_leave_no_more_than_the_next_one_needs(run_tap: Tap, emulator: Emulator) -> None:
    """A month of nights would fill the disk with bundles that are written."""
    emulator.bundles = [bundle(number) for number in range(8)]
    state = None
    for _ in range(100):
        run = run_tap(settings={"max_runtime": 0.001}, state=state)
        state = run.states[-1]
        written = [one.id for one in emulator.bundles if rfc(one.stop) <= run.bookmark["until"]]
        assert not [name for name in run_tap.waiting() if any(str(one) in name for one in written)]
        if len(written) >= 4:
            break
    assert len(written) >= 4 and "max_runtime is over" in run.last_line


# The limit on downloads -----------------------------------------------------------------------------------------------


@LONG_TEST
@pytest.mark.only_source("data_export")
def test_workers_obey_the_limit_together(run_tap: Tap, emulator: Emulator) -> None:
    """Workers side by side would be refused again and again, or ask before they may."""
    emulator.rate_limit = 2, 2.0
    emulator.bundles = [short(number, 1) for number in range(10)]
    windows = plan(run_tap, "--workers", "4")

    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda one: window(run_tap, one, prefetch=0), windows))

    assert numbers_of(emulator.bundles) == Counter(number for run in runs for number in run.numbers())
    downloads = [one for one in emulator.requests if one.path == GET]
    refused = [one for one in downloads if one.status == 429]
    # at each moment that is told all who wait come back, and two of them are let through
    assert len(refused) <= 4 * 10 / 2
    assert len(downloads) - len(refused) == 10
    for one in {one.query["id"] for one in downloads}:
        times = [request for request in downloads if request.query["id"] == one]
        assert all(later.at - earlier.at >= 1 for earlier, later in pairwise(times)), "asked before the told moment"
