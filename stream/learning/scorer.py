"""Scores features with the models of a snapshot, or with a trainer's current ones.

Scoring changes nothing.
"""

from typing import Self

from stream.domain.records import Score
from stream.learning.snapshot import Snapshot
from stream.learning.trainer import Trainer, make_learners


class ModelScorer:
    """Implements ``ScoreFeatures``: returns the prior at first, then what was learnt."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self._learners = make_learners(snapshot)

    @classmethod
    def following(cls, trainer: Trainer) -> Self:
        """Return a scorer that sees what ``trainer`` learns as soon as it has learnt it."""
        scorer = cls()
        scorer._learners = trainer.learners
        return scorer

    def adopt(self, snapshot: Snapshot) -> None:
        """Score with another snapshot from now on."""
        self._learners = make_learners(snapshot)

    def __call__(self, model: str, features: dict[str, float]) -> Score | None:
        """Return P(label), in [0, 1], and the model's version; None for an unknown model."""
        learner = self._learners.get(model)
        if learner is None:
            return None
        return Score(model, learner.version, learner.model.probability(features))

    @property
    def versions(self) -> dict[str, int]:
        """The number of examples that each model has learnt."""
        return {name: learner.version for name, learner in self._learners.items()}
