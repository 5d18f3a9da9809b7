"""A tap on the Meltano SDK, with the SDK's default encoder: the same stream, the same columns, the same bookmark unit.

It leaves to the SDK what the SDK does (selection, conforming values to the schema, state, messages) and does by itself
what an author has to: list, download, unpack, parse, and put what is no column into `CustomVars`. It does not check
a bundle before it writes, nor values, and a run that breaks off starts its bundle again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from singer_sdk import Stream, Tap
from singer_sdk import typing as th

from bench.programs.reading import list_bundles, read_events

CATALOG = Path(__file__).parent.parent.parent / "catalog.json"
HALF_HOUR = 1800  # seconds; the last two digits of a bundle's id count them
CUSTOM_VARS = "CustomVars"


class Events(Stream):  # type: ignore[misc]  # the environment of the linters has no SDK
    """Every captured event, append only."""

    name = "events"
    primary_keys: ClassVar[tuple[str, ...]] = ()
    replication_key = "_bundle_id"  # it grows, and tells where its bundle stops
    is_sorted = True

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The schema of the tap that this one is compared with."""
        schema: dict[str, Any] = json.loads(CATALOG.read_text("utf-8"))["streams"][0]["schema"]
        return schema

    def get_records(self, context: Any) -> Iterable[dict[str, Any]]:
        """Yield the events of all bundles behind the bookmark."""
        known = self.schema["properties"].keys()
        url, key = self.config["export_url"], self.config["api_key"]
        for bundle in list_bundles(url, key, self._start(context)):
            for event in read_events(url, key, bundle["Id"]):
                unknown = event.keys() - known
                if unknown:
                    event[CUSTOM_VARS] = json.dumps({name: event.pop(name) for name in sorted(unknown)})
                event["_bundle_id"] = bundle["Id"]
                yield event

    def _start(self, context: Any) -> int:
        last = self.get_context_state(context).get("replication_key_value")
        if last is None:
            return int(datetime.fromisoformat(self.config["start_date"].replace("Z", "+00:00")).timestamp())
        start, half_hours = divmod(int(last), 100)
        return start + half_hours * HALF_HOUR


class TapFullstory(Tap):  # type: ignore[misc]
    """The tap."""

    name = "tap-fullstory-sdk"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("api_key", th.StringType, required=True, secret=True),
        th.Property("export_url", th.StringType, required=True),
        th.Property("start_date", th.DateTimeType, required=True),
    ).to_dict()

    def discover_streams(self) -> list[Events]:
        """Return the one stream."""
        return [Events(self)]


if __name__ == "__main__":
    TapFullstory.cli()
