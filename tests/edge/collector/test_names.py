"""Shopify's webhooks name carts, orders and customers: whose these are, and for how long."""

import base64
import hashlib
import hmac
import json

import pytest

from stream.edge.references import ReferencesUnavailable
from stream.edge.references.memory import MemoryReferences
from tests.edge.shop import EDGE, HOOK_SECRET, NOW_MS, Shop

TIME = "2026-09-21T13:00:00Z"
CART = {"id": "c1", "token": "c1", "updated_at": TIME}
CART["line_items"] = [{"product_id": 7, "variant_id": 71, "price": "12.90", "quantity": 1}]
CHECKOUT = {"token": "k1", "cart_token": "c1", "created_at": TIME, "currency": "EUR"}
ORDER = {"id": 17, "checkout_token": "k1", "cart_token": "c1", "customer": {"id": 5}}
ORDER |= {"currency": "EUR", "total_price": "12.90"}
REFUND = {"id": 9, "order_id": 17, "transactions": [{"amount": "12.90", "currency": "EUR"}]}
REDACTION = {"customer": {"id": 5}, "orders_to_redact": [17]}


class Shopify(Shop):
    """A shop whose Shopify sends webhooks, and whose pages send pixel events."""

    sent = 0

    def hook(self, topic, given):
        self.sent += 1
        body = json.dumps(given).encode()
        digest = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).digest()
        headers = {
            "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
            "X-Shopify-Topic": topic,
            "X-Shopify-Webhook-Id": f"wh-{self.sent}",
        }
        return self.client.post("/v1/hooks/shopify", content=body, headers=headers)

    def pixel(self, name, data):
        call = {"id": f"sh-{name}", "name": name, "clientId": "another id", "data": data}
        seen = {"type": "vendor_event", "vendor": "shopify", "visitor": self.signed}
        return self.page([seen | {"id": f"p-{name}", "at_ms": NOW_MS, "call": call}])

    def consent(self, status, named):
        event = {"type": "consent_updated", "visitor": self.signed, "at_ms": NOW_MS, "id": named}
        return self.page([event | {"purposes": {"personalization": status}}])

    def types(self):
        return [(event["type"], event["visitor"]) for event in self.log.events]


@pytest.fixture
def shop():
    return Shopify()


def test_a_cart_belongs_to_whoever_has_seen_it(shop):
    assert shop.hook("carts/update", CART).json()["ignored"] == 1
    shop.pixel("cart_viewed", {"cart": {"id": "gid://shopify/Cart/c1?key=x", "lines": []}})
    assert shop.hook("carts/update", CART).json()["accepted"] == 1
    assert shop.types()[-1] == ("cart_updated", shop.visitor)


