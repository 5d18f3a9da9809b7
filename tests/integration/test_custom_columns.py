"""Custom variables with a column of their own."""

import json
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import DAY, FIRST, Json, Tap, bundle, event

pytestmark = pytest.mark.only_source("data_export")

COLUMNS: dict[str, Any] = {
    "custom_columns": [
        "user_plan_str",
        "evt_order.items_int",
        {"name": "evt_order.total_real", "column": "total"},
        "user_on_bool",
        "user_since_date",
        "evt_tags_strs",
        "evt_odd",
    ]
}
NAMES = "user_plan_str evt_order_items_int total user_on_bool user_since_date evt_tags_strs evt_odd".split()

# members of an event -> what of its record is not there without them
VALUES: list[tuple[str, Json]] = [
    (
        '"user_plan_str":"pro","evt_order.items_int":3,"evt_order.total_real":1.5,"user_on_bool":true',
        {"user_plan_str": "pro", "evt_order_items_int": 3, "total": 1.5, "user_on_bool": True},
    ),
    (
        '"user_since_date":"2023-01-01T01:00:00.50+01:00","evt_tags_strs":["a","b"],"evt_odd":"x"',
        {"user_since_date": "2023-01-01T00:00:00.50Z", "evt_tags_strs": '["a","b"]', "evt_odd": "x"},
    ),
    (
        ",".join(f'"{name}":null' for name in ("user_plan_str", "evt_order.total_real", "evt_tags_strs")),
        {"user_plan_str": None, "total": None, "evt_tags_strs": None},
    ),
    # converted where nothing is lost
    (
        '"user_plan_str":1.50,"evt_order.items_int":"-12","evt_order.total_real":5',
        {"user_plan_str": "1.50", "evt_order_items_int": -12, "total": 5},
    ),
    ('"evt_order.items_int":2.0,"evt_odd":7', {"evt_order_items_int": 2, "evt_odd": "7"}),
    (
        '"user_plan_str":"a\\u0000b","evt_tags_strs":["\\ud800"]',
        {"user_plan_str": "a\ufffdb", "evt_tags_strs": '["\ufffd"]'},
    ),
    ('"evt_tags_strs":"a"', {"evt_tags_strs": '"a"'}),
    ('"evt_tags_strs":{"b":1,"a":[2.5,1e400]}', {"evt_tags_strs": '{"b":1,"a":[2.5,"1e400"]}'}),
    # what does not fit, under its own name
    (
        '"user_plan_str":true,"evt_order.items_int":2.5,"evt_order.total_real":"1.5","user_on_bool":1',
        {
            "CustomVars": {
                "user_plan_str": True,
                "evt_order.items_int": 2.5,
                "evt_order.total_real": "1.5",
                "user_on_bool": 1,
            }
        },
    ),
    (
        '"user_on_bool":"true","user_since_date":"2023-01-01"',
        {"CustomVars": {"user_on_bool": "true", "user_since_date": "2023-01-01"}},
    ),
    (
        '"evt_odd":["x"],"evt_order.items_int":9223372036854775809',
        {"CustomVars": {"evt_odd": ["x"], "evt_order.items_int": "9223372036854775809"}},
    ),
    # a variable that is called as another one's column
    (
        '"total":1,"evt_order.total_real":2,"evt_order_items_int":3',
        {"total": 2, "CustomVars": {"total": 1, "evt_order_items_int": 3}},
    ),
    ('"USER_PLAN_STR":"pro","user_plan_str ":"x"', {"CustomVars": {"USER_PLAN_STR": "pro", "user_plan_str ": "x"}}),
]  # fmt: skip


def values_bundle() -> Bundle:
    """The first bundle, with an event for each of VALUES."""
    texts = ['{"EventStart":"2023-11-15T00:01:00Z"%s}' % ("," + members) for members, _ in VALUES]
    return Bundle(FIRST, FIRST + DAY, raw=f"[{','.join(texts)}]".encode())


def own(run: Any, index: int) -> Json:
    """A record without what every record here has, `CustomVars` as an object."""
    record = {name: value for name, value in run.records()[index].items() if name not in ("EventStart", "_bundle_id")}
    return {**record, "CustomVars": run.custom(index)} if "CustomVars" in record else record


