"""Log lines are single lines without secrets."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
from singer.metrics import Point, log

from tap_fullstory import logs
from tap_fullstory.logs import OneLine


@pytest.fixture
def tap_logger() -> Iterator[logging.Logger]:
    """The logger of the tap, set back afterwards."""
    logger = logging.getLogger("tap_fullstory")
    before = logger.handlers[:], logger.level, logger.propagate, logging.raiseExceptions
    yield logger
    logger.handlers[:], logger.level, logger.propagate, logging.raiseExceptions = before


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("tap_fullstory", logging.INFO, "file", 1, message, args, None)


def test_a_message_is_one_line() -> None:
    """A line break in a server's answer would make lines that nobody can tell from ours."""
    assert "INFO a b c" == OneLine().format(record("a\nb\r\n%s", "c"))


def test_a_message_does_not_steer_the_terminal() -> None:
    """The name of a custom variable could clear the screen of whoever runs the tap, or hide a line."""
    assert r"INFO a\x1b[2Jb\u202ec\x07 ö 漢" == OneLine().format(record("a\x1b[2Jb\u202ec\x07 %s", "ö 漢"))


def test_secrets_are_hidden_wherever_they_come_from() -> None:
    """The key would stand in a log that many can read."""
    formatter = OneLine()
    formatter.hide(["made-up", "made-up-longer", ""])

    assert "INFO *** and *** and ***" == formatter.format(record("made-up and made-up-longer and %s", "made-up"))


def test_a_secret_that_is_no_text_is_hidden_too() -> None:
    """A key with half a character in it would end the run as a bug, before its check says that it is wrong."""
    formatter = OneLine()
    formatter.hide(["made-up\ud800"])

    assert "INFO ***" == formatter.format(record("%s", "made-up\ud800"))


def test_secrets_are_hidden_in_tracebacks() -> None:
    """The key would stand in a bug report."""
    formatter = OneLine()
    formatter.hide(["made-up"])
    try:
        raise ValueError("made-up\nrest")
    except ValueError:
        one = record("bug")
        one.exc_info = sys.exc_info()

    text = formatter.format(one)

    assert "made-up" not in text and "***" in text
    assert "Traceback" in text and "\n" in text


@pytest.mark.parametrize(
    "level, expected",
    [(None, "INFO"), ("", "INFO"), ("debug", "DEBUG"), ("WARNING", "WARNING"), ("loud", "INFO"), ("10", "INFO")],
)
def test_the_level_is_as_asked(tap_logger: logging.Logger, level: str | None, expected: str) -> None:
    """`LOGLEVEL` would have no effect, or a mistyped one would end the run."""
    logs.configure({} if level is None else {"LOGLEVEL": level})

    assert expected == logging.getLevelName(tap_logger.level)


