"""What a run costs before its first event: help, discovery, and a sync that finds nothing new."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from bench.measure import Run, in_turn
from bench.opponents import ENVS, OURS, PROGRAMS
from bench.serve import serve
from bench.speed import last_state, prepare, timed

PYTHON = "Python alone"
EMPTY = "empty run"
EVENTS = 5000  # of the run before the empty one
MODES = ("--version", "--help", "--discover", EMPTY)


def start_ups(rounds: int) -> dict[str, dict[str, list[Run]]]:
    """Return the runs by mode and program; a program that lacks a mode is not in it."""
    found: dict[str, dict[str, list[Run]]] = {}
    programs = [one for one in PROGRAMS if one.modes]
    with tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as folder, serve("usual", EVENTS) as served:
        commands = prepare(programs, "usual", served, Path(folder))
        states: dict[str, Path] = {}
        for one in programs:
            states[one.name] = Path(folder) / f"state-{len(states)}.json"
            states[one.name].write_text(last_state(commands[one.name]), "utf-8")
        for mode in MODES:
            runners = {PYTHON: partial(timed, [str(ENVS / OURS / "bin" / "python"), "-c", "pass"])}
            for one in programs:
                if mode == EMPTY:
                    command = [*commands[one.name], "--state", str(states[one.name])]
                elif mode in one.modes:
                    command = one.command(served.config["export_url"], mode)
                    if mode == "--discover":
                        command = [*commands[one.name], mode]
                else:
                    continue
                runners[one.name] = partial(timed, command)
            found[mode] = in_turn(runners, rounds)
    return found
