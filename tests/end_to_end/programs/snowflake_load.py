"""`python snowflake_load.py FILE`: runs the SQL of the file in fakesnow, then twice that on stdin; prints JSON.

The rows of `fullstory.events`, times as microseconds, and how many are in `fullstory.bundles`.
"""

import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import fakesnow
import snowflake.connector

if __name__ == "__main__":
    load = sys.stdin.read()
    tables = re.sub(r"--.*", "", Path(sys.argv[1]).read_text("utf-8"))
    with redirect_stdout(sys.stderr), fakesnow.server() as server:  # the real client puts files, also by `*`
        cursor = snowflake.connector.connect(**server, database="WAREHOUSE", schema="PUBLIC").cursor()
        for statement in filter(None, map(str.strip, ";".join((tables, load, load)).split(";"))):
            cursor.execute(statement)
        described = cursor.execute("DESCRIBE TABLE fullstory.events").fetchall()
        types = {column[0]: column[1] for column in described}
        columns = ", ".join(
            f'DATE_PART(EPOCH_MICROSECOND, "{name}")' if kind.startswith("TIMESTAMP") else f'"{name}"'
            for name, kind in types.items()
        )
        rows = cursor.execute(f"SELECT {columns} FROM fullstory.events").fetchall()
        (bundles,) = cursor.execute("SELECT COUNT(*) FROM fullstory.bundles").fetchone()
    print(json.dumps({"events": [dict(zip(types, row, strict=True)) for row in rows], "bundles": bundles}, default=str))
