"""examples/dagster: a partition is one run of the tap, and what becomes of it says Dagster."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from demo.processes import stop
from fullstory_emulator import Bundle, Emulator, Fault
from tests.end_to_end.job import until
from tests.end_to_end.meltano_project import PROXIES, Outside
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT

pytestmark = pytest.mark.dagster

EXAMPLE = ROOT / "examples" / "dagster"
BIN = ROOT / ".envs" / "dagster" / "bin"
PROGRAM = Path(__file__).parent / "programs" / "dagster_runs.py"
LIST, GET = "/api/v1/export/list", "/api/v1/export/get"
KEY = "made-up-key-of-dagster-tests"
HOUR, DAY = 3600, 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
DAYS = ("2023-11-15", "2023-11-16", "2023-11-17")

Json = dict[str, Any]


def rfc(moment: float) -> str:
    """A moment as the API has it."""
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def bundle(start: int, hours: int = 24) -> Bundle:
    """A bundle with an event each half hour."""
    moments = range(start, start + hours * HOUR, HOUR // 2)
    events = [{"EventStart": rfc(at), "EventType": "click", "UserId": at, "evt_price_real": at / 7} for at in moments]
    return Bundle(start, start + hours * HOUR, events)


class Runs:
    """One process with Dagster in it, which runs the jobs of all tests."""

    def __init__(self, home: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [str(BIN / "python"), str(PROGRAM)],
            cwd=home,
            env={**environment, "PYTHONPATH": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __call__(self, **request: Any) -> Any:
        """The answer to a request."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self._process.communicate(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """Whatever would leave this machine arrives here."""
    with Outside() as outside:
        yield outside


def create_home(folder: Path, outside: Outside) -> dict[str, str]:
    """Copy the example into a folder, as its README says; return the variables of all commands there."""
    assert BIN.exists(), "Dagster has an environment of its own: run these tests with `make test-dagster`."
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not re.match("TAP_FULLSTORY_|DAGSTER_|.*_proxy$", name, re.I)
    }
    return {
        **kept,
        **dict.fromkeys(PROXIES, outside.url),
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "HOME": str(folder),
        "DAGSTER_HOME": str(folder),
        "FULLSTORY_START": DAYS[0],
        "FULLSTORY_TAP": str(TAP),
        "FULLSTORY_CONFIG": str(folder / "config.json"),
        "FULLSTORY_TO": str(folder / "events"),
        "FULLSTORY_STATES": str(folder / "states"),
        "FULLSTORY_WAIT": "1",
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, outside: Outside) -> Iterator[Runs]:
    """Importing Dagster takes seconds, so it is done once."""
    home = tmp_path_factory.mktemp("dagster") / "home"
    runs = Runs(home, create_home(home, outside))
    yield runs
    runs.end()


@dataclass
class Project:
    """A folder with the example, and an account."""

    folder: Path
    shop: Emulator
    environment: dict[str, str]
    runs: Runs

    def configure(self, **settings: Any) -> None:
        """Write the tap's settings."""
        urls = {"api_url": self.shop.url, "export_url": self.shop.url}
        (self.folder / "config.json").write_text(json.dumps({"api_key": KEY, **urls, **settings}), "utf-8")

    def load(self, day: str = DAYS[0]) -> Json:
        """What became of a day, read within one process."""
        ran: Json = self.runs(job="load", day=day, environment=self.environment)
        return ran

    def look(self) -> Json:
        """What the check of freshness says."""
        ran: Json = self.runs(job="look", environment=self.environment)
        check: Json = ran["checks"]["fresh"]
        return check

    def rows(self) -> list[Json]:
        """All rows of all days."""
        return rows(self.folder / "events")

    def files(self) -> dict[str, bytes]:
        """All files of all days."""
        folder = self.folder / "events"
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def state(self, day: str = DAYS[0]) -> Json:
        """The bookmark of a day."""
        state: Json = json.loads((self.folder / "states" / f"{day}.json").read_text("utf-8"))
        bookmark: Json = state["bookmarks"]["events"]
        return bookmark


def rows(folder: Path) -> list[Json]:
    """All rows of all Parquet files below a folder, in the order of time."""
    found = [row for file in folder.rglob("*.parquet") for row in pq.ParquetFile(file).read().to_pylist()]
    return sorted(found, key=lambda row: (row["EventStart"], row["_bundle_id"]))


@pytest.fixture
def project(tmp_path: Path, shop: Emulator, runs: Runs, outside: Outside) -> Project:
    """The example before its first run, for an account whose bundles begin at midnight."""
    folder = tmp_path / "fullstory in dagster"
    project = Project(folder, shop, create_home(folder, outside), runs)
    shop.api_key = KEY
    shop.bundles = [bundle(FIRST + day * DAY) for day in range(3)]
    project.configure()
    return project


