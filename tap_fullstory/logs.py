"""Log lines on stderr, for people or as JSON for Meltano: one line each, no secret in any."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TextIO
from urllib.parse import quote, quote_plus

NAME = "tap_fullstory"
APP_NAME = "tap-fullstory"
FORMAT = "%(levelname)s %(message)s"  # as singer-python has it
HIDDEN = "***"
METRIC = "METRIC: %s"  # what singer-python logs metrics as
# What names the formatter of structured lines in the file that Meltano hands over.
# API: https://sdk.meltano.com/en/latest/implementation/logging.html
STRUCTURED = "StructuredFormatter"


class OneLine(logging.Formatter):
    """Prints a record as one line (a traceback keeps its lines), with secrets hidden.

    Attributes:
        structured: print a JSON object instead, with the members that Meltano knows.
    """

    def __init__(self, pattern: str = FORMAT) -> None:
        super().__init__(pattern)
        self._secrets: tuple[str, ...] = ()
        self.structured = False

    def hide(self, secrets: Iterable[str]) -> None:
        """Hide these texts from now on, however they are spelt; the longest first, so no part is left."""
        self._secrets = tuple(sorted({spelt for one in secrets if one for spelt in _spellings(one)}, key=len)[::-1])

    def use(self, pattern: str) -> None:
        """Print records in this form from now on, `%` style."""
        self._style = logging.PercentStyle(pattern)

    def format(self, record: logging.LogRecord) -> str:
        if self.structured:
            return json.dumps(self.hidden_in(_structure(record)), separators=(",", ":"))
        text = self.hidden(super().format(record))
        return text if record.exc_info else plain(" ".join(text.splitlines()))

    def hidden(self, text: str) -> str:
        """Return *text* without secrets; to be asked before a text is cut, or the beginning of one could be left."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def hidden_in(self, value: Any) -> Any:
        """Return what can be written as JSON without secrets in its texts."""
        if isinstance(value, str):
            return self.hidden(value)
        if isinstance(value, dict):
            return {self.hidden(name): self.hidden_in(one) for name, one in value.items()}
        return [self.hidden_in(one) for one in value] if isinstance(value, list | tuple) else value


def _structure(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as the Meltano SDK lays it out."""
    members: dict[str, Any] = {
        "level": record.levelname.lower(),
        "pid": record.process,
        "logger_name": record.name,
        "ts": record.created,
        "thread_name": record.threadName,
        "app_name": APP_NAME,
        "stream_name": None,
        "message": record.getMessage(),
        "extra": {},
    }
    if record.msg == METRIC and isinstance(record.args, tuple):
        members |= {"message": "METRIC", "metric_info": json.loads(str(record.args[0]))}
    if record.exc_info and record.exc_info[1]:
        members["exception"] = _exception(record.exc_info[1])
    return members


def _exception(error: BaseException) -> dict[str, Any]:
    frames = [
        {"filename": one.filename, "function": one.name, "lineno": one.lineno, "line": one.line or ""}
        for one in traceback.extract_tb(error.__traceback__)
    ]
    kind = type(error)
    found = {"type": kind.__name__, "module": kind.__module__, "message": str(error), "traceback": frames}
    return {**found, "cause": _exception(error.__cause__)} if error.__cause__ else found


def _spellings(secret: str) -> tuple[str, ...]:
    """Return *secret* as it may stand in a URL, a form, JSON, Python, or the header of another server."""
    data = secret.encode(errors="surrogatepass")  # settings are hidden before they are checked
    in_url = quote(data), quote(data, safe=""), quote_plus(data)
    return (secret, *in_url, json.dumps(secret)[1:-1], repr(secret)[1:-1], b2a_base64(data, newline=False).decode())


def plain(text: str) -> str:
    """Return *text* without what would steer a terminal: names and answers may hold anything."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


FORMATTER = OneLine()


if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # Python 3.10 cannot subscript it


class Line(Protocol):
    """A line at the bottom of the terminal, above which log lines scroll."""

    def away(self) -> AbstractContextManager[None]: ...
    def clear(self) -> None: ...


class Above(_StreamHandler):
    """Prints records, above a line if there is one; then without metrics, which the line says better.

    Attributes:
        line: at the bottom of the terminal.
    """

    line: Line | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if self.line and record.msg == METRIC and not logging.getLogger(NAME).isEnabledFor(logging.DEBUG):
            return
        with self.line.away() if self.line else nullcontext():
            super().emit(record)


def keep_below(line: Line | None) -> None:
    """Print log lines above *line* from now on; None: no line any more, which is taken away."""
    for handler in logging.getLogger(NAME).handlers:
        if isinstance(handler, Above):
            if handler.line and not line:
                handler.line.clear()
            handler.line = line


def configure(environ: Mapping[str, str]) -> None:
    """Send our own log lines to stderr, as the environment says.

    `LOGLEVEL` names the level. Else it comes, with the form of the lines, from the file that `SINGER_SDK_LOG_CONFIG` (a
    `dictConfig` as JSON) or `LOGGING_CONF_FILE` (INI) names; Meltano sets both. Of these files only level and formatter
    are read, nothing that they name is called. The root logger is left alone: singer-python configures it anew whenever
    it likes.
    """
    warning = ""
    level, pattern = None, None
    for variable, read in (("SINGER_SDK_LOG_CONFIG", _read_json), ("LOGGING_CONF_FILE", _read_ini)):
        path = environ.get(variable)
        if not path or pattern:
            continue
        try:
            level, pattern = read(path)
            if not pattern.endswith(STRUCTURED):
                logging.Formatter(pattern).format(logging.LogRecord(NAME, logging.INFO, "", 0, "", None, None))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            level, pattern = None, None
            warning = f"The log configuration that {variable} names cannot be used ({type(error).__name__})."
    FORMATTER.structured = pattern is not None and pattern.endswith(STRUCTURED)
    FORMATTER.use(FORMAT if pattern is None or FORMATTER.structured else pattern)
    logging.raiseExceptions = False  # stderr may be closed; a sync goes on
    handler = Above(sys.stderr)
    handler.setFormatter(FORMATTER)
    logger = logging.getLogger(NAME)
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(_level(environ.get("LOGLEVEL")) or _level(level) or logging.INFO)
    if warning:
        logger.warning("%s", warning)


def _level(name: object) -> int | None:
    found = logging.getLevelName(name.upper()) if isinstance(name, str) else name
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def _read_json(path: str) -> tuple[Any, str]:
    """Return level and formatter of a `dictConfig`: a pattern, or the name of a class."""
    config = json.loads(Path(path).read_bytes())
    handlers = [config["handlers"][name] for name in config["root"].get("handlers", ())]
    ours = config.get("loggers", {}).get(NAME, {})
    formatters = [config["formatters"][one["formatter"]] for one in handlers if "formatter" in one]
    formatter = formatters[0] if formatters else {}
    named = formatter.get("()") or formatter.get("class") or formatter.get("format") or FORMAT
    return ours.get("level", config["root"].get("level")), str(named)


def _read_ini(path: str) -> tuple[str | None, str]:
    """The same of a `fileConfig`."""
    import configparser  # only who uses such a file waits for it

    parser = configparser.RawConfigParser()
    try:
        parser.read_string(Path(path).read_text("utf-8"))
        handler = parser.get("logger_root", "handlers", fallback="").split(",")[0].strip()
        formatter = parser.get(f"handler_{handler}", "formatter", fallback="")
        pattern = parser.get(f"formatter_{formatter}", "format", fallback=FORMAT)
        return parser.get("logger_root", "level", fallback=None), pattern
    except configparser.Error as error:
        raise ValueError from error
