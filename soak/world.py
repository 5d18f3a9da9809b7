"""One world: the tap and target-postgres between an emulator and an empty schema, killed again and again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psycopg
from psycopg.rows import dict_row

from demo.postgres import Postgres
from demo.processes import dying_with_us, stop
from fullstory_emulator import Emulator
from soak.events import NUMBER, Content, Verdict, compare, written_in_part

ROOT = Path(__file__).resolve().parent.parent
TAP = Path(sysconfig.get_path("scripts")) / "tap-fullstory"
TARGETS = ROOT / ".envs" / "target-postgres" / "bin"
TIMEOUT = 120.0  # seconds until a run that nobody kills must have ended
LOOK = 0.005  # seconds between two looks at how far the tap is
START_UP = 1.5  # seconds; some kills come that early, whatever has been written
MOST_BYTES = 6_000_000  # written by the tap before a kill; the first million fits into the pipe
LAST_MOMENTS = 0.4  # seconds, at most, between these bytes and the kill: also while the target works on its last batch
CONFIRM = (None, 1.0, 0.3)  # seconds between two states of the target; None: as it comes, every five minutes
SPOOL_LOST = 8  # in one of so many restarts the spool folder is empty
REMADE = 4  # in one of so many, if asked for, Fullstory makes the exports anew, too
BATCH = 200  # rows that the target stores at once
CHECKPOINT = 150  # events between two states of the tap: some within a batch, some behind it
CLOSED = 141  # exit status of the tap when the target is gone


class SoakError(Exception):
    """A process that nobody killed did not end as it should; the text holds what it said."""


class Stopped(Exception):
    """Somebody wants no more of it."""


@dataclass(frozen=True)
class Plan:
    """How a run is disturbed.

    Attributes:
        victims: who is killed, in this order: `tap`, `target`.
        after_bytes: once the tap has written so many.
        pause: seconds after that.
        confirm: seconds between two states of the target.
    """

    victims: tuple[str, ...]
    after_bytes: int
    pause: float
    confirm: float | None


def make_plan(rng: Random) -> Plan:
    """A kill at a random moment: of the tap, the target, or both; mostly while records flow."""
    victims = rng.choice([("tap",), ("tap",), ("target",), ("target",), ("tap", "target"), ("target", "tap")])
    confirm = rng.choice(CONFIRM)
    if rng.random() < 0.1:
        return Plan(victims, 0, rng.uniform(0, START_UP), confirm)
    return Plan(victims, rng.randrange(MOST_BYTES), rng.uniform(0, LAST_MOMENTS), confirm)


@dataclass
class Tally:
    """What happened so far.

    Attributes:
        kills: of running processes, by who was killed.
        runs: of tap and target.
        worlds: that were loaded to their end.
        events: that these had to load.
        halves: runs that went on within a bundle.
        spools_lost, remade: restarts with an empty spool folder, and with downloads that have other bytes.
        allowed: repetitions that no tap can prevent.
        lost, repeated, changed: see `Verdict`.
    """

    kills: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    worlds: int = 0
    events: int = 0
    halves: int = 0
    spools_lost: int = 0
    remade: int = 0
    allowed: int = 0
    lost: int = 0
    repeated: int = 0
    changed: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every event is there as it should be, and no more often than cannot be helped."""
        return self.lost == 0 and self.changed == 0 and self.repeated <= self.allowed

    def add(self, verdict: Verdict, events: int) -> None:
        """Count a world."""
        self.worlds += 1
        self.events += events
        self.lost += verdict.lost
        self.repeated += verdict.repeated
        self.changed += verdict.changed


