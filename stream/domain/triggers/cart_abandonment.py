"""Cart abandonment: the shopper left something behind and has been quiet for a while.

Step 0 is due at last activity + idle time; follow-ups count from the first reminder's due time.
"""

from msgspec import Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.cart import Cart, value_of
from stream.domain.context import FoldContext
from stream.domain.decisions import Blockers, Candidate, conclude, decide, has_consent
from stream.domain.holdout import in_holdout
from stream.domain.policy import CART_REMINDER_LIFE_MS, CartAbandonment
from stream.domain.records import Kind
from stream.domain.visitor import Behaviour, Fired, Sequence

KIND: Kind = "cart_abandonment"
MAX_FIRED = 128


class Situation(Struct):
    """All that a reminder is decided on."""

    context: FoldContext
    cart: Cart
    fired: list[Fired]
    policy: CartAbandonment
    due_ms: int


# The first check that blocks names the outcome. Consent is first, so that its absence is never
# reported as something milder; holdout is last, so that treated and held-out shoppers have passed
# exactly the same checks.
FIRST_BLOCKERS: Blockers[Situation] = (
    (Reason.NO_CONSENT, lambda s: not has_consent(s.context, KIND, s.due_ms)),
    (Reason.EXPIRED, lambda s: s.context.now_ms > s.due_ms + CART_REMINDER_LIFE_MS),
    (Reason.CART_EMPTY, lambda s: not s.cart.lines),
    (Reason.CART_TOO_SMALL, lambda s: value_of(s.cart.lines)[0] < s.policy.min_value_minor),
    (Reason.CART_TOO_OLD, lambda s: s.due_ms - (s.cart.changed_ms or 0) > s.policy.max_age_ms),
    (Reason.ALREADY_FIRED, lambda s: any(f.fingerprint == s.cart.fingerprint for f in s.fired)),
    (Reason.HOLDOUT, lambda s: in_holdout(*s.context.key, s.context.policy.holdout)),
)
FOLLOW_UP_BLOCKERS: Blockers[Situation] = tuple(
    check
    for check in FIRST_BLOCKERS
    if check[0] in {Reason.NO_CONSENT, Reason.EXPIRED, Reason.HOLDOUT}
)


def first_due_ms(behaviour: Behaviour, policy: CartAbandonment) -> int | None:
    """Return when the reminder is due; None without a cart or without new activity."""
    session, cart = behaviour.session, behaviour.cart
    if session is None or cart is None or not cart.lines:
        return None
    if behaviour.settled_ms is not None and session.last_activity_ms <= behaviour.settled_ms:
        return None
    return session.last_activity_ms + policy.idle_ms


def follow_up_due_ms(behaviour: Behaviour, policy: CartAbandonment) -> int | None:
    """Return when the next follow-up is due; None where none is owed."""
    session, sequence = behaviour.session, behaviour.sequence
    if session is None or sequence is None or sequence.step >= len(policy.steps_ms):
        return None
    return max(
        sequence.first_due_ms + policy.steps_ms[sequence.step],
        session.last_activity_ms + policy.idle_ms,
    )


def drop_pending(behaviour: Behaviour) -> None:
    """Forget what is owed; only new activity makes a reminder owed again."""
    behaviour.sequence = None
    if behaviour.session is not None:
        behaviour.settled_ms = behaviour.session.last_activity_ms


def remind_first(context: FoldContext, behaviour: Behaviour, due_ms: int) -> None:
    """Decide on step 0 at its due moment."""
    behaviour.settled_ms = due_ms - context.policy.cart_abandonment.idle_ms
    cart = behaviour.cart or Cart()
    if _remind(context, behaviour, cart, FIRST_BLOCKERS, due_ms, step=0):
        behaviour.sequence = Sequence(first_due_ms=due_ms, step=1)
        behaviour.fired = [*behaviour.fired, Fired(cart.fingerprint, due_ms)][-MAX_FIRED:]


def remind_again(context: FoldContext, behaviour: Behaviour, due_ms: int) -> None:
    """Decide on the follow-up that is owed, at its due moment."""
    sequence = behaviour.sequence
    if sequence is not None:
        cart = behaviour.cart or Cart()
        _remind(context, behaviour, cart, FOLLOW_UP_BLOCKERS, due_ms, sequence.step)
        sequence.step += 1


def _remind(  # noqa: PLR0913, PLR0917 - one decision's own facts
    context: FoldContext,
    behaviour: Behaviour,
    cart: Cart,
    blockers: Blockers[Situation],
    due_ms: int,
    step: int,
) -> bool:
    policy = context.policy.cart_abandonment
    owed = Candidate(
        kind=KIND,
        class_="marketing",
        identity=(step, due_ms),
        step=step,
        why="cart_idle" if step == 0 else "cart_still_idle",
        due_ms=due_ms,
        expires_ms=due_ms + CART_REMINDER_LIFE_MS,
        evidence=list(cart.evidence),
    )
    situation = Situation(context, cart, behaviour.fired, policy, due_ms)
    return conclude(context, behaviour, owed, decide(blockers, situation))
