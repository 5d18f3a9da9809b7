"""The endpoints of Data Export, and `GET /me`.

API: https://developer.fullstory.com/server/v1/exports/list-event-exports/
"""

from __future__ import annotations

import math
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from fullstory_emulator import answers, files
from fullstory_emulator.answers import Answer
from fullstory_emulator.bundles import Bundle
from fullstory_emulator.faults import Fault
from fullstory_emulator.routes import ANY_KEY, ARCHITECT, Route
from fullstory_emulator.settling import seen_events

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator, Request

ME, LIST, GET = "/me", "/api/v1/export/list", "/api/v1/export/get"


def listed(emulator: Emulator, start: float, *, early: bool = False) -> list[Bundle]:
    """The available bundles that end after *start*, oldest end first; *early*: also others."""
    now = emulator.now
    return sorted(
        (
            bundle
            for bundle in emulator.bundles
            if bundle.stop > start and (early or bundle.stop + emulator.delay <= now)
        ),
        key=lambda bundle: bundle.stop,
    )


def settled(emulator: Emulator, bundle: Bundle) -> Bundle:
    """The bundle as it is seen now. Text that was given ready is left as it is."""
    if emulator.settle is None or bundle.raw is not None or bundle.is_prepared:
        return bundle
    events = partial(seen_events, bundle, emulator.now, emulator.settle)
    return bundle.like(events if bundle.is_streamed else list(events()))


def _me(emulator: Emulator, _: Request, _fault: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/authentication/me/"""
    role = "USER" if emulator.role == "STANDARD" else emulator.role
    return answers.document({"orgId": "o-DEMO-na1", "email": "owner@example.com", "role": role})


def _list(emulator: Emulator, request: Request, fault: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/exports/list-event-exports/"""
    text = request.query.get("start", "0")
    if not re.fullmatch("-?[0-9]+", text):
        return answers.error(400, "start must be a whole number of seconds")
    bundles = listed(emulator, int(text), early=fault.ignore_availability)[: emulator.page_size]
    return answers.document({"exports": [_members(emulator, bundle) for bundle in bundles]})


def _members(emulator: Emulator, bundle: Bundle) -> dict[str, Any]:
    # the reference's schema says lower-case strings, its example and all known clients say capitalised numbers
    members: dict[str, Any] = {"Start": bundle.start, "Stop": bundle.stop, "Id": bundle.id}
    if emulator.member_style in ("strings", "lower"):
        members = {name.lower(): value for name, value in members.items()}
    if emulator.member_style in ("strings", "capital_strings"):
        members = {name: str(value) for name, value in members.items()}
    return members


def _get(emulator: Emulator, request: Request, fault: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/exports/get-event-export/"""
    if emulator.rate_limit and (seconds := emulator.limits.seconds_left(GET, emulator.rate_limit)):
        return answers.too_many(seconds)
    text = request.query.get("id", "")
    if not re.fullmatch("[0-9]+", text):
        return answers.error(400, "id must be a whole number")
    available = listed(emulator, -math.inf, early=fault.ignore_availability)
    found = next((bundle for bundle in available if bundle.id == int(text)), None)
    if found is None:
        return answers.error(404)
    nth = emulator.count_download(found)
    bundle = (emulator.remake(found, nth) if emulator.remake else None) or settled(emulator, found.version(nth))
    encoding = emulator.encoding
    if encoding == "transport" and "gzip" not in request.headers.get("accept-encoding", ""):
        encoding = "plain"  # as clients without gzip see it
    answer = files.packed(bundle, encoding, fault)
    most = 0 if bundle.is_streamed else math.inf
    return files.held(answer, request.headers, ranges=emulator.ranges, most=most)


ROUTES = (
    Route("GET", ME, ANY_KEY, _me),
    Route("GET|POST", LIST, ARCHITECT, _list),
    Route("GET|POST", GET, ARCHITECT, _get, is_file=True),
)
