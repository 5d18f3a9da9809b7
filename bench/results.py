"""What a run of the benchmark found, on which machine, and its file."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.growth import Bundled, Grown
from bench.measure import Run
from bench.opponents import DUCKDB, OURS, PROGRAMS, version
from bench.pipelines import ENV_OF, Piped
from bench.speed import Measured


@dataclass
class Results:
    """All results; what was not measured is empty.

    Attributes:
        about: date, command, machine, versions.
        counts: how many events each program wrote, by profile.
        start_ups: runs by mode and program.
        parquet, postgres: a bundle on its way into one of them.
    """

    about: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    speed: list[Measured] = field(default_factory=list)
    start_ups: dict[str, dict[str, list[Run]]] = field(default_factory=dict)
    pipelines: Piped | None = None
    parquet: list[Measured] = field(default_factory=list)
    postgres: list[Measured] = field(default_factory=list)
    growth: Grown | None = None

    def save(self, path: Path) -> None:
        """Write everything that was measured, run by run."""
        path.write_text(json.dumps(asdict(self), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> Results:
        """Read what `save` wrote."""
        found = json.loads(path.read_text("utf-8"))
        piped, grown = found["pipelines"], found.get("growth")
        return cls(
            about=found["about"],
            counts=found["counts"],
            speed=_measured(found["speed"]),
            start_ups={mode: _runs(runs) for mode, runs in found["start_ups"].items()},
            pipelines=piped and Piped(piped["events"], {name: _runs(runs) for name, runs in piped["runs"].items()}),
            parquet=_measured(found.get("parquet", [])),  # older files have none of these
            postgres=_measured(found.get("postgres", [])),
            growth=grown and Grown(_measured(grown["sizes"]), [_bundled(one) for one in grown["bundles"]]),
        )


def _measured(found: Sequence[Mapping[str, Any]]) -> list[Measured]:
    return [Measured(**{**one, "runs": _runs(one["runs"])}) for one in found]


def _bundled(found: Mapping[str, Any]) -> Bundled:
    return Bundled(**{**found, "runs": _runs(found["runs"])})


def _runs(found: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[Run]]:
    return {name: [Run(**one) for one in runs] for name, runs in found.items()}


def about(command: str) -> dict[str, str]:
    """Return what a reader has to know to judge figures."""
    versions = {f"{one.name} ({one.package})": version(one.env, one.package) for one in PROGRAMS}
    return {
        "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",
        "command": command,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.machine()}",
        **versions,
        **{name: version(env, name) for name, env in ENV_OF.items()},
        "duckdb": version(DUCKDB, "duckdb"),
        "pyarrow": version(OURS, "pyarrow"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or "unknown processor"
