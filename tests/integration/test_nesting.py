"""Values that are nested deeper than anybody nests properties."""

from __future__ import annotations

import pytest

from fullstory_emulator import Bundle, Emulator
from tests.integration.tap import Tap

pytestmark = pytest.mark.only_source("data_export")

DAY = 86400
FIRST = 1_700_006_400


def test_a_value_nested_too_deeply_is_said_and_can_be_passed_over(run_tap: Tap, emulator: Emulator) -> None:
    """One absurd event would end every run with the traceback of a bug, and no way past it."""
    absurd = b'[{"evt_deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}]"
    emulator.bundles = [
        Bundle(start=FIRST, stop=FIRST + DAY, events=[{"UserId": 1}]),
        Bundle(start=FIRST + DAY, stop=FIRST + 2 * DAY, raw=absurd),
        Bundle(start=FIRST + 2 * DAY, stop=FIRST + 3 * DAY, events=[{"UserId": 3}]),
    ]
    bundle_id = (FIRST + DAY) * 100 + 48

    run = run_tap(settings={"retry_timeout": 0})
    past = run_tap(settings={"skip_bundles": [bundle_id]}, state=run.states[-1])

    assert (65, [1]) == (run.status, run.numbers())
    assert str(bundle_id) in run.last_line and "skip_bundles" in run.last_line
    assert (0, [3]) == (past.status, past.numbers())
