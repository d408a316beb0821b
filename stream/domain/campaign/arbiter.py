"""The arbiter: decides once, for one visitor at one moment, over all candidates of all kinds.

Every candidate gets exactly one decision. It is a pure function of the visitor's state, the policy
and the moment of judgement.
"""

from collections.abc import Sequence
from typing import Any, Final, assert_never

from stream.domain.campaign.reasons import Reason
from stream.domain.cart import value_of
from stream.domain.consent import permits, standing, stands
from stream.domain.context import FoldContext
from stream.domain.events import Line
from stream.domain.holdout import in_holdout
from stream.domain.ids import make_id
from stream.domain.kinds.kind import Candidate, Refusals
from stream.domain.kinds.subject import (
    MAX_PRODUCTS,
    CartSubject,
    Nothing,
    OrderSubject,
    ProductsSubject,
    Subject,
)
from stream.domain.records import CartSnapshot, Decision, Trigger
from stream.domain.session import session_id
from stream.domain.visitor import Behaviour, SentTrigger

# Those that a refusal can still cancel. Only a policy that counts in seconds sends more in a day.
MAX_SENT: Final = 1_024

# A candidate with its context: what the checks that all kinds share are asked about.
Judged = tuple[FoldContext, Candidate]

# Consent is first, so that its absence is never reported as something milder.
FIRST: Final[Refusals[Judged]] = (
    (Reason.NO_CONSENT, lambda judged: not has_consent(*judged)),
    (Reason.EXPIRED, lambda judged: judged[0].now_ms > judged[1].expires_ms),
)
# Holdout is last, so that treated and held-out visitors have passed exactly the same checks.
LAST: Final[Refusals[Judged]] = (
    (Reason.HOLDOUT, lambda judged: in_holdout(*judged[0].key, judged[0].policy.holdout)),
)


def decide(context: FoldContext, candidates: Sequence[Candidate]) -> None:
    """Decide on all candidates of a moment, in the order of their kinds' priority.

    Adds a decision for each, and its trigger if it fires, and tells the kind the outcome before
    the next one is judged.
    """
    behaviour = context.state.behaviour
    assert behaviour is not None  # noqa: S101 - candidates come from what is remembered
    if len(candidates) > 1:
        ranks = context.kinds.ranks
        candidates = sorted(candidates, key=lambda one: ranks[one.kind.name])
    for candidate in candidates:
        reason = judge(context, candidate)
        _conclude(context, behaviour, candidate, reason)
        candidate.kind.note(behaviour, candidate, reason)


def judge(context: FoldContext, candidate: Candidate) -> Reason:
    """Return the first reason against a candidate, or ``Reason.FIRED``."""
    judged = (context, candidate)
    return (
        first_that_holds(FIRST, judged)
        or first_that_holds(candidate.refusals, candidate.situation)
        or first_that_holds(LAST, judged)
        or Reason.FIRED
    )


def first_that_holds(refusals: Refusals[Any], situation: object) -> Reason | None:
    """Return the reason of the first check that holds; None if none does."""
    for reason, holds in refusals:
        if holds(situation):
            return reason
    return None


def has_consent(context: FoldContext, candidate: Candidate) -> bool:
    """Return whether all that the kind needs was granted at the due time, and still is."""
    consent = context.state.consent
    for purpose in candidate.kind.needs:
        if not (
            permits(consent, purpose, candidate.due_ms) and stands(consent, purpose, context.now_ms)
        ):
            return False
    return True


def _conclude(
    context: FoldContext, behaviour: Behaviour, candidate: Candidate, reason: Reason
) -> None:
    fired = reason is Reason.FIRED
    # Behaviour that was deleted by a refusal may be recorded anew: those are other decisions.
    identity = (candidate.kind.name, *context.key, *candidate.identity, _allowed_since_ms(context))
    trigger_id = make_id(*identity, candidate.subject.fingerprint) if fired else None
    context.effects.append(
        Decision(
            decision_id=make_id("decision", *identity),
            kind=candidate.kind.name,
            tenant=context.key.tenant,
            visitor=context.key.visitor,
            outcome="fired" if fired else "skipped",
            reason=reason.value,
            at_ms=candidate.due_ms,
            trigger_id=trigger_id,
        )
    )
    if trigger_id is not None:
        context.effects.append(_trigger(context, behaviour, candidate, trigger_id))
        behaviour.sent = [
            *(sent for sent in behaviour.sent if sent.expires_at_ms >= context.now_ms),
            SentTrigger(trigger_id, candidate.kind.name, candidate.expires_ms),
        ][-MAX_SENT:]


def _allowed_since_ms(context: FoldContext) -> int:
    """Return since when behaviour has been recorded without a refusal."""
    choice = context.state.consent.get("personalization")
    return choice.since_ms if choice is not None else 0


def _trigger(
    context: FoldContext, behaviour: Behaviour, candidate: Candidate, trigger_id: str
) -> Trigger:
    assert behaviour.session is not None  # noqa: S101 - what a kind proposes follows from a visit
    return Trigger(
        trigger_id=trigger_id,
        kind=candidate.kind.name,
        class_=candidate.kind.class_,
        tenant=context.key.tenant,
        visitor=context.key.visitor,
        session=session_id(*context.key, behaviour.session),
        step=candidate.step,
        evidence=candidate.evidence,
        reason=candidate.why,
        score=behaviour.score,
        due_at_ms=candidate.due_ms,
        expires_at_ms=candidate.expires_ms,
        consent=standing(context.state.consent),
        **published(candidate.subject),
    )


def published(subject: Subject) -> dict[str, Any]:
    """Return the fields of a trigger that carry its subject."""
    match subject:
        case CartSubject(cart):
            value_minor, currency = value_of(cart.lines)
            lines = [Line(line.product, line.quantity) for line in cart.lines]
            return {"cart": CartSnapshot(cart.fingerprint, value_minor, currency, lines)}
        case ProductsSubject(products):
            return {"products": list(products[:MAX_PRODUCTS])}
        case OrderSubject(order):
            return {"order": order}
        case Nothing():
            return {}
        case _:
            assert_never(subject)
