"""When a STATE is written, and when not."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tap_fullstory import sync
from tap_fullstory.errors import ForbiddenError
from tap_fullstory.messages import MessageWriter
from tap_fullstory.metrics import Metrics
from tap_fullstory.objects import Page, object_stream
from tap_fullstory.privacy import OPEN
from tap_fullstory.records import Records
from tap_fullstory.report import Report
from tap_fullstory.signals import Stop
from tap_fullstory.state import Checkpoint
from tap_fullstory.streams import Items, Run, Selection, Stream


class Clock:
    """A monotonic clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def records(count: int) -> Records:
    return Records(count, b'{"a":1}\n' * count, count, "2024-01-01T00:00:00.000Z")


def messages_of(
    tmp_path: Path,
    items: list[Any],
    most: int = 10,
    *,
    streams: int = 1,
    deadline: float = math.inf,
    given: Stream | None = None,
) -> list[dict[str, Any]]:
    """What a sync writes for *streams* that yield *items*, or for the *given* one; a callable among them is called."""

    def extract(run: Run, bookmark: Any, selection: Selection) -> Items:
        for item in items:
            if callable(item):
                item()
            else:
                yield item

    schema = {"type": "object", "properties": {"a": {"type": ["null", "integer"]}}}
    stream = given or Stream("numbers", schema, (), "INCREMENTAL", extract)
    config: Any = SimpleNamespace(checkpoint_records=most)
    source: Any = None
    client: Any = None
    stop = Stop()
    lent: Any = (config, source, client, Report(), Metrics(), stop)
    run = Run(*lent, now=0, selections={}, clock=lambda: 0, deadline=deadline)
    selection = Selection(() if given else ("a",))
    path = tmp_path / "messages"
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY)
    try:
        sync.sync([(stream, selection)] * streams, {"other": 1}, run, MessageWriter(descriptor, stop))
    finally:
        os.close(descriptor)
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(messages: list[dict[str, Any]]) -> list[Any]:
    """Each message in short: the bookmark of a STATE, else the first letter of its type."""
    return [one["value"]["bookmarks"]["numbers"] if one["type"] == "STATE" else one["type"][0] for one in messages]


def test_a_state_comes_before_more_records_than_allowed(tmp_path: Path) -> None:
    """After a crash more would have to be read again than was promised."""
    items = [records(6), Checkpoint(1, due=False), records(4), Checkpoint(2, due=False), records(1), Checkpoint(3)]

    messages = messages_of(tmp_path, items, most=10)

    assert ["S", *"R" * 10, 2, "R", 3] == kinds(messages)
    assert {"other": 1, "numbers": 3} == messages[-1]["value"]["bookmarks"]


def test_a_state_comes_every_minute(tmp_path: Path, clock: Clock) -> None:
    """A slow target would get no state for hours."""

    def a_minute() -> None:
        clock.now += 60.0

    items = [records(1), Checkpoint(1, due=False), a_minute, records(1), Checkpoint(2, due=False), records(1)]

    assert ["S", "R", "R", 2, "R"] == kinds(messages_of(tmp_path, items))


def test_the_same_state_is_not_written_twice(tmp_path: Path) -> None:
    """Targets would store the same state again and again."""
    assert ["S", 1] == kinds(messages_of(tmp_path, [Checkpoint(1), Checkpoint(1)]))


def test_a_run_without_a_checkpoint_writes_the_state_it_was_given(tmp_path: Path) -> None:
    """An orchestrator that keeps the last state of a run would forget the one it had."""
    messages = messages_of(tmp_path, [])

    assert {"other": 1} == messages[-1]["value"]["bookmarks"]


def test_a_run_ends_at_the_next_safe_place_once_its_time_is_over(tmp_path: Path, clock: Clock) -> None:
    """A run that may last an hour would last until all is read, or lose what it has not confirmed."""

    def too_long() -> None:
        clock.now += 100.0

    items = [records(1), Checkpoint(1, due=False), records(1), too_long, records(1), Checkpoint(2, due=False)]

    messages = messages_of(tmp_path, [*items, records(1), Checkpoint(3)], streams=2, deadline=clock.now + 100)

    assert ["S", "S", "R", "R", "R", 2] == kinds(messages)


def test_a_run_whose_last_place_is_reached_has_not_ended_early(tmp_path: Path) -> None:
    """A run that has read everything would say that something is left."""
    done: list[str] = []

    messages_of(tmp_path, [Checkpoint(1, last=True), lambda: done.append("done")], deadline=-1)

    assert ["done"] == done


def test_an_error_is_one_though_the_time_is_over(tmp_path: Path, clock: Clock) -> None:
    """A run that may not read something would pass for done, because its time ran out meanwhile."""

    def refuse() -> Page:
        clock.now += 100.0
        raise ForbiddenError("The key may not do this.")

    def read(run: Run, bookmark: Any) -> Iterator[Page]:
        yield refuse()

    segments = object_stream("segments", ("id",), read, OPEN, probe=lambda _: [])

    with pytest.raises(ForbiddenError):
        messages_of(tmp_path, [], given=segments, deadline=clock.now + 100)


def test_what_a_run_has_begun_is_closed_when_its_time_is_over(tmp_path: Path) -> None:
    """The file of the bundle that is being written would not be there for the next run."""
    closed: list[type[BaseException]] = []

    class Items(list[Any]):
        def __iter__(self) -> Iterator[Any]:
            try:
                yield Checkpoint(1, due=False)
            except GeneratorExit as error:
                closed.append(type(error))
                raise

    messages = messages_of(tmp_path, Items(), deadline=-1)

    assert ["S", 1] == kinds(messages)
    assert [GeneratorExit] == closed


def test_metrics_come_every_minute(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """A watcher would take a long run for a dead one."""
    seen: list[str] = []
    monkeypatch.setattr(
        "tap_fullstory.metrics.log", lambda _logger, point: seen.append(f"{point.metric} {point.value}")
    )

    def half_a_minute() -> None:
        clock.now += 30.0

    messages_of(tmp_path, [records(2), half_a_minute, records(3), half_a_minute, records(4), records(5)])

    assert ["record_count 9"] == seen
