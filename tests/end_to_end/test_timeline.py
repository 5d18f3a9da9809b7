"""examples/timeline/timeline.py reads what the tap and its targets really wrote: the same page from each place."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.opponents import ENVS
from demo.postgres import Postgres
from fullstory_emulator import Bundle, Emulator
from tests.end_to_end.pipeline import ROOT, TAP, TIMEOUT, Pipeline, TapAndTarget

SCRIPT = ROOT / "examples" / "timeline" / "timeline.py"
REPLAY_ROOT = "https://app.fullstory.com/ui/o-DEMO-na1/session/"
DAY = 86400
FIRST = 1_700_006_400  # 2023-11-15T00:00:00Z
MARKS = ("EventModFrustrated", "EventModDead", "EventModError")


def run(
    place: str, folder: Path, *more: str, python: str = sys.executable, password: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run the script into a file of *folder*."""
    return subprocess.run(
        [python, str(SCRIPT), "--from", place, "-o", str(folder / "page.html"), "--replay-root", REPLAY_ROOT, *more],
        env={**os.environ, "PGPASSWORD": password},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )


def page(place: str, folder: Path, *more: str, python: str = sys.executable, password: str = "") -> str:
    """The page that the script writes."""
    done = run(place, folder, *more, python=python, password=password)
    assert 0 == done.returncode, done.stderr
    return (folder / "page.html").read_text("utf-8")


def address(postgres: Postgres) -> str:
    """Where the database is, without its password."""
    return f"postgresql://{postgres.user}@{postgres.host}:{postgres.port}/{postgres.database}"


def fill(shop: Emulator) -> list[dict[str, Any]]:
    """A day of an invented account, and some of what visitors should not have typed; returns all events."""
    account = Emulator.generated(now=FIRST + 2 * DAY, days=1, events_per_bundle=600)
    (events,) = [list(one.read_events()) for one in account.bundles if one.start == FIRST]
    # one session of two users, and text that could end a statement or a page
    twins = [event | {"UserId": 7, "EventTargetText": "</script>'; DROP TABLE events; --"} for event in events[:1]]
    shop.bundles = [Bundle(FIRST, FIRST + DAY, [*events, *twins])]
    return [*events, *twins]


def parquet(shop: Emulator, folder: Path) -> Path:
    """The events as files that the tap writes."""
    tap = TapAndTarget(folder=folder, emulator=shop)
    config = tap.write("files.json", tap.tap_settings())
    command = [str(TAP), "--config", str(config), "--to", str(folder / "files")]
    subprocess.run(command, env=tap.environment(), check=True, capture_output=True, timeout=TIMEOUT)
    return folder / "files"


def worst(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """An event of the session with the most rage clicks."""
    clicks = Counter((one["UserId"], one["SessionId"]) for one in events if one.get("EventModFrustrated"))
    (user, session), _ = clicks.most_common(1)[0]
    return next(one for one in events if (one["UserId"], one["SessionId"]) == (user, session))


def test_session_out_of_postgres_and_out_of_files(pipeline: Pipeline, shop: Emulator, tmp_path: Path) -> None:
    """The page would not open, show another session, or leave out events and what went wrong."""
    events = fill(shop)
    pipeline.run()
    place, password = address(pipeline.postgres), pipeline.postgres.password
    bad = worst(events)
    session = f"{bad['UserId']}:{bad['SessionId']}"
    expected = [one for one in events if (one["UserId"], one["SessionId"]) == (bad["UserId"], bad["SessionId"])]
    table = ("--table", f"{pipeline.schema}.events")

    found = page(place, tmp_path, *table, "--session", session, password=password)

    assert len(expected) == found.count('<tr id="e')
    assert all(one["EventStart"] in found for one in expected)
    for mark, words in zip(MARKS, (">rage click ", "dead click</td>", "error"), strict=True):
        assert any(one.get(mark) for one in expected) == (words in found.partition('<tr id="e1"')[2])
    assert f'href="{REPLAY_ROOT}{session}"' in found
    assert password not in found
    files = parquet(shop, tmp_path)
    assert found == page(str(files), tmp_path, "--session", session)
    assert page(place, tmp_path, *table, password=password) == page(str(files), tmp_path)


def test_what_postgres_refuses_is_said_in_a_line(pipeline: Pipeline, shop: Emulator, tmp_path: Path) -> None:
    """A traceback in place of "there is no such table" sends people to us, not to the spelling."""
    (*_, twin) = fill(shop)
    pipeline.run()
    place, password = address(pipeline.postgres), pipeline.postgres.password
    table = ("--table", f"{pipeline.schema}.events")
    for more, words, secret in [
        (("--table", "fullstory.event's"), "does not exist", password),
        ((*table, "--session", "'; DROP TABLE events; --"), "invalid input syntax for type bigint", password),
        ((*table, "--session", "5"), "no event of session 5", password),
        ((*table, "--session", str(twin["SessionId"])), "Several users have a session of that number", password),
        (table, "password authentication failed", "wrong"),
    ]:
        done = run(place, tmp_path, *more, password=secret)

        (line,) = done.stderr.splitlines()
        assert (1, True, "") == (done.returncode, words in line, done.stdout), line
        assert password not in line
    assert pipeline.count() > 600


@pytest.mark.pipelines
@pytest.mark.parametrize("env", ["target-duckdb", "target-duckdb-newer"])
def test_session_out_of_duckdb(shop: Emulator, tmp_path: Path, env: str) -> None:
    """The page would look otherwise, or not be there at all, for who has DuckDB."""
    events = fill(shop)
    bad = worst(events)
    session = f"{bad['UserId']}:{bad['SessionId']}"
    database = tmp_path / "warehouse.duckdb"
    settings = {"path": str(database), "default_target_schema": "fullstory", "primary_key_required": False}
    target = [str(ENVS / "target-duckdb" / "bin" / "target-duckdb")]
    TapAndTarget(folder=tmp_path, emulator=shop, target=target, target_settings=settings).run()
    python = str(ENVS / env / "bin" / "python")
    files = parquet(shop, tmp_path)

    found = page(str(database), tmp_path, "--session", session, python=python)

    assert page(str(files), tmp_path, "--session", session) == found
    assert page(str(files), tmp_path) == page(str(database), tmp_path, python=python)
    done = run(str(database), tmp_path, "--table", "nothing", python=python)
    assert (1, True) == (done.returncode, done.stderr.startswith("timeline: DuckDB says: Catalog Error"))
