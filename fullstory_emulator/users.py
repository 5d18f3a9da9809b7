"""The users of an account: who they are, what they did, what becomes of them, and the endpoints that say and do it.

API: https://developer.fullstory.com/server/users/list-users/ and https://developer.fullstory.com/server/v1/users/get-user/
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from fullstory_emulator import answers, moments
from fullstory_emulator.answers import Answer
from fullstory_emulator.bundles import Bundle, Event, encode
from fullstory_emulator.exports import COMPLETED, FRACTIONS, PENDING, Course
from fullstory_emulator.faults import Fault
from fullstory_emulator.routes import ARCHITECT, STANDARD, Route
from fullstory_emulator.settling import moment_of, seen_events

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator, Request

Members = dict[str, Any]

A_PAGE = 10  # users; API: the answer of Fullstory's staff in their community, nothing in the reference
DELETE_USER = "DELETE_USER"
APP = "https://app.fullstory.com/ui/o-DEMO-na1"
SUFFIXES = {"str": "strVal", "int": "intVal", "real": "realVal", "bool": "boolVal", "date": "dateVal"}  # of v1
TYPES = {"str": "string", "int": "integer", "real": "real", "bool": "boolean", "date": "date"}


class Session(NamedTuple):
    """One session of a user."""

    user_id: str
    session_id: str
    start: int  # microseconds

    @property
    def id(self) -> str:
        """`<UserId>:<SessionId>`, as v2 and the addresses of the app have it."""
        return f"{self.user_id}:{self.session_id}"

    @property
    def url(self) -> str:
        """Where it can be watched."""
        return f"{APP}/session/{self.id}"


@dataclass(eq=False)
class User:
    """One user, and all that this account knows of them."""

    id: str
    uid: str = ""
    email: str = ""
    display_name: str = ""
    properties: Members = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)  # of the properties: `str`, `int`, …
    starts: dict[tuple[str, str], int] = field(default_factory=dict)  # by UserId and SessionId, in microseconds
    seen: tuple[int, int] | None = None  # the first and the last moment, in microseconds
    events: list[Event] = field(default_factory=list)
    given: Members | None = None  # the object that was set directly

    @property
    def sessions(self) -> list[Session]:
        """Newest first."""
        made = [Session(*ids, start) for ids, start in self.starts.items()]
        return sorted(made, key=lambda session: (session.start, session.id), reverse=True)

    def document(self, *, is_being_deleted: bool, with_schema: bool = False) -> Members:
        """As v2 shows a user. API: https://developer.fullstory.com/server/users/get-user/"""
        properties = {name: TYPES[self.types.get(name, "str")] for name in self.properties}
        identity = {"uid": self.uid, "display_name": self.display_name, "email": self.email}
        shown = {
            "id": self.id,
            **{name: value for name, value in identity.items() if value},
            "is_being_deleted": is_being_deleted,
            "properties": self.properties,
            "schema": {"properties": properties} if with_schema else None,
            "type_conflicts": None,
            "app_url": f"{APP}/segments/everyone/people:search:abc/user/{self.id}",
        }
        if self.given is not None:
            shown = {**shown, **self.given, "is_being_deleted": is_being_deleted or shown["is_being_deleted"]}
        return shown


@dataclass(eq=False)
class Deletion:
    """A user who is being deleted, or was. The moments are those of the emulator's clock, in Unix seconds."""

    nth: int  # counted from 1
    user: User
    created: float
    course: Course
    state: str = PENDING
    polled: int = 0  # how often somebody looked
    finished: float | None = None

    @property
    def operation_id(self) -> str:
        """As in `/operations/v1/{id}`."""
        secret = hashlib.sha256(f"deletion {self.nth} {self.created}".encode()).hexdigest()
        return base64.urlsafe_b64encode(f"{DELETE_USER}:{secret[:16]}".encode()).decode().rstrip("=")

    def document(self) -> Members:
        """The operation as the API shows it.

        API: https://developer.fullstory.com/server/v1/operations/get-operation-status/
        """
        done = 100 if self.state == COMPLETED else 99 * self.polled // ((self.course.polls or 4) + self.polled + 1)
        shown = {
            "id": self.operation_id,
            "type": DELETE_USER,
            "details": None,
            "results": None,
            "state": self.state,
            "errorDetails": self.course.error if self.state not in (PENDING, COMPLETED) else "",
            "createdAt": moments.shown(self.created, FRACTIONS[0]),
            "finishedAt": None if self.finished is None else moments.shown(self.finished, FRACTIONS[1]),
            "estimatePctComplete": done,
        }
        if self.course.step and self.state == PENDING:
            shown["step"] = self.course.step
        return shown


