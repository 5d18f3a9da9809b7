"""The stream `bundles`: a log of the bundles that are finished, one record each.

Counted per `_bundle_id`, the events in the warehouse can be compared with it. Beside `events` its records are written
along with the events; on its own it reads the bundles without writing their events.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tap_fullstory.bundle_log import KEY, NAME, REPLICATION_KEY
from tap_fullstory.extraction import Extraction
from tap_fullstory.streams import Items, Run, Selection, Stream, events

SCHEMA = Path(__file__).resolve().parent.parent / "schemas" / "bundles.json"


def stream() -> Stream:
    """Return the stream."""
    return Stream(
        name=NAME,
        schema=json.loads(SCHEMA.read_bytes()),
        key_properties=(KEY,),
        replication_method="INCREMENTAL",
        replication_key=REPLICATION_KEY,
        automatic=frozenset({KEY, REPLICATION_KEY}),
        extract=extract,
    )


def extract(run: Run, bookmark: Any, selection: Selection) -> Items:
    """Yield a record for each bundle after *bookmark*; nothing if `events` is selected, which brings them along."""
    if events.NAME not in run.selections:
        yield from Extraction(run, bookmark, None, selection).items()
