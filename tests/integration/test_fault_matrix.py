"""The fault matrix, cell by cell: the real command, three bundles on two pages, one thing that goes wrong."""

import gzip
import json
import signal
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.fault_matrix import GOES_ON, LINK, RETRY_TIMEOUT, ROWS, SIGNED, WAITS, Row, attempts
from tests.integration.hidden import DEBUG, HEADER, KEY, SIGNATURE, assert_hidden
from tests.integration.reports import read_reports
from tests.integration.tap import (
    DAY,
    FIRST,
    GET,
    LIST,
    TIMEOUT,
    Json,
    Run,
    Tap,
    bundle,
    event,
    finished,
    read_lines,
    rfc,
)
from tests.integration.test_resume import killed, safe, wait_for

pytestmark = pytest.mark.long

COUNT = 20  # events in a bundle, which is some 200 bytes long; as long as a page of the list
BUNDLES = [bundle(day, COUNT) for day in range(3)]
SECOND_PAGE = {"start": str(BUNDLES[1].stop - 1)}  # the first one holds two bundles
SECOND_BUNDLE = {"id": str(BUNDLES[1].id)}
SETTINGS = {
    "http_headers": {"X-Token": HEADER},
    "retry_timeout": RETRY_TIMEOUT,
    "checkpoint_records": 7,
    "report_dir": "reports",
}
REFUSALS = 3  # that a run waits for before it is stopped
BIG = 3000  # events; their records are more than any pipe holds


