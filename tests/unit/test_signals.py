"""What happens when a signal asks us to stop."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from tap_fullstory import signals
from tap_fullstory.signals import Stop


@pytest.fixture(autouse=True)
def _handlers_of_before() -> Iterator[None]:
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def test_a_process_ends_that_can_start_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where processes are limited, a run that has reached the limit could be ended by SIGKILL alone, for its report."""
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(signals, "SAME_GRACE", -1.0)
    monkeypatch.setattr(signals, "LAST_GRACE", 3600.0)
    Stop(lambda _signum: None).install()
    signal.raise_signal(signal.SIGTERM)

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        signal.raise_signal(signal.SIGTERM)

    assert [143] == ended
