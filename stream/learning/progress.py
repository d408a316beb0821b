"""Progressive figures of a model: each example is scored before it is learnt.

They are plain numbers of bounded size, stored with the model.
"""

from math import log
from typing import Annotated, Final

from msgspec import Meta, Struct, field

# Scores are counted by their log-odds, in steps of 0.02 up to +-10. Steps of the probability
# itself would put all scores of a rare label into one bin.
BINS: Final = 1_000
BINS_PER_LOG_ODDS: Final = 50
# A probability of 0 or 1 is moved slightly: one wrong prediction must not cost infinitely much.
SURE: Final = 1e-9

Count = Annotated[int, Meta(ge=0, le=2**53)]
Bins = Annotated[list[Count], Meta(min_length=BINS, max_length=BINS)]


def _no_scores() -> list[int]:
    return [0] * BINS


class TrainingProgress(Struct):
    """Sums over all examples so far, and for each label the number of scores per bin."""

    examples: Count = 0
    log_loss_sum: Annotated[float, Meta(ge=0, le=1e18)] = 0.0
    brier_sum: Annotated[float, Meta(ge=0, le=1e18)] = 0.0
    positives: Bins = field(default_factory=_no_scores)
    negatives: Bins = field(default_factory=_no_scores)

    def add(self, probability: float, *, label: bool) -> None:
        """Count the predicted probability of an example whose label is now known."""
        sure = min(max(probability, SURE), 1 - SURE)
        self.examples += 1
        self.log_loss_sum -= log(sure if label else 1 - sure)
        self.brier_sum += (label - sure) ** 2
        scores = self.positives if label else self.negatives
        at = BINS // 2 + int(log(sure / (1 - sure)) * BINS_PER_LOG_ODDS // 1)
        scores[min(max(at, 0), BINS - 1)] += 1

    @property
    def log_loss(self) -> float | None:
        """Mean log loss in nats; None before the first example."""
        return self.log_loss_sum / self.examples if self.examples else None

    @property
    def brier(self) -> float | None:
        """Mean squared error of the probability; None before the first example."""
        return self.brier_sum / self.examples if self.examples else None

    @property
    def roc_auc(self) -> float | None:
        """P(a positive was scored above a negative), in [0, 1]; None without one of each.

        Examples
        --------
        >>> progress = TrainingProgress()
        >>> progress.add(0.7, label=True)
        >>> progress.add(0.2, label=False)
        >>> progress.add(0.7, label=False)
        >>> progress.roc_auc
        0.75
        """
        pairs = sum(self.positives) * sum(self.negatives)
        if not pairs:
            return None
        ordered, lower = 0.0, 0
        for positives, negatives in zip(self.positives, self.negatives, strict=True):
            ordered += positives * (lower + negatives / 2)
            lower += negatives
        return ordered / pairs
