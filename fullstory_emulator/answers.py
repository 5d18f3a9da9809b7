"""Answers before they go out: status, headers and a body in pieces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fullstory_emulator.bundles import compress
from fullstory_emulator.faults import LOGIN_PAGE, Fault, with_wrong_trailer, without_bracket

# API: https://developer.fullstory.com/server/users/list-users/ documents these for v2 endpoints
ERRORS = {
    400: ("required_field", "required parameter is missing or malformed"),
    401: ("unauthorized", "access is unauthorized"),
    403: ("forbidden", "insufficient permissions"),
    404: ("resource_not_found", "Requested resource does not exist"),
    429: ("too_many_requests", "Too many requests. Client has exceeded the rate limit for this endpoint."),
    500: ("server_error", "Server error was encountered"),
}


@dataclass
class Answer:
    """What is about to be sent; `length` is None while the size of the body is not known."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterable[bytes] = ()
    length: int | None = 0


def whole(body: bytes, content_type: str, status: int = 200) -> Answer:
    """An answer whose body is at hand."""
    return Answer(status, {"Content-Type": content_type}, (body,), len(body))


def text(body: str, status: int = 200) -> Answer:
    """An answer in plain text."""
    return whole(body.encode(), "text/plain; charset=utf-8", status)


def document(value: Any, status: int = 200) -> Answer:
    """An answer in JSON."""
    return whole(json.dumps(value, separators=(",", ":")).encode(), "application/json", status)


def error(status: int, message: str | None = None) -> Answer:
    """`{"message": …, "code": …}`, or plain text for a status that Fullstory does not document."""
    if status not in ERRORS:
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = "Unknown"
        return text(message or phrase, status)
    code, usual = ERRORS[status]
    return document({"message": message or usual, "code": code}, status)


def too_many(seconds: int) -> Answer:
    """429 as the export endpoints say it.

    API: https://developer.fullstory.com/server/v1/exports/get-event-export/
    """
    answer = text(ERRORS[429][1], 429)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def later(seconds: int) -> Answer:
    """429 as the endpoints of the API host say it.

    API: https://developer.fullstory.com/overview/limits
    """
    answer = error(429)
    answer.headers["Retry-After"] = str(seconds)
    return answer


def xml(status: int, code: str, message: str) -> Answer:
    """An error as storage servers say it.

    API: https://cloud.google.com/storage/docs/xml-api/reference-status
    """
    body = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    return whole(body.encode(), "application/xml; charset=UTF-8", status)


def changed(answer: Answer, fault: Fault) -> Answer:
    """The answer with the members of its JSON object that a fault puts in or takes out."""
    if not (fault.change or fault.without) or answer.headers["Content-Type"] != "application/json":
        return answer
    members = json.loads(b"".join(answer.body)) | dict(fault.change or {})
    return document({name: value for name, value in members.items() if name not in fault.without}, answer.status)


def spoiled(answer: Answer, fault: Fault) -> Answer:
    """A short answer with what a fault does to its text and to its compression."""
    answer = changed(answer, fault)
    pieces = without_bracket(answer.body) if fault.drop_bracket else answer.body
    headers = answer.headers
    if fault.gzip or fault.wrong_crc or fault.wrong_length:
        pieces = with_wrong_trailer(compress(pieces), crc=fault.wrong_crc, length=fault.wrong_length)
        headers = {**headers, "Content-Encoding": "gzip"}
    body = b"".join(pieces)
    return Answer(answer.status, headers, (body,), len(body))


def replacement(fault: Fault) -> Answer:
    """What a fault that replaces the usual answer puts in its place."""
    if fault.redirect is not None:
        answer = text("Found", fault.status or 302)
        answer.headers["Location"] = fault.redirect
    elif fault.raw is not None:
        answer = whole(fault.raw, "application/octet-stream", fault.status or 200)
    elif fault.html:
        answer = whole(LOGIN_PAGE, "text/html; charset=utf-8", fault.status or 200)
    elif fault.empty:
        answer = whole(b"", "application/octet-stream", fault.status or 200)
    elif fault.body is not None or (fault.status or 200) < 400:
        body = fault.body or b""
        answer = whole(
            body.encode() if isinstance(body, str) else body, "text/plain; charset=utf-8", fault.status or 200
        )
    else:
        answer = error(fault.status or 500)
    return answer
