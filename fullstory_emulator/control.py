"""Control over HTTP: what a test in another process may ask and change. No key is needed.

| request | does |
|---|---|
| `GET /_emulator` | the settings in force, counts |
| `PUT /_emulator/settings` `{"encoding": "plain", …}` | changes settings |
| `POST /_emulator/clock` `{"advance": 3600}` | lets time pass |
| `PUT /_emulator/clock` `{"now": 1700000000}` | sets the clock; null: the real time |
| `GET /_emulator/faults` | the faults, and how often each was used |
| `POST /_emulator/faults` `{"path": "/me", "status": 503}` | adds one fault, or a list of them |
| `PUT /_emulator/faults` `[…]` | replaces all faults |
| `DELETE /_emulator/faults` | removes all faults |
| `GET /_emulator/bundles` | all bundles, available or not, without their events |
| `PUT /_emulator/bundles` `[{"start": …, "stop": …, "events": […]}, …]` | replaces the content |
| `GET /_emulator/users` | the users there are now, as `GET /v2/users` shows them |
| `PUT /_emulator/users` `[{"id": "1", …}, …]` | replaces the users; null: whoever the events tell of |
| `GET /_emulator/events` | all events of the bundles listed now, one a line |
| `GET /_emulator/exports` | the exports that were created |
| `POST /_emulator/exported` `{"start": "…", "end": "…"}` | the events an export of this time range would hold now |
| `GET /_emulator/recording` | the recording settings, and how many versions each has |
| `POST /_emulator/recording` `{"kind": "geo", "recordGeoMode": "GEO_ALL"}` | changes one: a new version of it |
| `GET /_emulator/requests` | the request log, keys left out |
| `DELETE /_emulator/requests` | empties the request log |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, get_args

from fullstory_emulator import answers
from fullstory_emulator.answers import Answer
from fullstory_emulator.bundles import Bundle, encode
from fullstory_emulator.exports import Course, Export
from fullstory_emulator.faults import Fault
from fullstory_emulator.files import Encoding
from fullstory_emulator.settling import settling

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator

PREFIX = "/_emulator"
SETTINGS = (
    "api_key",
    "role",
    "delay",
    "page_size",
    "rate_limit",
    "member_style",
    "encoding",
    "chunked",
    "ranges",
    "course",
    "export_lifetime",
    "link_lifetime",
    "most_running",
    "endpoint_limits",
    "deletion",
    "settle",
    "history_member",
    "history_end",
)


def answer(emulator: Emulator, method: str, path: str, body: bytes) -> Answer:
    """Do what a request to a control path asks; 400 says what is wrong with it, 404 that there is no such thing."""
    try:
        value = json.loads(body) if body else None
        return _answer(emulator, f"{method} {path[len(PREFIX) :].strip('/')}".strip(), value)
    except (ValueError, TypeError, KeyError, AttributeError) as problem:
        return answers.error(400, f"{type(problem).__name__}: {problem}")


def _answer(emulator: Emulator, request: str, value: Any) -> Answer:
    if request == "GET":
        return answers.document(_overview(emulator))
    if request == "PUT settings":
        _change(emulator, value)
        return answers.document(_overview(emulator))
    if request == "POST clock":
        emulator.advance(float(value["advance"]))
        return answers.document({"now": emulator.now})
    if request == "PUT clock":
        emulator.now = None if value["now"] is None else float(value["now"])
        return answers.document({"now": emulator.now})
    method, _, thing = request.partition(" ")
    if thing in ("faults", "users"):
        return (_faults if thing == "faults" else _users)(emulator, method, value)
    if request == "PUT bundles":
        emulator.bundles = [Bundle(**members) for members in value]
        return answers.document(_bundles(emulator))
    if request == "GET bundles":
        return answers.document(_bundles(emulator))
    if request == "GET events":
        return Answer(200, {"Content-Type": "application/x-ndjson"}, _lines(emulator), None)
    if request == "GET exports":
        return answers.document([_export(export) for export in emulator.exports])
    if request == "POST exported":
        events = emulator.exported(**value)
        return Answer(200, {"Content-Type": "application/x-ndjson"}, (encode(event) + b"\n" for event in events), None)
    if thing == "recording":
        return _recording(emulator, method, value)
    if thing == "requests":
        return _requests(emulator, method)
    return answers.error(404)


def _overview(emulator: Emulator) -> dict[str, Any]:
    settings = {name: getattr(emulator, name) for name in SETTINGS if name != "api_key"}
    settings["course"] = asdict(emulator.course) if isinstance(emulator.course, Course) else "(a function)"
    settings["deletion"] = asdict(emulator.deletion)
    settings["settle"] = emulator.settle is not None
    return {
        **settings,
        "now": emulator.now,
        "bundles": len(emulator.bundles),
        "listed": len(emulator.listed()),
        "exports": len(emulator.exports),
        "requests": len(emulator.requests),
    }


def _change(emulator: Emulator, settings: dict[str, Any]) -> None:
    from fullstory_emulator.server import HistoryMember, MemberStyle

    choices = {
        "encoding": get_args(Encoding),
        "member_style": get_args(MemberStyle),
        "history_member": get_args(HistoryMember),
    }
    checked: dict[str, Any] = {}  # all are checked before the first is set
    for name, value in settings.items():
        if name not in SETTINGS:
            raise ValueError(f"{name} is not one of {', '.join(SETTINGS)}")
        if name in choices and value not in choices[name]:
            raise ValueError(f"{name} is one of {', '.join(choices[name])}")
        checked[name] = value
        if name == "rate_limit" and value is not None:
            checked[name] = _limit(value)
        elif name == "endpoint_limits":
            checked[name] = {path: _limit(limit) for path, limit in value.items()}
        elif name in ("course", "deletion"):
            checked[name] = Course(**value)
        elif name == "settle":
            checked[name] = settling if value else None
    for name, value in checked.items():
        setattr(emulator, name, value)


def _limit(value: Any) -> tuple[int, float]:
    most, window = value
    return int(most), float(window)


def _export(export: Export) -> dict[str, Any]:
    counts = {"polled": export.polled, "linked": export.linked, "downloaded": export.downloaded}
    return {"request": export.request, "operation": export.document(), **counts}


def _faults(emulator: Emulator, method: str, value: Any) -> Answer:
    if method in ("POST", "PUT"):
        new = [to_fault(members) for members in (value if isinstance(value, list) else [value])]
        emulator.faults = new if method == "PUT" else [*emulator.faults, *new]
    elif method == "DELETE":
        emulator.faults = []
    elif method != "GET":
        return answers.error(405)
    return answers.document([_shown(fault) for fault in emulator.faults])


def _users(emulator: Emulator, method: str, value: Any) -> Answer:
    if method == "PUT":
        emulator.users = None if value is None else [dict(members) for members in value]
    elif method != "GET":
        return answers.error(405)
    return answers.document(emulator.known.documents())


def _recording(emulator: Emulator, method: str, value: Any) -> Answer:
    if method == "POST":
        emulator.change_setting(**value)
    elif method != "GET":
        return answers.error(405)
    return answers.document(
        [
            {"kind": kind, "platform": platform, "versions": len(versions)}
            for (kind, platform), versions in emulator.settings.items()
        ]
    )


def _requests(emulator: Emulator, method: str) -> Answer:
    if method == "DELETE":
        emulator.requests.clear()
    elif method != "GET":
        return answers.error(405)
    return answers.document([_request(asdict(request)) for request in list(emulator.requests)])


def to_fault(members: dict[str, Any]) -> Fault:
    """A fault from its JSON form: the arguments of `Fault` by name, `raw` as text.

    Raises:
        TypeError: there is no such member.
    """
    members = dict(members)
    if isinstance(members.get("raw"), str):
        members["raw"] = members["raw"].encode()
    return Fault(**members)


def _shown(fault: Fault) -> dict[str, Any]:
    """Only the members that differ from their default."""
    shown: dict[str, Any] = {}
    for member in fields(fault):
        value = getattr(fault, member.name)
        if value != member.default or member.name in ("path", "used"):
            shown[member.name] = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return shown


def _bundles(emulator: Emulator) -> list[dict[str, Any]]:
    listed = {id(bundle) for bundle in emulator.listed()}
    return [
        {"start": bundle.start, "stop": bundle.stop, "id": bundle.id, "listed": id(bundle) in listed}
        for bundle in emulator.bundles
    ]


def _lines(emulator: Emulator) -> Iterator[bytes]:
    for event in emulator.events():
        yield encode(event) + b"\n"


def _request(members: dict[str, Any]) -> dict[str, Any]:
    # a client may have been pointed here with a real key
    hidden = {name: "(hidden)" for name in members["headers"] if name == "authorization"}
    body = members["body"].decode("utf-8", "replace")
    return {**members, "headers": {**members["headers"], **hidden}, "body": body}
