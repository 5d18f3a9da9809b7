"""A Meltano project with the tap, and real commands of Meltano in it."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
from psycopg.rows import dict_row

from demo.postgres import Postgres
from demo.processes import stop
from fullstory_emulator import Emulator
from tests.end_to_end.pipeline import ROOT, TAP, TARGET, TIMEOUT

MELTANO = ROOT / ".envs" / "meltano" / "bin" / "meltano"
KEY = "made-up-key-of-meltano-tests"  # to be found nowhere but in .env
PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
STATE_ID = "dev:tap-fullstory-to-target-postgres"

# In place of what Meltano would install: the environments that the Makefile has made.
INSTALLED = "    pip_url: -e .\n    executable: tap-fullstory\n"
LOADER = f"""\
  loaders:
  - name: target-postgres
    namespace: target_postgres
    executable: {TARGET}
    settings:
    - {{name: host}}
    - {{name: port, kind: integer}}
    - {{name: user}}
    - {{name: password, sensitive: true}}
    - {{name: database}}
    - {{name: default_target_schema}}
    - {{name: batch_size_rows, kind: integer}}
"""
# A project that knows nothing of the tap yet.
EMPTY = f"""\
default_environment: dev
environments:
- name: dev
project_id: warehouse
send_anonymous_usage_stats: false
plugins:
{LOADER}"""


class Outside:
    """Stands where the rest of the world would be: a proxy that answers nothing and remembers who was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Outside":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)  # close alone would leave `accept` waiting
        self._socket.close()
        self._thread.join(TIMEOUT)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    self.asked.append(connection.recv(4096).split(b"\r\n")[0].decode("latin-1"))
                except OSError:
                    self.asked.append("a connection without a request")


@dataclass
class Done:
    """What a command of Meltano left behind."""

    status: int
    stdout: str
    stderr: str

    def lines(self, level: str, name: str) -> list[str]:
        """What was logged at a level under a name, as `--log-format json` has it."""
        return [one["event"] for one in self.entries(name) if level == one["level"]]

    def entries(self, name: str) -> list[dict[str, Any]]:
        """All that was logged under a name."""
        return [one for one in map(json.loads, self.stderr.splitlines()) if name == one.get("name", "meltano")]


@dataclass
class Project:
    """A folder with a `meltano.yml` and a `.env`, between an emulator and a database."""

    folder: Path
    emulator: Emulator
    postgres: Postgres
    connection: "psycopg.Connection[Any]"
    schema: str
    outside: Outside

    def create(self, text: str) -> None:
        """Write the files that somebody has after reading the README; *text* is that of meltano.yml."""
        assert MELTANO.exists(), "Meltano has an environment of its own: run these tests with `make test-meltano`."
        self.folder.mkdir(exist_ok=True)
        self.emulator.api_key = KEY
        (self.folder / "meltano.yml").write_text(text, "utf-8")
        self.write_env()

    def write_env(self, **variables: str) -> None:
        """Write .env, with more variables or others."""
        target = {**self.postgres.target_settings(), "default_target_schema": self.schema}
        lines = {
            "TAP_FULLSTORY_API_KEY": KEY,
            "TAP_FULLSTORY_API_URL": self.emulator.url,
            "TAP_FULLSTORY_EXPORT_URL": self.emulator.url,
            "TAP_FULLSTORY_START_DATE": "2020-01-01",
            **{f"TARGET_POSTGRES_{name.upper()}": str(value) for name, value in target.items()},
            **variables,
        }
        (self.folder / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()), "utf-8")

    def __call__(self, *arguments: str, status: int = 0, environment: Mapping[str, str] | None = None) -> Done:
        """One command, which has to end with *status*."""
        run = subprocess.run(
            [str(MELTANO), *arguments],
            cwd=self.folder,
            env={**self.environment(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        assert status == run.returncode, run.stdout + run.stderr
        return Done(run.returncode, run.stdout, run.stderr)

    def run(self, *options: str, status: int = 0, environment: Mapping[str, str] | None = None) -> Done:
        """`meltano run tap-fullstory target-postgres`."""
        arguments = ("run", *options, "tap-fullstory", "target-postgres")
        return self("--log-format", "json", *arguments, status=status, environment=environment)

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command that goes on while the test does something; what it prints is in the file `log`."""
        with open(self.folder / "log", "wb") as log:
            return subprocess.Popen(
                [str(MELTANO), *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # so that all it has started can be ended with it
            )

    def state(self, state_id: str = STATE_ID) -> dict[str, Any]:
        """What `meltano state get` prints, without the wrapper that Meltano puts around it."""
        printed = json.loads(self("state", "get", state_id).stdout or "{}")
        state: dict[str, Any] = printed.get("singer_state", {})
        return state

    def bookmark(self, state_id: str = STATE_ID) -> dict[str, Any]:
        """The bookmark of `events` in it."""
        value: dict[str, Any] = self.state(state_id)["bookmarks"]["events"]
        return value

    def rows(self, table: str = "events") -> list[dict[str, Any]]:
        """All rows of a table, none while it is not there."""
        there = self.connection.execute("SELECT to_regclass(%s)", [f'"{self.schema}".{table}']).fetchone()
        if there is None or there[0] is None:
            return []
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(f'SELECT * FROM "{self.schema}".{table}').fetchall()

    def wait_for_rows(self, process: "subprocess.Popen[bytes]", least: int) -> None:
        """Until so many are in the table, while *process* runs."""
        pause = threading.Event()
        for _ in range(1200):
            if len(self.rows()) >= least:
                return
            assert process.poll() is None, (self.folder / "log").read_text("utf-8", "replace")
            pause.wait(0.05)
        raise AssertionError((self.folder / "log").read_text("utf-8", "replace"))

    def change(self, old: str, new: str) -> None:
        """Edit meltano.yml."""
        path = self.folder / "meltano.yml"
        text = path.read_text("utf-8")
        assert 1 == text.count(old), old
        path.write_text(text.replace(old, new), "utf-8")

    def environment(self) -> dict[str, str]:
        """Ours without settings of the tap or of Meltano; everything but this machine is reached through `outside`."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not re.match("TAP_FULLSTORY_|TARGET_|MELTANO_|.*_proxy$|CI$|LOGLEVEL$", name, re.IGNORECASE)
        }
        return {
            **kept,
            **dict.fromkeys(PROXIES, self.outside.url),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            "PYTHONUTF8": "1",
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "MELTANO_CLI_DISABLE_VERSION_CHECK": "1",
        }


def online() -> dict[str, str]:
    """The variables of a command that has to install something: a way to a package index, and its cache."""
    return {name: os.environ.get(name, "") for name in (*PROXIES, "HOME")}


def definition() -> str:
    """The repository's meltano.yml, with target-postgres as the loader; both are installed already."""
    text = (ROOT / "meltano.yml").read_text("utf-8")
    assert 1 == text.count(INSTALLED)
    return text.replace(INSTALLED, f"    executable: {TAP}\n").partition("  loaders:\n")[0] + LOADER


def end(process: "subprocess.Popen[bytes]", number: signal.Signals = signal.SIGKILL) -> int:
    """Send a signal to a command of Meltano alone, as whoever started it does, and wait; return its status."""
    try:
        process.send_signal(number)
        return process.wait(TIMEOUT)
    finally:
        stop(process, signal.SIGKILL, group=True)
