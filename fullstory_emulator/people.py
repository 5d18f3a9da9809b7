"""The people who visit: some known by name, some with several devices, each device with a cookie of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from fullstory_emulator.bundles import Event, encode
from fullstory_emulator.sites import SHARES

BIGGEST_ID = 2**63 - 1
BEYOND_DOUBLES = 2**53  # ids above this are damaged by parsers that know only doubles
KNOWN = 0.4  # of all people
CLUB = 0.2  # of the known ones: only the club tells Fullstory more about its people than who they are

# what stands in an event only if a certain person takes part; the places in Visitor.words
NOTHING, NAME, EMAIL, STREET, ZIP, ORDER, DELIVERY = range(7)

# agent, browser, device, operating system
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1"
CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0"
BROWSERS = (
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", "Chrome", "Desktop", "Windows"),
    (f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {WEBKIT} Safari/605.1.15", "Safari", "Desktop", "OS X"),
    ("Mozilla/5.0 (X11; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0", "Firefox", "Desktop", "Linux"),
    (f"Mozilla/5.0 (Windows NT 10.0) {CHROME} Safari/537.36 Edg/120.0.0.0", "Microsoft Edge", "Desktop", "Windows"),
    (f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) {WEBKIT} Mobile/15E148", "Safari", "Mobile", "iOS"),
    (f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36", "Chrome", "Mobile", "Android"),
    (f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {WEBKIT} Mobile/15E148", "Safari", "Tablet", "iOS"),
)
# site, vendor, model, version of the operating system, device
PHONES = (
    ("ios", "Apple", "iPhone14,5", "17.1", "Mobile"),
    ("ios", "Apple", "iPhone15,2", "16.6", "Mobile"),
    ("ios", "Apple", "iPad13,1", "16.6", "Tablet"),
    ("android", "Google", "Pixel 8", "14", "Mobile"),
    ("android", "Samsung", "SM-S911B", "13", "Mobile"),
    ("android", "Samsung", "SM-X700", "12", "Tablet"),
)
APP_VERSIONS = ("4.1.0", "4.2.0", "4.2.1")

PLACES = ("52.5200,13.4050", "39.0481,-77.4728", "19.4357,-99.1438", "-33.8688,151.2093", "35.6762,139.6503", "")
FIRST_NAMES = tuple("Alba Bram Cleo Dario Edda Finn Gwen Hugo Ines Jorin Kaya Levi Mira Nilo Orla Pelle".split())
LAST_NAMES = tuple("Appleby Berrywell Cloudberry Damson Fielding Hedgerow Orchardson Pipkin Quincey".split())
STREETS = ("Orchard Road", "Produce Aisle Avenue", "Blossom Lane", "Apple Avenue", "Pit Stop", "Vine Street")
PLANS = ("Basket", "Crate", "Orchard")


@dataclass(frozen=True)
class Visitor:
    """One browser or phone of one person, ready to be written into events."""

    person: int  # IndvId
    cookie: int  # UserId
    site: str
    is_known: bool
    device: bytes
    identity: bytes
    place: bytes
    words: tuple[bytes, ...]  # see NOTHING, NAME, …


@dataclass(frozen=True)
class Person:
    """Somebody, whatever the device."""

    number: int
    name: str
    email: str
    street: str
    zip: str
    place: str
    is_known: bool
    properties: Event  # user variables

    @property
    def identity(self) -> Event:
        """What Fullstory was told about this person."""
        return {
            "UserAppKey": f"customer-{self.number}" if self.is_known else "",
            "UserDisplayName": self.name if self.is_known else f"User {self.number}",
            "UserEmail": self.email if self.is_known else "",
        }

    @property
    def words(self) -> tuple[bytes, ...]:
        """What this person types into forms, as members of an event."""
        return (b"", *(members({"EventTargetText": typed}) for typed in (self.name, self.email, self.street, self.zip)))


def members(event: Event) -> bytes:
    """Members of an object without its braces, each followed by a comma."""
    return encode(event)[1:-1] + b"," if event else b""


def invent_visitors(rng: Random, sites: Sequence[str], with_properties: bool) -> Iterator[Visitor]:
    """Visitors without end, one person after the other.

    Args:
        sites: what they visit, names of `SHARES`.
        with_properties: whether members of the club carry user variables.
    """
    number = 1000
    while True:
        person = _invent_person(rng, number)
        cookies = [rng.randrange(BEYOND_DOUBLES, BIGGEST_ID)]
        if number == 1000:
            cookies = [BIGGEST_ID]  # in every account somebody has the largest of all ids
        while person.is_known and rng.random() < 0.3:  # on one more device
            cookies.append(rng.randrange(BEYOND_DOUBLES, BIGGEST_ID))
        identity = members({**person.identity, **(person.properties if with_properties else {})})
        words = person.words
        for cookie in cookies:
            site, device = _choose_device(rng, sites)
            yield Visitor(
                # who is not known is nobody but a cookie, and the first cookie names the person
                person=cookies[0],
                cookie=cookie,
                site=site,
                is_known=person.is_known,
                device=members(device),
                identity=identity,
                place=encode({"PageLatLong": person.place})[1:],
                words=words,
            )
        number += 1


def _invent_person(rng: Random, number: int) -> Person:
    first, last = rng.choice(FIRST_NAMES), rng.choice(LAST_NAMES)
    is_known = rng.random() < KNOWN
    properties: Event = {}
    if is_known and rng.random() < CLUB:
        properties = {
            "user_plan_str": rng.choice(PLANS),
            "user_signedUp_date": f"20{rng.randint(15, 19)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T00:00:00Z",
            "user_ordersLastYear_int": rng.randint(0, 40),
            "user_newsletter_bool": rng.random() < 0.5,
        }
    return Person(
        number=number,
        name=f"{first} {last}",
        email=f"{first.lower()}.{last.lower()}.{number}@example.com",
        street=f"{rng.randint(1, 120)} {rng.choice(STREETS)}",
        zip=f"{rng.randint(10000, 99999)}",
        place=rng.choice(PLACES),
        is_known=is_known,
        properties=properties,
    )


def _choose_device(rng: Random, sites: Sequence[str]) -> tuple[str, Event]:
    """One of the sites, and something to visit it with."""
    site = rng.choices(sites, [SHARES[name] for name in sites])[0]
    ip = rng.choice(("", f"192.0.2.{rng.randrange(1, 255)}"))
    if site == "app":
        site, vendor, model, version, device = rng.choice(PHONES)
        return site, {
            "PageIp": ip,
            "PageBrowser": "Mobile App",
            "PageDevice": device,
            "PageOperatingSystem": "iOS" if site == "ios" else "Android",
            "AppName": "Fruit Basket",
            "AppPackageName": "com.example.fruitbasket",
            "AppVersion": rng.choice(APP_VERSIONS),
            "AppDeviceVendor": vendor,
            "AppDeviceModel": model,
            "AppOsVersion": version,
        }
    agent, browser, device, system = rng.choice(BROWSERS)
    return site, {
        "PageIp": ip,
        "PageAgent": agent,
        "PageBrowser": browser,
        "PageDevice": device,
        "PageOperatingSystem": system,
    }
