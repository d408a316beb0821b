"""How a model is made: one logistic regression per prediction, taught one example at a time.

If a change gives another answer to the same examples, change ``snapshot.RECIPE``, too: no model may
continue from the state of another recipe.

AdaGrad [1]_ gives each feature a separate rate that decays each time the feature occurs: the first
shopper of a country still moves its weight a lot, however many shoppers came before. An adaptive
random forest cost 50 times as much and did worse, alone and mixed in (``docs/learning.md``).

References
----------
.. [1] Duchi, Hazan, Singer: Adaptive Subgradient Methods for Online Learning and Stochastic
   Optimization. Journal of Machine Learning Research 12, 2011.
"""

from collections import defaultdict
from math import log
from typing import Final

from river import linear_model, optim, utils

from stream.domain.predictions import AFTER_ADD, AFTER_EXIT

RATE: Final = 0.15
INTERCEPT_RATE: Final = 0.01
# P(order within the horizon) before any example: every fifth shopper with a cart buys, and almost
# none of those about to leave.
PRIORS: Final = {AFTER_ADD: 0.2, AFTER_EXIT: 0.01}
DIGITS: Final = 6


class Propensity(linear_model.LogisticRegression):
    """River's logistic regression; its state can be read and restored as plain data."""

    def __init__(self, prior: float) -> None:
        super().__init__(
            optimizer=optim.AdaGrad(RATE),
            intercept_init=log(prior / (1 - prior)),
            intercept_lr=INTERCEPT_RATE,
        )
        self.prior = prior

    def probability(self, features: dict[str, float]) -> float:
        """Return P(label), in [0, 1]; before any example it is the prior, whatever the features.

        Examples
        --------
        >>> make_model("purchase_after_add").probability({"now.pages": 1.0})
        0.2
        """
        answer = self.predict_proba_one(features)  # type: ignore[no-untyped-call]  # River's
        return round(float(answer[True]), DIGITS)

    @property
    def squares(self) -> dict[str, float]:
        """The sum of squared gradients of each feature; it lowers the feature's rate."""
        return dict(self.optimizer.g2)

    def take_up(
        self, intercept: float, weights: dict[str, float], squares: dict[str, float]
    ) -> None:
        """Continue from what another model has learnt.

        River's count of steps is left out: it only matters to rates that depend on it.
        """
        self.intercept = intercept
        self._weights = utils.VectorDict(dict(weights))
        self.optimizer.g2 = defaultdict(float, squares)


def make_model(name: str) -> Propensity:
    """Return a model for the prediction ``name`` that has learnt nothing."""
    return Propensity(PRIORS[name])
