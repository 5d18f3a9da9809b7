"""Log lines for people, on stderr: one line each, no secret in any."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from urllib.parse import quote

NAME = "tap_fullstory"
FORMAT = "%(levelname)s %(message)s"  # as singer-python has it
HIDDEN = "***"


class OneLine(logging.Formatter):
    """Prints a record as one line (a traceback keeps its lines), with secrets hidden."""

    def __init__(self) -> None:
        super().__init__(FORMAT)
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these texts from now on, also as URLs and JSON spell them; the longest first, so no part is left."""
        spelt = {
            spelling for one in secrets for spelling in (one, quote(one), quote(one, safe=""), json.dumps(one)[1:-1])
        }
        self._secrets = tuple(sorted(spelt - {""}, key=len, reverse=True))

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text if record.exc_info else " ".join(text.splitlines())


FORMATTER = OneLine()


def configure(level: str | None) -> None:
    """Send our own log lines to stderr.

    The root logger is left alone: singer-python configures it anew whenever it likes.

    Args:
        level: a name such as `DEBUG`; anything else means `INFO`.
    """
    logging.raiseExceptions = False  # stderr may be closed; a sync goes on
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(FORMATTER)
    logger = logging.getLogger(NAME)
    logger.handlers[:] = [handler]
    logger.propagate = False
    known = isinstance(logging.getLevelName((level or "").upper()), int)
    logger.setLevel(level.upper() if level and known else logging.INFO)
