"""Section 3, Consent: who allows what, and what a refusal takes away."""

from typing import Any

from tests.reference.decoding import PURPOSES
from tests.reference.shop import Choice, Shop, Visitor

NEEDS = {
    "cart_abandonment": ("personalization", "marketing_email"),
    "exit_intent": ("personalization",),
}


def is_allowed(visitor: Visitor, purpose: str, at_ms: int) -> bool:
    """Say whether a purpose is granted for what happened at ``at_ms``."""
    choice = visitor.consent.get(purpose)
    if choice is None or choice.status != "granted":
        return False
    return choice.since_ms <= at_ms and not has_lapsed(choice, at_ms)


def still_stands(visitor: Visitor, purpose: str, now_ms: int) -> bool:
    """Say whether a purpose is granted now, even if its grant is from a clock that is ahead."""
    choice = visitor.consent.get(purpose)
    return choice is not None and choice.status == "granted" and not has_lapsed(choice, now_ms)


def has_lapsed(choice: Choice, at_ms: int) -> bool:
    """Say whether a grant is over at ``at_ms``; its last valid moment is included."""
    return choice.valid_until_ms is not None and at_ms > choice.valid_until_ms


def is_erased(visitor: Visitor, at_ms: int) -> bool:
    """Say whether an erasure covers what happened at ``at_ms``."""
    return visitor.erased_ms is not None and at_ms <= visitor.erased_ms


def choose(
    shop: Shop,
    visitor: Visitor,
    event: dict[str, Any],
    at_ms: int,
    record_ms: int,
    now_ms: int,
) -> None:
    """Per purpose: the choice with the latest ``at_ms`` counts, at equal times the refusal.

    A refusal counts from the later of its ``at_ms`` and its record's timestamp.
    """
    for purpose in PURPOSES:
        status = event["purposes"].get(purpose)
        known = visitor.consent.get(purpose)
        if status is None:
            continue
        # A grant that was clamped is as old as it says, not as young as its clamped time.
        granted_ms, refused_ms = min(at_ms, event["at_ms"]), max(at_ms, record_ms)
        counts_ms = granted_ms if status == "granted" else refused_ms
        if is_erased(visitor, counts_ms):
            continue
        if known is not None and counts_ms < known.at_ms:
            continue
        if known is not None and counts_ms == known.at_ms and status == "granted":
            continue
        if status == "granted":
            _grant(shop, visitor, purpose, at_ms, event.get("valid_until_ms"), now_ms)
        else:
            visitor.consent[purpose] = Choice(status, refused_ms)
            refuse(shop, visitor, purpose, "consent_refused", at_ms, now_ms)


def _grant(
    shop: Shop, visitor: Visitor, purpose: str, at_ms: int, until_ms: int | None, now_ms: int
) -> None:
    """A renewal keeps the earlier start; after a gap what the earlier grant allowed is gone."""
    known = visitor.consent.get(purpose)
    was_granted = known is not None and known.status == "granted"
    if was_granted and has_lapsed(known, at_ms):
        refuse(shop, visitor, purpose, "consent_expired", at_ms, now_ms)
        was_granted = False
    since_ms = known.since_ms if was_granted else at_ms
    visitor.consent[purpose] = Choice("granted", at_ms, since_ms, until_ms)


def expire(shop: Shop, visitor: Visitor, due_ms: int, now_ms: int) -> None:
    """The passing of a grant's last moment works like a refusal."""
    for purpose, choice in visitor.consent.items():
        if choice.status == "granted" and choice.valid_until_ms == due_ms:
            visitor.consent[purpose] = Choice("expired", choice.at_ms, 0, due_ms)
            refuse(shop, visitor, purpose, "consent_expired", due_ms, now_ms)


def refuse(
    shop: Shop, visitor: Visitor, purpose: str, reason: str, at_ms: int, now_ms: int
) -> None:
    """Delete what the purpose allowed, and call back what may still be acted on."""
    behaviour = visitor.behaviour
    if purpose == "personalization":
        visitor.seen_ms = None
    if behaviour is None:
        return
    for trigger in list(behaviour.published):
        if purpose in NEEDS[trigger["kind"]]:
            behaviour.published.remove(trigger)
            if trigger["expires_at_ms"] >= now_ms:
                shop.told.cancels.append(_cancel(visitor, trigger, reason, at_ms))
    if purpose == "personalization":
        visitor.behaviour = None
    if purpose == "marketing_email":
        behaviour.follow_up = None
        behaviour.decided_activity_ms = behaviour.last_activity_ms


def _cancel(visitor: Visitor, trigger: dict[str, Any], reason: str, at_ms: int) -> dict[str, Any]:
    return {
        "kind": trigger["kind"],
        "tenant": visitor.tenant,
        "visitor": visitor.name,
        "step": trigger["step"],
        "signal": trigger["evidence"][-1] if trigger["kind"] == "exit_intent" else None,
        "due_at_ms": trigger["due_at_ms"],
        "reason": reason,
        "at_ms": at_ms,
    }


def erase(shop: Shop, visitor: Visitor, at_ms: int, now_ms: int) -> None:
    """Delete everything, the consent record too; a tombstone remembers until when to refuse."""
    refuse(shop, visitor, "personalization", "erased", at_ms, now_ms)
    forget(visitor)
    visitor.erased_ms = at_ms


def forget(visitor: Visitor) -> None:
    """Delete the consent record."""
    visitor.consent = {}
    visitor.consent_ids = []
    visitor.seen_ms = None
