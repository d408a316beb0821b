"""Exit intent: the shopper is about to leave with something in the cart. Decided at once."""

from msgspec import Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.context import FoldContext
from stream.domain.decisions import Blockers, Candidate, conclude, decide, has_consent
from stream.domain.events import ExitSignalled
from stream.domain.holdout import in_holdout
from stream.domain.policy import EXIT_OFFER_LIFE_MS
from stream.domain.records import Kind
from stream.domain.visitor import Behaviour

KIND: Kind = "exit_intent"
MAX_EVIDENCE = 20


class Situation(Struct):
    """All that an answer to an exit signal is decided on."""

    context: FoldContext
    behaviour: Behaviour
    signal: ExitSignalled
    at_ms: int

    @property
    def has_cart(self) -> bool:
        """Say whether there is something to leave behind."""
        return self.behaviour.cart is not None and bool(self.behaviour.cart.lines)

    @property
    def fired_in_this_session(self) -> bool:
        """Say whether this visit has been answered before."""
        session = self.behaviour.session
        return session is not None and self.behaviour.exit_session_ms == session.started_ms

    @property
    def is_cooling_down(self) -> bool:
        """Say whether the last answer is too recent."""
        last_ms = self.behaviour.exit_fired_ms
        cooldown_ms = self.context.policy.exit_intent.cooldown_ms
        return last_ms is not None and self.at_ms - last_ms < cooldown_ms


BLOCKERS: Blockers[Situation] = (
    (Reason.NO_CONSENT, lambda s: not has_consent(s.context, KIND, s.at_ms)),
    (Reason.EXPIRED, lambda s: s.context.now_ms - s.at_ms > EXIT_OFFER_LIFE_MS),
    (Reason.CART_EMPTY, lambda s: not s.has_cart),
    (Reason.ALREADY_FIRED, lambda s: s.fired_in_this_session),
    (Reason.COOLDOWN, lambda s: s.is_cooling_down),
    (
        Reason.DWELL_TOO_SHORT,
        lambda s: s.signal.dwell_ms < s.context.policy.exit_intent.min_dwell_ms,
    ),
    (Reason.HOLDOUT, lambda s: in_holdout(*s.context.key, s.context.policy.holdout)),
)


def answer(context: FoldContext, behaviour: Behaviour, signal: ExitSignalled, at_ms: int) -> None:
    """Decide on an exit signal now."""
    cart_evidence = behaviour.cart.evidence if behaviour.cart is not None else []
    owed = Candidate(
        kind=KIND,
        class_="onsite",
        identity=(signal.id,),
        step=0,
        why=signal.signal,
        due_ms=at_ms,
        expires_ms=at_ms + EXIT_OFFER_LIFE_MS,
        evidence=[*cart_evidence[1 - MAX_EVIDENCE :], signal.id],
    )
    reason = decide(BLOCKERS, Situation(context, behaviour, signal, at_ms))
    if conclude(context, behaviour, owed, reason) and behaviour.session is not None:
        behaviour.exit_fired_ms = at_ms
        behaviour.exit_session_ms = behaviour.session.started_ms
