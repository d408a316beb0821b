"""Segment's calls, with the names of its e-commerce specification v2.

RudderStack sends the same calls. A click on a product in a list is left out, because the product's
page sends an event as well. Consent that is stamped on an event grants nothing, but its no to
``personalization`` refuses the event; a preference event alone is a choice.
https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
from stream.mappers.consents import Choices
from stream.mappers.losses import lose
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import (
    at_ms,
    currency,
    event_id,
    lines,
    number,
    record,
    required,
    text,
    visitor_of,
    whole,
    without_none,
)

Properties = Mapping[str, Any]

CHECKOUT: Final = "Checkout Started"
CONSENT: Final = frozenset(
    {
        "Segment Consent Preference Updated",
        "Consent Preference Updated",
        "Consent Management Updated",
        "Consent Management Interaction",  # what RudderStack's SDK calls it
    }
)
STAMPS: Final = "$.context.consent.categoryPreferences, $.context.consentManagement"
MISSING: Final = (
    "missing; userId alone names no visitor, send the browser's anonymousId beside it: keep its "
    "signed id (cookie cartwake_visitor, or POST /v1/visitor) with the customer or order"
)
DEVICES: Final = frozenset({"desktop", "mobile", "tablet"})


def to_events(call: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a call.

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    return _mapped("segment", call, hints)


def rudderstack(call: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a call of RudderStack's; raises as ``to_events`` does."""
    return _mapped("rudderstack", call, hints)


def _mapped(vendor: str, call: Fields, hints: Hints) -> Mapped:
    kind, name = text(call.get("type")), text(call.get("event"))
    # Webhooks of consent alone may lack the type.
    if name in CONSENT and kind in {"track", None}:
        choices = _choices(call, hints)
        if choices is None:
            raise Unreadable(f"{STAMPS}: expected an object")
        return consents.updated(choices, vendor, _common(vendor, call, hints))
    stamped = _choices(call, hints) or Choices({})
    refused = consents.refuses_event(stamped, STAMPS)
    if refused is not None:
        return refused
    return _behaviour(vendor, call, hints)._replace(unheard=stamped.unheard)


def _behaviour(vendor: str, call: Fields, hints: Hints) -> Mapped:
    kind, name = text(call.get("type")), text(call.get("event"))
    if kind == "page":
        return Mapped((_common(vendor, call, hints) | _page(call),))
    if kind != "track":
        return unmapped(kind or "call without a type")
    if name is None or name not in TRACKED:
        return unmapped(name or "track without an event")
    given = canonical.in_currency(record(call.get("properties")), hints.currency)
    fields = TRACKED[name](given)
    if fields is None:
        return unmapped(f"{name} of nothing")
    made = canonical.checkout(fields, _lines(given)) if name == CHECKOUT else [fields]
    return Mapped(canonical.numbered(vendor, _common(vendor, call, hints), made))


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


def _added(given: Properties) -> Fields | None:
    return canonical.added(_required_product(given), given.get("quantity"), given.get("cart_id"))


def _removed(given: Properties) -> Fields | None:
    found = _required_product(given)
    return canonical.removed(found, given.get("quantity"), given.get("cart_id"))


def _cart(given: Properties) -> Fields | None:
    """Return the whole cart from a view of it; None if its products are missing or unreadable."""
    found = _lines(given)
    if found is None:
        return None
    cart = text(given.get("cart_id"))
    return {"type": "cart_updated", "lines": found, **without_none({"cart": cart})}


def _lines(given: Properties) -> list[Fields] | None:
    def in_currency(item: Properties) -> Fields | None:
        return product(canonical.in_currency(item, given.get("currency")))

    return lines(given.get("products"), in_currency)


def _checkout(given: Properties) -> Fields:
    named = {"order": text(given.get("order_id")), "cart": text(given.get("cart_id"))}
    return {"type": "checkout_started", **without_none(named)}


def _step(given: Properties) -> Fields:
    step = whole(given.get("step"))
    if step is None:
        raise Unreadable("$.properties.step: expected a whole number")
    code = currency(given.get("currency"))
    shipping = canonical.amount("shipping", given.get("shipping"), code)
    fields = {"name": text(given.get("shipping_method")), "shipping_minor": shipping}
    return {"type": "checkout_step_completed", "step": step, **without_none(fields)}


def _order(given: Properties) -> Fields:
    order = required("$.properties.order_id", given.get("order_id"))
    code, cart = given.get("currency"), given.get("cart_id")
    return canonical.ordered(order, _total(given), code, _lines(given), cart)


def _refunded(given: Properties) -> Fields:
    order = required("$.properties.order_id", given.get("order_id"))
    return canonical.refunded(order, _total(given), given.get("currency"))


def _total(given: Properties) -> object:
    """Return what was paid; vendors' libraries use one of four names for it."""
    named = [given.get(one) for one in ("total", "value", "revenue", "subtotal")]
    readable = (one for one in named if number(one) is not None)
    return next(readable, next((one for one in named if one is not None), None))


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
    CHECKOUT: _checkout,
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


def _choices(call: Properties, hints: Hints) -> Choices | None:
    """Return the choices of Segment's and RudderStack's objects; None without one of them."""
    context = record(call.get("context"))
    preferences = record(context.get("consent")).get("categoryPreferences")
    listed = context.get("consentManagement")
    if not isinstance(preferences, dict) and not isinstance(listed, dict):
        return None
    lists = consents.of_rudderstack(record(listed))
    denied = {name: False for name, is_allowed in lists.items() if not is_allowed}
    return consents.of_categories(lists | dict(record(preferences)) | denied, hints.categories)


def _common(vendor: str, call: Properties, hints: Hints) -> Fields:
    if hints.visitor is None and text(call.get("anonymousId")) is None and text(call.get("userId")):
        raise Unreadable(f"$.anonymousId: {MISSING}")
    sent = record(call.get("context"))
    device = text(record(sent.get("device")).get("type"))
    if device not in DEVICES:
        lose("device", device)
    context = without_none(
        {
            "user_agent": text(sent.get("userAgent")),
            "device": device if device in DEVICES else None,
        }
    )
    fields = {
        "id": event_id(vendor, call.get("messageId"), call, hints),
        "visitor": visitor_of("$.anonymousId", hints, call.get("anonymousId")),
        "at_ms": at_ms(call.get("timestamp"), call.get("originalTimestamp"), hints.at_ms),
        "context": context or None,
    }
    return without_none(fields)
