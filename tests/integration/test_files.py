"""Files for a warehouse: the same rows as among the messages, the same promise, whatever happens in between."""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault, sample_bundles
from tests.integration.files import FORMS, Place, Written, assert_same_rows, read_rows, wait, write
from tests.integration.tap import DAY, FIRST, GET, Json, Tap, big_bundle, bookmark, bundle, event, rfc
from tests.integration.test_records import VALUES, with_start
from tests.integration.test_resume import MANY, crash, wait_for

MOST = 60_000  # events that take a moment to write
MOST_MEMORY = 300 * 1024  # KiB of all processes of a run on two cores, what they share counted once
MEASURE = """
import os, pathlib, subprocess, sys, time
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
most = 0
while process.poll() is None:
    size = 0
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
    try:
        for pid in (process.pid, *children.read_text().split()):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                size += int(line.split()[1]) if line.startswith("Pss:") else 0
    except OSError:  # one has ended meanwhile
        continue
    most = max(most, size)
    time.sleep(0.05)
print(most)
sys.exit(process.returncode)
"""
NAME = re.compile(r"events/\d{8}T\d{6}Z-\d+(-[0-9TZagainbehd_-]+)?-\d{4}\.(parquet|csv\.gz|jsonl\.gz)")


def place(run_tap: Tap, form: str = "parquet", name: str = "") -> Place:
    """A folder that is not there yet."""
    return Place(run_tap.folder / (name or f"my files {form}"), form)


def everything(run_tap: Tap, **settings: Any) -> Json:
    """A catalog that selects all there is with these settings."""
    command = run_tap.command("--discover", settings=settings)[3:]
    catalog: Json = json.loads(run_tap.bare(command).stdout)
    for entry in catalog["streams"]:
        entry["metadata"][0]["metadata"]["selected"] = True
    return catalog


def nasty() -> list[Bundle]:
    """Real events, invented ones, each odd value, texts of millions of characters."""
    with Emulator.generated(days=2, events_per_bundle=300, now=FIRST + 20 * DAY) as account:
        invented = [Bundle(one.start, one.stop, list(one.read_events())) for one in account.listed()]
    texts = ["},\n{" * 800_000, "é\r\n" * 700_000, '\U0001f600\\"' * 100_000, "\u2028'\t" * 1000]
    return [
        *sample_bundles(),
        Bundle(FIRST, FIRST + DAY, raw=("[" + ",\n".join(with_start(members) for members, _ in VALUES) + "]").encode()),
        Bundle(FIRST + DAY, FIRST + 2 * DAY, [event(i, FIRST + DAY, EventTargetText=t) for i, t in enumerate(texts)]),
        Bundle(FIRST + 2 * DAY, FIRST + 3 * DAY, []),
        Bundle(FIRST + 3 * DAY, FIRST + 4 * DAY, raw=b'[{"UserId":1},{},{"EventStart":null},{"EventStart":"soon"}]'),
        *(one for one in invented if one.start >= FIRST + 4 * DAY),
    ]


OWN = ["user_plan_str", "evt_i_int", "evt_f_real", "user_on_bool", "evt_t_date", "evt_l_strs", "evt_x"]
SETTINGS: dict[str, Json] = {
    "as it is": {},
    "key, columns of all types": {"event_key": True, "custom_columns": OWN},
    "privacy": {"hash_columns": ["UserId", "User*"], "hash_key": "k", "strip_query": ["*Url"], "custom_vars": "drop"},
}


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.long
@pytest.mark.proves("connectors", "writes into")
def test_files_hold_what_the_messages_hold(run_tap: Tap, emulator: Emulator, name: str) -> None:
    """Some value would be another one in a file than it is for a target."""
    emulator.bundles = nasty()
    settings = {"start_date": "2020-01-01", **SETTINGS[name]}
    catalog = everything(run_tap, **settings)
    run = run_tap(settings=settings, catalog=catalog)
    assert (0, True) == (run.status, len(run.records()) > 700)

    for form in FORMS:
        files = place(run_tap, form)
        done = write(run_tap, files, settings=settings, catalog=catalog)

        assert 0 == done.status, done.stderr
        assert_same_rows(run, files)
        assert len(run.records("bundles")) == len(files.rows("bundles"))
        assert run.states[-1]["bookmarks"].keys() == files.state["bookmarks"].keys()
        assert run.bookmark == files.state["bookmarks"]["events"]
        cut = [line for line in done.said if "microseconds" in line]
        assert (form == "parquet") == bool(cut)
        assert 2 > len(cut)
        assert all(NAME.fullmatch(str(path.relative_to(files.folder))) for path in files.lying())


