"""What the network does to downloads and answers: breaks, ranges, connections, endless answers."""

import gzip
import json
import random
import shutil
import sys
import time
import zlib
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from fullstory_emulator.server import Request
from tests.integration.tap import (
    DAY,
    FIRST,
    GET,
    HOUR,
    LIST,
    TIMEOUT,
    Run,
    Tap,
    big_bundle,
    bundle,
    event,
    finished,
    utc_now,
)
from tests.integration.test_resume import wait_for

pytestmark = [pytest.mark.long, pytest.mark.only_source("data_export")]

MANY = 2000


def noisy_events(count: int = MANY, seed: int = 1) -> list[dict[str, Any]]:
    """Events that hardly compress, so that a file has bytes to be cut at in every encoding."""
    noise = random.Random(seed)
    return [event(i, FIRST + 60, EventTargetText=f"{noise.getrandbits(400):x}") for i in range(count)]


def noisy(count: int = MANY, **options: Any) -> Bundle:
    """A bundle of such events."""
    return Bundle(FIRST, FIRST + DAY, noisy_events(count), **options)


def noisy_at(day: int) -> Bundle:
    """One of another day."""
    return Bundle(FIRST + day * DAY, FIRST + (day + 1) * DAY, noisy_events())


def downloads(emulator: Emulator) -> list[Request]:
    """The requests for bundles."""
    return [request for request in emulator.requests if request.path == GET]


def ranges(emulator: Emulator) -> list["str | None"]:
    """What part each download asked for."""
    return [request.headers.get("range") for request in downloads(emulator)]


def downloaded(run: Run) -> int:
    """The bytes that the summary says were downloaded."""
    words = run.last_line.split()
    return int(words[words.index("downloaded,") - 2])


MEASURE = """
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], "w") as file:
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=file)
sys.exit(status)
"""


def measured(run_tap: Tap, **options: Any) -> tuple[Run, int]:
    """A sync until its end, and the most memory that it took, in KiB."""
    memory = run_tap.folder / "memory"
    # a process of its own: Linux counts what the parent held when it started the child
    process = run_tap.start(before=[sys.executable, "-c", MEASURE, str(memory)], **options)
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    return finished(process.returncode, stdout, stderr), int(memory.read_text())


# --- a download that broke off ---


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("encoding", ["file", "transport", "plain", "double"])
def test_a_download_that_broke_off_is_continued(run_tap: Tap, emulator: Emulator, encoding: Any, chunked: bool) -> None:
    """A bundle of gigabytes over a line that breaks every ten minutes would never arrive."""
    emulator.bundles = [noisy()]
    emulator.encoding, emulator.chunked, emulator.ranges = encoding, chunked, True
    whole = downloaded(run_tap())
    emulator.requests.clear()
    emulator.faults = [Fault(GET, cut_at=40_000), Fault(GET, cut_at=30_000, reset=True)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [200, 206, 206] == [request.status for request in downloads(emulator)]
    none, first, second = ranges(emulator)
    assert (None, "bytes=40000-") == (none, first)
    assert second is not None and 40_000 <= int(second[6:-1]) <= 70_000  # a reset may take bytes along
    tags = {request.headers.get("if-range") for request in downloads(emulator)[1:]}
    assert 1 == len(tags) and None not in tags
    assert whole == downloaded(run)


def test_a_file_that_changed_meanwhile_is_read_anew(run_tap: Tap, emulator: Emulator) -> None:
    """The end of one file behind the beginning of another would be events that never were."""
    emulator.bundles = [noisy(versions=[noisy_events(300, seed=2)])]
    emulator.encoding, emulator.ranges = "plain", True
    emulator.faults = [Fault(GET, cut_at=100_000)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(300)]) == (run.status, run.numbers())
    assert [record["EventTargetText"] for record in run.records()] == [
        one["EventTargetText"] for one in noisy_events(300, seed=2)
    ]
    assert [200, 200] == [request.status for request in downloads(emulator)]
    assert [None, "bytes=100000-"] == ranges(emulator)


WITHOUT: dict[str, dict[str, "str | None"]] = {
    "no tag": {"ETag": None},
    "a weak tag": {"ETag": 'W/"x"'},
    "a tag that is none": {"ETag": "x"},
    "no ranges": {"Accept-Ranges": "none"},
    "nothing said": {"Accept-Ranges": None},
}


@pytest.mark.parametrize("headers", WITHOUT.values(), ids=WITHOUT)
def test_where_nothing_promises_it_nothing_is_continued(
    run_tap: Tap, emulator: Emulator, headers: dict[str, "str | None"]
) -> None:
    """A server that knows no ranges, or cannot tell its files apart, would be asked for what it cannot give."""
    emulator.bundles = [noisy()]
    emulator.ranges = True
    emulator.faults = [Fault(GET, cut_at=40_000, headers=headers)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, None] == ranges(emulator)


