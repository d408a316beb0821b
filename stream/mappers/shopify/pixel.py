"""Shopify's web pixel: what a shopper does on the shop's pages and in its checkout."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
from stream.mappers.mapped import Fields, Hints, Mapped, unmapped
from stream.mappers.reading import (
    at_ms,
    currency,
    event_id,
    lines,
    record,
    records,
    required,
    text,
    visitor_of,
    without_none,
)
from stream.mappers.shopify import names
from stream.mappers.shopify.names import plain_id

Given = Mapping[str, Any]

CONSENT: Final = "visitorConsentCollected"
STEPS: Final = {
    "checkout_contact_info_submitted": 1,
    "checkout_address_info_submitted": 2,
    "checkout_shipping_info_submitted": 3,
    "payment_info_submitted": 4,
}


def to_events(given: Given, hints: Hints) -> Mapped:
    """Return the canonical events of a pixel's event."""
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
    made = PIXEL[name](data, given, _currency(data, hints))
    if not made:
        return unmapped(f"{name} without data")
    events = canonical.numbered("shopify", _seen(given, hints), made)
    return Mapped(events, names=names.of_page(data))


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
        plain_id(whole.get("id")) or plain_id(given.get("id")),
        variant=plain_id(given.get("id")) if whole.get("id") is not None else None,
        name=text(whole.get("title"), given.get("title")),
        category=whole.get("type"),
        brand=whole.get("vendor"),
        price=price.get("amount"),
        code=currency(price.get("currencyCode"), code),
        url=whole.get("url"),
        image_url=record(given.get("image")).get("src"),
    )


def _viewed(data: Given, _: Given, code: str | None) -> list[Fields]:
    found = variant(record(data.get("productVariant")), code)
    return [{"type": "product_viewed", "product": found}] if found else []


def _listed(data: Given, _: Given, code: str | None) -> list[Fields]:
    collection = record(data.get("collection"))
    variants = records(collection.get("productVariants"))
    found = [product for one in variants if (product := variant(one, code))]
    named = text(collection.get("title"), collection.get("id"))
    listed = without_none({"list": named, "products": found or None})
    return [{"type": "product_list_viewed", **listed}]


def _searched(data: Given, _: Given, __: str | None) -> list[Fields]:
    query = required("$.data.searchResult.query", record(data.get("searchResult")).get("query"))
    return [{"type": "products_searched", "query": query}]


def _added(data: Given, _: Given, code: str | None) -> list[Fields]:
    line = record(data.get("cartLine"))
    found = variant(record(line.get("merchandise")), code)
    return _one(canonical.added(found, line.get("quantity")) if found else None)


def _removed(data: Given, _: Given, __: str | None) -> list[Fields]:
    line = record(data.get("cartLine"))
    found = variant(record(line.get("merchandise")))
    return _one(canonical.removed(found, line.get("quantity")) if found else None)


def _one(made: Fields | None) -> list[Fields]:
    return [made] if made else []


def _cart(data: Given, _: Given, code: str | None) -> list[Fields]:
    cart = record(data.get("cart"))
    found = lines(cart.get("lines"), lambda one: variant(record(one.get("merchandise")), code))
    return [] if found is None else [{"type": "cart_updated", "lines": found}]


def _page(_: Given, given: Given, __: str | None) -> list[Fields]:
    document = record(record(given.get("context")).get("document"))
    url = required("$.context.document.location.href", record(document.get("location")).get("href"))
    optional = {"title": text(document.get("title")), "referrer": text(document.get("referrer"))}
    return [{"type": "page_viewed", "url": url, **without_none(optional)}]


def _checkout(data: Given, _: Given, code: str | None) -> list[Fields]:
    found = _items(record(data.get("checkout")), code)
    return canonical.checkout({"type": "checkout_started"}, found)


def _completed(data: Given, _: Given, code: str | None) -> list[Fields]:
    checkout = record(data.get("checkout"))
    order = required("$.data.checkout.order.id", plain_id(record(checkout.get("order")).get("id")))
    total = record(checkout.get("totalPrice")).get("amount")
    return [canonical.ordered(order, total, code, _items(checkout, code))]


def _items(checkout: Given, code: str | None) -> list[Fields] | None:
    items = checkout.get("lineItems")
    return lines(items, lambda item: variant(record(item.get("variant")), code))


PIXEL: Final[Mapping[str, Callable[[Given, Given, str | None], list[Fields]]]] = {
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
