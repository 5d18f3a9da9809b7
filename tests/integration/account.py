"""An account with real events, and a run of the tap over it, for the checks that other projects have thought of."""

import json
import subprocess
from copy import deepcopy
from pathlib import Path

from fullstory_emulator import Emulator, sample_bundles
from tests.integration.tap import Json, Run, Tap

STREAMS = ["events", "bundles"]  # of exports, which a run goes through from slice to slice
OTHERS = ["users", "individuals", "user_sessions", "segments", "operations", "settings", "settings_history"]
START = "2020-08-01T00:00:00Z"  # before the sample


def of_stream(entry: Json) -> Json:
    """The metadata of a stream itself, in its entry of a catalog."""
    (found,) = [one for one in entry["metadata"] if not one["breadcrumb"]]
    metadata: Json = found["metadata"]
    return metadata


def of_column(entry: Json, column: str) -> Json:
    """The metadata of a column."""
    (found,) = [one for one in entry["metadata"] if one["breadcrumb"] == ["properties", column]]
    metadata: Json = found["metadata"]
    return metadata


class Account:
    """Real visitors, the catalog, and what a run over both streams brings."""

    def __init__(self, folder: Path, emulator: Emulator, **settings: object) -> None:
        emulator.bundles = sample_bundles()
        self.emulator = emulator
        self.tap = Tap(folder, emulator)
        self.settings = {"start_date": START, "checkpoint_records": 20, **settings}
        self.catalog: Json = json.loads(self.bare("--discover").stdout)
        for entry in self.catalog["streams"]:
            of_stream(entry)["selected"] = entry["tap_stream_id"] in STREAMS
        self.run = self.sync()

    def bare(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        """The command with the settings and these arguments."""
        return self.tap.bare([*self.tap.command(settings=self.settings)[3:], *arguments])

    def sync(self, state: Json | None = None, catalog: Json | None = None, **settings: object) -> Run:
        """A run over what *catalog* selects (both streams), from *state* on."""
        return self.tap(settings={**self.settings, **settings}, catalog=catalog or self.catalog, state=state)

    def entry(self, stream: str) -> Json:
        """What the catalog says of a stream; a copy."""
        (found,) = [one for one in self.catalog["streams"] if one["tap_stream_id"] == stream]
        entry: Json = deepcopy(found)
        return entry

    def everything(self) -> Json:
        """The catalog with all streams selected."""
        catalog = deepcopy(self.catalog)
        for entry in catalog["streams"]:
            of_stream(entry)["selected"] = True
        return catalog

    def only_automatic(self) -> Json:
        """The catalog with every column taken out that may be."""
        catalog = deepcopy(self.catalog)
        for entry in catalog["streams"]:
            for one in entry["metadata"]:
                if one["breadcrumb"]:
                    one["metadata"]["selected"] = False
        return catalog
