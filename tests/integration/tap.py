"""The real command as a user runs it: files in, messages and log lines out."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from fullstory_emulator import Bundle, Course, Emulator

TIMEOUT = 60.0  # seconds; no run here takes more than a few
DAY = 86400
HOUR = 3600
FIRST = 1700006400  # 2023-11-15T00:00:00Z, when the first bundle begins
LIST, GET = "/api/v1/export/list", "/api/v1/export/get"
EXPORTS, OPERATIONS, RESULTS = "/segments/v1/exports", "/operations/v1", "/search/v1/exports"
LINKS = "/fullstoryapp-search-export/"  # signed, on another host as far as the tap knows
SOURCES = ("data_export", "segment_export")

Json = dict[str, Any]


def rfc(moment: float, fraction: str = "") -> str:
    """Unix seconds as `2023-11-15T00:00:00Z`; *fraction* is put behind the seconds, with its dot."""
    return (datetime(1970, 1, 1) + timedelta(seconds=int(moment))).strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def event(number: int, moment: float = FIRST + HOUR, **members: Any) -> Json:
    """An event that can be told from others by its number."""
    return {"EventStart": rfc(moment), "EventType": "click", "UserId": number, **members}


def bundle(day: int = 0, count: int = 3, *, first: int | None = None, hours: int = 24, **options: Any) -> Bundle:
    """A bundle of *count* events, numbered on from *first*, a minute apart; *day* counts bundles of *hours*."""
    start = FIRST + day * hours * HOUR
    number = 100 * day if first is None else first
    events = [event(number + i, start + 60 * i) for i in range(count)]
    return Bundle(start, start + hours * HOUR, events, **options)


def big_bundle(count: int, day: int = 0, first: int = 0) -> Bundle:
    """A bundle of so many events that a pipe cannot hold their records."""
    start = FIRST + day * DAY
    moment = rfc(start + HOUR)
    text = "x" * 300
    events = [
        b'{"EventStart":"%b","EventType":"click","UserId":%d,"EventTargetText":"%b"}'
        % (moment.encode(), first + i, text.encode())
        for i in range(count)
    ]
    return Bundle(start, start + DAY, events)


def bookmark(since: float, until: float, done: Iterable[int] = (), partial: Iterable[Any] = ()) -> Json:
    """A state with this bookmark of `events`."""
    value = {
        "since": rfc(since),
        "until": rfc(until),
        "done": [*done],
        "partial": [*partial],
        "gaps": [],
        "exports": [],
    }
    return {"bookmarks": {"events": value}}


def without_duplicates(pairs: list[tuple[str, Any]]) -> Json:
    """An object of a JSON text, which may name each member once."""
    assert len(pairs) == len({name for name, _ in pairs}), [name for name, _ in pairs]
    return dict(pairs)


def no_constant(text: str) -> Any:
    """Refuse NaN and Infinity, which Python reads and others do not."""
    raise AssertionError(f"{text} is not JSON")


def parse(text: "str | bytes") -> Any:
    """One JSON document, read strictly."""
    return json.loads(text, object_pairs_hook=without_duplicates, parse_constant=no_constant)


@dataclass
class Run:
    """What a run left behind."""

    status: int
    stdout: bytes
    stderr: str
    messages: list[Json]

    @property
    def stderr_lines(self) -> list[str]:
        """What people read."""
        return self.stderr.splitlines()

    @property
    def said(self) -> list[str]:
        """The log lines without metrics."""
        return [line for line in self.stderr_lines if "METRIC" not in line]

    @property
    def last_line(self) -> str:
        """The last log line: the summary, or what went wrong."""
        return self.stderr_lines[-1]

    @property
    def states(self) -> list[Json]:
        """The values of all STATE messages."""
        return [message["value"] for message in self.messages if message["type"] == "STATE"]

    @property
    def bookmark(self) -> Json:
        """The last bookmark of `events`."""
        return self.states[-1]["bookmarks"]["events"]

    def records(self, stream: str = "events") -> list[Json]:
        """The records of a stream."""
        return [m["record"] for m in self.messages if m["type"] == "RECORD" and m["stream"] == stream]

    def numbers(self) -> list[int]:
        """The `UserId` of each record: what `event` calls the number."""
        return [record.get("UserId", 0) for record in self.records()]  # Segment Export leaves zeros out

    def schema(self, stream: str = "events") -> Json:
        """The only SCHEMA message of a stream."""
        (schema,) = [m for m in self.messages if m["type"] == "SCHEMA" and m["stream"] == stream]
        return schema

    def custom(self, index: int = 0) -> Any:
        """What `CustomVars` of a record holds, read strictly; None: it is absent."""
        text = self.records()[index].get("CustomVars")
        return None if text is None else parse(text)

    def after(self, position: int) -> list[Json]:
        """The records that followed the STATE at this position among the messages."""
        return [m["record"] for m in self.messages[position + 1 :] if m["type"] == "RECORD"]

    def state_positions(self) -> list[int]:
        """Where the STATE messages stand among the messages."""
        return [i for i, message in enumerate(self.messages) if message["type"] == "STATE"]

    def metrics(self) -> list[Json]:
        """What the METRIC lines hold."""
        return [json.loads(line.split("METRIC: ", 1)[1]) for line in self.stderr_lines if "METRIC: " in line]


class Tap:
    """The tap with a folder of its own, in front of an emulator.

    With Segment Export, a window is as long as a bundle usually is; the emulator's clock stands where the last bundle
    has become available: else there would be windows without events up to today. Exports are made at once.

    Attributes:
        clock: what the emulator's clock is set to before each run, if not that; Unix seconds.
    """

    def __init__(self, folder: Path, emulator: Emulator, source: str = "data_export") -> None:
        self.folder = folder
        self.emulator = emulator
        self.source = source
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.clock: float | None = None
        self._files = 0
        if source == "segment_export":
            emulator.course = Course(polls=0)

    def settings(self, changes: "Mapping[str, Any] | None" = None) -> Json:
        """The usual settings with *changes*; None takes one out."""
        settings = {
            "api_key": self.emulator.api_key,
            "api_url": self.emulator.url,
            "export_url": self.emulator.url,
            "start_date": "2023-11-01T00:00:00Z",
            "spool_dir": str(self.spool),
            "retry_timeout": 1,
            "request_timeout": 10,
            **self.of_source(),
            **(changes or {}),
        }
        return {name: value for name, value in settings.items() if value is not None}

    def of_source(self) -> Json:
        """The settings that the source of events needs; sets the emulator's clock."""
        if self.source == "data_export":
            return {}
        newest = max((one.stop for one in self.emulator.bundles), default=FIRST)
        self.emulator.now = newest + DAY if self.clock is None else self.clock
        # all exports of a test are made at the same time: the first look at each is a second after it was asked for
        return {"events_source": self.source, "export_window_hours": 24, "start_date": rfc(FIRST), "prefetch": 9}

    def file(self, name: str, content: Any) -> str:
        """A file with *content* as it is (bytes) or as JSON; its path."""
        self._files += 1
        path = self.folder / f"{self._files}-{name}"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    def command(
        self,
        *arguments: str,
        settings: "Mapping[str, Any] | bytes | None" = None,
        state: Any = None,
        catalog: Any = None,
    ) -> list[str]:
        """The command line of a sync; files get a name of their own for each run."""
        config = settings if isinstance(settings, bytes) else self.settings(settings)
        command = [sys.executable, "-m", "tap_fullstory", "--config", self.file("config.json", config)]
        if state is not None:
            command += ["--state", self.file("state.json", state)]
        if catalog is not None:
            command += ["--catalog", self.file("catalog.json", catalog)]
        return [*command, *arguments]

    def environment(self, changes: "Mapping[str, str] | None" = None) -> dict[str, str]:
        """Ours without settings of the tap and log level."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("TAP_FULLSTORY_") and k != "LOGLEVEL"}
        return {**kept, "HOME": str(self.folder), **(changes or {})}

    def __call__(self, *arguments: str, env: "Mapping[str, str] | None" = None, **options: Any) -> Run:
        """A sync until its end."""
        return self.plain(self.command(*arguments, **options)[3:], env=env)

    def plain(self, arguments: Iterable[str], env: "Mapping[str, str] | None" = None) -> Run:
        """The command with exactly these arguments until its end; stdout has to hold messages."""
        done = self.bare(arguments, env)
        return finished(done.returncode, done.stdout, done.stderr)

    def bare(
        self, arguments: Iterable[str], env: "Mapping[str, str] | None" = None
    ) -> "subprocess.CompletedProcess[bytes]":
        """The command with exactly these arguments, whatever it prints."""
        return subprocess.run(
            [sys.executable, "-m", "tap_fullstory", *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT,
            env=self.environment(env),
            cwd=self.folder,
        )

    def start(
        self,
        *arguments: str,
        stdout: Any = subprocess.PIPE,
        env: "Mapping[str, str] | None" = None,
        before: Iterable[str] = (),
        **options: Any,
    ) -> "subprocess.Popen[bytes]":
        """A sync that goes on while the test does something; what it logs is in `log_of`."""
        return subprocess.Popen(
            [*before, *self.command(*arguments, **options)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            env=self.environment(env),
            cwd=self.folder,
        )

    def all(self, runs: Iterable[Mapping[str, Any]], at_once: int = 4) -> list[Run]:
        """Several syncs, some of them at the same time; each mapping holds the arguments of one."""
        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(lambda options: self(**options), runs))

    def waiting(self) -> list[str]:
        """The files in the spool folder."""
        return sorted(path.name for path in self.spool.iterdir())


def read_lines(process: "subprocess.Popen[bytes]", count: int) -> bytes:
    """So many lines of a run and a piece of what follows; the run goes on until the pipe is full."""
    assert process.stdout is not None
    text = b""
    while text.count(b"\n") < count:
        # past the buffer of `stdout`, which `communicate` does not look into
        piece = os.read(process.stdout.fileno(), 65536)
        assert piece, "the run ended too early"
        text += piece
    return text


def finished(status: int, stdout: bytes, stderr: bytes, *, whole: bool = True) -> Run:
    """A run from what it printed; *whole*: the last line has to be finished, as always but after SIGKILL."""
    lines = stdout.split(b"\n")
    last = lines.pop()
    if whole:
        assert b"" == last, "the last line is not finished"
    messages = [parse(line) for line in lines]
    run = Run(status, stdout, stderr.decode(), messages)
    assert "Traceback" not in run.stderr, run.stderr
    check(messages)
    return run


def check(messages: list[Json]) -> None:
    """What holds for every sync: kinds of messages, SCHEMA first, records have only members of the schema."""
    schemas: dict[str, Json] = {}
    for message in messages:
        assert message["type"] in {"SCHEMA", "RECORD", "BATCH", "STATE"}
        if message["type"] == "SCHEMA":
            schemas[message["stream"]] = message["schema"]["properties"]
        elif message["type"] == "RECORD":
            assert set(message["record"]) <= set(schemas[message["stream"]])
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", message["time_extracted"])
        elif message["type"] == "BATCH":
            assert message["stream"] in schemas
        else:
            assert {"type", "value"} == set(message)
            value = message["value"]["bookmarks"].get("events")
            if value is not None:
                assert {"since", "until", "done", "partial", "gaps", "exports"} == set(value) - {
                    "beyond",
                    "contents",
                    "exports_of",
                }


def utc_now() -> datetime:
    """Now, with a zone."""
    return datetime.now(timezone.utc)
