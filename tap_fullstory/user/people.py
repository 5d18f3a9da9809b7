"""Users and their sessions as Fullstory's API shows them, checked.

API: https://developer.fullstory.com/server/users/list-users/ and https://developer.fullstory.com/server/users/get-user/,
for first and last seen https://developer.fullstory.com/server/v1/users/get-user/
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tap_fullstory.client import Client, NotFoundError, RateLimit
from tap_fullstory.config import Config
from tap_fullstory.errors import ForbiddenError, ResponseError
from tap_fullstory.moments import LATEST, SECOND, to_text
from tap_fullstory.user.asked import EMAIL, ID, UID, Asked, UnknownUserError

LOGGER = logging.getLogger(__name__)

USERS, INDIVIDUALS, SESSIONS = "/v2/users", "/users/v1/individual", "/sessions/v2"
MOST_PAGES = 100  # of ten users each: so many do not share an e-mail
USUAL_COUNT, MOST_COUNT, GROWTH = 20, 81_920, 4  # sessions; as many times more where they do not reach back
REPORT = "Please report this with the line above."

Members = dict[str, Any]

_SURROGATE = re.compile("[\ud800-\udfff]")
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True)
class User:
    """One user.

    Attributes:
        members: as v2 shows them.
        id: Fullstory's.
        uid: the application's own; empty for who was never identified.
    """

    id: str
    uid: str = ""
    email: str = ""
    name: str = ""
    is_being_deleted: bool = False
    members: Members = field(default_factory=dict, repr=False)

    def is_meant(self, asked: Asked) -> bool:
        """Return whether this is who was asked for."""
        if asked.kind == EMAIL:
            return self.email.lower() == asked.value.lower()
        return asked.value == (self.uid if asked.kind == UID else self.id)


@dataclass(frozen=True)
class Session:
    """One session.

    Attributes:
        created: Unix seconds.
    """

    user_id: str
    session_id: str
    created: int
    url: str

    @property
    def created_time(self) -> str:
        """The same as RFC 3339."""
        return to_text(self.created * SECOND)


class People:
    """Looks users up."""

    def __init__(self, client: Client, config: Config) -> None:
        self._client = client
        self._url = config.api_url
        self._limit = RateLimit()

    def find(self, asked: Asked) -> list[User]:
        """Return everybody who is meant; several users may share an e-mail.

        Raises:
            UnknownUserError: there is nobody.
        """
        found = self._by_id(asked.value) if asked.kind == ID else self._listed(asked)
        if not found:
            raise UnknownUserError(f"Fullstory knows no user with {shown(asked)}.")
        return found

    def _by_id(self, user_id: str) -> list[User]:
        if not is_path_segment(user_id):
            return []
        try:
            user = self._client.get_json(f"{self._url}{USERS}/{quote(user_id, safe='')}", parse_user, limit=self._limit)
        except NotFoundError:
            return []
        if user.id != user_id:
            raise ResponseError(f"Fullstory was asked for id:{user_id} and answered with id:{user.id}.", REPORT)
        return [user]

    def _listed(self, asked: Asked) -> list[User]:
        """Return who is meant of those that the list holds: what it filters by is not for us to trust."""
        found: dict[str, User] = {}
        token, others = "", 0
        for _ in range(MOST_PAGES):
            query: dict[str, Any] = {asked.kind: asked.value, **({"page_token": token} if token else {})}
            page, following = self._client.get_json(f"{self._url}{USERS}", _parse_users, limit=self._limit, **query)
            for user in page:
                if user.is_meant(asked):
                    found[user.id] = user
                else:
                    others += 1
            if not following or following == token:
                if others:
                    LOGGER.warning("Fullstory listed %d others for %s; they are left out.", others, asked)
                return list(found.values())
            token = following
        raise ResponseError(
            f"Fullstory lists users for {asked} without end ({others} of them others): it does not seem to filter.",
            REPORT,
        )

    def individual(self, uid: str) -> Members:
        """Return what v1 knows of a user, first and last seen among it; empty: nothing."""
        if not is_path_segment(uid):
            return {}
        try:
            return self._client.get_json(
                f"{self._url}{INDIVIDUALS}/{quote(uid, safe='')}", _parse_object, limit=self._limit
            )
        except NotFoundError:
            return {}

    def uid(self, asked: Asked, why: str) -> str:
        """Return the uid of the one who is meant.

        Args:
            why: what it is needed for.

        Raises:
            UnknownUserError: there is nobody, nobody with a uid, or more than one.
        """
        if asked.kind == UID:
            return asked.value
        users = self.find(asked)
        uids = list(dict.fromkeys(user.uid for user in users if user.uid))
        if not uids:
            raise UnknownUserError(f"The user with {shown(asked)} has no uid, and {why} by uid alone.")
        if len(uids) > 1:
            raise UnknownUserError(
                f"Several users have {shown(asked)}. Choose one of them by --uid: {', '.join(map(repr, uids))}."
            )
        if len(users) > 1:
            LOGGER.warning("%d users have %s; only the one with a uid is shown.", len(users), shown(asked))
        return uids[0]

    def sessions(self, asked: Asked, since: int | None, count: int | None) -> list[Session]:
        """Return sessions, the newest first.

        Fullstory shows the newest so many, without pages: more is asked for until they reach back far enough.

        Args:
            since: Unix seconds; only sessions that began then or later.
            count: so many at most; None: all since then, or the usual number.
        """
        if asked.kind == ID:
            asked = Asked(UID, self.uid(asked, "Fullstory lists sessions"))
        query: dict[str, Any] = {asked.kind: asked.value}
        limit = count or USUAL_COUNT
        while True:
            url = f"{self._url}{SESSIONS}?limit={limit}"
            listed = self._client.get_json(url, _parse_sessions, limit=self._limit, **query)
            listed.sort(key=lambda one: (one.created, one.session_id), reverse=True)
            if since is None or count is not None or len(listed) < limit or listed[-1].created < since:
                break
            if limit >= MOST_COUNT:
                LOGGER.warning("Only the newest %d sessions were asked for; there may be older ones.", limit)
                break
            limit *= GROWTH
        if not listed:
            self._must_exist(asked)
        return [one for one in listed if since is None or one.created >= since][:count]

    def _must_exist(self, asked: Asked) -> None:
        """Raise an error for who is unknown: their list of sessions is as empty as that of who has none."""
        try:
            self.find(asked)
        except ForbiddenError:
            LOGGER.info("Whether there is such a user cannot be seen: the key may list sessions, but not users.")


def is_path_segment(text: str) -> bool:
    """Return whether *text* can be a part of a path: two dots would lead somewhere else, however they are spelt."""
    return text not in ("", ".", "..")


def shown(asked: Asked) -> str:
    """Return whom somebody asks for, for a sentence."""
    return f"the {'e-mail' if asked.kind == EMAIL else asked.kind} {asked.value!r}"


def parse_user(answer: Any) -> User:
    """Check a user as v2 shows one."""
    members = _parse_object(answer)
    user_id = _id(members.get("id"))
    if not user_id:
        raise ResponseError('A user is not as documented: no text "id".', REPORT)
    return User(
        id=user_id,
        uid=_id(members.get("uid")),
        email=_text(members.get("email")),
        name=_text(members.get("display_name")),
        is_being_deleted=members.get("is_being_deleted") is True,
        members=members,
    )


def _parse_users(answer: Any) -> tuple[list[User], str]:
    found = answer.get("results") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise ResponseError('The list of users is not as documented: no array "results".', REPORT)
    return [parse_user(one) for one in found], _text(answer.get("next_page_token"))


def _parse_sessions(answer: Any) -> list[Session]:
    found = answer.get("sessions") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise ResponseError('The list of sessions is not as documented: no array "sessions".', REPORT)
    return [_parse_session(one) for one in found]


def _parse_session(answer: Any) -> Session:
    members = _parse_object(answer)
    user_id, session_id = _text(members.get("userId")), _text(members.get("sessionId"))
    created = _text(members.get("createdTime"))
    if not user_id or not session_id or not _SECONDS.fullmatch(created) or int(created) > LATEST:
        raise ResponseError("A session is not as documented: userId, sessionId and createdTime are numbers.", REPORT)
    return Session(user_id, session_id, int(created), _text(members.get("fsUrl")))


def _parse_object(answer: Any) -> Members:
    if not isinstance(answer, dict):
        raise ResponseError("An answer is not as documented: it is no object.", REPORT)
    return answer


def _text(value: Any) -> str:
    """Return an id or a name as text; empty: there is none."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _id(value: Any) -> str:
    """Return an id that can be asked for; empty: there is none. A lone surrogate has no form that could be sent."""
    text = _text(value)
    return "" if _SURROGATE.search(text) else text


def seen(individual: Mapping[str, Any]) -> dict[str, str]:
    """Return first and last seen and the number of sessions of what v1 knows, under names like those of v2."""
    names = {"first_seen": "firstSeen", "last_seen": "lastSeen", "num_sessions": "numSessions"}
    return {name: text for name, theirs in names.items() if (text := _text(individual.get(theirs)))}
