"""The emulator: an HTTP server on a thread of its own that answers as Fullstory's server API does.

What it must do is documented or was seen in practice; where both are silent the choices are listed in README.md.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import cached_property, partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

from aiohttp import web

from fullstory_emulator import answers, control, data_export, segment_export, sessions, settings, users, wanted
from fullstory_emulator.answers import Answer
from fullstory_emulator.bundles import Bundle, Event, Events
from fullstory_emulator.exports import USUAL, Course, Export, Exports
from fullstory_emulator.faults import HARMLESS, Fault, flipped, is_hit, offset, shortened
from fullstory_emulator.files import Encoding
from fullstory_emulator.limits import Limit, Limits
from fullstory_emulator.routes import LEVELS
from fullstory_emulator.segments import DEMO_SEGMENTS, Segment
from fullstory_emulator.settings import Settings, demo_settings, next_version, setting_key
from fullstory_emulator.settling import Settle
from fullstory_emulator.users import Users

if TYPE_CHECKING:
    from typing_extensions import Self

    from fullstory_emulator.account import Account

MemberStyle = Literal["numbers", "strings", "lower", "capital_strings"]
HistoryMember = Literal["nextPaginationToken", "next_pagination_token"]

DEMO_KEY = "demo-key-not-secret"
DELAY = 86400  # seconds after its end until a bundle is available
PAGE_SIZE = 20  # bundles in one answer of export/list
TICK = 0.05  # seconds; how often a wait looks whether the client is still there
KEEP_ALIVE = 75.0  # seconds until an idle connection is closed
SERVER = "fullstory_emulator"  # as the header says

EXPORT_LIFETIME = 7 * 86400.0  # seconds; API: an example at …/server/v1/operations/get-operation-status/ has 6.5 days
LINK_LIFETIME = 300.0  # seconds; API: https://developer.fullstory.com/get-export-results/index.html

ROUTES = (*data_export.ROUTES, *segment_export.ROUTES, *users.ROUTES, *sessions.ROUTES, *settings.ROUTES)


@dataclass
class Request:
    """One request the emulator received; header names are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    at: float  # time.monotonic() at its arrival
    peer: int  # the client's port: requests of one connection have the same
    status: int | None = None  # None: not answered (yet)
    body: bytes = b""


