"""Places for files: a folder, and what fsspec brings."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from tap_fullstory import storage
from tap_fullstory.errors import ConfigError, SpoolError
from tap_fullstory.storage import Draft, Storage, open_storage, write_atomically


@pytest.fixture
def memory() -> Iterator[None]:
    """An empty `memory://`: what fsspec brings for tests."""
    MemoryFileSystem.store.clear()
    yield
    MemoryFileSystem.store.clear()


@pytest.fixture(params=["folder", "remote"])
def place(request: pytest.FixtureRequest, tmp_path: Path, memory: None) -> Storage:
    """An empty place of each kind."""
    spool = tmp_path / "spool"
    spool.mkdir()
    return open_storage(str(tmp_path / "files") if request.param == "folder" else "memory://box/files", spool)


def there(folder: Path) -> list[str]:
    """The files in a folder and below it."""
    return sorted(str(one.relative_to(folder)) for one in folder.rglob("*") if not one.is_dir())


def put(place: Storage, name: str, data: bytes) -> None:
    """Write a file as the writer of files does."""
    draft = place.draft(name)
    draft.file.write(data)
    place.put(draft, name)


def test_what_is_put_can_be_read_and_listed(place: Storage, tmp_path: Path) -> None:
    """Files would be somewhere else, or under another name."""
    put(place, "events/a-1.txt", b"one")
    place.write("events/a-2.txt", b"two")
    put(place, "events/b.txt", b"")
    put(place, "events/a-1.txt", b"once more")

    assert b"once more" == place.read("events/a-1.txt")
    assert b"two" == place.read("events/a-2.txt")
    assert None is place.read("events/c.txt")
    assert ["events/a-1.txt", "events/a-2.txt"] == place.names("events/a-")
    assert [] == place.names("elsewhere/a")

    place.remove("events/a-1.txt")
    place.remove("events/a-1.txt")

    assert ["events/a-2.txt"] == place.names("events/a-")
    assert not [one for one in there(tmp_path) if one.endswith(".draft")]


def test_a_file_appears_when_it_is_whole(place: Storage) -> None:
    """A loader would take half a file for a whole one."""
    put(place, "events/a.txt", b"old")
    draft = place.draft("events/a.txt")
    draft.file.write(b"new, but not yet who")
    draft.file.flush()

    assert b"old" == place.read("events/a.txt")
    assert ["events/a.txt"] == [one for one in place.names("events/") if not one.startswith("events/.")]
    draft.close()
    assert ["events/a.txt"] == place.names("events/")


@pytest.mark.parametrize("mask, mode", [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_files_have_the_mode_that_the_umask_leaves(tmp_path: Path, mask: int, mode: int) -> None:
    """The loader, often another user, could not read them; or everybody could where nobody should."""
    before = os.umask(mask)
    try:
        put(open_storage(str(tmp_path), tmp_path), "events/a.txt", b"one")
    finally:
        os.umask(before)

    assert mode == stat.S_IMODE((tmp_path / "events" / "a.txt").stat().st_mode)


def test_what_a_killed_process_left_goes_and_what_is_in_use_stays(tmp_path: Path) -> None:
    """Crash by crash the disk would fill up; or a second process would take away what the first is writing."""
    (tmp_path / "events").mkdir()
    (tmp_path / "deep" / "er").mkdir(parents=True)
    left = [tmp_path / "events" / ".tap-fullstory-x1.draft", tmp_path / ".tap-fullstory-x2.draft"]
    stay = [tmp_path / "events" / ".mine.draft", tmp_path / "deep" / "er" / ".tap-fullstory-x3.draft"]
    for path in (*left, *stay):
        path.write_bytes(b"x")
    used = Draft(tmp_path / "events")

    open_storage(str(tmp_path), tmp_path)

    assert sorted([*(str(one.relative_to(tmp_path)) for one in stay), f"events/{used.path.name}"]) == there(tmp_path)
    used.close()


def test_drafts_for_other_machines_are_removed_from_the_spool_folder(tmp_path: Path, memory: None) -> None:
    """Each upload that is killed would leave a file of its size behind."""
    (tmp_path / ".tap-fullstory-x.draft").write_bytes(b"x")

    open_storage("memory://box/files", tmp_path)

    assert [] == there(tmp_path)


def test_a_pipe_or_a_link_of_that_name_is_not_followed(tmp_path: Path) -> None:
    """Anybody who may write into the folder could make every run hang."""
    os.mkfifo(tmp_path / ".tap-fullstory-a.draft")
    (tmp_path / "precious").write_bytes(b"x")
    (tmp_path / ".tap-fullstory-b.draft").symlink_to(tmp_path / "precious")

    open_storage(str(tmp_path), tmp_path)

    assert b"x" == (tmp_path / "precious").read_bytes()


def test_a_draft_that_is_taken_for_a_left_one_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts at the wrong moment would make another one fail, or write a file without a name."""
    real, removed = fcntl.flock, []

    def flock(file: Any, how: int) -> None:
        if not removed:
            removed.extend(tmp_path.iterdir())
            removed[0].unlink()
        real(file, how)

    monkeypatch.setattr(storage.fcntl, "flock", flock)
    draft = Draft(tmp_path)

    assert [draft.path] == [*tmp_path.iterdir()]
    assert draft.path not in removed
    draft.close()


