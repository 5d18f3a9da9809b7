"""The stream `segments`: the segments of the account, whole each time.

API: https://developer.fullstory.com/server/v1/segments/list-segments/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tap_fullstory.objects import Asker, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return object_stream("segments", ("id",), read, privacy, probe=lambda _: ["/segments/v1?limit=1"])


def read(run: Run, _bookmark: Any) -> Iterator[Page]:
    """Yield all pages."""
    for objects, _ in Asker(run, "/segments/v1").pages(
        "segments", "paginationToken", ("nextPaginationToken",), limit=100
    ):
        yield Page(objects)
