"""HTTP: key, timeouts, retries, rate limits, and the translation of what goes wrong into our errors.

Retries wrap one whole attempt and know only our error types. The server's answer is the only clock: after a refusal
the next request to that endpoint goes out when the time has come that the server named.
API: https://developer.fullstory.com/overview/limits (429 with `Retry-After` in whole seconds)
"""

from __future__ import annotations

import json
import logging
import random
import re
import socket
import ssl
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import backoff
import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from requests.utils import get_environ_proxies, select_proxy

from tap_fullstory.config import USER_AGENT, Config, is_loopback
from tap_fullstory.errors import (
    AuthError,
    BundleError,
    ConfigError,
    ForbiddenError,
    RateLimitError,
    RequestError,
    ResponseError,
    TapError,
    TransientError,
)
from tap_fullstory.logs import FORMATTER
from tap_fullstory.metrics import Metrics
from tap_fullstory.moments import SECOND
from tap_fullstory.report import Report

LOGGER = logging.getLogger(__name__)

CONNECT_TIMEOUT = 30.0  # seconds
LONGEST_DURATION = 1e9  # seconds that we can print; whatever a server says
LONGEST_WAIT = 3600.0  # seconds that we wait in one go when told to
FIRST_WAIT, LAST_WAIT = 1.0, 60.0  # seconds, when we are not told
MOST_JITTER, JITTER_SHARE = 1.0, 0.05  # seconds, and of the wait that we are told
MOST_DAMAGED = 5  # answers that cannot be read, before we believe it
MOST_REDIRECTS = 5
PART_SIZE = 256 * 1024  # bytes
LARGEST_ANSWER = 16 * 1024 * 1024  # bytes of a JSON answer, unpacked; twenty bundles are two thousand
SMALL = 2048  # bytes of an answer that is read only for its message

ME = "/me"
OK, PARTIAL, UNSATISFIABLE = 200, 206, 416
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 400, 401, 403, 404
TOO_MANY_REQUESTS, SERVER_ERROR, UNAVAILABLE = 429, 500, 503
PASSING = (408, 425)  # request timeout, too early
NO_AUTHORITIES = "The certificates that REQUESTS_CA_BUNDLE names cannot be read"
PROXIES = ("http", "https")  # what a proxy may speak; others need packages that the tap does not bring
PROXY_KEY = "407"  # the proxy wants a user and a password
AGAIN = "Run again with the last state; nothing written so far is lost."
CHECK_PROXY = "Check HTTPS_PROXY and NO_PROXY, then run again with the last state; nothing written so far is lost."

# Seconds of silence until the system asks whether the other side is still there, and between asking again; how often.
_SOCKET_OPTIONS = [
    *urllib3.connection.HTTPConnection.default_socket_options,
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 20), ("TCP_KEEPCNT", 6))
        if hasattr(socket, name)  # not every system has them all
    ),
]
_Origin = tuple[str, str | None, int | None]
Loads = Callable[[bytes], Any]

T = TypeVar("T")


class Writable(Protocol):
    """What a download is written to.

    Attributes:
        received: bytes written since `restart`.
        validator: the strong ETag of what they are the beginning of; None: the server does not promise that it can go
            on behind them. `restart` forgets it.
    """

    received: int
    validator: str | None

    def restart(self) -> None: ...
    def write(self, part: bytes) -> None: ...
    def flush(self) -> None: ...


class NotFoundError(RequestError):
    """HTTP 404."""


@dataclass(frozen=True)
class _Asked:
    """What a request asks for; as text, the way people read it.

    Attributes:
        signed: the URL carries its own permission, and is shown as a host alone.
    """

    method: str
    url: str
    params: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    signed: bool = False

    @property
    def place(self) -> str:
        """Its URL without what may be secret."""
        return shown(self.url, path=not self.signed)

    @property
    def endpoint(self) -> str:
        """What metrics call it."""
        return "(signed link)" if self.signed else urlsplit(self.url).path

    def __str__(self) -> str:
        return f"{self.method} {self.place}"


