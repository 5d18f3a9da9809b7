"""Places for files: a folder, or anything that fsspec has a name for, such as `s3://bucket/folder`.

A file appears whole or not at all: in a folder it is renamed when it is complete, and object storage shows an object
when all of it has arrived.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from tap_fullstory.errors import ConfigError, SpoolError, TapError
from tap_fullstory.logs import FORMATTER

DRAFT_PREFIX, DRAFT = ".tap-fullstory-", ".draft"
DRAFTS = f"{DRAFT_PREFIX}*{DRAFT}"
UPLOAD_SIZE = 8 * 1024 * 1024  # bytes of a file that are sent at once; up to ten such parts at a time
OPEN_TO_ALL = 0o666  # what the umask leaves of it: the loader may be another user
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_LOGIN = re.compile(r"//[^/@]*@")


class Draft:
    """A file that is being written; as a context manager it is removed unless it was given to `Storage.put`.

    Attributes:
        path: where it is on this machine.
        file: its bytes, open for writing.
    """

    def __init__(self, folder: Path) -> None:
        while True:
            descriptor, path = tempfile.mkstemp(prefix=DRAFT_PREFIX, suffix=DRAFT, dir=folder)
            self.path = Path(path)
            self.file = os.fdopen(descriptor, "w+b")
            fcntl.flock(self.file, fcntl.LOCK_EX)  # see `remove_left`
            if self.path.exists():
                return
            self.file.close()  # taken for a left one, and removed, before we had locked it

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove it, unless it has another name by now."""
        with suppress(OSError):
            self.path.unlink()
        with suppress(OSError):  # a full disk says so here once more
            self.file.close()


class Storage(Protocol):
    """A place for files, which have names relative to it, with `/` between folders.

    Raises from every method:
        SpoolError: the place is full, missing or not writable.
    """

    def url(self, name: str) -> str:
        """Return what others call a file."""

    def draft(self, name: str) -> Draft:
        """Return an empty file on this machine that can become the one of that name."""

    def put(self, draft: Draft, name: str) -> None:
        """Give what is in a draft its name, in place of what had that name."""

    def write(self, name: str, data: bytes) -> None:
        """Write a small file, in place of what had that name."""

    def read(self, name: str) -> bytes | None:
        """Return a small file, None if there is none."""

    def names(self, start: str) -> list[str]:
        """Return the names of all files that start so; *start* holds one folder at least."""

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""


def open_storage(place: str, spool_dir: Path) -> Storage:
    """Return the place of that name; a folder is made if it is missing.

    Args:
        place: a path, or a URL: `file://…`, or of a scheme that fsspec knows.
        spool_dir: where files for another machine wait until they are complete.

    Raises:
        ConfigError: the package for such URLs is missing.
        SpoolError: the place cannot be used.
    """
    if place.lower().startswith("file://"):
        url = urlsplit(place)
        if url.netloc not in ("", "localhost"):  # file://folder: a folder of another machine, as URLs go
            raise ConfigError(
                f"{place} names no folder of this machine. Write file:///… with three slashes, or a path."
            )
        return Folder(Path(unquote(url.path)))
    if _SCHEME.match(place):
        return Remote(place, spool_dir)
    return Folder(Path(place))