def test_values_arrive_in_columns_of_their_own(run_tap: Tap, emulator: Emulator) -> None:
    """Values would be lost, changed, or in the column of another variable."""
    emulator.bundles = [values_bundle()]

    run, keyed = run_tap.all([{"settings": COLUMNS}, {"settings": {**COLUMNS, "event_key": True}}])
    usual = run_tap(settings={"event_key": True})

    assert (0, 0, 0) == (run.status, keyed.status, usual.status)
    found = [own(run, index) for index in range(len(VALUES))]
    assert [json.dumps(record, sort_keys=True) for _, record in VALUES] == [
        json.dumps(one, sort_keys=True) for one in found
    ]
    assert [one["event_id"] for one in usual.records()] == [one["event_id"] for one in keyed.records()]
    moved = next(line for line in run.said if "did not fit" in line)
    assert "evt_order.items_int (2)" in moved and "user_plan_str (1)" in moved
    (kept,) = [line for line in run.said if "USER_PLAN_STR" in line]
    assert "evt_tags_strs" not in kept


def test_the_schema_and_the_catalog_have_them(run_tap: Tap, emulator: Emulator) -> None:
    """Targets would refuse the records, and nobody could deselect a column."""
    emulator.bundles = [bundle(0)]
    config = run_tap.file("c.json", COLUMNS)  # no key: discovery needs none

    printed = [run_tap.bare(["--discover", "--config", config]).stdout for _ in range(2)]
    run = run_tap(settings=COLUMNS)
    given = run_tap(settings=COLUMNS, catalog=json.loads(printed[0]))

    assert printed[0] == printed[1]
    properties = json.loads(printed[0])["streams"][0]["schema"]["properties"]
    assert properties == run.schema()["schema"]["properties"] == given.schema()["schema"]["properties"]
    types = ["string", "integer", "number", "boolean", "string", "string", "string"]
    assert types == [next(t for t in properties[name]["type"] if t != "null") for name in NAMES]
    assert (-(2**63), 2**63 - 1) == tuple(properties["evt_order_items_int"][end] for end in ("minimum", "maximum"))
    assert ["user_since_date"] == [name for name in NAMES if properties[name].get("format") == "date-time"]
    assert all("null" in properties[name]["type"] for name in NAMES)
    assert {"CustomVars", "_bundle_id", "PageUrl"} <= properties.keys()


def test_an_old_catalog_leaves_them_in_custom_vars(run_tap: Tap, emulator: Emulator) -> None:
    """Whoever adds a column without a new catalog would lose the variable without a word."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(i, user_plan_str="pro", evt_odd=i) for i in range(3)])]
    old = json.loads(run_tap.bare(["--discover"]).stdout)

    run = run_tap(settings=COLUMNS, catalog=old)

    assert 0 == run.status
    assert not run.schema()["schema"]["properties"].keys() & {*NAMES}
    assert [{"user_plan_str": "pro", "evt_odd": i} for i in range(3)] == [run.custom(i) for i in range(3)]
    (line,) = [line for line in run.said if "user_plan_str" in line]
    assert "catalog does not know" in line and "user_plan_str (3)" in line


def test_a_deselected_one_does_not_come_back(run_tap: Tap, emulator: Emulator) -> None:
    """What somebody switched off, for privacy, would arrive in CustomVars."""
    emulator.bundles = [
        Bundle(FIRST, FIRST + DAY, [event(1, user_plan_str="hidden", evt_odd="a"), event(2, user_plan_str=["hidden"])])
    ]
    catalog = json.loads(run_tap.bare(["--discover", "--config", run_tap.file("c.json", COLUMNS)]).stdout)
    for one in catalog["streams"][0]["metadata"]:
        if one["breadcrumb"] == ["properties", "user_plan_str"]:
            one["metadata"]["selected"] = False

    run = run_tap(settings=COLUMNS, catalog=catalog)

    assert 0 == run.status
    assert "user_plan_str" not in run.schema()["schema"]["properties"]
    assert "hidden" not in run.stdout.decode() + run.stderr


@pytest.mark.parametrize("name", ["CustomVars", "event_id", "_bundle_id", 'quote"', "línea\n", "🍓", "x" * 300, " "])
def test_any_name_may_have_a_column(run_tap: Tap, emulator: Emulator, name: str) -> None:
    """The tap would end with a bug at what a customer calls a property, or mistake it for its own."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(1, **{name: "theirs"}), event(2), event(3, **{name: [1]})])]

    run = run_tap(settings={"custom_columns": [{"name": name, "column": "mine"}], "event_key": True})

    assert (0, [1, 2, 3]) == (run.status, run.numbers())
    assert ["theirs", None, None] == [record.get("mine") for record in run.records()]
    assert [None, None, {name: [1]}] == [run.custom(index) for index in range(3)]