class RateLimit:
    """Shared by all requests to one endpoint: remembers until when the server asked us to wait."""

    def __init__(self) -> None:
        self._until = 0.0

    @property
    def is_closed(self) -> bool:
        """Whether it is not yet time."""
        return self._until > time.monotonic()

    def close(self, seconds: float) -> None:
        """Let nothing through for so many seconds."""
        self._until = max(self._until, time.monotonic() + seconds)

    def wait(self) -> None:
        """Return when the time has come."""
        seconds = self._until - time.monotonic()
        if seconds > 0:
            time.sleep(seconds)


class _Key(AuthBase):
    """Sends the key as it is. With an auth object, `requests` leaves ~/.netrc alone."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Basic {self._key}"
        return request


class _Adapter(HTTPAdapter):
    """Keeps silent connections alive: a firewall forgets them within minutes, and a bundle may take longer to make."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, socket_options=_SOCKET_OPTIONS, **options)

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        return super().proxy_manager_for(*args, socket_options=_SOCKET_OPTIONS, **options)


class _Session(requests.Session):
    """Leaves redirects to us: `requests` would read their bodies to the end, however long."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002
        return None


class Client:
    """Talks to Fullstory; usable from any thread.

    Args:
        report: counts bytes and waits; an attribute, too.
        metrics: times the requests.
    """

    def __init__(self, config: Config, report: Report, metrics: Metrics) -> None:
        self._config = config
        self.report = report
        self._metrics = metrics
        self._session = _Session()
        self._session.headers.clear()
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, _Adapter())
        self._kept: set[_Origin] = set()  # to which a connection may still be open
        self._seen: tuple[int, int] | None = None  # a moment of the server's clock, and of our monotonic one

    def now(self) -> int:
        """Return the time by the server's clock, in Unix nanoseconds; by our own while no server has named it."""
        if self._seen is None:
            return time.time_ns()
        moment, at = self._seen
        return moment + time.monotonic_ns() - at

    def get_json(
        self,
        url: str,
        parse: Callable[[Any], T],
        *,
        limit: RateLimit,
        hints: Mapping[int, str] | None = None,
        once: bool = False,
        loads: Loads = json.loads,
        **params: Any,
    ) -> T:
        """Return what *parse* makes of the JSON document at *url*.

        Args:
            parse: checks the document; may raise `ResponseError`.
            hints: a further sentence for the errors of these HTTP statuses.
            once: try only once, and not at all while *limit* is closed.
            loads: reads JSON; may raise `ValueError`.

        Raises:
            AuthError, RequestError: at once.
            RateLimitError, TransientError, ResponseError: after the last attempt.
        """
        return self._json(_Asked("GET", url, params), parse, limit, hints, once=once, loads=loads)

    def post_json(
        self,
        url: str,
        body: Any,
        parse: Callable[[Any], T],
        *,
        limit: RateLimit,
        hints: Mapping[int, str] | None = None,
        once: bool = False,
    ) -> T:
        """Send *body* as JSON and return what *parse* makes of the answer; see `get_json`.

        What is asked for may be done twice, when an answer is lost on its way.
        """
        return self._json(_Asked("POST", url, body=body), parse, limit, hints, once=once)

    def delete_json(self, url: str, parse: Callable[[Any], T], *, limit: RateLimit) -> T:
        """Delete what is at *url* and return what *parse* makes of the answer; see `get_json`.

        Like any request it is sent again when an answer is lost on its way: what is gone by then is not found.
        """
        return self._json(_Asked("DELETE", url), parse, limit, None)

    def _json(
        self,
        asked: _Asked,
        parse: Callable[[Any], T],
        limit: RateLimit,
        hints: Mapping[int, str] | None,
        *,
        once: bool = False,
        loads: Loads = json.loads,
    ) -> T:
        def attempt() -> T:
            with self._send(asked, limit, hints) as response:
                body = _body(response, asked)
            try:
                document = loads(body)
            except (ValueError, RecursionError) as error:
                kind = response.headers.get("Content-Type", "of no type")
                raise ResponseError(
                    f"{asked} was answered with something that is not JSON ({kind}, {len(body)} bytes).",
                    "Check the URL and what stands between (proxy, login page).",
                ) from error
            return parse(document)

        if not once:
            return self.retry(attempt, limit)
        if limit.is_closed:
            raise RateLimitError("Fullstory asks to come back later.")
        try:
            return attempt()
        except RateLimitError as error:
            limit.close(error.wait + _jitter(error.wait) if error.wait else FIRST_WAIT)
            raise

    def download(self, url: str, file: Writable, *, limit: RateLimit, signed: bool = False, **params: Any) -> None:
        """Replace the content of *file* by the body of *url*, as it was transferred; one attempt.

        What an attempt before has brought is continued if the server promised that it can: it named the file by a
        strong ETag and knows ranges. Who finds the content damaged has to call `file.restart`.
        API: https://www.rfc-editor.org/rfc/rfc9110#section-14 (of Fullstory nothing of that is documented)

        Args:
            signed: the URL carries its own permission and is of another host: neither key nor headers are sent along,
                and a refusal means that it has expired.

        Raises:
            AuthError, RequestError, RateLimitError, TransientError: see `retry`.
        """
        asked = _Asked("GET", url, params, signed=signed)
        begin, tag = (file.received, file.validator) if file.validator else (0, None)
        if not begin:
            file.restart()
        ranges = {"Range": f"bytes={begin}-", "If-Range": tag} if begin and tag else {}
        with self._send(asked, limit, headers=ranges) as response:
            if response.status_code == OK:
                if begin:  # it is another file by now
                    file.restart()
                file.validator = _validator(response.headers)
            elif _begin(response) == begin and response.headers.get("ETag", tag) == tag:
                LOGGER.info("The download from %s goes on after %d bytes.", asked.place, begin)
            else:
                file.restart()
                raise TransientError(
                    f"The download from {asked.place} cannot go on after {begin} bytes (HTTP {response.status_code}).",
                    AGAIN,
                )
            self._receive(response, asked.place, file)
        file.flush()

    def _receive(self, response: requests.Response, place: str, file: Writable) -> None:
        before = file.received
        parts = response.raw.stream(PART_SIZE, decode_content=False)
        while True:
            try:
                part = next(parts, b"")
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise TransientError(
                    f"The download from {place} broke off after {file.received} bytes.", AGAIN
                ) from error
            if not part:
                break
            file.write(part)
            self.report.download(len(part))
        length = response.headers.get("Content-Length", "")
        whole = _WHOLE_LENGTH.fullmatch(response.headers.get("Content-Range", ""))
        if whole:
            expected = int(whole[1])
        elif length.isascii() and length.isdigit():
            expected = before + int(length)
        else:
            return
        if file.received != expected:
            raise TransientError(f"The download from {place} ended after {file.received} of {expected} bytes.", AGAIN)

    def retry(self, attempt: Callable[[], T], limit: RateLimit) -> T:
        """Return what *attempt* returns, trying again as the contract of the errors allows.

        A 429 that names a wait is waited for without end and not counted, unless it names more than an hour; all else
        counts against `retry_timeout`, from the first failure on; an answer that cannot be read is asked for at most
        `MOST_DAMAGED` times.
        """
        clock = _Clock(self._config.retry_timeout)
        damaged = 0
        while True:
            try:
                return attempt()
            except RateLimitError as error:
                self._pause(clock.after_refusal(error), error, limit)
            except (TransientError, BundleError, ResponseError) as error:
                damaged += not isinstance(error, TransientError)
                if damaged >= MOST_DAMAGED:
                    raise
                self._pause(clock.after_failure(error), error, limit)

    def _pause(self, seconds: float, error: TapError, limit: RateLimit) -> None:
        self.report.retry()
        self.report.begin_wait(seconds)
        if isinstance(error, RateLimitError):
            LOGGER.info("%s Waiting %.0f s.", error.what, seconds)
            limit.close(seconds)
            limit.wait()
        else:
            LOGGER.warning("%s Trying again in %.0f s.", error.what, seconds)
            time.sleep(seconds)
        self.report.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Wait for what takes Fullstory its time."""
        self.report.begin_wait(seconds)
        time.sleep(seconds)
        self.report.wait(seconds)

    @contextmanager
    def _send(
        self,
        asked: _Asked,
        limit: RateLimit,
        hints: Mapping[int, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """Send a request and follow where it leads; 206 and 416 are answers to *headers* that ask for a range."""
        limit.wait()
        home = None if asked.signed else _origin(asked.url)
        answers = (OK, PARTIAL, UNSATISFIABLE) if headers else (OK,)
        for _ in range(MOST_REDIRECTS):
            response = self._ask(asked, headers or {}, with_key=_origin(asked.url) == home)
            try:
                location = response.headers.get("Location") if response.is_redirect else None
                if location is None:
                    if response.status_code not in answers:
                        if _origin(asked.url) != home and response.status_code >= BAD_REQUEST:
                            # a link that Fullstory gave us and that has expired, say: ask for a new one
                            raise TransientError(f"HTTP {response.status_code} from {asked.place}.", AGAIN)
                        _raise_for_status(response, asked, hints or {})
                    yield response
                    return
                _message(response)  # what is not read would cost the connection
            finally:
                response.close()
            try:
                following = replace(asked, url=urljoin(asked.url, location), params={})
                scheme, host, _ = _origin(following.url)
            except ValueError as error:
                raise ResponseError(f"{asked.place} redirects to something that is not a URL.") from error
            if not is_safe(scheme, host):
                raise ResponseError(f"{asked.place} redirects to {following.place}, which is not https.")
            asked = following
        raise ResponseError(f"{asked.place} redirects without end.")

    def _ask(self, asked: _Asked, more: Mapping[str, str], *, with_key: bool) -> requests.Response:
        """Send one request. The key and the user's own headers go to the host they are meant for, and no other."""
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip"}
        if with_key:
            headers |= {"User-Agent": self._config.user_agent, **self._config.http_headers}
        headers |= more
        auth = _Key(self._config.api_key) if with_key else _no_key
        timeout = min(CONNECT_TIMEOUT, self._config.request_timeout), self._config.request_timeout
        origin = _origin(asked.url)
        _check_proxy(asked)
        while True:
            kept = origin in self._kept
            self._kept.discard(origin)
            with self._metrics.http_timer(asked.endpoint) as timer:
                try:
                    response = self._session.request(
                        asked.method,
                        asked.url,
                        params=asked.params,
                        json=asked.body,
                        headers=headers,
                        auth=auth,
                        timeout=timeout,
                        stream=True,
                        allow_redirects=False,
                    )
                except (OSError, *_NO_URL) as error:  # requests' own errors are OSErrors
                    if kept and isinstance(_innermost(error), _CLOSED):
                        continue  # the server closed an idle connection while we used it again: no failure
                    raise _failure(error, asked) from error
                timer.http_status = response.status_code
            self._kept.add(origin)
            if with_key:
                self._look_at_clock(response.headers)
            return response

    def _look_at_clock(self, headers: Mapping[str, str]) -> None:
        try:
            date = int(_date(headers.get("Date", "")).timestamp()) * SECOND
        except _NO_DATE:
            return
        # `Date` is in whole seconds: what we count ourselves is more exact as long as it agrees
        if self._seen is None or not date <= self.now() < date + SECOND:
            self._seen = date, time.monotonic_ns()


