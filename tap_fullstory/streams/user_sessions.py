"""The stream `user_sessions`: links to the sessions of the people that `sessions_for` names, newest first.

`/sessions/v2` has neither pages nor dates: it gives the newest `limit` sessions, so the limit grows until it reaches to
where the last run has begun. The newer `/v2/sessions` is no better in this, and has both ids in one text.

API: https://developer.fullstory.com/server/v1/sessions/list-sessions/
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from tap_fullstory.config import Config
from tap_fullstory.errors import RequestError, ResponseError, TapError
from tap_fullstory.exact import whole_number
from tap_fullstory.logs import NAME
from tap_fullstory.moments import LATEST, SECOND, to_text
from tap_fullstory.newest import Newest
from tap_fullstory.objects import Asker, Object, Page, object_stream
from tap_fullstory.privacy import Privacy
from tap_fullstory.streams import Run, Stream

LOGGER = logging.getLogger(NAME)

PATH = "/sessions/v2"
USUAL_LIMIT = 20  # documented: fewer are certainly all, and what the bookmark knew is gone at Fullstory
LIMITS = tuple(100 * 4**step for step in range(6))  # 102,400 sessions of one person are more than any has


def stream(privacy: Privacy) -> Stream:
    """Return the stream."""
    return object_stream(
        "user_sessions", ("userId", "sessionId"), read, privacy, probe=probe, replication_key="createdTime"
    )


def probe(config: Config) -> Sequence[str]:
    """Return what asks for a session of the first person."""
    return [f"{PATH}?{urlencode({**_query(person), 'limit': 1})}" for person in config.sessions_for[:1]]


def read(run: Run, bookmark: Any) -> Iterator[Page]:
    """Yield the sessions of each person that the person's bookmark does not know."""
    at: dict[str, Any] = dict(bookmark) if isinstance(bookmark, Mapping) else {}
    asker = Asker(run, PATH)
    failed: TapError | None = None
    if not run.config.sessions_for:
        LOGGER.warning('"sessions_for" names nobody, so user_sessions has no sessions to read.')
    for person in run.config.sessions_for:
        try:
            sessions, here = _read_one(asker, person, at.get(person))
        except (RequestError, ResponseError) as error:  # it is no reason to leave out the others
            failed = failed or error
            continue
        at = {**at, person: here}
        yield Page(sessions, at)
    if failed:
        raise failed


def _read_one(asker: Asker, person: str, bookmark: Any) -> tuple[list[Object], Any]:
    """Return the sessions of a person that the bookmark does not know, oldest first, and the bookmark behind them."""
    for limit in LIMITS:
        newest = Newest(bookmark, "createdTime", "userId", "sessionId")
        listed, _ = asker.objects("sessions", **_query(person), limit=limit)
        sessions = newest.new([_session(one, person) for one in listed])
        is_all = len(listed) < limit
        is_known = newest.is_reached or not newest.since
        if newest.is_passed or (is_all and (is_known or len(listed) < USUAL_LIMIT)):
            return sessions[::-1], newest.bookmark
        if is_all:
            break
    raise ResponseError(
        f"The sessions of {person} since {newest.since or 'the first one'} cannot all be listed: "
        f"Fullstory gives the newest {len(listed)}.",
        f'Take the member "{person}" out of the bookmark of user_sessions to read all that are listed now.',
    )


def _query(person: str) -> dict[str, str]:
    by, _, value = person.partition(":")
    return {by: value}


def _session(session: Object, person: str) -> dict[str, Any]:
    """Return a session with the second it was created in as a time."""
    seconds = whole_number(session.get("createdTime"))
    if seconds is None or not 0 <= seconds <= LATEST:
        return {**session, "person": person}
    return {**session, "createdTime": to_text(seconds * SECOND), "person": person}
