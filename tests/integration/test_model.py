"""A model: whatever arrives, breaks, is killed and started again, in the end each event is there, once."""

import json
import random
import shutil
import signal
import tempfile
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import FIRST, GET, HOUR, LIST, TIMEOUT, Json, Run, Tap, event, finished, rfc

pytestmark = pytest.mark.long

FAULTS = [
    Fault(GET, cut_at=50, times=None),
    Fault(GET, wrong_crc=True, times=None),
    Fault(GET, html=True, times=None),
    Fault(GET, status=500, times=None),
    Fault(GET, status=404, times=None),
    Fault(LIST, status=503, times=None),
    Fault(LIST, empty=True, times=None),
]


class Target:
    """A target: what it was given since its last state is lost with it, or stands if rows have a key."""

    def __init__(self) -> None:
        self.rows: Counter[int] = Counter()
        self.by_key: dict[str, Json] = {}
        self.state: Any = None

    def take(self, run: Run) -> None:
        """Load the messages of a run."""
        waiting: list[int] = []
        for message in run.messages:
            if message["type"] == "RECORD":
                waiting.append(message["record"]["UserId"])
                if "event_id" in message["record"]:
                    self.by_key[message["record"]["event_id"]] = message["record"]
            elif message["type"] == "STATE":
                self.rows.update(waiting)
                waiting.clear()
                self.state = message["value"]


