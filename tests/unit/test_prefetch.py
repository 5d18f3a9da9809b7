"""Bundles come in order, and not too many of them ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tap_fullstory import prefetch
from tap_fullstory.prefetch import ahead

LONG = 10  # seconds that nothing here takes unless it is broken


def met(items: Iterator[tuple[int, Any] | None]) -> tuple[int, Any]:
    """The next bundle, however long it takes."""
    return next(item for item in items if item is not None)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_bundles_come_in_order_with_what_was_fetched(n: int) -> None:
    """Records would stand under the wrong bundle."""
    assert [(one, one * 2) for one in range(20)] == [item for item in ahead(lambda one: one * 2, range(20), n) if item]


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_more_bundles_are_fetched_than_may_wait(n: int) -> None:
    """The disk would fill with bundles nobody reads yet."""
    fetched: list[int] = []
    reached, beyond = threading.Event(), threading.Event()

    def fetch(one: int) -> int:
        fetched.append(one)
        if one == n:
            reached.set()
        if one > n:
            beyond.set()
        return one

    items = ahead(fetch, range(20), n)
    assert (0, 0) == met(items)

    assert reached.wait(LONG)
    assert not beyond.wait(0.05)
    assert list(range(n + 1)) == fetched
    assert (1, 1) == met(items)
    assert beyond.wait(LONG)
    items.close()  # type: ignore[attr-defined]


def test_the_next_bundle_is_fetched_while_one_is_worked_on() -> None:
    """Download and writing would take turns, and everything nearly twice as long."""
    second = threading.Event()

    def fetch(one: int) -> int:
        if one == 1:
            second.set()
        return one

    items = ahead(fetch, range(3), 1)
    met(items)

    assert second.wait(LONG)


@pytest.mark.parametrize("n", [0, 1, 5])
def test_an_error_comes_after_all_before_it(n: int) -> None:
    """Whole bundles that were fetched already would not be written."""

    def fetch(one: int) -> int:
        if one == 3:
            raise OSError("gone")
        return one

    items = ahead(fetch, range(10), n)

    assert [0, 1, 2] == [met(items)[0] for _ in range(3)]
    with pytest.raises(OSError, match="gone"):
        met(items)


def test_an_error_of_the_list_comes_after_all_before_it() -> None:
    """What was listed before a failure would not be written."""

    def listed() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    items = ahead(lambda one: one, listed(), 1)

    assert (1, 1) == met(items)
    with pytest.raises(KeyboardInterrupt):
        met(items)


def test_the_caller_has_its_turn_while_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal would not be seen while a bundle takes its hour."""
    monkeypatch.setattr(prefetch, "POLL", 0.001)
    come = threading.Event()
    items = ahead(lambda one: one if come.wait(LONG) else None, range(3), 1)

    assert [None, None, None] == [next(items) for _ in range(3)]
    come.set()

    assert (0, 0) == met(items)


def test_closing_fetches_no_more() -> None:
    """After a signal, bundles would still be downloaded."""
    fetched: list[int] = []
    items = ahead(fetched.append, range(1000), 1)
    met(items)
    items.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "prefetch":
            thread.join(LONG)

    assert len(fetched) <= 3
