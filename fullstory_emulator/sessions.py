"""The sessions of a user: two endpoints, of different shapes.

API: https://developer.fullstory.com/server/v1/sessions/list-sessions/ and
https://developer.fullstory.com/server/sessions/list-sessions/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fullstory_emulator import answers, moments
from fullstory_emulator.answers import Answer
from fullstory_emulator.faults import Fault
from fullstory_emulator.routes import STANDARD, Route
from fullstory_emulator.users import Session

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator, Request

USUAL = "20"  # sessions in one answer, unless another limit is asked for


def _list_v1(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """Text all over, also the numbers. API: https://developer.fullstory.com/server/v1/sessions/list-sessions/"""
    found = _found(emulator, request)
    if isinstance(found, Answer):
        return found
    shown = [
        {
            "userId": session.user_id,
            "sessionId": session.session_id,
            "createdTime": str(session.start // moments.SECOND),
            "fsUrl": session.url,
        }
        for session in found
    ]
    return answers.document({"sessions": shown})


def _list_v2(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/sessions/list-sessions/"""
    found = _found(emulator, request)
    if isinstance(found, Answer):
        return found
    shown = [
        {"id": session.id, "app_url": session.url, "created_time": moments.shown(session.start // moments.SECOND)}
        for session in found
    ]
    return answers.document({"results": shown})


def _found(emulator: Emulator, request: Request) -> list[Session] | Answer:
    """The newest sessions of whom the request asks for; or why there are none."""
    uid, email = request.query.get("uid", ""), request.query.get("email", "")
    limit = request.query.get("limit", USUAL)
    if not uid and not email:
        return answers.error(400, "uid or email is required")
    if not re.fullmatch("[0-9]{1,9}", limit) or int(limit) < 1:
        return answers.error(400, "limit is a whole number above 0")
    sessions = {
        session.id: session
        for user in emulator.known.all()
        if (uid and user.uid == uid) or (email and user.email.lower() == email.lower())
        for session in user.sessions
    }
    return sorted(sessions.values(), key=lambda one: (one.start, one.id), reverse=True)[: int(limit)]


ROUTES = (
    Route("GET", "/sessions/v2", STANDARD, _list_v1),
    Route("GET", "/v2/sessions", STANDARD, _list_v2),
)
