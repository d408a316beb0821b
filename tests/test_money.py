"""Money from a shop's event to a mail: the amount in the mail is the shop's amount."""

import re
from decimal import Decimal

import pytest
from babel import Locale
from iso4217 import raw_table

from stream.demo.view import money as money_of_the_demo
from stream.emailer.compose import money
from stream.mappers import Hints, to_events
from stream.money import DECIMALS, decimals, to_major, to_minor

AT_MS = 1_795_773_600_000
EN = Locale.parse("en")
CODES = sorted(code for code in raw_table if code)
SNOWPLOW = "com_snowplowanalytics_snowplow_ecommerce"
ECOMMERCE, ACTION = f"contexts_{SNOWPLOW}", f"unstruct_event_{SNOWPLOW}_snowplow_ecommerce_action_1"


def amount_of(code):
    """Return an amount with as many decimals as ISO 4217 has for this currency."""
    digits = raw_table[code]["CcyMnrUnts"]
    return {"0": "1234", "2": "1234.56", "3": "1234.567", "4": "1234.5678"}.get(digits, "1234.56")


def segment(item, code):
    properties = {"currency": code, "products": [item]}
    return {"type": "track", "event": "Cart Viewed", "anonymousId": "v", "properties": properties}


def segment_alone(item, code):
    given = item | {"currency": code or item.get("currency")}
    return {"type": "track", "event": "Product Added", "anonymousId": "v", "properties": given}


def segment_list(item, code):
    properties = {"currency": code, "products": [item]}
    call = {"type": "track", "event": "Product List Viewed", "anonymousId": "v"}
    return call | {"properties": properties}


def ga4(item, code):
    params = {"currency": code, "items": [item | {"item_id": "7"}]}
    return {"client_id": "v", "events": [{"name": "view_cart", "params": params}]}


def ga4_layer(item, code):
    return {
        "event": "add_to_cart",
        "ecommerce": {"currency": code, "items": [item | {"item_id": "7"}]},
    }


def snowplow(item, code):
    return {
        "domain_userid": "v",
        "event_id": "e",
        ACTION: {"type": "add_to_cart"},
        f"{ECOMMERCE}_product_1": [item | {"id": "7"}],
        f"{ECOMMERCE}_cart_1": [{"currency": code}],
    }


def shopify(item, code):
    price = {"amount": item["price"], "currencyCode": item.get("currency")}
    line = {"quantity": 1, "merchandise": {"id": "7", "price": price}}
    cart = {"cost": {"totalAmount": {"currencyCode": code}}, "lines": [line]}
    return {"id": "e", "name": "cart_viewed", "clientId": "v", "data": {"cart": cart}}


def shopify_hook(item, code):
    money = {"shop_money": {"amount": item["price"], "currency_code": item.get("currency")}}
    line = {"product_id": 7, "price": item["price"], "price_set": money, "quantity": 1}
    return {"id": 1, "currency": code, "line_items": [line]}


EVENTS = [segment, segment_alone, segment_list, ga4, ga4_layer, snowplow, shopify, shopify_hook]
each_event = pytest.mark.parametrize("make", EVENTS, ids=lambda make: make.__name__)


def product_of(make, item, code, currency=None):
    """Return the one product of an event whose item and whose whole say these currencies."""
    vendor = make.__name__.partition("_")[0]
    headers = {"x-shopify-topic": "carts/update"} if make is shopify_hook else {}
    given = {"product_id": "7"} | item if vendor == "segment" else item
    hints = Hints(AT_MS, "v", "e", headers, currency)
    (event,) = to_events(vendor, make(given, code), hints).events
    products = [event.get("product"), *event.get("products", [])]
    found = [one for one in products if one] + [one["product"] for one in event.get("lines", [])]
    (product,) = found
    return product


@pytest.mark.parametrize("code", CODES)
def test_the_amount_in_the_mail_is_the_shops_amount(code):
    amount = amount_of(code)
    for make in EVENTS:
        product = product_of(make, {"price": amount, "currency": code}, None)
        shown = money(product["price_minor"], product["currency"], EN)
        written = re.sub(r"[^\d.]", "", shown.replace(code, "")).lstrip(".")
        assert written == amount, (make.__name__, shown)
        assert money_of_the_demo(product["price_minor"], code) == f"{Decimal(amount):,} {code}"


@pytest.mark.parametrize("code", CODES)
def test_minor_units_and_back_are_the_same_amount(code):
    amount = Decimal(amount_of(code))
    assert to_major(to_minor(amount, code), code) == amount
    assert decimals(code) == DECIMALS.get(code, 2)


def test_iso_4217_has_what_people_know_of_it():
    known = {
        "EUR": 2,
        "HUF": 2,
        "COP": 2,
        "IDR": 2,
        "IQD": 3,
        "KWD": 3,
        "JPY": 0,
        "ISK": 0,
        "CLF": 4,
    }
    assert {code: decimals(code) for code in known} == known


@each_event
@pytest.mark.parametrize("absent", [None, "", "euro", "¥", 392])
def test_an_item_without_a_currency_has_that_of_its_event(make, absent):
    product = product_of(make, {"price": 1500, "currency": absent}, "JPY", "EUR")
    assert (product["price_minor"], product["currency"]) == (1500, "JPY")
    product = product_of(make, {"price": "1.234", "currency": absent}, "kwd", "EUR")
    assert (product["price_minor"], product["currency"]) == (1234, "KWD")


@each_event
@pytest.mark.parametrize("absent", [None, "", "euro"])
def test_without_a_currency_in_the_event_it_is_the_shops(make, absent):
    product = product_of(make, {"price": 1500, "currency": absent}, absent, "JPY")
    assert (product["price_minor"], product["currency"]) == (1500, "JPY")


@each_event
def test_an_items_own_currency_comes_first(make):
    if make is not segment_alone:  # whose item is the event
        product = product_of(make, {"price": 1500, "currency": "JPY"}, "EUR", "KWD")
        assert (product["price_minor"], product["currency"]) == (1500, "JPY")


@each_event
def test_without_any_currency_an_amount_has_two_decimals(make):
    product = product_of(make, {"price": "15.99"}, None)
    assert product["price_minor"] == 1599
    assert "currency" not in product


@pytest.mark.parametrize(
    ("vendor", "given", "headers"),
    [
        (
            "segment",
            {
                "type": "track",
                "event": "Order Completed",
                "properties": {"order_id": "o", "total": 1500},
            },
            {},
        ),
        (
            "ga4",
            {"event": "purchase", "ecommerce": {"transaction_id": "o", "value": 1500, "items": []}},
            {},
        ),
        (
            "snowplow",
            {
                ACTION: {"type": "transaction"},
                f"{ECOMMERCE}_transaction_1": [{"transaction_id": "o", "revenue": 1500}],
            },
            {},
        ),
        (
            "shopify",
            {
                "name": "checkout_completed",
                "data": {"checkout": {"order": {"id": "o"}, "totalPrice": {"amount": 1500}}},
            },
            {},
        ),
        ("shopify", {"id": "o", "total_price": "1500"}, {"x-shopify-topic": "orders/paid"}),
    ],
    ids=["segment", "ga4", "snowplow", "pixel", "hook"],
)
def test_an_orders_total_without_a_currency_is_in_the_shops(vendor, given, headers):
    (event,) = to_events(vendor, given, Hints(AT_MS, "v", "e", headers, "JPY")).events
    assert (event["total_minor"], event["currency"]) == (1500, "JPY")
    (event,) = to_events(vendor, given, Hints(AT_MS, "v", "e", headers)).events
    assert (event["total_minor"], event["currency"]) == (150000, "XXX")
