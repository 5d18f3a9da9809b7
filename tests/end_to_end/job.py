"""A folder for examples/cron/tap-fullstory.sh, an account to load from, and a target that is easily led."""

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT

SCRIPT = ROOT / "examples" / "cron" / "tap-fullstory.sh"
DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z

# Stands in for target-postgres: stores records in a file, each by one write, and prints states. Its settings say where,
# and how it behaves.
TARGET = """\
#!/usr/bin/env python3
import json, os, sys, time
settings = json.load(open(sys.argv[sys.argv.index("--config") + 1]))
path, behaviour = settings["path"], settings["behaviour"]
open(path + ".pid", "w").write(str(os.getpid()))
with open(path, "ab", buffering=0) as stored:
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "RECORD":
            stored.write(json.dumps(message["record"]).encode() + b"\\n")
        if message["type"] == "STATE":
            text = json.dumps(message["value"])
            if behaviour == "dies at the second state" and os.path.exists(path + ".one"):
                print(text[: len(text) // 2], end="", flush=True)
                os._exit(3)
            print(text, flush=True)
            open(path + ".one", "w").close()
            if behaviour == "is slow":
                time.sleep(0.02)
            if behaviour == "waits":
                while not os.path.exists(path + ".go"):
                    time.sleep(0.02)
            if behaviour == "says odd things":
                print("{}", "loaded 5 rows", "", '{"bookmarks": {', sep="\\n", flush=True)
open(path + ".end", "w").close()
"""
# Says who it is, and becomes the tap.
TAP_WITH_PID = '#!/bin/sh\necho $$ >"${0%/*}/tap.pid"\nexec tap-fullstory "$@"\n'


@dataclass
class Job:
    """A folder as the crontab names it."""

    folder: Path
    shop: Emulator

    def create(self) -> None:
        """Write settings and programs."""
        self.bin.mkdir(parents=True)
        for name, text in (("target-postgres", TARGET), ("tap", TAP_WITH_PID)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)
        self.write_config()
        self.write_target_config()

    def write_config(self, **settings: Any) -> None:
        """The tap's settings."""
        config = {
            "api_key": self.shop.api_key,
            "api_url": self.shop.url,
            "export_url": self.shop.url,
            "start_date": "2023-11-01T00:00:00Z",
            **settings,
        }
        (self.folder / "config.json").write_text(json.dumps(config))

    def write_target_config(self, behaviour: str = "") -> None:
        """The settings of the stand-in for the target."""
        (self.folder / "target.json").write_text(json.dumps({"path": str(self.stored), "behaviour": behaviour}))

    def command(self, behaviour: str = "") -> list[str]:
        """The script's own example, with a target that behaves like this."""
        self.write_target_config(behaviour)
        return [str(SCRIPT), str(self.folder), "target-postgres", "--config", str(self.folder / "target.json")]

    def run(self, command: list[str] | None = None, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the script as cron does: elsewhere, with hardly any environment."""
        return subprocess.run(
            command or self.command(),
            cwd="/",
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    def start(self, command: list[str], **environment: str) -> "subprocess.Popen[bytes]":
        """Start the script in a session of its own; the test has to see to its end."""
        return subprocess.Popen(
            command,
            cwd="/",
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def environment(self, **more: str) -> dict[str, str]:
        """What cron gives, and where tap and target are."""
        path = f"{self.bin}:{TAP.parent}:/usr/bin:/bin"
        return {"PATH": path, "HOME": "/nonexistent", "TMPDIR": str(self.folder), **more}

    @property
    def bin(self) -> Path:
        """Where the programs are that this job brings along."""
        return self.folder / "bin"

    @property
    def stored(self) -> Path:
        """The stand-in's file."""
        return self.folder / "stored"

    def records(self) -> list[dict[str, Any]]:
        """What the stand-in stored."""
        return [json.loads(line) for line in self.stored.read_text().splitlines()] if self.stored.exists() else []

    def pages(self) -> list[int]:
        """The number of each event that the stand-in stored."""
        return [record["PageId"] for record in self.records()]

    def expected_pages(self) -> list[int]:
        """The number of each event there is."""
        return [event["PageId"] for bundle in self.shop.bundles for event in bundle.read_events()]

    def state(self) -> dict[str, Any]:
        """The state file, which must be whole at any time."""
        text = (self.folder / "state.json").read_text()
        assert text.endswith("}\n")
        value: dict[str, Any] = json.loads(text)
        assert value["bookmarks"]["events"]
        return value

    def confirmed(self) -> int:
        """How many events the state says are stored; all bundles have the same number."""
        if not (self.folder / "state.json").exists():
            return 0
        bookmark = self.state()["bookmarks"]["events"]
        ends = {one.id: at for at, one in enumerate(self.shop.bundles, 1)}
        finished = max((ends[bundle_id] for bundle_id in bookmark["done"]), default=0)
        in_part = bookmark["partial"][1] if bookmark["partial"] else 0
        return finished * len([*self.shop.bundles[0].read_events()]) + in_part

    def pid(self, of: str) -> int:
        """The process of the tap (if `tap` was its command) or the target, once it has begun."""
        path = {"tap": self.bin / "tap.pid", "target": self.folder / "stored.pid"}[of]
        assert until(lambda: path.exists() and path.read_text().strip() != "")
        return int(path.read_text())

    def log(self) -> str:
        """The log file."""
        return (self.folder / "log").read_text()


def bundle(day: int, events: int = 5) -> Bundle:
    """Events of one day."""
    start = FIRST + day * DAY
    moments = [start + at * DAY // events for at in range(events)]
    return Bundle(start, start + DAY, [event(moment, start + at) for at, moment in enumerate(moments)])


def event(moment: int, number: int) -> dict[str, Any]:
    """One event at a moment."""
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    return {"EventStart": text, "EventType": "click", "PageId": number}


def until(condition: Callable[[], Any]) -> bool:
    """Whether *condition* came true within a minute."""
    pause = threading.Event()
    return any(condition() or pause.wait(0.05) for _ in range(1200))


def session(leader: int) -> list[int]:
    """All processes of the session that *leader* has begun."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:  # it has just ended
                continue
            state, _, _, its_session, *_ = text.rpartition(")")[2].split()
            if state != "Z" and int(its_session) == leader:
                found.append(int(entry))
    return found