def test_fullstory_as_documented_is_not_asked_for_ranges(run_tap: Tap, emulator: Emulator) -> None:
    """A request that nothing documents would be sent to a server that did not offer it."""
    emulator.bundles = [noisy()]
    emulator.faults = [Fault(GET, cut_at=40_000)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, None] == ranges(emulator)


LIES: dict[str, dict[str, Any]] = {
    "another place": {"headers": {"Content-Range": "bytes 0-99/1000"}},
    "no place": {"headers": {"Content-Range": None}},
    "an odd place": {"headers": {"Content-Range": "pages 1-2/3"}},
    "another file": {"headers": {"ETag": '"other"'}},
    "refused": {"status": 416},
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_part_that_does_not_fit_is_trouble_that_passes(run_tap: Tap, emulator: Emulator, lie: dict[str, Any]) -> None:
    """A part of the wrong place would be put into the file, or a proxy's mistake would end the run."""
    emulator.bundles = [noisy()]
    emulator.encoding, emulator.ranges = "plain", True
    emulator.faults = [Fault(GET, cut_at=40_000), Fault(GET, **lie)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, "bytes=40000-", None] == ranges(emulator)


def test_a_part_that_ends_early_is_continued_too(run_tap: Tap, emulator: Emulator) -> None:
    """A server that sends less than asked for would have us begin again and again."""
    emulator.bundles = [noisy()]
    emulator.encoding, emulator.ranges = "plain", True
    emulator.faults = [Fault(GET, cut_at=40_000), Fault(GET, truncate_at=10_000)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, "bytes=40000-", "bytes=50000-"] == ranges(emulator)


def test_a_damaged_download_is_not_continued(run_tap: Tap, emulator: Emulator) -> None:
    """A flipped byte would stay in the file, however often the rest of it is fetched."""
    emulator.bundles = [noisy()]
    emulator.ranges = True
    emulator.faults = [Fault(GET, corrupt_at=20_000, cut_at=40_000)]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, "bytes=40000-", None] == ranges(emulator)


def test_a_new_run_begins_anew(run_tap: Tap, emulator: Emulator) -> None:
    """Half a file of an earlier run, of which nothing is known any more, would be continued."""
    emulator.bundles = [noisy()]
    emulator.ranges = True
    emulator.faults = [Fault(GET, cut_at=40_000)]
    ended = run_tap(settings={"retry_timeout": 0})

    run = run_tap()

    assert (69, []) == (ended.status, ended.records())
    assert (0, [*range(MANY)]) == (run.status, run.numbers())
    assert [None, None] == ranges(emulator)


# --- connections ---


def test_all_requests_use_one_connection(run_tap: Tap, emulator: Emulator) -> None:
    """Each request would pay for a new connection and its encryption."""
    emulator.bundles = [bundle(day) for day in range(30)]
    emulator.faults = [
        Fault(LIST, status=502),
        Fault(GET, status=429, headers={"Retry-After": "1"}),
        Fault(GET, status=404),
        Fault(LIST, status=503, html=True),
    ]

    run = run_tap(settings={"retry_timeout": 20})

    assert (0, 90) == (run.status, len(run.records()))
    assert 4 + 30 + 3 == len(emulator.requests)
    assert 1 == len({request.peer for request in emulator.requests})


def test_a_redirect_keeps_the_connection(run_tap: Tap, emulator: Emulator) -> None:
    """A server that sends us on would cost a connection for each bundle."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.faults = [Fault(GET, redirect=f"{GET}?id={emulator.bundles[0].id}")]

    run = run_tap()

    assert (0, 6) == (run.status, len(run.records()))
    assert 1 == len({request.peer for request in emulator.requests})


@pytest.mark.parametrize("seconds", [0.3, 0.9, 1.0])
def test_a_connection_that_the_server_closed_meanwhile_costs_nothing(run_tap: Tap, seconds: float) -> None:
    """Each wait for the rate limit would end with a failure, a warning and a further wait."""
    with Emulator(bundles=[bundle(0), bundle(1)], keep_alive=seconds) as emulator:
        emulator.faults = [Fault(GET, status=429, headers={"Retry-After": "1"}, skip=1)]
        run = run_tap(settings={"export_url": emulator.url, "retry_timeout": 0})

    assert (0, [0, 1, 2, 100, 101, 102]) == (run.status, run.numbers())
    assert not any(line.startswith("WARNING") for line in run.said)
    assert 5 == len(emulator.requests)


def test_a_connection_that_is_closed_just_when_it_is_used_again_costs_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A server that closes idle connections at the wrong moment would be taken for one in trouble."""
    emulator.bundles = [bundle(0), bundle(1)]
    emulator.faults = [Fault(GET, reset=True)]

    run = run_tap(settings={"retry_timeout": 0})

    assert (0, [0, 1, 2, 100, 101, 102]) == (run.status, run.numbers())
    assert not any(line.startswith("WARNING") for line in run.said)
    assert 3 == emulator.count(GET)


