"""The spool folder: bundles on their way, compressed as they came, each file locked by the process that uses it.

A file is named after the account and the bundle: taps of several accounts can share a folder, taps of one account share
only what no other one has locked, and after a crash the next run finds the file it was writing from.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from tap_fullstory.bundles import Cuts
from tap_fullstory.errors import BundleError, SpoolError

PREFIX = "tap-fullstory"
WHOLE, PART = ".bundle", ".part"
TRIES = 10  # to make a file
MODE = 0o600  # visitors' data: for the owner only


class SpoolFile:
    """One bundle on disk, locked while it is open.

    As a context manager it is removed when all went well, and left for the next run when not.

    Attributes:
        file: its bytes, as they were transferred.
        whole: it was found whole in the folder, or has been finished.
        cuts: where it may be cut, once it has been checked.
        repair: None: it has been checked. Else who reads it has to, and to call this with what is wrong with it: then
            it is brought once more, checked.
        received, validator: how far the download has come, and by what it may be continued; see `client.Writable`.
    """

    def __init__(self, base: Path, file: BinaryIO, *, whole: bool) -> None:
        self._base = base
        self.file = file
        self.whole = whole
        self.cuts = Cuts()
        self.repair: Callable[[BundleError], None] | None = None
        self.received = 0
        self.validator: str | None = None

    @property
    def _path(self) -> Path:
        return _named(self._base, WHOLE if self.whole else PART)

    @property
    def modified(self) -> float:
        """When its last byte was written, Unix seconds."""
        return os.fstat(self.file.fileno()).st_mtime

    @property
    def time_extracted(self) -> str:
        """The same as RFC 3339, with milliseconds."""
        return datetime.fromtimestamp(self.modified, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"

    def restart(self) -> None:
        """Forget what is there, to be written anew."""
        with _disk(self._base.parent):
            self._rename(whole=False)
            self.file.seek(0)
            self.file.truncate()
        self.received, self.validator = 0, None

    def write(self, part: bytes) -> None:
        """Append bytes.

        Raises:
            SpoolError: the folder is full.
        """
        with _disk(self._base.parent):
            self.file.write(part)
        self.received += len(part)

    def flush(self) -> None:
        """Bring everything written to the operating system."""
        with _disk(self._base.parent):
            self.file.flush()

    def finish(self) -> None:
        """Mark it as whole: a later run may use it."""
        with _disk(self._base.parent):
            self.file.flush()
            self._rename(whole=True)

    def _rename(self, *, whole: bool) -> None:
        before, self.whole = self._path, whole
        if before != self._path:
            before.rename(self._path)

    def close(self, *, keep: bool) -> None:
        """Close it, and remove it unless it is to be kept."""
        if not keep:
            with suppress(OSError):
                self._path.unlink()
        with suppress(OSError):  # a full disk says so here once more
            self.file.close()

    def __enter__(self) -> SpoolFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(keep=kind is not None and self.whole)


class Spool:
    """The folder in which bundles wait.

    Args:
        folder: must be there.
        owner: texts that tell this account from others; only a hash of them is used.

    Raises:
        SpoolError: the folder is missing or not writable.
    """

    def __init__(self, folder: Path, owner: tuple[str, ...]) -> None:
        self._folder = folder
        self._prefix = f"{PREFIX}-{hashlib.sha256(repr(owner).encode()).hexdigest()[:16]}-"
        with _disk(folder):
            if not folder.is_dir():
                raise NotADirectoryError(0, "there is no such folder")
            if not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(0, "it is not writable")

    def open(self, bundle_id: int, kind: str = "") -> SpoolFile:
        """Return the file of a bundle, locked: the one that an earlier run left, or a new and empty one.

        Args:
            kind: tells apart files of one bundle with different content, in a few letters and digits.
        """
        base = self._folder / f"{self._prefix}{bundle_id}{kind}"
        own = self._folder / f"{self._prefix}{bundle_id}{kind}-{os.getpid()}"
        with _disk(self._folder):
            left = _locked(_named(base, WHOLE), os.O_RDWR)
            if left:
                return SpoolFile(base, left, whole=True)
            # A process that uses the file of this name now keeps it; we take a name of our own. What we make may be
            # taken for a left one and removed by a process that cleans up, before we have locked it: then once more.
            for name in (*(() if _named(base, WHOLE).exists() else (base,)), *[own] * TRIES):
                file = _locked(_named(name, PART), os.O_RDWR | os.O_CREAT)
                if file:
                    return SpoolFile(name, file, whole=False)
        raise SpoolError(f"The spool folder {str(self._folder)!r} does not let us lock {own.name!r}. Choose another.")

    def clean(self, keep: Collection[int] = ()) -> None:
        """Remove what was left behind and nobody uses.

        Args:
            keep: ids of bundles whose files the next run goes on from.
        """
        for path in self._folder.glob(f"{self._prefix}*"):
            bundle_id = re.match(r"\d+", path.name.removeprefix(self._prefix))
            if bundle_id and int(bundle_id[0]) in keep:
                continue
            with suppress(OSError):
                file = _locked(path, os.O_RDWR)
                if file:
                    with file:
                        path.unlink()


def _locked(path: Path, flags: int) -> BinaryIO | None:
    """Open and lock a file; None if it is not there, another process has it, or it is not ours to use."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EACCES, errno.EPERM}:
            return None
        raise
    file = os.fdopen(descriptor, "r+b", buffering=1024 * 1024)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours, there = os.fstat(descriptor), os.stat(path, follow_symlinks=False)
    except (BlockingIOError, FileNotFoundError):
        file.close()
        return None
    same = (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)  # not removed before we had the lock
    if not same or not stat.S_ISREG(ours.st_mode) or ours.st_uid != os.geteuid():
        file.close()
        return None
    os.fchmod(descriptor, MODE)
    return file


def _named(base: Path, ending: str) -> Path:
    return base.with_name(base.name + ending)


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SpoolError(
            f"The spool folder {str(folder)!r} cannot be used ({error.strerror}). "
            'Free it, or set "spool_dir" to a folder with more room; then run again with the last state.'
        ) from error
