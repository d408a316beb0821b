"""Webhooks of Shopify and WooCommerce, as their servers post them.

The bodies are of our own making, with each field that captured public bodies have. They are signed
and packed as each vendor documents: Shopify's compact, WooCommerce's as PHP writes JSON.
"""

import base64
import hashlib
import hmac
import json
import urllib.error
import urllib.request
from datetime import UTC, datetime

import pytest

from tests.clients.installed import HERE
from tests.clients.journey import made
from tests.clients.served import BROWSER_KEY, SHOPIFY_SECRET, WOOCOMMERCE_SECRET

NOW = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.fixture
def post(edge):
    """Return how a vendor's server posts a body; it returns the status and the answer."""

    def posted(path, body, headers):
        request = urllib.request.Request(edge.url + path, body, headers)  # noqa: S310 - loopback
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - likewise
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return posted


@pytest.fixture
def visitor(edge):
    """Return what a page gets of the edge: a visitor's id, and the signed one of the cookie."""
    url = f"{edge.url}/v1/visitor?writeKey={BROWSER_KEY}"
    asking = urllib.request.Request(url, headers={"Origin": edge.page_origin})  # noqa: S310 - loopback
    with urllib.request.urlopen(asking, timeout=10) as answer:  # noqa: S310 - likewise
        return json.load(answer)


def body_of(name, signed=""):
    """Return a body, which happens now; ``signed`` is what the page wrote into its attribute."""
    text = (HERE / "bodies" / f"{name}.json").read_text()
    body = json.loads(text.replace("SIGNED", signed))
    named = ("created_at", "updated_at", "date_")
    moments = [field for field, value in body.items() if field.startswith(named) and value]
    return body | dict.fromkeys(moments, NOW)


def signature(secret, body):
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def shopify(topic, body, number, secret=SHOPIFY_SECRET):
    """Return body and headers; see https://shopify.dev/docs/apps/build/webhooks ."""
    raw = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
    return raw, {
        "Content-Type": "application/json",
        "X-Shopify-Topic": topic,
        "X-Shopify-Hmac-Sha256": signature(secret, raw),
        "X-Shopify-Shop-Domain": "shop.example",
        "X-Shopify-Webhook-Id": f"webhook-{number}",
        "X-Shopify-Event-Id": f"event-{number}",
        "X-Shopify-Triggered-At": f"{NOW}.000000000Z",
        "User-Agent": "Shopify-Captain-Hook",
    }


def woocommerce(topic, body, secret=WOOCOMMERCE_SECRET):
    """Return body and headers; see https://woocommerce.com/document/webhooks/ ."""
    raw = json.dumps(body, separators=(",", ":")).replace("/", r"\/").encode()
    return raw, {
        "Content-Type": "application/json",
        "X-WC-Webhook-Source": "https://shop.example/",
        "X-WC-Webhook-Topic": topic,
        "X-WC-Webhook-Resource": topic.partition(".")[0],
        "X-WC-Webhook-Event": topic.partition(".")[2],
        "X-WC-Webhook-Signature": signature(secret, raw),
        "X-WC-Webhook-ID": "5",
        "X-WC-Webhook-Delivery-ID": "a1b2c3",
        "User-Agent": "WooCommerce/9.8.3 Hookshot (WordPress/6.8)",
    }


def test_shopifys_webhooks_of_a_purchase(edge, post, visitor, state):
    steps = (
        ("checkouts/create", body_of("shopify_checkout", visitor["signed"])),
        ("carts/update", body_of("shopify_cart")),
        ("orders/create", body_of("shopify_order")),
        ("refunds/create", body_of("shopify_refund")),
    )
    for number, (topic, body) in enumerate(steps):
        raw, headers = shopify(topic, body, number)
        status, answer = post("/v1/hooks/shopify", raw, headers)
        assert (status, answer["ignored"], answer["refused"]) == (200, 0, []), topic
    events = edge.new_events(5)
    kinds = [
        "checkout_started",
        "cart_updated",
        "cart_updated",
        "order_completed",
        "order_refunded",
    ]
    assert made(events) == made([{"type": kind} for kind in kinds])
    assert {event["visitor"] for event in events} == {visitor["visitor"]}
    by_type = {event["type"]: event for event in events}
    (line,) = by_type["cart_updated"]["lines"]
    assert (line["quantity"], line["product"]["price_minor"]) == (3, 1290)
    assert line["product"]["currency"] == "EUR"
    assert by_type["order_completed"]["total_minor"] == 3080
    assert by_type["order_refunded"]["total_minor"] == 1290
    again = post("/v1/hooks/shopify", *shopify(*steps[2], 2))
    (repeated,) = edge.new_events(1)
    assert (again[0], repeated["id"]) == (200, by_type["order_completed"]["id"])
    wrong = shopify("orders/create", steps[2][1], 2, secret="another")
    assert post("/v1/hooks/shopify", *wrong)[0] == 401
    state(
        "Shopify, webhooks",
        None,
        arrived=kinds,
        does="Bodies of the shape that Shopify posts, signed by `X-Shopify-Hmac-Sha256`: set the "
        "webhooks' address to `https://events.shop.example/v1/hooks/shopify`, and the secret in "
        "`edge.hooks`. The visitor is the cart's attribute `cartwake_visitor`, which holds the "
        "signed id of the cookie, or is found by the tokens and the order that were seen with it.",
        limits="a cart that no checkout and no pixel has named; tests that you send from the admin "
        "pages. Posted here by the test: no server of Shopify's took part.",
    )


def test_woocommerces_webhooks_of_an_order_and_its_refund(edge, post, visitor, state):
    path = "/v1/hooks/woocommerce"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert post(path, b"webhook_id=5", form)[0] == 200  # before it stores the webhook
    paid = body_of("woocommerce_order", visitor["signed"])
    steps = (
        ("order.created", paid | {"status": "pending", "date_paid": None, "date_paid_gmt": None}),
        ("order.updated", paid),
        ("order.updated", paid | {"refunds": [{"id": 731, "reason": "", "total": "-12.90"}]}),
    )
    for topic, body in steps:
        status, answer = post(path, *woocommerce(topic, body))
        assert (status, answer["ignored"], answer["refused"]) == (200, 0, []), topic
    events = edge.new_events(5)
    counted = {event["id"]: event for event in events}.values()  # the same id counts once
    kinds = ["checkout_started", "cart_updated", "order_completed", "order_refunded"]
    assert set(made(counted)) == set(kinds)
    orders = [event for event in events if event["type"] == "order_completed"]
    assert {event["order"] for event in orders} == {"727"}
    assert {event["total_minor"] for event in orders} == {3080}
    (refund,) = [event for event in events if event["type"] == "order_refunded"]
    assert (refund["order"], refund["total_minor"]) == ("727", 1290)
    assert {event["visitor"] for event in events} == {visitor["visitor"]}
    assert post(path, *woocommerce("order.updated", paid, secret="another"))[0] == 401
    state(
        "WooCommerce, webhooks",
        None,
        arrived=kinds,
        does="Bodies of the shape that WooCommerce posts, signed by `X-WC-Webhook-Signature`: set "
        "the delivery URL to `https://events.shop.example/v1/hooks/woocommerce`, and the secret in "
        "`edge.hooks`. The visitor is the order's meta data `cartwake_visitor`, which holds the "
        "signed id of the cookie.",
        limits="orders without that meta data; webhooks of products, coupons and customers. Posted "
        "here by the test: no WooCommerce took part.",
    )
