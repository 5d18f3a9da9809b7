"""A hundred simulated days of an account, read by real runs of the tap, one each morning, each with its report."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fullstory_emulator import Bundle, Emulator, Fault
from tests.integration.tap import DAY, FIRST, GET, HOUR, LIST, Json, Tap, big_bundle, bundle, event, read_lines

CLOCK = Path(__file__).parent / "clock"
DAYS = 100
KILLED = 20, 55  # days whose run is killed in the middle of a bundle
MISSING = 40  # the day whose bundle never comes
LIMITED = range(60, 67)  # a week in which Fullstory refuses each download twice
PAUSE = 1800  # seconds that it asks to wait then
NEW = 75  # the day on which the shop begins to count coupons
VARIABLE = "evt_coupon_str"
REFUSED = 80  # the day on which somebody has taken the key's role away
MANY = 12_000  # events; their records are more than any pipe holds


def moment(day: int) -> float:
    """When the run of that day begins: its bundle can be had since six hours."""
    return FIRST + (day + 2) * DAY + 6 * HOUR


@dataclass
class History:
    """What a hundred runs have left.

    Attributes:
        folder: the reports.
        now: Unix seconds, an hour after the last run.
        bundles: by day, the one that never comes included.
    """

    tap: Tap
    now: float = moment(DAYS - 1) + HOUR
    state: Json = field(default_factory=dict)
    bundles: dict[int, Bundle] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where the reports are."""
        return self.tap.folder / "reports"

    @property
    def emulator(self) -> Emulator:
        """Fullstory."""
        return self.tap.emulator

    def make(self) -> None:
        """Run the tap each day."""
        for day in range(DAYS):
            self.bundles[day] = _bundle(day)
        self.emulator.bundles = [one for day, one in self.bundles.items() if day != MISSING]
        for day in range(DAYS):
            self.emulator.now = moment(day)
            self.emulator.faults = _faults(day)
            if day in KILLED:
                self._kill(day)
            else:
                run = self.tap(**self._options(), env=clock(moment(day)))
                self.state = run.states[-1] if run.states else self.state

    def _options(self) -> dict[str, Any]:
        return {"settings": {"report_dir": str(self.folder)}, "state": self.state}

    def _kill(self, day: int) -> None:
        process = self.tap.start(**self._options(), env=clock(moment(day)))
        read_lines(process, 2000)
        process.kill()
        process.communicate()


def _bundle(day: int) -> Bundle:
    if day in KILLED:
        return big_bundle(MANY, day)
    if day % 14 == 13:
        return bundle(day, 0)  # nobody came
    found = bundle(day, 5 + day % 7)
    if day >= NEW:
        coupon = event(10_000 + day, FIRST + day * DAY, **{VARIABLE: "SPRING"})
        return Bundle(found.start, found.stop, [*found.read_events(), coupon])
    return found


def _faults(day: int) -> list[Fault]:
    if day in LIMITED:
        return [Fault(GET, status=429, headers={"Retry-After": str(PAUSE)}, times=2)]
    return [Fault(LIST, status=403, times=None)] if day == REFUSED else []


def clock(now: float) -> dict[str, str]:
    """Return the environment of a process whose clock begins there."""
    return {"PYTHONPATH": str(CLOCK), "SIMULATED_NOW": str(now)}
