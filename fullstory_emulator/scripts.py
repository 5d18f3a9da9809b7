"""Scripts: visits written down and encoded once, without names and dates, to be played by many visitors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from operator import attrgetter
from random import Random
from typing import Any

from fullstory_emulator.bundles import Event
from fullstory_emulator.goods import FRUIT
from fullstory_emulator.intentions import write_visit
from fullstory_emulator.people import DELIVERY, NOTHING, ORDER, members
from fullstory_emulator.sites import Site
from fullstory_emulator.visits import DIRTY_TEXTS, Action, Page

LONGEST = 900_000  # ms; of a session, so that it fits into the shortest bundle

Variables = Callable[[Action], Event]
natural_variables: Variables = attrgetter("variables")


@dataclass(frozen=True, slots=True)
class Step:
    """One event: when it happens and the parts of its text that are the same whoever plays it."""

    at: int  # ms since the session began
    page: int  # which page of the session
    word: int  # what the visitor adds, see `people`
    head: bytes
    middle: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class Script:
    """One session."""

    steps: tuple[Step, ...]  # in order
    pages: int
    has_order: bool  # whether a number of an order is needed


def write_scripts(
    rng: Random, count: int, site: Site, *, is_known: bool, dirty: bool, variables: Variables
) -> list[Script]:
    """*count* visits to *site*; *variables* says which custom variables an event carries."""
    # in turn and not by chance, so that each kind of dirt is there
    dirt: Iterator[str] = cycle(rng.sample(DIRTY_TEXTS, len(DIRTY_TEXTS))) if dirty else iter(())
    scripts = []
    for _ in range(count):
        visit = write_visit(rng, site, is_known=is_known, dirt=dirt)
        assert visit.now < LONGEST
        steps = tuple(_step(action, visit.pages[action.page], variables) for action in visit.actions)
        scripts.append(Script(steps, len(visit.pages), any(step.word in (ORDER, DELIVERY) for step in steps)))
    return scripts


def fixed_variables(count: int, names: Sequence[str], rng: Random) -> Variables:
    """A function that gives each event *count* variables, taking the names in turn."""
    suffixes = ("str", "int", "real", "bool", "date")
    in_turn = cycle(names or [f"evt_var_{number:03}_{suffixes[number % 5]}" for number in range(max(count, 1))])
    return lambda _: {name: _value(name, rng) for name in islice(in_turn, count)}


def _step(action: Action, page: Page, variables: Variables) -> Step:
    is_app = "AppViewName" in action.where
    head = {
        **action.what,
        "PageDuration": page.end - page.begin,
        "PageActiveDuration": page.active,
        **action.where,
        **({} if is_app else {"PageRefererUrl": page.referrer}),
    }
    cluster = {} if is_app or action.cluster is None else {"PageClusterId": action.cluster}
    word = action.word
    if word in (ORDER, DELIVERY) and variables is not natural_variables:
        word = NOTHING  # they are custom variables, too
    return Step(
        at=action.at,
        page=action.page,
        word=word,
        head=members(head),
        middle=members({**action.console, **cluster, **action.load}),
        tail=members(variables(action)),
    )


def _value(name: str, rng: Random) -> Any:
    """A value of the type that the suffix of a custom variable announces; strings for all others."""
    kind = name.rpartition("_")[2]
    one: dict[str, Callable[[], Any]] = {
        "str": lambda: rng.choice(FRUIT).name,
        "int": lambda: rng.randint(-1000, 1_000_000),
        "real": lambda: round(rng.uniform(0, 1000), 2),
        "bool": lambda: rng.random() < 0.5,
        "date": lambda: f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:30:00Z",
    }
    make = one.get(kind.removesuffix("s"), one["str"])
    return [make(), make()] if kind.endswith("s") else make()