@pytest.mark.only_source("data_export")
def test_the_selection_is_obeyed(run_tap: Tap, emulator: Emulator) -> None:
    """A column that may not leave would be in a file, or one that is wanted not."""
    emulator.bundles = [bundle(0), Bundle(FIRST + DAY, FIRST + 2 * DAY, raw=b'[{"PageUrl":"only this"},{}]')]
    catalog = everything(run_tap)
    for entry in catalog["streams"]:
        for one in entry["metadata"]:
            wanted = {("properties", "EventStart"), ("properties", "UserId"), ()}
            one["metadata"]["selected"] = tuple(one["breadcrumb"]) in wanted and entry["tap_stream_id"] == "events"
    run = run_tap(catalog=catalog)

    for form in FORMS:
        files = place(run_tap, form)
        assert 0 == write(run_tap, files, catalog=catalog).status
        assert_same_rows(run, files)
        assert [] == files.lying("bundles")
    columns = {*read_rows(place(run_tap, "csv").lying()[0])[0]}
    assert {"UserId", "EventStart"} == columns


def test_each_run_goes_on_where_the_last_one_ended(run_tap: Tap, emulator: Emulator) -> None:
    """Scheduled runs would write bundles twice, or leave some out."""
    emulator.bundles = [bundle(0), bundle(1)]
    files = place(run_tap)

    first = write(run_tap, files)
    assert first.result and files.state == first.result["state"]
    run = run_tap()
    assert run.bookmark == files.state["bookmarks"]["events"]
    before = {path: path.stat().st_mtime_ns for path in files.lying()}
    assert 2 == len(before) == first.result["files"] == len(first.result["manifests"])
    assert (6, sum(path.stat().st_size for path in before)) == (first.result["rows"], first.result["bytes"])

    nothing = write(run_tap, files)
    assert (0, 0, []) == (nothing.status, (nothing.result or {})["files"], (nothing.result or {})["manifests"])

    emulator.bundles = [bundle(0), bundle(1), bundle(2)]
    assert 0 == write(run_tap, files).status
    assert before == {path: path.stat().st_mtime_ns for path in files.lying() if path in before}
    assert [0, 1, 2, 100, 101, 102, 200, 201, 202] == files.numbers()
    assert_same_rows(run_tap(), files)
    assert [] == run_tap.waiting() == files.left()