class Users:
    """The users of an emulator, and those of them that are being deleted."""

    def __init__(self, emulator: Emulator) -> None:
        self.deletions: list[Deletion] = []
        self._emulator = emulator
        self._lock = threading.RLock()
        self._known: tuple[Any, list[User]] = (None, [])  # of an invented account, and of which moment

    def all(self) -> list[User]:
        """Everybody who is not deleted, in the order in which they first came."""
        gone = {deletion.user.id for deletion in self.deletions if deletion.state == COMPLETED}
        return [user for user in self._everybody() if user.id not in gone]

    def get(self, user_id: str) -> User | None:
        """The user with this id of Fullstory's."""
        return next((user for user in self.all() if user.id == user_id), None)

    def by_uid(self, uid: str) -> User | None:
        """The user whom the application knows by this id."""
        return next((user for user in self.all() if uid and user.uid == uid), None)

    def deletion(self, user: User) -> Deletion | None:
        """The deletion of this user that is running."""
        running = (one for one in self.deletions if one.user.id == user.id and one.state == PENDING)
        return next(running, None)

    def delete(self, user: User) -> Deletion:
        """Begin to delete; who is being deleted already stays so."""
        with self._lock:
            deletion = self.deletion(user)
            if deletion is None:
                deletion = Deletion(len(self.deletions) + 1, user, self._emulator.now, self._emulator.deletion)
                self.deletions.append(deletion)
            return deletion

    def look(self, deletion: Deletion) -> Deletion:
        """The deletion as it is now: when its time has come, it ends."""
        course, now = deletion.course, self._emulator.now
        with self._lock:
            is_due = course.polls is not None and deletion.polled >= course.polls
            if deletion.state == PENDING and is_due and now >= deletion.created + course.seconds:
                deletion.state, deletion.finished = course.state, now
        return deletion

    def poll(self, deletion: Deletion) -> Deletion:
        """The same, and it counts as a poll."""
        with self._lock:
            self.look(deletion).polled += 1
        return deletion

    def by_operation(self, operation_id: str) -> Deletion | None:
        """The deletion of this operation."""
        return next((one for one in self.deletions if one.operation_id == operation_id), None)

    def is_being_deleted(self, user: User) -> bool:
        """Whether somebody asked for it, and it is not done yet."""
        return self.deletion(user) is not None

    def documents(self) -> list[Members]:
        """All users, as v2 shows them."""
        return [user.document(is_being_deleted=self.is_being_deleted(user)) for user in self.all()]

    def _everybody(self) -> list[User]:
        emulator = self._emulator
        derived = self._derived()
        if emulator.users is None:
            return derived
        return [_given(members, derived) for members in emulator.users]

    def _derived(self) -> list[User]:
        emulator = self._emulator
        now = emulator.now
        bundles = emulator.begun(now)
        if not emulator.is_invented or emulator.settle is not None:
            return derive(self._events(bundles, now))
        key = (tuple(map(id, bundles)), now)
        with self._lock:
            if self._known[0] != key:  # an invented account is made anew whenever it is read
                self._known = (key, derive(self._events(bundles, now)))
            return self._known[1]

    def _events(self, bundles: list[Bundle], now: float) -> Iterator[tuple[int, Event]]:
        """The events that have happened by now, each with its moment."""
        settle = self._emulator.settle
        for bundle in bundles:
            try:
                events = bundle.read_events() if settle is None else seen_events(bundle, now, settle)
                for event in events:
                    if isinstance(event, dict) and (moment := moment_of(event, bundle)) <= now * moments.SECOND:
                        yield moment, event
            except ValueError:
                continue  # raw text that is no array tells of nobody


