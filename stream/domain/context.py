"""What a fold works on: one visitor's state, the current moment, and the effects so far."""

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from stream.domain.policy import Policy
from stream.domain.records import Effect, Score
from stream.domain.visitor import Visitor, VisitorKey

if TYPE_CHECKING:  # a kind's functions take a context
    from stream.domain.kinds.kind import Kinds


class ScoreFeatures(Protocol):
    """Scores features with the current snapshot of a model; without effect of any kind."""

    def __call__(self, model: str, features: dict[str, float]) -> Score | None:
        """Return P(label), in [0, 1], or None if the model is unknown."""


class FoldOutcome(StrEnum):
    """What a fold did with an event."""

    APPLIED = "applied"
    WITHOUT_CART = "without_cart"  # applied: an exit signal where there is nothing to answer with
    STALE = "stale"  # read, and ignored: an older choice, feedback about no trigger of this state
    DUPLICATE = "duplicate"
    REFUSED = "refused_consent"
    BOT = "bot"


class FoldContext(Struct):
    """The state is changed in place; effects are appended in order.

    ``now_ms`` is the moment of judgement: the wall clock for an event read live, the shard's
    clock for a wake-up, and the event's or the deadline's own time if records are the clock.
    ``received_ms`` is the timestamp of the event's record.
    """

    key: VisitorKey
    state: Visitor
    policy: Policy
    score: ScoreFeatures
    now_ms: int
    effects: list[Effect]
    kinds: "Kinds"
    received_ms: int = 0
