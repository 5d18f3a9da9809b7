"""What the invented shop sells, and a cart of it. Money is counted in cents, so that sums are exact."""

from __future__ import annotations

from dataclasses import dataclass

CURRENCY = "USD"
SHIPPING = 450  # cents
COUPONS = {"HARVEST-10": 10, "WELCOME": 5, "FREESHIP": 0}  # per cent off


@dataclass(frozen=True)
class Fruit:
    """One kind of fruit."""

    name: str
    price: int  # cents
    unit: str
    description: str
    in_stock: bool = True

    @property
    def id(self) -> str:
        """As it stands in addresses and events."""
        return self.name.lower().replace(" ", "_")


FRUIT = (
    Fruit("Mangocados", 675, "each", "Half mango, half avocado, powered by the sun."),
    Fruit("Bluebs", 399, "lb", "Extra organical and powered by blue."),
    Fruit("Straw Bluebs", 425, "lb", "Red outside, blue at heart."),
    Fruit("Pineapricots", 1250, "each", "Prickly, then sweet. Bring gloves."),
    Fruit("Cherrimoyas", 899, "lb", "A custard that grows on trees."),
    Fruit("Grapefigs", 724, "lb", "Use either for jam or for wine."),
    Fruit("Lemonquats", 200, "lb", "So sour that they ship with sugar."),
    Fruit("Plumelons", 1500, "each", "A melon that fits a lunch box.", in_stock=False),
    Fruit("Kiwerries", 549, "lb", "Fuzzy and proud of it."),
    Fruit("Papayananas", 179, "each", "Peel it twice, enjoy it once."),
    Fruit("Lycheppels", 999, "lb", "One a day keeps nobody away.", in_stock=False),
    Fruit("Guavocots", 400, "each", "The breakfast of gardeners."),
)


class Cart:
    """What somebody means to buy."""

    def __init__(self) -> None:
        self.lines: dict[Fruit, int] = {}  # and how many of each

    def add(self, fruit: Fruit, quantity: int) -> None:
        self.lines[fruit] = self.lines.get(fruit, 0) + quantity

    def remove(self, fruit: Fruit) -> int:
        """Take all of one kind out again; returns how many that were."""
        return self.lines.pop(fruit)

    @property
    def items(self) -> int:
        """How many pieces or pounds."""
        return sum(self.lines.values())

    @property
    def total(self) -> int:
        """Cents, before coupons and shipping."""
        return sum(fruit.price * quantity for fruit, quantity in self.lines.items())


def amount(cents: int) -> int | float:
    """Cents as events have them: `4` and `6.75`; whole amounts come without a fraction, as seen in the sample."""
    return cents // 100 if cents % 100 == 0 else cents / 100
