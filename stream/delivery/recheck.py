"""Why a published trigger must not be acted on after all, judged right before it is sent.

The visitor's state has the last word: what the worker would not fire now, with the same subject
and the same consent, is not sent.
"""

from stream.domain.campaign.reasons import Reason
from stream.domain.consent import stands
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.kind import Kinds
from stream.domain.records import Trigger
from stream.domain.visitor import Behaviour, Visitor


def recheck(
    trigger: Trigger, state: Visitor | None, now_ms: int, kinds: Kinds = REGISTRY
) -> Reason | None:
    """Return the first reason against sending a trigger; None if there is none.

    Parameters
    ----------
    state
        The visitor's state; None if nothing is stored.
    """
    if now_ms >= trigger.expires_at_ms:
        return Reason.EXPIRED
    if state is None or not all(
        stands(state.consent, purpose, now_ms) for purpose in kinds.needs(trigger.kind)
    ):
        return Reason.NO_CONSENT
    behaviour = state.behaviour
    # A refusal deletes what was sent, and a new grant does not bring it back.
    if behaviour is None or not _was_sent(behaviour, trigger.trigger_id):
        return Reason.CANCELLED
    kind = kinds.of.get(trigger.kind)
    return None if kind is None else kind.recheck(trigger, behaviour)


def quiet_until_ms(state: Visitor | None) -> int:
    """Return until when the visitor counts as still here; 0 if no session is stored."""
    session = state.behaviour.session if state and state.behaviour else None
    return session.last_activity_ms + session.idle_ms if session else 0


def _was_sent(behaviour: Behaviour, trigger_id: str) -> bool:
    return any(sent.trigger_id == trigger_id for sent in behaviour.sent)