def test_a_checkout_leads_from_the_pixel_to_cart_order_and_refund(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1", "lineItems": []}})
    for topic, given in (
        ("checkouts/create", CHECKOUT),
        ("carts/update", CART),
        ("orders/create", ORDER),
        ("refunds/create", REFUND),
    ):
        assert shop.hook(topic, given).json()["accepted"] == 1, topic
    kinds = ["checkout_started", "checkout_started", "cart_updated", "order_completed"]
    assert shop.types() == [(kind, shop.visitor) for kind in [*kinds, "order_refunded"]]


def test_an_attribute_is_remembered_for_the_webhooks_that_have_none(shop):
    named = [{"name": "cartwake_visitor", "value": shop.signed}]
    shop.hook("orders/create", ORDER | {"note_attributes": named})
    shop.hook("refunds/create", REFUND)
    assert shop.types()[-1] == ("order_refunded", shop.visitor)


def test_an_attribute_that_a_browser_may_have_written_learns_and_moves_nothing(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    named = [{"name": "cartwake_visitor", "value": "another's"}]
    answer = shop.hook("orders/create", ORDER | {"note_attributes": named}).json()
    assert answer["accepted"] == 1
    assert answer["unmapped"][0]["names"] == ["cartwake_visitor without a signature"]
    shop.hook("refunds/create", REFUND)
    assert shop.types()[1:] == [
        ("order_completed", shop.visitor),
        ("order_refunded", shop.visitor),
    ]


def test_a_customer_is_erased_once(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    shop.hook("orders/create", ORDER)
    assert shop.hook("customers/redact", REDACTION).json()["accepted"] == 1
    erased = shop.log.events[-1]
    assert (erased["type"], erased["visitor"], erased["at_ms"]) == (
        "erasure_requested",
        shop.visitor,
        NOW_MS,
    )
    again = shop.hook("customers/redact", REDACTION)
    assert (again.status_code, again.json()["ignored"]) == (200, 1)
    assert "is erased already" in again.json()["unmapped"][0]["names"][0]
    assert shop.hook("refunds/create", REFUND).json()["ignored"] == 1


@pytest.mark.parametrize("known", [{"customer": {"id": 5}}, {"orders_to_redact": [3, 17]}])
def test_a_customer_is_found_by_number_or_order(shop, known):
    named = [{"name": "cartwake_visitor", "value": shop.signed}]
    shop.hook("orders/create", ORDER | {"note_attributes": named})
    assert shop.hook("customers/redact", known).json()["accepted"] == 1


def test_a_customer_whom_nobody_knows_is_not_said_to_be_erased(shop):
    answer = shop.hook("customers/redact", REDACTION | {"customer": {"id": 6}})
    assert (answer.status_code, answer.json()["refused"][0]["reason"]) == (501, "not_carried_out")


def test_an_erasure_by_the_shopper_is_an_erasure_of_the_customer(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    shop.hook("orders/create", ORDER)
    shop.page([{"type": "erasure_requested", "visitor": shop.signed, "at_ms": NOW_MS, "id": "e1"}])
    assert shop.hook("customers/redact", REDACTION).json()["ignored"] == 1


def test_after_a_refusal_only_the_customer_is_known_until_a_grant(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    shop.hook("orders/create", ORDER)
    shop.consent("denied", "c1")
    for topic, given in (("carts/update", CART), ("refunds/create", REFUND)):
        assert shop.hook(topic, given).json()["ignored"] == 1, topic
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    assert shop.hook("checkouts/create", CHECKOUT).json()["ignored"] == 1
    assert shop.hook("customers/redact", {"customer": {"id": 5}}).json()["accepted"] == 1
    shop.consent("granted", "c2")
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    assert shop.hook("checkouts/create", CHECKOUT).json()["accepted"] == 1


def test_a_page_cannot_claim_an_order_or_a_customer(shop):
    order = {"order": {"id": 17, "customer": {"id": 5}}, "token": "k9", "lineItems": []}
    shop.pixel("checkout_started", {"checkout": order, "order_id": 17})
    assert shop.hook("refunds/create", REFUND).json()["ignored"] == 1
    assert shop.hook("customers/redact", REDACTION).status_code == 501


def test_names_of_one_shop_are_unknown_to_another():
    hooks = [hook.model_copy(update={"tenant": "bike", "secret": "b"}) for hook in EDGE.hooks]
    shop = Shopify(edge=EDGE.model_copy(update={"hooks": (*EDGE.hooks, *hooks)}))
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    body = json.dumps(CHECKOUT).encode()
    digest = hmac.new(b"b", body, hashlib.sha256).digest()
    headers = {"X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode()}
    headers["X-Shopify-Topic"] = "checkouts/create"
    answer = shop.client.post("/v1/hooks/shopify", content=body, headers=headers)
    assert answer.json()["ignored"] == 1


class Unavailable(MemoryReferences):
    async def _never(self, *_):
        raise ReferencesUnavailable

    find = learn = grant = refuse = erase = _never


def test_without_redis_webhooks_are_sent_again_and_nobody_else_waits():
    shop = Shopify(references=Unavailable())
    assert shop.hook("carts/update", CART).status_code == 503
    assert shop.pixel("checkout_started", {"checkout": {"token": "k1"}}).status_code == 200
    assert shop.consent("granted", "c1").status_code == 200
    # It is stored; sent again it deletes what could not be deleted now.
    assert shop.consent("denied", "c2").status_code == 503
    assert [event["type"] for event in shop.log.events].count("consent_updated") == 2


def test_an_order_of_a_known_customer_is_not_the_one_of_whoever_bought_last(shop):
    shop.pixel("checkout_started", {"checkout": {"token": "k1"}})
    shop.hook("orders/create", ORDER)
    elsewhere = ORDER | {"id": 18, "checkout_token": "k2", "cart_token": "c2"}
    assert shop.hook("orders/create", elsewhere).json()["ignored"] == 1
