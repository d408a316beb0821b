"""Why a published trigger must not be acted on after all, judged right before.

The one rule: the visitor's state has the last word. What the worker would not fire now, with the
same cart and the same consent, nobody acts on.
"""

from stream.domain.campaign.reasons import Reason
from stream.domain.cart import Cart
from stream.domain.consent import stands
from stream.domain.records import NEEDS, Trigger
from stream.domain.visitor import Behaviour, Visitor


def objection(trigger: Trigger, state: Visitor | None, now_ms: int) -> Reason | None:
    """Return why not, the first reason that applies; None: nothing speaks against it.

    Parameters
    ----------
    state
        All that is known of the visitor; None where nothing is.
    """
    if now_ms >= trigger.expires_at_ms:
        return Reason.EXPIRED
    if state is None or not all(
        stands(state.consent, purpose, now_ms) for purpose in NEEDS[trigger.kind]
    ):
        return Reason.NO_CONSENT
    behaviour = state.behaviour
    # A refusal forgets what was sent, and a new grant does not bring it back.
    if behaviour is None or not _was_sent(behaviour, trigger.trigger_id):
        return Reason.CANCELLED
    return _of_cart(trigger, behaviour) if trigger.kind == "cart_abandonment" else None


def quiet_until_ms(state: Visitor | None, idle_ms: int) -> int:
    """Return until when the visitor counts as still here; 0 where no visit is known."""
    session = state.behaviour.session if state and state.behaviour else None
    return session.last_activity_ms + idle_ms if session else 0


def _was_sent(behaviour: Behaviour, trigger_id: str) -> bool:
    return any(sent.trigger_id == trigger_id for sent in behaviour.sent)


def _of_cart(trigger: Trigger, behaviour: Behaviour) -> Reason | None:
    fingerprint = trigger.cart.fingerprint
    # An order frees what was mentioned before it, to be mentioned again.
    if all(fired.fingerprint != fingerprint for fired in behaviour.fired):
        return Reason.BOUGHT
    if (behaviour.cart or Cart()).fingerprint != fingerprint:
        return Reason.CART_CHANGED
    return None
