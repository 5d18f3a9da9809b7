"""`make demo`: two runs of the tap into PostgreSQL, a day apart, and what can be asked of the result.

`make demo SOURCE=segment_export` does the same with the other source of events.

Fullstory is `fullstory_emulator` with an invented account; all else is real, and every command is shown as it is run.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NoReturn

import psycopg

from demo import pages
from demo.postgres import Postgres
from demo.processes import dying_with_us, stop
from demo.tables import shown, table

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
UNBROKEN: dict[str, Any] = {"break_on_hyphens": False, "break_long_words": False}  # addresses, times
# by the name of each source: the settings that it needs
SOURCES: dict[str, dict[str, Any]] = {
    "data_export": {},
    # of whole days, as bundles are: shorter windows reach further in the afternoon
    "segment_export": {"events_source": "segment_export", "export_window_hours": 24},
}
DAYS = 3
EVENTS_PER_DAY = 3000
START_TIMEOUT = 30.0  # seconds

# The state file is replaced in one step, by something, and only if all went well: nothing can empty it.
RUN = """\
set -o pipefail
tap-fullstory --config config.json --state state.json \\
  | target-postgres --config target.json 2>> target.log > states \\
  && tail -n 1 states | grep bookmarks > state.new && mv state.new state.json"""

# Runs its argument; on SIGTERM ends all of it at once, where a shell would wait for the command in front.
GUARDED = 'trap "trap - TERM; kill -TERM 0" TERM; eval "$1" & wait $!'

# a session worth looking at: somebody buys, in the shop that is one page, in as many lines as a screen has
INTERESTING_SESSION = """\
SELECT "SessionId"
  FROM fullstory.events
 GROUP BY "SessionId"
HAVING count(*) BETWEEN 18 AND 32 AND bool_or("EventCustomName" = 'Order Completed')
   AND bool_and("PageUrl" LIKE '%#/%')
 ORDER BY count(DISTINCT "EventType") DESC, count(*), "SessionId"
 LIMIT 1"""
EVENTS_BY_TYPE = """\
SELECT "EventType", count(*), count(DISTINCT "SessionId") AS sessions
  FROM fullstory.events
 GROUP BY "EventType"
 ORDER BY count(*) DESC"""
TIMELINE = """\
SELECT "EventStart", "EventType", "EventCustomName", "EventTargetText",
       "PageUrl", "CustomVars"
  FROM fullstory.events
 WHERE "SessionId" = {session}
 ORDER BY "EventStart\""""

WHAT_NEXT = """\
Install    python3 -m venv tap && tap/bin/pip install .   and a target, each in an environment
           of its own.
Key        In Fullstory: Settings > Integrations > API Keys. Its role: Architect or Admin.
Settings   config.json: {"api_key": "...", "start_date": "SINCE"}
           The two URLs are for the emulator only.
Run        The commands above, beginning with   echo '{}' > state.json
           Never write the state with   | target ... > state.json   : the shell would empty the
           file before the tap can read it.
From cron  examples/cron/tap-fullstory.sh does the same with a lock and a log, and keeps what a
           failed run has confirmed.
Rows       are only added, one for each event. If your target shall replace what it gets again,
           set "event_key": true before the first run: each event then has a key, event_id.
More       README.md has all settings; .envs/demo/bin/python -m fullstory_emulator --help"""


class DemoError(Exception):
    """What went wrong, for the person in front of the screen."""


@dataclass
class Outcome:
    """One run of tap and target."""

    seconds: float
    rows: int  # in the table now


