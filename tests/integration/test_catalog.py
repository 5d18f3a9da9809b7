"""Discovery, selection, catalogs of older versions and of other taps."""

import json
from copy import deepcopy
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.account import OTHERS, STREAMS, of_stream
from tests.integration.expected import INTEGERS, NUMBERS, TEXTS, TIMES
from tests.integration.tap import DAY, FIRST, GET, LIST, Tap, bookmark, bundle, event

pytestmark = pytest.mark.only_source("data_export")

Catalog = dict[str, Any]


def discover(run_tap: Tap, *arguments: str) -> Catalog:
    """What `--discover` prints."""
    return json.loads(run_tap.bare(["--discover", *arguments]).stdout)


def facts(catalog: Catalog, *field: str) -> dict[str, Any]:
    """The metadata of the stream, or of one of its fields."""
    breadcrumb = ["properties", *field] if field else []
    (found,) = [one["metadata"] for one in catalog["streams"][0]["metadata"] if one["breadcrumb"] == breadcrumb]
    return found


def without(catalog: Catalog, *fields: str) -> Catalog:
    """The catalog of a version that did not know these fields."""
    old = deepcopy(catalog)
    entry = old["streams"][0]
    for field in fields:
        del entry["schema"]["properties"][field]
    entry["metadata"] = [one for one in entry["metadata"] if not set(fields) & set(one["breadcrumb"])]
    return old


def one_bundle(*events: dict[str, Any]) -> Bundle:
    """The first bundle, with these events."""
    return Bundle(FIRST, FIRST + DAY, list(events))


@pytest.mark.proves("capabilities", "discover")
def test_discovery_describes_the_stream(run_tap: Tap) -> None:
    """Meltano, PipelineWise and people who select columns would be shown something else than what comes."""
    catalog = discover(run_tap)
    entry = catalog["streams"][0]
    properties = entry["schema"]["properties"]

    assert [*STREAMS, *OTHERS] == [one["tap_stream_id"] for one in catalog["streams"]]
    assert ["events"] == [one["tap_stream_id"] for one in catalog["streams"] if of_stream(one)["selected-by-default"]]
    assert "events" == entry["stream"]
    assert ([], "INCREMENTAL", "EventStart") == (
        entry["key_properties"], entry["replication_method"], entry["replication_key"],
    )  # fmt: skip
    stream = facts(catalog)
    assert "available" == stream["inclusion"]
    assert stream["selected-by-default"] is True
    assert [] == stream["table-key-properties"]
    assert "INCREMENTAL" == stream["forced-replication-method"]
    assert ["EventStart"] == stream["valid-replication-keys"]

    assert {*INTEGERS, *NUMBERS, *TEXTS, *TIMES, "CustomVars", "_bundle_id"} == set(properties)
    for name in [*INTEGERS, "_bundle_id"]:
        assert {"null", "integer"} == set(properties[name]["type"])
        assert (-(2**63), 2**63 - 1) == (properties[name]["minimum"], properties[name]["maximum"])
    for name in NUMBERS:
        assert {"null", "number"} == set(properties[name]["type"])
    for name in [*TEXTS, "CustomVars"]:
        assert {"null", "string"} == set(properties[name]["type"])
        assert "format" not in properties[name]
    for name in TIMES:
        assert ({"null", "string"}, "date-time") == (set(properties[name]["type"]), properties[name]["format"])
    for name in properties:
        expected = "automatic" if name == "EventStart" else "available"
        assert expected == facts(catalog, name)["inclusion"]
        assert facts(catalog, name)["selected-by-default"] is True


