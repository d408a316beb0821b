"""Snowplow's enriched events, as its analytics SDKs give them, with its e-commerce schemas.

The action says what happened; the entities beside it say to which products.
https://docs.snowplow.io/docs/sources/web-trackers/tracking-events/ecommerce/
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from stream.mappers import canonical, consents
from stream.mappers.consents import Choices
from stream.mappers.mapped import Fields, Hints, Mapped, Unreadable, unmapped
from stream.mappers.reading import (
    at_ms,
    event_id,
    lines,
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
WITHDRAWN: Final = "unstruct_event_com_snowplowanalytics_snowplow_consent_withdrawn"
# Consent that is stamped on an event.
STAMP: Final = re.compile(r"contexts_\w*consent")
PRICED: Final = ("transaction", "refund", "cart")
DEVICES: Final = {"Computer": "desktop", "Mobile": "mobile", "Tablet": "tablet"}
# The status of categories that a consent event does not list; other events are no choice.
REFUSED_AS: Final = {
    "allow_all": "denied",
    "allow_selected": "denied",
    "deny_all": "denied",
    "withdrawn": "withdrawn",
    "expired": "withdrawn",
}


REFUSALS: Final = frozenset({"deny_all", "withdrawn", "expired"})


def to_events(event: Fields, hints: Hints) -> Mapped:
    """Return the canonical events of an enriched event.

    Raises
    ------
    Unreadable
        A required field is missing.
    """
    preferences = _preferences(event)
    if preferences is not None:
        return _consent(event, preferences, hints)
    stamped = [_stamped(name, entity, hints) for name, entity in _consents(event)]
    refused = next(filter(None, (consents.refuses_event(*one) for one in stamped)), None)
    if refused is not None:
        return refused
    unheard = tuple(name for choices, _ in stamped for name in choices.unheard)
    return _behaviour(event, hints)._replace(unheard=unheard)


def _behaviour(event: Fields, hints: Hints) -> Mapped:
    if event.get("event") == "page_view":
        return Mapped((_common(event, hints) | _page(event),))
    action = _named(event, ACTION)
    if action is None:
        return unmapped(text(event.get("event_name"), event.get("event")) or "event without a name")
    name = text(action.get("type"))
    if name is None or name not in ACTIONS:
        return unmapped(name or "action without a type")
    made = list(ACTIONS[name](_in_currency(event, hints), action))
    if not made:
        return unmapped(f"{name} of nothing")
    common = _common(event, hints)
    return Mapped(tuple(_numbered(common, made)))


def product(entity: Enriched) -> Fields | None:
    """Return the product of an entity; None if it has no id."""
    texts = ("variant", "name", "category", "brand")
    return canonical.product(
        entity.get("id"),
        **{name: entity.get(name) for name in texts},
        price=entity.get("price"),
        code=entity.get("currency"),
    )


def _numbered(common: Fields, made: list[Fields]) -> Iterator[Fields]:
    """Yield the events of one action; the first one has the action's id."""
    for number, fields in enumerate(made):
        own = {"id": f"{common['id'][:56]}-{number}"} if number else {}
        yield common | own | fields


def _in_currency(event: Enriched, hints: Hints) -> Enriched:
    """Return the event with a currency in each entity: its own, the order's, or the shop's."""
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
    optional = {"list": text(action.get("name")), "products": found or None}
    yield {"type": "product_list_viewed", **without_none(optional)}


def _added(event: Enriched, _: Enriched) -> Iterator[Fields]:
    return _changes(event, canonical.added)


def _removed(event: Enriched, _: Enriched) -> Iterator[Fields]:
    return _changes(event, canonical.removed)


def _changes(
    event: Enriched, change: Callable[[Fields, object, object], Fields | None]
) -> Iterator[Fields]:
    """Yield a change of the cart for each product of which so many are added or removed."""
    cart = _entity(event, "cart").get("cart_id")
    for entity in _entities(event, "product"):
        found = product(entity)
        fields = change(found, entity.get("quantity"), cart) if found else None
        if fields:
            yield fields


def _step(event: Enriched, _: Enriched) -> Iterator[Fields]:
    entity = _entity(event, "checkout_step")
    step = whole(entity.get("step"))
    if step is None:
        raise Unreadable("checkout_step.step: expected a whole number")
    # A checkout begins with its first step: Snowplow has no event for the beginning.
    if step == 1:
        yield {"type": "checkout_started"}
    named = without_none(
        {"name": text(entity.get("delivery_method"), entity.get("payment_method"))}
    )
    yield {"type": "checkout_step_completed", "step": step, **named}


