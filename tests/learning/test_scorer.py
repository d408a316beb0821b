"""The scorer: the prior first, then what a snapshot or a trainer has learnt."""

import pytest

from stream.domain.predictions import AFTER_ADD, AFTER_EXIT, MODELS
from stream.domain.records import Score
from stream.learning.recipes import PRIORS
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import decode, encode
from stream.learning.trainer import Trainer
from tests.learning.samples import example, examples
from tests.learning.test_trainer import trained

KEEN = {"now.pages": 2.0, "country=DE": 1.0}


@pytest.mark.parametrize("name", MODELS)
def test_before_any_snapshot_the_prior_is_served(name):
    assert ModelScorer()(name, KEEN) == Score(name, 0, PRIORS[name])


def test_an_unknown_model_has_no_score():
    assert ModelScorer()("from_the_future", KEEN) is None


def test_an_adopted_snapshot_scores_as_its_trainer_did():
    trainer, scorer = trained(examples(200)), ModelScorer()
    scorer.adopt(decode(encode(trainer.snapshot())))
    expected = trainer.model(AFTER_ADD).probability(KEEN)
    assert scorer(AFTER_ADD, KEEN) == Score(AFTER_ADD, 200, expected)
    assert scorer.versions == {AFTER_ADD: 200, AFTER_EXIT: 0}


def test_a_scorer_can_begin_with_a_snapshot():
    snapshot = trained(examples(200)).snapshot()
    scorer = ModelScorer()
    scorer.adopt(snapshot)
    assert ModelScorer(snapshot)(AFTER_ADD, KEEN) == scorer(AFTER_ADD, KEEN)


def test_a_newer_snapshot_takes_the_place_of_the_last():
    scorer = ModelScorer(trained(examples(100)).snapshot())
    scorer.adopt(trained(examples(150)).snapshot())
    assert scorer.versions[AFTER_ADD] == 150


def test_a_model_that_the_snapshot_lacks_answers_its_prior():
    snapshot = trained(examples(20)).snapshot()
    del snapshot.models[AFTER_EXIT]
    assert ModelScorer(snapshot)(AFTER_EXIT, KEEN) == Score(AFTER_EXIT, 0, PRIORS[AFTER_EXIT])


def test_what_the_trainer_learns_later_does_not_reach_an_adopted_snapshot():
    trainer = trained(examples(50))
    scorer = ModelScorer(trainer.snapshot())
    before = scorer(AFTER_ADD, KEEN)
    trainer.learn(example(KEEN, label=True), 50)
    assert scorer(AFTER_ADD, KEEN) == before


def test_a_following_scorer_knows_at_once_what_the_trainer_has_learnt():
    trainer = Trainer()
    scorer = ModelScorer.following(trainer)
    assert scorer(AFTER_ADD, KEEN) == Score(AFTER_ADD, 0, PRIORS[AFTER_ADD])
    trainer.learn(example(KEEN, label=True), 0)
    score = scorer(AFTER_ADD, KEEN)
    assert score.version == 1
    assert score.value > PRIORS[AFTER_ADD]


def test_scores_are_probabilities_whatever_the_features():
    scorer = ModelScorer(trained(examples(300)).snapshot())
    for value in (-1e9, 0.0, 1e9):
        assert 0 <= scorer(AFTER_ADD, {"now.pages": value}).value <= 1


def test_scoring_changes_nothing():
    scorer, features = ModelScorer(trained(examples(50)).snapshot()), dict(KEEN)
    first = scorer(AFTER_ADD, features)
    assert scorer(AFTER_ADD, features) == first
    assert features == KEEN
