"""Catalogs and runs of the streams that are no events."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.integration.tap import Json, Run

CATALOG = json.loads((Path(__file__).resolve().parents[2] / "catalog.json").read_bytes())
USERS, SESSIONS, SEGMENTS = "/v2/users", "/sessions/v2", "/segments/v1"
RULES = "/settings/recording/v1"
KINDS = {
    "blocking": ("",),
    "domain": ("web", "mobile"),
    "features": ("web", "mobile"),
    "geo": ("",),
    "privacy": ("",),
    "targeting": ("",),
}


def catalog(*selected: str, without: Iterable[str] = ()) -> Json:
    """What `--discover` prints, with these streams selected and no other; *without* these columns."""
    found: Json = json.loads(json.dumps(CATALOG))
    for entry in found["streams"]:
        for one in entry["metadata"]:
            if not one["breadcrumb"]:
                one["metadata"]["selected"] = entry["tap_stream_id"] in selected
            elif one["breadcrumb"][1] in without:
                one["metadata"]["selected"] = False
    return found


def by(records: Iterable[Json], *names: str) -> dict[Any, Json]:
    """The records by their key, none twice."""
    found = {tuple(one[name] for name in names) if len(names) > 1 else one[names[0]]: one for one in records}
    assert len(found) == len([*records])
    return found


def bookmarks(run: Run) -> Json:
    """The bookmarks of the last STATE."""
    found: Json = run.states[-1]["bookmarks"]
    return found
