"""The tap and a target as two processes with a pipe between them, and what they leave behind."""

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from demo.postgres import Postgres
from demo.processes import stop
from fullstory_emulator import Emulator

ROOT = Path(__file__).resolve().parents[2]
TAP = Path(sysconfig.get_path("scripts")) / "tap-fullstory"
TARGET = ROOT / ".envs" / "target-postgres" / "bin" / "target-postgres"
TIMEOUT = 120.0  # seconds; no run here takes more than a few


@dataclass
class Run:
    """What a run of the tap, the target or both left behind."""

    tap_status: int | None = None
    target_status: int | None = None
    messages: bytes = b""  # what the tap wrote, where a test asked for it
    states: list[dict[str, Any]] = field(default_factory=list)  # what the target printed
    log: str = ""


@dataclass(kw_only=True)
class TapAndTarget:
    """The tap and some target, with a folder of their own."""

    folder: Path
    emulator: Emulator
    settings: dict[str, Any] = field(default_factory=dict)  # of the tap
    target: Sequence[str] = (str(TARGET),)  # its command
    target_settings: dict[str, Any] = field(default_factory=dict)
    catalog: dict[str, Any] | None = None

    def run(self, state: dict[str, Any] | None = None) -> Run:
        """Load everything after *state*; both commands have to succeed."""
        run = self.try_to_run(state)
        assert (0, 0) == (run.tap_status, run.target_status), run.log
        return run

    def try_to_run(self, state: dict[str, Any] | None = None) -> Run:
        """Load everything after *state*, however the commands may end."""
        run = Run()
        with open(self.folder / "log", "w+b") as log:
            tap = self.start_tap(state, log)
            target = self.start_target(tap.stdout, log)
            assert tap.stdout is not None
            tap.stdout.close()  # the target's now: the tap has to notice when it goes away
            try:
                printed, _ = target.communicate(timeout=TIMEOUT)
                run.tap_status = tap.wait(TIMEOUT)
                run.target_status = target.returncode
            finally:
                stop(tap, signal.SIGKILL)
                stop(target, signal.SIGKILL)
        run.states = [json.loads(line) for line in printed.splitlines()]
        run.log = (self.folder / "log").read_text("utf-8", "replace")
        return run

    def load(self, messages: bytes) -> Run:
        """Give *messages* to the target, which has to succeed."""
        run = self.try_to_load(messages)
        assert 0 == run.target_status, run.log
        return run

    def try_to_load(self, messages: bytes) -> Run:
        """Give *messages* to the target, however it may end."""
        with open(self.folder / "log", "w+b") as log:
            target = self.start_target(subprocess.PIPE, log)
            try:
                printed, _ = target.communicate(messages, timeout=TIMEOUT)
            finally:
                stop(target, signal.SIGKILL)
        log_text = (self.folder / "log").read_text("utf-8", "replace")
        states = [json.loads(line) for line in printed.splitlines()]
        return Run(target_status=target.returncode, states=states, log=log_text)

    def start_tap(self, state: dict[str, Any] | None, log: Any) -> "subprocess.Popen[bytes]":
        """The real command, writing into a pipe."""
        command = [str(TAP), "--config", str(self.write("config.json", self.tap_settings()))]
        if state is not None:
            command += ["--state", str(self.write("state.json", state))]
        if self.catalog is not None:
            command += ["--catalog", str(self.write("catalog.json", self.catalog))]
        return subprocess.Popen(
            command, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
        )

    def start_target(self, stdin: Any, log: Any) -> "subprocess.Popen[bytes]":
        """The real target, reading *stdin*."""
        program = Path(self.target[0])
        assert program.exists(), f"{program} is missing: `make` runs these tests in environments that it makes."
        return subprocess.Popen(
            [*self.target, "--config", str(self.write_target_settings())],
            env=self.environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
        )

    def tap_settings(self) -> dict[str, Any]:
        """The settings of the tap, for this emulator."""
        return {
            "api_key": self.emulator.api_key,
            "api_url": self.emulator.url,
            "export_url": self.emulator.url,
            "start_date": "2020-01-01T00:00:00Z",
            **self.settings,
        }

    def write_target_settings(self) -> Path:
        """The file of settings for the target."""
        return self.write("target.json", self.target_settings)

    def environment(self) -> dict[str, str]:
        """Ours, without settings of the tap, and with temporary files in our folder."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAP_FULLSTORY_")}
        return {**kept, "TMPDIR": str(self.folder)}

    def write(self, name: str, content: dict[str, Any]) -> Path:
        """A JSON file in our folder."""
        path = self.folder / name
        path.write_text(json.dumps(content), "utf-8")
        return path


@dataclass(kw_only=True)
class Pipeline(TapAndTarget):
    """The tap and meltanolabs-target-postgres, with a database schema of their own."""

    postgres: Postgres
    connection: "psycopg.Connection[Any]"
    schema: str

    def write_target_settings(self) -> Path:
        """The file of settings for target-postgres."""
        settings = {**self.postgres.target_settings(), "default_target_schema": self.schema, **self.target_settings}
        return self.write("target.json", settings)

    def rows(self) -> list[dict[str, Any]]:
        """All rows of the table `events`; column names as in the database."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(f'SELECT * FROM "{self.schema}".events').fetchall()

    def count(self) -> int:
        """How many rows are committed, 0 while there is no table."""
        table = f'"{self.schema}".events'
        there = self.connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
        if there is None or there[0] is None:
            return 0
        found = self.connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert found is not None
        return int(found[0])
