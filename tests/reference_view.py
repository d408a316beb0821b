"""What Cartwake publishes and stores, as the plain values in which the reference tells the same.

The one rule: what the reference cannot know (ids made by hashing, scores) is left out here, and
nothing else is.
"""

import json
from collections.abc import Mapping
from typing import Any

from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT, CartAbandonmentMemory
from stream.domain.visitor import Behaviour, Visitor

HASHED = ("trigger_id", "decision_id", "session", "score")
NOT_REPORTED = ("step", "signal", "due_at_ms")
"""What the reference says besides, of decisions and cancels."""


def view(state: Visitor) -> dict[str, Any]:
    """Return a stored state as the reference has it in ``Result.visitors``."""
    return {
        "consent": {
            purpose: (one.status, one.at_ms, one.since_ms, one.valid_until_ms)
            for purpose, one in state.consent.items()
        },
        "erased_ms": state.erased_ms,
        "seen_ms": state.seen_ms,
        "behaviour": _view_of(state.behaviour) if state.behaviour is not None else None,
    }


def _view_of(known: Behaviour) -> dict[str, Any]:
    cart, session = known.cart, known.session
    reminders = CART_ABANDONMENT.memory_in(known) or CartAbandonmentMemory()
    follow_ups = reminders.follow_ups
    return {
        "lines": [
            (*one.id, one.quantity, one.product.price_minor, one.product.currency)
            for one in (cart.lines if cart else ())
        ],
        "cart_name": cart.name if cart else None,
        "cart_changed_ms": cart.changed_ms if cart else None,
        "session_started_ms": session.started_ms if session else None,
        "last_activity_ms": session.last_activity_ms if session else None,
        "fired": [one.due_ms for one in reminders.fired],
        "follow_up": (follow_ups.first_due_ms, follow_ups.step) if follow_ups else None,
        "last_order_ms": known.last_order_ms,
    }


def told(body: Mapping[str, Any]) -> str:
    """Return a published trigger or decision as comparable text, without what hashing made."""
    plain = {name: fact for name, fact in body.items() if name not in HASHED}
    if "cart" in plain:
        plain["cart"] = {k: fact for k, fact in plain["cart"].items() if k != "fingerprint"}
    return json.dumps(plain, sort_keys=True)


def expected(one: Mapping[str, Any]) -> str:
    """Return a trigger or decision of the reference as `told` returns the published one."""
    is_trigger = "expires_at_ms" in one
    return told({k: fact for k, fact in one.items() if is_trigger or k not in NOT_REPORTED})


def called_back(cancel: Mapping[str, Any], trigger: Mapping[str, Any]) -> dict[str, Any]:
    """Return a published cancel, with the trigger of its id, as in ``Result.cancels``."""
    return {
        **{name: fact for name, fact in cancel.items() if name not in HASHED},
        "step": trigger["step"],
        "signal": trigger["evidence"][-1] if trigger["kind"] == "exit_intent" else None,
        "due_at_ms": trigger["due_at_ms"],
    }
