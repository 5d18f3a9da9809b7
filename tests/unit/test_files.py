"""Files, their manifest, the state behind it: whatever happens in between, what is there is what was read."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tap_fullstory import __version__, files, storage
from tap_fullstory.bundles import Bundle
from tap_fullstory.errors import SpoolError
from tap_fullstory.files import FORMATS, FileWriter
from tap_fullstory.layout import Layout
from tap_fullstory.records import ALL, Origin, Records
from tap_fullstory.report import Report
from tap_fullstory.storage import Folder, Storage, open_storage
from tap_fullstory.streams import Selection, Stream
from tap_fullstory.workers import start
from tests.csv_texts import read_csv

DAY = 86400
FIRST = 1700006400  # 2023-11-15T00:00:00Z
Json = dict[str, Any]


def origin(day: int = 0, part: str = "") -> Origin:
    """Where the records of a day are from."""
    return Origin(100 * (FIRST + day * DAY) + 48, FIRST + day * DAY, part)


def run_of(numbers: Iterable[int], of: Origin) -> Records:
    """Records that can be told by their numbers."""
    lines = [b'{"n":%d}\n' % number for number in numbers]
    return Records(len(lines), b"".join(lines), len(lines), "2024-01-01T00:00:00Z", origin=of)


def stream(name: str) -> tuple[Stream, Selection]:
    """A stream of numbers."""
    schema = {"properties": {"n": {"type": ["null", "integer"]}, "m": {"type": ["null", "string"]}}}
    selection = Selection.__new__(Selection)
    object.__setattr__(selection, "columns", ("n",))
    return Stream(name, schema, (), "INCREMENTAL", lambda *_: iter(())), selection


def write(
    place: Storage,
    items: Iterable[Any],
    form: str = "jsonl",
    state: Path | None = None,
    streams: str = "events bundles",
) -> Json:
    """Give a writer records (of `events`, or pairs of a stream's name and records) and states; return its result."""
    with FileWriter(place, form, state, Report()) as writer:
        for name in streams.split():
            writer.schema(*stream(name))
        for item in items:
            if isinstance(item, Mapping):
                writer.state(item)
            elif isinstance(item, tuple):
                writer.records(*item)
            else:
                writer.records("events", item)
    return writer.result


def numbers(path: Path) -> list[int]:
    """The numbers in a file."""
    if path.name.endswith(".parquet"):
        found: list[int] = pyarrow.parquet.read_table(path).column("n").to_pylist()
        return found
    text = gzip.decompress(path.read_bytes()).decode()
    if path.name.endswith(".csv.gz"):
        return [int(one or "") for (one,) in read_csv(text)[1:]]
    return [json.loads(line)["n"] for line in text.splitlines()]


def lying(folder: Path, stream: str = "events") -> list[int]:
    """The numbers in all files that lie there, named by a manifest or not."""
    return sorted(one for path in (folder / stream).glob("[!.]*") for one in numbers(path))


def manifests(folder: Path) -> list[Json]:
    """All manifests, by name."""
    return [json.loads(path.read_bytes()) for path in sorted((folder / "_manifests").glob("[!.]*"))]


def named(folder: Path, stream: str = "events") -> list[int]:
    """The numbers in the files that the manifests name; each file is as the manifest says."""
    found: list[int] = []
    for manifest in manifests(folder):
        assert manifest["rows"] == sum(one["rows"] for one in manifest["files"])
        assert manifest["bytes"] == sum(one["bytes"] for one in manifest["files"])
        for one in manifest["files"]:
            path = folder / one["path"]
            assert one["url"] == path.as_uri()
            assert one["bytes"] == path.stat().st_size
            assert one["rows"] == len(numbers(path))
            if one["stream"] == stream:
                found += numbers(path)
    return sorted(found)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting for the disk: nobody pulls the plug here."""
    monkeypatch.setattr(storage.os, "fsync", lambda _: None)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run of records gets a file of its own."""
    monkeypatch.setattr(files, "LARGEST_FILE", 0)


@pytest.mark.parametrize("form", FORMATS)
def test_a_bundle_becomes_a_file_and_a_manifest(tmp_path: Path, form: str) -> None:
    """Loaders would not find the files, or could not tell what is in them."""
    state = {"bookmarks": {"events": {"until": "x"}}}
    result = write(
        Folder(tmp_path), [run_of([1, 2], origin()), run_of([3], origin()), state], form, tmp_path / "s.json"
    )

    name = f"events/20231115T000000Z-170000640048-0000.{FORMATS[form]}"
    assert [1, 2, 3] == numbers(tmp_path / name)
    (manifest,) = manifests(tmp_path)
    size = (tmp_path / name).stat().st_size
    file = {"path": name, "url": (tmp_path / name).as_uri(), "stream": "events", "rows": 3, "bytes": size}
    assert {
        "format": form,
        "files": [file],
        "rows": 3,
        "bytes": size,
        "bundle_ids": [170000640048],
        "tap_version": __version__,
    } == manifest
    assert state == json.loads((tmp_path / "s.json").read_bytes())
    assert {
        "manifests": [(tmp_path / "_manifests/20231115T000000Z-170000640048.json").as_uri()],
        "files": 1,
        "rows": 3,
        "bytes": size,
        "state": state,
    } == result


def test_a_large_bundle_becomes_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle of gigabytes would be one file that loaders take at once."""
    monkeypatch.setattr(files, "LARGEST_FILE", 100_000)
    monkeypatch.setattr(files, "LINES_SIZE", 5_000)
    runs = [run_of(range(1000 * i, 1000 * i + 1000), origin()) for i in range(200)]

    write(Folder(tmp_path), [*runs, {}])

    found = sorted((tmp_path / "events").iterdir())
    assert len(found) > 1
    assert [f"20231115T000000Z-170000640048-{i:04d}.jsonl.gz" for i in range(len(found))] == [one.name for one in found]
    sizes = [len(gzip.decompress(one.read_bytes())) for one in found]
    assert all(100_000 <= size < 150_000 for size in sizes[:-1])
    assert [*range(200_000)] == [number for one in found for number in numbers(one)]
    assert [*range(200_000)] == named(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
def test_nothing_is_left_when_a_bundle_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """A bundle whose last records fill what is given on at once would end the run as a bug."""
    monkeypatch.setattr(files, "LINES_SIZE", 1)

    write(Folder(tmp_path), [run_of([1], origin()), {}], form)

    assert [1] == lying(tmp_path)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("again", [[[7]], [[7], [8]], [[7], [8], [9], [10]], []])
def test_what_is_written_once_more_replaces_what_was_there(
    tmp_path: Path, small: None, form: str, again: list[list[int]]
) -> None:
    """Rows of an earlier run would stay beside those of the new one: in more files, or in another format."""
    write(Folder(tmp_path), [*(run_of([i], origin()) for i in range(3)), {}, run_of([99], origin(1)), {}])

    runs = [run_of(one, origin()) for one in again] or [run_of([], origin())]
    write(Folder(tmp_path), [*runs, {}], form)

    expected = sorted([*(number for one in again for number in one), 99])
    assert expected == lying(tmp_path) == named(tmp_path)
    assert len(again) + 1 == len([*(tmp_path / "events").iterdir()])


def test_each_bundle_of_a_state_has_a_manifest(tmp_path: Path) -> None:
    """A bundle that comes with another one today and alone tomorrow would be named twice, or its files be lost."""
    items = [run_of([1], origin(0)), run_of([2], origin(1))]
    together, apart = [*items, {}], [items[0], {}, items[1], {}]
    for some in (together, apart, together, apart):
        write(Folder(tmp_path), some)

        assert [[170000640048], [170009280048]] == [one["bundle_ids"] for one in manifests(tmp_path)]
        assert [1, 2] == named(tmp_path) == lying(tmp_path)


PARTS = [
    ("", "", True),
    ("", "behind_5", True),
    ("", "again_2024-01-01T000000_000Z", True),
    ("", "2023-11-15T120000_", True),
    ("2023-11-15T120000_", "", False),
    ("2023-11-15T120000_", "2023-11-15T120000_", True),
    ("2023-11-15T120000_", "2023-11-15T120000_-behind_5", True),
    ("2023-11-15T120000_", "2023-11-15T120000_-2023-11-15T160000_", False),
    ("_2023-11-15T120000", "2023-11-15T120000_", False),
    ("behind_5", "", False),
    ("behind_5", "behind_5", True),
    ("behind_5", "behind_7", True),
    ("behind_5", "behind_3", False),
    ("behind_5", "a_-behind_7", False),
    ("a_-behind_5", "a_-behind_10", True),
    ("a_-behind_5", "a_", False),
    ("again_2024-01-01T000000_000Z", "", False),
    ("again_2024-01-01T000000_000Z", "again_2024-01-02T000000_000Z", False),
]


@pytest.mark.parametrize("part, other, gone", PARTS)
def test_a_part_replaces_what_it_covers(tmp_path: Path, part: str, other: str, gone: bool) -> None:
    """Events would be there twice after a run from the beginning, or gone though nobody has written them again."""
    write(Folder(tmp_path), [run_of([1], origin(0, other)), {}, run_of([3], origin(1, other)), {}])

    write(Folder(tmp_path), [run_of([2], origin(0, part)), {}])

    assert ([2, 3] if gone else [1, 2, 3]) == named(tmp_path) == lying(tmp_path)


def test_files_of_other_streams_stay(tmp_path: Path) -> None:
    """Whoever writes the log of bundles later would lose the events that are there."""
    write(Folder(tmp_path), [run_of([1], origin()), {}, run_of([2], origin(0, "behind_1")), {}])

    write(Folder(tmp_path), [("bundles", run_of([7], origin())), {}])

    assert [1, 2] == named(tmp_path) == lying(tmp_path)
    assert [7] == named(tmp_path, "bundles") == lying(tmp_path, "bundles")


def test_the_log_behind_a_resumed_bundle_leaves_its_beginning(tmp_path: Path) -> None:
    """The record of the whole bundle would remove the events that the run before has written of it."""
    first = [run_of([1], origin()), {}]
    second = [run_of([2], origin(0, "behind_1")), ("bundles", run_of([7], origin())), {}]
    for items in (first, second, second):
        write(Folder(tmp_path), items)

    assert [1, 2] == named(tmp_path) == lying(tmp_path)
    assert [7] == named(tmp_path, "bundles") == lying(tmp_path, "bundles")

    write(Folder(tmp_path), [run_of([1, 2], origin()), ("bundles", run_of([7], origin())), {}])
    assert [1, 2] == named(tmp_path) == lying(tmp_path)
    assert [7] == named(tmp_path, "bundles") == lying(tmp_path, "bundles")
    assert 1 == len(manifests(tmp_path))


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files":[{"path":7}]}', b'{"files":[{}]}', b"\xff", b"null"])
def test_a_manifest_that_is_none_of_ours_does_no_harm(tmp_path: Path, content: bytes) -> None:
    """A file that somebody has cut or edited would end each run as a bug."""
    folder = tmp_path / "_manifests"
    folder.mkdir()
    for name in ("20231115T000000Z-170000640048.json", "20231115T000000Z-170000640048-behind_5.json"):
        (folder / name).write_bytes(content)

    write(Folder(tmp_path), [run_of([1], origin()), {}])

    assert [1] == lying(tmp_path)
    assert 1 == json.loads((folder / "20231115T000000Z-170000640048.json").read_bytes())["rows"]


def test_a_manifest_cannot_make_us_remove_anything_else(tmp_path: Path) -> None:
    """Who may write into the folder could have any file removed by whoever runs the tap."""
    (tmp_path / "precious").write_bytes(b"x")
    place = Folder(tmp_path / "files")
    write(place, [run_of([1], origin()), {}])
    path = tmp_path / "files/_manifests/20231115T000000Z-170000640048.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"].append({**manifest["files"][0], "path": "../precious"})
    path.write_text(json.dumps(manifest))

    write(place, [run_of([1], origin()), {}])

    assert (tmp_path / "precious").exists()


# Whatever happens in between ------------------------------------------------------------------------------------------


class Killed(BaseException):
    """What SIGKILL is to a process; nothing is cleaned up behind it."""


def after(steps: int) -> Callable[[Any], Any]:
    """Return what makes a function die in place of its call number *steps*; counted over all functions."""
    left = [steps]

    def dying(function: Any) -> Any:
        def call(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return function(*arguments)

        return call

    return dying


DAYS = 3


def tries(folder: Path, state: Path, days: Mapping[int, list[list[int]]], form: str = "jsonl") -> None:
    """A run as the tap does it: it goes on behind what the state says, day by day."""
    done = json.loads(state.read_bytes())["day"] if state.exists() else 0
    writer = FileWriter(Folder(folder), form, state, Report())  # as no context manager: SIGKILL cleans up nothing
    writer.schema(*stream("events"))
    for day in range(done, DAYS):
        for part in days[day]:
            writer.records("events", run_of(part, origin(day)))
        writer.state({"day": day + 1})


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_is_killed_between_any_two_steps(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Some moment to be killed would lose or repeat rows, or let half a file be seen."""
    before = {day: [[1000], [1001], [1002]] for day in range(DAYS)}
    days = {day: [[10 * day], [10 * day + 1]] for day in range(DAYS)}
    expected = sorted(number for parts in days.values() for part in parts for number in part)
    steps = 0
    for steps in range(100):
        folder, state = tmp_path / f"{steps}", tmp_path / f"{steps}.json"
        tries(folder, tmp_path / f"{steps}.before", before, form)  # what an earlier run has left
        with monkeypatch.context() as patch:
            dying = after(steps)
            patch.setattr(storage, "replace", dying(storage.replace))
            patch.setattr(Folder, "remove", dying(Folder.remove))
            try:
                tries(folder, state, days, form)
                break
            except Killed:
                pass
        lying(folder)  # each is whole
        done = json.loads(state.read_bytes())["day"] if state.exists() else 0
        covered = [number for day in range(done) for part in days[day] for number in part]
        assert covered == [one for one in named_in(folder, done) if one < 1000]
        tries(folder, state, days, form)
        assert expected == lying(folder) == named(folder)
        assert DAYS == json.loads(state.read_bytes())["day"]
    assert 3 * (2 + 1 + 1 + 1) == steps  # a day: two files, a manifest, a file that is left over, the state


def named_in(folder: Path, days: int) -> list[int]:
    """The numbers in the files that the manifests of the first days name."""
    return sorted(
        number
        for manifest in manifests(folder)[:days]
        for one in manifest["files"]
        for number in numbers(folder / one["path"])
    )


@pytest.mark.parametrize("form", FORMATS)
def test_a_run_that_fails_leaves_no_draft(tmp_path: Path, form: str) -> None:
    """Each failed run would leave the beginning of a file behind."""
    writer = FileWriter(Folder(tmp_path), form, None, Report())
    writer.schema(*stream("events"))
    writer.records("events", run_of(range(1000), origin()))
    writer.__exit__(None, None, None)

    assert [] == [one for one in tmp_path.rglob("*") if not one.is_dir()]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("largest", [1, 1000], ids=["many files", "one file"])
def test_what_is_void_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, largest: int) -> None:
    """Rows of a damaged bundle would stay, beside those of the bundle that is whole, or take other rows along."""
    monkeypatch.setattr(files, "LARGEST_FILE", largest)
    void = Records(0, b"", 0, "2024-01-01T00:00:00Z", origin=origin(1), void=True)
    damaged = [run_of([7, 8], origin(1)), run_of([9], origin(1)), void]

    result = write(Folder(tmp_path), [run_of([1], origin()), *damaged, *damaged, run_of([2], origin(1)), {}], form)

    assert 2 == result["files"] == result["rows"]
    found = [path for path in tmp_path.rglob("events/*") if path.is_file()]
    assert [[1], [2]] == [numbers(path) for path in sorted(found)]
    write(Folder(tmp_path), [*damaged, {}], form)
    assert [[1]] == [numbers(path) for path in tmp_path.rglob("events/*") if path.is_file()]
    assert 1 == len([*tmp_path.glob("_manifests/*")])


