"""Fetching ahead: the next bundle comes while this one is written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from queue import Empty, SimpleQueue
from typing import Literal, TypeVar

POLL = 0.2  # seconds between two looks at what else may have happened

B = TypeVar("B")
F = TypeVar("F")
T = TypeVar("T")


def ahead(fetch: Callable[[B], F], bundles: Iterable[B], n: int) -> Iterator[tuple[B, F] | None]:
    """Yield each bundle with what *fetch* makes of it, in order; None several times a second while there is nothing.

    *bundles* is iterated and *fetch* is called in one thread of its own; their errors are raised here, after all that
    came before them. When this generator is closed the thread is left to itself: it may be waiting for an hour, and
    it ends with the process.

    Args:
        n: how many fetched bundles may wait while the caller works on one.
    """
    allowed = threading.Semaphore(n)
    done: SimpleQueue[tuple[B, F] | BaseException | None] = SimpleQueue()
    closed = threading.Event()

    def work() -> None:
        try:
            for bundle in bundles:
                allowed.acquire()
                if closed.is_set():
                    return
                done.put((bundle, fetch(bundle)))
            done.put(None)
        except BaseException as error:  # it is raised again where somebody sees it
            done.put(error)

    threading.Thread(target=work, name="prefetch", daemon=True).start()
    try:
        while True:
            allowed.release()
            while (item := _next(done)) is _Nothing.YET:
                yield None
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        closed.set()
        allowed.release()


class _Nothing(Enum):
    """A value that nothing else is."""

    YET = 0


def _next(done: SimpleQueue[T]) -> T | Literal[_Nothing.YET]:
    try:
        return done.get(timeout=POLL)
    except Empty:
        return _Nothing.YET
