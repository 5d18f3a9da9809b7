"""What invented people do reads like what people do: on the web shop, the classic site and in the app."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from fullstory_emulator import sample_events
from fullstory_emulator.account import Account
from fullstory_emulator.goods import FRUIT
from fullstory_emulator.visits import DIRTY_TEXTS

Event = dict[str, Any]
DAY = 1_699_920_000  # 2023-11-14
ALWAYS = set.intersection(*(set(event) for event in sample_events()))
OF_BROWSERS = {
    "PageUrl", "PageRefererUrl", "PageAgent", "PageNumInfos", "PageNumWarnings", "PageNumErrors", "PageClusterId",
    "LoadDomContentTime", "LoadEventTime", "LoadFirstPaintTime",
}  # fmt: skip
OF_APPS = {
    "AppName", "AppPackageName", "AppDeviceModel", "AppDeviceVendor", "AppVersion", "AppOsVersion", "AppViewName",
}  # fmt: skip
OF_ANDROID = {"keyboard_open", "keyboard_close", "crashed", "low_memory"}
OF_WEB = {"navigate", "load", "copy", "paste", "highlight", "thrash"}
ON_ELEMENTS = {"click", "change", "seen", "copy", "paste", "highlight", "abandon"}


@cache
def events_of(site: str) -> list[Event]:
    """One bundle of 10,000 events, about 300 sessions."""
    text = b",\n".join(Account(sites=(site,)).encoded_events(DAY, 10_000))
    events: list[Event] = json.loads(b"[%b]" % text)
    return events


def grouped(events: list[Event], *names: str) -> list[list[Event]]:
    groups = defaultdict(list)
    for event in events:
        groups[tuple(event[name] for name in names)].append(event)
    return list(groups.values())


def moment(event: Event) -> float:
    return datetime.fromisoformat(event["EventStart"][:-1] + "+00:00").timestamp()


@pytest.fixture(scope="module", params=["shop", "classic", "app"])
def site(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def events(site: str) -> list[Event]:
    return events_of(site)


@pytest.fixture(scope="module")
def sessions(events: list[Event]) -> list[list[Event]]:
    return grouped(events, "UserId", "SessionId")


def named(events: list[Event], name: str) -> list[Event]:
    """Custom events of this name; `custom_error` only repeats one."""
    return [event for event in events if event["EventType"] == "custom" and event["EventCustomName"] == name]


def test_orders_are_of_what_was_put_into_the_cart(sessions: list[list[Event]]) -> None:
    """Nobody buys without a cart, before the form or twice; and what is paid is the sum of what was added."""
    orders = 0
    for session in sessions:
        for nth, event in enumerate(session):
            if event.get("EventCustomName") not in ("Order Completed", "Checkout Error"):
                continue
            before = session[:nth]
            added, removed = named(before, "Product Added"), named(before, "Product Removed")
            cents = [round(100 * found["evt_price_raw_real"]) * found["evt_quantity_int"] for found in added]
            refunds = [round(100 * found["evt_price_raw_real"]) * found["evt_quantity_int"] for found in removed]
            assert added
            assert sum(cents) - sum(refunds) == round(100 * event["evt_order.total_real"])
            items = [sum(found["evt_quantity_int"] for found in found_ones) for found_ones in (added, removed)]
            assert items[0] - items[1] == event["evt_order.items_real"]
            assert {event["evt_currency_str"]} == {found["evt_currency_str"] for found in added}
            assert not named(before, "Order Completed")
            assert "Purchase" == [e["EventTargetText"] for e in before if e["EventType"] == "click"][-1]
            assert any(e["EventType"] == "change" and e["EventTargetText"] for e in before)
            if event["EventCustomName"] == "Order Completed":
                orders += 1
                paid = event["evt_order.total_real"] - event["evt_discount_real"] + event["evt_shipping_real"]
                assert round(paid, 2) == event["evt_revenue_real"]
                assert event["evt_deliverBy_date"] > event["EventStart"]
    assert len(sessions) * 0.15 < orders < len(sessions) * 0.5


def test_orders_have_numbers_of_their_own(events: list[Event]) -> None:
    """Two orders never share one, though many visitors play the same script; the errors before belong to it."""
    orders = named(events, "Order Completed")
    assert len(orders) == len({event["evt_order.order_id_str"] for event in orders})
    for session in grouped(named(events, "Order Completed") + named(events, "Checkout Error"), "SessionId"):
        assert 1 == len({event["evt_order.order_id_str"] for event in session})


def test_products_are_those_of_the_shop(events: list[Event]) -> None:
    """Name and price belong together, and what is added from its own page is what the page shows."""
    prices = {fruit.name: fruit.price for fruit in FRUIT}
    for event in events:
        if "evt_price_raw_real" in event:
            assert prices[event["evt_displayName_str"]] == round(100 * event["evt_price_raw_real"])
            assert float(event["evt_price_str"]) == event["evt_price_raw_real"]
        url = event.get("PageUrl", "")
        if "evt_id_str" in event and ("/product/" in url or "/fruit/" in url):
            assert event["evt_id_str"] in url
    assert any(type(event.get("evt_price_raw_real")) is int for event in events)  # as in the sample: 2, not 2.0


def test_rage_is_on_one_element_and_short(sessions: list[list[Event]]) -> None:
    """A series counts up from 1, on the same element of the same page, within seconds."""
    series = 0
    for session in sessions:
        run: list[Event] = []
        for event in (event for event in session if event["EventType"] == "click"):
            count = event.get("EventModFrustrated", 0)
            if count <= 1:
                run = []
            if count:
                run.append(event)
                series += count == 1
                assert len(run) == count
                assert 1 == len({(e["PageId"], e["EventTargetSelectorTok"], e["EventTargetText"]) for e in run})
                assert moment(run[-1]) - moment(run[0]) < 5
                assert event.get("EventModError") or event.get("EventModDead")
    assert series


def test_event_types_are_documented_ones() -> None:
    """No type is invented, and in a few accounts all of ours occur.

    API: https://developer.fullstory.com/server/v1/segments/export-event-types/; `uservar` is in the sample.
    """
    documented = """abandon backgrounded change click copy crashed custom custom_error exception highlight
        keyboard_close keyboard_open load low_memory navigate pageview paste pinch_gesture seen thrash uservar"""
    found = set()
    for seed in range(5):
        for scripts in Account(seed=seed).scripts.values():
            for script in scripts:
                found |= {json.loads(b"{%b}" % step.head[:-1])["EventType"] for step in script.steps}
    assert set(documented.split()) == found


def test_sessions_begin_and_are_in_order(sessions: list[list[Event]]) -> None:
    """First of all it is said who comes; then time only goes on, and it is the same person to the end."""
    for session in sessions:
        assert "uservar" == session[0]["EventType"]
        moments = [moment(event) for event in session]
        assert sorted(moments) == moments
        for name in ("IndvId", "UserAppKey", "UserDisplayName", "UserEmail", "PageBrowser", "PageDevice", "PageIp"):
            assert 1 == len({event[name] for event in session})


def test_pages_last_as_long_as_they_say(events: list[Event], sessions: list[list[Event]]) -> None:
    """One duration for all events of a page, not shorter than what happens on it; console calls only add up."""
    for page in grouped(events, "UserId", "SessionId", "PageId"):
        (duration,) = {event["PageDuration"] for event in page}
        (active,) = {event["PageActiveDuration"] for event in page}
        assert 0 <= active <= duration
        assert round(1000 * (moment(page[-1]) - moment(page[0]))) <= duration
        for name in ("PageNumInfos", "PageNumWarnings", "PageNumErrors"):
            counts = [event.get(name, 0) for event in page]
            assert sorted(counts) == counts
    for session in sessions:
        pages = grouped(session, "PageId")
        for earlier, later in pairwise(pages):
            assert moment(earlier[-1]) < moment(later[0])


def test_a_classic_site_says_where_one_came_from() -> None:
    """Each page is loaded, has one address, and its referrer is the page before; or it is the same one, reloaded."""
    pages_of_session = []
    for session in grouped(events_of("classic"), "UserId", "SessionId"):
        pages = grouped(session, "PageId")
        pages_of_session.append(len(pages))
        before: Event | None = None
        for page in pages:
            (url,), (referrer,) = ({event[name] for event in page} for name in ("PageUrl", "PageRefererUrl"))
            if before is None:
                assert not referrer.startswith("https://www.orchard.example")
            else:
                assert before["PageUrl"] == referrer or (before["PageUrl"], before["PageRefererUrl"]) == (url, referrer)
            kinds = [event["EventType"] for event in page if event["EventType"] != "uservar"]
            assert ["navigate", "load"][: len(kinds)] == kinds[:2]
            before = page[0]
    assert sum(pages_of_session) > 4 * len(pages_of_session)


def test_a_single_page_shop_moves_within_its_page() -> None:
    """The address changes only with `navigate`, always after a `#`; there is a second page only after a reload."""
    for page in grouped(events_of("shop"), "UserId", "SessionId", "PageId"):
        assert 1 == sum(event["EventType"] == "load" for event in page) or len(page) < 3  # cut by the bundle's end
        for earlier, later in pairwise(page):
            assert later["PageUrl"].startswith("https://shop.example/#/")
            assert earlier["PageUrl"] == later["PageUrl"] or later["EventType"] == "navigate"


def test_apps_have_screens_and_no_browser() -> None:
    """All App fields and none of those that only browsers have; events that only Android knows come from Android."""
    events = events_of("app")
    for event in events:
        assert set(event) >= OF_APPS
        assert not set(event) & OF_BROWSERS
        assert all(event[name] for name in OF_APPS)
        assert "Mobile App" == event["PageBrowser"]
        assert event["EventType"] not in OF_WEB
        is_ios = event["PageOperatingSystem"] == "iOS"
        assert event["AppViewName"].endswith("ViewController" if is_ios else "Activity")
        assert not (is_ios and event["EventType"] in OF_ANDROID)
    assert {event["EventType"] for event in events} >= {"backgrounded", "pageview", "pinch_gesture", "keyboard_open"}
    for session in grouped(events, "UserId", "SessionId"):
        kinds = [event["EventType"] for event in session]
        assert not {"backgrounded", "crashed"} & set(kinds[:-1])


@pytest.mark.parametrize("site", ["shop", "classic"])
def test_web_events_have_the_form_of_the_sample(site: str) -> None:
    """Members that are always there, never null, no zeros where Fullstory leaves them out, legacy names."""
    for event in events_of(site):
        assert set(event) >= ALWAYS
        assert None not in event.values()
        assert not {"PageUserAgent", "EventTargetSelector", *OF_APPS} & set(event)
        assert not [name for name in event if name.startswith("EventMod") and event[name] == 0]
        assert 24 == len(event["EventStart"])
        kind = event["EventType"]
        assert ("EventTargetText" in event) == ("EventTargetSelectorTok" in event) == (kind in ON_ELEMENTS)
        assert ("EventCustomName" in event) == (kind in ("custom", "custom_error"))
        assert ("LoadEventTime" in event) == (kind == "load")
        assert any(name.startswith("evt_") for name in event) == ("EventCustomName" in event)
        assert site == "classic" or not any(name.startswith("page_") for name in event)


def test_pages_of_the_classic_site_carry_what_they_show() -> None:
    """Page variables are those of the page: its product, or the cart as it is then; all its events have them."""
    events = events_of("classic")
    for page in grouped(events, "UserId", "SessionId", "PageId"):
        url = page[0]["PageUrl"]
        variables = [{name: event[name] for name in event if name.startswith("page_")} for event in page]
        assert all(found == variables[0] for found in variables)
        assert bool(variables[0]) == ("/fruit/" in url or url.endswith("/cart"))
        if "/fruit/" in url:
            assert variables[0]["page_product_str"].lower().replace(" ", "_") in url


def test_people_are_the_same_on_all_their_devices() -> None:
    """One IndvId and one key, several cookies; who is not known has neither key nor e-mail, and is nobody else."""
    account = Account(visitors=500)
    events: list[Event] = json.loads(b"[%b]" % b",\n".join(account.encoded_events(DAY, 20_000)))
    people = grouped(events, "IndvId")
    assert any(len({event["UserId"] for event in person}) > 2 for person in people)
    for person in people:
        (key,) = {event["UserAppKey"] for event in person}
        assert 1 == len({event["UserDisplayName"] for event in person})
        assert 1 == len({event["PageLatLong"] for event in person})
        assert bool(key) == person[0]["UserEmail"].endswith("@example.com")
        assert key or {person[0]["IndvId"]} == {event["UserId"] for event in person}
    keys = [person[0]["UserAppKey"] for person in people if person[0]["UserAppKey"]]
    assert len(keys) == len(set(keys))
    assert 0.3 < len(keys) / len(people) < 0.5
    assert {"Desktop", "Mobile", "Tablet"} == {event["PageDevice"] for event in events}


def test_user_variables_are_those_of_the_person(events: list[Event]) -> None:
    """Members of the club have them on all their events, always the same, and others none."""
    members = 0
    for person in grouped(events, "IndvId"):
        found = [{name: event[name] for name in event if name.startswith("user_")} for event in person]
        assert all(variables == found[0] for variables in found)
        assert not found[0] or person[0]["UserAppKey"]
        assert not found[0] or found[0]["user_signedUp_date"] < person[0]["EventStart"]
        members += bool(found[0])
    assert members


def test_people_type_what_is_theirs(events: list[Event]) -> None:
    """The name and the address in the form are those that Fullstory knows."""
    typed = 0
    for event in events:
        if event["EventType"] == "change" and event["UserAppKey"]:
            token = event["EventTargetSelectorTok"].rpartition(" ")[2]
            expected = {"=id=name": event["UserDisplayName"], "=id=e%2Dmail": event["UserEmail"]}.get(token)
            assert expected in (None, event["EventTargetText"])
            typed += expected is not None
    assert typed


def test_texts_are_dirty_unless_told_otherwise() -> None:
    """Every kind of dirt occurs, where people write and read as they like; and can be switched off."""
    dirty, clean = (list(Account(dirty=dirty).encoded_events(DAY, 15_000)) for dirty in (True, False))
    for text in DIRTY_TEXTS:
        written = json.dumps(text, ensure_ascii=False).encode()
        assert written in b"".join(dirty)
        assert written not in b"".join(clean)


def test_hardly_anybody_is_here_twice_at_a_time(sessions: list[list[Event]]) -> None:
    """As long as there are enough visitors: in a day of 300 visits, those of one browser are hours apart."""
    for visits in grouped([session[0] for session in sessions], "UserId"):
        moments = [moment(event) for event in visits]
        assert all(later - earlier > 3600 for earlier, later in pairwise(moments))
