"""`python duckdb_load.py DATABASE [QUERY]`: runs the SQL on stdin in a DuckDB database, and prints what is there, JSON.

With a query, what it finds; else the rows of the table `events`, times as microseconds, and how many are in `loaded`.
"""

import json
import sys

import duckdb

if __name__ == "__main__":
    path, *queries = sys.argv[1:]
    connection = duckdb.connect(path)
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(sys.stdin.read() or "SELECT 1")
    if queries:
        found = connection.execute(f"SELECT * FROM ({queries[0]})")
        names = [column[0] for column in found.description]
        print(json.dumps({"query": [dict(zip(names, row, strict=True)) for row in found.fetchall()]}, default=str))
        sys.exit()
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE events").fetchall()}
    columns = ", ".join(
        f'epoch_us("{name}")' if kind.startswith("TIMESTAMP") else f'"{name}"' for name, kind in types.items()
    )
    rows = connection.execute(f"SELECT {columns} FROM events").fetchall()
    (loaded,) = connection.execute("SELECT count(*) FROM loaded").fetchone()
    print(json.dumps({"events": [dict(zip(types, row, strict=True)) for row in rows], "loaded": loaded}))
