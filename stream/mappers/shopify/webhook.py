"""Shopify's webhooks: carts, checkouts, orders, refunds, and what the law makes customers ask for.

Their visitor is the one whose signed id is in the attribute, else the newest that their names
belong to.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final

from stream.domain.ids import make_id
from stream.mappers import canonical
from stream.mappers.attribute import ATTRIBUTE, Claim, claimed
from stream.mappers.mapped import ERASED, Fields, Hints, Mapped, NotCarriedOut, unmapped
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
from stream.mappers.shopify import names
from stream.mappers.shopify.names import plain_id

Given = Mapping[str, Any]

# One action may cause several webhooks with the same event id.
WEBHOOK_ID, EVENT_ID = "x-shopify-webhook-id", "x-shopify-event-id"
# Requests that the law makes a shop answer. Shopify takes a 200 for "done".
NOT_HERE: Final = {
    "customers/data_request": "export the data of this customer's visitors, and send them to the "
    "shop",
    "shop/redact": "delete the tenant's topics and its keys in Redis",
}


def to_events(topic: str, given: Given, hints: Hints) -> Mapped:
    """Return the canonical events of a webhook.

    Raises
    ------
    Unreadable
        A required field is missing.
    NotCarriedOut
        A person has to carry it out.
    """
    if topic in NOT_HERE:
        raise NotCarriedOut(f"{topic} is not carried out by itself: {NOT_HERE[topic]}")
    if topic == names.REDACTION:
        return _erasure(given, hints)
    if topic not in WEBHOOKS:
        return unmapped(topic)
    if given.get("test") is True:
        return unmapped(f"{topic} of a test")
    claim, found = _claimed(given, hints), [one for one in hints.visitors if one != ERASED]
    visitor = claim.visitor or (found[0] if found else None)
    if visitor is None and hints.visitor is None:
        return Mapped(unmapped=claim.unmapped or (f"{topic} without {ATTRIBUTE}",))
    made = WEBHOOKS[topic](canonical.in_currency(given, _shops_code(given), hints.currency))
    if not made:
        return unmapped(f"{topic} without a change of the cart")
    common = {
        "id": _id(given, hints),
        "visitor": visitor_of(f"$.note_attributes.{ATTRIBUTE}", hints, visitor),
        "at_ms": at_ms(
            given.get("updated_at"),
            given.get("processed_at"),
            given.get("created_at"),
            hints.at_ms,
        ),
    }
    events = canonical.numbered("shopify", common, made)
    return Mapped(events, claim.unmapped, names=names.of_webhook(topic, given))


def _erasure(given: Given, hints: Hints) -> Mapped:
    """Return the erasure of each visitor of a customer, as of now."""
    visitors = [one for one in hints.visitors if one != ERASED]
    if visitors:
        common = {"type": "erasure_requested", "at_ms": hints.at_ms}
        base = _id(given, hints)
        return Mapped(
            tuple(common | {"id": make_id(base, one), "visitor": one} for one in visitors)
        )
    if hints.visitors:
        return unmapped(f"{names.REDACTION} of a customer that is erased already")
    raise NotCarriedOut(
        f"{names.REDACTION}: no visitor is known by this customer or these orders; if the shop "
        "knows one, send erasure_requested to /v1/events"
    )


def _id(given: Given, hints: Hints) -> str:
    own = hints.headers.get(WEBHOOK_ID) or hints.headers.get(EVENT_ID)
    return event_id("shopify", own, given, hints)


def _claimed(given: Given, hints: Hints) -> Claim:
    notes = records(given.get("note_attributes"))
    named = [one.get("value") for one in notes if one.get("name") == ATTRIBUTE]
    return claimed((*named, record(given.get("attributes")).get(ATTRIBUTE)), hints)


def _shops_code(given: Given) -> str | None:
    """Return the currency of the lines: carts name none of their own."""
    return currency(*(_shop_money(item).get("currency_code") for item in _line_items(given)))


def _shop_money(item: Given) -> Given:
    return record(record(item.get("price_set")).get("shop_money"))


def _line_items(given: Given) -> list[Given]:
    return records(given.get("line_items"))


def _order(given: Given) -> list[Fields]:
    order = required("$.id", plain_id(given.get("id")))
    total, code = given.get("total_price"), given.get("currency")
    return [canonical.ordered(order, total, code, _bought(given))]


def _cancelled(given: Given) -> list[Fields]:
    """Return the refund of what has not been paid back: each refund has a webhook of its own."""
    order = required("$.id", plain_id(given.get("id")))
    refunds = sum(map(_paid_back, records(given.get("refunds"))), Decimal())
    left = max((number(given.get("total_price")) or Decimal()) - refunds, Decimal())
    return [canonical.refunded(order, str(left), given.get("currency"))]


def _refund(given: Given) -> list[Fields]:
    paid = (one.get("currency") for one in records(given.get("transactions")))
    order = required("$.order_id", plain_id(given.get("order_id")))
    code = currency(*paid, given.get("currency"))
    return [canonical.refunded(order, str(_paid_back(given)), code)]


def _paid_back(refund: Given) -> Decimal:
    """Return the sum of a refund's transactions; without any, the price of its lines."""
    paid = [one for one in records(refund.get("transactions")) if _is_payment(one)]
    if paid:
        amounts = [number(one.get("amount")) for one in paid]
    else:
        items = records(refund.get("refund_line_items"))
        amounts = [number(item.get(one)) for item in items for one in ("subtotal", "total_tax")]
    return sum((one for one in amounts if one), Decimal())


def _is_payment(transaction: Given) -> bool:
    kind, status = transaction.get("kind", "refund"), transaction.get("status", "success")
    # A tuple: what a stranger sent may have no hash.
    return kind in ("refund", "void") and status == "success"


def _cart(given: Given) -> list[Fields]:
    found = _bought(given)
    optional = without_none({"cart": plain_id(given.get("token"))})
    return [] if found is None else [{"type": "cart_updated", "lines": found, **optional}]


def _checkout(given: Given) -> list[Fields]:
    optional = without_none({"cart": plain_id(given.get("cart_token"))})
    return canonical.checkout({"type": "checkout_started", **optional}, _bought(given))


def _checkout_changed(given: Given) -> list[Fields]:
    """Return the cart of an open checkout; of one that was paid for the order says it."""
    if given.get("completed_at") is not None:
        return []
    return _checkout(given)[1:]


WEBHOOKS: Final[Mapping[str, Callable[[Given], list[Fields]]]] = {
    "orders/create": _order,
    "orders/paid": _order,
    "orders/cancelled": _cancelled,
    "refunds/create": _refund,
    "carts/create": _cart,
    "carts/update": _cart,
    "checkouts/create": _checkout,
    "checkouts/update": _checkout_changed,
}


def _bought(given: Given) -> list[Fields] | None:
    code = given.get("currency")
    return lines(given.get("line_items"), lambda item: _item(item, code))


def _item(given: Given, code: object) -> Fields | None:
    has_product = given.get("product_id") is not None
    money = _shop_money(given)
    return canonical.product(
        plain_id(given.get("product_id")) or plain_id(given.get("variant_id")),
        variant=plain_id(given.get("variant_id")) if has_product else None,
        name=text(given.get("title"), given.get("name")),
        brand=given.get("vendor"),
        price=given.get("price") if number(money.get("amount")) is None else money["amount"],
        code=currency(money.get("currency_code"), code),
    )
