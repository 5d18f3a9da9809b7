"""The fault matrix with Segment Export: the same rows for each of its four requests, the second window disturbed."""

import gzip
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fullstory_emulator import Bundle, Course, Emulator, Fault
from tests.integration.fault_matrix import GOES_ON, LINK, ROWS, SIGNED, WAITS, Ends, Row
from tests.integration.hidden import DEBUG, KEY, SIGNATURE, assert_hidden
from tests.integration.tap import (
    EXPORTS,
    FIRST,
    LINKS,
    OPERATIONS,
    RESULTS,
    TIMEOUT,
    Json,
    Run,
    Tap,
    event,
    finished,
    rfc,
)
from tests.integration.test_fault_matrix import SETTINGS
from tests.integration.test_resume import wait_for

pytestmark = pytest.mark.long

QUARTER = 900  # seconds: the shortest window, which is not halved
COUNT = 20  # events in a window
WINDOWS = [
    Bundle(start, start + QUARTER, [event(100 * n + i + 1, start + i) for i in range(COUNT)])
    for n, start in enumerate(range(FIRST, FIRST + 3 * QUARTER, QUARTER))
]
REQUESTS = {"create": EXPORTS, "poll": f"{OPERATIONS}/*", "link": f"{RESULTS}/*", "file": f"{LINKS}*"}
NOT_THERE = {"poll": (0, 65), "link": (0, 65)}  # 404: Fullstory has the export no more, so it is made again, once
REFUSALS = 3  # that a run waits for before it is stopped
ARRAY_ONLY = "Closing bracket missing"


def ends(row: Row, request: str) -> Ends:
    """How a run ends, by what README and contract say of the kind of request."""
    status = row.fault.get("status", 200)
    if request == "file":
        # the link is another host's: whatever it refuses, a new link may be good for
        return (0, 69) if status >= 400 else row.download
    return NOT_THERE.get(request, row.listing) if status == 404 else row.listing


class Cell:
    """An emulator with the fault, and a tap with a folder of its own."""

    def __init__(self, row: Row, request: str, folder: Path, times: "int | None") -> None:
        self.row, self.path = row, REQUESTS[request]
        self.ends = ends(row, request)
        self.emulator = Emulator(api_key=KEY, bundles=WINDOWS, now=FIRST + 3 * QUARTER, course=Course(polls=0)).start()
        fault = dict(row.fault)
        for name in ("cut_at", "stall_after"):
            if request != "file" and fault.get(name) == 100:  # their answers are short
                fault[name] = 10
        if "redirect" in fault:
            fault["redirect"] = LINK.format(port=self.emulator.port)
            times = times if row.behind else 1  # the right file is that of one window
        self.fault = Fault(self.path, skip=1, times=times, **fault)
        behind = Fault(SIGNED, times=None, **(row.behind or {"raw": self.right_answer(request)}))
        self.emulator.faults = [self.fault, behind]
        folder.mkdir()
        self.tap = Tap(folder, self.emulator, "segment_export")
        self.tap.clock = FIRST + 3 * QUARTER
        self.settings = {
            **SETTINGS,
            "export_window_hours": 0.25,
            "export_delay_hours": 0,
            "prefetch": 0,
            **row.settings,
        }

    def right_answer(self, request: str) -> bytes:
        """What the host behind a link says: the right file, or for the others what nobody asks a second time."""
        if request == "file":
            return gzip.compress(b"".join(WINDOWS[1].read_text()))
        return b""

    def run(self, state: "Json | None" = None) -> Run:
        """A run until its end, with nothing secret in what it leaves behind."""
        return self.searched(self.tap(settings=self.settings, env=DEBUG, state=state))

    def stopped(self) -> Run:
        """A run that is stopped after some refusals."""
        process = self.tap.start(settings=self.settings, env=DEBUG)
        wait_for(lambda: self.fault.used >= REFUSALS or process.poll() is not None)
        process.send_signal(signal.SIGTERM)
        stdout, stderr = process.communicate(timeout=TIMEOUT)
        return self.searched(finished(process.returncode, stdout, stderr))

    def searched(self, run: Run) -> Run:
        """The same run, once nothing secret was found; hosts of links have got nothing secret either."""
        assert_hidden(run, self.tap.folder, (KEY, SIGNATURE, "X-Goog", "X-Signature"))
        for request in self.emulator.requests:
            if request.path.startswith((LINKS, SIGNED)):
                assert not {"authorization", "x-token"} & set(request.headers)
        return run


def numbers(windows: "list[Bundle]") -> list[int]:
    """The numbers of all their events."""
    return [one["UserId"] for each in windows for one in each.read_events()]


def applies(row: Row, request: str) -> bool:
    """Whether there can be such a fault: an answer that is no array has no bracket, and only files are elsewhere."""
    if request == "file":
        return True
    return row.what != ARRAY_ONLY and "redirect" not in row.fault


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what)
def test_each_fault(row: Row, tmp_path: Path) -> None:
    """A disturbance would lose or repeat events, write half a window, show the key, or pay for exports without end."""
    cells = [(request, times) for request in REQUESTS if applies(row, request) for times in (1, None)]

    def run(number: int) -> None:
        request, times = cells[number]
        cell = Cell(row, request, tmp_path / str(number), times)
        try:
            check(cell, cell.ends[0 if times else 1])
        except AssertionError as error:
            raise AssertionError(f"{request}, {'once' if times else 'always'}: {error}") from error
        finally:
            cell.emulator.stop()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run, range(len(cells))))


def check(cell: Cell, end: int) -> None:
    """The run ends as it should; if not at the end, the emulator is healed and the next run brings what is missing."""
    run = cell.stopped() if end == WAITS and cell.fault.times is None else cell.run()

    assert end == run.status, run.stderr
    assert cell.fault.used >= 1
    if run.status != GOES_ON:
        assert numbers(WINDOWS[:1]) == run.numbers()
        assert (rfc(WINDOWS[0].stop), []) == (run.bookmark["until"], run.bookmark["partial"])
        assert 1 == sum(line.startswith("CRITICAL") for line in run.said)
        cell.emulator.faults = []
    rest = cell.run(state=run.states[-1])

    assert (0, numbers(WINDOWS)) == (rest.status, run.numbers() + rest.numbers())
    assert (rfc(WINDOWS[-1].stop), []) == (rest.bookmark["until"], rest.bookmark["exports"])
    assert [] == cell.tap.waiting()
    assert len(cell.emulator.exports) <= 3 + 2, "an export is made once, and twice only if something went wrong with it"
