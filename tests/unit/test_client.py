"""How long to wait, how often, and what is shown of a URL; no request is sent here."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
import zlib
from dataclasses import replace

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from tap_fullstory.client import (
    LARGEST_ANSWER,
    Client,
    RateLimit,
    _Asked,
    _body,
    _raise_for_status,
    _validator,
    duration,
    retry_after,
    shown,
)
from tap_fullstory.config import Config
from tap_fullstory.errors import (
    AuthError,
    BundleError,
    RateLimitError,
    RequestError,
    ResponseError,
    TapError,
    TransientError,
)
from tap_fullstory.metrics import Metrics
from tap_fullstory.report import Report

CONFIG = Config(api_key="made-up", retry_timeout=600)
DATE = "Mon, 01 Jan 2024 00:00:00 GMT"
URL = "https://export.fullstory.com/api/v1/export/get?id=5&token=secret"
ASKED = _Asked("GET", URL)


class Attempts:
    """Raises what it is given, one for each attempt, and then succeeds."""

    def __init__(self, *errors: TapError) -> None:
        self.left = list(errors)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.left:
            raise self.left.pop(0)
        return "done"


def retry(attempts: Attempts, report: Report | None = None, retry_timeout: float = 600) -> str:
    client = Client(replace(CONFIG, retry_timeout=retry_timeout), report or Report(), Metrics())
    return client.retry(attempts, RateLimit())


def refusal(wait: float | None, *, counted: bool = False) -> RateLimitError:
    return RateLimitError("later", wait=wait, counted=counted)


def as_told(told: list[float], waits: list[float]) -> bool:
    """Whether each wait was as long as told and up to a second longer; the clock reads a little later each time."""
    assert len(told) == len(waits)
    return all(one - 0.05 <= wait <= one + 1 for one, wait in zip(told, waits, strict=True))


def test_a_refusal_is_waited_for_as_long_as_told(waits: list[float]) -> None:
    """The next request would be refused as well, or go out a minute late."""
    report = Report()

    assert "done" == retry(Attempts(refusal(17), refusal(60)), report)

    assert as_told([17, 60], waits)
    assert pytest.approx(sum(waits), abs=0.1) == report.waited


def test_told_waits_are_not_counted(waits: list[float]) -> None:
    """A backfill at the rate limit would give up after an hour."""
    attempts = Attempts(*[refusal(60)] * 500)

    assert "done" == retry(attempts, retry_timeout=10)

    assert 501 == attempts.count
    assert as_told([60] * 500, waits)


@pytest.mark.parametrize("told, most", [(60, 1.0), (3600, 1.0), (2, 0.1)])
def test_workers_do_not_come_back_in_the_same_instant(waits: list[float], told: float, most: float) -> None:
    """Of several workers that were told the same, all but one would be refused again, each time."""
    for _ in range(200):
        assert "done" == retry(Attempts(refusal(told)))

    longer = [wait - told for wait in waits]
    assert -0.05 <= min(longer) and max(longer) <= most
    assert max(longer) - min(longer) > most / 2


def test_jitter_does_not_count(waits: list[float]) -> None:
    """A run would give up before the time that it may use, for waits that nobody has asked for."""
    attempts = Attempts(*[refusal(10, counted=True)] * 100)

    with pytest.raises(RateLimitError):
        retry(attempts, retry_timeout=605)

    assert 60 == len(waits)


@pytest.mark.parametrize("counted", [False, True])
def test_a_wait_of_more_than_an_hour_ends_the_run(waits: list[float], counted: bool) -> None:
    """A run would hang for a day."""
    error = refusal(3601, counted=counted)

    with pytest.raises(RateLimitError) as caught:
        retry(Attempts(error), retry_timeout=100_000)

    assert error is caught.value and [] == waits
    assert 75 == error.status


def test_a_wait_of_an_hour_is_waited(waits: list[float]) -> None:
    """A run would give up where it is told to wait no longer than allowed."""
    assert "done" == retry(Attempts(refusal(3600)), retry_timeout=1)
    assert as_told([3600], waits)


def test_refusals_without_a_time_are_waited_for_longer_and_longer(waits: list[float]) -> None:
    """Fullstory would be asked again at once, or the run would wait without end."""
    with pytest.raises(RateLimitError):
        retry(Attempts(*[refusal(None)] * 100), retry_timeout=300)

    assert pytest.approx([1, 2, 4, 8, 16, 32, 60, 60, 60], abs=0.2) == waits[:9]
    assert pytest.approx(300, abs=1) == sum(waits)


def test_a_refusal_that_names_no_time_but_now_does_not_ask_at_once(waits: list[float]) -> None:
    """A server that says `Retry-After: 0` would be asked thousands of times a second."""
    assert "done" == retry(Attempts(*[refusal(0)] * 3))

    assert pytest.approx([1, 2, 4], abs=0.1) == waits


def test_unavailable_with_a_time_is_obeyed_and_counted(waits: list[float]) -> None:
    """A server that is down for hours would be waited for without end."""
    attempts = Attempts(*[refusal(100, counted=True)] * 100)

    with pytest.raises(RateLimitError):
        retry(attempts, retry_timeout=350)

    assert as_told([100, 100, 100], waits)


@pytest.mark.parametrize("error", [TransientError("broken"), BundleError("damaged"), ResponseError("odd")])
def test_failures_are_tried_again_with_growing_waits(waits: list[float], error: TapError) -> None:
    """A hiccup of the network would end the run."""
    assert "done" == retry(Attempts(*[error] * 4))

    assert 4 == len(waits)
    for longest, wait in zip([1, 2, 4, 8], waits, strict=True):
        assert longest / 2 <= wait <= longest + 0.1


def test_failures_end_the_run_when_their_time_is_over(waits: list[float]) -> None:
    """A server that is gone would be tried without end, or not as long as the settings say."""
    error = TransientError("gone")

    with pytest.raises(TransientError) as caught:
        retry(Attempts(*[error] * 1000))

    assert error is caught.value
    assert pytest.approx(600, abs=2) == sum(waits)
    assert max(waits) <= 60.1


def test_told_waits_between_failures_do_not_use_up_their_time(waits: list[float]) -> None:
    """Rate limits would make a run give up on the first failure after them."""
    errors = [TransientError("a"), *[refusal(60)] * 20, TransientError("b"), *[refusal(60)] * 20, TransientError("c")]

    assert "done" == retry(Attempts(*errors))


@pytest.mark.parametrize("error", [BundleError("damaged"), ResponseError("odd")])
def test_what_cannot_be_read_is_asked_for_five_times(waits: list[float], error: TapError) -> None:
    """A bundle that is broken for good would be downloaded for an hour."""
    attempts = Attempts(*[error] * 10)

    with pytest.raises(type(error)):
        retry(attempts)

    assert 5 == attempts.count
    assert 4 == len(waits)


@pytest.mark.parametrize("error", [AuthError("key"), RequestError("wrong"), ValueError("bug")])
def test_what_no_repetition_mends_is_not_repeated(waits: list[float], error: Exception) -> None:
    """A wrong key would be tried for an hour, and perhaps be locked."""
    attempts = Attempts(error)  # type: ignore[arg-type]

    with pytest.raises(type(error)):
        retry(attempts)

    assert 1 == attempts.count and [] == waits


def test_without_retry_time_nothing_is_repeated(waits: list[float]) -> None:
    """`retry_timeout: 0` would not mean what it says."""
    with pytest.raises(TransientError):
        retry(Attempts(TransientError("a")), retry_timeout=0)

    assert [] == waits


def test_a_closed_limit_lets_nothing_through(waits: list[float]) -> None:
    """After a refusal, another request to the same endpoint would go out at once."""
    limit = RateLimit()
    limit.wait()
    assert [] == waits

    limit.close(30)
    limit.close(10)
    limit.wait()
    limit.wait()

    assert pytest.approx([30], abs=0.1) == waits


def test_threads_wait_at_a_limit_together(waits: list[float]) -> None:
    """Each thread would wait the whole time once more."""
    limit = RateLimit()
    limit.close(30)
    threads = [threading.Thread(target=limit.wait) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert pytest.approx(30, abs=0.2) == sum(waits)


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"Retry-After": "17"}, 17),
        ({"Retry-After": " 17 "}, 17),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "86400"}, 86400),
        ({"Retry-After": "Mon, 01 Jan 2024 00:01:30 GMT", "Date": DATE}, 90),
        ({"Retry-After": "Mon, 01 Jan 2024 01:01:30 +0100", "Date": DATE}, 90),
        ({"Retry-After": "Monday, 01-Jan-24 00:01:30 GMT", "Date": DATE}, 90),
        ({"Retry-After": "Sun, 31 Dec 2023 00:00:00 GMT", "Date": DATE}, 0),
        ({"retry-after": "5"}, 5),
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "5s"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e3"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Mon, 99 Jan 2024 00:00:00 GMT", "Date": DATE}, None),
        ({"Retry-After": "Mon, 01 Jan 999999999999 00:00:00 GMT", "Date": DATE}, None),
    ],
)
def test_the_wait_that_an_answer_names(headers: dict[str, str], seconds: float | None) -> None:
    """The tap would wait for another time than it was told, or die of an odd header."""
    assert seconds == retry_after(CaseInsensitiveDict(headers))


def test_an_absurd_wait_is_longer_than_we_wait() -> None:
    """The tap would die of a number, or ask again as if it had not been told anything."""
    told = retry_after({"Retry-After": "9" * 400})

    assert told is not None and told > 3600


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Jan 2024 00:00:00 GMT"])
def test_a_date_counts_from_our_own_clock_if_the_answer_has_none(date: str) -> None:
    """A date would be of no use with a proxy that drops the header `Date`."""
    then = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 1000))

    assert pytest.approx(1000, abs=5) == retry_after({"Retry-After": then, "Date": date})


@pytest.mark.parametrize(
    "url, text",
    [
        (URL, "https://export.fullstory.com/api/v1/export/get"),
        ("https://user:pass@host:8443/a?b#c", "https://host:8443/a"),
        ("http://127.0.0.1:5/", "http://127.0.0.1:5/"),
        ("https://HOST/a", "https://host/a"),
    ],
)
def test_nothing_secret_is_shown_of_a_url(url: str, text: str) -> None:
    """A signed link in a log gives everybody the data."""
    assert text == shown(url)


def test_nothing_is_shown_of_a_signed_link_but_its_host() -> None:
    """A link whose path holds what permits the download would be in the log for everybody."""
    assert "https://storage.example/…" == _Asked("GET", "https://storage.example/secret?a=secret", signed=True).place


@pytest.mark.parametrize(
    "url", ["https://host:port/a?b=secret", "https://[::1/a?b=secret", "https://[::1]:80/a?b=secret"]
)
def test_a_url_that_is_none_can_be_shown(url: str) -> None:
    """An error would hide behind a bug in its own message."""
    assert "secret" not in shown(url)


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 seconds"), (1, "1 second"), (59.6, "1 minute"), (3600, "1 hour"), (7384, "2 hours 3 minutes 4 seconds")],
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    """People would have to calculate."""
    assert text == duration(seconds)


def answer(status: int, headers: dict[str, str], body: bytes = b"") -> requests.Response:
    from io import BytesIO

    from urllib3 import HTTPResponse

    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    response.raw = HTTPResponse(BytesIO(body), headers=headers, status=status, preload_content=False)
    return response


@pytest.mark.parametrize(
    "status, headers, kind, exit_status",
    [
        (400, {}, RequestError, 78),
        (401, {}, AuthError, 77),
        (403, {}, AuthError, 77),
        (404, {}, RequestError, 78),
        (408, {}, TransientError, 69),
        (418, {}, ResponseError, 65),
        (204, {}, ResponseError, 65),
        (429, {}, RateLimitError, 75),
        (429, {"Retry-After": "5"}, RateLimitError, 75),
        (500, {}, TransientError, 69),
        (502, {"Retry-After": "5"}, TransientError, 69),
        (503, {}, TransientError, 69),
        (503, {"Retry-After": "5"}, RateLimitError, 75),
        (504, {}, TransientError, 69),
    ],
)
def test_each_status_has_its_error(
    status: int, headers: dict[str, str], kind: type[TapError], exit_status: int
) -> None:
    """An orchestrator would try again what only a person can mend, or the other way round."""
    with pytest.raises(kind) as caught:
        _raise_for_status(answer(status, headers, b'{"message":"because\\nof that"}'), ASKED, {})

    assert exit_status == caught.value.status
    text = str(caught.value)
    assert f"HTTP {status} from GET https://export.fullstory.com/api/v1/export/get" in text
    assert ("because of that" in text) == (status != 204), "204 has no body"
    assert "token" not in text and "\n" not in text
    if isinstance(caught.value, RateLimitError):
        assert (5 if headers else None) == caught.value.wait
        assert (status == 503) == caught.value.counted


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff\xfe", b"[]", b'{"message":null}', b"{", b"<html><p>secret</p></html>", b"[" * 3000, b"x" * 100_000],
)
def test_any_body_of_an_error_is_survived(body: bytes) -> None:
    """An error page would end the run with a bug."""
    with pytest.raises(TransientError) as caught:
        _raise_for_status(answer(500, {}, body), ASKED, {})

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_answer_that_unpacks_to_gigabytes_is_not_read_whole() -> None:
    """A small answer could take all memory of the machine."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(b" " * 2**20) for _ in range(256)) + packer.flush()
    headers = {"Content-Encoding": "gzip"}
    tracemalloc.start()
    try:
        with pytest.raises(ResponseError, match=r"export/get was answered with more than 16 MiB"):
            _body(answer(200, headers, body), ASKED)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 3 * LARGEST_ANSWER
    assert b"[]" == _body(answer(200, {}, b"[]"), ASKED)


