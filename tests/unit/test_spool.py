"""Bundles wait in files that one process at a time uses and nobody else can read."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

import pytest

from tap_fullstory.errors import SpoolError
from tap_fullstory.spool import Spool, SpoolFile

OWNER = ("https://export.fullstory.com", "made-up")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def filled(file: SpoolFile, data: bytes) -> SpoolFile:
    file.restart()
    file.write(data)
    file.finish()
    return file


def test_a_whole_file_left_by_a_crash_is_used_again(tmp_path: Path) -> None:
    """Reading on after a crash would need the very bytes that are gone."""
    filled(Spool(tmp_path, OWNER).open(5), b"bytes").close(keep=True)

    again = Spool(tmp_path, OWNER).open(5)

    assert again.whole
    assert b"bytes" == again.file.read()
    again.close(keep=False)
    assert [] == names(tmp_path)


def test_a_half_file_is_begun_anew(tmp_path: Path) -> None:
    """Half a download would pass for a bundle."""
    file = Spool(tmp_path, OWNER).open(5)
    file.restart()
    file.write(b"half")
    file.flush()
    file.close(keep=True)

    again = Spool(tmp_path, OWNER).open(5)

    assert not again.whole
    again.restart()
    again.write(b"w")
    again.finish()
    again.file.seek(0)
    assert b"w" == again.file.read()
    again.close(keep=False)


def test_a_whole_file_that_is_written_anew_is_whole_no_more(tmp_path: Path) -> None:
    """A crash in the second download would leave half a bundle that passes for a whole one."""
    file = filled(Spool(tmp_path, OWNER).open(5), b"damaged")

    file.restart()
    file.write(b"ha")
    file.flush()
    file.close(keep=True)

    with Spool(tmp_path, OWNER).open(5) as again:
        assert not again.whole


def test_a_file_is_for_its_owner_only(tmp_path: Path) -> None:
    """Everybody on the machine could read visitors' data."""
    before = os.umask(0)
    try:
        file = filled(Spool(tmp_path, OWNER).open(5), b"bytes")
    finally:
        os.umask(before)

    (path,) = tmp_path.iterdir()
    assert 0o600 == stat.S_IMODE(path.stat().st_mode)
    file.close(keep=False)


def test_a_file_is_removed_when_all_went_well_and_left_when_not(tmp_path: Path) -> None:
    """The disk would fill, or a crash would lose the file that reading on needs."""
    spool = Spool(tmp_path, OWNER)
    with filled(spool.open(5), b"a"):
        pass
    assert [] == names(tmp_path)

    with pytest.raises(KeyboardInterrupt), filled(spool.open(5), b"a"):
        raise KeyboardInterrupt
    assert 1 == len(names(tmp_path))

    with pytest.raises(KeyboardInterrupt), spool.open(6):
        raise KeyboardInterrupt
    assert 1 == len(names(tmp_path)), "half a download is of no use to anybody"


def test_two_users_of_one_bundle_do_not_share_a_file(tmp_path: Path) -> None:
    """Two runs at once would write into each other's file."""
    first = filled(Spool(tmp_path, OWNER).open(5), b"first")
    second = filled(Spool(tmp_path, OWNER).open(5), b"second")

    for file, data in ((first, b"first"), (second, b"second")):
        file.file.seek(0)
        assert data == file.file.read()
    second.close(keep=False)
    assert 1 == len(names(tmp_path))
    first.close(keep=False)
    assert [] == names(tmp_path)


def test_accounts_do_not_share_files(tmp_path: Path) -> None:
    """One customer's events would be written into another's warehouse."""
    filled(Spool(tmp_path, OWNER).open(5), b"a").close(keep=True)

    with Spool(tmp_path, (OWNER[0], "another")).open(5) as other, Spool(tmp_path, OWNER).open(6) as next_one:
        assert not other.whole
        assert not next_one.whole


def test_the_name_of_a_file_does_not_tell_the_key(tmp_path: Path) -> None:
    """The key would stand in every listing of the folder."""
    with Spool(tmp_path, OWNER).open(5):
        assert all("made-up" not in name for name in names(tmp_path))


