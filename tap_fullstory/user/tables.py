"""What people and scripts read: tables, and JSON. Nothing in it steers a terminal, whatever Fullstory sends."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tap_fullstory.logs import plain
from tap_fullstory.user.deletion import Receipt
from tap_fullstory.user.people import Session, User

WIDEST = 60  # characters of a cell
TIME_WIDTH, TYPE_WIDTH = 30, 24  # characters; events are shown as they come, so their widths cannot be looked up


def to_json(value: Any) -> str:
    """Return *value* as one line of JSON in ASCII."""
    return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    """Return *value* with text in place of what Python reads and JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value


def cell(value: Any) -> str:
    """Return *value* for a table: in one line, and not too wide."""
    text = plain(value if isinstance(value, str) else to_json(value))
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return columns side by side, under their names."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def users_table(users: Iterable[User]) -> str:
    """Return who was found, one a line."""
    rows = [
        (cell(one.id), cell(one.uid or "-"), cell(one.email or "-"), cell(one.name or "-"), _state(one))
        for one in users
    ]
    return table(("id", "uid", "e-mail", "name", ""), rows)


def _state(user: User) -> str:
    return "being deleted" if user.is_being_deleted else ""


def user_card(user: User, seen: Mapping[str, str]) -> str:
    """Return all about one user, one thing a line; texts as long as they are."""
    lines = [("id", user.id), ("uid", user.uid), ("e-mail", user.email), ("name", user.name), ("", _state(user))]
    lines += [(name.removeprefix("num_").replace("_", " "), text) for name, text in seen.items()]
    lines.append(("link", str(user.members.get("app_url") or "")))
    properties = user.members.get("properties")
    if isinstance(properties, dict):
        lines += [(f"  {name}", one if isinstance(one, str) else to_json(one)) for name, one in properties.items()]
    told = [(plain(name), plain(text)) for name, text in lines if text]
    width = max(len(name) for name, _ in told)
    return "\n".join(f"{name.ljust(width)}  {text}" for name, text in told)


def sessions_table(sessions: Iterable[Session]) -> str:
    """Return sessions, one a line, with their links whole."""
    return table(("began", "session"), [(one.created_time, plain(one.url)) for one in sessions])


def session_members(session: Session) -> dict[str, str]:
    """Return a session for JSON, under the names of the stream `user_sessions`."""
    return {
        "userId": session.user_id,
        "sessionId": session.session_id,
        "createdTime": session.created_time,
        "fsUrl": session.url,
    }


def event_rows(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield lines of time, type and page, under their names."""
    yield _event_row("time", "type", "page")
    for event in events:
        kind = ": ".join(
            str(event[name]) for name in ("EventType", "EventSubType", "EventCustomName") if event.get(name)
        )
        page = next((event[name] for name in ("PageUrl", "AppViewName", "PageName") if event.get(name)), "")
        yield _event_row(event.get("EventStart") or "", kind, page)


def _event_row(*cells: Any) -> str:
    moment, kind, page = map(cell, cells)
    return f"{moment.ljust(TIME_WIDTH)}  {kind.ljust(TYPE_WIDTH)}  {page}".rstrip()


def receipts_table(receipts: Iterable[Receipt]) -> str:
    """Return what became of each user, one a line."""
    rows = [
        (
            cell(str(one.asked)),
            one.status,
            cell(one.user.id if one.user else "-"),
            cell((one.user.uid if one.user else "") or "-"),
            cell((one.user.email if one.user else "") or "-"),
            cell(one.operation_id or "-"),
            cell(one.why),
        )
        for one in receipts
    ]
    return table(("asked", "status", "id", "uid", "e-mail", "operation", ""), rows)