class _Clock:
    """Says how long to wait before the next attempt of one request, or that there is none."""

    def __init__(self, retry_timeout: float) -> None:
        self._timeout = retry_timeout
        self._first_failure: float | None = None
        self._uncounted = 0.0  # seconds since then that were waited as told
        self._growing = growing()
        self._untold = growing()

    def after_refusal(self, error: RateLimitError) -> float:
        """Return the wait after a 429 or 503: what we are told, which alone is judged, and some jitter."""
        if error.wait is not None and error.wait > LONGEST_WAIT:
            raise error
        told = error.wait or None  # "now" is what we have just tried
        if error.wait is not None and not error.counted:
            wait = told + _jitter(told) if told else next(self._untold)
            self._uncounted += wait
            return wait
        left = self._left(error)
        if told is None:
            return min(next(self._untold), left)
        if told > left:
            raise error
        jitter = _jitter(told)
        self._uncounted += jitter
        return told + jitter

    def after_failure(self, error: TapError) -> float:
        """Return the wait after anything else that may pass; with jitter, so that many taps do not come at once."""
        left = self._left(error)
        return min(next(self._growing) * random.uniform(0.5, 1.0), left)  # no secret

    def _left(self, error: TapError) -> float:
        now = time.monotonic()
        if self._first_failure is None:
            self._first_failure, self._uncounted = now, 0.0
        left = self._timeout - (now - self._first_failure - self._uncounted)
        if left <= 0 or getattr(error, "final", False):
            raise error
        return left