def test_a_discovered_catalog_changes_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever writes the catalog to a file and uses it would get other columns than without."""
    emulator.bundles = [one_bundle(event(1, PageUrl="u", evt_x_str="x"))]

    plain, given = run_tap.all([{}, {"catalog": discover(run_tap)}])

    assert (0, 0) == (plain.status, given.status)
    assert plain.schema() == given.schema()
    assert plain.records() == given.records()
    assert discover(run_tap)["streams"][0]["schema"]["properties"] == plain.schema()["schema"]["properties"]
    assert ["EventStart"] == plain.schema()["bookmark_properties"]


@pytest.mark.proves("capabilities", "catalog")
def test_selection_is_obeyed(run_tap: Tap, emulator: Emulator) -> None:
    """Columns that somebody switched off, for privacy or cost, would arrive in the warehouse."""
    emulator.bundles = [one_bundle(event(1, PageUrl="u", PageIp="1.2.3.4", UserEmail="e@example.com", evt_x_str="x"))]
    catalog = discover(run_tap)
    facts(catalog)["selected"] = True
    facts(catalog, "PageIp")["selected"] = False
    facts(catalog, "UserEmail")["selected-by-default"] = False
    facts(catalog, "PageUrl").update({"selected": True, "selected-by-default": False})
    facts(catalog, "EventStart")["selected"] = False
    facts(catalog, "_bundle_id")["selected"] = False

    run = run_tap(catalog=catalog)

    assert 0 == run.status
    properties = run.schema()["schema"]["properties"]
    assert not {"PageIp", "UserEmail", "_bundle_id"} & set(properties)
    assert {"PageUrl", "EventStart", "PageLatLong"} <= set(properties)
    assert [{"UserId", "EventStart", "EventType", "PageUrl", "CustomVars"}] == [set(one) for one in run.records()]
    assert {"evt_x_str": "x"} == run.custom()  # what is switched off does not come back through the side door
    assert "1.2.3.4" not in run.stdout.decode() and "e@example.com" not in run.stdout.decode()


@pytest.mark.proves("capabilities", "catalog")
def test_nothing_selected_reads_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A stream that somebody switched off would be replicated all the same."""
    emulator.bundles = [bundle(0)]
    off, by_default = discover(run_tap), discover(run_tap)
    facts(off)["selected"] = False
    facts(by_default)["selected-by-default"] = False

    kept = bookmark(FIRST - 2 * DAY, FIRST - DAY)
    for run in run_tap.all([{"catalog": off}, {"catalog": by_default}, {"catalog": off, "state": kept}]):
        assert 0 == run.status
        assert [] == run.records()
        assert not [message for message in run.messages if message["type"] == "SCHEMA"]
        assert run.states
    assert kept == run.states[-1]
    assert 0 == emulator.count(GET)


def test_other_types_in_a_catalog_are_ignored_with_a_warning(run_tap: Tap, emulator: Emulator) -> None:
    """A catalog of an older version would turn ids into text, or make the values fit no more."""
    emulator.bundles = [one_bundle(event(2**62 + 1, PageDuration=5))]
    catalog = discover(run_tap)
    properties = catalog["streams"][0]["schema"]["properties"]
    properties["UserId"] = {"type": ["null", "string"]}
    properties["EventStart"] = {"type": "string"}

    run = run_tap(catalog=catalog)

    assert 0 == run.status
    assert "integer" in run.schema()["schema"]["properties"]["UserId"]["type"]
    assert "date-time" == run.schema()["schema"]["properties"]["EventStart"]["format"]
    assert [2**62 + 1] == run.numbers()
    assert 1 == sum("UserId" in line for line in run.said)


