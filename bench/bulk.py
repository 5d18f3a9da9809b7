"""A bundle into Parquet and into PostgreSQL: files by the tap, beside the shortest other way there is.

A file that holds other than all rows ends the benchmark, so each run is counted, outside of its time.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from bench import pipelines
from bench.measure import ENVIRONMENT, BenchError, Run, guarded, in_turn, run
from bench.opponents import DUCKDB, ENVS, ROOT, TAP
from bench.serve import Served, serve
from bench.speed import Comparison, Measured, discovered, prepare
from demo.postgres import Postgres, psql

FILES, ONE_LINER = f"{TAP.name} --to", "DuckDB one-liner"
COPY, TARGET = f"{TAP.name} --to, COPY", f"{TAP.name} into {pipelines.PIPELINEWISE}"
PLAN = (("usual", 100_000), ("custom5", 100_000), ("usual", 1_000_000))
LOADED = (("usual", 100_000),)  # a target takes a quarter of a minute for it
TABLE = "copied.events"
COUNT = """\
import duckdb, sys
duckdb.sql("SET enable_progress_bar = false")
print(duckdb.sql("SELECT count(*) FROM read_parquet($1)", params=[sys.argv[1]]).fetchall()[0][0])
"""
TYPES = {"string": "text", "integer": "bigint", "number": "double precision", "boolean": "boolean"}


def to_parquet(comparison: Comparison) -> Measured:
    """Write a bundle as Parquet, in turn with DuckDB."""
    with _served(comparison) as (served, tap, folder):
        runners = {
            FILES: partial(files_run, tap, folder, served.events),
            ONE_LINER: partial(_one_liner, folder, served),
        }
        taken = in_turn(runners, comparison.rounds)
    return Measured(comparison.profile, served.events, served.bytes, taken)


def to_postgres(comparison: Comparison) -> Measured:
    """Load a bundle into PostgreSQL by way of files, in turn with a target."""
    with (
        _served(comparison) as (served, tap, folder),
        Postgres() as postgres,
        postgres.connect() as connection,
    ):
        connection.execute(definition(json.loads(discovered([*tap, "--discover"]))))
        target = pipelines.pipelinewise(folder, postgres, connection)
        runners = {
            COPY: partial(_copy, tap, folder, postgres, connection, served.events),
            TARGET: partial(pipelines.timed, tap, target, served.events),
        }
        taken = in_turn(runners, comparison.rounds)
    return Measured(comparison.profile, served.events, served.bytes, taken)


@contextmanager
def _served(comparison: Comparison) -> Iterator[tuple[Served, list[str], Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="tap-fullstory-bench-") as name,
        serve(comparison.profile, comparison.events) as served,
    ):
        (tap,) = prepare([TAP], comparison.profile, served, Path(name)).values()
        yield served, tap, Path(name)


def files_run(tap: Sequence[str], folder: Path, events: int) -> Run:
    """Run the tap, which writes Parquet.

    Raises:
        BenchError: other than *events* rows were written.
    """
    with _emptied(folder / "files") as place:
        taken, _ = run([*tap, "--to", str(place)], cwd=ROOT)
        _check(_rows(f"{place}/events/*.parquet"), events, FILES)
    return taken


def _one_liner(folder: Path, served: Served) -> Run:
    program = ROOT / "bench" / "programs" / "one_liner.py"
    config = folder / "one-liner.json"
    config.write_text(json.dumps(served.config), "utf-8")
    with _emptied(folder / "table") as place:
        place.mkdir()
        command = [str(ENVS / DUCKDB / "bin" / "python"), str(program), str(config), str(served.bundle_id)]
        taken, _ = run([*command, "events.parquet"], cwd=place)
        _check(_rows(f"{place}/events.parquet"), served.events, ONE_LINER)
    return taken


def _copy(
    tap: Sequence[str], folder: Path, postgres: Postgres, connection: psycopg.Connection[Any], events: int
) -> Run:
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(f"*:*:*:*:{postgres.password}\n", "utf-8")
    database = f"host={postgres.host} port={postgres.port} user={postgres.user} dbname={postgres.database}"
    load = shlex.join([str(psql()), "-X", "-q", "-c", f"COPY {TABLE} FROM STDIN (FORMAT csv, HEADER)", database])
    with _emptied(folder / "files") as place:
        script = (
            f"set -e -o pipefail; export PGPASSFILE={shlex.quote(str(password))}; "
            f"{shlex.join([*guarded(tap), '--to', str(place), '--format', 'csv'])}; "
            f'for file in {shlex.quote(str(place))}/events/*.csv.gz; do gzip -dc "$file" | {load}; done'
        )
        taken, _ = run([shutil.which("bash") or "bash", "-c", script], cwd=ROOT)
    row = connection.execute("SELECT count(*) FROM copied.events").fetchone()
    connection.execute(f"TRUNCATE {TABLE}")
    _check(row[0] if row else 0, events, COPY)
    return taken


@contextmanager
def _emptied(place: Path) -> Iterator[Path]:
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def definition(catalog: Mapping[str, Any]) -> str:
    """Return the statements that make the table for the events of a catalog."""
    (stream,) = (one for one in catalog["streams"] if one["tap_stream_id"] == "events")
    columns = ", ".join(f'"{name}" {_type(one)}' for name, one in stream["schema"]["properties"].items())
    return f"CREATE SCHEMA {TABLE.partition('.')[0]}; CREATE TABLE {TABLE} ({columns})"


def _type(definition: Mapping[str, Any]) -> str:
    if definition.get("format") == "date-time":
        return "timestamptz"
    (kind,) = (one for one in definition["type"] if one != "null")
    return TYPES[kind]


def _rows(files: str) -> int:
    command = [str(ENVS / DUCKDB / "bin" / "python"), "-I", "-c", COUNT, files]
    return int(subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True).stdout)


def _check(rows: int, events: int, name: str) -> None:
    if rows != events:
        raise BenchError(f"{rows} of {events} events were written by: {name}")
