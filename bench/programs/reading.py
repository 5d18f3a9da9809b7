"""Bundles read as a careful author without special libraries would: to a file, unpacked and parsed bit by bit.

`sdk_tap` and `write_record` share it, so that what differs between them is only what they do with an event.
"""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Iterator
from typing import IO, Any

import requests

CHUNK = 1024 * 1024  # characters
TIMEOUT = 600  # seconds
BETWEEN = re.compile(r"[\s,]*")


def list_bundles(url: str, key: str, start: int) -> Iterator[dict[str, Any]]:
    """Yield the bundles that stop after *start* (Unix seconds), oldest first: `{"Id": …, "Start": …, "Stop": …}`."""
    while True:
        answer = requests.get(f"{url}/api/v1/export/list", {"start": start}, headers=_headers(key), timeout=TIMEOUT)
        answer.raise_for_status()
        page: list[dict[str, Any]] = answer.json()["exports"]
        if not page:
            return
        yield from page
        start = page[-1]["Stop"]


def read_events(url: str, key: str, bundle_id: int) -> Iterator[dict[str, Any]]:
    """Download a bundle into a temporary file and yield its events."""
    with tempfile.TemporaryFile() as file:
        get = f"{url}/api/v1/export/get"
        with requests.get(get, {"id": bundle_id}, headers=_headers(key), timeout=TIMEOUT, stream=True) as answer:
            answer.raise_for_status()
            for part in answer.iter_content(CHUNK):
                file.write(part)
        file.seek(0)
        with gzip.open(file, "rt", encoding="utf-8") as text:
            yield from parse_array(text)


def parse_array(text: IO[str]) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON array, of which never more than about a chunk is in memory.

    Raises:
        ValueError: it is not JSON, or breaks off.
    """
    scan = json.JSONDecoder(strict=False).raw_decode
    buffer = text.read(CHUNK).lstrip().removeprefix("[")
    place = 0
    while True:
        place = _after(buffer, place)
        if buffer.startswith("]", place):
            return
        try:
            event, place = scan(buffer, place)
        except ValueError:
            more = text.read(CHUNK)
            if not more:
                raise
            buffer, place = buffer[place:] + more, 0
            continue
        yield event


def _after(buffer: str, place: int) -> int:
    found = BETWEEN.match(buffer, place)
    return found.end() if found else place


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Basic {key}"}