def test_fields_unknown_to_an_old_catalog_go_to_custom_vars(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever upgrades the tap with an old catalog would lose the new fields without a word."""
    emulator.bundles = [one_bundle(*(event(i, PageUrl="u", PageName="n", evt_x_str="x") for i in range(3)))]
    catalog = without(discover(run_tap), "PageName")
    silent = deepcopy(catalog)
    facts(silent, "CustomVars")["selected"] = False

    run, dropped = run_tap.all([{"catalog": catalog}, {"catalog": silent}])

    assert (0, 0) == (run.status, dropped.status)
    assert "PageName" not in run.schema()["schema"]["properties"]
    for index in range(3):
        assert {"PageName": "n", "evt_x_str": "x"} == run.custom(index)
    (line,) = [line for line in run.said if "PageName" in line]
    assert "3" in line

    assert "CustomVars" not in dropped.schema()["schema"]["properties"]
    assert [{"UserId", "EventStart", "EventType", "PageUrl", "_bundle_id"}] * 3 == [set(r) for r in dropped.records()]
    assert 1 == sum("PageName" in line for line in dropped.said)
    assert any("evt_x_str" in line and "3" in line for line in dropped.said)


def test_a_catalog_that_knows_neither_custom_vars_nor_bundle_id_works(run_tap: Tap, emulator: Emulator) -> None:
    """The catalog of tap-fullstory 1.x, without the tap's own columns, would end the run or lose the events."""
    emulator.bundles = [one_bundle(event(1, PageUrl="u"), event(2))]
    catalog = without(discover(run_tap), "CustomVars", "_bundle_id")

    run = run_tap(catalog=catalog)

    assert (0, [1, 2]) == (run.status, run.numbers())
    assert all(message["record"].keys() >= {"EventStart", "EventType"} for message in run.messages[1:3])


def test_columns_of_a_catalog_that_the_tap_does_not_have(run_tap: Tap, emulator: Emulator) -> None:
    """A column somebody added by hand would be filled with what Fullstory happens to call so, or end the run."""
    emulator.bundles = [one_bundle(event(1, evt_x_str="x"))]
    catalog = discover(run_tap)
    catalog["streams"][0]["schema"]["properties"]["evt_x_str"] = {"type": ["null", "string"]}
    catalog["streams"][0]["metadata"].append(
        {"breadcrumb": ["properties", "evt_x_str"], "metadata": {"inclusion": "available", "selected": True}}
    )

    run = run_tap(catalog=catalog)

    assert 0 == run.status
    assert "evt_x_str" not in run.schema()["schema"]["properties"]
    assert {"evt_x_str": "x"} == run.custom()


def test_catalogs_of_other_taps_are_refused(run_tap: Tap, emulator: Emulator) -> None:
    """A mix-up of files would look like a successful run without data."""
    entry = {
        "tap_stream_id": "pages",
        "stream": "pages",
        "schema": {"type": "object", "properties": {}},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True, "inclusion": "available"}}],
    }
    both = discover(run_tap)
    both["streams"].append(entry)
    wrong: list[Any] = [
        {"streams": [entry]},
        both,
        {},
        [],
        b'{"streams": [',
        {"streams": [5]},
        {"type": "STATE", "value": {}},
    ]

    runs = run_tap.all({"catalog": catalog} for catalog in wrong)

    for catalog, run in zip(wrong, runs, strict=True):
        assert 78 == run.status, (catalog, run.stderr)
        assert b"" == run.stdout
        assert 1 == len(run.said)
        assert "catalog" in run.last_line
    assert "pages" in runs[0].last_line and "pages" in runs[1].last_line
    assert "--discover" in runs[0].last_line
    assert 0 == emulator.count(LIST)


def test_the_key_holds_whatever_a_catalog_says(run_tap: Tap, emulator: Emulator) -> None:
    """A target that upserts would get records without a key because the catalog was made before `event_key`."""
    emulator.bundles = [one_bundle(event(1), event(2))]
    old = discover(run_tap)
    off = discover(run_tap, "--config", run_tap.file("c.json", {"event_key": True}))
    facts(off, "event_id")["selected"] = False
    facts(off, "UserId")["selected"] = False
    keyed = {"event_key": True}

    usual, first, second = run_tap.all([{"settings": keyed, "catalog": c} for c in (None, old, off)])
    unkeyed = run_tap(catalog=off)

    for run in (usual, first, second):
        assert 0 == run.status
        assert ["event_id"] == run.schema()["key_properties"]
        assert "event_id" in run.schema()["schema"]["properties"]
        assert [r["event_id"] for r in usual.records()] == [r["event_id"] for r in run.records()]
    assert "UserId" not in second.records()[0]
    assert 0 == unkeyed.status
    assert [] == unkeyed.schema()["key_properties"]
    assert "event_id" not in unkeyed.schema()["schema"]["properties"]
