"""What people have in mind when they come to the shop, and what they do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from fullstory_emulator.goods import FRUIT, Fruit
from fullstory_emulator.people import EMAIL, NAME, STREET, ZIP
from fullstory_emulator.sites import CART, CHECKOUT, HELP, HOME, MARKET, ORDERS, PRODUCT, Site
from fullstory_emulator.visits import Visit

FORM = [("name", NAME), ("street", STREET), ("zip", ZIP), ("e-mail", EMAIL)]
FRUIT_IN_STOCK = [fruit for fruit in FRUIT if fruit.in_stock]
QUESTIONS = ("Where is my order?", "How do I return fruit?", "Do you deliver on Sundays?")


def write_visit(rng: Random, site: Site, *, is_known: bool, dirt: Iterator[str]) -> Visit:
    """A whole visit of somebody with one intention; arguments as in `Visit`."""
    visit = Visit(rng, site, is_known=is_known, dirt=dirt)
    intention = rng.choices(list(SHARES), list(SHARES.values()))[0]
    intention(visit)
    visit.leave()
    return visit


def just_look(visit: Visit) -> None:
    """Look around, perhaps at a product or two, perhaps where a search engine led."""
    rng = visit.rng
    if rng.random() < 0.3:
        visit.arrive(PRODUCT, rng.choice(FRUIT))
        if visit.fruit is not None and not visit.site.is_app:
            visit.handle("highlight", visit.fruit.description)
    else:
        visit.arrive()
    _go_to_market(visit)
    for fruit in rng.sample(FRUIT, rng.choices((0, 1, 2), (20, 50, 30))[0]):
        visit.look_at(fruit)
        _go_back_to_market(visit)


def compare(visit: Visit) -> None:
    """Go to and fro between products, and put the best one away for later."""
    rng = visit.rng
    visit.arrive()
    _go_to_market(visit)
    visit.click("Sort by price", "link")
    fruits = rng.sample(FRUIT, rng.randint(2, 4))
    for fruit in fruits:
        visit.look_at(fruit)
        if rng.random() < 0.3 and not visit.site.is_app:
            visit.handle("copy", fruit.description)
        _go_back_to_market(visit)
    best = min(fruits, key=lambda fruit: fruit.price)
    visit.look_at(best)
    visit.add(best)
    if rng.random() < 0.3:
        _go_back_to_market(visit)
        visit.add(fruits[0])
        _go_to_cart(visit)
        visit.remove(fruits[0])


def buy(visit: Visit) -> None:
    """Fill a cart, and order."""
    _fill_cart(visit, FRUIT_IN_STOCK)
    _go_to_checkout(visit)
    visit.fill_in(FORM)
    if visit.rng.random() < 0.3:
        visit.write_note()
    if visit.rng.random() < 0.35:
        visit.use_coupon()
    if visit.rng.random() < 0.3:
        visit.tick("You sure you want this fruit?")
    visit.order()


def abandon(visit: Visit) -> None:
    """Fill a cart, get lost in the form, and go."""
    _fill_cart(visit, FRUIT)
    _go_to_checkout(visit)
    visit.fill_in(FORM[: visit.rng.randint(0, 3)])
    if visit.rng.random() < 0.5:
        visit.click_in_vain("Your order")
    if visit.rng.random() < 0.3:
        visit.use_coupon()
    visit.handle("abandon", "Delivery address")


def seek_help(visit: Visit) -> None:
    """Find out about an order, or what the shop has to say."""
    rng = visit.rng
    visit.arrive()
    if visit.is_known:
        visit.go(ORDERS, "My orders")
        visit.click("Show items")
        if rng.random() < 0.3:
            visit.click_in_vain("Delivered")
    visit.go(HELP, "Help")
    visit.search()
    visit.click(rng.choice(QUESTIONS))
    visit.see("Was this helpful?")
    if rng.random() < 0.6:
        visit.click(rng.choice(("Yes", "No")), "button")
    else:
        visit.click("Contact us")
        visit.write_note()
        visit.click("Send", "button")
        visit.tell("Support Requested", {"evt_topic_str": "delivery", "evt_isCustomer_bool": visit.is_known})


def struggle(visit: Visit) -> None:
    """Meet an error at the checkout, again and again; a few find a way, most do not."""
    rng = visit.rng
    gone = [fruit for fruit in FRUIT if not fruit.in_stock]
    _fill_cart(visit, [*gone, rng.choice(FRUIT_IN_STOCK)])
    _go_to_checkout(visit)
    visit.fill_in(FORM[: rng.randint(2, 4)])
    for _ in range(rng.randint(1, 3)):
        visit.click("Purchase", "button", error=True)
        visit.fail()
    visit.rage("Purchase", "button", failing=True)
    if rng.random() < 0.3:
        visit.reload()
        visit.fill_in(FORM[:2])
    visit.click("Purchase", "button", error=True)
    visit.fail()
    culprits = [fruit for fruit in visit.cart.lines if not fruit.in_stock]
    visit.see(f"{culprits[0].name} is out of stock, please remove it" if culprits else "Something went wrong.")
    if culprits and rng.random() < 0.3:
        visit.go(CART, "My cart")
        for fruit in culprits:
            visit.remove(fruit)
        if visit.cart.items:
            visit.go(CHECKOUT, "Checkout", "button")
            visit.order()
        return
    if rng.random() < 0.4:
        visit.suffer("exception")
    elif not visit.site.is_app and rng.random() < 0.3:
        visit.suffer("thrash")
    if visit.site.name == "android" and rng.random() < 0.5:
        visit.suffer("crashed")
    else:
        visit.handle("abandon", "Delivery address")


def fume(visit: Visit) -> None:
    """Hammer on something that looks like a button and is none."""
    visit.arrive()
    _go_to_market(visit)
    visit.look_at(visit.rng.choice(FRUIT))
    visit.rage("Show larger picture", "picture", failing=False)
    if visit.site.name == "android" and visit.rng.random() < 0.3:
        visit.suffer("low_memory")
    _go_back_to_market(visit)


# of a hundred visits
SHARES: dict[Callable[[Visit], None], int] = {
    just_look: 20,
    compare: 11,
    buy: 28,
    abandon: 15,
    seek_help: 6,
    struggle: 16,
    fume: 4,
}


def _go_to_market(visit: Visit) -> None:
    if visit.place != MARKET:
        visit.go(MARKET, "Market")
    if visit.rng.random() < 0.2:
        visit.search()


def _go_back_to_market(visit: Visit) -> None:
    if visit.place != MARKET:
        visit.go(MARKET, "Back to all fruits") if visit.rng.random() < 0.6 else visit.move(MARKET)


def _fill_cart(visit: Visit, fruits: Sequence[Fruit]) -> None:
    """Add one to three of *fruits*; some are looked at before."""
    rng = visit.rng
    visit.arrive(rng.choices((HOME, MARKET), (80, 20))[0])
    _go_to_market(visit)
    wanted = rng.sample(fruits, min(len(fruits), rng.randint(1, 3)))
    for fruit in wanted:
        if rng.random() < 0.35:
            visit.look_at(fruit)
            visit.add(fruit)
            _go_back_to_market(visit)
        else:
            visit.add(fruit)


def _go_to_cart(visit: Visit) -> None:
    visit.go(CART, f"My cart ({visit.cart.items})")


def _go_to_checkout(visit: Visit) -> None:
    _go_to_cart(visit)
    visit.go(CHECKOUT, "Checkout", "button")
