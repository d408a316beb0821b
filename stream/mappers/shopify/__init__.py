"""Shopify: its web pixel's standard events, and the webhooks of its admin.

Pixel and webhook name an order by Shopify's number, so that both together are one order. A webhook
gets its visitor from the attribute ``cartwake_visitor``, which the theme sets; without it the order
has no visitor and is left out.
https://shopify.dev/docs/api/web-pixels-api/standard-events
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
from stream.mappers.mapped import Fields, Hints, Mapped, NotCarriedOut, unmapped
from stream.mappers.reading import (
    at_ms,
    currency,
    event_id,
    lines,
    number,
    record,
    records,
    required,
    text,
    visitor_of,
    without_none,
)

Given = Mapping[str, Any]

ATTRIBUTE: Final = "cartwake_visitor"
TOPIC, EVENT_ID, WEBHOOK_ID = "x-shopify-topic", "x-shopify-event-id", "x-shopify-webhook-id"
CONSENT: Final = "visitorConsentCollected"
STEPS: Final = {
    "checkout_contact_info_submitted": 1,
    "checkout_address_info_submitted": 2,
    "checkout_shipping_info_submitted": 3,
    "payment_info_submitted": 4,
}


def to_events(given: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a pixel's event, or of a webhook (topic in the headers).

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    topic = hints.headers.get(TOPIC)
    return _of_pixel(given, hints) if topic is None else _of_webhook(topic, given, hints)


def _of_pixel(given: Given, hints: Hints) -> Mapped:
    name = text(given.get("name")) or "event without a name"
    privacy = record(given.get("customerPrivacy"))
    if name == CONSENT:
        purposes = consents.of_shopify(privacy or record(given.get("data")))
        return consents.updated(consents.Choices(purposes), "shopify", _seen(given, hints))
    if name in STEPS:
        step = {"type": "checkout_step_completed", "step": STEPS[name], "name": name}
        return Mapped((_seen(given, hints) | step,))
    if name not in PIXEL:
        return unmapped(name)
    data = record(given.get("data"))
    fields = PIXEL[name](data, given, _currency(data, hints))
    return Mapped((_seen(given, hints) | fields,)) if fields else unmapped(f"{name} without data")


def _currency(data: Given, hints: Hints) -> str | None:
    """Return the currency for amounts without one: the order's, the cart's, or the shop's."""
    checkout, cart = record(data.get("checkout")), record(data.get("cart"))
    totals = (checkout.get("totalPrice"), record(cart.get("cost")).get("totalAmount"))
    named = (record(total).get("currencyCode") for total in totals)
    return currency(checkout.get("currencyCode"), *named, hints.currency)


def variant(given: Given, code: str | None = None) -> Fields | None:
    """Return the product of a pixel's ``productVariant``; None if it has no id.

    ``code`` is the currency of a price that names none.
    """
    whole, price = record(given.get("product")), record(given.get("price"))
    return canonical.product(
        _number(whole.get("id")) or _number(given.get("id")),
        variant=_number(given.get("id")) if whole.get("id") is not None else None,
        name=text(whole.get("title"), given.get("title")),
        category=whole.get("type"),
        brand=whole.get("vendor"),
        price=price.get("amount"),
        code=currency(price.get("currencyCode"), code),
        url=whole.get("url"),
        image_url=record(given.get("image")).get("src"),
    )


def _viewed(data: Given, _: Given, code: str | None) -> Fields | None:
    found = variant(record(data.get("productVariant")), code)
    return {"type": "product_viewed", "product": found} if found else None


def _listed(data: Given, _: Given, code: str | None) -> Fields:
    collection = record(data.get("collection"))
    variants = records(collection.get("productVariants"))
    found = [product for one in variants if (product := variant(one, code))]
    named = text(collection.get("title"), collection.get("id"))
    listed = without_none({"list": named, "products": found or None})
    return {"type": "product_list_viewed", **listed}


def _searched(data: Given, _: Given, __: str | None) -> Fields:
    query = required("$.data.searchResult.query", record(data.get("searchResult")).get("query"))
    return {"type": "products_searched", "query": query}


def _added(data: Given, _: Given, code: str | None) -> Fields | None:
    line = record(data.get("cartLine"))
    found = variant(record(line.get("merchandise")), code)
    return canonical.added(found, line.get("quantity")) if found else None


def _removed(data: Given, _: Given, __: str | None) -> Fields | None:
    line = record(data.get("cartLine"))
    found = variant(record(line.get("merchandise")))
    return canonical.removed(found, line.get("quantity")) if found else None


def _cart(data: Given, _: Given, code: str | None) -> Fields | None:
    cart = record(data.get("cart"))
    found = lines(cart.get("lines"), lambda one: variant(record(one.get("merchandise")), code))
    return None if found is None else {"type": "cart_updated", "lines": found}


def _page(_: Given, given: Given, __: str | None) -> Fields:
    document = record(record(given.get("context")).get("document"))
    url = required("$.context.document.location.href", record(document.get("location")).get("href"))
    optional = {"title": text(document.get("title")), "referrer": text(document.get("referrer"))}
    return {"type": "page_viewed", "url": url, **without_none(optional)}


