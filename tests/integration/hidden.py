"""Odd secrets, and the search for them in all that a run leaves behind."""

import base64
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.integration.tap import Run

KEY = 'na1.Zz+9/q=%7e"\\x=='
HEADER = "tok/en+1%20=\"&' secret"
SIGNATURE = "sig/Na+ture=%2f&\"end'"  # in the query of a link that needs no key
DEBUG = {"LOGLEVEL": "DEBUG"}
CLUE = 8  # characters of a secret that say too much


def spellings(secret: str) -> set[str]:
    """All the ways in which a secret might turn up."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(secret.encode()).decode(),
    }


def assert_hidden(run: Run, folder: "Path | None" = None, secrets: Iterable[str] = (KEY, HEADER)) -> None:
    """Nothing that a run printed, and no file or file name in *folder*, holds a secret or the beginning of one."""
    everything = run.stdout.decode() + run.stderr
    for path in folder.rglob("*") if folder else ():
        if path.name.endswith("-config.json"):  # that we wrote ourselves
            continue
        everything += f"\n{path.name}\n"
        if path.is_file():
            everything += path.read_bytes().decode("latin-1")
    for secret in secrets:
        for spelling in spellings(secret) | spellings(secret[:CLUE]):
            assert spelling not in everything, spelling
