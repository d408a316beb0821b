"""Browsers' clients in Chromium: a purchase over three pages, a refusal, and an edge that fails."""

import html
import json
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import pytest

from tests.clients.installed import HERE
from tests.clients.journey import made
from tests.clients.pages import bundled, served_pages
from tests.clients.programs import Example
from tests.clients.shopper import Shopper


@pytest.fixture(scope="module")
def pages(served):
    with served_pages(served.page_port) as pages:
        yield pages


@pytest.fixture
def shopper(browser, edge):
    shopper = Shopper(browser, edge)
    yield shopper
    shopper.context.close()
    assert shopper.errors == []


class Client(NamedTuple):
    """A client as it is set up; ``tries`` is when it tries again what the edge could not store."""

    name: str
    package: str
    example: str
    changes: Mapping[str, str] = MappingProxyType({})
    tries: str = "at once"
    stamps: bool = True
    does: str = ""
    limits: str = ""


ORDERS = "an order only empties the cart, once for each order id: a server reports it"
SEGMENT = Client(
    "Segment, browser",
    "@segment/analytics-next",
    "segment_browser.js",
    does="One by one or in batches, with the consent wrapper; a 503 is tried again, also on the "
    "next page.",
    limits=f"{ORDERS}; what is sent before the choice is ignored",
)
RUDDERSTACK = Client(
    "RudderStack, browser",
    "@rudderstack/analytics-js",
    "rudderstack_browser.js",
    does="By XHR or beacon, with `trackConsent`; by XHR a 503 is tried again.",
    limits=f"{ORDERS}; a beacon hears no answer, and a 503 loses it; `preConsent` without storage "
    "makes an id for each event",
)
SNOWPLOW = Client(
    "Snowplow, browser",
    "@snowplow/browser-tracker",
    "snowplow_browser.js",
    tries="with the next",
    stamps=False,
    does="By POST or GET, with the plugin `@snowplow/browser-plugin-snowplow-ecommerce`; a 503 is "
    "tried again with the next event.",
    limits=f"{ORDERS}; there is no event of a cart's page",
)
CLIENTS = {
    "segment": SEGMENT,
    "segment-batching": SEGMENT._replace(changes={'strategy: "standard"': 'strategy: "batching"'}),
    "rudderstack": RUDDERSTACK,
    "rudderstack-beacon": RUDDERSTACK._replace(
        changes={"useBeacon: false": "useBeacon: true"}, tries="never"
    ),
    "snowplow": SNOWPLOW,
    "snowplow-get": SNOWPLOW._replace(changes={"appId:": 'eventMethod: "get", appId:'}),
}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_purchase_over_three_pages(shopper, edge, pages, state, tmp_path, node_clients, name):
    client = CLIENTS[name]
    url = pages.add(name, bundled(client.example, tmp_path, edge.url, client.changes))
    nothing_before_consent(shopper, url)
    agree_and_add(shopper, edge, client, url)
    order_twice(shopper)
    refuse(shopper, edge, client)
    assert len({event["visitor"] for event in shopper.events}) == 1
    added = [event["id"] for event in shopper.events if event["type"] == "product_added"]
    assert len(set(added)) == 1  # sent again it is the same
    if not client.changes:
        told = {"arrived": made(shopper.events), "does": client.does, "limits": client.limits}
        state(client.name, client.package, example=client.example, **told)


def nothing_before_consent(shopper, url):
    shopper.open(url)
    shopper.click("view", "refuse", "view")
    shopper.read(500)
    assert (shopper.asked, shopper.stored(), shopper.events) == ([], [], [])


def agree_and_add(shopper, edge, client, url):
    """Agree, and go on on a second page."""
    shopper.click("agree")
    shopper.read()
    shopper.click("view")
    shopper.read()
    if client.tries != "never":
        edge.fail(1)
    shopper.click("add")
    if client.tries == "at once":
        shopper.wait_for("product_added")
    else:
        shopper.read()
    shopper.open(url + "second")
    shopper.wait_for("product_added")
    assert edge.failures_left == 0
    assert shopper.wait_for("consent_updated")["purposes"]["personalization"] == "granted"
    shopper.click("remove", "cart", "checkout")
    shopper.page.reload()
    shopper.wait_for("product_removed")
    shopper.wait_for("checkout_started")
    shopper.wait_for("page_viewed", 2)


