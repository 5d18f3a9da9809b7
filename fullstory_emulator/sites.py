"""The places of the invented shop, and how each of its sites writes them down.

A single-page shop (`navigate` within one page), a classic site (each page is loaded anew and names the one before) and
an app for iOS and Android (screens instead of addresses, nothing that only browsers have).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from fullstory_emulator.bundles import Event
from fullstory_emulator.goods import Cart, Fruit, amount

# the sites an account may have, and how many of a hundred visitors come to each
SHARES = {"shop": 70, "classic": 15, "app": 15}

HOME, MARKET, PRODUCT, CART, CHECKOUT, THANKS, ORDERS, HELP = (
    "home", "market", "product", "cart", "checkout", "thanks", "orders", "help",
)  # fmt: skip
# Fullstory's groups of like pages; the page after an order is too rare for one
CLUSTERS = {HOME: 605, MARKET: 606, PRODUCT: 609, CART: 607, CHECKOUT: 604, ORDERS: 611, HELP: 612}


@dataclass(frozen=True)
class Site:
    """One way to write down where somebody is and what was touched.

    Args:
        address: what all paths begin with; empty: an app.
        paths: of all places, or the names of an app's screens; `{}` stands for a product.
        is_single_page: whether one page is loaded and the rest happens within.
        around: the selector of everything there is.
        within: the selector from there on, by place.
        elements: the end of a selector, by kind of element.
    """

    name: str
    address: str
    paths: Mapping[str, str]
    is_single_page: bool
    around: str
    within: Mapping[str, str]
    elements: Mapping[str, str]

    @property
    def is_app(self) -> bool:
        """No browser: no addresses, no console, no loading."""
        return not self.address

    def where(self, place: str, fruit: Fruit | None) -> Event:
        """The members that say where an event happened."""
        path = self.paths[place].format(fruit.id if fruit else "")
        return {"AppViewName": path} if self.is_app else {"PageUrl": self.address + path}

    def selector(self, place: str, element: str, label: str) -> str:
        """A legacy selector: tokens with everything but letters and digits percent-encoded."""
        named = quote(label.lower().replace(" ", "-"), safe="").replace("-", "%2D")
        return f"{self.around} {self.within.get(place, '')} {self.elements[element]} =id={named}"

    def page_variables(self, place: str, fruit: Fruit | None, cart: Cart) -> Event:
        """What the site tells Fullstory about a page; only the classic one does, and only about some."""
        if self.name != "classic":
            return {}
        if fruit is not None:
            return {
                "page_type_str": place,
                "page_product_str": fruit.name,
                "page_price_real": amount(fruit.price),
                "page_inStock_bool": fruit.in_stock,
            }
        if place == CART:
            return {"page_type_str": place, "page_items_int": cart.items, "page_value_real": amount(cart.total)}
        return {}


SHOP = Site(
    name="shop",
    address="https://shop.example",
    paths={
        HOME: "/#/", MARKET: "/#/market", PRODUCT: "/#/product/{}", CART: "/#/cart", CHECKOUT: "/#/checkout",
        THANKS: "/#/confirm", ORDERS: "/#/account/orders", HELP: "/#/help",
    },
    is_single_page=True,
    around="html .no%2Djs body .ng%2Dscope div .content div .ng%2Dscope div",
    within={
        HOME: ".home%2Dfeatures .ng%2Dscope div .container div .row div .col%2Dlg%2D4 .featured%2Dfruit",
        MARKET: ".market%2Dplace .ng%2Dscope div .container div .row ul .fruit%2Dlist li .fruit%2Dlist%2Ditem"
        " .ng%2Dscope div .col%2Dlg%2D3 .col%2Dmd%2D4 .col%2Dsm%2D6 div .fruit%2Dbox .clearfix",
        PRODUCT: ".market%2Dplace .ng%2Dscope div .container div .row div .col%2Dmd%2D8 div .fruit%2Ddetail"
        " .panel div .panel%2Dbody",
        CART: ".market%2Dplace .ng%2Dscope div .container div .row div .col%2Dmd%2D12 table .table .cart%2Dlist tbody"
        " tr .ng%2Dscope td .text%2Dright",
        CHECKOUT: ".market%2Dplace .ng%2Dscope div .container div .row div .col%2Dmd%2D4 form .ng%2Dpristine"
        " .ng%2Dscope .ng%2Dvalid div .form%2Dgroup .ng%2Dscope",
        THANKS: ".market%2Dplace .ng%2Dscope div .container div .row .jumbotron",
        ORDERS: ".account .ng%2Dscope div .container div .row div .col%2Dmd%2D9 ul .order%2Dlist li .ng%2Dscope",
        HELP: ".help .ng%2Dscope div .container div .row div .col%2Dmd%2D9 div .panel%2Dgroup div .panel%2Dbody",
    },
    elements={
        "link": "a .app%2Dcontrol .ng%2Dbinding",
        "button": "button .btn .btn%2Dprimary .btn%2Dlg =type=submit",
        "field": "div .row div .col%2Dmd%2D6 input .form%2Dcontrol .input%2Dsm =type=text",
        "box": "label .checkbox%2Dinline input .ng%2Dempty .ng%2Duntouched =type=checkbox",
        "text": "div .col%2Dsm%2D12 p .lead .ng%2Dbinding",
        "picture": "div .thumbnail img .img%2Dresponsive",
    },
)  # fmt: skip

CLASSIC = Site(
    name="classic",
    address="https://www.orchard.example",
    paths={
        HOME: "/", MARKET: "/fruit?page=1&sort=name", PRODUCT: "/fruit/{}.html", CART: "/cart",
        CHECKOUT: "/checkout/address", THANKS: "/checkout/thank-you", ORDERS: "/account/orders", HELP: "/help/delivery",
    },
    is_single_page=False,
    around="html .js .no%2Dtouch body .layout%2Dwide div .page%2Dwrapper main .page%2Dmain div .columns",
    within={
        HOME: "section .hero%2Dteaser div .row div .col%2D6",
        MARKET: "div .column .main section .products%2Dgrid ol .product%2Ditems li .product%2Ditem div"
        " .product%2Ditem%2Dinfo div .product%2Ditem%2Ddetails",
        PRODUCT: "div .column .main div .product%2Dinfo%2Dmain div .product%2Dadd%2Dform form .validated",
        CART: "div .cart%2Dcontainer form .form%2Dcart table .cart%2Ditems tbody .cart%2Ditem tr .item%2Dinfo td .col",
        CHECKOUT: "div .checkout%2Dcontainer ol .opc li .checkout%2Dshipping%2Daddress form .form%2Dshipping fieldset"
        " .fieldset div .field .required",
        ORDERS: "div .account div .block%2Dorders table .data tbody tr td",
        HELP: "article .faq section .answer",
    },
    elements={
        "link": "strong a .action%2Dlink",
        "button": "div .actions%2Dtoolbar div .primary button .action .primary =type=submit",
        "field": "div .control input .input%2Dtext =type=text",
        "box": "label .label input .checkbox =type=checkbox",
        "text": "div .value p",
        "picture": "span .product%2Dimage%2Dcontainer img .product%2Dimage%2Dphoto",
    },
)  # fmt: skip

IOS = Site(
    name="ios",
    address="",
    paths={
        HOME: "HomeViewController", MARKET: "MarketViewController", PRODUCT: "ProductViewController",
        CART: "CartViewController", CHECKOUT: "CheckoutViewController", THANKS: "ConfirmationViewController",
        ORDERS: "OrdersViewController", HELP: "HelpViewController",
    },
    is_single_page=True,
    around="UIWindow UITransitionView UIDropShadowView UILayoutContainerView UINavigationTransitionView"
    " UIViewControllerWrapperView UIView",
    within={
        MARKET: "UICollectionView FruitCell UIView UIStackView",
        PRODUCT: "UIScrollView UIStackView ProductDetailView UIStackView",
        CART: "UITableView UITableViewCell UITableViewCellContentView UIStackView",
        CHECKOUT: "UIScrollView UIStackView FormView UIStackView",
        ORDERS: "UITableView UITableViewCell UITableViewCellContentView",
    },
    elements={
        "link": "UIButton UIButtonLabel", "button": "PrimaryButton UIButtonLabel", "field": "UITextField",
        "box": "UISwitch", "text": "UILabel", "picture": "UIImageView",
    },
)  # fmt: skip

ANDROID = Site(
    name="android",
    address="",
    paths={
        HOME: "HomeActivity", MARKET: "MarketActivity", PRODUCT: "ProductActivity", CART: "CartActivity",
        CHECKOUT: "CheckoutActivity", THANKS: "ConfirmationActivity", ORDERS: "OrdersActivity", HELP: "HelpActivity",
    },
    is_single_page=True,
    around="DecorView LinearLayout FrameLayout FitWindowsLinearLayout ContentFrameLayout ConstraintLayout",
    within={
        MARKET: "RecyclerView MaterialCardView ConstraintLayout",
        PRODUCT: "NestedScrollView LinearLayout ConstraintLayout",
        CART: "RecyclerView ConstraintLayout LinearLayout",
        CHECKOUT: "ScrollView LinearLayout TextInputLayout FrameLayout",
        ORDERS: "RecyclerView ConstraintLayout",
    },
    elements={
        "link": "AppCompatTextView", "button": "MaterialButton", "field": "TextInputEditText",
        "box": "AppCompatCheckBox", "text": "AppCompatTextView", "picture": "AppCompatImageView",
    },
)  # fmt: skip

SITES = {site.name: site for site in (SHOP, CLASSIC, IOS, ANDROID)}