def _jitter(told: float) -> float:
    """Return seconds to wait longer than told, so that several workers do not come back in the same instant."""
    return random.uniform(0.0, min(MOST_JITTER, told * JITTER_SHARE))  # no secret


def growing(first: float = FIRST_WAIT, last: float = LAST_WAIT) -> Generator[float, Any, None]:
    """Return waits in seconds that double each time, without end."""
    waits = backoff.expo(base=2, factor=first, max_value=last)
    next(waits)  # the first value only starts the generator
    return waits


def _no_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _raise_for_status(response: requests.Response, asked: _Asked, hints: Mapping[int, str]) -> None:
    status = response.status_code
    if status == OK:
        return
    what = f"HTTP {status} from {asked}{_message(response)}"
    hint = f" {hints[status]}" if status in hints else ""
    if status == UNAUTHORIZED:
        raise AuthError(f'Fullstory refused the API key ({what}). Check "api_key".{hint}')
    if status == FORBIDDEN:
        raise ForbiddenError(
            f'The API key may not do this ({what}). Check "api_key" and its role: Architect or Admin.{hint}'
        )
    if status == BAD_REQUEST:
        raise RequestError(f"Fullstory calls the request wrong ({what}). Check the settings.{hint}")
    if status == NOT_FOUND:
        raise NotFoundError(
            f'Fullstory does not know what we ask for ({what}). Check "export_url" and "api_url".{hint}'
        )
    wait = retry_after(response.headers)
    if status == TOO_MANY_REQUESTS or (status == UNAVAILABLE and wait is not None):
        told = f"Fullstory asks to come back in {duration(wait)}" if wait else "Fullstory asks to come back later"
        raise RateLimitError(
            f"{told} ({what}).",
            "Run again then with the last state.",
            wait=wait,
            counted=status != TOO_MANY_REQUESTS,
        )
    if status >= SERVER_ERROR or status in PASSING:
        raise TransientError(f"Fullstory is in trouble ({what}).", AGAIN)
    raise ResponseError(f"This answer is not documented: {what}.", "Please report it.")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that `Retry-After` names, as a number or as a date; None if it cannot be read.

    A date counts from the server's own `Date`, so that a wrong clock on this machine does no harm.
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d+(\.\d*)?", text, re.ASCII):
        return min(float(text), LONGEST_DURATION)
    try:
        then = _date(text)
    except _NO_DATE:
        return None
    try:
        now = _date(headers.get("Date", ""))
    except _NO_DATE:
        now = datetime.now(timezone.utc)
    return max(0.0, (then - now).total_seconds())