def order_twice(shopper):
    """Order, and load the page of thanks again."""
    before = made(shopper.events)["cart_updated"]
    for _ in range(2):
        shopper.click("order")
        shopper.read()
        shopper.page.reload()
    shopper.wait_for("cart_updated", before + 2)
    emptied = [event for event in shopper.events if event.get("lines") == []]
    assert len(emptied) == 2
    assert len({event["id"] for event in emptied}) == 1


def refuse(shopper, edge, client):
    """Refuse; what is sent nevertheless says no itself, and after that nothing is sent."""
    refused = edge.count("refused_total", reason="refused_consent")
    shopper.click("refuse", "add")
    shopper.read()
    shopper.page.reload()
    until = time.monotonic() + 20
    while shopper.wait_for("consent_updated")["purposes"]["personalization"] != "denied":
        assert time.monotonic() < until
        shopper.read()
    shopper.read(500)
    assert edge.count("refused_total", reason="refused_consent") == refused + client.stamps
    asked = len(shopper.asked)
    shopper.page.reload()
    shopper.click("add")
    shopper.read(500)
    assert len(shopper.asked) == asked


ITEMS = {"currency": "EUR", "value": 12.9, "items": [{"item_id": "mug", "price": 12.9}]}


def test_gtag_with_consent_mode(shopper, edge, pages, state):
    def gtag(*call):
        shopper.page.evaluate("call => gtag(...call)", call)

    pages.texts["/gtag/"] = Example("gtag.html").addressed(edge.url)
    shopper.open(f"{pages.origin}/gtag/")
    shopper.page.wait_for_function("window.cartwake && window.cartwake.loaded")
    shopper.read(500)
    assert [url.rpartition("/")[2] for url in shopper.asked] == ["cartwake.js"]
    assert (shopper.stored(), shopper.events) == ([], [])
    shopper.page.click("text=Agree")
    shopper.wait_for("product_viewed")
    edge.fail(1)
    shopper.page.click("text=Into the cart")
    shopper.wait_for("product_added")
    assert edge.failures_left == 0
    shopper.open(f"{pages.origin}/gtag/second")
    update = ("consent", "update", {"personalization_storage": "granted"})
    gtag(*update)
    for name in ("remove_from_cart", "view_cart", "begin_checkout"):
        gtag("event", name, ITEMS)
    shopper.wait_for("checkout_started")
    pictures = made(shopper.events)["cart_updated"]
    for _ in range(2):  # the second time the page of thanks is loaded again
        gtag("event", "purchase", ITEMS | {"transaction_id": "o-1"})
        gtag("event", "refund", {"transaction_id": "o-1"})
        shopper.wait_for("cart_updated", pictures + 1)
        shopper.page.reload()
        gtag(*update)
    shopper.read(500)
    assert [one["lines"] for one in shopper.events if one["type"] == "cart_updated"][-1] == []
    assert made(shopper.events)["cart_updated"] == pictures + 1
    gtag("consent", "update", {"personalization_storage": "denied"})
    assert shopper.wait_for("consent_updated", 2)["purposes"]["personalization"] == "withdrawn"
    shopper.read(500)
    assert shopper.context.cookies() == []
    assert len({event["visitor"] for event in shopper.events}) == 1
    state(
        "Google tag and Tag Manager",
        None,
        arrived=made(shopper.events),
        does="`cartwake.js` reads the `dataLayer`; a 503 is tried again.",
        limits=f"{ORDERS}; `refund` is the server's; gtag.js itself was not there",
        example="gtag.html",
    )


CHOICES = ("analyticsProcessingAllowed", "marketingAllowed", "preferencesProcessingAllowed")
YES, NO = (dict.fromkeys((*CHOICES, "saleOfDataAllowed"), answer) for answer in (True, False))
MUG = {"id": "m1", "title": "Mug", "price": {"amount": 12.9, "currencyCode": "EUR"}}
MUG |= {"product": {"id": "p1", "title": "Mug"}}
LINE = {"merchandise": MUG, "quantity": 1, "cost": {"totalAmount": MUG["price"]}}
CHECKOUT = {"token": "t1", "currencyCode": "EUR", "totalPrice": MUG["price"]}
CHECKOUT |= {"lineItems": [{"variant": MUG, "quantity": 1}]}
PIXEL_EVENTS = {
    "page_viewed": {},
    "product_viewed": {"productVariant": MUG},
    "product_added_to_cart": {"cartLine": LINE},
    "product_removed_from_cart": {"cartLine": LINE},
    "cart_viewed": {"cart": {"id": "c1", "lines": [LINE], "cost": {"totalAmount": MUG["price"]}}},
    "checkout_started": {"checkout": CHECKOUT},
    "checkout_completed": {"checkout": CHECKOUT | {"order": {"id": "o1"}}},
}