def main() -> int:
    """Run the demo; the exit status is 0 if all was as it should be."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="From a stand-in Fullstory into PostgreSQL.")
    parser.add_argument("--source", choices=SOURCES, default="data_export", help="where events come from")
    source = parser.parse_args().source
    # a terminal that cannot show a character gets a question mark, not a traceback from us
    sys.stdout.reconfigure(errors="replace", line_buffering=True)  # type: ignore[union-attr]
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with ExitStack() as stack:
            run(stack, SOURCES[source])
    except BrokenPipeError:  # nobody reads on: `make demo | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        return 141
    except (DemoError, OSError, RuntimeError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


def run(stack: ExitStack, more: dict[str, Any]) -> None:
    """The story, with *more* settings of the tap; *stack* ends what it starts."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tap-fullstory-demo-")))
    began = time.monotonic()
    say("tap-fullstory: from Fullstory to PostgreSQL in one command, then only what is new")

    chapter("1. A Fullstory to read from: the emulator, with an invented web shop")
    account = {**start_emulator(folder, stack), **more, "report_dir": pages.REPORTS}

    chapter("2. A database to write to")
    postgres = stack.enter_context(Postgres())
    connection = stack.enter_context(postgres.connect())
    version = value(connection, "SHOW server_version")
    say(f"PostgreSQL {version} on {postgres.host}, port {postgres.port}; empty, and gone after the demo.")

    chapter("3. The first run: everything since start_date")
    write(folder / "config.json", account)
    write(folder / "target.json", {**postgres.target_settings(), "use_copy": True}, secrets=["password"])
    shell("echo '{}' > state.json", folder)
    first = run_tap(folder, connection)
    expect(first.rows, count_events(account["api_url"]))
    shell("cat state.json", folder)
    say(f"{first.rows:,} events in {first.seconds:.1f} s: as many as Fullstory has.")

    chapter("4. A day later: the same two commands find only what is new")
    say(f"The clock of the emulator is put forward by a day (POST {account['api_url']}/_emulator/clock).")
    control(account["api_url"], "clock", {"advance": 86400})
    second = run_tap(folder, connection)
    expect(second.rows, count_events(account["api_url"]))
    say(f"{second.rows - first.rows:,} new events in {second.seconds:.1f} s; {second.rows:,} in all, none twice.")

    chapter("5. What was done in the shop?")
    query(connection, EVENTS_BY_TYPE)

    chapter("6. What did one visitor do?")
    query_timeline(connection)

    chapter("7. Look at it")
    shell(pages.timeline(postgres), folder, pages.environment(postgres))
    shell(pages.report(), folder)
    say("Two pages, to be opened in a browser:")
    for name in (pages.TIMELINE, pages.REPORT):
        say(pages.keep(folder / name))

    chapter("8. The same with your own Fullstory account")
    since = f"{datetime.now(timezone.utc) - timedelta(days=30):%Y-%m-%d}"
    say(WHAT_NEXT.replace("SINCE", since))
    print(f"\nDone in {time.monotonic() - began:.0f} s. Nothing keeps running; all other files are removed.")


