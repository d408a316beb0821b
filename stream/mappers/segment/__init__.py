"""Segment's calls, with the names of its e-commerce specification v2.

A click on a product in a list is left out, because the product's page sends an event as well. The
consent that Segment adds to each event is not a choice; only its preference event is.
https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import (
    at_ms,
    currency,
    event_id,
    lines,
    minor,
    number,
    quantity,
    record,
    required,
    text,
    visitor_of,
    whole,
    without_none,
)

Properties = Mapping[str, Any]

CONSENT: Final = "Segment Consent Preference Updated"
DEVICES: Final = frozenset({"desktop", "mobile", "tablet"})


def to_events(call: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a call.

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    kind = text(call.get("type"))
    if kind == "page":
        return Mapped((_common(call, hints) | _page(call),))
    if kind != "track":
        return unmapped(kind or "call without a type")
    name = text(call.get("event"))
    if name == CONSENT:
        return _consent(call, hints)
    if name is None or name not in TRACKED:
        return unmapped(name or "track without an event")
    fields = TRACKED[name](canonical.in_currency(record(call.get("properties")), hints.currency))
    return (
        unmapped(f"{name} without products")
        if fields is None
        else Mapped((_common(call, hints) | fields,))
    )


def product(given: Properties) -> Fields | None:
    """Return the product of an event or a list; None if it has no id."""
    texts = ("variant", "name", "category", "brand", "url", "image_url")
    return canonical.product(
        text(given.get("product_id"), given.get("sku"), given.get("id")),
        **{name: given.get(name) for name in texts},
        price=given.get("price"),
        code=given.get("currency"),
    )


def _required_product(given: Properties) -> Fields:
    found = product(given)
    if found is None:
        raise Unreadable("$.properties.product_id: missing")
    return found


def _viewed(given: Properties) -> Fields:
    return {"type": "product_viewed", "product": _required_product(given)}


def _listed(given: Properties) -> Fields:
    items = canonical.items_in_currency(given.get("products"), given.get("currency"))
    found = [one for one in map(product, items) if one]
    fields = {"list": text(given.get("list_id"), given.get("category")), "products": found or None}
    return {"type": "product_list_viewed", **without_none(fields)}


def _searched(given: Properties) -> Fields:
    return {
        "type": "products_searched",
        "query": required("$.properties.query", given.get("query")),
    }


def _added(given: Properties) -> Fields:
    cart = text(given.get("cart_id"))
    fields = {"product": _required_product(given), "cart": cart}
    return {
        "type": "product_added",
        "quantity": quantity(given.get("quantity")),
        **without_none(fields),
    }


def _removed(given: Properties) -> Fields:
    found = _required_product(given)
    return canonical.removed(found, given.get("quantity"), given.get("cart_id"))


def _cart(given: Properties) -> Fields | None:
    """Return the whole cart from a view of it; None if the view has no products field."""
    if not isinstance(given.get("products"), list):
        return None
    items = canonical.items_in_currency(given.get("products"), given.get("currency"))
    found = lines(items, product)
    cart = text(given.get("cart_id"))
    return {"type": "cart_updated", "lines": found, **without_none({"cart": cart})}


def _checkout(given: Properties) -> Fields:
    named = {"order": text(given.get("order_id")), "cart": text(given.get("cart_id"))}
    return {"type": "checkout_started", **without_none(named)}


def _step(given: Properties) -> Fields:
    step = whole(given.get("step"))
    if step is None:
        raise Unreadable("$.properties.step: expected a whole number")
    shipping = minor(given.get("shipping"), currency(given.get("currency")))
    fields = {"name": text(given.get("shipping_method")), "shipping_minor": shipping}
    return {"type": "checkout_step_completed", "step": step, **without_none(fields)}


def _order(given: Properties) -> Fields:
    order = required("$.properties.order_id", given.get("order_id"))
    code = given.get("currency")
    bought = lines(canonical.items_in_currency(given.get("products"), code), product)
    return canonical.ordered(order, _total(given), code, bought, given.get("cart_id"))


def _refunded(given: Properties) -> Fields:
    order = required("$.properties.order_id", given.get("order_id"))
    return canonical.refunded(order, _total(given), given.get("currency"))


def _total(given: Properties) -> object:
    """Return what was paid; vendors' libraries use one of four names for it."""
    named = (given.get(one) for one in ("total", "value", "revenue", "subtotal"))
    return next((one for one in named if number(one) is not None), None)


def _failed(given: Properties) -> Fields:
    optional = {"code": text(given.get("code")), "reason": text(given.get("reason"))}
    return {"type": "payment_failed", **without_none(optional)}


TRACKED: Final[Mapping[str, Callable[[Properties], Fields | None]]] = {
    "Products Searched": _searched,
    "Product List Viewed": _listed,
    "Product List Filtered": _listed,
    "Product Viewed": _viewed,
    "Product Added": _added,
    "Wishlist Product Added to Cart": _added,
    "Product Removed": _removed,
    "Cart Viewed": _cart,
    "Checkout Started": _checkout,
    "Checkout Step Completed": _step,
    "Payment Failed": _failed,
    "Order Completed": _order,
    "Order Refunded": _refunded,
}


def _page(call: Properties) -> Fields:
    given = record(call.get("properties"))
    page = record(record(call.get("context")).get("page"))
    fields = {
        "title": text(given.get("title"), page.get("title")),
        "referrer": text(given.get("referrer"), page.get("referrer")),
    }
    place = "$.properties.url"
    url = required(place, given.get("url"), page.get("url"), given.get("path"), page.get("path"))
    return {"type": "page_viewed", "url": url, **without_none(fields)}


def _consent(call: Properties, hints: Hints) -> Mapped:
    preferences = record(record(call.get("context")).get("consent")).get("categoryPreferences")
    if not isinstance(preferences, dict):
        raise Unreadable("$.context.consent.categoryPreferences: expected an object")
    purposes, unknown = consents.of_categories(preferences)
    return consents.updated(purposes, "segment", _common(call, hints), unknown)


def _common(call: Properties, hints: Hints) -> Fields:
    sent = record(call.get("context"))
    device = text(record(sent.get("device")).get("type"))
    context = without_none(
        {
            "user_agent": text(sent.get("userAgent")),
            "device": device if device in DEVICES else None,
        }
    )
    fields = {
        "id": event_id("segment", call.get("messageId"), call, hints),
        "visitor": visitor_of("$.anonymousId", hints, call.get("anonymousId")),
        "at_ms": at_ms(call.get("timestamp"), call.get("originalTimestamp"), hints.at_ms),
        "context": context or None,
    }
    return without_none(fields)
