"""What a refusal, an expiry, an erasure or time deletes, and which triggers it cancels."""

from typing import Literal

from stream.domain.consent import Choice, Purpose
from stream.domain.context import FoldContext
from stream.domain.records import TriggerCancel
from stream.domain.visitor import Behaviour, Visitor

CancelReason = Literal["consent_refused", "consent_expired", "erased"]


def refuse(context: FoldContext, purpose: Purpose, at_ms: int, reason: CancelReason) -> None:
    """Delete what ``purpose`` allowed: all behaviour, or what the kinds that need it have pending.

    Triggers of these kinds that have not expired are cancelled.
    """
    behaviour = context.state.behaviour
    if purpose == "personalization":
        context.state.seen_ms = None
    if behaviour is None:
        return
    needing = {
        kind
        for kind in {sent.kind for sent in behaviour.sent}
        if purpose in context.kinds.needs(kind)
    }
    cancelled = [sent for sent in behaviour.sent if sent.kind in needing]
    behaviour.sent = [sent for sent in behaviour.sent if sent.kind not in needing]
    context.effects.extend(
        TriggerCancel(
            trigger_id=sent.trigger_id,
            kind=sent.kind,
            tenant=context.key.tenant,
            visitor=context.key.visitor,
            reason=reason,
            at_ms=at_ms,
        )
        for sent in cancelled
        if sent.expires_at_ms >= context.now_ms
    )
    if purpose == "personalization":
        context.state.behaviour = None
        return
    for kind in context.kinds.all:
        if purpose in kind.needs:
            kind.drop(behaviour)


def expire(context: FoldContext, due_ms: int) -> None:
    """Refuse every purpose that was granted up to ``due_ms``."""
    for purpose, choice in context.state.consent.items():
        if choice.status == "granted" and choice.valid_until_ms == due_ms:
            context.state.consent[purpose] = Choice("expired", choice.at_ms, 0, due_ms)
            refuse(context, purpose, due_ms, "consent_expired")


def erase(context: FoldContext, at_ms: int) -> None:
    """Delete everything except that events up to ``at_ms`` are refused."""
    refuse(context, "personalization", at_ms, "erased")
    erased_ms = context.state.erased_ms
    context.state.erased_ms = at_ms if erased_ms is None else max(erased_ms, at_ms)
    forget_choices(context.state)


def end_behaviour(state: Visitor, behaviour: Behaviour) -> None:
    """Delete behaviour that was kept as long as it may be; keep the moment of its last event."""
    state.behaviour, state.seen_ms = None, behaviour.seen_ms


def forget_choices(state: Visitor) -> None:
    """Delete all choices and what was kept with them: everything is refused from here on."""
    state.consent, state.consent_ids, state.seen_ms = {}, b"", None
