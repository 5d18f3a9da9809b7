"""The endpoints of Segment Export: segments, operations, results, and the storage server that has the files.

API: https://developer.fullstory.com/server/v1/segments/create-segment-export/
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

from fullstory_emulator import answers, files, moments, wanted
from fullstory_emulator.answers import Answer
from fullstory_emulator.exports import COMPLETED, FAILED, NANOSECONDS, PENDING, SEARCH_EXPORT
from fullstory_emulator.faults import Fault
from fullstory_emulator.routes import ARCHITECT, STANDARD, Route

if TYPE_CHECKING:
    from fullstory_emulator.server import Emulator, Request

STORAGE = "/fullstoryapp-search-export/"  # of the download links, which refuse the key
TYPES = (SEARCH_EXPORT, "DELETE_USER", "DELETE_SESSION", "DELETE_SEGMENT_SESSIONS", "DELETE_SEGMENT_USERS")
STATES = (PENDING, COMPLETED, FAILED)
MOST = 100  # operations or segments in one answer
SEGMENTS_A_PAGE = 20  # unless another limit is asked for
HELD = 2**22  # bytes of a file that are made before the first is sent: a file that is no longer has a length
BUSY = 10  # seconds, as Retry-After says when too many exports are running


def _create(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/segments/create-segment-export/"""
    try:
        sent, asked = wanted.parse(request.body, emulator.segments, emulator.now)
    except wanted.Refusal as refusal:
        return answers.error(refusal.status, refusal.message)
    export = emulator.made.create(sent, asked)
    if export is None:
        return answers.later(BUSY)
    return answers.document({"operationId": export.operation_id})


