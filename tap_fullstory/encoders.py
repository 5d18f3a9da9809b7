"""Files of records, in the formats that there are, each written from lines of JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from isal import igzip

from tap_fullstory.columns import Columns
from tap_fullstory.errors import ConfigError
from tap_fullstory.report import Report

FORMATS = {"parquet": "parquet", "csv": "csv.gz", "jsonl": "jsonl.gz"}  # and how their files end
PYARROW = "pyarrow"  # of formats that have columns
GZIP_LEVEL = 1  # of isal: higher ones take longer and save little


@dataclass(frozen=True)
class Written:
    """What is in a file.

    Attributes:
        rows: how many records.
        report: what was counted of the values of their events.
    """

    rows: int = 0
    report: Report = field(default_factory=Report)


class Encoder(Protocol):
    """One file that is being written."""

    def write(self, runs: Sequence[bytes], /) -> None:
        """Append records, each a JSON object on a line of its own."""

    def finish(self) -> Written | None:
        """Write what is left; return what is in the file, if that is not just what was given."""

    def close(self) -> None:
        """Let go of the file, whatever is in it."""


@runtime_checkable
class TableEncoder(Encoder, Protocol):
    """One file of columns that is being written."""

    def write_columns(self, columns: Columns, /) -> None:
        """Append records."""


# makes one of the path of a file, the properties of the schema, and a report of what is done to values
MakeEncoder = Callable[[Path, Mapping[str, Any], Report], Encoder]


def check_installed(form: str) -> None:
    """Look for what files of a format need, without importing it: that would start threads.

    Raises:
        ConfigError: it is missing.
    """
    if has_columns(form) and find_spec(PYARROW) is None:
        raise _missing(PYARROW, "is not installed")


def has_columns(form: str) -> bool:
    """Return whether files of a format take columns: it has a `TableEncoder`."""
    return form != "jsonl"


def encoder_of(form: str) -> MakeEncoder:
    """Return what writes files of a format, one of `FORMATS`."""
    if not has_columns(form):
        return GzipLines
    try:
        from tap_fullstory import tables  # pyarrow takes a fifth of a second
    except ImportError as error:
        raise _missing(error.name or PYARROW, f"cannot be loaded ({error})") from error
    return tables.Parquet if form == "parquet" else tables.Csv


def _missing(name: str, how: str) -> ConfigError:
    return ConfigError(
        f'Files of columns need {name}, which {how}. Install the tap with the extra "parquet", or take --format jsonl.'
    )


class GzipFile:
    """A file whose content goes gzip'd to the disk: the same content as the same bytes, at any time."""

    def __init__(self, path: Path) -> None:
        self._below = open(path, "r+b")  # noqa: SIM115  # see `close`
        self.file: Any = igzip.IGzipFile(  # type: ignore[no-untyped-call]
            "", fileobj=self._below, mode="wb", compresslevel=GZIP_LEVEL, mtime=0
        )

    def finish(self) -> None:
        """Write what is left."""
        self.file.close()
        self._below.flush()

    def close(self) -> None:
        """Let go of the file, whatever is in it."""
        for file in (self.file, self._below):
            with suppress(OSError, ValueError):
                file.close()


class GzipLines:
    """The records as they are, gzip'd."""

    def __init__(self, path: Path, properties: Mapping[str, Any], report: Report) -> None:  # noqa: ARG002  # of all
        self._gzip = GzipFile(path)

    def write(self, runs: Sequence[bytes]) -> None:
        """Append records."""
        for lines in runs:
            self._gzip.file.write(lines)

    def finish(self) -> None:
        """Write what is left."""
        self._gzip.finish()

    def close(self) -> None:
        """Let go of the file, whatever is in it."""
        self._gzip.close()
