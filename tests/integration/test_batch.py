"""BATCH messages and their files: the records of RECORD mode, in the same order between the same STATEs."""

import gzip
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fullstory_emulator import Emulator, sample_bundles
from tests.integration.tap import FIRST, TIMEOUT, Json, Run, Tap, big_bundle, bundle, finished, parse, rfc
from tests.integration.test_bundles_stream import catalog

COUNT = 3000  # events; the BATCH messages of their files are more than a socket holds
ENCODING = {"format": "jsonl", "compression": "gzip"}
RECORD = re.compile(rb'\{"type":"RECORD","stream":"(\w+)","record":(.*),"time_extracted":"[^"]+"\}')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the files go; nobody has made it yet."""
    return tmp_path / "a folder" / "batches"


def batching(folder: Path, **members: object) -> Json:
    """The setting for files in *folder*."""
    return {"batch_config": {"encoding": ENCODING, "storage": {"root": str(folder)}, **members}}


def announced(message: Json) -> Path:
    """The file that a BATCH message names, as targets read the name."""
    assert {"type", "stream", "encoding", "manifest"} == set(message)
    assert ENCODING == message["encoding"]
    (url,) = message["manifest"]
    assert url.startswith("file:///")
    return Path(urlsplit(url).path)


def files_of(run: Run) -> list[Path]:
    """All files that a run has announced."""
    return [announced(message) for message in run.messages if message["type"] == "BATCH"]


def there(folder: Path) -> list[Path]:
    """All files that are in the folder, hidden ones too."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def lines_of(path: Path) -> list[bytes]:
    """The records in a file, each as its bytes."""
    text = gzip.decompress(path.read_bytes())
    assert text.endswith(b"\n")
    return text.split(b"\n")[:-1]


def loaded(run: Run) -> Run:
    """The run as a target sees it that has loaded its files: with a RECORD for each of their lines."""
    messages: list[Json] = []
    for message in run.messages:
        if message["type"] == "BATCH":
            stream = message["stream"]
            messages += ({"type": "RECORD", "stream": stream, "record": parse(x)} for x in lines_of(announced(message)))
        else:
            messages.append(message)
    return replace(run, messages=messages)


def parts(run: Run) -> list[list[bytes]]:
    """The records between the STATEs of a run, as bytes with their stream in front, sorted by stream alone.

    Where there are none, the STATE says what has become of exports, which is a matter of time.
    """
    found: list[list[tuple[bytes, bytes]]] = [[]]
    for line in run.stdout.split(b"\n")[:-1]:
        message = parse(line)
        if message["type"] == "RECORD":
            record = RECORD.fullmatch(line)
            assert record
            found[-1].append((record[1], record[2]))
        elif message["type"] == "BATCH":
            found[-1] += ((message["stream"].encode(), one) for one in lines_of(announced(message)))
        elif message["type"] == "STATE":
            found.append([])
    return [[b" ".join(one) for one in sorted(part, key=lambda one: one[0])] for part in found if part]


def untils(run: Run) -> list[str]:
    """How far each STATE goes that goes further than the one before."""
    return list(dict.fromkeys(state["bookmarks"]["events"]["until"] for state in run.states))


def timeless(part: list[bytes]) -> list[bytes]:
    """Without the moment of the download, which two runs cannot share."""
    return [re.sub(rb'"downloaded_at":"[^"]+"', b"", one) for one in part]


@pytest.mark.proves("capabilities", "batch")
@pytest.mark.parametrize("key", [False, True])
def test_files_hold_the_records_of_record_mode(run_tap: Tap, emulator: Emulator, folder: Path, *, key: bool) -> None:
    """A warehouse would hold something else, or state would cover something else, only since files are quicker."""
    emulator.bundles = [bundle(0), bundle(1, 0), big_bundle(1000, 2), bundle(3)]
    settings = {"start_date": rfc(FIRST), "event_key": key, "checkpoint_records": 300}
    if run_tap.source == "data_export":
        emulator.bundles = [*sample_bundles(), *emulator.bundles]
        settings["start_date"] = "2020-08-01T00:00:00Z"

    usual = run_tap(settings=settings, catalog=catalog())
    run = run_tap(settings={**settings, **batching(folder, batch_size=70)}, catalog=catalog())

    assert (0, 0) == (usual.status, run.status)
    assert len(usual.records("bundles")) >= 2
    assert [*map(timeless, parts(usual))] == [*map(timeless, parts(run))]
    assert untils(usual) == untils(run)
    assert [usual.schema(), usual.schema("bundles")] == [run.schema(), run.schema("bundles")]
    assert [] == run.records() + run.records("bundles")
    sizes = [len(lines_of(path)) for path in files_of(run)]
    assert (1, 70) == (min(sizes), max(sizes))
    assert sorted(files_of(run)) == there(folder)