def start_emulator(folder: Path, stack: ExitStack) -> dict[str, Any]:
    """Start the emulator and return the settings it suggests to the tap."""
    options = f"--port 0 --days {DAYS} --events-per-bundle {EVENTS_PER_DAY}"
    show(f"python -m fullstory_emulator {options}")
    with open(folder / "emulator.log", "wb") as log:
        emulator = subprocess.Popen(
            [*dying_with_us(signal.SIGTERM), sys.executable, "-m", "fullstory_emulator", *options.split()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches us first, we end it last
        )
    stack.callback(stop, emulator, signal.SIGTERM)
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline and emulator.poll() is None:
        printed = (folder / "emulator.log").read_text("utf-8")
        for line in printed.splitlines():
            name, _, settings = line.strip().partition(" ")
            if name == "tap" and printed.endswith("\n"):
                say("\n".join(printed.splitlines()[:3]))  # address, key, content
                parsed: dict[str, Any] = json.loads(settings)
                return parsed
        time.sleep(0.05)
    raise DemoError(f"the emulator does not start:\n{(folder / 'emulator.log').read_text('utf-8')}")


def run_tap(folder: Path, connection: "psycopg.Connection[Any]") -> Outcome:
    """Run tap and target as a user would, and keep the state."""
    began = time.monotonic()
    shell(RUN, folder)
    seconds = time.monotonic() - began
    return Outcome(seconds, value(connection, "SELECT count(*) FROM fullstory.events"))


def shell(command: str, folder: Path, more: Mapping[str, str] | None = None) -> None:
    """Show *command*, run it in *folder* with *more* in its environment, and show what it prints."""
    show(command)
    # the tap of this environment, the target of its own and the example are found as if installed for everybody
    target = ROOT / ".envs" / "target-postgres" / "bin"
    programs = [sysconfig.get_path("scripts"), str(target), str(pages.PROGRAMS)]
    path = os.pathsep.join([*programs, os.environ.get("PATH", os.defpath)])
    process = subprocess.Popen(
        [*dying_with_us(signal.SIGTERM), "bash", "-c", GUARDED, "bash", command],
        cwd=folder,
        env={**os.environ, **(more or {}), "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a group of its own, to stop tap and target with the shell
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\n")
            if "METRIC" not in text:  # for machines
                say(text)
        status = process.wait()
    finally:
        stop(process, signal.SIGTERM, group=True)
        process.stdout.close()
    if status != 0:
        log = folder / "target.log"
        tail = "\n".join(log.read_text("utf-8", "replace").splitlines()[-15:]) if log.exists() else ""
        raise DemoError(f"status {status} from: {command}\n{tail}")


def query(connection: "psycopg.Connection[Any]", statement: str) -> None:
    """Show *statement* and its result."""
    show(statement, prompt="sql>")
    with connection.execute(statement) as cursor:
        names = [column.name for column in cursor.description or []]
        say(table(names, cursor.fetchall(), WIDTH - 4))


def query_timeline(connection: "psycopg.Connection[Any]") -> None:
    """Show what happened in one session, as a table for people."""
    session = value(connection, INTERESTING_SESSION)
    statement = TIMELINE.format(session=session)
    show(statement, prompt="sql>")
    rows = []
    for moment, kind, name, text, url, variables in connection.execute(statement):
        rows.append(
            (
                f"{moment:%H:%M:%S.%f}"[:-3],
                kind,
                shown(text or "" if name is None else f"{name}: {named_values(variables)}"),
                (url or "").partition("//")[2].partition("/")[2],
            )
        )
    say(table(["time (UTC)", "event", "text", "page"], rows, WIDTH - 4))
    say("The values of custom events come from CustomVars, which keeps whatever has no column as JSON.")


def named_values(variables: str | None) -> str:
    """`items 3, total 27.0, coupons HARVEST-10 WELCOME`: what a custom event carries, numbers first."""
    values = [(short(name), value) for name, value in json.loads(variables or "{}").items() if name.startswith("evt_")]
    values.sort(key=lambda named: isinstance(named[1], str | list))
    return ", ".join(
        f"{name} {' '.join(map(str, value)) if isinstance(value, list) else value}" for name, value in values
    )


def short(name: str) -> str:
    """`total` of `evt_order.total_real`."""
    return name.removeprefix("evt_").rpartition("_")[0].rpartition(".")[2]


def count_events(url: str) -> int:
    """How many events the emulator has in the bundles it lists now."""
    with urllib.request.urlopen(f"{url}/_emulator/events") as answer:
        return sum(1 for _ in answer)


def control(url: str, what: str, body: dict[str, Any]) -> None:
    """Change the emulator."""
    request = urllib.request.Request(f"{url}/_emulator/{what}", json.dumps(body).encode(), method="POST")
    urllib.request.urlopen(request).close()


def value(connection: "psycopg.Connection[Any]", statement: str) -> Any:
    """The single value that *statement* yields."""
    row = connection.execute(statement).fetchone()
    if row is None:
        raise DemoError(f"no row from: {statement}")
    return row[0]


def expect(rows: int, events: int) -> None:
    """Stop the demo if something is missing or there twice."""
    if rows != events:
        raise DemoError(f"{rows:,} rows in the table, but {events:,} events in Fullstory. Please report this.")


def write(path: Path, settings: dict[str, Any], secrets: list[str] | None = None) -> None:
    """Write a file of settings and show it, without the values of *secrets*."""
    path.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    path.chmod(0o600)
    visible = {name: "..." if name in (secrets or []) else setting for name, setting in settings.items()}
    say(f"{path.name}:")
    say(f"  {json.dumps(visible)}")


def chapter(title: str) -> None:
    print(f"\n{title}\n{'-' * len(title)}")


def show(command: str, prompt: str = "$") -> None:
    first, *others = command.splitlines()
    print(f"  {prompt} {first}", *(f"  {' ' * len(prompt)} {line}" for line in others), sep="\n")


def say(text: str) -> None:
    for line in text.splitlines():
        inside = " " * (4 + len(line) - len(line.lstrip()))
        print(textwrap.fill(line.strip(), WIDTH, initial_indent=inside, subsequent_indent=f"{inside}  ", **UNBROKEN))


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    if not shutil.which("bash"):
        sys.exit("The demo shows shell commands and needs bash.")
    sys.exit(main())
