"""The stream `operations`: exports and deletions that were asked for, whole each time, since their state changes.

API: https://developer.fullstory.com/server/v1/operations/list-operations/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tap_fullstory.objects import Asker, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return object_stream("operations", ("id",), read, privacy, probe=lambda _: ["/operations/v1?limit=1"])


def read(run: Run, _bookmark: Any) -> Iterator[Page]:
    """Yield all pages."""
    for objects, _ in Asker(run, "/operations/v1").pages(
        "operations", "paginationToken", ("nextPaginationToken",), limit=100
    ):
        yield Page(objects)
