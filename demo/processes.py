"""Helpers that never outlive the program that started them."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress


def dying_with_us(number: signal.Signals) -> list[str]:
    """What to put before a command, so that it gets the signal *number* when we die, however we die.

    Without it a `kill -9` of the demo or of pytest would leave servers behind. Only Linux has this; elsewhere the
    ordinary clean-up has to do.
    """
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG")] if setpriv else []


def stop(
    process: subprocess.Popen[bytes], *signals: signal.Signals, patience: float = 10.0, group: bool = False
) -> None:
    """Send *signals* one after the other, each with *patience* seconds to take effect, then SIGKILL.

    Args:
        group: also to all that *process* started; it has to be the first of its session.
    """
    for number in (*signals, signal.SIGKILL):
        if process.poll() is not None:
            return
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
