"""The plainest tap that singer-python allows: parse with json, `singer.write_record`, nothing else.

No bookmark, no selection, no checks, no `CustomVars`: an event is written as it comes.
"""

from __future__ import annotations

import argparse
import json
from datetime import datetime
from pathlib import Path

import singer

from bench.programs.reading import list_bundles, read_events


def main() -> None:
    """Write all events as RECORD messages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    config = json.loads(parser.parse_args().config.read_text("utf-8"))
    url, key = config["export_url"], config["api_key"]
    start = int(datetime.fromisoformat(config["start_date"].replace("Z", "+00:00")).timestamp())
    singer.write_schema("events", {"type": "object", "properties": {}}, [])
    for bundle in list_bundles(url, key, start):
        for event in read_events(url, key, bundle["Id"]):
            singer.write_record("events", event)


if __name__ == "__main__":
    main()
