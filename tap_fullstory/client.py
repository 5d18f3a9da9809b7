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
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Protocol, TypeVar
from urllib.parse import urljoin, urlsplit

import backoff
import requests
import urllib3
from requests.auth import AuthBase

from tap_fullstory.config import USER_AGENT, Config, is_loopback
from tap_fullstory.errors import (
    AuthError,
    BundleError,
    ConfigError,
    RateLimitError,
    RequestError,
    ResponseError,
    TapError,
    TransientError,
)
from tap_fullstory.logs import FORMATTER
from tap_fullstory.metrics import Metrics
from tap_fullstory.report import Report

LOGGER = logging.getLogger(__name__)

CONNECT_TIMEOUT = 30.0  # seconds
LONGEST_DURATION = 1e9  # seconds that we can print; whatever a server says
LONGEST_WAIT = 3600.0  # seconds that we wait in one go when told to
FIRST_WAIT, LAST_WAIT = 1.0, 60.0  # seconds, when we are not told
MOST_DAMAGED = 5  # answers that cannot be read, before we believe it
MOST_REDIRECTS = 5
PART_SIZE = 256 * 1024  # bytes
LARGEST_ANSWER = 16 * 1024 * 1024  # bytes of JSON; a page of the list has some thousand

OK, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 200, 400, 401, 403, 404
TOO_MANY_REQUESTS, SERVER_ERROR, UNAVAILABLE = 429, 500, 503
PASSING = (408, 425)  # request timeout, too early
AGAIN = "Run again with the last state; nothing written so far is lost."

T = TypeVar("T")


class Writable(Protocol):
    """What a download is written to."""

    def restart(self) -> None: ...
    def write(self, part: bytes) -> None: ...
    def flush(self) -> None: ...


class NotFoundError(RequestError):
    """HTTP 404."""


class RateLimit:
    """Shared by all requests to one endpoint: remembers until when the server asked us to wait."""

    def __init__(self) -> None:
        self._until = 0.0

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


class Client:
    """Talks to Fullstory; usable from any thread.

    Args:
        report: counts bytes and waits.
        metrics: times the requests.
    """

    def __init__(self, config: Config, report: Report, metrics: Metrics) -> None:
        self._config = config
        self._report = report
        self._metrics = metrics
        self._session = requests.Session()
        self._session.headers.clear()

    def get_json(
        self,
        url: str,
        parse: Callable[[Any], T],
        *,
        limit: RateLimit,
        hints: Mapping[int, str] | None = None,
        **params: Any,
    ) -> T:
        """Return what *parse* makes of the JSON document at *url*.

        Args:
            parse: checks the document; may raise `ResponseError`.
            hints: a further sentence for the errors of these HTTP statuses.

        Raises:
            AuthError, RequestError: at once.
            RateLimitError, TransientError, ResponseError: after the last attempt.
        """

        def attempt() -> T:
            with self._send(url, params, limit, hints or {}) as response:
                body = _body(response, url)
            try:
                document = json.loads(body)
            except (ValueError, RecursionError) as error:
                kind = response.headers.get("Content-Type", "of no type")
                raise ResponseError(
                    f"GET {shown(url)} was answered with something that is not JSON ({kind}, {len(body)} bytes).",
                    "Check the URL and what stands between (proxy, login page).",
                ) from error
            return parse(document)

        return self.retry(attempt, limit)

    def download(self, url: str, file: Writable, *, limit: RateLimit, **params: Any) -> None:
        """Replace the content of *file* by the body of *url*, as it was transferred; one attempt.

        Raises:
            AuthError, RequestError, RateLimitError, TransientError: see `retry`.
        """
        file.restart()
        size = 0
        with self._send(url, params, limit, {}) as response:
            parts = response.raw.stream(PART_SIZE, decode_content=False)
            while True:
                try:
                    part = next(parts, b"")
                except (urllib3.exceptions.HTTPError, OSError) as error:
                    raise TransientError(
                        f"The download from {shown(url)} broke off after {size} bytes.", AGAIN
                    ) from error
                if not part:
                    break
                file.write(part)
                size += len(part)
                self._report.download(len(part))
            expected = response.headers.get("Content-Length", "")
            if expected.isascii() and expected.isdigit() and int(expected) != size:
                raise TransientError(f"The download from {shown(url)} ended after {size} of {expected} bytes.", AGAIN)
        file.flush()

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
        if isinstance(error, RateLimitError):
            LOGGER.info("%s Waiting %.0f s.", error.what, seconds)
            limit.close(seconds)
            limit.wait()
        else:
            LOGGER.warning("%s Trying again in %.0f s.", error.what, seconds)
            time.sleep(seconds)
        self._report.wait(seconds)

    @contextmanager
    def _send(
        self, url: str, params: Mapping[str, Any], limit: RateLimit, hints: Mapping[int, str]
    ) -> Iterator[requests.Response]:
        limit.wait()
        origin = _origin(url)
        for _ in range(MOST_REDIRECTS):
            response = self._get(url, params, with_key=_origin(url) == origin)
            try:
                location = response.headers.get("Location") if response.is_redirect else None
                if location is None:
                    if _origin(url) != origin and response.status_code >= BAD_REQUEST:
                        # a link that Fullstory gave us and that has expired, say: ask for a new one
                        raise TransientError(f"HTTP {response.status_code} from {shown(url)}.", AGAIN)
                    _raise_for_status(response, url, hints)
                    yield response
                    return
            finally:
                response.close()
            try:
                url, params = urljoin(url, location), {}
                scheme, host, _ = _origin(url)
            except ValueError as error:
                raise ResponseError(f"{shown(response.url)} redirects to something that is not a URL.") from error
            if scheme != "https" and not (scheme == "http" and is_loopback(host or "")):
                raise ResponseError(f"{shown(response.url)} redirects to {shown(url)}, which is not https.")
        raise ResponseError(f"{shown(url)} redirects without end.")

    def _get(self, url: str, params: Mapping[str, Any], *, with_key: bool) -> requests.Response:
        """Send one request. The key and the user's own headers go to the host they are meant for, and no other."""
        headers = {"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip"}
        if with_key:
            headers |= {"User-Agent": self._config.user_agent, **self._config.http_headers}
        auth = _Key(self._config.api_key) if with_key else _no_key
        timeout = min(CONNECT_TIMEOUT, self._config.request_timeout), self._config.request_timeout
        with self._metrics.http_timer(urlsplit(url).path) as timer:
            try:
                response = self._session.get(
                    url, params=params, headers=headers, auth=auth, timeout=timeout, stream=True, allow_redirects=False
                )
            except _NO_URL as error:
                raise ConfigError(
                    f"{shown(url)} is not a URL that can be asked. Check export_url and api_url."
                ) from error
            except requests.exceptions.SSLError as error:
                raise _from_tls(error, url) from error
            except requests.RequestException as error:
                raise TransientError(f"No answer from {shown(url)} ({_reason(error)}).", AGAIN) from error
            except ValueError as error:  # requests looks at where a redirect leads, also when it is not to follow it
                raise ResponseError(f"{shown(url)} redirects to something that is not a URL.") from error
            timer.http_status = response.status_code
        return response