@pytest.mark.parametrize("path, requests", [(LIST, 1), (GET, 2)])
def test_a_new_connection_that_is_closed_is_trouble(run_tap: Tap, emulator: Emulator, path: str, requests: int) -> None:
    """A server in trouble would be asked again and again without a wait."""
    emulator.bundles = [bundle(0)]
    emulator.faults = [Fault(path, reset=True, times=None)]

    run = run_tap(settings={"retry_timeout": 0})

    assert (69, []) == (run.status, run.records())
    assert requests == emulator.count(path)


# --- answers ---


ENDLESS = {
    "white space": b" ",
    "a text": b"x",
    "nesting": b"[",
    "empty objects": b"{},",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("filling", ENDLESS.values(), ids=ENDLESS)
def test_an_answer_without_end_is_refused(run_tap: Tap, emulator: Emulator, filling: bytes, packed: bool) -> None:
    """One answer would eat all the memory of the machine, 64 kB on the wire or not."""
    emulator.bundles = [bundle(0)]
    body = b'{"exports": [' + filling * (64 * 1024 * 1024 // len(filling))
    headers: dict[str, str | None] = {"Content-Type": "application/json"}
    if packed:
        body, headers["Content-Encoding"] = gzip.compress(body, 1), "gzip"
    emulator.faults = [Fault(LIST, raw=body, headers=headers, times=None)]

    run, memory = measured(run_tap, settings={"retry_timeout": 0})

    assert (65, []) == (run.status, run.records())
    assert "16 MiB" in run.last_line
    assert memory < 120 * 1024


def test_a_redirect_without_end_is_followed_at_once(run_tap: Tap, emulator: Emulator) -> None:
    """The text that comes with a redirect, which nobody reads, would eat all the memory."""
    emulator.bundles = [bundle(0)]
    location: dict[str, str | None] = {"Location": f"{GET}?id={emulator.bundles[0].id}"}
    emulator.faults = [Fault(GET, status=302, headers=location, raw=b" " * 128 * 1024 * 1024)]

    run, memory = measured(run_tap)

    assert (0, [0, 1, 2]) == (run.status, run.numbers())
    assert memory < 100 * 1024


def test_a_long_list_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """The limit would hit what a server may well answer."""
    emulator.bundles = [bundle(0)]
    listed = {"Id": emulator.bundles[0].id, "Start": FIRST, "Stop": FIRST + DAY, "Note": "x" * 15_000_000}
    emulator.faults = [Fault(LIST, raw=json.dumps({"exports": [listed]}).encode())]

    run = run_tap()

    assert (0, [0, 1, 2]) == (run.status, run.numbers())


# --- bundles that want to do harm ---

HEAD = b'[{"EventStart":"2023-11-15T01:00:00Z","UserId":1,"x":'
MEBIBYTE = 1024 * 1024
BOMBS = {
    "white space before": (b"", b" ", b"[]"),
    "white space inside": (b"[", b" ", b"]"),
    "white space behind": (HEAD + b"1}]", b" ", b"x"),
    "a text": (HEAD + b'"', b"x", b'"}]'),
    "escapes": (HEAD + b'"', b"\\n", b'"}]'),
    "nesting": (b"[", b"[", b""),
    "nested objects": (b"[", b'{"a":', b""),
    "empty objects": (HEAD + b"[", b"{},", b"{}]}]"),
    "a number": (HEAD, b"1", b"}]"),
}


@pytest.mark.parametrize("before, filling, behind", BOMBS.values(), ids=BOMBS)
def test_a_bomb_is_a_damaged_bundle(
    run_tap: Tap, emulator: Emulator, before: bytes, filling: bytes, behind: bytes
) -> None:
    """A file of one megabyte would get the container killed, or keep a processor busy for minutes."""
    emulator.bundles = [bundle(0)]
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = filling * (MEBIBYTE // len(filling))
    parts = [before, *[block] * 200, behind]
    raw = b"".join([*map(packer.compress, parts), packer.flush()])
    emulator.faults = [Fault(GET, raw=raw, times=None)]

    run, memory = measured(run_tap, settings={"retry_timeout": 0})

    assert (65, []) == (run.status, run.records())
    assert "arrived damaged" in run.last_line
    assert memory < 300 * 1024


def test_an_event_as_large_as_allowed_is_read(run_tap: Tap, emulator: Emulator) -> None:
    """The largest event that is let through would fill the memory of a small container."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, [event(1, EventTargetText="x" * 15 * MEBIBYTE), event(2)])]

    run, memory = measured(run_tap)

    assert (0, [1, 2]) == (run.status, run.numbers())
    assert memory < 300 * 1024


def test_millions_of_empty_events_are_read(run_tap: Tap, emulator: Emulator) -> None:
    """A bundle of hardly anything would fill the memory by number alone."""
    emulator.bundles = [Bundle(FIRST, FIRST + DAY, raw=b"[" + b"{}," * 500_000 + b"{}]")]

    run, memory = measured(run_tap)

    assert (0, 500_001) == (run.status, len(run.records()))
    assert memory < 100 * 1024


def test_a_spool_folder_that_goes_away_ends_with_74(run_tap: Tap, emulator: Emulator) -> None:
    """A cleaned-up temporary folder would be reported as a bug, or be waited for."""
    emulator.bundles = [bundle(0), noisy_at(1), bundle(2)]
    emulator.faults = [Fault(GET, stall_after=10_000, stall_for=2, skip=1)]
    process = run_tap.start(settings={"retry_timeout": 30})
    wait_for(lambda: emulator.count(GET) == 2)
    shutil.rmtree(run_tap.spool)
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, stdout, stderr)

    assert (74, [0, 1, 2]) == (run.status, run.numbers())
    assert str(run_tap.spool) in run.last_line
    assert 1 == sum(not line.startswith("INFO") for line in run.said)


# --- a target that takes its time ---


def test_a_target_that_takes_nothing_for_long_breaks_nothing(run_tap: Tap, emulator: Emulator) -> None:
    """A load into the warehouse that takes minutes would break connections, or fill the disk meanwhile."""
    count = 20_000
    emulator.bundles = [big_bundle(count, day, day * count) for day in range(5)]
    memory = run_tap.folder / "memory"
    process = run_tap.start(
        before=[sys.executable, "-c", MEASURE, str(memory)],
        settings={"request_timeout": 1, "prefetch": 2, "retry_timeout": 0},
    )
    wait_for(lambda: emulator.count(GET) == 3)
    time.sleep(4)
    meanwhile = emulator.count(GET)
    waiting = len(run_tap.waiting())
    stdout, stderr = process.communicate(timeout=TIMEOUT)
    run = finished(process.returncode, stdout, stderr)

    assert (0, [*range(5 * count)]) == (run.status, run.numbers())
    assert (3, 3) == (meanwhile, waiting)
    assert 5 == emulator.count(GET)
    assert not any(line.startswith("WARNING") for line in run.said)
    assert int(memory.read_text()) < 100 * 1024


# --- a clock that is wrong ---

SHIFTED = """
import datetime, time

SHIFT = {shift}
real_time, real_time_ns = time.time, time.time_ns
time.time = lambda: real_time() + SHIFT
time.time_ns = lambda: real_time_ns() + SHIFT * 10**9


class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    @classmethod
    def utcnow(cls):
        return cls.now(datetime.timezone.utc).replace(tzinfo=None)


datetime.datetime = Shifted
"""


@pytest.mark.parametrize("hours", [-10, 10])
def test_a_wrong_clock_does_no_harm(run_tap: Tap, emulator: Emulator, hours: int) -> None:
    """A machine that is hours late or early would wait for hours, or lose or repeat the newest events."""
    shifted = run_tap.folder / "shifted"
    shifted.mkdir()
    (shifted / "sitecustomize.py").write_text(SHIFTED.format(shift=hours * HOUR))
    newest = int(time.time()) // HOUR * HOUR - DAY - HOUR
    emulator.bundles = [
        Bundle(newest + i * HOUR, newest + (i + 1) * HOUR, [event(i, newest + i * HOUR + 60)]) for i in range(-3, 1)
    ]
    until = utc_now().replace(microsecond=0) + timedelta(seconds=3)
    emulator.faults = [Fault(GET, status=429, headers={"Retry-After": format_datetime(until, usegmt=True)}, skip=1)]
    offset = time.time() - time.monotonic()
    env = {"PYTHONPATH": str(shifted)}
    listed = len(emulator.listed())

    first = run_tap(env=env, settings={"start_date": None, "retry_timeout": 2})
    emulator.delay -= 4 * HOUR
    emulator.bundles = [*emulator.bundles, Bundle(newest + HOUR, newest + 2 * HOUR, [event(1, newest + HOUR)])]
    second = run_tap(env=env, state=first.states[-1])
    third = run_tap(env=env, state=second.states[-1])

    assert [0, 0, 0] == [first.status, second.status, third.status], first.stderr
    assert [*range(-3, 2)] == first.numbers() + second.numbers()
    assert listed == len(first.numbers())
    assert [] == third.records()
    at = [request.at + offset for request in downloads(emulator)]
    assert until.timestamp() <= at[2] <= until.timestamp() + 3
