"""WooCommerce: the webhooks of its orders.

An order tells what it has become by its status, again and again; each order and each refund counts
once. Its visitor's signed id is in the order's meta data, as ``cartwake_visitor``.
https://woocommerce.com/document/webhooks/
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from stream.domain.ids import make_id
from stream.mappers import canonical
from stream.mappers.attribute import ATTRIBUTE, claimed
from stream.mappers.mapped import Fields, Hints, Mapped, unmapped
from stream.mappers.reading import (
    at_ms,
    event_id,
    lines,
    number,
    record,
    records,
    required,
    text,
    visitor_of,
)

Given = Mapping[str, Any]

TOPIC: Final = "x-wc-webhook-topic"
TOPICS: Final = frozenset({"order.created", "order.updated", "order.restored"})


def to_events(given: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of an order.

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    topic = hints.headers.get(TOPIC, "order.updated")
    if topic not in TOPICS:
        return unmapped(topic)
    status = text(given.get("status")) or "order without a status"
    if status not in STATUS:
        return unmapped(f"{topic}: {status}")
    data = records(given.get("meta_data"))
    claim = claimed((one.get("value") for one in data if one.get("key") == ATTRIBUTE), hints)
    if claim.visitor is None and hints.visitor is None:
        return Mapped(unmapped=claim.unmapped or (f"{topic} without {ATTRIBUTE}",))
    order = required("$.id", given.get("id"))
    made = STATUS[status](order, canonical.in_currency(given, hints.currency))
    if not made:
        return unmapped(f"{topic}: {status} before it was paid for")
    moments = ("date_modified_gmt", "date_created_gmt", "date_modified", "date_created")
    common = {
        "id": event_id("woocommerce", None, given, hints),
        "visitor": visitor_of(f"$.meta_data.{ATTRIBUTE}", hints, claim.visitor),
        "at_ms": at_ms(*(given.get(one) for one in moments), hints.at_ms),
    }
    return Mapped(canonical.numbered("woocommerce", common, made))


def _placed(order: str, given: Given) -> list[Fields]:
    total, code = given.get("total"), given.get("currency")
    return [canonical.ordered(order, total, code, _bought(given)), *_refunds(order, given)]


def _begun(order: str, given: Given) -> list[Fields]:
    """Return a checkout: the order waits for its payment."""
    return canonical.checkout({"type": "checkout_started", "order": order}, _bought(given))


def _failed(_: str, __: Given) -> list[Fields]:
    return [{"type": "payment_failed"}]


def _ended(order: str, given: Given) -> list[Fields]:
    """Return what was paid back; nothing if the order was never paid for."""
    refunds = _refunds(order, given)
    if refunds or (given.get("date_paid_gmt") or given.get("date_paid")) is None:
        return refunds
    whole = canonical.refunded(order, given.get("total"), given.get("currency"))
    return [whole | {"id": make_id("woocommerce", "ended", order)}]


def _refunds(order: str, given: Given) -> list[Fields]:
    """Return the refunds that an order lists, each once; their amounts are negative."""
    listed = {
        text(one.get("id")): number(one.get("total")) for one in records(given.get("refunds"))
    }
    return [
        canonical.refunded(order, str(abs(total)), given.get("currency"))
        | {"id": make_id("woocommerce", "refund", own_id)}
        for own_id, total in listed.items()
        if own_id and total is not None
    ]


STATUS: Final[Mapping[str, Callable[[str, Given], list[Fields]]]] = {
    "pending": _begun,
    "checkout-draft": _begun,
    "on-hold": _placed,
    "processing": _placed,
    "completed": _placed,
    "failed": _failed,
    "cancelled": _ended,
    "refunded": _ended,
}


def _bought(given: Given) -> list[Fields] | None:
    code = given.get("currency")
    return lines(given.get("line_items"), lambda item: _item(item, code))


def _item(item: Given, code: object) -> Fields | None:
    return canonical.product(
        text(item.get("product_id"), item.get("sku")),
        variant=item.get("variation_id") or None,
        name=text(item.get("parent_name"), item.get("name")),
        price=item.get("price"),
        code=code,
        image_url=record(item.get("image")).get("src"),
    )
