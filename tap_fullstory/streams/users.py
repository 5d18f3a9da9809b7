"""The stream `users`: the people of the account with their properties, whole each time, ten with each request.

API: https://developer.fullstory.com/server/users/list-users/ (pages by `page_token`)
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from tap_fullstory.exact import whole_number
from tap_fullstory.logs import NAME
from tap_fullstory.objects import Asker, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream

LOGGER = logging.getLogger(NAME)


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return object_stream("users", ("id",), read, privacy, probe=lambda _: ["/v2/users"])


def read(run: Run, _bookmark: Any) -> Iterator[Page]:
    """Yield all pages; says first how many requests that takes."""
    filters = {"is_identified": "true"} if run.config.users_identified_only else {}
    said = False
    for objects, answer in Asker(run, "/v2/users").pages("results", "page_token", ("next_page_token",), **filters):
        if not said:
            _say(objects, answer)
            said = True
        yield Page(objects)


def _say(first: list[Any], answer: Any) -> None:
    total = whole_number(answer.get("total_records"))
    if total is None or not first:
        return
    requests = max(1, -(-total // len(first)))
    LOGGER.info(
        "%d users, %d with each request: this takes %d request%s. The stream individuals brings large accounts sooner.",
        total,
        len(first),
        requests,
        "" if requests == 1 else "s",
    )
