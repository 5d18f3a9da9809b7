"""The reports that runs have left in a folder."""

import json
from pathlib import Path

import jsonschema

import tap_fullstory
from tests.integration.tap import Json, parse

SCHEMA = json.loads((Path(tap_fullstory.__file__).parent / "reports" / "report.schema.json").read_bytes())


def read_reports(folder: Path) -> list[Json]:
    """All reports, the oldest first; each is as the schema says, and nothing else is in the folder."""
    assert {".json"} >= {path.suffix for path in folder.iterdir()}
    found = [parse(path.read_bytes()) for path in folder.iterdir()]
    for one in found:
        jsonschema.validate(one, SCHEMA)
    return sorted(found, key=lambda one: str(one["began_at"]))