def test_lines_go_to_stderr_once(tap_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log lines would be doubled, or stand between the messages on stdout."""
    err, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    logs.configure({})
    logs.configure({})

    logging.getLogger("tap_fullstory.client").info("hello")

    assert "INFO hello\n" == err.getvalue()
    assert "" == out.getvalue()


# Log configurations of others ----------------------------------------------------------------------------------------


@pytest.fixture
def usual_form() -> Iterator[None]:
    """Lines as they were, afterwards."""
    yield
    logs.FORMATTER.structured = False
    logs.FORMATTER.use(logs.FORMAT)


def meltano(formatter: dict[str, str], level: str = "INFO") -> dict[str, Any]:
    """The file that Meltano 4 hands over."""
    handler = {"class": "logging.StreamHandler", "formatter": "singer_formatter", "stream": "ext://sys.stderr"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"singer_formatter": formatter},
        "handlers": {"console": handler},
        "root": {"handlers": ["console"], "level": level},
    }


def configured(path: Path, content: Any, variable: str = "SINGER_SDK_LOG_CONFIG", **more: str) -> io.StringIO:
    """Configure from such a file; returns what the logger prints."""
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    stream = io.StringIO()
    with redirect_stderr(stream):
        logs.configure({variable: str(path), **more})
    return stream


def test_structured_lines_are_what_meltano_parses(tmp_path: Path, tap_logger: logging.Logger, usual_form: None) -> None:
    """Meltano would show each line of ours as INFO, warnings and errors too."""
    formatter = {"()": "singer_sdk.logging.StructuredFormatter"}
    stream = configured(tmp_path / "log.json", meltano(formatter, "WARNING"))
    logs.FORMATTER.hide(["made-up"])
    try:
        tap_logger.info("not shown")
        tap_logger.warning("a\n%s", "made-up")
        log(tap_logger, Point("counter", "record_count", 3, {"endpoint": "events"}))
        tap_logger.setLevel(logging.INFO)
        log(tap_logger, Point("counter", "record_count", 3, {"endpoint": "events"}))
        try:
            raise ValueError("of made-up")
        except ValueError:
            tap_logger.critical("a bug", exc_info=True)
    finally:
        logs.FORMATTER.hide([])

    warning, metric, bug = map(json.loads, stream.getvalue().splitlines())
    for line in (warning, metric, bug):
        assert {"level", "pid", "logger_name", "ts", "thread_name", "app_name", "message"} <= set(line)
    assert ("warning", "a\n***", "tap-fullstory") == (warning["level"], warning["message"], warning["app_name"])
    assert {"type": "counter", "metric": "record_count", "value": 3, "tags": {"endpoint": "events"}} == metric[
        "metric_info"
    ]
    assert ("ValueError", "of ***") == (bug["exception"]["type"], bug["exception"]["message"])
    assert "test_logs.py" in bug["exception"]["traceback"][0]["filename"]


def test_another_form_is_used(tmp_path: Path, tap_logger: logging.Logger, usual_form: None) -> None:
    """Whoever has a form for the lines of all programs would get another one from us."""
    stream = configured(tmp_path / "log.json", meltano({"format": "%(name)s: %(message)s"}, "ERROR"))
    tap_logger.warning("not shown")
    tap_logger.error("shown")

    assert "tap_fullstory: shown\n" == stream.getvalue()


INI = """[loggers]
keys=root
[handlers]
keys=console
[formatters]
keys=default
[logger_root]
level=WARNING
handlers=console
[handler_console]
class=StreamHandler
level=WARNING
formatter=default
args=(sys.stderr,)
[formatter_default]
format=%(message)s!
"""


def test_an_ini_file_is_used_too(tmp_path: Path, tap_logger: logging.Logger, usual_form: None) -> None:
    """PipelineWise sets the level in such a file."""
    stream = configured(tmp_path / "log.ini", INI, "LOGGING_CONF_FILE")
    tap_logger.info("not shown")
    tap_logger.warning("shown")

    assert "shown!\n" == stream.getvalue()


def test_loglevel_is_stronger(tmp_path: Path, tap_logger: logging.Logger, usual_form: None) -> None:
    """Somebody who looks for an error could not turn the level up under an orchestrator."""
    stream = configured(tmp_path / "log.ini", INI, "LOGGING_CONF_FILE", LOGLEVEL="debug")
    tap_logger.debug("shown")

    assert "shown!\n" == stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "version: 1",
        {"version": 1},
        {"root": {"handlers": ["none"]}},
        meltano({"format": "%(nothing)s"}),
        meltano({"format": "no field"}),
        {"root": 5},
    ],
)
def test_a_file_that_cannot_be_used_is_said_and_ignored(
    tmp_path: Path, tap_logger: logging.Logger, usual_form: None, content: Any
) -> None:
    """All that the tap says would be lost, or the run end before it began."""
    stream = configured(tmp_path / "log.json", content)
    tap_logger.info("shown")

    first, second = stream.getvalue().splitlines()
    assert first.startswith("WARNING The log configuration that SINGER_SDK_LOG_CONFIG names cannot be used")
    assert "INFO shown" == second


def test_nothing_that_a_file_names_is_called(tmp_path: Path, tap_logger: logging.Logger, usual_form: None) -> None:
    """A file could run any code that is installed."""
    stream = configured(tmp_path / "log.json", meltano({"()": "subprocess.Popen", "args": "touch"}))  # type: ignore[arg-type]

    assert "cannot be used" in stream.getvalue()