def derive(events: Iterable[tuple[int, Event]]) -> list[User]:
    """Whom the events tell of, in the order in which they first came.

    One `IndvId` is one user, and so is one `UserAppKey`; where an event has none of them, one `UserId`.
    """
    told = [(moment, event, _individual(event)) for moment, event in events]
    uids: dict[str, str] = {}  # by individual: the first that was told of them, also of what they did before that
    for _, event, individual in told:
        if uid := _text(event.get("UserAppKey")):
            uids.setdefault(individual, uid)
    users: dict[tuple[str, str], User] = {}
    taken: set[str] = set()
    for moment, event, individual in told:
        uid = _text(event.get("UserAppKey")) or uids.get(individual, "")
        key = ("uid", uid) if uid else ("individual", individual)
        if not uid and not individual:
            continue
        if key not in users:
            # a browser that several people share has but one IndvId
            user_id = individual if individual and individual not in taken else f"{individual}.{len(users)}"
            taken.add(user_id)
            users[key] = User(user_id, uid)
        _learn(users[key], moment, event)
    return list(users.values())


def _individual(event: Event) -> str:
    return _text(event.get("IndvId")) or _text(event.get("UserId"))


def _learn(user: User, moment: int, event: Event) -> None:
    """What one event says about its user."""
    user.email = _text(event.get("UserEmail")) or user.email
    user.display_name = _text(event.get("UserDisplayName")) or user.display_name
    user.seen = (min(user.seen[0], moment), max(user.seen[1], moment)) if user.seen else (moment, moment)
    user.events.append(event)
    for name, value in event.items():
        if name.startswith("user_"):
            short, _, suffix = name.removeprefix("user_").rpartition("_")
            if short and suffix in TYPES:
                user.types[short] = suffix
            user.properties[short if short and suffix in TYPES else name.removeprefix("user_")] = value
    ids = (_text(event.get("UserId")), _text(event.get("SessionId")))
    if all(ids):
        try:
            start = moments.parse(event["SessionStart"])
        except (KeyError, TypeError, ValueError):
            start = moment  # of the first event, where nothing says when the session began
        user.starts[ids] = min(start, user.starts.get(ids, start))


def _text(value: Any) -> str:
    """An id or a name as text; what is neither is none."""
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _given(members: Mapping[str, Any], derived: list[User]) -> User:
    """A user who was set directly, with the events of the one who is the same by uid, or else by id."""
    shown = {name: value for name, value in members.items() if name != "sessions"}
    user_id, uid = _text(members.get("id")), _text(members.get("uid"))
    known = next((user for user in derived if uid and user.uid == uid), None)
    known = known or next((user for user in derived if user.id == user_id and not (uid and user.uid)), None)
    starts = dict(known.starts) if known else {}
    if "sessions" in members:
        starts = {(str(user), str(session)): moments.parse(start) for user, session, start in members["sessions"]}
    seen = known.seen if known else None
    if starts and not seen:
        seen = min(starts.values()), max(starts.values())
    return User(
        id=user_id,
        uid=uid,
        email=_text(members.get("email")),
        display_name=_text(members.get("display_name")),
        properties=members.get("properties") or {},
        starts=starts,
        seen=seen,
        events=known.events if known else [],
        given=shown,
    )


# --- the endpoints ---


