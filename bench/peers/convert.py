"""Canonical events as the contestants read them: one topic, one JSON object per event.

The one rule: one event becomes one event, of the same visitor, moment and products. What the job
does not know (an exit signal while a log is drained, a search) is a ``page_view``.
"""

from typing import Any

Event = dict[str, Any]

WHOLE_LINE = 10_000  # no line is longer
KIND = {
    "product_added": "cart_add",
    "product_removed": "cart_remove",
    "order_completed": "purchase",
    "checkout_started": "checkout",
    "checkout_step_completed": "checkout",
    "consent_updated": "consent",
}


def peer_event(event: Event) -> Event:
    """Return an event in the contestants' form.

    Examples
    --------
    >>> added = {"type": "product_added", "id": "a", "visitor": "v", "at_ms": 1, "quantity": 2}
    >>> peer_event(added | {"product": {"id": "mug", "price_minor": 5}})["items"]
    [{'sku': 'mug', 'qty': 2, 'price': 5}]
    """
    context = event.get("context", {})
    return {
        "id": event["id"],
        "type": KIND.get(event["type"], "page_view"),
        "visitor": event["visitor"],
        "at_ms": event["at_ms"],
        "name": event["type"],
        "url": event.get("url", ""),
        "device": context.get("device", ""),
        "country": context.get("country", ""),
        "channel": event.get("referrer", ""),
        **_fields(event),
    }


def _fields(event: Event) -> Event:
    match event["type"]:
        case "consent_updated":
            return {"granted": event["purposes"].get("marketing_email") == "granted"}
        case "product_added":
            return {"items": [_item(event)]}
        case "product_removed":
            quantity = event.get("quantity", WHOLE_LINE)
            return {"items": [{"sku": event["product_id"], "qty": quantity, "price": 0}]}
        case "order_completed":
            return {"items": [_item(line) for line in event.get("lines", ())]}
        case _:
            return {}


def _item(line: Event) -> Event:
    product = line["product"]
    price = product.get("price_minor", 0)
    return {"sku": product["id"], "qty": line["quantity"], "price": price}
