"""Progressive figures against their definitions."""

import itertools
import math
import random

import pytest

from stream.learning.progress import TrainingProgress


def progress_of(judged):
    progress = TrainingProgress()
    for probability, label in judged:
        progress.add(probability, label=label)
    return progress


def exact_roc_auc(judged):
    positives = [p for p, label in judged if label]
    negatives = [p for p, label in judged if not label]
    pairs = itertools.product(positives, negatives)
    return sum((p > n) + (p == n) / 2 for p, n in pairs) / (len(positives) * len(negatives))


@pytest.mark.parametrize("base_rate", [0.5, 0.2, 0.003])
def test_the_auc_is_as_good_as_exact_for_common_and_for_rare_labels(base_rate):
    chance, judged = random.Random(3), []
    for _ in range(3_000):
        log_odds = math.log(base_rate / (1 - base_rate)) + chance.gauss(0, 0.7)
        probability = 1 / (1 + math.exp(-log_odds))
        judged.append((probability, chance.random() < probability))
    assert progress_of(judged).roc_auc == pytest.approx(exact_roc_auc(judged), abs=0.002)


def test_log_loss_and_brier_are_means_over_all_examples():
    progress = progress_of([(0.8, True), (0.4, False)])
    assert progress.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)
    assert progress.brier == pytest.approx((0.04 + 0.16) / 2)


def test_nothing_is_told_before_it_can_be():
    empty, one_sided = TrainingProgress(), progress_of([(0.3, False)])
    assert (empty.roc_auc, empty.log_loss, empty.brier) == (None, None, None)
    assert one_sided.roc_auc is None
    assert one_sided.log_loss == pytest.approx(-math.log(0.7))


def test_a_mistake_that_was_sure_costs_much_but_not_infinitely():
    assert progress_of([(0.0, True), (1.0, False)]).log_loss == pytest.approx(20.72, abs=0.01)


def test_sure_and_right_is_a_perfect_order():
    assert progress_of([(1.0, True), (0.0, False)]).roc_auc == 1.0
