"""Snowplow's enriched events, as its analytics SDKs give them, with its e-commerce schemas.

The one rule: an event is what its action says; entities beside it only say of what.
https://docs.snowplow.io/docs/sources/web-trackers/tracking-events/ecommerce/
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
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

Enriched = Mapping[str, Any]

ECOMMERCE: Final = "com_snowplowanalytics_snowplow_ecommerce"
ACTION: Final = f"unstruct_event_{ECOMMERCE}_snowplow_ecommerce_action"
CONSENT: Final = "unstruct_event_com_snowplowanalytics_snowplow_consent_preferences"
PRICED: Final = ("transaction", "refund", "cart")
DEVICES: Final = {"Computer": "desktop", "Mobile": "mobile", "Tablet": "tablet"}
# What a consent event says of the categories that it does not list; the others are no choice.
REFUSED_AS: Final = {
    "allow_all": "denied",
    "allow_selected": "denied",
    "deny_all": "denied",
    "withdrawn": "withdrawn",
    "expired": "withdrawn",
}


def to_events(event: Fields, hints: Hints) -> Mapped:
    """Return what an enriched event means.

    Raises
    ------
    Unreadable
        It lacks what it cannot be without.
    """
    if event.get("event") == "page_view":
        return Mapped((_common(event, hints) | _page(event),))
    told = _named(event, CONSENT)
    if told is not None:
        return _consent(event, told, hints)
    action = _named(event, ACTION)
    if action is None:
        return unmapped(text(event.get("event_name"), event.get("event")) or "event without a name")
    name = text(action.get("type"))
    if name is None or name not in ACTIONS:
        return unmapped(name or "action without a type")
    made = list(ACTIONS[name](_in_currency(event, hints), action))
    if not made:
        return unmapped(f"{name} without its entities")
    common = _common(event, hints)
    return Mapped(tuple(_numbered(common, made)))


def product(entity: Enriched) -> Fields | None:
    """Return the product of an entity; None where it names none."""
    told = ("variant", "name", "category", "brand")
    return canonical.product(
        entity.get("id"),
        **{name: entity.get(name) for name in told},
        price=entity.get("price"),
        code=entity.get("currency"),
    )


def _numbered(common: Fields, made: list[Fields]) -> Iterator[Fields]:
    """Yield the events of one action, the first under the id of its own."""
    for number, fields in enumerate(made):
        own = {"id": f"{common['id'][:56]}-{number}"} if number else {}
        yield common | own | fields


def _in_currency(event: Enriched, hints: Hints) -> Enriched:
    """Return an event whose entities have a currency: products that of their order or cart."""
    named = [one.get("currency") for name in PRICED for one in _entities(event, name)]
    return {
        key: canonical.items_in_currency(value, *named, hints.currency)
        if key.startswith(f"contexts_{ECOMMERCE}_")
        else value
        for key, value in event.items()
    }


def _entities(event: Enriched, name: str) -> list[Enriched]:
    pattern = re.compile(rf"contexts_{ECOMMERCE}_{name}_\d+")
    return [one for key in event if pattern.fullmatch(key) for one in records(event[key])]


def _entity(event: Enriched, name: str) -> Enriched:
    return next(iter(_entities(event, name)), {})


def _named(event: Enriched, prefix: str) -> Enriched | None:
    """Return the self-describing event of any version of a schema."""
    pattern = re.compile(rf"{prefix}_\d+")
    found = (event[key] for key in event if pattern.fullmatch(key))
    return next((one for one in found if isinstance(one, dict)), None)


def _viewed(event: Enriched, _: Enriched) -> Iterator[Fields]:
    for found in filter(None, map(product, _entities(event, "product"))):
        yield {"type": "product_viewed", "product": found}


def _listed(event: Enriched, action: Enriched) -> Iterator[Fields]:
    found = list(filter(None, map(product, _entities(event, "product"))))
    told = {"list": text(action.get("name")), "products": found or None}
    yield {"type": "product_list_viewed", **without_none(told)}


def _added(event: Enriched, _: Enriched) -> Iterator[Fields]:
    cart = without_none({"cart": text(_entity(event, "cart").get("cart_id"))})
    for line in lines(_entities(event, "product"), product):
        yield {"type": "product_added", **line, **cart}


def _removed(event: Enriched, _: Enriched) -> Iterator[Fields]:
    cart = _entity(event, "cart").get("cart_id")
    for entity in _entities(event, "product"):
        found = product(entity)
        if found:
            yield canonical.removed(found, entity.get("quantity"), cart)


def _step(event: Enriched, _: Enriched) -> Iterator[Fields]:
    told = _entity(event, "checkout_step")
    step = whole(told.get("step"))
    if step is None:
        raise Unreadable("checkout_step.step: expected a whole number")
    # The first step is where a checkout begins: Snowplow has no event of its own for that.
    if step == 1:
        yield {"type": "checkout_started"}
    named = without_none({"name": text(told.get("delivery_method"), told.get("payment_method"))})
    yield {"type": "checkout_step_completed", "step": step, **named}


def _order(event: Enriched, _: Enriched) -> Iterator[Fields]:
    told = _entity(event, "transaction")
    order = required("transaction.transaction_id", told.get("transaction_id"))
    bought = lines(_entities(event, "product"), product)
    yield canonical.ordered(order, told.get("revenue"), told.get("currency"), bought)


def _refund(event: Enriched, _: Enriched) -> Iterator[Fields]:
    told = _entity(event, "refund") or _entity(event, "transaction")
    order = text(told.get("transaction_id"))
    if order is not None:
        amount = told.get("refund_amount", told.get("revenue"))
        yield canonical.refunded(order, amount, told.get("currency"))


def _failed(event: Enriched, _: Enriched) -> Iterator[Fields]:
    told = _entity(event, "transaction_error")
    reason = text(told.get("error_shortcode"), told.get("error_type"))
    fields = {"code": text(told.get("error_code")), "reason": reason}
    yield {"type": "payment_failed", **without_none(fields)}


ACTIONS: Final[Mapping[str, Callable[[Enriched, Enriched], Iterator[Fields]]]] = {
    "product_view": _viewed,
    "list_view": _listed,
    "add_to_cart": _added,
    "remove_from_cart": _removed,
    "checkout_step": _step,
    "transaction": _order,
    "refund": _refund,
    "trns_error": _failed,
}


def _page(event: Enriched) -> Fields:
    told = {"title": text(event.get("page_title")), "referrer": text(event.get("page_referrer"))}
    url = required("$.page_url", event.get("page_url"))
    return {"type": "page_viewed", "url": url, **without_none(told)}


def _consent(event: Enriched, told: Enriched, hints: Hints) -> Mapped:
    kind, basis = text(told.get("eventType")), text(told.get("basisForProcessing"))
    if kind not in REFUSED_AS or basis != "consent":
        return unmapped(f"consent {kind} by {basis}")
    is_refusal = kind in {"deny_all", "withdrawn", "expired"}
    scopes = told.get("consentScopes")
    accepted = [] if is_refusal or not isinstance(scopes, list) else scopes
    purposes = consents.of_scopes(filter(None, map(text, accepted)), REFUSED_AS[kind])
    policy = text(told.get("consentVersion"))
    return consents.told(purposes, "snowplow", _common(event, hints), policy=policy)


def _common(event: Enriched, hints: Hints) -> Fields:
    told = record(event)
    context = {
        "user_agent": text(told.get("useragent")),
        "device": DEVICES.get(str(told.get("dvce_type"))),
    }
    moment = at_ms(
        told.get("derived_tstamp"),
        told.get("dvce_created_tstamp"),
        told.get("collector_tstamp"),
        hints.at_ms,
    )
    fields = {
        "id": event_id("snowplow", told.get("event_id"), event, hints),
        "visitor": visitor_of("$.domain_userid", hints, told.get("domain_userid")),
        "at_ms": moment,
        "context": without_none(context) or None,
    }
    return without_none(fields)
