"""`python snowflake_server.py`: stands in for Snowflake until its stdin ends; prints the port that it listens on.

This is fakesnow's server, which runs Snowflake's SQL on DuckDB, takes files over HTTP as Snowflake does (PUT), and
loads them (COPY INTO). Four things that meltanolabs-target-snowflake asks for are not in fakesnow. They are brought
into a form that it knows:

- The stage of the user, `@~`: a named one.
- COPY INTO and MERGE of columns out of staged JSON (`$1:"UserId"::DECIMAL`): fakesnow's COPY INTO brings the lines into
  a table of one VARIANT column, from which the same columns are then selected.
- REMOVE: the files are deleted.
- DROP FILE FORMAT: nothing, the names of formats are used once.

`GET /events/SCHEMA` answers with types and rows of the table EVENTS, which spares the tests a client.
"""

import re
import shutil
import sys
from contextlib import redirect_stdout
from typing import Any

from fakesnow import server as serve
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.server import app, shared_fs
from fakesnow.transforms.stage import internal_dir
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

DATABASE = "WAREHOUSE"
STAGE, LINES, ROWS = (f"{DATABASE}.PUBLIC.{name}" for name in ("USER_STAGE", "STAGED_LINES", "STAGED_ROWS"))
USER_STAGE = r"'@~/(?P<path>[^']+)'"
COPY = re.compile(
    rf"copy into (?P<table>.+?) from \(select (?P<columns>.+) from {USER_STAGE}\)"
    r"file_format = \(format_name='(?P<format>.+)'\)"
)
MERGE = re.compile(
    rf"merge into (?P<table>.+?) using \(select (?P<columns>.+) from {USER_STAGE}\(file_format => (?P<format>\S+)\) "
    r"(?P<qualify>QUALIFY .+?)\) s (?P<rest>on .+)"
)

as_it_is = FakeSnowflakeCursor.execute


def execute(cursor: FakeSnowflakeCursor, sql: str, *arguments: Any, **options: Any) -> FakeSnowflakeCursor:
    """Run a statement; in place of `FakeSnowflakeCursor.execute`."""
    if sql.startswith("put "):
        return as_it_is(cursor, re.sub(USER_STAGE, rf"@{STAGE}/\g<path>", sql), *arguments, **options)
    if sql.startswith("remove "):
        found = re.fullmatch(rf"remove {USER_STAGE}", sql)
        assert found, sql
        shutil.rmtree(internal_dir(STAGE, found["path"]))
        return run(cursor, "SELECT 1")
    if sql.startswith("drop file format "):
        return run(cursor, "SELECT 1")
    if sql.startswith("copy into "):
        return copy(cursor, sql)
    if sql.startswith("merge into "):
        return merge(cursor, sql)
    return as_it_is(cursor, sql, *arguments, **options)


def copy(cursor: FakeSnowflakeCursor, sql: str) -> FakeSnowflakeCursor:
    """Append staged lines to a table; answers as COPY INTO does."""
    found = COPY.fullmatch(sql)
    assert found, sql
    load(cursor, found)
    run(cursor, f"INSERT INTO {found['table']} SELECT {of_lines(found['columns'])} FROM {LINES}")
    return run(cursor, f"SELECT '{found['path']}', 'LOADED', COUNT(*), COUNT(*) FROM {LINES}")


def merge(cursor: FakeSnowflakeCursor, sql: str) -> FakeSnowflakeCursor:
    """Replace and append rows by staged lines. Of lines with one key the last counts: SEQ8 numbers them."""
    found = MERGE.fullmatch(sql)
    assert found, sql
    load(cursor, found)
    last = found["qualify"].replace("SEQ8()", "ROWID")
    run(cursor, f"CREATE OR REPLACE TABLE {ROWS} AS SELECT {of_lines(found['columns'])} FROM {LINES} {last}")
    return run(cursor, f"MERGE INTO {found['table']} USING {ROWS} s {found['rest']}")


def load(cursor: FakeSnowflakeCursor, found: "re.Match[str]") -> None:
    """Bring the lines of the staged files into the table LINES."""
    run(cursor, f"CREATE OR REPLACE TABLE {LINES} (LINE VARIANT)")
    run(cursor, f"COPY INTO {LINES} FROM @{STAGE}/{found['path']} FILE_FORMAT = (FORMAT_NAME = '{found['format']}')")


def of_lines(columns: str) -> str:
    """The same columns of the table LINES."""
    return columns.replace("$1:", "LINE:")


def run(cursor: FakeSnowflakeCursor, sql: str) -> FakeSnowflakeCursor:
    """Run a statement that fakesnow knows."""
    return as_it_is(cursor, sql, None, server=True)


def events(request: Request) -> JSONResponse:
    """Types and rows of a table EVENTS, None if it is not there."""
    schema = request.path_params["schema"]
    with shared_fs.connect(DATABASE, "PUBLIC") as connection:
        cursor = connection.cursor()
        there = f"SELECT 1 FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = '{schema}' AND TABLE_NAME = 'EVENTS'"
        if not cursor.execute(there).fetchall():
            return JSONResponse(None)
        described = cursor.execute(f"DESCRIBE TABLE {DATABASE}.{schema}.EVENTS").fetchall()
        types = {column[0]: column[1] for column in described}
        columns = ", ".join(
            f'TO_VARCHAR("{name}")' if kind.startswith("TIMESTAMP") else f'"{name}"' for name, kind in types.items()
        )
        rows = cursor.execute(f"SELECT {columns} FROM {DATABASE}.{schema}.EVENTS").fetchall()
    return JSONResponse({"types": types, "rows": [dict(zip(types, row, strict=True)) for row in rows]})


if __name__ == "__main__":
    FakeSnowflakeCursor.execute = execute
    app.router.routes.append(Route("/events/{schema}", events))
    stdout = sys.stdout
    with redirect_stdout(sys.stderr), serve() as server:  # the log of requests would fill a pipe that nobody empties
        shared_fs.connect(DATABASE, "PUBLIC").cursor().execute(f"CREATE STAGE {STAGE}")
        print(server["port"], file=stdout, flush=True)
        sys.stdin.read()
