"""Loaded by Python itself where this folder is on the path.

The clock begins at SIMULATED_NOW, and waits are over at once, though the clock says that they took their time.
"""

import os
import time

_SHIFT = float(os.environ["SIMULATED_NOW"]) - time.time()
_REAL = time.time, time.monotonic
_slept = 0.0


def _sleep(seconds: float) -> None:
    global _slept  # noqa: PLW0603
    _slept += seconds


time.sleep = _sleep
time.time = lambda: _REAL[0]() + _SHIFT + _slept
time.time_ns = lambda: int(time.time() * 1e9)
time.monotonic = lambda: _REAL[1]() + _slept