class _Clock:
    """Says how long to wait before the next attempt of one request, or that there is none."""

    def __init__(self, retry_timeout: float) -> None:
        self._timeout = retry_timeout
        self._first_failure: float | None = None
        self._uncounted = 0.0  # seconds since then that were waited as told
        self._growing = _growing()
        self._untold = _growing()

    def after_refusal(self, error: RateLimitError) -> float:
        """Return the wait after a 429 or 503."""
        if error.wait is not None and error.wait > LONGEST_WAIT:
            raise error
        told = error.wait or None  # "now" is what we have just tried
        if error.wait is not None and not error.counted:
            wait = told or next(self._untold)
            self._uncounted += wait
            return wait
        left = self._left(error)
        if told is None:
            return min(next(self._untold), left)
        if told > left:
            raise error
        return told

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


def _growing() -> Generator[float, Any, None]:
    waits = backoff.expo(base=2, factor=FIRST_WAIT, max_value=LAST_WAIT)
    next(waits)  # the first value only starts the generator
    return waits


def _no_key(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _raise_for_status(response: requests.Response, url: str, hints: Mapping[int, str]) -> None:
    status = response.status_code
    if status == OK:
        return
    what = f"HTTP {status} from GET {shown(url)}{_message(response)}"
    hint = f" {hints[status]}" if status in hints else ""
    if status == UNAUTHORIZED:
        raise AuthError(f'Fullstory refused the API key ({what}). Check "api_key".{hint}')
    if status == FORBIDDEN:
        raise AuthError(
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


def _date(text: str) -> datetime:
    moment = parsedate_to_datetime(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def duration(seconds: float) -> str:
    """Return seconds as people say them: `2 hours 3 minutes`."""
    if not round(seconds):
        return "0 seconds"
    import pendulum  # most runs have nothing to wait for

    return pendulum.duration(seconds=round(seconds)).in_words(locale="en")


def shown(url: str) -> str:
    """Return *url* without what may be secret: user, query, fragment."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "(a URL that cannot be read)"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"https": 443, "http": 80}.get(parts.scheme)


def _body(response: requests.Response, url: str) -> bytes:
    """Return a whole answer that is small if it is as documented, however well it was packed."""
    body = bytearray()
    try:
        for part in response.iter_content(PART_SIZE):
            body += part
            if len(body) > LARGEST_ANSWER:
                raise ResponseError(f"GET {shown(url)} was answered with more than {LARGEST_ANSWER} bytes.")
    except requests.RequestException as error:
        raise TransientError(f"The answer from {shown(url)} broke off.", AGAIN) from error
    return bytes(body)


def _message(response: requests.Response) -> str:
    """Return what the server says, if it says it as documented (`{"message": …}`) or in a short line of text."""
    try:
        text = response.raw.read(2048, decode_content=True).decode(errors="replace")
    except (urllib3.exceptions.HTTPError, OSError):
        return ""
    try:
        text = str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        if "<" in text:
            return ""
    text = " ".join(FORMATTER.hidden(text).split())[:200]
    return f": {text}" if text else ""


def _reason(error: BaseException) -> str:
    """Return the innermost cause in a few words; the outer ones repeat the URL, query and all."""
    while True:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            break
        error = inner
    text = getattr(error, "strerror", None) or type(error).__name__
    return str(text)


def _from_tls(error: BaseException, url: str) -> TransientError:
    refused = "CERTIFICATE_VERIFY_FAILED" in str(error)
    advice = "Behind a proxy with its own certificate, set REQUESTS_CA_BUNDLE." if refused else AGAIN
    failure = TransientError(f"No safe connection to {shown(url)} ({_reason(error)}).", advice)
    failure.final = refused
    return failure
