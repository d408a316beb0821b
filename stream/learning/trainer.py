"""Teaches the models, one labelled prediction after the other.

It scores an example before it learns it, and learns it once. So the same topic gives the same
models and figures, however often reading was interrupted.
"""

from typing import Final

from msgspec import Struct

from stream.domain.predictions import MODELS
from stream.domain.records import Example
from stream.learning.progress import TrainingProgress
from stream.learning.recipes import Propensity, make_model
from stream.learning.snapshot import ModelState, Snapshot

# Our features stay below 10. One absurd number would ruin a model for good.
LARGEST_FEATURE: Final = 100.0


class ModelReport(Struct, frozen=True):
    """Progressive figures of a model; a figure is None until it can be computed."""

    examples: int
    version: int
    roc_auc: float | None
    log_loss: float | None
    brier: float | None


class Learner:
    """A model and its progressive figures; its version is the number of examples learnt."""

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
        """Return what the model has learnt so far; later learning does not change the result."""
        return ModelState(
            intercept=self.model.intercept,
            weights=self.model.weights,
            squares=self.model.squares,
            progress=_copied(self.progress),
        )


def make_learners(snapshot: Snapshot | None) -> dict[str, Learner]:
    """Return a learner per model, restored from the snapshot if there is one."""
    states = snapshot.models if snapshot is not None else {}
    return {name: Learner(name, states.get(name)) for name in MODELS}


class Trainer:
    """Learns from the topic of examples; ``offset`` is that of the next example."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.offset = snapshot.offset if snapshot is not None else 0
        self.learners = make_learners(snapshot)

    def learn(self, example: Example, offset: int) -> None:
        """Learn the example at ``offset``; an example that was read before changes nothing.

        An example of an unknown model, or with absurd features, is skipped.
        """
        if offset < self.offset:
            return
        self.offset = offset + 1
        learner = self.learners.get(example.model)
        if learner is not None and _is_sound(example.features):
            learner.learn(example.features, label=example.label)

    def model(self, name: str) -> Propensity | None:
        """Return the current model; None if the name is unknown."""
        learner = self.learners.get(name)
        return learner.model if learner is not None else None

    def snapshot(self) -> Snapshot:
        """Return models and offset together; later learning does not change the result."""
        models = {name: learner.state() for name, learner in self.learners.items()}
        return Snapshot(offset=self.offset, models=models)

    def report(self) -> dict[str, ModelReport]:
        """Return the figures of each model."""
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
    # Comparisons with NaN are false.
    return all(-LARGEST_FEATURE <= value <= LARGEST_FEATURE for value in features.values())
