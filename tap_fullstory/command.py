"""What all commands have in common: settings as arguments name them, printing of results, exit statuses."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO

from tap_fullstory import logs
from tap_fullstory.errors import STATUS_BUG, SpoolError, Stopped, TapError, TargetClosed

if TYPE_CHECKING:
    from tap_fullstory.config import Config

# Only what `--version` and `--help` need is imported above: they answer at once.

LOGGER = logging.getLogger(__name__)

CONFIG_HELP = "settings, JSON; of several the later ones win; the word ENV reads the variables TAP_FULLSTORY_<SETTING>"


def status_of(work: Callable[[], None], *, closed: str, stopped: str) -> int:
    """Do some work and return the exit status; what went wrong is printed in a line.

    Args:
        closed, stopped: what to print when nobody reads what we write, and when a signal has stopped us.
    """
    try:
        work()
    except (Exception, KeyboardInterrupt) as error:
        status, line = outcome(error, closed=closed, stopped=stopped)
        if line:
            LOGGER.critical("%s", line, exc_info=status == STATUS_BUG)
        return status
    return 0


def outcome(error: BaseException, *, closed: str, stopped: str) -> tuple[int, str]:
    """Return the exit status of what went wrong, and the line that says it; see `status_of`."""
    if isinstance(error, TapError):
        return error.status, str(error)
    if isinstance(error, TargetClosed):
        return error.status, closed
    if isinstance(error, Stopped):
        return error.status, stopped
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT, ""
    return STATUS_BUG, "This is a bug of the tap. Please report it with the lines below."


def read_config(
    args: argparse.Namespace, parser: argparse.ArgumentParser, look: Callable[[Mapping[str, Any]], None] | None = None
) -> Config:
    """Return the settings that `--config` names; warns of what is odd in them.

    Args:
        look: is given them before they are checked.
    """
    from tap_fullstory import config

    if not args.config:
        parser.error("--config is needed: a JSON file, or ENV for the variables TAP_FULLSTORY_<SETTING>")
    settings = config.read_settings(args.config, os.environ)
    logs.FORMATTER.hide(config.secrets(settings))
    if look:
        look(settings)
    for line in config.unknown_settings(settings):
        LOGGER.warning("%s", line)
    return config.parse_config(settings, os.environ)


def print_result(text: str) -> None:
    """Print a line of what was asked for, or several."""
    out = stdout()
    try:
        out.write(text.encode() + b"\n")
        out.flush()
    except BrokenPipeError as error:
        # else the interpreter would complain once more when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), out.fileno())
        raise TargetClosed from error
    except OSError as error:
        raise SpoolError(f"stdout cannot be written ({error.strerror}).") from error


def stdout() -> BinaryIO:
    """Return where results go, as bytes."""
    if sys.stdout is None:
        raise SpoolError("stdout is closed. Pipe it into a target or into a file.")
    return sys.stdout.buffer
