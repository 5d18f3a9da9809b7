"""One visit while it happens: the verbs of somebody in a shop, and the events that each of them leaves.

What people have in mind is in `intentions`; where they are and how that is written down, in `sites`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from fullstory_emulator.bundles import Event
from fullstory_emulator.goods import COUPONS, CURRENCY, FRUIT, SHIPPING, Cart, Fruit, amount
from fullstory_emulator.people import DELIVERY, NOTHING, ORDER
from fullstory_emulator.sites import CLUSTERS, HOME, MARKET, PRODUCT, THANKS, Site

REFERRERS = ("", "https://search.example/?q=fruit+near+me", "https://news.example/2024/best-fruit")
SEARCHES = ("mango", "something sour", "berries", "gift basket", "blue")
REVIEWS = ("Sweet and ripe", "Arrived bruised", "My children love it", "Would buy again", "Smaller than shown")
NOTES = ("no onions please", "leave it with the neighbours", "ring twice", "mind the dog")
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
DIRT = 0.6  # of the texts that people write and read as they like


@dataclass
class Page:
    """One PageId: what was loaded, and for how long somebody stayed."""

    begin: int  # ms since the visit began, as all moments here
    referrer: str
    variables: Event
    end: int = 0
    active: int = 0  # ms
    infos: int = 0  # console calls so far
    warnings: int = 0
    errors: int = 0
    seen: set[tuple[str, str]] = field(default_factory=set)  # watched elements, which count once


@dataclass
class Action:
    """One event."""

    at: int
    page: int
    what: Event
    where: Event
    cluster: int | None
    console: Event
    word: int  # what the visitor adds to it, see `people`
    load: Event = field(default_factory=dict)
    variables: Event = field(default_factory=dict)


class Visit:
    """One session of somebody on a site.

    Args:
        is_known: whether the shop knows the person.
        dirt: texts to be met where people write as they like; without end, or empty.
    """

    def __init__(self, rng: Random, site: Site, *, is_known: bool, dirt: Iterator[str]) -> None:
        self.rng = rng
        self.site = site
        self.is_known = is_known
        self.dirt = dirt
        self.now = 0
        self.place = HOME
        self.fruit: Fruit | None = None  # whose page this is
        self.cart = Cart()
        self.coupons: list[str] = []
        self.pages: list[Page] = []
        self.actions: list[Action] = []

    # --- coming, moving, leaving ---

    def arrive(self, place: str = HOME, fruit: Fruit | None = None) -> None:
        """The first page, or the start of the app."""
        self.place, self.fruit = place, fruit
        self._start(self.rng.choice(REFERRERS))
        self._look_around()

    def go(self, place: str, by: str, element: str = "link", fruit: Fruit | None = None) -> None:
        """Click on *by*, which leads to *place*."""
        self.click(by, element)
        self.move(place, fruit)

    def move(self, place: str, fruit: Fruit | None = None) -> None:
        """Be at another place; all by itself, this is what `back` does."""
        if self.site.is_app:
            self._wait(80, 400)
            self._note("pageview")  # it ends with the screen
            self.place, self.fruit = place, fruit
        elif self.site.is_single_page:
            self._wait(2, 20)
            self.place, self.fruit = place, fruit
            self._page.infos += 1
            self._note("navigate")
        else:
            before = self.actions[-1].where["PageUrl"]
            self._wait(100, 600)
            self._close_page()
            self.place, self.fruit = place, fruit
            self._open_page(before)
            self._load()
        self._look_around()

    def reload(self) -> None:
        """Load the page again, as people do when nothing else helps; apps are started again."""
        self._wait(300, 2000)
        self._close_page()
        self._wait(100, 600)
        self._start(self._page.referrer)

    def leave(self) -> None:
        """The end; an app is put aside, unless it crashed."""
        self._wait(500, 6000)
        if self.site.is_app and self.actions[-1].what["EventType"] != "crashed":
            self._note("backgrounded")
        self._close_page()

    # --- what hands and eyes do ---

    def click(self, text: str, element: str = "link", *, label: str = "", error: bool = False) -> None:
        """One click, after a moment of thought; *label* tells elements of the same or of no text apart."""
        self._think()
        self._touch("click", text, element, label=label, more={"EventModError": 1} if error else {})

    def click_in_vain(self, text: str, element: str = "text") -> None:
        """A few slow clicks on something that does nothing, as curious people do."""
        for _ in range(self.rng.randint(2, 4)):
            self._think()
            # what happens to move afterwards keeps some of them from being dead
            dead: Event = {"EventModDead": 1} if self.rng.random() < 0.75 else {}
            self._touch("click", text, element, more=dead)

    def rage(self, text: str, element: str, failing: bool) -> None:
        """Several clicks on the same element in a second or two; *failing*: each of them is an error."""
        self._think()
        for nth in range(1, self.rng.randint(3, 7) + 1):
            if nth > 1:
                self._wait(120, 400)
            more: Event = {"EventModFrustrated": nth}
            if failing:
                self._touch("click", text, element, more={**more, "EventModError": 1})
                self.fail()
            else:
                self._touch("click", text, element, more={**more, "EventModDead": 1})

    def see(self, text: str, element: str = "text", label: str = "") -> None:
        """A watched element comes into view, for the first time on this page."""
        if (self.place, label or text) in self._page.seen:
            return
        self._page.seen.add((self.place, label or text))
        self._wait(30, 200)
        self._touch("seen", text, element, label=label)

    def type(self, label: str, text: str = "", word: int = NOTHING) -> None:
        """Fill a field; *word* instead of *text*: with something of the person's own."""
        android = self.site.name == "android"
        self._think()
        if android:
            self._note("keyboard_open")
            self._wait(900, 3000)
        self._touch("change", text, "field", label=label, word=word)
        if android and self.rng.random() < 0.5:
            self._wait(100, 500)
            self._note("keyboard_close")

    def tick(self, text: str) -> None:
        """Tick a box."""
        self.click(text, "box")
        self._wait(1, 2)
        self._touch("change", "true", "box", label=text)

    def handle(self, kind: str, text: str = "", element: str = "text") -> None:
        """Do something else with an element: copy, paste, highlight, abandon."""
        self._think()
        self._touch(kind, text, element)

    def suffer(self, kind: str) -> None:
        """Something happens that has no element: exception, crashed, low_memory, thrash, pinch_gesture."""
        self._think()
        self._note(kind)

    def tell(self, name: str, variables: Event, *, word: int = NOTHING, twice: bool = False) -> None:
        """A custom event that the site sends; *twice*: Fullstory rejects a part of it, which leaves two."""
        what = {"EventCustomName": name}
        if twice:
            self._note("custom_error", what, word=word, variables=variables)
        self._note("custom", what, word=word, variables=variables)

    # --- what people do in a shop ---

    def search(self) -> None:
        """Look for something."""
        self.type("search", self._in_own_words(SEARCHES))
        self.click("Search", "button")
        self.see(f"{self.rng.randint(1, 9)} results")

    def look_at(self, fruit: Fruit) -> None:
        """Go to the page of a product, and read."""
        self.go(PRODUCT, fruit.name, fruit=fruit)
        self._wait(2, 30)
        self.tell(
            "Product Viewed",
            {
                "evt_id_str": fruit.id,
                "evt_displayName_str": fruit.name,
                "evt_price_real": amount(fruit.price),
                "evt_currency_str": CURRENCY,
                "evt_inStock_bool": fruit.in_stock,
            },
        )
        if self.rng.random() < 0.5:
            review = self._in_own_words(REVIEWS)
            self.see(review, label="review")
            if self.rng.random() < 0.5:
                self.click(review, "text", label="review")
        if self.rng.random() < 0.4:
            self.click_in_vain("", "picture")
        if self.site.is_app and self.rng.random() < 0.3:
            self.suffer("pinch_gesture")

    def add(self, fruit: Fruit) -> None:
        """Put a product into the cart, from its own page or from the market."""
        quantity = self.rng.choices((1, 2, 3), (70, 20, 10))[0]
        if quantity > 1:
            self.type(f"quantity of {fruit.id}", str(quantity))
        self.click("Add to cart", "button", label=f"add {fruit.id}")
        self._wait(2, 40)
        self._page.infos += 1
        self.cart.add(fruit, quantity)
        # the shop sends what its framework keeps with a product, of which Fullstory rejects a part
        self.tell("Product Added", {**_product(fruit), "evt_quantity_int": quantity}, twice=self.site.name == "shop")

    def remove(self, fruit: Fruit) -> None:
        """Take a product out again."""
        self.click("Remove", label=f"remove {fruit.id}")
        self._wait(2, 40)
        self.tell("Product Removed", {**_product(fruit), "evt_quantity_int": self.cart.remove(fruit)})

    def fill_in(self, fields: list[tuple[str, int]]) -> None:
        """The form of the checkout, as far as somebody gets."""
        for label, word in fields:
            self.type(label, word=word)

    def write_note(self) -> None:
        """A word for the courier."""
        self.type("note", self._in_own_words(NOTES))

    def use_coupon(self) -> None:
        """Type or paste a code, which is taken off the price."""
        code = self.rng.choice(list(COUPONS))
        if not self.site.is_app and self.rng.random() < 0.4:
            self.handle("paste", code, "field")
        self.type("coupon", code)
        self.click("Apply coupon", "button")
        self.coupons.append(code)

    def order(self) -> None:
        """Buy what is in the cart."""
        self.click("Purchase", "button")
        self._wait(200, 900)
        discount = sum(self.cart.total * COUPONS[code] // 100 for code in self.coupons)
        shipping = 0 if "FREESHIP" in self.coupons else SHIPPING
        self.tell(
            "Order Completed",
            {
                **self._order(),
                "evt_discount_real": amount(discount),
                "evt_shipping_real": amount(shipping),
                "evt_revenue_real": amount(self.cart.total - discount + shipping),
                **({"evt_coupons_strs": self.coupons} if self.coupons else {}),
            },
            word=DELIVERY,
        )
        self.cart = Cart()
        self.move(THANKS)

    def fail(self) -> None:
        """The shop refuses an order."""
        self._wait(1, 60)
        self._page.errors += 1
        errors = [("Something went wrong.", "Server Error (500)", "AC10XY2")]
        if not all(fruit.in_stock for fruit in self.cart.lines):
            reason = ("The product is out of stock", "Out of Stock", "OOS-134B")
            # the shop, as that of the sample, reports the reason and that there was an error
            errors = [reason, *errors] if self.site.name == "shop" else [reason]
        for message, kind, code in errors:
            what = {"evt_message_str": message, **self._order(), "evt_type_str": kind, "evt_code_str": code}
            self.tell("Checkout Error", what, word=ORDER)

    # --- how it is written down ---

    @property
    def _page(self) -> Page:
        return self.pages[-1]

    def _start(self, referrer: str) -> None:
        self._open_page(referrer)
        self._note("uservar")
        if self.site.is_app:
            self._wait(5, 40)
            self.tell("App Opened", {"evt_isFirstToday_bool": self.rng.random() < 0.4})
        else:
            self._load()

    def _open_page(self, referrer: str) -> None:
        variables = self.site.page_variables(self.place, self.fruit, self.cart)
        self.pages.append(Page(self.now, referrer, variables))

    def _close_page(self) -> None:
        page = self._page
        page.end = self.now
        page.active = int((page.end - page.begin) * self.rng.uniform(0.4, 0.85))

    def _load(self) -> None:
        self._note("navigate")
        dom_content = self.rng.randint(180, 1900)
        first_paint = dom_content + self.rng.randint(20, 300)
        self._wait(10, 60)
        self._note("load").load = {
            "LoadDomContentTime": dom_content,
            "LoadFirstPaintTime": first_paint,
            "LoadEventTime": first_paint + self.rng.randint(50, 900),
        }
        self._page.warnings += self.rng.randint(0, 3)

    def _look_around(self) -> None:
        """The watched elements that every visitor of a place sees."""
        if self.place == HOME:
            self._wait(300, 1200)
            self.see(self.rng.choice(FRUIT).name, "picture")
        elif self.place == MARKET:
            self._wait(80, 300)
            self.see("Available Fruits")
            self.see("", "picture")
        elif self.place == PRODUCT and self.fruit is not None and not self.fruit.in_stock:
            self.see("Out of stock")
        elif self.place == THANKS:
            self.see("Thank you for your order")

    def _in_own_words(self, texts: tuple[str, ...]) -> str:
        text = self.rng.choice(texts)
        return next(self.dirt, text) if self.rng.random() < DIRT else text

    def _order(self) -> Event:
        return {
            "evt_order.items_real": self.cart.items,
            "evt_order.total_real": amount(self.cart.total),
            "evt_currency_str": CURRENCY,
        }

    def _think(self) -> None:
        self._wait(600, 5000)

    def _wait(self, least: int, most: int) -> None:
        self.now += self.rng.randint(least, most)

    def _touch(
        self, kind: str, text: str, element: str, *, label: str = "", word: int = NOTHING, more: Event | None = None
    ) -> None:
        what: Event = {} if word else {"EventTargetText": text}
        what["EventTargetSelectorTok"] = self.site.selector(self.place, element, (label or text)[:40])
        self._note(kind, {**what, **(more or {})}, word=word)

    def _note(
        self, kind: str, what: Event | None = None, *, word: int = NOTHING, variables: Event | None = None
    ) -> Action:
        page = self._page
        console = {"PageNumInfos": page.infos, "PageNumWarnings": page.warnings, "PageNumErrors": page.errors}
        action = Action(
            at=self.now,
            page=len(self.pages) - 1,
            what={"EventType": kind, **(what or {})},
            where=self.site.where(self.place, self.fruit),
            cluster=CLUSTERS.get(self.place),
            console={} if self.site.is_app else console,
            word=word,
            variables={**page.variables, **(variables or {})},
        )
        self.actions.append(action)
        return action


def _product(fruit: Fruit) -> Event:
    return {
        "evt_id_str": fruit.id,
        "evt_displayName_str": fruit.name,
        "evt_price_str": f"{fruit.price / 100:.2f}",
        "evt_price_raw_real": amount(fruit.price),
        "evt_currency_str": CURRENCY,
        "evt_unit_str": fruit.unit,
        "evt_imgName_str": fruit.id,
        "evt_description_str": fruit.description,
    }