class Emulator:
    """A stand-in for both hosts of the Fullstory server API, on one port of the loopback interface.

    Every public attribute may be set at any time, also while requests are served.

    Args:
        api_key: what has to follow `Authorization: Basic `, verbatim.
        role: of the key, `USER` (= Standard), `ARCHITECT`, `ADMIN` or any other of `GET /me`.
        now: Unix seconds the emulator believes it is, standing still; None: the real time.
        bundles: the content; see also `Emulator.generated` and `sample_bundles`.
        delay: seconds after its end until a bundle is available.
        page_size: bundles in one answer of the list.
        rate_limit: downloads, and the seconds in which no more than these are answered; None: no limit.
        member_style: how the list spells and types its members: `numbers` (`"Id": 1`), `strings` (`"id": "1"`), `lower`
            (`"id": 1`), `capital_strings` (`"Id": "1"`).
        encoding: how compression shows up: `file` (gzip bytes as `application/gzip`), `transport` (JSON with
            `Content-Encoding: gzip`, if the client accepts it), `plain` (not at all), `double` (a gzip file sent with
            `Content-Encoding: gzip`).
        chunked: no answer carries a Content-Length.
        ranges: downloads carry `Accept-Ranges` and a strong `ETag`, and one `Range` with `If-Range` is obeyed; a bundle
            is then held in memory while it is sent. Nothing of that is documented for Fullstory.
        segments: of the account, see `Segment`.
        course: how an export goes, see `Course`; or a function that says so for each export that is created.
        export_lifetime, link_lifetime: seconds until the results of an export, and a link to its file, expire.
        most_running: further exports are refused with 429 while so many are running; None: no limit.
        endpoint_limits: as *rate_limit*, by path, which may end with `*`.
        users: as `GET /v2/users` shows them, in place of those that follow from the events; members may be missing or
            wrong. `sessions`, if it is there, is a list of UserId, SessionId and the time of its start; otherwise these
            are those of the events with the same uid, or else id. None: whoever the events tell of.
        deletion: how the deletion of a user goes, see `Course`; each look at the user counts as a poll, too.
        individuals: what a Segment Export of individuals brings, as dicts or encoded, in a list or from a function that
            returns an iterator; None: what follows from the events.
        settings: of recording, by kind and platform (`""` for the kinds that have none), the newest version first;
            None: those of an invented account. See also `change_setting`.
        history_member: how their histories spell the token of the next page, `nextPaginationToken` or
            `next_pagination_token`.
        history_end: the token when there is no further page; None: the member is not there.
        settle: called as `settle(event, age in seconds)`; returns the event as it is seen at that age, or None if it is
            not to be seen yet. None: events are at once as they stay.
        faults: what goes wrong, see `Fault`.
        remake: called as `remake(bundle, nth)` for the nth download of a bundle, counted from 1; returns what is served
            instead, or None for the bundle as it is.
        account: makes bundles when they are asked for; replaced by setting `bundles`.
        tls: serve https with this context; None: plain http.
        keep_alive: seconds until an idle connection is closed.
        host, port: where to listen; port 0: any free one.
    """

    def __init__(
        self,
        *,
        api_key: str = DEMO_KEY,
        role: str = "ARCHITECT",
        now: float | None = None,
        bundles: Iterable[Bundle] = (),
        delay: float = DELAY,
        page_size: int = PAGE_SIZE,
        rate_limit: Limit | None = None,
        member_style: MemberStyle = "numbers",
        encoding: Encoding = "file",
        chunked: bool = False,
        ranges: bool = False,
        segments: Iterable[Segment] = DEMO_SEGMENTS,
        course: Course | Callable[[Export], Course | None] = USUAL,
        export_lifetime: float = EXPORT_LIFETIME,
        link_lifetime: float = LINK_LIFETIME,
        most_running: int | None = None,
        endpoint_limits: Mapping[str, Limit] | None = None,
        users: Iterable[dict[str, Any]] | None = None,
        deletion: Course = USUAL,
        individuals: Events | None = None,
        settings: Settings | None = None,
        history_member: HistoryMember = "nextPaginationToken",
        history_end: str | None = "",
        settle: Settle | None = None,
        faults: Iterable[Fault] = (),
        remake: Callable[[Bundle, int], Bundle | None] | None = None,
        account: Account | None = None,
        tls: ssl.SSLContext | None = None,
        keep_alive: float = KEEP_ALIVE,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self.api_key = api_key
        self.role = role
        self.delay = delay
        self.page_size = page_size
        self.rate_limit = rate_limit
        self.member_style: MemberStyle = member_style
        self.encoding: Encoding = encoding
        self.chunked = chunked
        self.ranges = ranges
        self.segments: list[Segment] = list(segments)
        self.course = course
        self.export_lifetime = export_lifetime
        self.link_lifetime = link_lifetime
        self.most_running = most_running
        self.endpoint_limits: dict[str, Limit] = dict(endpoint_limits or {})
        self.users: list[dict[str, Any]] | None = None if users is None else list(users)
        self.deletion = deletion
        self.individuals = individuals
        if settings is not None:
            self.settings = settings
        self.history_member: HistoryMember = history_member
        self.history_end = history_end
        self.settle = settle
        self.made = Exports(self)
        self.known = Users(self)
        self.limits = Limits()
        self._downloads: Counter[int] = Counter()  # by bundle id
        self._lock = threading.Lock()
        self.faults: list[Fault] = list(faults)
        self.remake = remake
        self.requests: list[Request] = []
        self.host = host
        self.port = port  # the real one once started
        self._tls = tls
        self._keep_alive = keep_alive
        self._now = now
        self._passed = 0.0  # seconds that `advance` let pass
        self._bundles: list[Bundle] = list(bundles)
        self._account = account
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._workers: ThreadPoolExecutor | None = None

    @classmethod
    def generated(
        cls,
        *,
        seed: int = 1,
        days: float = 3,
        bundle_hours: float = 24,
        events_per_bundle: int = 1000,
        visitors: int = 200,
        sites: Sequence[str] = ("shop", "classic", "app"),
        custom_vars_per_event: int | None = None,
        custom_var_names: Sequence[str] = (),
        dirty: bool = True,
        prepared: bool = False,
        now: float | None = None,
        delay: float = DELAY,
        **options: Any,
    ) -> Emulator:
        """An emulator of an invented account: bundles of *bundle_hours* that end with the newest available one.

        What is in a bundle depends on *seed* and its start alone. As the clock goes on, new bundles appear. Arguments
        as in `Account`; *options* as in `Emulator`.
        """
        from fullstory_emulator.account import Account  # only needed here, and not free to import

        account = Account(
            seed=seed,
            first=(time.time() if now is None else now) - delay - days * 86400,
            bundle_hours=bundle_hours,
            events_per_bundle=events_per_bundle,
            visitors=visitors,
            sites=sites,
            custom_vars_per_event=custom_vars_per_event,
            custom_var_names=custom_var_names,
            dirty=dirty,
            prepared=prepared,
        )
        return cls(account=account, now=now, delay=delay, **options)

    # --- what it believes ---

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, for both API hosts; `https` with *tls*."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    @property
    def now(self) -> int:
        """Unix seconds the emulator believes it is; set to None for the real time."""
        return int((time.time() if self._now is None else self._now) + self._passed)

    @now.setter
    def now(self, moment: float | None) -> None:
        self._now = moment
        self._passed = 0.0

    def advance(self, seconds: float) -> None:
        """Let time pass at once: for all that waits or expires, and for the rate limits."""
        self._passed += seconds
        self.limits.advance(seconds)

    @property
    def bundles(self) -> list[Bundle]:
        """All bundles, available or not. Of a generated account: those that have ended by now."""
        return self._bundles if self._account is None else self._account.bundles(self.now)

    @bundles.setter
    def bundles(self, bundles: Iterable[Bundle]) -> None:
        self._bundles = list(bundles)
        self._account = None

    @cached_property
    def settings(self) -> Settings:
        """The recording settings; those of an invented account are made when they are first asked for."""
        return demo_settings()

    def change_setting(
        self, kind: str, platform: str | None = None, *, by: str = "owner@example.com", **members: Any
    ) -> None:
        """Change members of a recording setting, now: a new version on top of its history.

        Args:
            platform: None: `web` if the kind has platforms.
            by: who does it.

        Raises:
            ValueError: there is no such kind, or it has no such platform.
        """
        key = setting_key(kind, platform)
        versions = self.settings.get(key, [])
        self.settings[key] = [next_version(versions, self.now, by, members), *versions]

    @property
    def exports(self) -> list[Export]:
        """The exports that were created, oldest first."""
        return self.made.all

    @property
    def is_invented(self) -> bool:
        """Whether the content is that of a generated account."""
        return self._account is not None

    def begun(self, now: float) -> list[Bundle]:
        """The bundles that an export at this moment is made of: also those that are not finished yet."""
        return self._bundles if self._account is None else self._account.bundles(now, begun=True)

    def exported(self, start: str = "", end: str = "", **members: Any) -> list[Event]:
        """The events, or people, of a Segment Export of this time range that would end now: the truth to compare with.

        *members* are further members of the request that creates it; without any it is all events of everyone.
        """
        everything = {"segmentId": "everyone", "type": "TYPE_EVENT", "format": "FORMAT_NDJSON"}
        ranges = {"timeRange": {"start": start, "end": end}, "segmentTimeRange": {"start": "", "end": ""}}
        _, asked = wanted.parse(json.dumps({**everything, **ranges, **members}).encode(), self.segments, self.now)
        return list(self.made.content(asked, self.now).events())

    def listed(self, start: float = 0) -> list[Bundle]:
        """The available bundles that end after *start*, oldest end first: what paging through the list brings."""
        return data_export.listed(self, start)

    def events(self) -> Iterator[Event]:
        """All events of all bundles listed now, in the order of the bundles."""
        for bundle in self.listed():
            yield from data_export.settled(self, bundle).read_events()

    def count_download(self, bundle: Bundle) -> int:
        """Count a download of this bundle: the how manieth it is."""
        with self._lock:
            self._downloads[bundle.id] += 1
            return self._downloads[bundle.id]

    def count(self, path: str) -> int:
        """How many requests to this path arrived."""
        return sum(request.path == path for request in self.requests)

    # --- starting and stopping ---

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen, on a thread of its own.

        Raises:
            OSError: the port is taken, or not allowed.
        """
        if self._thread is not None:
            raise RuntimeError("The emulator is running already.")
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.create_server((self.host, self.port), family=family, backlog=128)
        self.port = listener.getsockname()[1]
        ready = threading.Event()
        self._workers = ThreadPoolExecutor(8, thread_name_prefix="fullstory-emulator")
        self._thread = threading.Thread(
            target=asyncio.run, args=(self._serve(listener, ready),), name="fullstory-emulator", daemon=True
        )
        self._thread.start()
        ready.wait()
        return self

    def stop(self) -> None:
        """Stop listening and drop open connections. Does nothing if not started."""
        if self._thread is None or self._loop is None or self._stopping is None or self._workers is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        self._workers.shutdown(wait=False)
        self._thread = None

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = web.Server(self._handle, keepalive_timeout=self._keep_alive)
        runner = web.ServerRunner(server, shutdown_timeout=TICK)
        await runner.setup()
        await web.SockSite(runner, listener, ssl_context=self._tls).start()
        ready.set()
        await self._stopping.wait()
        await runner.cleanup()

    # --- one request ---

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.rel_url.raw_path
        query = dict(request.query)
        # read from the stream: request.read() refuses more than a megabyte
        body = await request.content.read()
        if request.method == "POST" and path.startswith("/api/v1/export/"):
            # the export endpoints also take their parameters as a JSON object
            # API: https://help.fullstory.com/hc/en-us/articles/360020624194
            with suppress(ValueError, AttributeError):
                query.update({name: str(value) for name, value in json.loads(body).items()})
        if path == control.PREFIX or path.startswith(control.PREFIX + "/"):
            answer = control.answer(self, request.method, path, body)
            return await self._send(request, answer, HARMLESS)

        headers = {name.lower(): value for name, value in request.headers.items()}
        record = Request(request.method, path, query, headers, time.monotonic(), _peer(request), body=body)
        self.requests.append(record)
        fault = next((fault for fault in list(self.faults) if fault.applies(request.method, path, query)), HARMLESS)
        with suppress(ConnectionError):
            await self._wait(request, fault.delay)
        if fault.reset and fault.cut_at is None:
            _reset(request)
            return web.Response()
        answer = answers.replacement(fault) if fault.replaces else await self._answer(record, fault)
        for name, value in (fault.headers or {}).items():
            for known in [known for known in answer.headers if known.lower() == name.lower()]:
                del answer.headers[known]
            if value is not None:
                answer.headers[name] = value
        record.status = answer.status
        return await self._send(request, answer, fault)

    async def _answer(self, request: Request, fault: Fault) -> Answer:
        routes = [(route, found) for route in ROUTES if (found := re.fullmatch(route.path, request.path))]
        if not routes:
            return answers.error(404)
        fitting = [(route, found) for route, found in routes if re.fullmatch(route.methods, request.method)]
        level = (fitting or routes)[0][0].level
        if level is not None:
            if request.headers.get("authorization") != f"Basic {self.api_key}":
                return answers.error(401)
            if LEVELS.get(self.role, 0) < level:
                return answers.error(403)
        if not fitting:
            return answers.error(405)
        for path, limit in self.endpoint_limits.items():
            if is_hit(path, request.path) and (seconds := self.limits.seconds_left(path, limit)):
                return answers.later(seconds)
        route, found = fitting[0]
        # on a worker, as content may have to be made first
        call = partial(route.handler, self, request, fault, *map(unquote, found.groups()))
        answer = await asyncio.get_running_loop().run_in_executor(self._workers, call)
        return answer if route.is_file else answers.spoiled(answer, fault)

    # --- onto the wire ---

    async def _send(self, request: web.BaseRequest, answer: Answer, fault: Fault) -> web.StreamResponse:
        if fault.corrupt_at is not None:
            answer.body = flipped(answer.body, offset(fault.corrupt_at, answer.length))
        if fault.truncate_at is not None:
            kept = offset(fault.truncate_at, answer.length)
            answer.body = shortened(answer.body, kept)
            answer.length = None if answer.length is None else min(answer.length, kept)
        date = formatdate(self.now, usegmt=True)
        response = web.StreamResponse(status=answer.status, headers={"Server": SERVER, "Date": date, **answer.headers})
        if answer.length is not None and not self.chunked:
            response.content_length = answer.length
        elif request.version >= (1, 1):
            response.enable_chunked_encoding()
        else:
            response.force_close()
        await response.prepare(request)
        with suppress(ConnectionError):
            await self._send_body(request, response, iter(answer.body), fault)
        return response

    async def _send_body(
        self, request: web.BaseRequest, response: web.StreamResponse, pieces: Iterator[bytes], fault: Fault
    ) -> None:
        loop = asyncio.get_running_loop()
        cut_at = None if fault.cut_at is None else offset(fault.cut_at, response.content_length)
        if cut_at is not None or fault.stall_after is not None or fault.drip:
            await response.write(b"")  # the head goes out at once, whatever becomes of the body
        sent = 0
        while (piece := await loop.run_in_executor(self._workers, next, pieces, None)) is not None:
            while piece:
                most = len(piece)
                if fault.drip:
                    most = max(1, int(fault.drip * TICK))
                if fault.stall_after is not None and sent < fault.stall_after:
                    most = min(most, fault.stall_after - sent)
                if cut_at is not None:
                    most = min(most, cut_at - sent)
                if most > 0:
                    await response.write(piece[:most])
                    sent += most
                    piece = piece[most:]
                if sent == cut_at:
                    _reset(request) if fault.reset else _close(request)
                    return
                if sent == fault.stall_after:
                    await self._wait(request, fault.stall_for)
                if fault.drip:
                    await self._wait(request, most / fault.drip)

    async def _wait(self, request: web.BaseRequest, seconds: float) -> None:
        """Do nothing for so long, or until the connection is gone, which stopping sees to, too."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError
            await asyncio.sleep(min(left, TICK))


def _peer(request: web.BaseRequest) -> int:
    name = request.transport.get_extra_info("peername") if request.transport is not None else None
    return int(name[1]) if name else 0


def _close(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.close()


def _reset(request: web.BaseRequest) -> None:
    if request.transport is not None:
        # closing with a linger time of zero is what makes the kernel send RST instead of FIN
        request.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )
        request.transport.abort()
