"""`python duckdb_rows.py FILE SCHEMA`: prints types and rows of the table `events`, JSON; nothing if it is not there.

Runs in the environment of target-duckdb: a file is best read by the version of duckdb that wrote it.
"""

import json
import sys

import duckdb

if __name__ == "__main__":
    path, schema = sys.argv[1:]
    connection = duckdb.connect(path, read_only=True)
    tables = "SELECT 1 FROM information_schema.tables WHERE table_schema = ? AND table_name = 'events'"
    if connection.execute(tables, [schema]).fetchone():
        types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {schema}.events").fetchall()}
        rows = connection.execute(f"SELECT * FROM {schema}.events").fetchall()
        found = {"types": types, "rows": [dict(zip(types, row, strict=True)) for row in rows]}
        print(json.dumps(found, default=str))  # default: for times
