"""Google Analytics 4: the Measurement Protocol's body, and what a page puts into its ``dataLayer``.

One event with several items becomes several canonical events, each with its own id. Consent that is
added to events grants nothing, but its no to ``personalization`` refuses them; a separate consent
object is a choice.
https://developers.google.com/analytics/devguides/collection/ga4/reference/events
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from stream.domain.ids import make_id
from stream.mappers import canonical, consents
from stream.mappers.losses import lose
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import (
    at_ms,
    event_id,
    lines,
    record,
    records,
    required,
    text,
    visitor_of,
    whole,
    without_none,
)

Params = Mapping[str, Any]

MICROS: Final = 1000


def to_events(body: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of a body, a ``dataLayer`` object or a consent object.

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    choices = consents.Choices(consents.of_google(record(body.get("consent"))))
    is_choice = "event" not in body and "events" not in body
    refused = None if is_choice else consents.refuses_event(choices, "$.consent")
    if refused is not None:
        return refused
    if isinstance(body.get("events"), list):
        return _each(body, records(body["events"]), hints)
    common = _common(body, body, 0, hints)
    if is_choice and isinstance(body.get("consent"), dict):
        return consents.updated(choices, "ga4", common)
    params = canonical.in_currency(record(body.get("ecommerce")) or body, hints.currency)
    return _event(text(body.get("event")), params, common)


def _each(body: Fields, events: list[Params], hints: Hints) -> Mapped:
    """Return what the events of a body are; one that cannot be read costs itself alone."""
    parts, unreadable = [], None
    for number, one in enumerate(events):
        common = _common(body, one, number, hints)
        params = canonical.in_currency(record(one.get("params")), hints.currency)
        try:
            parts.append(_event(text(one.get("name")), params, common))
        except Unreadable as error:
            lose("events", one)
            unreadable = error
    if unreadable is not None and not parts:
        raise unreadable
    made = [event for part in parts for event in part.events]
    return Mapped(tuple(made), tuple(name for part in parts for name in part.unmapped))


def product(item: Params) -> Fields | None:
    """Return the product of an item; None if it has no id."""
    return canonical.product(
        text(item.get("item_id"), item.get("item_name")),
        variant=item.get("item_variant"),
        name=item.get("item_name"),
        category=item.get("item_category"),
        brand=item.get("item_brand"),
        price=item.get("price"),
        code=item.get("currency"),
    )


def _event(name: str | None, params: Params, common: Fields) -> Mapped:
    if name is None or name not in EVENTS:
        return unmapped(name or "event without a name")
    made = EVENTS[name](params)
    if not made:
        return unmapped(f"{name} without items")
    return Mapped(canonical.numbered("ga4", common, made))


def _items(params: Params) -> list[Fields]:
    return canonical.items_in_currency(params.get("items"), params.get("currency"))


def _viewed(params: Params) -> list[Fields]:
    found = filter(None, map(product, _items(params)))
    return [{"type": "product_viewed", "product": one} for one in found]


def _listed(params: Params) -> list[Fields]:
    found = list(filter(None, map(product, _items(params))))
    named = text(params.get("item_list_id"), params.get("item_list_name"))
    return [
        {"type": "product_list_viewed", **without_none({"list": named, "products": found or None})}
    ]


def _searched(params: Params) -> list[Fields]:
    query = required("$.params.search_term", params.get("search_term"))
    return [{"type": "products_searched", "query": query}]


def _added(params: Params) -> list[Fields]:
    items = ((product(item), item.get("quantity")) for item in _items(params))
    return _present(canonical.added(found, count) for found, count in items if found)


def _removed(params: Params) -> list[Fields]:
    gone = ((product(item), item.get("quantity")) for item in _items(params))
    return _present(canonical.removed(found, count) for found, count in gone if found)


def _cart(params: Params) -> list[Fields]:
    found = _lines(params)
    return [] if found is None else [{"type": "cart_updated", "lines": found}]


def _lines(params: Params) -> list[Fields] | None:
    def in_currency(item: Params) -> Fields | None:
        return product(canonical.in_currency(item, params.get("currency")))

    return lines(params.get("items"), in_currency)


def _present(made: Iterable[Fields | None]) -> list[Fields]:
    return [one for one in made if one]


def _checkout(params: Params) -> list[Fields]:
    return canonical.checkout({"type": "checkout_started"}, _lines(params))


def _shipping(params: Params) -> list[Fields]:
    return _step(1, params.get("shipping_tier"))


def _payment(params: Params) -> list[Fields]:
    return _step(2, params.get("payment_type"))


def _step(step: int, name: object) -> list[Fields]:
    """Return a step, numbered in the order of Google's funnel: shipping, then payment."""
    named = without_none({"name": text(name)})
    return [{"type": "checkout_step_completed", "step": step, **named}]


def _order(params: Params) -> list[Fields]:
    order = required("$.params.transaction_id", params.get("transaction_id"))
    value, code = params.get("value"), params.get("currency")
    return [canonical.ordered(order, value, code, _lines(params))]


def _refund(params: Params) -> list[Fields]:
    order = required("$.params.transaction_id", params.get("transaction_id"))
    return [canonical.refunded(order, params.get("value"), params.get("currency"))]


def _page(params: Params) -> list[Fields]:
    optional = {
        "title": text(params.get("page_title")),
        "referrer": text(params.get("page_referrer")),
    }
    url = required("$.params.page_location", params.get("page_location"))
    return [{"type": "page_viewed", "url": url, **without_none(optional)}]


EVENTS: Final[Mapping[str, Callable[[Params], list[Fields]]]] = {
    "page_view": _page,
    "view_item": _viewed,
    "view_item_list": _listed,
    "search": _searched,
    "view_search_results": _searched,
    "add_to_cart": _added,
    "remove_from_cart": _removed,
    "view_cart": _cart,
    "begin_checkout": _checkout,
    "add_shipping_info": _shipping,
    "add_payment_info": _payment,
    "purchase": _order,
    "refund": _refund,
}


def _common(body: Params, event: Params, number: int, hints: Hints) -> Fields:
    micros = whole(event.get("timestamp_micros")) or whole(body.get("timestamp_micros"))
    moment = at_ms(micros // MICROS if micros else None, hints.at_ms)
    # The protocol has no ids: the same body sent again is the same event.
    made = event_id("ga4", None, body, hints)
    return {
        "id": make_id("ga4", "event", made, number) if number else made,
        "visitor": visitor_of("$.client_id", hints, body.get("client_id")),
        "at_ms": moment,
    }