def test_a_hint_is_said_with_its_status() -> None:
    """Nobody would learn of the other way to get events."""
    with pytest.raises(AuthError, match="the other way"):
        _raise_for_status(answer(403, {}), ASKED, {403: "Take the other way."})


def seen(client: Client, date: str) -> None:
    client._look_at_clock(CaseInsensitiveDict({"Date": date}))


def at(second: int) -> str:
    return f"Mon, 01 Jan 2024 00:00:{second:02} GMT"


MIDNIGHT = 1_704_067_200  # 2024-01-01T00:00:00Z


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Our monotonic clock, in nanoseconds: its only item."""
    clock = [5_000_000_000]
    monkeypatch.setattr(time, "monotonic_ns", lambda: clock[0])
    return clock


def test_until_a_server_names_the_time_ours_counts() -> None:
    """There would be no time at all before the first answer."""
    client = Client(CONFIG, Report(), Metrics())
    for date in ("", "yesterday", "Mon, 99 Jan 2024 00:00:00 GMT"):
        seen(client, date)

    assert pytest.approx(time.time_ns(), abs=5_000_000_000) == client.now()


def test_the_time_is_the_servers_and_goes_on(monotonic: list[int]) -> None:
    """A machine whose clock is wrong would be wrong about what is available."""
    client = Client(CONFIG, Report(), Metrics())
    seen(client, at(10))
    assert (MIDNIGHT + 10) * 10**9 == client.now()

    monotonic[0] += 2_500_000_000
    assert (MIDNIGHT + 12) * 10**9 + 500_000_000 == client.now()


@pytest.mark.parametrize("second, expected", [(12, 12.5), (13, 13), (11, 11), (40, 40)])
def test_the_newest_answer_says_the_time_unless_it_is_less_exact(
    monotonic: list[int], second: int, expected: float
) -> None:
    """The time would jump back by up to a second with each answer, or never be corrected."""
    client = Client(CONFIG, Report(), Metrics())
    seen(client, at(10))
    monotonic[0] += 2_500_000_000
    seen(client, at(second))

    assert MIDNIGHT * 10**9 + int(expected * 10**9) == client.now()


@pytest.mark.parametrize(
    "headers, tag",
    [
        ({"Accept-Ranges": "bytes", "ETag": '"a"'}, '"a"'),
        ({"accept-ranges": "bytes", "etag": '"a-b/c"'}, '"a-b/c"'),
        ({"Accept-Ranges": "bytes", "ETag": 'W/"a"'}, None),
        ({"Accept-Ranges": "bytes", "ETag": "a"}, None),
        ({"Accept-Ranges": "bytes", "ETag": '"a", "b"'}, None),
        ({"Accept-Ranges": "none", "ETag": '"a"'}, None),
        ({"ETag": '"a"'}, None),
        ({"Accept-Ranges": "bytes"}, None),
    ],
)
def test_what_a_download_may_be_continued_by(headers: dict[str, str], tag: str | None) -> None:
    """Parts of two files would be put together where the server cannot tell them apart."""
    assert tag == _validator(CaseInsensitiveDict(headers))


def test_silent_connections_are_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall would forget a connection while a bundle is made, and the run would wait for nothing."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    session = Client(CONFIG, Report(), Metrics())._session
    adapter = session.get_adapter(URL)
    assert isinstance(adapter, HTTPAdapter)

    for pool in (adapter.poolmanager, adapter.proxy_manager_for("http://127.0.0.1:1")):
        assert (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1) in pool.connection_pool_kw["socket_options"]
