"""Why something is done or not done: the reasons, and the records that tell them."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.cart import Cart, value_of
from stream.domain.consent import permits, standing, stands
from stream.domain.context import FoldContext
from stream.domain.events import Line
from stream.domain.ids import make_id
from stream.domain.records import NEEDS, CartSnapshot, Decision, Kind, Trigger, TriggerClass
from stream.domain.session import session_id
from stream.domain.visitor import Behaviour, Sent

# What a refusal can still call back. Only a policy that counts in seconds sends more in a day.
MAX_SENT = 1_024

SituationT = TypeVar("SituationT")


Blockers = tuple[tuple[Reason, Callable[[SituationT], bool]], ...]


class Candidate(Struct, frozen=True, kw_only=True):
    """What is being decided on; ``identity`` tells the decisions of one visitor apart."""

    kind: Kind
    class_: TriggerClass
    identity: tuple[str | int, ...]
    step: int
    why: str
    due_ms: int
    expires_ms: int
    evidence: list[str]


def decide(blockers: Blockers[SituationT], situation: SituationT) -> Reason:
    """Return the first reason not to act, or ``Reason.FIRED``."""
    for why, blocks in blockers:
        if blocks(situation):
            return why
    return Reason.FIRED


def has_consent(context: FoldContext, kind: Kind, at_ms: int) -> bool:
    """Say whether all that a kind needs was granted when it was owed, and still is."""
    consent = context.state.consent
    for purpose in NEEDS[kind]:
        if not (permits(consent, purpose, at_ms) and stands(consent, purpose, context.now_ms)):
            return False
    return True


def conclude(context: FoldContext, behaviour: Behaviour, owed: Candidate, reason: Reason) -> bool:
    """Add the decision, and the trigger where it fired; return whether it did."""
    cart = behaviour.cart or Cart()
    fired = reason is Reason.FIRED
    # Behaviour that a refusal deleted may be told again: its decisions are other ones.
    identity = (owed.kind, *context.key, *owed.identity, _allowed_since_ms(context))
    trigger_id = make_id(*identity, cart.fingerprint) if fired else None
    context.effects.append(
        Decision(
            decision_id=make_id("decision", *identity),
            kind=owed.kind,
            tenant=context.key.tenant,
            visitor=context.key.visitor,
            outcome="fired" if fired else "skipped",
            reason=reason.value,
            at_ms=owed.due_ms,
            trigger_id=trigger_id,
        )
    )
    if trigger_id is not None:
        context.effects.append(_trigger(context, behaviour, cart, owed, trigger_id))
        behaviour.sent = [
            *(sent for sent in behaviour.sent if sent.expires_at_ms >= context.now_ms),
            Sent(trigger_id, owed.kind, owed.expires_ms),
        ][-MAX_SENT:]
    return fired


def _allowed_since_ms(context: FoldContext) -> int:
    """Return since when behaviour has been kept; it never is through a refusal."""
    choice = context.state.consent.get("personalization")
    return choice.since_ms if choice is not None else 0


def _trigger(
    context: FoldContext, behaviour: Behaviour, cart: Cart, owed: Candidate, trigger_id: str
) -> Trigger:
    assert behaviour.session is not None  # noqa: S101 - nothing fires for an empty cart, so a visit was
    value_minor, currency = value_of(cart.lines)
    return Trigger(
        trigger_id=trigger_id,
        kind=owed.kind,
        class_=owed.class_,
        tenant=context.key.tenant,
        visitor=context.key.visitor,
        session=session_id(*context.key, behaviour.session),
        step=owed.step,
        cart=CartSnapshot(
            fingerprint=cart.fingerprint,
            value_minor=value_minor,
            currency=currency,
            lines=[Line(line.product, line.quantity) for line in cart.lines],
        ),
        evidence=owed.evidence,
        reason=owed.why,
        score=behaviour.score,
        due_at_ms=owed.due_ms,
        expires_at_ms=owed.expires_ms,
        consent=standing(context.state.consent),
    )
