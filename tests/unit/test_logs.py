"""Log lines are single lines without secrets."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

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
    logs.configure(level)

    assert expected == logging.getLevelName(tap_logger.level)


def test_lines_go_to_stderr_once(tap_logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Log lines would be doubled, or stand between the messages on stdout."""
    err, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    logs.configure(None)
    logs.configure(None)

    logging.getLogger("tap_fullstory.client").info("hello")

    assert "INFO hello\n" == err.getvalue()
    assert "" == out.getvalue()