class Folder:
    """A folder of this machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        with _usable(str(folder)):
            self._folder.mkdir(parents=True, exist_ok=True)
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError(0, "it is not writable")
            for one in (self._folder, *self._folder.iterdir()):
                remove_left(one)

    def url(self, name: str) -> str:
        """Return the URL of a file."""
        return (self._folder / name).as_uri()

    def draft(self, name: str) -> Draft:
        """Return a hidden file beside the one that it is to become."""
        folder = (self._folder / name).parent
        with _usable(str(self._folder)):
            folder.mkdir(parents=True, exist_ok=True)
            return Draft(folder)

    def put(self, draft: Draft, name: str) -> None:
        """Rename a draft."""
        path = self._folder / name
        with draft, _usable(str(self._folder)):
            draft.file.flush()
            os.fchmod(draft.file.fileno(), OPEN_TO_ALL & ~umask())
            replace(draft.path, path, draft.file.fileno())

    def write(self, name: str, data: bytes) -> None:
        """Write a small file."""
        with self.draft(name) as draft:
            with _usable(str(self._folder)):
                draft.file.write(data)
            self.put(draft, name)

    def read(self, name: str) -> bytes | None:
        """Return a small file."""
        with _usable(str(self._folder)), suppress(FileNotFoundError):
            return (self._folder / name).read_bytes()
        return None

    def names(self, start: str) -> list[str]:
        """Return the names of files."""
        folder, _, first = start.rpartition("/")
        with _usable(str(self._folder)), suppress(FileNotFoundError):
            return sorted(f"{folder}/{one}" for one in os.listdir(self._folder / folder) if one.startswith(first))
        return []

    def remove(self, name: str) -> None:
        """Remove a file."""
        with _usable(str(self._folder)):
            (self._folder / name).unlink(missing_ok=True)


class Remote:
    """What fsspec brings to us: object storage, mostly."""

    def __init__(self, place: str, spool_dir: Path) -> None:
        self._place = _LOGIN.sub("//", place.rstrip("/"))
        self._spool_dir = spool_dir
        scheme, _, name = place.partition("://")
        if not name.strip("/"):
            raise ConfigError(f"{place} names no bucket.")
        # of the whole file at once, an upload would take more memory than all else
        self._how = {"chunksize": UPLOAD_SIZE} if scheme.lower() in ("s3", "s3a", "gs", "gcs") else {}
        remove_left(spool_dir)
        try:
            from fsspec.core import url_to_fs

            with _usable(self._place, but=(ImportError, ValueError)):  # some log in here
                self._files, self._path = url_to_fs(place.rstrip("/"))
        except ImportError as error:
            raise ConfigError(
                f"A package for {scheme}:// is missing ({error}). Install the tap with its extra, such as s3 or gcs."
            ) from error
        except ValueError as error:
            raise ConfigError(f"{scheme}:// is no kind of place that fsspec knows ({error}).") from error

    def url(self, name: str) -> str:
        """Return the URL of an object."""
        return f"{self._place}/{name}"

    def draft(self, name: str) -> Draft:  # noqa: ARG002  # it has that name only once it is there
        """Return a file in the spool folder."""
        with _usable(str(self._spool_dir)):
            return Draft(self._spool_dir)

    def put(self, draft: Draft, name: str) -> None:
        """Upload a draft."""
        with draft, _usable(self._place):
            draft.file.flush()
            self._files.put_file(str(draft.path), f"{self._path}/{name}", **self._how)

    def write(self, name: str, data: bytes) -> None:
        """Upload a small file."""
        with _usable(self._place):
            self._files.pipe_file(f"{self._path}/{name}", data)

    def read(self, name: str) -> bytes | None:
        """Download a small file."""
        with _usable(self._place), suppress(FileNotFoundError):
            data: Any = self._files.cat_file(f"{self._path}/{name}")
            return bytes(data)
        return None

    def names(self, start: str) -> list[str]:
        """Return the names of objects."""
        folder, _, first = start.rpartition("/")
        path = f"{self._path}/{folder}"
        with _usable(self._place), suppress(FileNotFoundError):
            self._files.invalidate_cache()  # others write, too
            found = (one.rpartition("/")[2] for one in self._files.find(path, prefix=first))
            return sorted(f"{folder}/{one}" for one in found if one.startswith(first))
        return []

    def remove(self, name: str) -> None:
        """Remove an object."""
        with _usable(self._place), suppress(FileNotFoundError):
            self._files.rm_file(f"{self._path}/{name}")


def unwritable(draft: Draft, error: OSError) -> SpoolError:
    """Return our error for a draft that takes no more."""
    return SpoolError(
        f"{str(draft.path.parent)!r} cannot be written ({error.strerror or error}). Free it, or choose another place; "
        "then run again with the last state."
    )


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Write a file that is the old one or the new one at any moment, also when the machine stops.

    A pipe or a device is written to as it is: it must not become a file.

    Args:
        mode: who may read it; None: who may read the old one, and of a new one nobody else.

    Raises:
        OSError: it cannot be written.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        path.write_bytes(data)
        return
    target = path.resolve()  # behind a link, which stays
    with Draft(target.parent) as draft:
        draft.file.write(data)
        draft.file.flush()
        with suppress(FileNotFoundError):
            os.fchmod(draft.file.fileno(), target.stat().st_mode & 0o777 if mode is None else mode)
        replace(draft.path, target, draft.file.fileno())


def replace(path: Path, target: Path, descriptor: int) -> None:
    """Rename a file once its bytes are on the disk, and see to it that its new name is."""
    os.fsync(descriptor)
    path.replace(target)
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_left(folder: Path) -> None:
    """Remove drafts that nobody writes any more: processes that were killed have left them."""
    for path in folder.glob(DRAFTS):
        with suppress(OSError):
            # not through a link, and not waiting for somebody who writes into a pipe of that name
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()


def umask() -> int:
    """Return which permissions new files do not get."""
    mask = os.umask(0o077)  # there is no other way to read it
    os.umask(mask)
    return mask


@contextmanager
def _usable(place: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Make our error of whatever a file system, or a library for object storage, raises, *but* of some."""
    passed: tuple[type[Exception], ...] = (TapError, *but)
    try:
        yield
    except passed:
        raise
    except Exception as error:  # each library has errors of its own
        reason = (error.strerror if isinstance(error, OSError) else None) or FORMATTER.hidden(str(error))[:200]
        raise SpoolError(
            f"{place} cannot be used ({reason or type(error).__name__}). See that it is there, has room and may be "
            "written; then run again with the last state."
        ) from error
