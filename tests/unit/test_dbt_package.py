"""The package in dbt/ as far as it can be read without dbt; tests/end_to_end/test_dbt.py runs it."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "dbt"


def test_the_view_of_events_has_every_column_of_the_tap() -> None:
    """A field that Fullstory adds, and the tap with it, is not forgotten in the tables for analysts."""
    (events,) = [
        stream
        for stream in json.loads((ROOT / "catalog.json").read_bytes())["streams"]
        if stream["tap_stream_id"] == "events"
    ]
    columns = events["schema"]["properties"]
    of_kind = {"integer": "bigint", "number": "double precision", "string": "text"}
    expected = {
        name: "timestamp" if schema.get("format") == "date-time" else of_kind[schema["type"][-1]]
        for name, schema in columns.items()
        if name != "CustomVars"
    }
    text = (PACKAGE / "models" / "stg_fullstory__events.sql").read_text("utf-8")
    found = re.findall(r"\('(\w+)', '(\w+)', '([a-z ]+)'\)", text)

    assert {**expected, "event_id": "text"} == {name: kind for name, _, kind in found}
    assert len({ours for _, ours, _ in found}) == len(found)


def test_both_readmes_add_the_package_alike() -> None:
    """What is copied from either of them works."""
    readmes = ((ROOT / "README.md").read_text("utf-8"), (PACKAGE / "README.md").read_text("utf-8"))
    one, other = (re.findall(r"```yaml\n(packages:.*?)```", text, re.DOTALL) for text in readmes)
    assert one == other and len(one) == 1
