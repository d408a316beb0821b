"""Section 3, what becomes of an event: Bots, Duplicates, Activity, and each type's own effect."""

from typing import Any

from tests.reference import cart, consent, decisions
from tests.reference.decoding import TOPIC_OF
from tests.reference.shop import DAY_MS, MINUTE_MS, SECOND_MS, Behaviour, Shop, Visitor

KNOWN_IDS, KNOWN_ORDERS = 256, 1024
NO_ACTIVITY = ("page_left", "exit_signalled")
CART_CHANGES = {
    "product_added": cart.add,
    "product_removed": cart.remove,
    "cart_updated": cart.update,
    "checkout_started": cart.check_out,
}


def clamped(at_ms: int, record_ms: int) -> int:
    """Return the event time: not more than 24 h before its record, nor 60 s after it."""
    return max(record_ms - DAY_MS, min(at_ms, record_ms + MINUTE_MS))


def apply(
    shop: Shop, visitor: Visitor, event: dict[str, Any], record_ms: int, now_ms: int | None
) -> str:
    """Apply one event and return its outcome.

    ``record_ms`` is its record's timestamp. ``now_ms`` is the moment it is judged by; None: by its
    own (clamped) time.
    """
    at_ms = clamped(event["at_ms"], record_ms)
    now_ms = at_ms if now_ms is None else now_ms
    is_consent = TOPIC_OF[event["type"]] == "consent-events"
    if not is_consent and _is_bot(shop, event.get("context") or {}):
        return "bots"
    # Who has consented anew since an erasure may refuse by a slow clock.
    may_refuse = event["type"] == "consent_updated" and visitor.consent and record_ms > at_ms
    # Its own time counts, not the clamped one: what is imported brings nobody back.
    if consent.is_erased(visitor, min(event["at_ms"], at_ms)) and not may_refuse:
        return "refused_consent"
    if is_consent:
        return _apply_consent(shop, visitor, event, at_ms, record_ms, now_ms)
    if not consent.is_allowed(visitor, "personalization", at_ms):
        return "refused_consent"
    if _is_duplicate(visitor, event):
        return "duplicates"
    # Here triggers have no ids, so feedback is always about a trigger that is not known.
    if TOPIC_OF[event["type"]] != "message-feedback":
        _behave(shop, visitor, event, at_ms, now_ms)
    return "applied"


def _is_bot(shop: Shop, context: dict[str, Any]) -> bool:
    user_agent = context.get("user_agent")
    return context.get("bot") is True or (user_agent is not None and shop.is_robot(user_agent))


def _apply_consent(
    shop: Shop,
    visitor: Visitor,
    event: dict[str, Any],
    at_ms: int,
    record_ms: int,
    now_ms: int,
) -> str:
    if event["type"] == "erasure_requested":
        consent.erase(shop, visitor, at_ms, now_ms)
        return "applied"
    if _is_duplicate(visitor, event):
        return "duplicates"
    visitor.consent_ids = [*visitor.consent_ids, event["id"]][-KNOWN_IDS:]
    consent.choose(shop, visitor, event, at_ms, record_ms, now_ms)
    return "applied"


def _is_duplicate(visitor: Visitor, event: dict[str, Any]) -> bool:
    known = visitor.behaviour
    if event["id"] in visitor.consent_ids:
        return True
    if known is None:
        return False
    if event["id"] in known.event_ids:
        return True
    return event["type"] == "order_completed" and event["order"] in known.orders


def _behave(shop: Shop, visitor: Visitor, event: dict[str, Any], at_ms: int, now_ms: int) -> None:
    if visitor.behaviour is None:
        visitor.behaviour, visitor.seen_ms = Behaviour(newest_ms=at_ms), None
    known = visitor.behaviour
    known.event_ids = [*known.event_ids, event["id"]][-KNOWN_IDS:]
    known.newest_ms = max(known.newest_ms, at_ms)
    # What had to be clamped to the past is history: no activity, and nothing becomes due by it.
    is_history = event["at_ms"] < at_ms
    was_empty = not known.lines
    if event["type"] not in NO_ACTIVITY and not is_history:
        _be_active(known, at_ms, shop.policy.session_idle_s * SECOND_MS)
    if event["type"] == "exit_signalled" and not is_history:
        decisions.answer_exit(shop, visitor, known, event, at_ms, now_ms)
    if event["type"] == "order_completed":
        _order(known, event, at_ms)
    if event["type"] in CART_CHANGES:
        CART_CHANGES[event["type"]](known, event, at_ms)
    if is_history and was_empty and known.lines:
        known.decided_activity_ms = known.last_activity_ms


def _be_active(known: Behaviour, at_ms: int, idle_ms: int) -> None:
    """A gap longer than the idle time starts a session; nothing moves last activity back."""
    last_ms = known.last_activity_ms
    if last_ms is None or at_ms - last_ms > idle_ms:
        known.session_started_ms = at_ms
    known.last_activity_ms = at_ms if last_ms is None else max(last_ms, at_ms)


def _order(known: Behaviour, event: dict[str, Any], at_ms: int) -> None:
    known.orders = [*known.orders, event["order"]][-KNOWN_ORDERS:]
    if known.last_order_ms is None or at_ms > known.last_order_ms:
        known.last_order_ms = at_ms
    # What was mentioned after a late order had been placed stays mentioned.
    known.mentioned = [(contents, due) for contents, due in known.mentioned if due >= at_ms]
    known.follow_up = None
    cart.buy(known, event, at_ms)