@pytest.mark.parametrize("place", ["{}/my files", "file://{}/my%20files", "FILE://localhost{}/my%20files"])
def test_a_folder_is_made_wherever_it_is_named(tmp_path: Path, place: str) -> None:
    """A URL would become a folder called `file:`."""
    files = open_storage(place.format(tmp_path), tmp_path)
    files.write("events/a.txt", b"x")

    assert ["my files/events/a.txt"] == there(tmp_path)
    assert f"file://{tmp_path}/my%20files/events/a.txt" == files.url("events/a.txt")


@pytest.mark.parametrize(
    "place, word",
    [
        ("file://folder/files", "three slashes"),
        ("nonsense://box", "nonsense"),
        ("s3://box/a", "extra"),
        ("s3://", "no bucket"),
    ],
)
def test_a_place_that_nothing_knows_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, word: str
) -> None:
    """A typing error would be a bug with a traceback, or files would go to where nobody looks."""
    monkeypatch.setitem(sys.modules, "s3fs", None)

    with pytest.raises(ConfigError, match=word):
        open_storage(place, tmp_path)

    assert [] == there(tmp_path)


def test_without_fsspec_a_url_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever installed the tap without the extra would get a traceback."""
    monkeypatch.setitem(sys.modules, "fsspec.core", None)

    with pytest.raises(ConfigError, match="extra"):
        open_storage("s3://box/a", tmp_path)


def test_a_file_in_place_of_the_folder_is_said(tmp_path: Path) -> None:
    """A wrong path would be reported as a bug."""
    (tmp_path / "file").write_bytes(b"")

    for place in (tmp_path / "file", tmp_path / "file" / "folder", Path("/proc/files")):
        with pytest.raises(SpoolError, match=str(place)):
            open_storage(str(place), tmp_path)


def test_whatever_a_library_raises_becomes_one_sentence(
    tmp_path: Path, memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of object storage would be reported as a bug of the tap."""

    class Odd(Exception):
        """As each library has its own."""

    def refuse(*_arguments: object) -> None:
        raise Odd("AccessDenied")

    place = open_storage("memory://box/files", tmp_path)
    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refuse)

    with pytest.raises(SpoolError, match=r"memory://box/files cannot be used \(AccessDenied\)"):
        place.write("a/b", b"x")


def test_a_password_in_the_place_is_not_told(tmp_path: Path, memory: None) -> None:
    """It would stand in each manifest and in the log."""
    place = open_storage("memory://user:secret@box/files", tmp_path)

    assert "memory://box/files/events/a" == place.url("events/a")


def test_a_state_is_replaced_behind_its_link_and_keeps_its_mode(tmp_path: Path) -> None:
    """A state file that an orchestrator links or shares would become another file."""
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o664)
    (tmp_path / "link").symlink_to("real")

    write_atomically(tmp_path / "link", b"new")

    assert b"new" == (tmp_path / "real").read_bytes()
    assert (tmp_path / "link").is_symlink()
    assert 0o664 == stat.S_IMODE((tmp_path / "real").stat().st_mode)
    assert ["link", "real"] == there(tmp_path)


def test_a_pipe_or_device_is_written_to_and_stays(tmp_path: Path) -> None:
    """Root would make a file of /dev/null for the whole machine; /dev/stdout and `>(gzip > x.gz)` would not work."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link").symlink_to("pipe")
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    write_atomically(tmp_path / "link", b"new", mode=0o600)

    assert b"new" == os.read(reader, 100)
    os.close(reader)
    assert pipe.is_fifo()
    assert ["link", "pipe"] == there(tmp_path)