_NO_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    urllib3.exceptions.LocationParseError,  # an empty or very long part of a host name
)
_NO_DATE = (TypeError, ValueError, OverflowError)
_CLOSED = (ConnectionError, ssl.SSLEOFError)  # the other side did, and had not answered
_STRONG_TAG = re.compile(r'"[^"\s]*"')
_PART = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)", re.ASCII)
_WHOLE_LENGTH = re.compile(r"bytes \d+-\d+/(\d+)", re.ASCII)
_NO_CERTIFICATES = re.compile(r"\[(?:X509|PEM|ASN1)\b")  # as OpenSSL spells what is wrong with our own file
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")


def _date(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `2 hours 3 minutes`."""
    if not round(seconds):
        return "0 seconds"
    import pendulum  # most runs have nothing to wait for

    return pendulum.duration(seconds=round(seconds)).in_words(locale="en")


def is_safe(scheme: str, host: str | None) -> bool:
    """Return whether something may be asked there: over https, or on this machine."""
    return scheme == "https" or (scheme == "http" and is_loopback(host or ""))


def shown(url: str, *, path: bool = True) -> str:
    """Return *url* without what may be secret: user, query, fragment, and in a signed link the path."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(a URL that cannot be read)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path if path else '/…'}"


def _body(response: requests.Response, asked: _Asked) -> bytes:
    """Return the body of an answer, unpacked, which is not endless."""
    parts: list[bytes] = []
    size = 0
    try:
        for part in response.iter_content(PART_SIZE):
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER:
                raise ResponseError(
                    f"{asked} was answered with more than {LARGEST_ANSWER // 1024**2} MiB.",
                    "Check the URL and what stands between (proxy, login page).",
                )
    except requests.RequestException as error:
        raise TransientError(f"The answer from {asked.place} broke off.", AGAIN) from error
    return b"".join(parts)


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what a download can be continued by, if this server promises that it can be."""
    tag = headers.get("ETag", "")
    return tag if headers.get("Accept-Ranges") == "bytes" and _STRONG_TAG.fullmatch(tag) else None


def _begin(response: requests.Response) -> int | None:
    """Return the offset of the part that 206 brings; None: it does not say, or it is no part."""
    part = _PART.fullmatch(response.headers.get("Content-Range", ""))
    return int(part[1]) if part and response.status_code == PARTIAL else None


def _origin(url: str) -> _Origin:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _message(response: requests.Response) -> str:
    """Return what the server says, if it says it as documented (`{"message": …}`) or in a short line of text."""
    try:
        text = response.raw.read(SMALL, decode_content=True).decode(errors="replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""
    try:
        text = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        if "<" in text:
            return ""
    text = " ".join(FORMATTER.hidden(text).split())[:200]
    return f": {text}" if text else ""


def _check_proxy(asked: _Asked) -> None:
    """Raise an error for a proxy that cannot be one; `requests` dies of some, and shows their passwords."""
    proxy = select_proxy(asked.url, get_environ_proxies(asked.url))
    if not proxy:
        return
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = parts.scheme in PROXIES and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of no port, or of half an IPv6 address
        usable = False
    if not usable:
        raise ConfigError(
            f"The proxy for {asked.place} cannot be used. Check HTTPS_PROXY, of the form http://user:password@host:port."
        )


def _failure(error: Exception, asked: _Asked) -> TapError:
    """Return our error for a request that was not answered."""
    if isinstance(error, _NO_URL):
        return ConfigError(f"{asked.place} is not a URL that can be asked. Check export_url and api_url.")
    if isinstance(error, requests.exceptions.SSLError):
        return _from_tls(error, asked)
    if isinstance(error, requests.exceptions.ProxyError):
        return _from_proxy(error, asked)
    if isinstance(error, requests.RequestException):
        return TransientError(f"No answer from {asked.place} ({_reason(error)}).", AGAIN)
    return ConfigError(f"{NO_AUTHORITIES} ({error}).")  # certificates are the only files that requests reads


def _innermost(error: BaseException) -> BaseException:
    """Return the cause of all; the outer errors repeat the URL, query and all."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            return error
        error = inner


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words."""
    inner = _innermost(error)
    return str(getattr(inner, "strerror", None) or type(inner).__name__)


def _from_proxy(error: BaseException, asked: _Asked) -> TransientError:
    """Return what is wrong with the proxy, whose URL may hold a password and is not shown."""
    refused = _TUNNEL.search(str(error))
    if not refused:
        return TransientError(f"The proxy on the way to {asked.place} does not answer ({_reason(error)}).", CHECK_PROXY)
    failure = TransientError(f"The proxy refuses to connect us to {asked.place} (HTTP {refused[1]}).", CHECK_PROXY)
    failure.final = refused[1] == PROXY_KEY
    return failure


def _from_tls(error: BaseException, asked: _Asked) -> TapError:
    text = str(error)
    if _NO_CERTIFICATES.search(text):
        return ConfigError(f"{NO_AUTHORITIES} ({_reason(error)}).")
    advice = AGAIN
    if "certificate is not valid for" in text:
        advice = "The certificate is for another host: check export_url, api_url and what stands between."
    elif "CERTIFICATE_VERIFY_FAILED" in text:
        advice = "Behind a proxy with its own certificate, set REQUESTS_CA_BUNDLE."
    failure = TransientError(f"No safe connection to {asked.place} ({_reason(error)}).", advice)
    failure.final = advice != AGAIN
    return failure