def _order(event: Enriched, _: Enriched) -> Iterator[Fields]:
    transaction = _entity(event, "transaction")
    order = required("transaction.transaction_id", transaction.get("transaction_id"))
    bought = lines(_entities(event, "product"), product)
    yield canonical.ordered(order, transaction.get("revenue"), transaction.get("currency"), bought)


def _refund(event: Enriched, _: Enriched) -> Iterator[Fields]:
    refund = _entity(event, "refund") or _entity(event, "transaction")
    order = text(refund.get("transaction_id"))
    if order is not None:
        amount = refund.get("refund_amount", refund.get("revenue"))
        yield canonical.refunded(order, amount, refund.get("currency"))


def _failed(event: Enriched, _: Enriched) -> Iterator[Fields]:
    error = _entity(event, "transaction_error")
    reason = text(error.get("error_shortcode"), error.get("error_type"))
    fields = {"code": text(error.get("error_code")), "reason": reason}
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
    optional = {
        "title": text(event.get("page_title")),
        "referrer": text(event.get("page_referrer")),
    }
    url = required("$.page_url", event.get("page_url"))
    return {"type": "page_viewed", "url": url, **without_none(optional)}


def _preferences(event: Enriched) -> Enriched | None:
    """Return the preferences that an event is about; older trackers have an event of withdrawal."""
    withdrawn = _named(event, WITHDRAWN)
    if withdrawn is not None and withdrawn.get("all") is True:
        return {"eventType": "withdrawn"}
    return _named(event, CONSENT)


def _consent(event: Enriched, preferences: Enriched, hints: Hints) -> Mapped:
    choices = _choices(preferences, hints)
    if choices is None:
        kind, basis = _either(preferences, "eventType"), _either(preferences, "basisForProcessing")
        return unmapped(f"consent {kind} by {basis}")
    policy = _either(preferences, "consentVersion")
    return consents.updated(choices, "snowplow", _common(event, hints), policy=policy)


def _choices(preferences: Enriched, hints: Hints) -> Choices | None:
    """Return the choices of a preferences object; None if it is no choice, or not by consent."""
    kind, basis = _either(preferences, "eventType"), _either(preferences, "basisForProcessing")
    is_refusal = kind in REFUSALS
    if kind not in REFUSED_AS or (basis != "consent" and not is_refusal):
        return None
    listed = preferences.get("consentScopes", preferences.get("consent_scopes"))
    scopes = [one for one in listed if isinstance(one, str)] if isinstance(listed, list) else []
    choose = consents.of_refusal if is_refusal else consents.of_scopes
    return choose(scopes, REFUSED_AS[kind], hints.categories)


def _either(preferences: Enriched, name: str) -> str | None:
    """Return a field by its name in the schema or, as in tables, in snake case."""
    return text(preferences.get(name), preferences.get(re.sub("(?=[A-Z])", "_", name).lower()))


def _consents(event: Enriched) -> Iterator[tuple[str, Enriched]]:
    """Yield the entities beside an event that are about consent, with their names."""
    for key, entities in event.items():
        if STAMP.match(key):
            yield from ((key, one) for one in records(entities))


def _stamped(name: str, entity: Enriched, hints: Hints) -> tuple[Choices, str]:
    """Return the choices of an entity, which may be of a schema of the shop's own, and its place.

    Without a kind of choice its booleans are answers to categories.
    """
    answers = {key: value for key, value in entity.items() if isinstance(value, bool)}
    choices = _choices(entity, hints) or consents.of_categories(answers, hints.categories)
    return choices, f"$.{name}"


def _common(event: Enriched, hints: Hints) -> Fields:
    context = {
        "user_agent": text(event.get("useragent")),
        "device": DEVICES.get(str(event.get("dvce_type"))),
    }
    moment = at_ms(
        event.get("derived_tstamp"),
        event.get("dvce_created_tstamp"),
        event.get("collector_tstamp"),
        hints.at_ms,
    )
    fields = {
        "id": event_id("snowplow", event.get("event_id"), event, hints),
        "visitor": visitor_of("$.domain_userid", hints, event.get("domain_userid")),
        "at_ms": moment,
        "context": without_none(context) or None,
    }
    return without_none(fields)
