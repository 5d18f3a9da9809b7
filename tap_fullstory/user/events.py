"""One user's events, as the API gives them to answer an access request.

API: https://developer.fullstory.com/server/v1/exports/get-user-events/
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tap_fullstory.bundles import check, read_chunks, split_events
from tap_fullstory.client import Client, NotFoundError, RateLimit
from tap_fullstory.config import Config
from tap_fullstory.errors import BundleError
from tap_fullstory.records import read_members
from tap_fullstory.spool import Spool, SpoolFile
from tap_fullstory.user.asked import UID, Asked, UnknownUserError
from tap_fullstory.user.people import shown

USER_EVENTS = "/api/v1/export/userEvents"
KIND = "user"  # of its file in the spool folder
# A string, or the space between members. Whatever is not ASCII stands in a string.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[ \t\r\n]+', re.DOTALL)
_NOT_PLAIN = re.compile(r"[^ -~]")


class UserEvents:
    """The events of one user: fetched whole and checked before the first is shown, so that they are all or none."""

    def __init__(self, file: SpoolFile) -> None:
        self._file = file

    def lines(self) -> Iterator[str]:
        """Yield each event as one line of ASCII, its values as they were written."""
        for chunk in read_chunks(self._file.file, self._file.cuts):
            for event in split_events(chunk.data):
                yield one_line(event)

    def members(self) -> Iterator[Mapping[str, Any]]:
        """Yield the members of each event."""
        for chunk in read_chunks(self._file.file, self._file.cuts):
            yield from read_members(chunk.data)


@contextmanager
def fetch(client: Client, config: Config, uid: str) -> Iterator[UserEvents]:
    """Bring all events of one user into a file of the spool folder, which does not outlive this.

    Raises:
        UnknownUserError: there is no such user.
        BundleError: what was delivered stays damaged.
    """
    spool = Spool(config.spool_dir, owner=(config.export_url, config.api_key))
    file = spool.open(0, KIND)
    limit = RateLimit()

    def attempt() -> None:
        try:
            client.download(f"{config.export_url}{USER_EVENTS}", file, limit=limit, uid=uid)
            file.cuts = check(file.file, config.checkpoint_records)
        except NotFoundError as error:
            raise UnknownUserError(f"Fullstory knows no events of a user with {shown(Asked(UID, uid))}.") from error
        except BundleError as error:
            file.validator = None  # to be brought anew, not to be continued
            raise BundleError(f"The events arrived damaged: {error}.", "Run the command again.") from error

    try:
        client.retry(attempt, limit)
        yield UserEvents(file)
    finally:
        file.close(keep=False)


def one_line(event: bytes) -> str:
    """Return an event as one line of ASCII, its values as they were written: `1.50` stays what it is."""
    text = event.decode(errors="replace")
    return text if not _NOT_PLAIN.search(text) else _TOKEN.sub(_plain, text)


def _plain(token: re.Match[str]) -> str:
    text = token[0]
    return _NOT_PLAIN.sub(lambda found: json.dumps(found[0])[1:-1], text) if text.startswith('"') else ""