def _get_operation(emulator: Emulator, _: Request, fault: Fault, operation_id: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/operations/get-operation-status/"""
    if (deletion := emulator.known.by_operation(operation_id)) is not None:
        return answers.document(emulator.known.poll(deletion).document())
    export = emulator.made.by_operation(operation_id)
    if export is None:
        return answers.error(404)
    shown = emulator.made.poll(export)
    if fault.expired and shown["results"]:
        shown["results"] |= {"expires": moments.shown(emulator.now - 1, NANOSECONDS)}
    return answers.document(shown)


def _list_operations(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/operations/list-operations/"""
    state, type_ = request.query.get("state"), request.query.get("type")
    if state not in (None, *STATES) or type_ not in (None, *TYPES):
        return answers.error(400, "there is no such state or type")
    exports = [(one.created, one.nth, one.document()) for one in map(emulator.made.look, emulator.exports)]
    # numbers below 0, as a page begins after a number
    deletions = [(one.created, -one.nth, one.document()) for one in map(emulator.known.look, emulator.known.deletions)]
    chosen = {
        number: shown
        for _, number, shown in sorted((*exports, *deletions), key=lambda one: (one[0], abs(one[1])), reverse=True)
        if state in (None, shown["state"]) and type_ in (None, shown["type"])
    }
    return _page(request, "operations", chosen, MOST)


def _cancel(emulator: Emulator, _: Request, _fault: Fault, operation_id: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/operations/cancel-operation/"""
    if emulator.known.by_operation(operation_id) is not None:
        return answers.error(400, "A deletion cannot be cancelled")
    export = emulator.made.by_operation(operation_id)
    if export is None:
        return answers.error(404)
    if not emulator.made.cancel(export):
        return answers.error(400, "The operation has ended already")
    return answers.document({})


def _link(emulator: Emulator, request: Request, fault: Fault, search_export_id: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/search/get-search-export-results/"""
    export = emulator.made.by_search_export(search_export_id)
    link = None if export is None or fault.expired else emulator.made.link(export)
    if link is None:
        return answers.error(404)
    # by the name under which the client reached this server, which may be that of a proxy
    scheme, _, host = emulator.url.partition("://")
    base = f"{scheme}://{request.headers.get('host', host)}"
    signed = f"X-Goog-Expires={int(emulator.link_lifetime)}&X-Goog-Signature={link.token}"
    location = f"{base}{STORAGE}{search_export_id}?{signed}"
    # only whole seconds count here: the fraction lies within the last one of the link's life
    return answers.document({"location": location, "expires": moments.shown(link.expires - 1, NANOSECONDS)})


def _list_segments(emulator: Emulator, request: Request, _: Fault) -> Answer:
    """API: https://developer.fullstory.com/server/v1/segments/list-segments/"""
    creator = request.query.get("creator")
    chosen = {
        number: segment.members
        for number, segment in enumerate(emulator.segments, 1)
        if creator in (None, segment.creator)
    }
    return _page(request, "segments", chosen, SEGMENTS_A_PAGE)


def _get_segment(emulator: Emulator, _: Request, _fault: Fault, segment_id: str) -> Answer:
    """API: https://developer.fullstory.com/server/v1/segments/get-segment/"""
    found = next((segment for segment in emulator.segments if segment.id == segment_id), None)
    return answers.error(404) if found is None else answers.document(found.members)


def _page(request: Request, name: str, things: dict[int, dict[str, Any]], usual: int) -> Answer:
    """A page of numbered things; the token says after which of them it begins."""
    limit = request.query.get("limit", str(usual))
    if not re.fullmatch("[0-9]{1,3}", limit) or not 1 <= int(limit) <= MOST:
        return answers.error(400, f"limit is a number from 1 to {MOST}")
    numbers = list(things)
    begin = 0
    token = request.query.get("paginationToken")
    if token:
        known = {_token(number): at for at, number in enumerate(numbers, 1)}
        if token not in known:
            return answers.error(400, "paginationToken is none of those given")
        begin = known[token]
    page = numbers[begin : begin + int(limit)]
    answer: dict[str, Any] = {name: [things[number] for number in page]}
    if begin + len(page) < len(numbers):
        answer["nextPaginationToken"] = _token(page[-1])
    return answers.document(answer)


def _token(number: int) -> str:
    return base64.b64encode(f"after {number}".encode()).decode()  # may end with "=", and has to be quoted then


def _download(emulator: Emulator, request: Request, fault: Fault, search_export_id: str) -> Answer:
    """The file behind a link, or the refusal of a storage server.

    API: https://cloud.google.com/storage/docs/xml-api/reference-status
    """
    if request.method != "GET":
        return answers.xml(405, "MethodNotAllowed", "The specified method is not allowed against this resource.")
    if "authorization" in request.headers:
        return answers.xml(400, "InvalidArgument", "Only one authentication mechanism is allowed.")
    link = emulator.made.linked(request.query.get("X-Goog-Signature", ""))
    if link is None or link.export.search_export_id != search_export_id:
        return answers.xml(403, "SignatureDoesNotMatch", "Access denied.")
    if fault.expired or emulator.now >= link.expires:
        return answers.xml(403, "ExpiredToken", "The provided token has expired.")
    export = emulator.made.count_download(link.export)
    assert export.content is not None
    answer = files.packed(export.content.file(other_form=fault.other_form), "file", fault)
    answer.headers["Content-Type"] = "application/octet-stream"
    answer.headers["Content-Disposition"] = f'attachment; filename="{export.name}"'
    return files.held(answer, request.headers, ranges=emulator.ranges, most=HELD)


# API: https://developer.fullstory.com/server/v2/authentication/ for the levels
ROUTES = (
    Route("POST", "/segments/v1/exports", ARCHITECT, _create),
    Route("GET", "/segments/v1", STANDARD, _list_segments),
    Route("GET", "/segments/v1/(?!exports$)([^/]+)", STANDARD, _get_segment),
    Route("GET", "/operations/v1", STANDARD, _list_operations),
    Route("GET", "/operations/v1/([^/]+)", STANDARD, _get_operation),
    Route("POST", "/operations/v1/([^/]+)/cancel", STANDARD, _cancel),
    Route("GET", "/search/v1/exports/([^/]+)/results", ARCHITECT, _link),
    Route(".*", f"{STORAGE}([^/]+)", None, _download, is_file=True),
)
