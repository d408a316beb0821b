"""Teaches the models, one labelled prediction after the other.

An example is scored before it is learnt, and learnt once. So the same topic gives the same models
and figures, however often reading it was interrupted.
"""

from typing import Final

from msgspec import Struct

from stream.domain.predictions import MODELS
from stream.domain.records import Example
from stream.learning.progress import TrainingProgress
from stream.learning.recipes import Propensity, make_model
from stream.learning.snapshot import ModelState, Snapshot

# Ours stay below 10. One absurd number would spoil a model for good.
LARGEST_FEATURE: Final = 100.0


class ModelReport(Struct, frozen=True):
    """How a model has done, progressively; a figure is None until it can be told."""

    examples: int
    version: int
    roc_auc: float | None
    log_loss: float | None
    brier: float | None


class Learner:
    """A model and how well it has done; its version is the number of examples it has learnt."""

    def __init__(self, name: str, state: ModelState | None = None) -> None:
        self.model: Propensity = make_model(name)
        self.progress = TrainingProgress()
        if state is not None:
            self.model.take_up(state.intercept, state.weights, state.squares)
            self.progress = _copied(state.progress)

    @property
    def version(self) -> int:
        """How many examples the model has learnt."""
        return self.progress.examples

    def learn(self, features: dict[str, float], *, label: bool) -> None:
        """Score, then learn."""
        self.progress.add(self.model.probability(features), label=label)
        self.model.learn_one(features, label)

    def state(self) -> ModelState:
        """Return what has been learnt so far; learning on does not change it."""
        return ModelState(
            intercept=self.model.intercept,
            weights=self.model.weights,
            squares=self.model.squares,
            progress=_copied(self.progress),
        )


def make_learners(snapshot: Snapshot | None) -> dict[str, Learner]:
    """Return a learner per model, as the snapshot left it; without one, untaught."""
    states = snapshot.models if snapshot is not None else {}
    return {name: Learner(name, states.get(name)) for name in MODELS}


class Trainer:
    """Goes through the topic of examples; ``offset`` is the next one to learn from."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.offset = snapshot.offset if snapshot is not None else 0
        self.learners = make_learners(snapshot)

    def learn(self, example: Example, offset: int) -> None:
        """Learn the example at ``offset``; what has been read before changes nothing.

        An example of a model that is not known, or with absurd features, is passed over.
        """
        if offset < self.offset:
            return
        self.offset = offset + 1
        learner = self.learners.get(example.model)
        if learner is not None and _is_sound(example.features):
            learner.learn(example.features, label=example.label)

    def model(self, name: str) -> Propensity | None:
        """Return a model as it is now; None where it is not known."""
        learner = self.learners.get(name)
        return learner.model if learner is not None else None

    def snapshot(self) -> Snapshot:
        """Return models and offset together; learning on does not change it."""
        models = {name: learner.state() for name, learner in self.learners.items()}
        return Snapshot(offset=self.offset, models=models)

    def report(self) -> dict[str, ModelReport]:
        """Return how each model has done."""
        return {name: _report(learner) for name, learner in self.learners.items()}


def _report(learner: Learner) -> ModelReport:
    progress = learner.progress
    return ModelReport(
        examples=progress.examples,
        version=learner.version,
        roc_auc=progress.roc_auc,
        log_loss=progress.log_loss,
        brier=progress.brier,
    )


def _copied(progress: TrainingProgress) -> TrainingProgress:
    return TrainingProgress(
        progress.examples,
        progress.log_loss_sum,
        progress.brier_sum,
        list(progress.positives),
        list(progress.negatives),
    )


def _is_sound(features: dict[str, float]) -> bool:
    # Comparing is false for what is not a number.
    return all(-LARGEST_FEATURE <= value <= LARGEST_FEATURE for value in features.values())
