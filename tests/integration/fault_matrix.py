"""The fault matrix: what may go wrong with a request, and how a run ends then.

`test_fault_matrix.py` runs the real command for each cell; `scripts/update-docs` makes the README's table of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.integration.hidden import HEADER, KEY, SIGNATURE, spellings

GOES_ON = 0
WAITS = 143  # never ends by itself: it waits as told, as often as it is told; the test stops it with SIGTERM
RETRY_TIMEOUT = 0.3  # seconds; the first wait is shortened to it, so there is exactly one more attempt

Ends = tuple[int, int]  # exit status when it happens once, and when it stays


@dataclass(frozen=True)
class Row:
    """One thing that may go wrong.

    Attributes:
        listing: how the run ends if it happens to the second page of the list.
        download: how it ends if it happens to the download of the second bundle.
        what: the thing, in the words of the README.
        fault: what the emulator does, as members of `Fault`.
        settings: of the tap, where the usual ones do not show it.
        behind: what the host does to which `LINK` leads, as members of `Fault`; None: it has the right answer.
        at_once: requests that are sent again without waiting: the server may just have closed an idle connection.
    """

    listing: Ends
    download: Ends
    what: str
    fault: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    behind: "Mapping[str, Any] | None" = None
    at_once: int = 0


ECHO = "refused: " + " ".join(sorted(spellings(KEY) | spellings(HEADER)))
MESSAGE = json.dumps({"message": ECHO, "code": "refused"})
OTHER_SHAPE = json.dumps({"exports": [{"Id": KEY, "Start": HEADER, "Stop": None}], "message": ECHO})
PAGE = f"<!DOCTYPE html><html><head><title>Log in</title></head><body>{ECHO}</body></html>"
SIGNED = "/signed"
LINK = f"http://localhost:{{port}}{SIGNED}?X-Signature={quote(SIGNATURE, safe='')}"  # to the emulator, another host
EXPIRED = f"<Error><Code>ExpiredToken</Code><Details>{SIGNATURE} {ECHO}</Details></Error>"
NOW, MOMENT = "Wed, 15 Nov 2023 12:00:00 GMT", "Wed, 15 Nov 2023 12:00:01 GMT"  # by the server's clock, which is wrong
SILENCE = {"stall_after": 100, "stall_for": 20}
IMPATIENT = {"request_timeout": 1.5}
PATIENT = {"retry_timeout": 1.5}  # room for one wait of a second, and no second one


def answer(status: int, body: str = MESSAGE, **headers: str) -> dict[str, Any]:
    """A fault that answers like this; underscores in the names of headers stand for hyphens."""
    return {"status": status, "body": body, "headers": {name.replace("_", "-"): text for name, text in headers.items()}}


# fmt: off
ROWS = (
    #   list        download    what happens                                             what the emulator does
    Row((0, 69),    (0, 69),    "Connection closed before the first byte of the body",   {"cut_at": 0}),
    Row((0, 69),    (0, 69),    "Connection closed in the middle of the body",           {"cut_at": 100}),
    Row((0, 69),    (0, 69),    "Connection closed before the last byte of the body",    {"cut_at": -1}),
    Row((0, 69),    (0, 69),    "Connection reset before the answer",                    {"reset": True}, at_once=1),
    Row((0, 69),    (0, 69),    "Connection reset in the middle of the body",            {"reset": True, "cut_at": 100}),
    Row((0, 69),    (0, 69),    "Connection silent for longer than `request_timeout`",   SILENCE, IMPATIENT),
    Row((0, 0),     (0, 0),     "Body slow, but never silent for `request_timeout`",     {"drip": 80}, IMPATIENT),
    Row((0, 65),    (0, 65),    "Compressed body cut short, `Content-Length` agrees",    {"gzip": True, "truncate_at": -20}),
    Row((0, 69),    (0, 65),    "Checksum of the compressed body wrong",                 {"gzip": True, "wrong_crc": True}),
    Row((0, 65),    (0, 65),    "Closing bracket missing",                               {"drop_bracket": True}),
    Row((78, 78),   (78, 78),   "HTTP 400",                                              answer(400, ECHO)),
    Row((77, 77),   (77, 77),   "HTTP 401",                                              answer(401)),
    Row((77, 77),   (77, 77),   "HTTP 403",                                              answer(403)),
    Row((78, 78),   (0, 65),    "HTTP 404",                                              answer(404)),
    Row((0, 69),    (0, 69),    "HTTP 408",                                              answer(408)),
    Row((0, WAITS), (0, WAITS), "HTTP 429 that names seconds",                           answer(429, Retry_After="1")),
    Row((0, WAITS), (0, WAITS), "HTTP 429 that names a moment",                          answer(429, Retry_After=MOMENT, Date=NOW)),
    Row((75, 75),   (75, 75),   "HTTP 429 that names more than an hour",                 answer(429, Retry_After="3601")),
    Row((0, 75),    (0, 75),    "HTTP 429 that names no time",                           answer(429)),
    Row((0, 75),    (0, 75),    "HTTP 429 that names a time nobody can read",            answer(429, Retry_After=KEY)),
    Row((0, 69),    (0, 69),    "HTTP 500",                                              answer(500)),
    Row((0, 69),    (0, 69),    "HTTP 502",                                              answer(502, PAGE)),
    Row((0, 69),    (0, 69),    "HTTP 503",                                              answer(503)),
    Row((0, 75),    (0, 75),    "HTTP 503 that names seconds",                           answer(503, Retry_After="1"), PATIENT),
    Row((0, 65),    (0, 65),    "HTTP 200 with a login page",                            answer(200, PAGE, Content_Type="text/html")),
    Row((0, 65),    (0, 65),    "HTTP 200 with an empty body",                           {"empty": True}),
    Row((0, 65),    (0, 65),    "HTTP 200 with JSON of another shape",                   answer(200, OTHER_SHAPE)),
    Row((0, 65),    (0, 65),    "HTTP 200 with what is not JSON",                        answer(200, ECHO, Content_Type=KEY)),
    Row((0, 0),     (0, 0),     "Redirect to a link on another host",                    {"redirect": LINK}),
    Row((0, 69),    (0, 69),    "Redirect to a link that has expired",                   {"redirect": LINK}, behind=answer(403, EXPIRED)),
)
# fmt: on


def attempts(ends: Ends) -> int:
    """How often a request is sent: what ends in the same way once and for ever is no reason to try again."""
    return 1 if ends[0] == ends[1] else 2


def table() -> str:
    """The rows as the README shows them."""
    cells = [(row.what, *(_said(row.listing[i], row.download[i]) for i in (0, 1))) for row in ROWS]
    lines = [f"| {what} | {once} | {stays} |" for what, once, stays in cells]
    return "\n".join(["| what happens | once | if it stays |", "|---|---|---|", *lines, ""])


def _said(listing: int, download: int) -> str:
    if listing == download:
        return _end(listing)
    return f"list: {_end(listing)}; download: {_end(download)}"


def _end(status: int) -> str:
    return {GOES_ON: "goes on", WAITS: "waits each time"}.get(status, f"ends with {status}")
