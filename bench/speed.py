"""Whole runs of all programs against the same emulator: speed, processor time, memory."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.measure import ENVIRONMENT, BenchError, Run, in_turn, run
from bench.opponents import PROGRAMS, ROOT, Program
from bench.serve import PROFILES, Served, serve

COUNTED = 10_000  # events of the runs that are only counted


@dataclass(frozen=True)
class Comparison:
    """What is compared: one kind of events, one size of bundle.

    Attributes:
        profile: one of `serve.PROFILES`.
        events: in the bundle; the emulator rounds to whole blocks.
        rounds: in which every program runs once.
    """

    profile: str
    events: int
    rounds: int


@dataclass(frozen=True)
class Measured:
    """What came of a comparison; the runs by program."""

    profile: str
    events: int
    bytes: int
    runs: dict[str, list[Run]]


def compare(comparison: Comparison) -> Measured:
    """Run all programs that can take part, in turn."""
    programs = [one for one in PROGRAMS if one.selects or not PROFILES[comparison.profile].columns]
    with (
        tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as folder,
        serve(comparison.profile, comparison.events) as served,
    ):
        commands = prepare(programs, comparison.profile, served, Path(folder))
        taken = in_turn({name: partial(timed, command) for name, command in commands.items()}, comparison.rounds)
    return Measured(comparison.profile, served.events, served.bytes, taken)


def check_counts(profile: str) -> dict[str, int]:
    """Let every program write the same bundle, and return how many events each wrote.

    Raises:
        BenchError: one wrote more or fewer than there are.
    """
    programs = [one for one in PROGRAMS if one.selects or not PROFILES[profile].columns]
    counts = {}
    with tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as folder, serve(profile, COUNTED) as served:
        for one, command in zip(programs, prepare(programs, profile, served, Path(folder)).values(), strict=True):
            _, counted = run(command, drain=f"exec grep -cE '{one.events}'", cwd=ROOT)
            counts[one.name] = int(counted)
    wrong = {name: count for name, count in counts.items() if count != served.events}
    if wrong:
        raise BenchError(
            f"The bundle of profile {profile} holds {served.events} events, but there were written: {wrong}"
        )
    return counts


def timed(command: Sequence[str]) -> Run:
    """Run a program into a pipe that is emptied at once."""
    return run(command, cwd=ROOT)[0]


def prepare(programs: Sequence[Program], profile: str, served: Served, folder: Path) -> dict[str, list[str]]:
    """Write the settings, and a catalog where the profile selects columns; return the command lines by program."""
    config = folder / "config.json"
    config.write_text(json.dumps(served.config), "utf-8")
    columns = PROFILES[profile].columns
    url = served.config["export_url"]
    commands = {}
    for number, program in enumerate(programs):
        arguments = ["--config", str(config)]
        if columns:
            catalog = folder / f"catalog-{number}.json"
            catalog.write_text(selecting(discovered(program.command(url, *arguments, "--discover")), columns), "utf-8")
            arguments += ["--catalog", str(catalog)]
        commands[program.name] = program.command(url, *arguments)
    return commands


def discovered(command: Sequence[str]) -> str:
    """Return the catalog that a tap prints."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ).stdout


def selecting(catalog: str, columns: Sequence[str]) -> str:
    """Return *catalog* with these columns selected and no others."""
    parsed = json.loads(catalog)
    for stream in parsed["streams"]:
        for entry in stream["metadata"]:
            breadcrumb = entry["breadcrumb"]
            entry["metadata"]["selected"] = not breadcrumb or breadcrumb[-1] in columns
    return json.dumps(parsed)


def last_state(command: Sequence[str]) -> str:
    """Run a tap, and return the value of the last STATE that it wrote."""
    _, states = run(command, drain="""exec grep -E '^\\{"type": ?"STATE"'""", cwd=ROOT)
    return json.dumps(json.loads(states.splitlines()[-1])["value"])