def test_a_file_is_whole_before_it_is_announced(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """A target that loads at once would find half a file, or none."""
    emulator.bundles = [big_bundle(2000), bundle(1)]

    with slowly_read(run_tap, settings={**batching(folder, batch_size=100), "checkpoint_records": 500}) as target:
        for message in target.messages():
            if message["type"] == "BATCH":
                assert 0 < len(lines_of(announced(message))) <= 100


def test_reading_goes_on_from_any_state(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """A target that was stopped would lose or repeat events."""
    emulator.bundles = [bundle(0, 15), bundle(1, 0), bundle(2, 15)]
    settings = {**batching(folder, batch_size=4), "checkpoint_records": 6}

    first = loaded(run_tap(settings=settings))
    later = [loaded(one) for one in run_tap.all({"settings": settings, "state": state} for state in first.states)]

    assert [*range(15), *range(200, 215)] == first.numbers()
    assert "STATE" == first.messages[-1]["type"] and len(first.states) >= 6
    for position, again in zip(first.state_positions(), later, strict=True):
        assert first.after(position) == again.records()


class SlowTarget:
    """A run whose messages are read as a test asks for them; what is between is hardly more than a line."""

    def __init__(self, process: "subprocess.Popen[bytes]", end: socket.socket) -> None:
        self.process = process
        self.end = end
        self.text = b""

    def read(self, kind: str, count: int) -> None:
        """Read until so many messages of that kind are there."""
        while self.text.count(b'{"type":"%b"' % kind.encode()) < count:
            piece = self.end.recv(512)
            assert piece, "the run ended too early"
            self.text += piece

    def messages(self) -> Iterator[Json]:
        """Yield all messages, one by one, until the run has ended well."""
        with self.end.makefile("rb") as lines:
            yield from map(parse, lines)
        assert 0 == self.process.wait(TIMEOUT)

    def ended(self) -> Run:
        """The run, when it has ended, with what had been read or was on its way."""
        while piece := self.end.recv(65536):
            self.text += piece
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return finished(self.process.returncode, self.text, errors, whole=self.process.returncode != -9)


@contextmanager
def slowly_read(run_tap: Tap, **options: object) -> Iterator[SlowTarget]:
    """A run whose stdout is a socket: it holds less than a pipe, which has room for thousands of BATCH messages."""
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # the least that the system allows
    process = run_tap.start(stdout=theirs, **options)
    theirs.close()
    try:
        yield SlowTarget(process, ours)
    finally:
        ours.close()
        process.kill()
        process.communicate()


def small(folder: Path) -> Json:
    """Settings that make many messages of the events of a `big_bundle`."""
    return {**batching(folder, batch_size=40), "checkpoint_records": 100}


def test_a_killed_run_is_resumed(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """A crash would lose or repeat events, or leave half a file behind for ever."""
    emulator.bundles = [big_bundle(COUNT), bundle(1, first=COUNT)]
    with slowly_read(run_tap, settings=small(folder)) as target:
        target.read("STATE", 3)
        target.process.kill()
        crashed = target.ended()
    left = folder / ".tap-fullstory-left.draft"
    left.write_bytes(b"half a file")  # where exactly it is killed is chance

    rest = run_tap(state=crashed.states[-1], settings=small(folder))

    last = crashed.state_positions()[-1]
    covered = loaded(replace(crashed, messages=crashed.messages[: last + 1]))
    assert (-9, 0) == (crashed.status, rest.status)
    assert 200 <= len(covered.numbers()) < COUNT
    assert [*range(COUNT + 3)] == covered.numbers() + loaded(rest).numbers()
    assert not left.exists()
    # one may have been finished and not announced yet
    assert len({*there(folder)} - {*files_of(crashed), *files_of(rest)}) <= 1


def test_a_signal_ends_the_run_on_a_safe_state(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """Stopping a job would lose or repeat events, or leave files behind that nobody loads."""
    emulator.bundles = [big_bundle(COUNT), bundle(1, first=COUNT)]
    with slowly_read(run_tap, settings=small(folder)) as target:
        target.read("BATCH", 4)
        target.process.send_signal(signal.SIGTERM)
        run = target.ended()
    assert [*files_of(run)] == there(folder)

    rest = loaded(run_tap(state=run.states[-1], settings=small(folder)))

    assert 143 == run.status
    assert "STATE" == run.messages[-1]["type"]
    assert [*range(COUNT + 3)] == loaded(run).numbers() + rest.numbers()


def test_a_target_that_goes_away_ends_the_run_with_141(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """The tap would fill a folder for hours, or leave a file behind that nobody has heard of."""
    emulator.bundles = [big_bundle(COUNT)]
    with slowly_read(run_tap, settings=small(folder)) as target:
        target.read("BATCH", 4)
        target.end.shutdown(socket.SHUT_RDWR)
        _, errors = target.process.communicate(timeout=TIMEOUT)
    said = [line for line in errors.decode().splitlines() if "METRIC" not in line and not line.startswith("INFO")]

    assert 141 == target.process.returncode
    assert 1 == len(said), said
    whole = [parse(line) for line in target.text.split(b"\n")[:-1]]
    names = [announced(message) for message in whole if message["type"] == "BATCH"]
    assert {*names} <= {*there(folder)}
    assert not [path for path in there(folder) if path.suffix == ".draft"]


def test_a_folder_that_becomes_full_ends_with_74(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """A full disk would be taken for a bug, or its half file for a whole one."""
    many = 12_000
    emulator.bundles = [bundle(0), big_bundle(many, 1, 100), bundle(2, first=100 + many)]
    # event_id does not compress: the file of a bundle is larger than the bundle
    settings = {**batching(folder, batch_size=many), "checkpoint_records": many, "event_key": True}
    limited = ["sh", "-c", 'ulimit -f 512; exec "$@"', "sh"]  # no file may be larger than 256 or 512 KiB
    process = run_tap.start(before=limited, settings=settings)
    stdout, errors = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, stdout, errors)

    assert (74, [0, 1, 2]) == (run.status, loaded(run).numbers())
    assert str(folder) in run.last_line
    assert [*files_of(run)] == there(folder)

    rest = loaded(run_tap(state=run.states[-1], settings=settings))
    assert [*range(100, 103 + many)] == rest.numbers()


def test_a_folder_that_cannot_be_made_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """A wrong path would be taken for a failure of Fullstory, or noticed after an hour of downloads."""
    emulator.bundles = [bundle(0)]
    file = run_tap.folder / "file"
    file.write_bytes(b"")

    for place in ("/proc/batches", str(file), f"file://{file}/below"):
        run = run_tap(settings=batching(Path("unused"), storage={"root": place}))
        assert (74, []) == (run.status, run.messages)
        assert place.removeprefix("file://") in run.last_line
    assert [] == emulator.requests


def test_several_runs_write_into_one_folder(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """Workers would overwrite each other's files, or take one for what a crash has left."""
    emulator.bundles = [big_bundle(1500), bundle(1, first=1500)]
    settings = batching(
        folder, batch_size=50, storage={"root": folder.as_uri().replace("%20", " "), "prefix": "x/shop-"}
    )

    runs = run_tap.all([{"settings": settings}] * 4)

    for run in runs:
        assert (0, [*range(1503)]) == (run.status, loaded(run).numbers())
    files = [path for run in runs for path in files_of(run)]
    assert len({*files}) == len(files)
    assert sorted(files) == there(folder)
    assert all(path.parent == folder / "x" and path.name.startswith("shop-") for path in files)


@pytest.mark.only_source("data_export")
def test_a_folder_beside_the_config(run_tap: Tap, emulator: Emulator) -> None:
    """A path that is not absolute would name a file that the target does not find."""
    emulator.bundles = [bundle(0)]

    run = run_tap(settings=batching(Path("batches")))

    assert [0, 1, 2] == loaded(run).numbers()
    assert [run_tap.folder / "batches"] == [path.parent for path in files_of(run)]


@pytest.mark.only_source("data_export")
def test_nothing_new_is_no_file(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """Hourly runs would fill the folder with empty files, and some targets refuse these."""
    emulator.bundles = [bundle(0), bundle(1, 0)]
    first = run_tap(settings=batching(folder))
    files = there(folder)

    second = run_tap(settings=batching(folder), state=first.states[-1])

    assert 1 == len(files)
    assert (0, ["SCHEMA", "STATE"]) == (second.status, [message["type"] for message in second.messages])
    assert files == there(folder)


@pytest.mark.only_source("data_export")
def test_files_and_batches_exclude_each_other(run_tap: Tap, emulator: Emulator, folder: Path) -> None:
    """Somebody would wait for messages that are not written."""
    emulator.bundles = [bundle(0)]

    run = run_tap("--to", str(folder), settings=batching(folder))

    assert 78 == run.status
    assert "batch_config" in run.last_line and "--to" in run.last_line
    assert not folder.exists()
    assert [] == emulator.requests
