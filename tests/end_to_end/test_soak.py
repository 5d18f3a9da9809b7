"""`make soak`, a short one: SIGKILL at any moment costs no event, and a judge that would see it if it did."""

import threading
from typing import Any

import pytest

from soak.__main__ import MODES, soak, summary
from soak.events import NUMBER, Content, Verdict, compare, expected_row, make_content
from soak.world import Tally

pytestmark = pytest.mark.pipelines

SEED = 11
STOP = threading.Event()  # never set: nobody interrupts a test


@pytest.fixture(scope="module")
def content() -> Content:
    """Three bundles, in a few seconds' worth of runs."""
    return make_content(SEED, bundles=3, events=1500)


@pytest.mark.parametrize("mode", MODES)
def test_killed_runs_lose_and_repeat_nothing(content: Content, mode: str) -> None:
    """Whatever is killed, and when: no event may be missing, and with a key none may be there twice."""
    tally = soak(mode, content, 3, SEED, STOP)

    assert 3 == tally.kills.total()
    assert (0, 0) == (tally.lost, tally.changed)
    assert tally.repeated <= tally.allowed
    assert mode == "append" or 0 == tally.repeated
    assert tally.is_good


def rows_of(content: Content) -> list[dict[str, Any]]:
    """A table that holds each event once."""
    return [{**row, "_sdc_batched_at": "now", "PageName": None, "CustomVars": None} for row in content.rows]


def small_content() -> Content:
    """Three events without a server."""
    events = [{"EventStart": f"2023-11-15T00:00:0{n}.500Z", "UserId": 2**53 + n, NUMBER: n} for n in range(3)]
    return Content([], [expected_row(event, 1) for event in events])


def test_judge_sees_what_is_wrong() -> None:
    """A soak that saw no loss would be content with any tap."""
    content = small_content()
    good = rows_of(content)
    other = {**good[1], "UserId": 5}

    assert Verdict(lost=0, repeated=0, changed=0) == compare(content, good)
    assert Verdict(lost=1, repeated=0, changed=0) == compare(content, good[:2])
    assert Verdict(lost=0, repeated=2, changed=0) == compare(content, [*good, good[0], good[2]])
    assert Verdict(lost=0, repeated=0, changed=1) == compare(content, [good[0], other, good[2]])
    assert Verdict(lost=1, repeated=0, changed=1) == compare(content, [good[0], {**good[1], NUMBER: None}, good[2]])


@pytest.mark.parametrize("verdict", [Verdict(1, 0, 0), Verdict(0, 6, 0), Verdict(0, 0, 1)])
def test_summary_says_when_something_is_wrong(verdict: Verdict) -> None:
    """Whoever reads only the last line must not take a loss for a success."""
    tally = Tally(allowed=5)
    tally.add(Verdict(0, 5, 0), 10)
    assert "As it should be." == summary({"append-only": tally}, "make soak", 1, 60).splitlines()[-1]

    tally.add(verdict, 10)

    assert not tally.is_good
    assert summary({"append-only": tally}, "make soak", 1, 60).splitlines()[-1].startswith("NOT as it should be")


def test_covered_follows_the_state(content: Content) -> None:
    """The bound on what may repeat is worked out from the state; it has to be read as documented."""
    first, second, third = content.bundles
    assert 0 == content.covered(None) == content.covered({"bookmarks": {}})

    def state(stop: int, partial: list[int]) -> dict[str, Any]:
        until = {first.start: "2023-11-15T00:00:00Z", first.stop: "2023-11-16T00:00:00Z"}[stop]
        return {"bookmarks": {"events": {"until": until, "partial": partial}}}

    assert 7 == content.covered(state(first.start, [first.id, 7, 1, 1]))
    assert 1500 == content.covered(state(first.stop, []))
    assert 1502 == content.covered(state(first.stop, [second.id, 2, 1, 1]))
    assert third.stop > second.stop
