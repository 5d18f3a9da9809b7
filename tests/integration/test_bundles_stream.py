"""The stream `bundles`: what is finished, one record each."""

import zlib
from collections import Counter
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, FIRST, HOUR, Json, Run, Tap, bookmark, bundle, event, rfc


def catalog(*, events: bool = True, bundles: bool = True, without: tuple[str, ...] = ()) -> Json:
    """A catalog that selects so much; properties as `--discover` names them."""
    names = ["_bundle_id", "start", "stop", "events", "bytes", "checksum", "source", "downloaded_at", "tap_version"]
    some = ["EventStart", "EventType", "UserId", "_bundle_id"]

    def entry(name: str, columns: list[str], *, selected: bool) -> Json:
        metadata: list[Json] = [{"breadcrumb": [], "metadata": {"selected": selected}}]
        metadata += [{"breadcrumb": ["properties", one], "metadata": {"selected": False}} for one in without]
        return {
            "tap_stream_id": name,
            "stream": name,
            "schema": {"properties": {column: {} for column in columns}},
            "metadata": metadata,
        }

    return {"streams": [entry("events", some, selected=events), entry("bundles", names, selected=bundles)]}


def log_of(run: Run) -> dict[int, Json]:
    """The last record of each bundle."""
    return {record["_bundle_id"]: record for record in run.records("bundles")}


@pytest.mark.only_source("data_export")
def test_a_record_says_what_is_in_a_bundle(run_tap: Tap, emulator: Emulator) -> None:
    """Nobody could prove later what was loaded, and from which bytes."""
    emulator.bundles = [bundle(0, 5), bundle(1, 0)]

    run = run_tap(catalog=catalog())

    first, second = run.records("bundles")
    text = b"".join(emulator.bundles[0].read_text())
    assert first == {
        "_bundle_id": bundle(0).id,
        "start": rfc(FIRST),
        "stop": rfc(FIRST + DAY),
        "events": 5,
        "bytes": len(text),
        "checksum": f"{zlib.crc32(text):08x}",
        "source": "data_export",
        "downloaded_at": first["downloaded_at"],
        "tap_version": "3.0.0",
    }
    assert (bundle(1).id, 0) == (second["_bundle_id"], second["events"])
    schema = run.schema("bundles")
    assert ["_bundle_id"] == schema["key_properties"]
    assert ["downloaded_at"] == schema["bookmark_properties"]
    assert run.states[-1]["bookmarks"]["events"] == run.states[-1]["bookmarks"]["bundles"]


def test_it_is_not_selected_by_default(run_tap: Tap, emulator: Emulator) -> None:
    """A table that nobody asked for would appear."""
    emulator.bundles = [bundle(0)]

    run = run_tap()

    assert {"events"} == {message["stream"] for message in run.messages if message["type"] != "STATE"}
    assert {"events"} == set(run.states[-1]["bookmarks"])


@pytest.mark.long
def test_each_state_brings_the_rest_of_both_streams(run_tap: Tap, emulator: Emulator) -> None:
    """After an interruption the log would lack bundles, or the events."""
    emulator.bundles = [bundle(day, 6) for day in range(4)]
    whole = run_tap(catalog=catalog(), settings={"checkpoint_records": 2})

    for position in whole.state_positions():
        again = run_tap(catalog=catalog(), state=whole.messages[position]["value"])
        assert whole.after(position) == [m["record"] for m in again.messages if m["type"] == "RECORD"] or [
            {**record, "downloaded_at": ""} for record in whole.after(position)
        ] == [{**m["record"], "downloaded_at": ""} for m in again.messages if m["type"] == "RECORD"]


