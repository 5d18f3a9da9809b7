"""Whom somebody asks for: by uid, e-mail or Fullstory's id, on the command line or in a file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tap_fullstory.errors import ConfigError, TapError

UID, EMAIL, ID = "uid", "email", "id"
KINDS = (UID, EMAIL, ID)


class UnknownUserError(TapError):
    """Fullstory does not know whom somebody asks for, or not by what the question needs."""

    status = 67  # of sysexits.h: user unknown


@dataclass(frozen=True)
class Asked:
    """Whom somebody asks for; as text, the way a file names them.

    Attributes:
        kind: `uid` (the application's own id), `email`, or `id` (Fullstory's).
    """

    kind: str
    value: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


def read_asked(path: str) -> list[Asked]:
    """Return whom a file names, one a line, each once; empty lines and lines that begin with `#` say nothing.

    Raises:
        ConfigError: it cannot be read, or a line is not of the form `uid:…`, `email:…` or `id:…`.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigError(f"The file {path!r} cannot be read ({why}).") from error
    found: dict[Asked, None] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        kind, _, value = text.partition(":")
        if kind not in KINDS or not value.strip():
            raise ConfigError(
                f"Line {number} of {path!r} is {text[:100]!r}, but each line is one of uid:…, email:… and id:…. "
                "Nobody was looked up or deleted."
            )
        found[Asked(kind, value.strip())] = None
    return list(found)
