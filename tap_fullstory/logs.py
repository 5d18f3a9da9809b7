"""Log lines for people, on stderr: one line each, no secret in any."""

from __future__ import annotations

import json
import logging
import sys
from binascii import b2a_base64
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

NAME = "tap_fullstory"
FORMAT = "%(levelname)s %(message)s"  # as singer-python has it
HIDDEN = "***"


class OneLine(logging.Formatter):
    """Prints a record as one line (a traceback keeps its lines), with secrets hidden."""

    def __init__(self) -> None:
        super().__init__(FORMAT)
        self._secrets: tuple[str, ...] = ()

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these texts from now on, however they are spelt; the longest first, so no part is left."""
        self._secrets = tuple(sorted({spelt for one in secrets if one for spelt in _spellings(one)}, key=len)[::-1])

    def format(self, record: logging.LogRecord) -> str:
        text = self.hidden(super().format(record))
        return text if record.exc_info else _plain(" ".join(text.splitlines()))

    def hidden(self, text: str) -> str:
        """Return *text* without secrets; to be asked before a text is cut, or the beginning of one could be left."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def _spellings(secret: str) -> tuple[str, ...]:
    """Return *secret* as it may stand in a URL, a form, JSON, Python, or the header of another server."""
    data = secret.encode(errors="surrogatepass")  # settings are hidden before they are checked
    in_url = quote(data), quote(data, safe=""), quote_plus(data)
    return (secret, *in_url, json.dumps(secret)[1:-1], repr(secret)[1:-1], b2a_base64(data, newline=False).decode())


def _plain(text: str) -> str:
    """Return *text* without what would steer a terminal: names and answers may hold anything."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


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
