"""What the tap offers, and what a catalog of any age selects of it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tap_fullstory.catalog import discover, read_catalog, select
from tap_fullstory.errors import CatalogError
from tap_fullstory.streams import Selection, events

STREAM = events.stream(event_key=False)
KEYED = events.stream(event_key=True)
ALL = tuple(STREAM.schema["properties"])


def catalog(**changes: Any) -> dict[str, Any]:
    """Return the discovered catalog; *changes* are what the metadata says of columns, "" being the stream."""
    found = copy.deepcopy(discover([STREAM]))
    for entry in found["streams"][0]["metadata"]:
        name = entry["breadcrumb"][-1] if entry["breadcrumb"] else "stream"
        entry["metadata"] |= changes.get(name, {})
    return found


def selection(found: dict[str, Any], stream: Any = STREAM) -> Selection:
    ((_, selected),) = select([stream], found)
    return selected


def test_what_is_discovered_is_a_singer_catalog() -> None:
    """Orchestrators could not select anything."""
    (entry,) = discover([STREAM])["streams"]
    facts = {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}

    assert ("events", "events", [], "INCREMENTAL", "EventStart") == (
        entry["tap_stream_id"],
        entry["stream"],
        entry["key_properties"],
        entry["replication_method"],
        entry["replication_key"],
    )
    assert {
        "inclusion": "available",
        "selected-by-default": True,
        "table-key-properties": [],
        "forced-replication-method": "INCREMENTAL",
        "valid-replication-keys": ["EventStart"],
    } == facts[()]
    assert {(), *(("properties", name) for name in entry["schema"]["properties"])} == set(facts)
    assert {"inclusion": "automatic", "selected-by-default": True} == facts["properties", "EventStart"]
    assert {"inclusion": "available", "selected-by-default": True} == facts["properties", "PageUrl"]


def test_with_a_key_it_is_automatic() -> None:
    """A target that upserts would miss its key."""
    (entry,) = discover([KEYED])["streams"]
    facts = {tuple(one["breadcrumb"]): one["metadata"] for one in entry["metadata"]}

    assert ["event_id"] == entry["key_properties"] == facts[()]["table-key-properties"]
    assert "automatic" == facts["properties", "event_id"]["inclusion"]


def test_without_a_catalog_all_columns_of_events_are_emitted() -> None:
    """A first run would bring nothing."""
    ((stream, selected),) = select([STREAM], None)

    assert "events" == stream.name
    assert Selection(ALL) == selected


def test_the_discovered_catalog_selects_everything() -> None:
    """A catalog that nobody touched would change something."""
    assert Selection(ALL) == selection(catalog())


def test_a_deselected_column_is_left_out_and_an_automatic_one_is_not() -> None:
    """A column that is not wanted, for privacy, would arrive, or the replication key would not."""
    found = catalog(PageIp={"selected": False}, EventStart={"selected": False}, PageUrl={"selected-by-default": False})

    assert tuple(name for name in ALL if name not in ("PageIp", "PageUrl")) == selection(found).columns


@pytest.mark.parametrize(
    "facts, selected",
    [
        ({"selected": True}, True),
        ({"selected": False}, False),
        ({"selected-by-default": False}, False),
        ({"selected": True, "selected-by-default": False}, True),
        ({"selected": None}, True),
        ({}, True),
    ],
)
def test_selected_wins_over_the_default(facts: dict[str, Any], selected: bool) -> None:
    """A stream would be synced that nobody wants, or not the one that somebody does."""
    assert selected == bool(select([STREAM], catalog(stream=facts)))


def test_the_old_way_to_select_is_understood() -> None:
    """A catalog in which `selected` stands in the schema would select everything."""
    found = catalog()
    found["streams"][0]["schema"]["selected"] = False
    assert [] == select([STREAM], found)

    found["streams"][0]["schema"]["selected"] = True
    found["streams"][0]["schema"]["properties"]["PageIp"]["selected"] = False
    assert "PageIp" not in selection(found).columns


def test_a_catalog_of_an_older_version_keeps_working() -> None:
    """After an upgrade, a new field would be lost, or a column appear that a table does not have."""
    found = catalog()
    for name in ("ReqUrl", "_bundle_id", "CustomVars"):
        del found["streams"][0]["schema"]["properties"][name]

    selected = selection(found)

    assert frozenset({"ReqUrl"}) == selected.unknown
    assert tuple(name for name in ALL if name != "ReqUrl") == selected.columns
    assert () == selected.warnings


def test_the_key_is_emitted_with_a_catalog_made_without_it() -> None:
    """Setting `event_key` would have no effect until somebody discovers anew."""
    selected = selection(catalog(), KEYED)

    assert ("event_id", *ALL) == selected.columns


def test_a_key_that_is_no_longer_wanted_is_ignored_with_a_warning() -> None:
    """A catalog made with `event_key` would end every run without it."""
    selected = selection(discover([KEYED]))

    assert ALL == selected.columns
    assert 1 == len(selected.warnings) and "event_id" in selected.warnings[0]


def test_types_are_the_taps_own() -> None:
    """A catalog edited by hand would make records that do not fit their schema."""
    found = catalog()
    properties = found["streams"][0]["schema"]["properties"]
    properties["UserId"] = {"type": ["null", "string"]}
    properties["EventStart"] = {"type": "string"}
    properties["PageUrl"] = {"type": "string", "description": "no null, no matter"}
    properties["Mine"] = {"type": "string"}

    selected = selection(found)

    assert ALL == selected.columns
    assert 2 == len(selected.warnings)
    assert "UserId" in selected.warnings[0] and "EventStart" in selected.warnings[0]
    assert "PageUrl" not in selected.warnings[0] and "Mine" in selected.warnings[1]


def test_a_stream_that_we_do_not_have_is_refused_if_selected() -> None:
    """A user would wait for a table that never comes."""
    other = {"tap_stream_id": "pages", "schema": {}, "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}]}
    found = catalog()
    found["streams"].append(other)

    with pytest.raises(CatalogError, match='"pages"'):
        select([STREAM], found)
    other["metadata"] = []
    assert 1 == len(select([STREAM], found))
    with pytest.raises(CatalogError, match="another tap"):
        select([STREAM], {"streams": [other]})


def test_an_empty_catalog_selects_nothing() -> None:
    """All would be synced though nothing is selected."""
    assert [] == select([STREAM], {"streams": []})


@pytest.mark.parametrize("odd", [{"type": 5}, {"type": None}, {"type": {}}, {"type": [["null"]]}, 5, None, [], {}])
def test_an_odd_type_in_a_catalog_is_survived(odd: Any) -> None:
    """A catalog edited by hand would end the run with a bug."""
    found = catalog()
    found["streams"][0]["schema"]["properties"]["PageUrl"] = odd

    selected = selection(found)

    assert ALL == selected.columns
    assert "PageUrl" in selected.warnings[0]


def test_a_catalog_comes_back_from_its_file(tmp_path: Path) -> None:
    """The catalog that --discover prints could not be passed in again."""
    path = tmp_path / "catalog.json"
    path.write_text("\ufeff" + json.dumps(discover([STREAM])), "utf-8")

    assert Selection(ALL) == selection(read_catalog(str(path)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"streams":{}}',
        '{"streams":[5]}',
        '{"streams":[{}]}',
        '{"streams":[{"tap_stream_id":5,"schema":{}}]}',
        '{"streams":[{"tap_stream_id":"events"}]}',
        '{"streams":[{"tap_stream_id":"events","schema":[]}]}',
        '{"streams":[{"tap_stream_id":"events","schema":{"properties":[]}}]}',
        '{"streams":[{"tap_stream_id":"events","schema":{},"metadata":{"a":1}}]}',
        '{"streams":[{"tap_stream_id":"events","schema":{},"metadata":[{}]}]}',
        '{"streams":[{"tap_stream_id":"events","schema":{},"metadata":[{"breadcrumb":[],"metadata":5}]}]}',
        "[" * 100_000,
    ],
)
def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path, text: str) -> None:
    """A wrong file would look like a bug."""
    path = tmp_path / "catalog.json"
    path.write_text(text)

    with pytest.raises(CatalogError, match=r"--discover") as caught:
        read_catalog(str(path))
    assert 78 == caught.value.status


@pytest.mark.parametrize("breadcrumb", ["[[]]", '["properties",["PageUrl"]]', "[{}]", "[5]"])
def test_an_odd_breadcrumb_is_survived_or_refused(tmp_path: Path, breadcrumb: str) -> None:
    """A catalog edited by hand would end the run with a bug."""
    path = tmp_path / "catalog.json"
    entry = f'{{"breadcrumb":{breadcrumb},"metadata":{{"selected":true}}}}'
    path.write_text(f'{{"streams":[{{"tap_stream_id":"events","schema":{{}},"metadata":[{entry}]}}]}}')
    try:
        found = read_catalog(str(path))
    except CatalogError:
        return
    assert 1 == len(select([STREAM], found))
