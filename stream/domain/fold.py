"""The fold: state and one event, or state and the passing of time, give new state and effects.

The result depends only on the visitor's own events and deadlines, in their order.
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from stream.domain import cart as carts
from stream.domain import session as sessions
from stream.domain.campaign.arbiter import decide
from stream.domain.cart import Cart
from stream.domain.consent import Choice, choices, granted, is_newer, permits
from stream.domain.contacts import note
from stream.domain.context import FoldContext, FoldOutcome
from stream.domain.events import (
    BehaviourEvent,
    CartUpdated,
    CheckoutStarted,
    CheckoutStepCompleted,
    ConsentUpdated,
    ErasureRequested,
    Event,
    ExitSignalled,
    OrderCompleted,
    OrderRefunded,
    PageLeft,
    PageViewed,
    PaymentFailed,
    ProductAdded,
    ProductListViewed,
    ProductRemoved,
    ProductsSearched,
    ProductViewed,
)
from stream.domain.features import observe
from stream.domain.feedback import FEEDBACK_TYPES
from stream.domain.forget import erase, refuse
from stream.domain.ids import digest, remember, remembers
from stream.domain.kinds.kind import Hear, Heard
from stream.domain.predictions import AFTER_ADD, AFTER_EXIT, label_by_order, predict
from stream.domain.visitor import Behaviour, Visitor

RECENT_EVENTS = 256
KNOWN_ORDERS = 1024

EventT = TypeVar("EventT")


def apply(context: FoldContext, event: Event, at_ms: int, *, bot: bool) -> FoldOutcome:
    """Fold one event whose (clamped) event time is ``at_ms``; ``bot``: a robot sent it."""
    fold = FOLDS[type(event)]
    if bot and fold is not _choose and fold is not _erase:
        return FoldOutcome.BOT
    # By its own time where that was clamped: what is imported must not bring back who was erased.
    if _is_erased(context.state, min(at_ms, event.at_ms)) and not (
        # Who has consented anew since may refuse by a slow clock: that counts from its record.
        fold is _choose and context.state.consent and context.received_ms > at_ms
    ):
        return FoldOutcome.REFUSED
    return fold(context, event, at_ms)


def is_history(event: Event, at_ms: int) -> bool:
    """Say whether an event's time had to be clamped to the past.

    Such an event is no activity and makes nothing due: it was imported, or comes a day late.
    """
    return event.at_ms < at_ms


def _erase(context: FoldContext, _: ErasureRequested, at_ms: int) -> FoldOutcome:
    erase(context, at_ms)
    return FoldOutcome.APPLIED


def _choose(context: FoldContext, event: ConsentUpdated, at_ms: int) -> FoldOutcome:
    state, event_digest = context.state, digest(event.id)
    if _is_repeated(state, event_digest):
        return FoldOutcome.DUPLICATE
    state.consent_ids = remember(state.consent_ids, event_digest, RECENT_EVENTS)
    consent, outcome = state.consent, FoldOutcome.STALE
    # Neither a sender's slow clock nor an imported past must let an older grant win.
    refused_ms, granted_ms = max(at_ms, context.received_ms), min(at_ms, event.at_ms)
    for purpose, status in choices(event.purposes):
        known = consent.get(purpose)
        counts_ms = granted_ms if status == "granted" else refused_ms
        if _is_erased(state, counts_ms) or not is_newer(status, counts_ms, known):
            continue
        outcome = FoldOutcome.APPLIED
        if status != "granted":
            consent[purpose] = Choice(status, refused_ms)
            refuse(context, purpose, at_ms, "consent_refused")
            continue
        if known is not None and known.lapses_before(at_ms):
            refuse(context, purpose, at_ms, "consent_expired")
        consent[purpose] = granted(at_ms, event.valid_until_ms, known)
    return outcome


def _is_erased(state: Visitor, at_ms: int) -> bool:
    return state.erased_ms is not None and at_ms <= state.erased_ms


def _is_repeated(state: Visitor, event_digest: bytes) -> bool:
    return remembers(state.consent_ids, event_digest) or (
        state.behaviour is not None and remembers(state.behaviour.recent, event_digest)
    )


def _note_feedback(context: FoldContext, event: Event, at_ms: int) -> FoldOutcome:
    """Note what became of a trigger: no activity, and nothing becomes due by it."""
    state = context.state
    if not permits(state.consent, "personalization", at_ms):
        return FoldOutcome.REFUSED
    event_digest = digest(event.id)
    if _is_repeated(state, event_digest):
        return FoldOutcome.DUPLICATE
    behaviour = state.behaviour
    if behaviour is None:
        return FoldOutcome.STALE
    campaigns = {sent.trigger_id: sent.kind for sent in behaviour.sent}
    contacts = note(behaviour.contacts, campaigns, event, at_ms)
    if contacts is None:
        return FoldOutcome.STALE
    behaviour.contacts = contacts
    behaviour.recent = remember(behaviour.recent, event_digest, RECENT_EVENTS)
    return FoldOutcome.APPLIED


def _behave(context: FoldContext, event: BehaviourEvent, at_ms: int) -> FoldOutcome:
    state = context.state
    if not permits(state.consent, "personalization", at_ms):
        return FoldOutcome.REFUSED
    event_digest = digest(event.id)
    if _is_repeated(state, event_digest):
        return FoldOutcome.DUPLICATE
    behaviour = state.behaviour or Behaviour(seen_ms=at_ms)
    if isinstance(event, OrderCompleted) and remembers(behaviour.orders, digest(event.order)):
        return FoldOutcome.DUPLICATE
    state.behaviour, state.seen_ms = behaviour, None
    behaviour.recent = remember(behaviour.recent, event_digest, RECENT_EVENTS)
    behaviour.seen_ms = max(behaviour.seen_ms, at_ms)
    known, policy, past = behaviour.session, context.policy, is_history(event, at_ms)
    if not past and not isinstance(event, (PageLeft, ExitSignalled)):
        behaviour.session = sessions.advance(
            known, at_ms, policy.session_idle_ms, policy.gone_after_ms
        )
    is_new = behaviour.session is not known
    observe(behaviour.profile, event, at_ms, new_session=is_new, past=past)
    if isinstance(event, ExitSignalled) and not behaviour.has_cart:
        return FoldOutcome.WITHOUT_CART  # what cannot act leaves a count, not a record
    act = ACTS[type(event)]
    if act is not None:
        act(context, behaviour, event, at_ms)
    hears = context.kinds.hears.get(type(event))
    if hears is not None:
        _hear(hears, Heard(context, behaviour, event, at_ms, past))
    return FoldOutcome.APPLIED


def _hear(hears: tuple[Hear, ...], heard: Heard) -> None:
    """Let kinds hear an event, and decide on what they propose."""
    candidates = [one for hear in hears for one in hear(heard)]
    if candidates and not heard.is_history:
        decide(heard.context, candidates)


def _add(context: FoldContext, behaviour: Behaviour, event: ProductAdded, at_ms: int) -> None:
    if not _is_before_last_order(behaviour, at_ms):
        _change_cart(behaviour, carts.add, event, at_ms)
    _predict_after_first_add(context, behaviour, event, at_ms)


def _update(_: FoldContext, behaviour: Behaviour, event: CartUpdated, at_ms: int) -> None:
    if not _is_before_last_order(behaviour, at_ms):
        _change_cart(behaviour, carts.update, event, at_ms)


def _remove(_: FoldContext, behaviour: Behaviour, event: ProductRemoved, at_ms: int) -> None:
    _change_cart(behaviour, carts.remove, event, at_ms)


def _check_out(_: FoldContext, behaviour: Behaviour, event: CheckoutStarted, at_ms: int) -> None:  # noqa: ARG001 - as every act
    if behaviour.cart is not None:
        carts.rename(behaviour.cart, event.cart)


def _leave(context: FoldContext, behaviour: Behaviour, event: ExitSignalled, at_ms: int) -> None:
    predict(context, behaviour, AFTER_EXIT, event, at_ms)


def _is_before_last_order(behaviour: Behaviour, at_ms: int) -> bool:
    return behaviour.last_order_ms is not None and at_ms < behaviour.last_order_ms


def _change_cart(
    behaviour: Behaviour, change: Callable[[Cart, EventT, int], bool], event: EventT, at_ms: int
) -> None:
    behaviour.cart = behaviour.cart or Cart()
    change(behaviour.cart, event, at_ms)


def _order(context: FoldContext, behaviour: Behaviour, event: OrderCompleted, at_ms: int) -> None:
    last_ms = behaviour.last_order_ms
    behaviour.last_order_ms = at_ms if last_ms is None else max(last_ms, at_ms)
    behaviour.orders = remember(behaviour.orders, digest(event.order), KNOWN_ORDERS)
    _change_cart(behaviour, carts.complete, event, at_ms)
    label_by_order(context, behaviour, at_ms)


def _predict_after_first_add(
    context: FoldContext, behaviour: Behaviour, event: ProductAdded, at_ms: int
) -> None:
    session = behaviour.session
    if session is None or at_ms < session.started_ms:
        return
    if behaviour.scored_session_ms != session.started_ms:
        behaviour.scored_session_ms = session.started_ms
        predict(context, behaviour, AFTER_ADD, event, at_ms)


Act = Callable[[FoldContext, Behaviour, Any, int], None]

# What an event of each type changes, besides what all events do. A test holds it complete.
ACTS: Final[dict[type[BehaviourEvent], Act | None]] = {
    ProductAdded: _add,
    CartUpdated: _update,
    ProductRemoved: _remove,
    OrderCompleted: _order,
    ExitSignalled: _leave,
    CheckoutStarted: _check_out,
    PageViewed: None,
    ProductViewed: None,
    ProductListViewed: None,
    ProductsSearched: None,
    PageLeft: None,
    CheckoutStepCompleted: None,
    PaymentFailed: None,
    OrderRefunded: None,
}

Fold = Callable[[FoldContext, Any, int], FoldOutcome]

# How each type of event in the lanes is folded; a type without a row fails a test.
FOLDS: Final[dict[type[Event], Fold]] = {
    ConsentUpdated: _choose,
    ErasureRequested: _erase,
    **dict.fromkeys(FEEDBACK_TYPES, _note_feedback),
    **dict.fromkeys(ACTS, _behave),
}
