"""Cart abandonment: the visitor left something in the cart and has been inactive for a while.

Step 0 is due at last activity + idle time; follow-ups count from the first reminder's due time.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.cart import Cart, CartLine, value_of
from stream.domain.events import (
    MAX_SAFE_INTEGER,
    CartUpdated,
    OrderCompleted,
    Product,
    ProductAdded,
    ProductRemoved,
)
from stream.domain.kinds.kind import NO_CANDIDATES, Candidate, Heard, Kind, Refusals, Sample
from stream.domain.kinds.subject import CartSubject
from stream.domain.policy import DAY_S, SECOND_MS, WEEK_S, YEAR_S
from stream.domain.records import Trigger
from stream.domain.visitor import Behaviour

NAME: Final = "cart_abandonment"
LIFE_MS: Final = DAY_S * SECOND_MS
MAX_FIRED: Final = 128

Step = Annotated[int, Meta(ge=0, le=YEAR_S)]


class CartAbandonmentParameters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a cart left behind is worth a reminder."""

    idle_s: Annotated[
        int,
        Meta(ge=1, le=WEEK_S, description="inactivity until the reminder is due, seconds"),
    ] = 1_800
    steps_s: Annotated[
        tuple[Step, ...],
        Meta(
            min_length=1,
            description="moments of reminder and follow-ups after the reminder's due time, "
            "seconds: starts with 0 and rises",
        ),
    ] = (0, DAY_S, 3 * DAY_S)
    min_value_minor: Annotated[
        int, Meta(ge=0, le=MAX_SAFE_INTEGER, description="least value of the cart, minor units")
    ] = 0
    max_age_s: Annotated[
        int,
        Meta(
            ge=1,
            le=YEAR_S,
            description="greatest age of the cart's last change at the due time, seconds",
        ),
    ] = 3 * DAY_S

    def __post_init__(self) -> None:
        """Refuse steps that do not start with 0 or do not rise."""
        if self.steps_s[:1] != (0,) or any(a >= b for a, b in pairwise(self.steps_s)):
            raise ValueError("steps_s must start with 0 and rise")


class FiredContents(Struct, array_like=True, gc=False):
    """Cart contents that a reminder was fired for, and when it was due."""

    fingerprint: str
    due_ms: int


class FollowUps(Struct, array_like=True, gc=False):
    """The follow-ups to the newest fired reminder: when that was due, and the next step."""

    first_due_ms: int
    step: int


class CartAbandonmentMemory(Struct, array_like=True):
    """``settled_ms`` is the last activity whose reminder has been decided or dropped."""

    settled_ms: int | None = None
    follow_ups: FollowUps | None = None
    fired: list[FiredContents] = []


class ReminderSituation(Struct):
    """What a reminder is decided on."""

    cart: Cart
    memory: CartAbandonmentMemory
    parameters: CartAbandonmentParameters
    due_ms: int


# Only for the reminder itself: a follow-up has none of its own.
REFUSALS: Refusals[ReminderSituation] = (
    (Reason.CART_EMPTY, lambda s: not s.cart.lines),
    (Reason.CART_TOO_SMALL, lambda s: value_of(s.cart.lines)[0] < s.parameters.min_value_minor),
    (
        Reason.CART_TOO_OLD,
        lambda s: s.due_ms - (s.cart.changed_ms or 0) > s.parameters.max_age_s * SECOND_MS,
    ),
    (
        Reason.ALREADY_FIRED,
        lambda s: any(one.fingerprint == s.cart.fingerprint for one in s.memory.fired),
    ),
)


def reminder_due_ms(
    behaviour: Behaviour, memory: CartAbandonmentMemory, parameters: CartAbandonmentParameters
) -> int | None:
    """Return when the reminder is due; None without a cart or without new activity."""
    session, cart = behaviour.session, behaviour.cart
    if session is None or cart is None or not cart.lines:
        return None
    if memory.settled_ms is not None and session.last_activity_ms <= memory.settled_ms:
        return None
    return session.last_activity_ms + parameters.idle_s * SECOND_MS


def follow_up_due_ms(
    behaviour: Behaviour, memory: CartAbandonmentMemory, parameters: CartAbandonmentParameters
) -> int | None:
    """Return when the next follow-up is due; None if there is none."""
    session, follow_ups = behaviour.session, memory.follow_ups
    if session is None or follow_ups is None or follow_ups.step >= len(parameters.steps_s):
        return None
    return max(
        follow_ups.first_due_ms + parameters.steps_s[follow_ups.step] * SECOND_MS,
        session.last_activity_ms + parameters.idle_s * SECOND_MS,
    )


def _due_ms(
    behaviour: Behaviour, memory: CartAbandonmentMemory, parameters: CartAbandonmentParameters
) -> int | None:
    reminder_ms = reminder_due_ms(behaviour, memory, parameters)
    if memory.follow_ups is None:
        return reminder_ms
    follow_up_ms = follow_up_due_ms(behaviour, memory, parameters)
    if reminder_ms is None or follow_up_ms is None:
        return follow_up_ms if reminder_ms is None else reminder_ms
    return min(reminder_ms, follow_up_ms)


