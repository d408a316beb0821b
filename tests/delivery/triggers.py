"""Triggers, and outcomes of them, for tests of those who act on them."""

from stream.domain.events import Line, Product
from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageRefused,
    MessageSent,
    MessageSkipped,
)
from stream.domain.records import CartSnapshot, Trigger, TriggerCancel

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
CART = CartSnapshot(
    "f" * 32, 2580, "EUR", [Line(Product("mug", name="Mug", price_minor=1290, currency="EUR"), 2)]
)


def trigger(number="1", **fields):
    """Return a trigger of this number, for a cart that was left."""
    return Trigger(
        **{
            "trigger_id": f"{number:0>32}",
            "kind": "cart_abandonment",
            "class_": "marketing",
            "tenant": "default",
            "visitor": "anna",
            "session": "0" * 32,
            "step": 0,
            "cart": CART,
            "evidence": ["a-1"],
            "reason": "cart_idle",
            "due_at_ms": NOW_MS - 1_000,
            "expires_at_ms": NOW_MS - 1_000 + DAY_MS,
            "consent": {"personalization": "granted", "marketing_email": "granted"},
        }
        | fields
    )


def cancel(one, reason="consent_refused", at_ms=NOW_MS):
    """Return the cancel of a trigger."""
    return TriggerCancel(
        trigger_id=one.trigger_id,
        kind=one.kind,
        tenant=one.tenant,
        visitor=one.visitor,
        reason=reason,
        at_ms=at_ms,
    )


def _of(one, at_ms):
    return {
        "id": f"m-{one.trigger_id}"[:64],
        "tenant": one.tenant,
        "visitor": one.visitor,
        "at_ms": at_ms,
        "trigger_id": one.trigger_id,
        "channel": "email",
    }


def was_sent(one, at_ms=NOW_MS):
    return MessageSent(**_of(one, at_ms))


def skipped(one, at_ms=NOW_MS, reason="bought", attempts=0):
    return MessageSkipped(**_of(one, at_ms), reason=reason, attempts=attempts)


def was_refused(one, at_ms=NOW_MS):
    return MessageRefused(**_of(one, at_ms), code=503)


def cancel_sent(one, at_ms=NOW_MS):
    return CancelSent(**_of(one, at_ms))


def cancel_refused(one, at_ms=NOW_MS):
    return CancelRefused(**_of(one, at_ms), code=503)