def test_a_day_is_materialized(project: Project, outside: Outside) -> None:
    """Whoever looks at a partition would not know what is in it, or where."""
    ran = project.load()

    place = project.folder / "events" / f"day={DAYS[0]}"
    (manifest,) = (place / "_manifests").iterdir()
    (file,) = (place / "events").iterdir()
    assert [
        {
            "day": DAYS[0],
            "dagster/uri": str(place),
            "dagster/partition_row_count": 48,
            "files": 1,
            "bytes": file.stat().st_size,
            "manifests": [str(manifest)],
        }
    ] == ran["materialized"]
    assert (True, 0, True) == (ran["success"], ran["retries"], ran["checks"]["no_gaps"]["passed"])
    assert [project.shop.bundles[0].id] * 48 == [row["_bundle_id"] for row in project.rows()]
    assert any("48 records, 1 bundle finished" in line for line in ran["log"])
    assert KEY not in json.dumps(ran)
    assert [] == outside.asked


def test_read_once_more_it_stays_the_same(project: Project) -> None:
    """Rows would be there twice, or a repaired bundle would not be fetched again."""
    first, before = project.load(), project.files()

    second = project.load()

    assert before == project.files()
    assert 2 == project.shop.count(GET)
    assert first["materialized"] == second["materialized"]


@pytest.mark.parametrize(
    "fault, status, said",
    [
        (
            Fault(GET, status=429, headers={"Retry-After": "7200"}, skip=1, times=1),
            75,
            "Fullstory asks to come back in",
        ),
        (Fault(GET, status=500, skip=1, times=2), 69, "HTTP 500"),
    ],
    ids=["told to come later", "not reachable"],
)
def test_what_passes_is_tried_again(project: Project, fault: Fault, status: int, said: str) -> None:
    """A day would be missing, with nobody there at night; or what is there would be read once more."""
    project.shop.bundles = [bundle(FIRST, 12), bundle(FIRST + 12 * HOUR, 12)]
    project.shop.faults = [fault]
    project.configure(retry_timeout=0.001)

    ran = project.load()

    assert (True, 1) == (ran["success"], ran["retries"])
    assert f"Status {status}: " in ran["reasons"][0] and said in ran["reasons"][0]
    assert 2 + fault.used == project.shop.count(GET)
    (materialized,) = ran["materialized"]
    assert (48, 2) == (materialized["dagster/partition_row_count"], materialized["files"])
    assert 48 == len(project.rows())


def test_a_day_that_is_not_over_for_fullstory_is_tried_again(project: Project) -> None:
    """Half of a day would pass for all of it."""
    project.shop.bundles = [bundle(FIRST, 12), bundle(FIRST + 12 * HOUR, 12)]
    half = project.shop.bundles[0]
    listed = [{"Id": half.id, "Start": half.start, "Stop": half.stop}]
    project.shop.faults = [Fault(LIST, change={"exports": listed}, times=2)]

    ran = project.load()

    assert ran["success"] is True and ran["retries"] >= 1
    assert "no bundle yet that ends at 2023-11-16T00:00:00Z or later" in ran["reasons"][0]
    assert 48 == ran["materialized"][0]["dagster/partition_row_count"] == len(project.rows())
    assert "2023-11-16T00:00:00Z" == project.state()["until"]
    assert 2 == project.shop.count(GET)  # the first half was not read once more


@pytest.mark.parametrize(
    "settings, status, said",
    [
        ({"api_key": "revoked-key"}, 77, "Fullstory refused the API key"),
        ({"export_url": "nowhere"}, 78, '"export_url"'),
        ({"spool_dir": "/proc/nowhere"}, 74, "/proc/nowhere"),
    ],
    ids=["key", "settings", "folder"],
)
def test_what_stays_fails_at_once(project: Project, settings: Json, status: int, said: str) -> None:
    """A wrong key would be tried for a day before somebody hears of it."""
    project.configure(**settings)

    ran = project.load()

    assert (False, 0, []) == (ran["success"], ran["retries"], ran["materialized"])
    assert f"Status {status}: " in ran["failures"][0] and said in ran["failures"][0]
    assert "revoked-key" not in json.dumps(ran)


def test_what_cannot_be_read_fails_at_once(project: Project) -> None:
    """What Fullstory delivers broken stays broken until somebody looks."""
    project.shop.faults = [Fault(LIST, change={"exports": [{"Id": None}]}, times=None)]
    project.configure(retry_timeout=0.001)

    ran = project.load()

    assert (False, 0) == (ran["success"], ran["retries"])
    assert "Status 65: " in ran["failures"][0]