class Cell:
    """One cell: an emulator with the fault, and a tap with a folder of its own."""

    def __init__(self, row: Row, path: str, folder: Path, *, times: "int | None" = None) -> None:
        self.row = row
        self.path = path
        self.ends = row.listing if path == LIST else row.download
        self.match = SECOND_PAGE if path == LIST else SECOND_BUNDLE
        self.emulator = Emulator(api_key=KEY, bundles=BUNDLES, page_size=2).start()
        fault = dict(row.fault)
        if "redirect" in fault:
            fault["redirect"] = LINK.format(port=self.emulator.port)
        self.emulator.faults = [
            Fault(path, match=self.match, times=times, **fault),
            Fault(SIGNED, times=None, **(row.behind or {"raw": right_answer(path)})),
        ]
        folder.mkdir()
        self.tap = Tap(folder, self.emulator)
        self.statuses: list[int] = []  # of the runs so far

    def run(self, state: "Json | None" = None) -> Run:
        """A run until its end, with nothing secret in what it leaves behind."""
        run = self.tap(settings={**SETTINGS, **self.row.settings}, env=DEBUG, state=state)
        return self.searched(run)

    def stopped(self) -> Run:
        """A run that is stopped after some refusals."""
        process = self.tap.start(settings={**SETTINGS, **self.row.settings}, env=DEBUG)
        wait_for(lambda: self.asked() >= REFUSALS or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        return self.searched(finished(process.returncode, stdout, stderr))

    def searched(self, run: Run) -> Run:
        """The same run, once nothing secret was found; the host behind the link has got nothing secret either.

        Each run so far has left its report.
        """
        assert_hidden(run, self.tap.folder, (KEY, HEADER, SIGNATURE, "X-Signature"))
        for request in self.emulator.requests:
            assert request.path != SIGNED or not {"authorization", "x-token"} & set(request.headers)
        self.statuses.append(run.status)
        assert sorted(self.statuses) == sorted(one["status"] for one in read_reports(self.tap.folder / "reports"))
        return run

    def asked(self) -> int:
        """How often the request was sent that the fault is about."""
        return sum(
            self.path == request.path and self.match.items() <= request.query.items()
            for request in self.emulator.requests
        )

    def others(self) -> tuple[int, int]:
        """How many other pages and other bundles were asked for."""
        pages, bundles = self.emulator.count(LIST), self.emulator.count(GET)
        return (pages - self.asked(), bundles) if self.path == LIST else (pages, bundles - self.asked())


def numbers(bundles: Iterable[Bundle]) -> list[int]:
    """The numbers of all events of *bundles*."""
    return [one["UserId"] for each in bundles for one in each.read_events()]


def right_answer(path: str) -> bytes:
    """What the emulator itself would answer."""
    if path == GET:
        return gzip.compress(b"".join(BUNDLES[1].read_text()))
    return json.dumps({"exports": [{"Start": b.start, "Stop": b.stop, "Id": b.id} for b in BUNDLES[1:]]}).encode()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run in which nothing goes wrong."""
    with Emulator(bundles=BUNDLES, page_size=2) as emulator:
        run = Tap(tmp_path_factory.mktemp("undisturbed"), emulator)(settings={"checkpoint_records": 7})
    assert (0, numbers(BUNDLES)) == (run.status, run.numbers())
    return run


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_fault(row: Row, tmp_path: Path, undisturbed: Run) -> None:
    """A disturbance would lose or repeat events, write half a bundle, show the key, or wear Fullstory out."""
    tests: list[tuple[Callable[[Cell, Run], None], str, int | None]] = [
        (check_once, LIST, 1),
        (check_once, GET, 1),
        (check_always, LIST, None),
        (check_always, GET, None),
    ]
    if row.download[0] == GOES_ON:  # else there is no second download
        tests.append((check_made_anew, GET, 1))

    def run(number: int) -> None:
        check, path, times = tests[number]
        cell = Cell(row, path, tmp_path / str(number), times=times)
        try:
            check(cell, undisturbed)
        except AssertionError as error:
            raise AssertionError(f"{check.__name__}, {path}: {error}") from error
        finally:
            cell.emulator.stop()

    with ThreadPoolExecutor(len(tests)) as pool:
        list(pool.map(run, range(len(tests))))


def check_once(cell: Cell, undisturbed: Run) -> None:
    """The fault goes by; if it is one that ends the run at once, the next one brings the rest."""
    run = cell.run()

    assert cell.ends[0] == run.status, run.stderr
    assert attempts(cell.ends) == cell.asked()
    if run.status == GOES_ON:
        assert undisturbed.records() == run.records()
        assert undisturbed.states[-1] == run.states[-1]
        assert (2, 3) == cell.others() if cell.path == LIST else (3, 2) == cell.others()
        assert [] == cell.tap.waiting()
    else:
        check_ended(cell, run, undisturbed)


def check_always(cell: Cell, undisturbed: Run) -> None:
    """What came before the fault stands, nothing behind it is written, and Fullstory is asked no more than it must."""
    waits = cell.ends[1] == WAITS
    run = cell.stopped() if waits else cell.run()

    assert cell.ends[1] == run.status, run.stderr
    assert (REFUSALS if waits else attempts(cell.ends) + cell.row.at_once) == cell.asked()
    if waits:
        at = [request.at for request in cell.emulator.requests if request.status == 429]
        assert all(later - earlier >= 1 for earlier, later in pairwise(at))
    if run.status == GOES_ON:
        assert (undisturbed.records(), undisturbed.states[-1]) == (run.records(), run.states[-1])
    else:
        check_ended(cell, run, undisturbed)


def check_ended(cell: Cell, run: Run, undisturbed: Run) -> None:
    """The run ended at the fault; the emulator is healed, and the next run brings exactly what is missing."""
    written = 2 if cell.path == LIST else 1
    last = BUNDLES[written - 1]
    assert numbers(BUNDLES[:written]) == run.numbers()
    assert (last.stop, [last.id], []) == (stop_of(run), run.bookmark["done"], run.bookmark["partial"])
    assert (1, 2) == cell.others() if cell.path == LIST else (1, 1) == cell.others()
    assert 1 == sum(line.startswith("CRITICAL") for line in run.said)
    if cell.path == GET and run.status == 65:
        assert str(BUNDLES[1].id) in run.last_line and "skip_bundles" in run.last_line

    cell.emulator.faults = []
    cell.emulator.requests.clear()
    rest = cell.run(state=run.states[-1])

    assert (0, numbers(BUNDLES)) == (rest.status, run.numbers() + rest.numbers())
    assert undisturbed.states[-1] == rest.states[-1]
    assert 3 - written == cell.emulator.count(GET)
    assert [] == cell.tap.waiting()


def check_made_anew(cell: Cell, undisturbed: Run) -> None:
    """Each download brings another version; what is written is one of them, the last, and no mixture."""
    made = make_anew(cell.emulator)
    run = cell.run()

    assert GOES_ON == run.status, run.stderr
    last = [made[each.id][-1] if made[each.id] else each for each in BUNDLES]  # the host behind a link has but one
    assert [shown(one) for each in last for one in each.read_events()] == [shown(one) for one in run.records()]
    assert undisturbed.states[-1] == run.states[-1]


def stop_of(run: Run) -> int:
    """The day that the last state has reached, in Unix seconds."""
    (stop,) = [one.stop for one in BUNDLES if run.bookmark["until"] == rfc(one.stop)]
    return stop


def make_anew(emulator: Emulator) -> "defaultdict[int, list[Bundle]]":
    """Let each download of a bundle differ: another order, other durations, a row fewer; what was made, by id."""
    made: defaultdict[int, list[Bundle]] = defaultdict(list)

    def remake(one: Bundle, nth: int) -> Bundle:
        events = [{**event, "EventDuration": nth} for event in one.read_events()]
        middle = len(events) // 2
        if nth % 2 == 0:  # the middle first, and without its first event
            events = [*events[middle + 1 :], *events[:middle]]
        made[one.id].append(Bundle(one.start, one.stop, events, one.id))
        return made[one.id][-1]

    emulator.remake = remake
    return made


def shown(one: Json) -> tuple[int, "int | None"]:
    """Which event this is, and of which version."""
    return one["UserId"], one.get("EventDuration")


@pytest.mark.parametrize("event_key", [False, True])
@pytest.mark.parametrize("kept", [True, False])
def test_a_run_killed_inside_a_bundle_that_is_made_anew(tmp_path: Path, kept: bool, event_key: bool) -> None:
    """After a crash, events would be missing where the export differs from the one before, or repeat without a word."""
    text = "x" * 800
    big = [event(100 + i, FIRST + DAY + i, EventTargetText=text) for i in range(BIG)]
    second = Bundle(FIRST + DAY, FIRST + 2 * DAY, big)
    settings = {**SETTINGS, "checkpoint_records": 100, "event_key": event_key}
    with Emulator(api_key=KEY, bundles=[bundle(0, COUNT), second, bundle(2, COUNT, first=9000)]) as emulator:
        made = make_anew(emulator)
        tap = Tap(tmp_path, emulator)
        process = tap.start(settings=settings, env=DEBUG)
        crashed = killed(process, read_lines(process, COUNT + 500))
        assert_hidden(crashed, tmp_path)
        if not kept:
            for path in tap.spool.iterdir():
                path.unlink()
        rest = tap(settings=settings, state=crashed.states[-1], env=DEBUG)
        assert_hidden(rest, tmp_path)

    bundle_id, begun, *_ = crashed.bookmark["partial"]
    assert second.id == bundle_id and begun >= 100
    assert 0 == rest.status
    assert [] == tap.waiting()
    assert (1 if kept else 2) == len(made[second.id])
    warnings = [line for line in rest.said if line.startswith("WARNING")]
    now = [shown(one) for each in emulator.bundles[1:] for one in made[each.id][-1].read_events()]
    found = [shown(one) for one in rest.records()]
    if kept:
        assert ([], now[begun:]) == (warnings, found)
        assert [*range(COUNT), *range(100, 100 + begun)] == safe(crashed)
    else:
        assert now == found
        (warning,) = warnings
        assert str(second.id) in warning
        assert event_key or f"up to {begun} records may repeat" in warning
    if event_key:
        keys = {one["event_id"]: one["UserId"] for one in [*crashed.records(), *rest.records()]}
        assert {*numbers(emulator.bundles)} - gone(made) <= {*keys.values()}
        assert len(keys) == len({*keys.values()})


def gone(made: "dict[int, list[Bundle]]") -> set[int]:
    """The events that the last version of a bundle does not have any more."""
    first, last = (numbers(versions[at] for versions in made.values()) for at in (0, -1))
    return {*first} - {*last}