class Pixel:
    """A custom pixel on a shop's page, in the sandbox that Shopify puts it into."""

    def __init__(self, shopper, pages, edge):
        self.shopper, self.pages, self.count = shopper, pages, 0
        self.code = Example("shopify_pixel.js").addressed(edge.url)

    def load(self, privacy):
        """Load the next page."""
        sandbox = (HERE / "shopify_sandbox.html").read_text()
        text = sandbox.replace("PRIVACY", json.dumps(privacy)).replace("PIXEL", self.code)
        frame = f'<iframe sandbox="allow-scripts" srcdoc="{html.escape(text)}"></iframe>'
        self.pages.texts["/shopify/"] = f"<!doctype html><title>Shop</title>{frame}"
        self.shopper.open(f"{self.pages.origin}/shopify/")
        self.frame = self.shopper.page.frames[1]
        assert self.frame.evaluate("self.origin") == "null"
        self.publish("page_viewed")

    def publish(self, *names):
        for name in names:
            self.count += 1
            moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            event = {"id": f"sh-{self.count}", "name": name, "timestamp": moment}
            event |= {"clientId": "2b1f-77", "type": "standard", "data": PIXEL_EVENTS[name]}
            event["context"] = {"document": {"location": {"href": "https://shop.example/"}}}
            self.frame.evaluate("event => publish(event)", event)

    def collect(self, privacy):
        """Answer Shopify's banner."""
        self.frame.evaluate("choice => collect(choice)", privacy)


def test_shopifys_pixel_in_its_sandbox(shopper, edge, pages, state):
    pixel = Pixel(shopper, pages, edge)
    pixel.load(NO)
    pixel.publish("product_viewed")
    shopper.read(500)
    assert (shopper.asked, shopper.events) == ([], [])
    pixel.collect(YES)
    edge.fail(1)
    pixel.publish("product_viewed", "product_added_to_cart")
    shopper.wait_for("product_added")
    assert edge.failures_left == 0
    assert shopper.wait_for("consent_updated")["purposes"]["personalization"] == "granted"
    pixel.load(YES)
    pixel.publish("product_removed_from_cart", "cart_viewed", "checkout_started")
    shopper.wait_for("checkout_started")
    pixel.load(YES)
    pixel.publish("checkout_completed", "checkout_completed")
    shopper.wait_for("cart_updated", 4)
    emptied = [event for event in shopper.events if event.get("lines") == []]
    assert (len(emptied), len({event["id"] for event in emptied})) == (2, 1)
    pixel.collect(NO)
    shopper.wait_for("consent_updated", 4)
    assert shopper.events[-1]["purposes"]["personalization"] == "denied"
    asked = len(shopper.asked)
    pixel.publish("product_added_to_cart")
    shopper.read(500)
    assert len(shopper.asked) == asked
    assert len({event["visitor"] for event in shopper.events}) == 1
    state(
        "Shopify, custom pixel",
        None,
        arrived=made(shopper.events),
        does="In the strict sandbox (`Origin: null`), with the choice first; a 503 is tried again.",
        limits=f"{ORDERS}; run in a sandbox of our own with the globals that Shopify documents",
        example="shopify_pixel.js",
    )


@pytest.mark.parametrize("client", [SEGMENT, RUDDERSTACK], ids=lambda client: client.example)
def test_a_link_gives_no_shopper_an_id(shopper, edge, pages, tmp_path, node_clients, client):
    url = pages.add("linked", bundled(client.example, tmp_path, edge.url, {}))
    for shoppers in (1, 2):
        shopper.open(f"{url}?ajs_aid=theirs&from=mail")
        shopper.click("agree", "add")
        shopper.wait_for("product_added", shoppers)
        assert "from=mail" in shopper.page.url
        shopper.page.evaluate("() => localStorage.clear()")
        shopper.context.clear_cookies()
    added = [event for event in shopper.events if event["type"] == "product_added"]
    assert len({event["visitor"] for event in added}) == 2