@pytest.mark.parametrize("name, status", [("TERM", 143), ("INT", 130)])
def test_a_stopped_tap_fails_at_once(project: Project, name: str, status: int) -> None:
    """Somebody has stopped it on purpose."""
    project.shop.faults = [Fault(GET, delay=30)]
    script = project.folder / "tap"
    script.write_text(f'#!/bin/sh\nexec timeout --preserve-status -s {name} 2 {TAP} "$@"\n', "utf-8")
    script.chmod(0o755)
    project.environment["FULLSTORY_TAP"] = str(script)

    ran = project.load()

    assert (False, 0) == (ran["success"], ran["retries"])
    assert f"Status {status}: " in ran["failures"][0]


def test_a_gap_is_shown(project: Project) -> None:
    """Hours that no bundle covers would go unseen: no later run looks for what comes late."""
    project.shop.bundles = [bundle(FIRST, 6), bundle(FIRST + 12 * HOUR, 12)]
    ran = project.load()
    assert ran["success"] is True
    assert {"passed": False, "severity": "WARN", "description": None} == ran["checks"]["no_gaps"]

    project.shop.bundles.insert(1, bundle(FIRST + 6 * HOUR, 6))
    ran = project.load()

    assert ran["checks"]["no_gaps"]["passed"] is True
    assert 48 == ran["materialized"][0]["dagster/partition_row_count"] == len(project.rows())


def test_fresh_is_what_is_new_not_what_was_read_lately(project: Project) -> None:
    """A loader that stands still would go unnoticed as soon as somebody reads an old day."""
    midnight = int(time.time()) // DAY * DAY
    project.shop.bundles = [bundle(midnight - back * DAY) for back in (4, 3, 2)]

    assert {"passed": False, "severity": "ERROR", "description": "No day is read yet."} == project.look()
    assert project.load(rfc(midnight - 4 * DAY)[:10])["success"] is True
    assert False is project.look()["passed"]
    assert project.load(rfc(midnight - 2 * DAY)[:10])["success"] is True
    assert project.look()["passed"] is True
    assert project.load(rfc(midnight - 3 * DAY)[:10])["success"] is True
    assert project.look()["passed"] is True


def test_each_night_the_newest_day_is_read(project: Project) -> None:
    """A day that Fullstory has no bundle of yet would be asked for, and keep its run waiting for a day."""

    def tick(at: str) -> Any:
        return project.runs(schedule="daily", at=at, environment=project.environment)

    assert ["2023-11-15"] == tick("2023-11-17T01:00:00+00:00")
    assert ["2023-11-16"] == tick("2023-11-18T01:00:00+00:00")


def test_backfill(project: Project, outside: Outside) -> None:
    """Days read side by side from the queue, from bundles that begin at six, hold other rows than one run over all."""
    project.shop.bundles = [bundle(FIRST + 6 * HOUR + day * DAY) for day in range(-1, 3)]
    variables = [f"{name}='{value}'\n" for name, value in project.environment.items() if name.startswith("FULLSTORY_")]
    (project.folder / ".env").write_text("".join(variables), "utf-8")
    log = project.folder / "log"

    def done() -> bool:
        return log.read_text("utf-8").count("RUN_SUCCESS") == 3

    what = ("-f", "definitions.py", "-j", "load", "--from", DAYS[0], "--to", DAYS[2])
    backfill = start(project, "dagster", "job", "backfill", *what, "--noprompt")
    assert 0 == backfill.wait(TIMEOUT), log.read_text("utf-8")
    daemon = start(project, "dagster-daemon", "run", "-f", "definitions.py")
    try:
        assert until(done) or until(done), log.read_text("utf-8")  # a busy machine takes more than a minute
    finally:
        stop(daemon, signal.SIGINT, patience=TIMEOUT, group=True)
    assert {"fullstory": 2} == project.runs(pools=True, environment=project.environment)

    one = project.folder / "one"
    overlay = project.folder / "span.json"
    overlay.write_text(json.dumps({"start_date": DAYS[0], "end_date": "2023-11-18"}), "utf-8")
    config = project.environment["FULLSTORY_CONFIG"]
    subprocess.run(
        [str(TAP), "--config", config, "--config", str(overlay), "--to", str(one)],
        check=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert 3 * 48 == len(project.rows())
    assert rows(one) == project.rows()
    assert [f"day={day}" for day in DAYS] == sorted(path.name for path in (project.folder / "events").iterdir())
    assert KEY not in log.read_text("utf-8")
    assert [] == outside.asked


def start(project: Project, program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """A command of Dagster in a session of its own; what it prints is added to the file `log`."""
    with open(project.folder / "log", "ab") as log:
        return subprocess.Popen(
            [str(BIN / program), *arguments],
            cwd=project.folder,
            env={name: value for name, value in project.environment.items() if not name.startswith("FULLSTORY_")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