class World(RuleBasedStateMachine):
    """Fullstory with bundles of hours that come in time, late, or twice; and runs of the tap in between."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tap-fullstory-model-"))
        self.emulator = Emulator(page_size=5)
        self.emulator.start()
        self.tap = Tap(self.folder, self.emulator)
        self.target = Target()
        self.keyed = False
        self.hours = 0  # how far bundles go
        self.missing: list[int] = []  # hours whose bundle has not come yet
        self.truth: dict[int, Json] = {}  # the events of all bundles, by number

    def teardown(self) -> None:
        """Undisturbed runs bring what is left, and nothing that was there."""
        try:
            self.emulator.faults = []
            self.sync(None)  # goes on from the file that a killed run has left
            again = self.sync(None)  # sees what has settled since that file was made
            assert self.keyed or [] == again.records()
            assert [] == self.sync(None).records()
            if self.keyed:
                assert self.truth == {row["UserId"]: as_event(row) for row in self.target.by_key.values()}
                assert len(self.truth) == len(self.target.by_key)
            else:
                assert dict.fromkeys(self.truth, 1) == dict(self.target.rows)
        finally:
            self.emulator.stop()
            shutil.rmtree(self.folder)

    # What happens at Fullstory

    @initialize(keyed=st.booleans())
    def begin(self, keyed: bool) -> None:
        """An account; whether the events get a key is decided once."""
        self.keyed = keyed
        self.deliver([3])

    @rule(sizes=st.lists(st.integers(0, 30), min_size=1, max_size=3))
    def deliver(self, sizes: list[int]) -> None:
        """The next bundles come."""
        for size in sizes:
            self.add(self.hours, 1, size)
            self.hours += 1

    @rule(hours=st.integers(2, 5), size=st.integers(0, 30))
    def deliver_longer(self, hours: int, size: int) -> None:
        """The account has another bundle length for a while."""
        self.add(self.hours, hours, size)
        self.hours += hours

    @rule(size=st.integers(0, 30))
    def deliver_twins(self, size: int) -> None:
        """Two bundles come for one hour."""
        self.add(self.hours, 1, size)
        self.add(self.hours, 1, size, twin=True)
        self.hours += 1

    @rule()
    def skip(self) -> None:
        """The next bundle does not come, but the one behind it does."""
        self.missing.append(self.hours)
        self.hours += 1
        self.deliver([2])

    @precondition(lambda self: self.missing)
    @rule(size=st.integers(0, 30), which=st.randoms(use_true_random=False))
    def arrive_late(self, size: int, which: random.Random) -> None:
        """A bundle comes after others that lie behind it."""
        hour = self.missing.pop(which.randrange(len(self.missing)))
        self.add(hour, 1, size)

    @precondition(lambda self: self.keyed)
    @rule(which=st.randoms(use_true_random=False))
    def settle(self, which: random.Random) -> None:
        """Values of a bundle change, and the order of its events."""
        index = which.randrange(len(self.emulator.bundles))
        one = self.emulator.bundles[index]
        events = [{**found, "PageDuration": found["PageDuration"] + 1} for found in one.read_events()]
        which.shuffle(events)
        self.emulator.bundles[index] = Bundle(one.start, one.stop, events, one.id)
        self.truth |= {found["UserId"]: found for found in events}

    def add(self, hour: int, hours: int, size: int, *, twin: bool = False) -> None:
        """A bundle with events that are evenly spread over its time."""
        start = FIRST + hour * HOUR
        number = len(self.truth)
        events = [event(number + i, start + i * hours * HOUR // size, PageDuration=0) for i in range(size)]
        self.truth |= {found["UserId"]: found for found in events}
        identifier = {"id": 7_000_000_000 + hour} if twin else {}
        self.emulator.bundles.append(Bundle(start, start + hours * HOUR, events, **identifier))

    # What happens to the tap

    @rule(
        lines=st.none() | st.integers(1, 60),
        spool=st.booleans(),
        fault=st.none() | st.sampled_from(FAULTS),
        at=st.integers(0, 3),
    )
    def run(self, lines: int | None, spool: bool, fault: Fault | None, at: int) -> None:
        """A run that is killed once the target has read so many lines, or fails; *at* so many requests go well."""
        if not spool:
            for path in self.tap.spool.iterdir():
                path.unlink()
        self.emulator.faults = [] if fault is None else [Fault(**{**vars_of(fault), "skip": at})]
        self.sync(lines)

    @precondition(lambda self: not (self.target.state or no_state())["bookmarks"]["events"]["partial"])
    @rule(minutes=st.integers(1, 500))
    def run_until(self, minutes: int) -> None:
        """A run with an end date."""
        self.emulator.faults = []
        self.sync(None, end_date=rfc(FIRST + 60 * minutes))

    @precondition(lambda self: not (self.target.state or no_state())["bookmarks"]["events"]["partial"])
    @rule(ahead=st.integers(0, 400), minutes=st.integers(1, 400))
    def run_beyond(self, ahead: int, minutes: int) -> None:
        """Another worker reads a window further on, into the same table; then the states become one."""
        self.emulator.faults = []
        state = self.target.state or {"events": rfc(FIRST)}
        until = state["bookmarks"]["events"]["until"] if "bookmarks" in state else rfc(FIRST)
        begin = datetime.fromisoformat(until.replace("Z", "+00:00")).timestamp() + 60 * ahead
        self.target.state = None
        self.sync(None, start_date=rfc(begin), end_date=rfc(begin + 60 * minutes))
        files = [self.tap.file("state.json", one) for one in (state, self.target.state)]
        merged = self.tap.bare(["--merge-state", *files])
        assert 0 == merged.returncode, merged.stderr
        self.target.state = json.loads(merged.stdout)

    def sync(self, lines: int | None, **changes: Any) -> Run:
        """Run the tap, and let the target read so many lines at most."""
        chosen = {
            "start_date": rfc(FIRST),
            "checkpoint_records": 4,
            "retry_timeout": 0,
            "gap_check_hours": 1_000_000,
            **({"event_key": True, "reread_hours": 1_000_000} if self.keyed else {}),
            **changes,
        }
        process = self.tap.start(settings=chosen, state=self.target.state)
        assert process.stdout is not None
        if lines is None:
            stdout, stderr = process.communicate(timeout=TIMEOUT)
        else:
            stdout = b"".join(process.stdout.readline() for _ in range(lines))
            process.send_signal(signal.SIGKILL)
            stderr = process.communicate()[1]
        run = finished(process.returncode, stdout, stderr)
        assert process.returncode in {0, 65, 69, -signal.SIGKILL, *({78} if self.emulator.faults else ())}, run.stderr
        if lines is None and not self.emulator.faults:
            assert 0 == run.status, run.stderr
        self.target.take(run)
        return run


def as_event(row: Json) -> Json:
    """A record as the event that it came from."""
    return {name: value for name, value in row.items() if name not in {"event_id", "_bundle_id"}}


def vars_of(fault: Fault) -> Json:
    """What a fault was made of."""
    return {name: value for name, value in vars(fault).items() if name not in {"passed", "used"}}


def no_state() -> Json:
    """The state of a target that has none yet."""
    return {"bookmarks": {"events": {"partial": []}}}


TestWorld = World.TestCase
TestWorld.settings = settings(
    max_examples=settings().max_examples // 25,  # 6, and 200 of `make fuzz`
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
