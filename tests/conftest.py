"""What all tests share."""

from __future__ import annotations

import os
import signal
import time

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.evidence"]

# The same examples on every machine and in every run; with the profile `soak` (make fuzz) others each time, and many.
settings.register_profile("default", deadline=None, derandomize=True, database=None, max_examples=150)
settings.register_profile(
    "soak", deadline=None, max_examples=5000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
# Where the same tests run once more, with other versions of what they stand on.
settings.register_profile("few", deadline=None, derandomize=True, database=None, max_examples=25)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure() -> None:
    """Let programs that tests start get the signals that tests send: `nohup` and a shell's `&` have them ignored."""
    for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each wait so far; nobody really waits, but the clock moves on as if."""
    waited: list[float] = []
    real = time.monotonic
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(time, "monotonic", lambda: real() + sum(waited))
    return waited