def test_what_is_void_is_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle whose damage shows behind its first file would seem to have brought its records twice."""
    monkeypatch.setattr(files, "LARGEST_FILE", 1)
    report = Report()
    of = origin(1)
    report.of_bundle(Bundle(of.bundle_id, of.start, of.start + DAY))
    events = [b'[{"EventStart":"1970-01-01T00:00:00Z"}]'] * 3
    made = [Records(0, one, 1, "2024-01-01T00:00:00Z", origin=of, window=ALL) for one in events]
    void = Records(0, b"", 0, "2024-01-01T00:00:00Z", origin=of, void=True)
    started = start("jsonl", Layout(("EventStart", "_bundle_id"), ()))

    with FileWriter(Folder(tmp_path), "jsonl", None, report, workers=started) as writer:
        writer.schema(*stream("events"))
        for item in (*made, void, *made):
            writer.records("events", item)
        writer.state({})

    assert (3, 3) == (report.records, report.fetched[of.bundle_id].records)


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_what_goes_wrong_while_a_file_is_written_is_raised(tmp_path: Path, form: str) -> None:
    """A thread would die in silence, and the run wait for it for ever or call its file finished."""
    wrong = Records(1, b'{"n":"cut off"\n', 1, "2024-01-01T00:00:00Z", origin=origin())
    with pytest.raises(Exception, match="truncated"):
        write(Folder(tmp_path), [wrong, {}], form)

    assert [] == [one for one in tmp_path.rglob("*") if not one.is_dir()]


@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    """It would be reported as a bug."""

    class Full:
        """A draft on a full disk."""

        def __init__(self, folder: Path) -> None:  # noqa: ARG002  # as the real one
            self.path = Path("/dev/full")
            self.file = open(self.path, "wb")  # noqa: SIM115  # closed below

        def close(self) -> None:
            """As the real one; the device stays."""
            with suppress(OSError):
                self.file.close()

    monkeypatch.setattr(storage, "Draft", Full)
    with pytest.raises(SpoolError, match="No space left"):
        write(Folder(tmp_path), [run_of(range(200_000), origin()), {}], form)


@pytest.mark.parametrize("state", ["missing/state.json", "file/state.json"])
def test_a_state_that_cannot_be_written_is_said_before_anything_is_read(tmp_path: Path, state: str) -> None:
    """Hours of work would end in an error that one look could have found."""
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(SpoolError, match=r"state\.json.*nothing has been read"):
        FileWriter(Folder(tmp_path / "files"), "jsonl", tmp_path / state, Report())


def test_drafts_of_a_state_are_removed(tmp_path: Path) -> None:
    """Runs that are killed would fill the folder of the state."""
    (tmp_path / ".tap-fullstory-x.draft").write_bytes(b"x")

    write(Folder(tmp_path / "files"), [{}], state=tmp_path / "state.json")

    assert ["files", "state.json"] == sorted(os.listdir(tmp_path))


def test_nothing_may_follow_a_state_within_a_bundle(tmp_path: Path) -> None:
    """Its files would take the names of those that are there, and rows would be lost without a word."""
    with pytest.raises(AssertionError, match="within a bundle"):
        write(Folder(tmp_path), [run_of([1], origin()), {}, run_of([2], origin()), {}])


def test_objects_are_replaced_as_files_are(tmp_path: Path, small: None) -> None:
    """In object storage stale files would stay."""
    MemoryFileSystem.store.clear()
    place = open_storage("memory://box/files", tmp_path)
    write(place, [*(run_of([i], origin()) for i in range(3)), {}, run_of([9], origin(0, "behind_2")), {}])

    result = write(place, [run_of([7], origin()), {}], "csv")

    assert [
        "/box/files/_manifests/20231115T000000Z-170000640048.json",
        "/box/files/events/20231115T000000Z-170000640048-0000.csv.gz",
    ] == sorted(MemoryFileSystem.store)
    assert ["memory://box/files/_manifests/20231115T000000Z-170000640048.json"] == result["manifests"]
    assert [] == os.listdir(tmp_path)


def test_a_folder_is_listed_once_however_many_bundles_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each bundle would cost more than the one before, and the ten-thousandth more than all its events."""
    listed: list[str] = []
    names = Folder.names

    def counted(self: Folder, start: str) -> list[str]:
        listed.append(start)
        return names(self, start)

    monkeypatch.setattr(Folder, "names", counted)

    write(Folder(tmp_path), [item for day in range(20) for item in (run_of([day], origin(day)), {})])

    assert ["_manifests/", "events/"] == sorted(listed)
    assert [*range(20)] == named(tmp_path)
