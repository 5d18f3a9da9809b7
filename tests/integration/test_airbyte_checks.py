"""Two checks of Airbyte's connector acceptance tests, put to the command line."""

from pathlib import Path

import pytest

from fullstory_emulator import Emulator
from tests.integration.account import Account
from tests.integration.tap import Json, bookmark

FAR = 32503680000  # the year 3000, Unix seconds


@pytest.fixture
def account(tmp_path: Path, emulator: Emulator) -> Account:
    """Real visitors."""
    return Account(tmp_path, emulator)


def without_times(records: list[Json]) -> list[Json]:
    """Records of `bundles` say when they were read, which differs."""
    return [{name: value for name, value in one.items() if name != "downloaded_at"} for one in records]


@pytest.mark.proves("capabilities", "state")
def test_read_again_from_every_slice(account: Account) -> None:
    """test_read_sequential_slices: a run that resumes from some state would lose what followed it, or repeat it."""
    positions = account.run.state_positions()
    assert len(positions) > 5

    for position in positions:
        again = account.sync(account.run.messages[position]["value"])
        assert 0 == again.status
        assert without_times(account.run.after(position)) == without_times(again.after(-1))
        assert account.run.states[-1] == again.states[-1]


@pytest.mark.parametrize(
    "state",
    [
        bookmark(FAR, FAR),
        {"bookmarks": {**bookmark(FAR, FAR)["bookmarks"], "bundles": bookmark(FAR, FAR)["bookmarks"]["events"]}},
        {"events": "3000-01-01T00:00:00Z"},
    ],
    ids=["events", "both streams", "tap-fullstory 1.x"],
)
def test_state_with_abnormally_large_values(account: Account, state: Json) -> None:
    """A mixed-up state would load everything anew without a word, or be replaced by one that looks well."""
    run = account.sync(state)

    assert (0, []) == (run.status, run.records())
    assert [] == run.records("bundles")
    assert "3000-01-01T00:00:00Z" == run.bookmark["until"]
    assert any(line.startswith("WARNING") and "3000-01-01" in line for line in run.said)
