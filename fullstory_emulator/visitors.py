"""An invented account: visitors of a web shop, what they do there, and the bundles of events that come of it.

Everything follows from a seed. A few hundred *scripts* (what happens in one session, without names and dates) are
written and encoded once; a bundle is made by letting visitors play scripts at moments within its interval. That only
puts ready pieces of text together, so that bundles of any size can be made while they are sent.

Fields and layout are those of a legacy bundle.
API: https://developer.fullstory.com/server/v1/exports/get-event-export/
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from itertools import cycle, islice
from operator import attrgetter
from random import Random
from typing import Any
from urllib.parse import quote

from fullstory_emulator.bundles import HALF_HOUR, Bundle, Event, Prepared, encode

SCRIPTS = 200  # different sessions
LONGEST = 300_000  # ms; of a session, so that it fits into the shortest bundle several times
SORTED_AT_ONCE = 2048  # events that wait for others to be sorted among
BLOCK = 5000  # events in a prepared block
BIGGEST_ID = 2**63 - 1
BEYOND_DOUBLES = 2**53  # ids above this are damaged by parsers that know only doubles
SHOP = "https://shop.example"
SEPARATOR = b",\n"
MILLISECONDS = [b'.%03dZ",' % ms for ms in range(1000)]

# agent, browser, device, operating system
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
DEVICES = (
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "Chrome", "Desktop", "Windows"),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Safari/605.1.15", "Safari", "Desktop", "OS X"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0", "Firefox", "Desktop", "Linux"),
    (f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Safari/537.36 Edg/120.0.0.0", "Microsoft Edge", "Desktop", "Windows"),
    (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) {WEBKIT} Mobile/15E148", "Safari", "Mobile", "iOS"),
    (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36", "Chrome", "Mobile", "Android"),
    (f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} Mobile/15E148", "Safari", "Tablet", "iOS"),
)
PLACES = ("52.5200,13.4050", "39.0481,-77.4728", "19.4357,-99.1438", "-33.8688,151.2093", "35.6762,139.6503", "")
REFERRERS = ("", "https://search.example/?q=fruit+near+me", "https://news.example/2024/best-fruit", f"{SHOP}/")
FRUIT = ("Mangocados", "Bluebs", "Straw Bluebs", "Pineapricots", "Cherrimoyas", "Grapefigs", "Lemonquats", "Plumelons")
ROUTES = ("/#/", "/#/market", "/#/market?sort=price", "/#/cart", "/#/checkout", "/#/product/", "/#/account/orders")
BUTTONS = ("Market", "Add to cart", "Cart (2)", "Check out", "Sign in", "Show more", "Next", "", "Apply coupon", "Help")
TYPED = ("Fruit", "12 Orchard Road", "ada@example.com", "95014", "HARVEST-10", "no onions please", "Lovelace")
LAYOUT = (
    ".content", "div", ".ng%2Dscope", ".container", ".row", ".col%2Dlg%2D3", ".col%2Dmd%2D4", ".col%2Dsm%2D6",
    ".market%2Dplace", ".fruit%2Dlist", ".fruit%2Dlist%2Ditem", ".fruit%2Dbox", "section", ".home%2Dfeatures",
    ".featured%2Dfruit", ".text%2Dright", ".navbar%2Dfixed%2Dtop", "ul", "li", ".clearfix", ".panel%2Dbody",
)  # fmt: skip
DIRTY_TEXTS = (
    "two\r\nlines",
    "tab\tand bare\rreturn",
    "NUL\u0000inside",
    "emoji 🍓🥭 and a family 👨‍👩‍👧",
    'quotes " and \\ backslash / slash',
    "Größe: 38½ — Überraschung",
    "マンゴーをカートに入れる",
    "أضف إلى السلة",
    "},\n{",
    '"}]',
    "line\u2028separator\u2029s",
    "very long " + "fruit " * 2000,
)


@dataclass
class Visitor:
    """One browser of one person, ready to be written into events."""

    person: int  # IndvId
    cookie: int  # UserId
    device: bytes
    identity: bytes
    place: bytes


@dataclass
class Step:
    """One event of a script: when it happens and the parts of its text that are the same whoever plays it."""

    offset: int  # ms since the session began
    page: int  # which page of the session
    head: bytes
    middle: bytes
    tail: bytes


@dataclass
class Action:
    """One event of a script while it is being written."""

    offset: int
    url: str
    what: Event
    load: Event = field(default_factory=dict)
    variables: Event = field(default_factory=dict)
    infos: int = 0
    warnings: int = 0
    errors: int = 0


class Account:
    """An invented account. A session lies wholly within one bundle, and events are in the order of `EventStart`.

    Args:
        seed: another seed, another account.
        first: Unix seconds in the first bundle.
        bundle_hours: length of the bundles, a multiple of a half; they align to UTC multiples of it.
        events_per_bundle: in each of them; with *prepared* up to one per block less.
        visitors: how many different browsers there are.
        custom_vars_per_event: each event carries exactly so many custom variables; None: only custom events do, those
            that belong to them.
        custom_var_names: the names to choose from, in turn; the suffix decides about the type of the value.
        dirty: some texts hold line ends, NUL, emoji, quotes, other scripts or are very long.
        prepared: one block of some thousand events, compressed once, is repeated within each bundle. Events then repeat
            with their ids and times: for measuring, not for comparing.

    Raises:
        ValueError: a number that makes no sense.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        first: float = 0,
        bundle_hours: float = 24,
        events_per_bundle: int = 1000,
        visitors: int = 200,
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
        self.seed = seed
        self.first = int(first // self.length * self.length)
        self.events_per_bundle = events_per_bundle
        self.number_of_visitors = visitors
        self.custom_vars_per_event = custom_vars_per_event
        self.custom_var_names = custom_var_names
        self.dirty = dirty
        self.prepared = prepared
        self._bundles: dict[int, Bundle] = {}  # by start
        self._prepare = lru_cache(maxsize=4)(self._prepare_bundle)  # a block is some megabytes

    def bundles(self, now: float) -> list[Bundle]:
        """The bundles that have ended by *now*, oldest first."""
        starts = range(self.first, int(now) - self.length + 1, self.length)
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
        """All visitors; some are two browsers of one person."""
        rng = Random(f"visitors {self.seed}")
        return list(islice(_invent_visitors(rng), self.number_of_visitors))

    @cached_property
    def scripts(self) -> list[list[Step]]:
        """All scripts."""
        rng = Random(f"scripts {self.seed}")
        if self.custom_vars_per_event is None:
            variables: Callable[[Action], Event] = attrgetter("variables")
        else:
            variables = _fixed_variables(self.custom_vars_per_event, self.custom_var_names, rng)
        return [_write_script(rng, self.dirty, variables) for _ in range(SCRIPTS)]

    def encoded_events(self, start: int, count: int) -> Iterator[bytes]:
        """*count* events of the bundle that begins at *start*, encoded, in runs joined by `,\\n`."""
        rng = Random(f"bundle {self.seed} {start}")
        visitors, scripts = self.visitors, self.scripts
        usable = self.length * 1000 - LONGEST - 1  # ms in which sessions begin
        waiting: list[tuple[int, int, bytes, Step, Visitor]] = []  # ms, number of the event, ids, …
        made = 0
        while made < count:
            visitor = rng.choice(visitors)
            steps = rng.choice(scripts)[: count - made]
            # spread evenly and in order: no event of a later session comes before this moment
            begin = start * 1000 + int(usable * (made + rng.random() * len(steps)) / count)
            if len(waiting) > SORTED_AT_ONCE:
                waiting.sort()
                ready = bisect_left(waiting, (begin,))
                if ready:
                    yield _joined(waiting[:ready])
                    del waiting[:ready]
            ids = _ids(rng, visitor, 1 + steps[-1].page)
            waiting += [
                (begin + step.offset, number, ids[step.page], step, visitor) for number, step in enumerate(steps, made)
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


def _joined(events: list[tuple[int, int, bytes, Step, Visitor]]) -> bytes:
    return SEPARATOR.join(
        [
            b"".join(
                (
                    ids,
                    _second(ms // 1000),
                    MILLISECONDS[ms % 1000],
                    step.head,
                    visitor.device,
                    step.middle,
                    visitor.identity,
                    step.tail,
                    visitor.place,
                )
            )
            for ms, _, ids, step, visitor in events
        ]
    )


@lru_cache(maxsize=4096)
def _second(moment: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)).encode()


def _members(event: Event) -> bytes:
    """Members of an object without its braces, each followed by a comma."""
    return encode(event)[1:-1] + b"," if event else b""


def _invent_visitors(rng: Random) -> Iterator[Visitor]:
    person = BIGGEST_ID
    identity: Event = {}
    for number in cycle(range(1000, 1_000_000)):
        if not identity.get("UserAppKey") or rng.random() > 0.2:  # else: another browser of the same person
            person = BIGGEST_ID if number == 1000 else rng.randrange(BEYOND_DOUBLES, BIGGEST_ID)
            identified = rng.random() < 0.4
            identity = {
                "UserAppKey": f"customer-{number}" if identified else "",
                "UserDisplayName": f"User {number}",
                "UserEmail": f"user{number}@example.com" if identified else "",
            }
        agent, browser, device, system = rng.choice(DEVICES)
        yield Visitor(
            person=person,
            cookie=rng.randrange(BEYOND_DOUBLES, BIGGEST_ID),
            device=_members(
                {
                    "PageIp": rng.choice(("", f"192.0.2.{rng.randrange(1, 255)}")),
                    "PageAgent": agent,
                    "PageBrowser": browser,
                    "PageDevice": device,
                    "PageOperatingSystem": system,
                }
            ),
            identity=_members(identity),
            place=encode({"PageLatLong": rng.choice(PLACES)})[1:],
        )


def _write_script(rng: Random, dirty: bool, variables: Callable[[Action], Event]) -> list[Step]:
    """What happens in one session: one to four pages with all their events."""
    steps: list[Step] = []
    pages = rng.randint(1, 4)
    begin = 0
    for page in range(pages):
        referrer = rng.choice(REFERRERS) if page == 0 else f"{SHOP}/"
        actions = _act(rng, begin, begin + LONGEST // pages, dirty)
        end = actions[-1].offset + rng.randint(200, 5000)
        duration = end - begin
        active = int(duration * rng.uniform(0.3, 0.95))
        cluster = {} if rng.random() < 0.01 else {"PageClusterId": rng.randint(600, 640)}
        for action in actions:
            head = {
                **action.what,
                "PageDuration": duration,
                "PageActiveDuration": active,
                "PageUrl": action.url,
                "PageRefererUrl": referrer,
            }
            counts = {
                "PageNumInfos": action.infos,
                "PageNumWarnings": action.warnings,
                "PageNumErrors": action.errors,
            }
            steps.append(
                Step(
                    offset=action.offset,
                    page=page,
                    head=_members(head),
                    middle=_members({**counts, **cluster, **action.load}),
                    tail=_members(variables(action)),
                )
            )
        begin = end
    return steps


def _act(rng: Random, begin: int, latest: int, dirty: bool) -> list[Action]:
    """The events of one page, in order. All end well before *latest*; both in ms since the session began."""
    url = SHOP + rng.choice(ROUTES)
    dom_content = rng.randint(180, 1900)
    first_paint = dom_content + rng.randint(20, 300)
    load = {
        "LoadDomContentTime": dom_content,
        "LoadFirstPaintTime": first_paint,
        "LoadEventTime": first_paint + rng.randint(10, 900),
    }
    actions = [
        Action(begin, url, {"EventType": "uservar"}),
        Action(begin, url, {"EventType": "navigate"}),
        Action(begin + rng.randint(5, 40), url, {"EventType": "load"}, load),
    ][rng.randint(0, 1) :]
    moment = actions[-1].offset
    infos = warnings = errors = 0
    for _ in range(rng.randint(2, 16)):
        moment += rng.randint(300, 4500)
        infos += rng.random() < 0.2
        warnings += rng.random() < 0.1
        errors += rng.random() < 0.03
        kind = rng.choices(("click", "rage", "change", "seen", "custom", "navigate"), (38, 2, 12, 18, 22, 8))[0]
        if kind == "navigate":
            url = SHOP + rng.choice(ROUTES)
        happened = _happen(rng, kind, moment, url, dirty)
        moment = happened[-1].offset
        if moment > latest - 6000:  # the page ends up to 5 s after its last event
            break
        for action in happened:
            action.infos, action.warnings, action.errors = infos, warnings, errors
        actions += happened
    return actions


def _happen(rng: Random, kind: str, moment: int, url: str, dirty: bool) -> list[Action]:
    """One thing a visitor does, and the one or more events it leaves."""
    if kind == "navigate":
        return [Action(moment, url, {"EventType": "navigate"})]
    if kind == "custom":
        name, variables = _custom(rng)
        custom = Action(moment, url, {"EventType": "custom", "EventCustomName": name}, variables=variables)
        if rng.random() < 0.9:
            return [custom]
        # a call that Fullstory partly rejects leaves both
        return [
            Action(moment, url, {"EventType": "custom_error", "EventCustomName": name}, variables=variables),
            custom,
        ]
    text = rng.choice({"change": TYPED, "seen": FRUIT}.get(kind, BUTTONS))
    if dirty and rng.random() < 0.03:
        text = rng.choice(DIRTY_TEXTS)
    target: Event = {"EventTargetText": text, "EventTargetSelectorTok": _selector(rng, kind)}
    if kind == "rage":
        clicks = rng.randint(3, 7)
        return [
            Action(moment + 180 * nth, url, {"EventType": "click", **target, "EventModFrustrated": nth + 1})
            for nth in range(clicks)
        ]
    event: Event = {"EventType": kind, **target}
    if kind == "click":
        # members that would be zero are left out
        if rng.random() < 0.15:
            event["EventModDead"] = 1
        if rng.random() < 0.05:
            event["EventModError"] = 1
    return [Action(moment, url, event)]


def _selector(rng: Random, kind: str) -> str:
    """A legacy selector: tokens with everything but letters and digits percent-encoded."""
    last = {
        "change": "input .form%2Dcontrol .input%2Dsm =type=text",
        "seen": f".featured%2Dfruit =data%2Dfruit={quote(rng.choice(FRUIT), safe='')}",
    }.get(kind, f"a .app%2Dcontrol =href={quote(rng.choice(ROUTES), safe='')}")
    return " ".join(("html .no%2Djs body .ng%2Dscope div", *rng.choices(LAYOUT, k=rng.randint(12, 40)), last))


def _custom(rng: Random) -> tuple[str, Event]:
    """Name and variables of a custom event; nested properties have a dot in their name."""
    fruit = rng.choice(FRUIT)
    price = rng.choice((6.75, 2, 12.5, 0.99, 4))
    if rng.random() < 0.6:
        return rng.choice(("Product Added", "Product Viewed", "Product Removed")), {
            "evt_id_str": fruit.lower().replace(" ", "_"),
            "evt_displayName_str": fruit,
            "evt_price_str": f"{price:.2f}",
            "evt_price_raw_real": price,
            "evt_unit_str": rng.choice(("lb", "each")),
            "evt_description_str": f"Extra organical {fruit.lower()}, powered by the sun.",
            "evt_inStock_bool": rng.random() < 0.9,
        }
    order = {
        "evt_order.items_real": rng.randint(1, 9),
        "evt_order.order_id_str": f"{rng.getrandbits(40):x}",
        "evt_order.total_real": round(price * rng.randint(1, 9), 2),
    }
    if rng.random() < 0.5:
        return "Checkout Error", {
            "evt_message_str": "The product is out of stock",
            **order,
            "evt_type_str": "Out of Stock",
            "evt_code_str": "OOS-134B",
        }
    return "Order Completed", {
        **order,
        "evt_shipping_real": 4.5,
        "evt_coupons_strs": rng.sample(("HARVEST-10", "WELCOME", "FREESHIP"), 2),
        "evt_deliverBy_date": f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T12:00:00Z",
    }


def _fixed_variables(count: int, names: Sequence[str], rng: Random) -> Callable[[Action], Event]:
    """A function that gives each event *count* variables, taking the names in turn."""
    suffixes = ("str", "int", "real", "bool", "date")
    in_turn = cycle(names or [f"evt_var_{number:03}_{suffixes[number % 5]}" for number in range(max(count, 1))])
    return lambda _: {name: _value(name, rng) for name in islice(in_turn, count)}


def _value(name: str, rng: Random) -> Any:
    """A value of the type that the suffix of a custom variable announces; strings for all others."""
    kind = name.rpartition("_")[2]
    one: dict[str, Callable[[], Any]] = {
        "int": lambda: rng.randint(-1000, 1_000_000),
        "real": lambda: round(rng.uniform(0, 1000), 2),
        "bool": lambda: rng.random() < 0.5,
        "date": lambda: f"2024-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T{rng.randint(0, 23):02}:30:00Z",
    }
    if kind.endswith("s"):
        return [one.get(kind[:-1], lambda: rng.choice(FRUIT))() for _ in range(2)]
    return one.get(kind, lambda: rng.choice(FRUIT))()