def test_a_state_of_messages_is_gone_on_from(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever moves from a target to files would have to load everything again, or get some twice."""
    emulator.bundles = [bundle(0, 30), bundle(1)]
    first = run_tap(settings={"checkpoint_records": 10})
    state = next(one for one in first.states if one["bookmarks"]["events"]["partial"])
    done = state["bookmarks"]["events"]["partial"][1]
    files = place(run_tap)

    for _ in range(2):  # also once more from the same state: in place of what is there
        files.state_path.write_text(json.dumps(state))
        assert 0 == write(run_tap, files).status
        assert [*range(done, 30), 100, 101, 102] == files.numbers()

    files.state_path.unlink()
    assert 0 == write(run_tap, files).status
    assert [*range(30), 100, 101, 102] == files.numbers()


@pytest.mark.only_source("data_export")
def test_without_a_state_all_is_read_again_in_place(run_tap: Tap, emulator: Emulator) -> None:
    """A full refresh would leave what was deleted at Fullstory in the folder, or write everything beside it."""
    emulator.bundles = [bundle(0, 5), bundle(1, 5), bundle(2, 5)]
    files = place(run_tap)
    write(run_tap, files)
    files.state_path.unlink()
    emulator.bundles = [bundle(0, 2), bundle(1, 0), bundle(2, 6)]

    assert 0 == write(run_tap, files).status

    assert [0, 1, *range(200, 206)] == files.numbers()


@pytest.mark.only_source("data_export")
def test_dates_within_a_bundle(run_tap: Tap, emulator: Emulator) -> None:
    """Two parts of a bundle would take the same name, and one of them be lost."""
    emulator.bundles = [bundle(0, 10), bundle(1)]
    files = place(run_tap)
    for end in (FIRST + 180, FIRST + 420, None):
        end_date = None if end is None else rfc(end)
        assert 0 == write(run_tap, files, settings={"start_date": rfc(FIRST + 60), "end_date": end_date}).status

    assert [*range(1, 10), 100, 101, 102] == files.numbers()
    assert 4 == len(files.lying())


@pytest.mark.only_source("data_export")
def test_late_bundles_and_many_gaps(run_tap: Tap, emulator: Emulator) -> None:
    """What comes late would replace what is there, or have a name that no file system takes."""
    hours = [bundle(hour, 2, hours=1) for hour in range(48)]
    emulator.bundles = hours[::2]
    files = place(run_tap)
    settings = {"gap_check_hours": 10**6}
    write(run_tap, files, settings=settings)
    assert 23 == len(files.state["bookmarks"]["events"]["gaps"])
    day = Bundle(FIRST, FIRST + DAY, [one for hour in hours[:24] for one in hour.read_events()])
    emulator.bundles = [*emulator.bundles, day, hours[25], hours[27]]

    assert 0 == write(run_tap, files, settings=settings).status

    expected = [100 * hour + i for hour in (*range(24), 24, *range(25, 28), *range(28, 48, 2)) for i in range(2)]
    assert expected == sorted(files.numbers())
    assert 27 == len(files.lying())
    assert max(len(path.name) for path in files.lying()) < 100


@pytest.mark.only_source("data_export")
def test_what_is_read_again_is_a_file_of_its_own(run_tap: Tap, emulator: Emulator) -> None:
    """Settled values would replace a file that is loaded already, and no loader would look at it again."""
    now = int(time.time()) // DAY * DAY
    old, new = ([event(1, now - DAY, PageDuration=duration)] for duration in (5, 9))
    emulator.bundles = [Bundle(now - 2 * DAY, now - DAY, old)]
    settings = {"event_key": True, "reread_hours": 72, "start_date": rfc(now - 9 * DAY)}
    files = place(run_tap)
    write(run_tap, files, settings=settings)
    emulator.bundles = [Bundle(now - 2 * DAY, now - DAY, new)]

    for _ in range(2):  # the second time nothing has changed
        assert 0 == write(run_tap, files, settings=settings).status

    first, again = files.lying()
    assert ([5], [9]) == tuple([row["PageDuration"] for row in read_rows(path)] for path in (first, again))
    assert "-again_2" in again.name
    assert NAME.fullmatch(f"events/{again.name}")
    assert 2 == len(files.manifests())


@pytest.mark.only_source("data_export")
def test_an_id_that_is_no_time_names_a_file(run_tap: Tap, emulator: Emulator) -> None:
    """An id of another form than documented would end the run as a bug."""
    emulator.bundles = [bundle(0, id=2**63 - 1), bundle(1, id=7)]
    files = place(run_tap)

    assert 0 == write(run_tap, files).status

    expected = ["20231115T000000Z-9223372036854775807-0000.parquet", "20231116T000000Z-7-0000.parquet"]
    assert expected == [path.name for path in files.lying()]
    assert [0, 1, 2, 100, 101, 102] == files.numbers()


@pytest.mark.only_source("data_export")
def test_two_processes_write_into_one_folder(run_tap: Tap, emulator: Emulator) -> None:
    """Windows that are read side by side would remove each other's files."""
    emulator.bundles = [big_bundle(3000, day, 10_000 * day) for day in range(6)]
    one, other = place(run_tap, name="files"), Place(run_tap.folder / "files", "parquet")
    windows = [(FIRST, FIRST + 3 * DAY), (FIRST + 3 * DAY, FIRST + 6 * DAY)]
    processes = []
    for number, (start, stop) in enumerate(windows):
        state = ["--state", str(run_tap.folder / f"{number}.state.json")]
        settings = {"start_date": rfc(start), "end_date": rfc(stop)}
        processes.append(run_tap.start(*one.options(), *state, settings=settings))

    assert [0, 0] == [wait(process).status for process in processes]
    assert sorted(10_000 * day + i for day in range(6) for i in range(3000)) == sorted(other.numbers())


# Stopped, killed ------------------------------------------------------------------------------------------------------


def drafts(files: Place) -> list[Path]:
    """Files of events on their way."""
    return [*(files.folder / "events").glob(".*.draft")]


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_files_and_state_that_agree(run_tap: Tap, emulator: Emulator, number: int, status: int) -> None:
    """A job that is stopped would lose or repeat rows."""
    emulator.bundles = [bundle(0), big_bundle(MOST, 1, 1000), bundle(2, first=500)]
    emulator.faults = [Fault(GET, delay=60, match={"id": str(emulator.bundles[2].id)})]
    files = place(run_tap, "jsonl")
    process = run_tap.start(*files.options())
    wait_for(lambda: (files.folder / "events").exists() and len(files.lying()) and drafts(files))
    process.send_signal(number)
    begin = time.monotonic()
    stopped = wait(process)

    assert status == stopped.status
    assert time.monotonic() - begin < 6
    assert [] == files.left()
    half = len(files.numbers())
    assert 3 <= half <= 3 + MOST

    for _ in range(2):
        assert 0 == write(run_tap, files).status
        assert [*range(3), *range(500, 503), *range(1000, 1000 + MOST)] == sorted(files.numbers())
        files.state_path.unlink()


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("form", FORMS)
def test_a_killed_run_is_gone_on_from(run_tap: Tap, emulator: Emulator, form: str) -> None:
    """A crash would leave half a file, lose rows or bring them twice, or leave files behind for ever."""
    emulator.bundles = [big_bundle(4_000, day, 100_000 * day) for day in range(5)]
    files = place(run_tap, form)
    chance = random.Random(form)
    for kill in range(4):
        process = run_tap.start(*files.options())
        before = len(files.lying())
        while process.poll() is None and not (drafts(files) if kill % 2 else len(files.lying()) > before):
            time.sleep(0.01)
        time.sleep(chance.random() / 20)
        process.kill()
        process.communicate()
        for path in files.lying():
            read_rows(path)  # each is whole
        files.named()  # and so is what a manifest says

    assert 0 == write(run_tap, files).status
    assert sorted(100_000 * day + i for day in range(5) for i in range(4_000)) == sorted(files.numbers())
    assert [] == files.left() == run_tap.waiting()
    assert [] == [path.name for path in run_tap.folder.glob(".*")]


# What can go wrong ----------------------------------------------------------------------------------------------------


def assert_refused(status: int, words: str, done: Written) -> None:
    """One line says what is wrong."""
    assert status == done.status, done.stderr
    assert re.search(words, done.last_line), done.last_line
    assert 1 >= sum(line.startswith("CRITICAL") for line in done.said)


@pytest.mark.only_source("data_export")
def test_what_cannot_be_used_is_said_before_anything_is_asked_for(run_tap: Tap, emulator: Emulator) -> None:
    """A wrong word would cost one of the two downloads a minute, or be reported as a bug."""
    emulator.bundles = [bundle(0)]
    folder = run_tap.folder
    (folder / "file").write_bytes(b"")
    (folder / "empty.json").write_bytes(b"")
    good = str(folder / "good")
    cases: list[tuple[int, str, list[str]]] = [
        (2, "names no place", ["--to", ""]),
        (2, "none of --to", ["--to", good, "--format", "markdown"]),
        (2, "invalid choice", ["--to", good, "--format", "xml"]),
        (2, "none of --about", ["--format", "parquet"]),
        (78, "is empty", ["--to", good, "--state", str(folder / "empty.json")]),
        (78, "nonsense", ["--to", "nonsense://box/a"]),
        (78, "extra, such as s3", ["--to", "s3://box/a"]),
        (78, "three slashes", ["--to", "file://files"]),
        (74, "file", ["--to", str(folder / "file")]),
        (74, "file", ["--to", str(folder / "file" / "folder")]),
        (74, "/proc/files", ["--to", "/proc/files"]),
        (74, "nothing has been read", ["--to", good, "--state", str(folder / "missing" / "state.json")]),
        (74, "nothing has been read", ["--to", good, "--state", "/proc/state.json"]),
    ]
    for status, words, arguments in cases:
        done = run_tap.bare(run_tap.command(*arguments)[3:])
        assert b"" == done.stdout
        assert_refused(status, words, Written(done.returncode, None, done.stderr.decode()))
    assert [] == emulator.requests


@pytest.mark.only_source("data_export")
def test_without_pyarrow_only_json_lines_are_written(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever installed the tap without the extra would get a traceback, or nothing at all."""
    emulator.bundles = [bundle(0)]
    (run_tap.folder / "sitecustomize.py").write_text("import sys; sys.modules['pyarrow'] = None")
    env = {"PYTHONPATH": str(run_tap.folder)}
    for form in ("parquet", "csv"):
        assert_refused(78, r'extra "parquet".*jsonl', write(run_tap, place(run_tap, form), env=env))
    assert [] == emulator.requests

    files = place(run_tap, "jsonl")
    assert 0 == write(run_tap, files, env=env).status
    assert [0, 1, 2] == files.numbers()


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_becomes_full_ends_with_74(run_tap: Tap, emulator: Emulator, form: str) -> None:
    """A full disk would be reported as a bug, or half a file stay."""
    emulator.bundles = [bundle(0), big_bundle(MANY, 1, 100)]
    hashes = {
        "hash_columns": ["UserId", "EventType", "EventTargetText"],
        "hash_key": "k",
    }  # no packing makes them short
    files = place(run_tap, form)
    limited = ["sh", "-c", 'ulimit -f 256; exec "$@"', "sh"]  # no file may be larger than 128 or 256 KiB

    done = wait(run_tap.start(*files.options(), before=limited, settings=hashes))

    assert_refused(74, "my files.*cannot be", done)
    assert 3 == len(files.rows())
    assert [] == files.left()
    assert 0 == write(run_tap, files, settings=hashes).status
    assert 3 + MANY == len(files.rows())
    assert [] == run_tap.waiting()


def broken(whole: Bundle, how: str) -> bytes:
    """A download that cannot be told from a whole one before its end."""
    text = b"".join(whole.read_text())
    middle = text.rindex(b"{")
    return {
        "wrong checksum": gzip.compress(text)[:-8] + b"\0\0\0\0" + gzip.compress(text)[-4:],
        "no bracket": gzip.compress(text.rstrip()[:-1]),
        "broken event": gzip.compress(text[:middle] + b"{!" + text[middle + 1 :]),
        "more behind": gzip.compress(text + b"[]"),
        "nothing": b"",
    }[how]


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize(
    "form, how",
    [
        ("parquet", "broken event"),
        *(
            pytest.param(form, how, marks=pytest.mark.long)
            for form, how in (
                ("csv", "broken event"),
                ("jsonl", "broken event"),
                *(("parquet", how) for how in ("wrong checksum", "no bracket", "more behind", "nothing")),
            )
        ),
    ],
)
@pytest.mark.long
def test_what_came_of_a_damaged_bundle_is_taken_back(run_tap: Tap, emulator: Emulator, form: str, how: str) -> None:
    """Rows are written while a bundle is checked: those of a damaged one would stay, or be there twice."""
    count = 20_000
    emulator.bundles = [bundle(0), big_bundle(count, 1, 1000), bundle(2, first=500)]
    damaged = emulator.bundles[1]
    answer: dict[str, Any] = {"raw": broken(damaged, how), "match": {"id": str(damaged.id)}}
    emulator.faults = [Fault(GET, times=None, **answer)]
    files = place(run_tap, form)
    done = write(run_tap, files, settings={"retry_timeout": 0.5})

    assert_refused(65, f"Bundle {damaged.id} .* arrived damaged: .*None of this download was written", done)
    assert [0, 1, 2] == sorted(files.numbers())
    assert [] == files.left()

    emulator.faults = [Fault(GET, **answer)]
    done = write(run_tap, files)
    assert 0 == done.status
    assert 1 == sum("arrived damaged" in line for line in done.said)
    assert [*range(3), *range(500, 503), *range(1000, 1000 + count)] == sorted(files.numbers())
    assert done.result and count + 3 == done.result["rows"]
    assert f"{count + 3} records" in done.last_line


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize("damaged", [False, True])
def test_an_old_download_says_nothing_of_a_new_one(run_tap: Tap, emulator: Emulator, damaged: bool) -> None:
    """What an old crash has left would decide where the new bundle is cut, or that it need not be checked."""
    emulator.bundles = [big_bundle(MANY)]
    crash(run_tap)
    for left in run_tap.waiting():
        os.utime(run_tap.spool / left, (time.time() - 7200,) * 2)
    emulator.bundles = [bundle(0, 5)]
    emulator.faults = [Fault(GET, wrong_crc=True)] if damaged else []
    files = place(run_tap)

    done = write(run_tap, files)

    assert 0 == done.status
    assert [0, 1, 2, 3, 4] == files.numbers()
    assert (3 if damaged else 2) == emulator.count(GET)
    assert [] == run_tap.waiting()


@pytest.mark.only_source("data_export")
def test_a_folder_that_goes_away_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """A volume that is taken away in the middle would be reported as a bug."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.faults = [Fault(GET, delay=1, match={"id": str(emulator.bundles[1].id)})]
    files = place(run_tap)
    process = run_tap.start(*files.options())
    wait_for(lambda: files.state)
    files.folder.rename(run_tap.folder / "elsewhere")
    files.folder.write_bytes(b"")

    assert_refused(74, "my files", wait(process))


@pytest.mark.only_source("data_export")
def test_files_are_for_the_loader_to_read(run_tap: Tap, emulator: Emulator) -> None:
    """The loader, often another user, could not read them; or a state would be open that was not."""
    emulator.bundles = [bundle(0)]
    files = place(run_tap)
    files.state_path.write_text("{}")
    files.state_path.chmod(0o660)
    before = os.umask(0o027)
    try:
        assert 0 == write(run_tap, files).status
    finally:
        os.umask(before)

    assert {0o640} == {path.stat().st_mode & 0o777 for path in files.folder.rglob("*") if path.is_file()}
    assert 0o660 == files.state_path.stat().st_mode & 0o777


@pytest.mark.only_source("data_export")
def test_without_a_state_file_the_state_is_in_the_result(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever keeps states elsewhere could not get at it."""
    emulator.bundles = [bundle(0)]
    done = run_tap.bare(run_tap.command("--to", "files")[3:])

    assert 0 == done.returncode
    result = json.loads(done.stdout)
    id_ = emulator.bundles[0].id
    assert bookmark(FIRST - 14 * DAY, FIRST + DAY, [id_]) == result["state"]
    assert [(run_tap.folder / f"files/_manifests/20231115T000000Z-{id_}.json").as_uri()] == result["manifests"]


@pytest.mark.only_source("data_export")
@pytest.mark.parametrize(
    "events, form", [(100_000, "parquet"), *(pytest.param(1_000_000, form, marks=pytest.mark.long) for form in FORMS)]
)
def test_memory_does_not_grow_with_a_bundle(tmp_path: Path, events: int, form: str) -> None:
    """A large bundle would get the container of a scheduler killed, with an empty message."""
    with Emulator.generated(days=1, events_per_bundle=events, prepared=True) as account:
        settings = {"api_key": account.api_key, "api_url": account.url, "export_url": account.url}
        config = tmp_path / "config.json"
        config.write_text(json.dumps({**settings, "start_date": "2020-01-01", "spool_dir": str(tmp_path)}))
        command = [sys.executable, "-m", "tap_fullstory", "--config", str(config)]
        command += ["--to", str(tmp_path / "files"), "--format", form]
        run = subprocess.run([sys.executable, "-c", MEASURE, *command], capture_output=True, check=False)

    assert 0 == run.returncode, run.stderr.decode()
    (manifest,) = Place(tmp_path / "files", form).manifests()
    assert events == manifest["rows"]
    assert 50 * 1024 < int(run.stdout) < MOST_MEMORY