def _checkout(_: Given, __: Given, ___: str | None) -> Fields:
    return {"type": "checkout_started"}


def _completed(data: Given, _: Given, code: str | None) -> Fields:
    checkout = record(data.get("checkout"))
    order = required("$.data.checkout.order.id", _number(record(checkout.get("order")).get("id")))
    items = checkout.get("lineItems")
    bought = lines(items, lambda item: variant(record(item.get("variant")), code))
    total = record(checkout.get("totalPrice")).get("amount")
    return canonical.ordered(order, total, code, bought)


PIXEL: Final[Mapping[str, Callable[[Given, Given, str | None], Fields | None]]] = {
    "page_viewed": _page,
    "product_viewed": _viewed,
    "collection_viewed": _listed,
    "search_submitted": _searched,
    "product_added_to_cart": _added,
    "product_removed_from_cart": _removed,
    "cart_viewed": _cart,
    "checkout_started": _checkout,
    "checkout_completed": _completed,
}


def _seen(given: Given, hints: Hints) -> Fields:
    agent = record(record(given.get("context")).get("navigator")).get("userAgent")
    context = without_none({"user_agent": text(agent)})
    fields = {
        "id": event_id("shopify", given.get("id"), given, hints),
        "visitor": visitor_of("$.clientId", hints, given.get("clientId")),
        "at_ms": at_ms(given.get("timestamp"), hints.at_ms),
        "context": context or None,
    }
    return without_none(fields)


# Requests that the law makes a shop answer. Shopify takes a 200 for "done".
NOT_HERE: Final = {
    "customers/redact": "send erasure_requested to /v1/events for each visitor of this customer",
    "customers/data_request": "export the data of this customer's visitors, and send them to the "
    "shop",
    "shop/redact": "delete the tenant's topics and its keys in Redis",
}


def _of_webhook(topic: str, given: Given, hints: Hints) -> Mapped:
    if topic in NOT_HERE:
        raise NotCarriedOut(f"{topic} is not carried out by itself: {NOT_HERE[topic]}")
    if topic not in WEBHOOKS:
        return unmapped(topic)
    if given.get("test") is True:
        return unmapped(f"{topic} of a test")
    visitor = _visitor(given)
    if visitor is None and hints.visitor is None:
        return unmapped(f"{topic} without {ATTRIBUTE}")
    own = hints.headers.get(EVENT_ID) or hints.headers.get(WEBHOOK_ID)
    common = {
        "id": event_id("shopify", own, given, hints),
        "visitor": visitor_of(f"$.note_attributes.{ATTRIBUTE}", hints, visitor),
        "at_ms": at_ms(
            given.get("updated_at"),
            given.get("processed_at"),
            given.get("created_at"),
            hints.at_ms,
        ),
    }
    fields = WEBHOOKS[topic](canonical.in_currency(given, hints.currency))
    return Mapped((common | fields,)) if fields else unmapped(f"{topic} without lines")


def _visitor(given: Given) -> str | None:
    attributes = records(given.get("note_attributes"))
    named = next((one.get("value") for one in attributes if one.get("name") == ATTRIBUTE), None)
    return text(named, record(given.get("attributes")).get(ATTRIBUTE))


def _order(given: Given) -> Fields:
    code = given.get("currency")
    order = required("$.id", _number(given.get("id")))
    return canonical.ordered(order, given.get("total_price"), code, _bought(given, code))


def _refund(given: Given) -> Fields:
    paid_back = records(given.get("transactions"))
    total = sum(filter(None, (number(one.get("amount")) for one in paid_back)))
    code = currency(*(one.get("currency") for one in paid_back), given.get("currency"))
    order = required("$.order_id", _number(given.get("order_id")))
    return canonical.refunded(order, str(total), code)


def _cart_now(given: Given) -> Fields | None:
    found = _bought(given, given.get("currency"))
    if found is None:
        return None
    optional = without_none({"cart": text(given.get("token"))})
    return {"type": "cart_updated", "lines": found, **optional}


def _checkout_now(given: Given) -> Fields:
    return {"type": "checkout_started", **without_none({"cart": text(given.get("cart_token"))})}


WEBHOOKS: Final[Mapping[str, Callable[[Given], Fields | None]]] = {
    "orders/create": _order,
    "orders/paid": _order,
    "refunds/create": _refund,
    "carts/create": _cart_now,
    "carts/update": _cart_now,
    "checkouts/create": _checkout_now,
}


def _bought(given: Given, code: object) -> list[Fields] | None:
    return lines(given.get("line_items"), lambda item: _item(item, code))


def _item(given: Given, code: object) -> Fields | None:
    has_product = given.get("product_id") is not None
    money = record(record(given.get("price_set")).get("shop_money"))
    return canonical.product(
        _number(given.get("product_id")) or _number(given.get("variant_id")),
        variant=_number(given.get("variant_id")) if has_product else None,
        name=text(given.get("title"), given.get("name")),
        brand=given.get("vendor"),
        price=given.get("price"),
        code=currency(money.get("currency_code"), code),
    )


def _number(value: object) -> str | None:
    """Return the number in an id: pixels write ``gid://shopify/Order/1``, webhooks ``1``."""
    found = text(value)
    return re.sub(r"^gid://shopify/\w+/", "", found) if found else None
