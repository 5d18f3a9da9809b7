"""The stream `settings_history`: every version of the settings under which sessions are recorded.

Newest first, up to where the last run has begun; so a bookmark moves when all of a kind is read.

API: https://developer.fullstory.com/server/v1/recording-settings/ (the token of the next page is spelt in two ways)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tap_fullstory.newest import Newest
from tap_fullstory.objects import Asker, Object, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream
from tap_fullstory.streams.settings import PATH, Rules, each, probe, to_version, version_id

TOKENS = ("nextPaginationToken", "next_pagination_token")


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    key = ("kind", "platform", "version_id")
    return object_stream("settings_history", key, read, privacy, probe=probe, replication_key="lastUpdated")


def read(run: Run, bookmark: Any) -> Iterator[Page]:
    """Yield the versions that the bookmark does not know."""

    def read_one(rules: Rules, at: Any) -> Iterator[tuple[list[Object], Any]]:
        newest = Newest(at, "lastUpdated", "version_id")
        asker = Asker(run, f"{PATH}/{rules.kind}/history")
        for versions, _ in asker.pages("versions", "paginationToken", TOKENS, limit=100, **rules.query):
            read = [to_version(rules, one) for one in versions]
            yield newest.new([{**one, "version_id": version_id(one)} for one in read]), at
            if newest.is_passed:
                break
        yield [], newest.bookmark

    yield from each(read_one, bookmark)