def _list(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/users/list-users/"""
    query = request.query
    flags = [query.get(name, "false").lower() for name in ("is_identified", "include_schema")]
    if not set(flags) <= {"true", "false"}:
        return answers.error(400, "is_identified and include_schema are true or false")
    filters = {name: query[name] for name in ("uid", "email", "display_name", "is_identified") if query.get(name)}
    found = [user for user in emulator.known.all() if _fits(user, filters)]
    begin = 0
    if token := query.get("page_token"):
        tokens = {_token(filters, at): at for at in range(A_PAGE, len(found) + A_PAGE, A_PAGE)}
        if token not in tokens:
            return answers.error(400, "page_token is none of those given for these filters")
        begin = tokens[token]
    page = [_shown(emulator, user, flags[1] == "true") for user in found[begin : begin + A_PAGE]]
    answer = {
        "results": page,
        "total_records": str(len(found)),
        "app_url": f"{APP}/segments/everyone/people:search:abc/0",
    }
    if begin + A_PAGE < len(found):
        answer["next_page_token"] = _token(filters, begin + A_PAGE)
    return answers.document(answer)


def _fits(user: User, filters: Mapping[str, str]) -> bool:
    return (
        filters.get("uid", user.uid) == user.uid
        and filters.get("email", user.email).lower() == user.email.lower()
        and filters.get("display_name", user.display_name) == user.display_name
        and ("is_identified" not in filters or (filters["is_identified"].lower() == "true") == bool(user.uid))
    )


def _token(filters: Mapping[str, str], begin: int) -> str:
    """Opaque, and of no use with other filters."""
    secret = hashlib.sha256(repr((sorted(filters.items()), begin)).encode()).digest()
    return base64.b64encode(secret[:10]).decode()  # ends with "=", and has to be quoted


def _shown(emulator: Emulator, user: User, with_schema: bool) -> Members:
    return user.document(is_being_deleted=emulator.known.is_being_deleted(user), with_schema=with_schema)


def _get(emulator: Emulator, request: Request, _: Fault, user_id: str) -> Answer:
    """API: https://developer.fullstory.com/server/users/get-user/"""
    user = _looked_at(emulator, emulator.known.get(user_id))
    if user is None:
        return answers.error(404)
    return answers.document(_shown(emulator, user, request.query.get("include_schema", "").lower() == "true"))


def _looked_at(emulator: Emulator, user: User | None) -> User | None:
    """The user, unless the deletion is done: each look at somebody who is being deleted counts as a poll of it."""
    deletion = emulator.known.deletion(user) if user else None
    if deletion is not None and emulator.known.poll(deletion).state == COMPLETED:
        return None
    return user


def _delete(emulator: Emulator, request: Request, _: Fault, user_id: str = "") -> Answer:
    """API: https://developer.fullstory.com/server/users/delete-user/"""
    uid = request.query.get("uid", "")
    if not user_id and not uid:
        return answers.error(400, "uid is required")
    user = emulator.known.get(user_id) if user_id else emulator.known.by_uid(uid)
    if user is None:
        return answers.error(404)
    emulator.known.delete(user)
    return answers.document({})


def _get_individual(emulator: Emulator, _: Request, _fault: Fault, uid: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/users/get-user/"""
    user = _looked_at(emulator, emulator.known.by_uid(uid))
    if user is None:
        return answers.error(404)
    shown: Members = {"uid": user.uid, "displayName": user.display_name, "email": user.email}
    deletion = emulator.known.deletion(user)
    if deletion is not None:
        return answers.document({"uid": user.uid, "existingOperation": deletion.document()})
    shown["numSessions"] = str(len(user.starts))
    if user.seen is not None:
        for name, moment in zip(("firstSeen", "lastSeen"), user.seen, strict=True):
            shown[name] = moments.shown(moment // moments.SECOND, f"{moment // 1000 % 1000:03}")
    variables = {
        name: {SUFFIXES[user.types[name]]: str(value) if user.types[name] == "int" else value}
        for name, value in user.properties.items()
        if name in user.types
    }
    return answers.document({**shown, "customVars": variables} if variables else shown)


def _delete_individual(emulator: Emulator, _: Request, _fault: Fault, uid: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/users/delete-user/"""
    user = emulator.known.by_uid(uid)
    return answers.error(404) if user is None else answers.document({"id": emulator.known.delete(user).operation_id})


def _user_events(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/exports/get-user-events/"""
    uid = request.query.get("uid", "")
    if not uid:
        return answers.error(400, "uid is required")
    user = emulator.known.by_uid(uid)
    if user is None:
        return answers.error(404)
    answer = answers.whole(b"[" + b",\n".join(map(encode, user.events)) + b"]\n", "application/json")
    answer.headers["Content-Disposition"] = 'attachment; filename="DataExport.json"'
    return answer


# API: https://developer.fullstory.com/server/v2/authentication/ for the levels
ROUTES = (
    Route("GET", "/v2/users", ARCHITECT, _list),
    Route("DELETE", "/v2/users", ARCHITECT, _delete),
    Route("GET", "/v2/users/([^/]+)", ARCHITECT, _get),
    Route("DELETE", "/v2/users/([^/]+)", ARCHITECT, _delete),
    Route("GET", "/users/v1/individual/([^/]+)", STANDARD, _get_individual),
    Route("DELETE", "/users/v1/individual/([^/]+)", ARCHITECT, _delete_individual),
    Route("GET|POST", "/api/v1/export/userEvents", ARCHITECT, _user_events),
)
