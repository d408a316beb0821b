"""Reads visitors' states of format 1, where all kinds of trigger shared one list of fields.

Only what has changed since is frozen here; types that only gain fields at their end read the old
bytes as they are.
"""

from typing import Any, Final

from msgspec import Struct
from msgspec.msgpack import Decoder

from stream.domain.cart import Cart
from stream.domain.consent import Consent
from stream.domain.features import Profile
from stream.domain.kinds.cart_abandonment import (
    CART_ABANDONMENT,
    CartAbandonmentMemory,
    FiredContents,
    FollowUps,
)
from stream.domain.kinds.exit_intent import EXIT_INTENT, ExitIntentMemory
from stream.domain.records import Score
from stream.domain.session import Session
from stream.domain.visitor import Behaviour, Prediction, SentTrigger, Visitor


class Behaviour1(Struct, array_like=True):
    """The fields of a `Behaviour` in their order of format 1."""

    seen_ms: int
    session: Session | None = None
    cart: Cart | None = None
    settled_ms: int | None = None
    sequence: FollowUps | None = None
    fired: list[FiredContents] = []
    last_order_ms: int | None = None
    orders: bytes = b""
    recent: bytes = b""
    exit_fired_ms: int | None = None
    exit_session_ms: int | None = None
    scored_session_ms: int | None = None
    score: Score | None = None
    predictions: list[Prediction] = []
    sent: list[SentTrigger] = []
    profile: Profile | None = None


class Visitor1(Struct, array_like=True):
    """The fields of a `Visitor` in their order of format 1."""

    consent: Consent = {}
    consent_ids: bytes = b""
    erased_ms: int | None = None
    behaviour: Behaviour1 | None = None


_STATES: Final = Decoder(Visitor1)


def decode_format_1(data: bytes | memoryview) -> Visitor:
    """Return the state in format 1, without its leading byte, as today's type.

    Raises
    ------
    msgspec.DecodeError
        The data are cut or damaged.
    """
    old = _STATES.decode(data)
    behaviour = None if old.behaviour is None else _behaviour(old.behaviour)
    return Visitor(old.consent, old.consent_ids, old.erased_ms, behaviour)


def _behaviour(old: Behaviour1) -> Behaviour:
    return Behaviour(
        seen_ms=old.seen_ms,
        session=old.session,
        cart=old.cart,
        last_order_ms=old.last_order_ms,
        orders=old.orders,
        recent=old.recent,
        scored_session_ms=old.scored_session_ms,
        score=old.score,
        predictions=old.predictions,
        sent=old.sent,
        profile=old.profile or Profile(),
        memory=_memory(old),
    )


def _memory(old: Behaviour1) -> dict[str, Any]:
    """Return what the kinds remember; a kind that remembers nothing has no entry."""
    memory: dict[str, Any] = {}
    reminders = CartAbandonmentMemory(old.settled_ms, old.sequence, old.fired)
    if (old.cart is not None and old.cart.lines) or reminders != CartAbandonmentMemory():
        memory[CART_ABANDONMENT.name] = reminders
    if old.exit_fired_ms is not None:
        memory[EXIT_INTENT.name] = ExitIntentMemory(old.exit_fired_ms, old.exit_session_ms)
    return memory
