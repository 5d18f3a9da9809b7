"""The streams `segments` and `operations`."""

import pytest

from fullstory_emulator import Course, Emulator
from fullstory_emulator.segments import Segment
from tests.integration.objects import SEGMENTS, bookmarks, by, catalog
from tests.integration.tap import OPERATIONS, Tap, bundle

pytestmark = pytest.mark.only_source("data_export")


@pytest.mark.proves("connectors", "segments")
def test_all_segments(run_tap: Tap, emulator: Emulator) -> None:
    """An account with many segments would have the newest of them alone."""
    mine = {"creator": "bo@example.com", "created": "2024-02-29T12:00:00.5+01:00"}
    emulator.segments += [Segment(f"s{number}", f"Segment {number}", **mine) for number in range(230)]

    run = run_tap(catalog=catalog("segments"))

    assert 0 == run.status
    records = by(run.records("segments"), "id")
    assert {one.id for one in emulator.segments} == records.keys()
    assert "created" not in records["everyone"] and "Everyone" == records["everyone"]["name"]
    assert ("2024-02-29T11:00:00.5Z", "bo@example.com") == (records["s7"]["created"], records["s7"]["creator"])
    assert 3 == emulator.count(SEGMENTS)
    assert {} == bookmarks(run)


@pytest.mark.parametrize("error", ["", pytest.param("the segment is gone", marks=pytest.mark.long)])
def test_operations_in_each_state(run_tap: Tap, emulator: Emulator, error: str) -> None:
    """Who watches exports would see those that are done, or a run would end at the first that is not."""
    emulator.bundles = [bundle(day) for day in range(3)]
    emulator.now = emulator.bundles[-1].stop + 86400
    emulator.course = Course(polls=0) if not error else Course(polls=0, state="FAILED", error=error)
    source = {"events_source": "segment_export", "export_window_hours": 24, "start_date": "2023-11-15T00:00:00Z"}
    run_tap(settings=source, catalog=catalog("events"))
    asked = [one for one in emulator.requests if one.path == "/segments/v1/exports"]

    run = run_tap(catalog=catalog("operations"))

    assert 0 == run.status
    records = by(run.records("operations"), "id")
    assert len(asked) == len(records) > 0
    assert {"SEARCH_EXPORT"} == {one["type"] for one in records.values()}
    states = {one["state"] for one in records.values()}
    assert {"FAILED" if error else "COMPLETED"} & states
    assert error in {one["errorDetails"] for one in records.values()}
    assert all(not isinstance(value, (dict, list)) for one in records.values() for value in one.values())
    assert 1 == emulator.count(OPERATIONS)


@pytest.mark.proves("connectors", "operations")
def test_more_operations_than_a_page_holds(run_tap: Tap, emulator: Emulator) -> None:
    """A deletion that was asked for would not be there to be watched."""
    emulator.users = [{"id": str(number), "uid": f"u{number}"} for number in range(130)]
    for number in range(130):
        emulator.known.delete(emulator.known.by_uid(f"u{number}"))

    run = run_tap(catalog=catalog("operations"))

    assert 130 == len(by(run.records("operations"), "id"))
    assert {"DELETE_USER"} == {one["type"] for one in run.records("operations")}
