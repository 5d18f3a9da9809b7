"""An invented account: visitors of a shop, what they do there, and the bundles of events that come of it.

Everything follows from a seed. A few hundred *scripts* (what happens in one session, without names and dates) are
written and encoded once; a bundle is made by letting visitors play scripts at moments within its interval. That only
puts ready pieces of text together, so that bundles of any size can be made while they are sent.

Fields and layout are those of a legacy bundle.
API: https://developer.fullstory.com/server/v1/exports/get-event-export/
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache, partial
from itertools import cycle, islice
from random import Random

from fullstory_emulator.bundles import HALF_HOUR, Bundle, Prepared
from fullstory_emulator.people import BEYOND_DOUBLES, BIGGEST_ID, Visitor, invent_visitors, members
from fullstory_emulator.scripts import LONGEST, Script, Step, fixed_variables, natural_variables, write_scripts
from fullstory_emulator.sites import SHARES, SITES

# different sessions of known and as many of unknown visitors, by site
SCRIPTS = {"shop": 80, "classic": 30, "ios": 30, "android": 30}
SORTED_AT_ONCE = 2048  # events that wait for others to be sorted among
BLOCK = 5000  # events in a prepared block
DAY = 86400
DELIVERED_IN = 2 * DAY
SEPARATOR = b",\n"
MILLISECONDS = [b'.%03dZ",' % ms for ms in range(1000)]

Waiting = tuple[int, int, bytes, bytes, Step, Visitor]  # ms, number of the event, ids, word, …


class Account:
    """An invented account. A session lies wholly within one bundle, and events are in the order of `EventStart`.

    Args:
        seed: another seed, another account.
        first: Unix seconds in the first bundle.
        bundle_hours: length of the bundles, a multiple of a half; they align to UTC multiples of it.
        events_per_bundle: in each of them; with *prepared* up to one per block less.
        visitors: how many different browsers and phones there are.
        sites: what they visit, of `shop` (a single page), `classic` and `app`; in the ratio 70 : 15 : 15.
        custom_vars_per_event: each event carries exactly so many custom variables; None: those that belong to it.
        custom_var_names: the names to choose from, in turn; the suffix decides about the type of the value.
        dirty: some texts hold line ends, NUL, emoji, quotes, other scripts or are very long.
        prepared: one block of some thousand events, compressed once, is repeated within each bundle. Events then repeat
            with their ids and times: for measuring, not for comparing.

    Raises:
        ValueError: a number or a name that makes no sense.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        first: float = 0,
        bundle_hours: float = 24,
        events_per_bundle: int = 1000,
        visitors: int = 200,
        sites: Sequence[str] = tuple(SHARES),
        custom_vars_per_event: int | None = None,
        custom_var_names: Sequence[str] = (),
        dirty: bool = True,
        prepared: bool = False,
    ) -> None:
        self.length = round(bundle_hours * 3600)  # seconds
        if self.length <= 0 or self.length % HALF_HOUR:
            raise ValueError(f"bundle_hours is a positive multiple of 0.5, not {bundle_hours}")
        if visitors < 1 or events_per_bundle < 0:
            raise ValueError("an account has at least one visitor, and no fewer than 0 events per bundle")
        if not sites or not set(sites) <= set(SHARES):
            raise ValueError(f"sites are one or more of {', '.join(SHARES)}, not {sites!r}")
        self.seed = seed
        self.first = int(first // self.length * self.length)
        self.events_per_bundle = events_per_bundle
        self.number_of_visitors = visitors
        self.sites = sites
        self.custom_vars_per_event = custom_vars_per_event
        self.custom_var_names = custom_var_names
        self.dirty = dirty
        self.prepared = prepared
        self._bundles: dict[int, Bundle] = {}  # by start
        self._prepare = lru_cache(maxsize=4)(self._prepare_bundle)  # a block is some megabytes

    def bundles(self, now: float, *, begun: bool = False) -> list[Bundle]:
        """The bundles that have ended by *now*, or that have *begun* by then; oldest first."""
        starts = range(self.first, int(now) + 1 - (0 if begun else self.length), self.length)
        return [self._bundles.get(start) or self._bundles.setdefault(start, self._bundle(start)) for start in starts]

    def _bundle(self, start: int) -> Bundle:
        stop = start + self.length
        if self.prepared:
            return Bundle(start, stop, source=partial(self._prepare, start))
        return Bundle(start, stop, partial(self.encoded_events, start, self.events_per_bundle))

    def _prepare_bundle(self, start: int) -> Prepared:
        repeat = -(-self.events_per_bundle // BLOCK)
        block = SEPARATOR.join(self.encoded_events(start, self.events_per_bundle // max(repeat, 1)))
        return Prepared(block, repeat, separator=SEPARATOR)

    @cached_property
    def visitors(self) -> list[Visitor]:
        """All visitors; some are two or more devices of one person."""
        rng = Random(f"visitors {self.seed}")
        invented = invent_visitors(rng, self.sites, with_properties=self.custom_vars_per_event is None)
        return list(islice(invented, self.number_of_visitors))

    @cached_property
    def scripts(self) -> dict[tuple[str, bool], list[Script]]:
        """All scripts, by site and whether the visitor is known."""
        habits = sorted({(visitor.site, visitor.is_known) for visitor in self.visitors})
        return {(site, is_known): self._write_scripts(site, is_known) for site, is_known in habits}

    def _write_scripts(self, site: str, is_known: bool) -> list[Script]:
        rng = Random(f"scripts {self.seed} {site} {is_known}")
        variables = natural_variables
        if self.custom_vars_per_event is not None:
            variables = fixed_variables(self.custom_vars_per_event, self.custom_var_names, rng)
        return write_scripts(rng, SCRIPTS[site], SITES[site], is_known=is_known, dirty=self.dirty, variables=variables)

    def encoded_events(self, start: int, count: int) -> Iterator[bytes]:
        """*count* events of the bundle that begins at *start*, encoded, in runs joined by `,\\n`."""
        rng = Random(f"bundle {self.seed} {start}")
        # one after the other, so that hardly anybody is here twice at the same time
        coming = cycle(rng.sample(self.visitors, len(self.visitors)))
        scripts = self.scripts
        usable = self.length * 1000 - LONGEST - 1  # ms in which sessions begin
        waiting: list[Waiting] = []
        made = 0
        while made < count:
            visitor = next(coming)
            script = rng.choice(scripts[visitor.site, visitor.is_known])
            steps = script.steps[: count - made]
            # spread evenly and in order: no event of a later session comes before this moment
            begin = start * 1000 + int(usable * (made + rng.random() * len(steps)) / count)
            if len(waiting) > SORTED_AT_ONCE:
                waiting.sort()
                ready = bisect_left(waiting, (begin,))
                if ready:
                    yield _joined(waiting[:ready])
                    del waiting[:ready]
            ids = _ids(rng, visitor, script.pages)
            words = visitor.words
            if script.has_order:
                words += _order_words(rng, begin // 1000)
            waiting += [
                (begin + step.at, number, ids[step.page], words[step.word], step, visitor)
                for number, step in enumerate(steps, made)
            ]
            made += len(steps)
        waiting.sort()
        if waiting:
            yield _joined(waiting)


def _ids(rng: Random, visitor: Visitor, pages: int) -> list[bytes]:
    """The beginning of the events of each page of a session, up to the value of EventStart."""
    session = rng.randrange(BEYOND_DOUBLES, BIGGEST_ID)
    known = b'{"IndvId":%d,"UserId":%d,"SessionId":%d,' % (visitor.person, visitor.cookie, session)
    return [b'%b"PageId":%d,"EventStart":"' % (known, rng.randrange(BEYOND_DOUBLES, BIGGEST_ID)) for _ in range(pages)]


def _order_words(rng: Random, moment: int) -> tuple[bytes, bytes]:
    """What only one order has, for the events before it is accepted and for the one that says so."""
    number = {"evt_order.order_id_str": f"{rng.getrandbits(44):x}"}
    return members(number), members({**number, "evt_deliverBy_date": _noon(moment // DAY * DAY + DELIVERED_IN)})


def _joined(events: list[Waiting]) -> bytes:
    return SEPARATOR.join(
        [
            b"".join(
                (
                    ids,
                    _second(ms // 1000),
                    MILLISECONDS[ms % 1000],
                    word,
                    step.head,
                    visitor.device,
                    step.middle,
                    visitor.identity,
                    step.tail,
                    visitor.place,
                )
            )
            for ms, _, ids, word, step, visitor in events
        ]
    )


@lru_cache(maxsize=4096)
def _second(moment: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)).encode()


def _noon(day: int) -> str:
    return time.strftime("%Y-%m-%dT12:00:00Z", time.gmtime(day))