def test_cleaning_removes_what_nobody_uses(tmp_path: Path) -> None:
    """Files of crashed runs would stay for ever, or those of other runs be removed under them."""
    spool = Spool(tmp_path, OWNER)
    used = filled(spool.open(1), b"a")
    filled(spool.open(2), b"b").close(keep=True)
    other = filled(Spool(tmp_path, ("x", "y")).open(3), b"c")
    other.close(keep=True)
    (tmp_path / "notes.txt").write_text("mine")
    before = names(tmp_path)

    spool.clean(keep=[2])
    assert before == names(tmp_path)
    spool.clean()

    assert 1 == len(before) - len(names(tmp_path))
    assert "notes.txt" in names(tmp_path)
    used.file.seek(0)
    assert b"a" == used.file.read()
    used.close(keep=False)


def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    """In a folder that many can write, a link would have us overwrite another file of ours."""
    folder, precious = tmp_path / "spool", tmp_path / "precious"
    folder.mkdir()
    precious.write_text("precious")
    spool = Spool(folder, OWNER)
    filled(spool.open(5), b"a").close(keep=True)
    (path,) = folder.iterdir()
    path.unlink()
    path.symlink_to(precious)

    with pytest.raises(SpoolError):
        spool.open(5).close(keep=False)

    assert "precious" == precious.read_text()


def test_a_folder_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    """The run would wait an hour for a bundle and then have no place for it."""
    (tmp_path / "file").write_text("")

    for folder in (tmp_path / "missing", tmp_path / "file"):
        with pytest.raises(SpoolError, match="spool_dir") as caught:
            Spool(folder, OWNER)
        assert 74 == caught.value.status
    assert [tmp_path / "file"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("step", ["write", "flush", "finish", "restart"])
def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A full disk would look like a bug of the tap."""
    file = Spool(tmp_path, OWNER).open(5)

    class Full:
        def __getattr__(self, name: str) -> object:
            def fail(*_: object) -> None:
                raise OSError(errno.ENOSPC, "No space left on device")

            return fail

    real, file.file = file.file, Full()  # type: ignore[assignment]
    with pytest.raises(SpoolError, match="No space left"):
        getattr(file, step)(*([b"a"] if step == "write" else []))
    file.file = real
    file.close(keep=False)


def test_when_a_bundle_was_downloaded_is_known_later(tmp_path: Path) -> None:
    """`time_extracted` would tell when the run was started again."""
    filled(Spool(tmp_path, OWNER).open(5), b"a").close(keep=True)
    (path,) = tmp_path.iterdir()
    os.utime(path, (1_704_067_200, 1_704_067_200.5))

    with Spool(tmp_path, OWNER).open(5) as again:
        assert 1_704_067_200.5 == again.modified


def test_a_file_knows_how_far_a_download_has_come(tmp_path: Path) -> None:
    """A download would be continued at the wrong place, or behind what was found damaged."""
    with Spool(tmp_path, OWNER).open(5) as file:
        assert (0, None) == (file.received, file.validator)
        file.write(b"abc")
        file.write(b"de")
        file.validator = '"tag"'
        assert 5 == file.received

        file.restart()

        assert (0, None) == (file.received, file.validator)


def test_a_file_of_an_earlier_run_is_not_continued(tmp_path: Path) -> None:
    """Nobody knows any more which file of the server its bytes are the beginning of."""
    filled(Spool(tmp_path, OWNER).open(5), b"bytes").close(keep=True)

    with Spool(tmp_path, OWNER).open(5) as again:
        assert (0, None) == (again.received, again.validator)


def test_a_process_that_cleans_up_does_not_end_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two taps that share a folder, one would fail because the other one finished at the wrong moment."""
    real, calls = fcntl.flock, 0

    def flock(descriptor: int, operation: int) -> None:
        nonlocal calls
        calls += 1
        if calls <= 3:  # between making the file and locking it
            for path in tmp_path.iterdir():
                path.unlink()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)

    with filled(Spool(tmp_path, OWNER).open(5), b"bytes"):
        assert 1 == len(names(tmp_path))