class World:
    """An empty schema, a spool folder, no state: everything is still to be loaded."""

    def __init__(self, folder: Path, postgres: Postgres, content: Content, *, event_key: bool, stop: threading.Event):
        self._folder = folder
        self._content = content
        self._event_key = event_key
        self._state: dict[str, Any] | None = None
        self._emulator = Emulator(bundles=content.bundles)
        self._postgres = postgres
        self._stop = stop
        self._spool = folder / "spool"
        self._spool.mkdir(parents=True)
        self._schema = f"soak_{folder.name.replace('-', '_')}"

    def load(self, rng: Random, tally: Tally, kills: int, *, remake: bool) -> None:
        """Kill runs until everything is loaded or *kills* have been counted; then let one run finish, and compare."""
        with self._emulator, self._postgres.connect() as connection:
            numbers: Counter[int] = Counter()
            while tally.kills.total() < kills:
                plan = make_plan(rng)
                tally.halves += written_in_part(self._state) > 0
                hit = self._run(plan)
                tally.runs += 1
                before, numbers = numbers, self._numbers(connection)
                if not hit:
                    break
                tally.kills[" and ".join(sorted(hit))] += 1
                if not self._event_key:  # stored, but not said so: the next run can only read these once more
                    covered = self._content.covered(self._state)
                    tally.allowed += sum(count for number, count in (numbers - before).items() if number >= covered)
                self._restart(rng, tally, remake=remake)
            tally.halves += written_in_part(self._state) > 0
            self._run(None)
            tally.runs += 1
            tally.add(compare(self._content, self._rows(connection)), len(self._content.rows))

    def _run(self, plan: Plan | None) -> list[str]:
        """Run tap and target; return who was killed."""
        for name in ("tap.log", "target.log", "states"):
            (self._folder / name).write_bytes(b"")
        with (
            open(self._folder / "tap.log", "ab") as tap_log,
            open(self._folder / "target.log", "ab") as target_log,
            open(self._folder / "states", "ab") as states,
        ):
            tap = self._start([str(TAP), *self._tap_arguments()], stdout=subprocess.PIPE, stderr=tap_log)
            target = self._start(self._target_command(plan), stdin=tap.stdout, stdout=states, stderr=target_log)
        assert tap.stdout is not None
        tap.stdout.close()  # the target's now: the tap has to notice when it goes away
        processes = {"tap": tap, "target": target}
        try:
            hit = self._kill(plan, processes) if plan else []
            for process in processes.values():  # as a shell waits for a pipe
                self._wait(process)
        finally:
            stop(tap, signal.SIGKILL)
            stop(target, signal.SIGKILL)
        self._check(hit, tap.returncode, target.returncode)
        self._keep_state()
        return hit

    def _kill(self, plan: Plan, processes: dict[str, subprocess.Popen[bytes]]) -> list[str]:
        tap = processes["tap"]
        while tap.poll() is None and bytes_written(tap.pid) < plan.after_bytes and not self._stop.wait(LOOK):
            pass
        self._stop.wait(plan.pause)
        hit = [name for name in plan.victims if processes[name].poll() is None]
        for name in hit:
            processes[name].kill()
        return hit

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while process.poll() is None:
            if self._stop.wait(LOOK):
                raise Stopped
            if time.monotonic() > deadline:
                raise SoakError(f"A run has not ended after {TIMEOUT:.0f} s.\n{self._logs()}")

    def _check(self, hit: list[str], tap: int, target: int) -> None:
        """What nobody killed must end as documented."""
        good = "tap" in hit or tap == 0 or (tap == CLOSED and target != 0)
        if not good or (not hit and target != 0) or "Traceback" in (self._folder / "tap.log").read_text("utf-8"):
            raise SoakError(
                f"Killed: {hit or 'nobody'}, but the tap ended with {tap}, the target with {target}.\n{self._logs()}"
            )

    def _keep_state(self) -> None:
        """Keep the last whole state that the target printed, as examples/cron does."""
        lines = (self._folder / "states").read_bytes().split(b"\n")[:-1]
        states = [line for line in lines if line.startswith(b"{") and b'"bookmarks"' in line and line.endswith(b"}")]
        if states:
            self._state = json.loads(states[-1])

    def _restart(self, rng: Random, tally: Tally, *, remake: bool) -> None:
        """What may happen between two runs."""
        remade = remake and rng.randrange(REMADE) == 0
        if remade:
            version = tally.remade = tally.remade + 1
            self._emulator.remake = lambda bundle, _nth: self._content.remade(bundle, version)
            if not self._event_key:
                tally.allowed += written_in_part(self._state)  # the bundle is read again from its beginning
        if remade or rng.randrange(SPOOL_LOST) == 0:
            tally.spools_lost += 1
            for path in self._spool.iterdir():
                path.unlink()

    def _start(self, command: list[str], **files: Any) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAP_FULLSTORY_")}
        files.setdefault("stdin", subprocess.DEVNULL)
        environment = {**kept, "TMPDIR": str(self._folder)}
        return subprocess.Popen([*dying_with_us(signal.SIGKILL), *command], env=environment, **files)

    def _tap_arguments(self) -> list[str]:
        settings = {
            "api_key": self._emulator.api_key,
            "api_url": self._emulator.url,
            "export_url": self._emulator.url,
            "start_date": "2020-01-01T00:00:00Z",
            "checkpoint_records": CHECKPOINT,
            "event_key": self._event_key,
            "spool_dir": str(self._spool),
        }
        state = [] if self._state is None else ["--state", self._write("state.json", self._state)]
        return ["--config", self._write("config.json", settings), *state]

    def _target_command(self, plan: Plan | None) -> list[str]:
        settings = {
            **self._postgres.target_settings(),
            "default_target_schema": self._schema,
            "batch_size_rows": BATCH,
            "use_copy": True,
        }
        program = [str(TARGETS / "target-postgres")]
        if plan and plan.confirm is not None:
            program = [str(TARGETS / "python"), str(ROOT / "soak" / "target.py"), str(plan.confirm)]
        return [*program, "--config", self._write("target.json", settings)]

    def _write(self, name: str, content: dict[str, Any]) -> str:
        path = self._folder / name
        path.write_text(json.dumps(content), "utf-8")
        return str(path)

    def _numbers(self, connection: psycopg.Connection[Any]) -> Counter[int]:
        """How many rows there are of each event, once what a killed target had begun is over."""
        while connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        ).fetchone():
            if self._stop.wait(LOOK):
                raise Stopped
        return Counter(row[NUMBER] for row in self._rows(connection, f'"{NUMBER}"'))

    def _rows(self, connection: psycopg.Connection[Any], columns: str = "*") -> list[dict[str, Any]]:
        table = f'"{self._schema}".events'
        (there,) = connection.execute("SELECT to_regclass(%s)", [table]).fetchone() or (None,)
        if there is None:
            return []
        with connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(f"SELECT {columns} FROM {table}").fetchall()  # noqa: S608  # our own names

    def _logs(self) -> str:
        return "\n".join(
            f"--- {name}, the last lines\n" + (self._folder / name).read_text("utf-8", "replace")[-3000:]
            for name in ("tap.log", "target.log")
        )


def bytes_written(pid: int) -> int:
    """How many bytes a process has written so far, to its pipe above all."""
    try:
        text = Path(f"/proc/{pid}/io").read_text("ascii")
    except (OSError, ValueError):  # it has just ended
        return 0
    return int(text.partition("wchar: ")[2].split()[0]) if "wchar" in text else 0
