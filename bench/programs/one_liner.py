"""A bundle into a Parquet file with DuckDB: one line, once the bundle is there. No tap: it finds out nothing.

Usage: one_liner.py CONFIG BUNDLE_ID TABLE; the bundle is left in the working folder.
"""

from __future__ import annotations

import importlib
import json
import shutil
import sys
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

BUNDLE = "bundle.json.gz"
PIECE = 1024 * 1024  # bytes


def main() -> None:
    """Download the bundle, write the table."""
    config = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    server = HTTPConnection(urlsplit(config["export_url"]).netloc)
    key = {"Authorization": f"Basic {config['api_key']}"}
    server.request("GET", f"/api/v1/export/get?id={sys.argv[2]}", headers=key)
    with server.getresponse() as answer, open(BUNDLE, "wb") as file:
        shutil.copyfileobj(answer, file, PIECE)
    duckdb: Any = importlib.import_module("duckdb")  # the environment of the linters has none
    duckdb.sql(f"COPY (FROM read_json('{BUNDLE}')) TO '{sys.argv[3]}'")


if __name__ == "__main__":
    main()
