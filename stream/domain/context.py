"""What a fold works on: one visitor's state, the current moment, and the effects so far."""

from typing import Protocol

from msgspec import Struct

from stream.domain.policy import Policy
from stream.domain.records import Effect, Score
from stream.domain.visitor import Visitor, VisitorKey


class Scorer(Protocol):
    """Score features with the current snapshot of a model; without effect of any kind."""

    def __call__(self, model: str, features: dict[str, float]) -> Score | None:
        """Return P(label), in [0, 1], or None where the model is unknown."""


class FoldContext(Struct):
    """The state is changed in place; ``effects`` are in the order in which they came about.

    ``now_ms`` is the moment of judgement: the wall clock for an event read live, the shard's
    clock for a wake-up, and the event's or the deadline's own time where records are the clock.
    """

    key: VisitorKey
    state: Visitor
    policy: Policy
    score: Scorer
    now_ms: int
    effects: list[Effect]