def test_the_log_comes_behind_the_events(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle would be called finished whose events never arrived."""
    emulator.bundles = [bundle(0), bundle(1)]

    run = run_tap(catalog=catalog())

    kinds = [message["stream"] for message in run.messages if message["type"] == "RECORD"]
    assert [*["events"] * 3, "bundles", *["events"] * 3, "bundles"] == kinds
    assert ["SCHEMA", "SCHEMA"] == [message["type"] for message in run.messages[:2]]


@pytest.mark.only_source("data_export")
def test_the_counts_are_those_of_the_warehouse(run_tap: Tap, emulator: Emulator) -> None:
    """The log would accuse a table that is right, wherever a date or a gap cuts a bundle."""
    hourly = [event(number, FIRST + number * HOUR) for number in range(5 * 24)]
    days = [FIRST + day * DAY for day in range(5)]
    everything = [Bundle(start, start + DAY, hourly[24 * day : 24 * day + 24]) for day, start in enumerate(days)]
    rows: Counter[int] = Counter()
    log: dict[int, Json] = {}
    state: Any = None
    for end, missing in ((30.5, None), (40, None), (None, 2), (None, None)):
        emulator.bundles = [one for day, one in enumerate(everything) if day != missing]
        settings = {
            "start_date": rfc(FIRST + HOUR),
            "end_date": None if end is None else rfc(FIRST + int(end * HOUR)),
            "gap_check_hours": 1_000_000,
        }
        run = run_tap(settings=settings, state=state, catalog=catalog())
        rows.update(record["_bundle_id"] for record in run.records())
        log |= log_of(run)
        state = run.states[-1]

    assert dict(zip([one.id for one in everything], (23, 24, 24, 24, 24), strict=True)) == dict(rows)
    assert dict(rows) == {number: record["events"] for number, record in log.items()}


@pytest.mark.only_source("data_export")
def test_on_its_own_it_reads_bundles_without_their_events(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever wants only the log would get nothing, or all events."""
    emulator.bundles = [bundle(0), bundle(1), bundle(3)]

    first = run_tap(catalog=catalog(events=False), settings={"start_date": rfc(FIRST + 60)})
    assert [2, 3, 3] == [record["events"] for record in first.records("bundles")]
    assert [] == first.records()
    assert {"bundles"} == set(first.states[-1]["bookmarks"])

    emulator.bundles = [bundle(day) for day in range(5)]
    second = run_tap(catalog=catalog(events=False), state=first.states[-1])
    assert [bundle(2).id, bundle(4).id] == [record["_bundle_id"] for record in second.records("bundles")]


def test_deselected_columns_stay_out(run_tap: Tap, emulator: Emulator) -> None:
    """Selection would hold for one stream only."""
    emulator.bundles = [bundle(0)]

    run = run_tap(catalog=catalog(without=("bytes", "checksum", "downloaded_at", "tap_version")))

    (record,) = run.records("bundles")
    assert {"_bundle_id", "start", "stop", "events", "source", "downloaded_at"} == set(record)
    assert set(record) == set(run.schema("bundles")["schema"]["properties"])


def test_a_bundle_that_is_read_again_gets_a_new_record(run_tap: Tap, emulator: Emulator) -> None:
    """The log would go on counting rows that Fullstory has deleted."""
    settings = {"event_key": True, "reread_hours": 1_000_000}
    emulator.bundles = [bundle(0, 5)]
    first = run_tap(settings=settings, catalog=catalog())
    emulator.bundles = [bundle(0, 4)]

    second = run_tap(settings=settings, catalog=catalog(), state=first.states[-1])

    assert [4] == [record["events"] for record in second.records("bundles")]


def test_the_count_of_a_bundle_that_fills_a_gap_and_goes_on(run_tap: Tap, emulator: Emulator) -> None:
    """The part of a bundle in a gap before an end date would be counted twice."""
    hourly = [
        Bundle(one.start, one.stop, [event(i, one.start + i * HOUR) for i in range(24)])
        for one in map(bundle, range(3))
    ]
    emulator.bundles = [hourly[0], hourly[2]]
    settings = {"gap_check_hours": 1_000_000}
    first = run_tap(settings={**settings, "end_date": rfc(FIRST + 36 * HOUR)}, catalog=catalog())
    emulator.bundles = hourly

    second = run_tap(settings=settings, state=first.states[-1], catalog=catalog())

    assert {24} == {record["events"] for record in log_of(second).values()}


@pytest.mark.long
def test_the_count_of_a_bundle_that_fills_several_gaps(run_tap: Tap, emulator: Emulator) -> None:
    """After an interruption between them, only the last one would be counted."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(i, FIRST + i * HOUR) for i in range(24)]), bundle(1)]
    state = bookmark(FIRST, FIRST + 2 * DAY, [bundle(1).id])
    state["bookmarks"]["events"]["gaps"] = [
        [rfc(FIRST + a * HOUR), rfc(FIRST + b * HOUR)] for a, b in ((2, 6), (10, 16))
    ]
    settings = {"gap_check_hours": 1_000_000, "checkpoint_records": 2}

    whole = run_tap(settings=settings, state=state, catalog=catalog())

    for one in whole.states[:-1]:
        run = run_tap(settings=settings, state=one, catalog=catalog())
        assert [10] == [record["events"] for record in run.records("bundles")]