def _offer(
    behaviour: Behaviour,
    memory: CartAbandonmentMemory,
    parameters: CartAbandonmentParameters,
    due_ms: int,
) -> Sequence[Candidate]:
    cart, candidates = behaviour.cart or Cart(), []
    if reminder_due_ms(behaviour, memory, parameters) == due_ms:
        situation = ReminderSituation(cart, memory, parameters, due_ms)
        candidates.append(_candidate(cart, due_ms, 0, REFUSALS, situation))
    if memory.follow_ups and follow_up_due_ms(behaviour, memory, parameters) == due_ms:
        candidates.append(_candidate(cart, due_ms, memory.follow_ups.step))
    return candidates


def _candidate(
    cart: Cart,
    due_ms: int,
    step: int,
    refusals: Refusals[ReminderSituation] = (),
    situation: ReminderSituation | None = None,
) -> Candidate:
    return Candidate(
        kind=CART_ABANDONMENT,
        identity=(step, due_ms),
        step=step,
        why="cart_idle" if step == 0 else "cart_still_idle",
        due_ms=due_ms,
        expires_ms=due_ms + LIFE_MS,
        evidence=list(cart.evidence),
        subject=CartSubject(cart),
        refusals=refusals,
        situation=situation,
    )


def _note(behaviour: Behaviour, candidate: Candidate, reason: Reason) -> None:
    memory = CART_ABANDONMENT.remember(behaviour)
    if candidate.step == 0:
        idle_ms = candidate.situation.parameters.idle_s * SECOND_MS
        memory.settled_ms = candidate.due_ms - idle_ms
        if reason is Reason.FIRED:
            fired = FiredContents(candidate.subject.fingerprint, candidate.due_ms)
            memory.fired = [*memory.fired, fired][-MAX_FIRED:]
            memory.follow_ups = FollowUps(candidate.due_ms, 1)
    elif memory.follow_ups is not None:
        memory.follow_ups.step += 1


def _hear_cart(heard: Heard) -> Sequence[Candidate]:
    cart = heard.behaviour.cart or Cart()
    memory = CART_ABANDONMENT.memory_in(heard.behaviour)
    if memory is None:
        if cart.lines:  # from now on a reminder may be due
            CART_ABANDONMENT.remember(heard.behaviour)
    elif memory.follow_ups is not None and not _is_newest(memory, cart):
        memory.follow_ups = None
    if heard.is_history and cart.evidence == [heard.event.id]:
        # The cart was empty: earlier activity must not make a reminder of it due.
        _settle(heard.behaviour)
    return NO_CANDIDATES


def _is_newest(memory: CartAbandonmentMemory, cart: Cart) -> bool:
    """Return whether the newest reminder was fired for the contents that the cart has now."""
    return bool(memory.fired) and memory.fired[-1].fingerprint == cart.fingerprint


def _hear_order(heard: Heard) -> Sequence[Candidate]:
    memory = CART_ABANDONMENT.memory_in(heard.behaviour)
    if memory is not None:
        # A late order does not free contents that were mentioned after it was placed.
        memory.fired = [one for one in memory.fired if one.due_ms >= heard.at_ms]
        memory.follow_ups = None
    return NO_CANDIDATES


def _settle(behaviour: Behaviour) -> None:
    """Only new activity makes a reminder due again."""
    if behaviour.session is not None:
        CART_ABANDONMENT.remember(behaviour).settled_ms = behaviour.session.last_activity_ms


def _drop(behaviour: Behaviour) -> None:
    _settle(behaviour)
    memory = CART_ABANDONMENT.memory_in(behaviour)
    if memory is not None:
        memory.follow_ups = None


def _recheck(trigger: Trigger, behaviour: Behaviour) -> Reason | None:
    fingerprint = trigger.cart.fingerprint if trigger.cart is not None else ""
    memory = CART_ABANDONMENT.memory_in(behaviour) or CartAbandonmentMemory()
    # An order frees what was mentioned before it, to be mentioned again.
    if all(one.fingerprint != fingerprint for one in memory.fired):
        return Reason.BOUGHT
    if (behaviour.cart or Cart()).fingerprint != fingerprint:
        return Reason.CART_CHANGED
    return None


_TEA: Final = Product("sencha", name="Sencha, first flush", price_minor=1890, currency="EUR")
_POT: Final = Product("pot", name="Tea pot, cast iron", price_minor=6400, currency="EUR")
_CART: Final = CartSubject(Cart([CartLine(_TEA, 2, 0), CartLine(_POT, 1, 0)], None, "0" * 32))
_BARE_CART: Final = CartSubject(Cart([CartLine(Product("sencha"), 1, 0)], None, "0" * 32))

CART_ABANDONMENT: Final[Kind[CartAbandonmentParameters, CartAbandonmentMemory]] = Kind(
    name=NAME,
    class_="marketing",
    needs=("personalization", "marketing_email"),
    description="a cart was left behind",
    parameters=CartAbandonmentParameters,
    memory=CartAbandonmentMemory,
    hears={
        ProductAdded: _hear_cart,
        ProductRemoved: _hear_cart,
        CartUpdated: _hear_cart,
        OrderCompleted: _hear_order,
    },
    due_ms=_due_ms,
    offer=_offer,
    note=_note,
    drop=_drop,
    recheck=_recheck,
    samples=(Sample(0, _CART), Sample(1, _CART), Sample(2, _CART), Sample(0, _BARE_CART)),
)
