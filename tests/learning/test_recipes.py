"""The recipe: what it answers untaught, that it learns, and that it stays what it is."""

from copy import deepcopy

import pytest

from stream.domain.predictions import MODELS
from stream.learning.recipes import PRIORS, Propensity, make_model
from tests.learning.samples import examples


def taught(count, seed=7):
    model = Propensity(0.2)
    for one in examples(count, seed):
        model.learn_one(one.features, one.label)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_an_untaught_model_answers_its_prior(name):
    assert make_model(name).probability({"now.pages": 3.0, "new": 1.0}) == PRIORS[name]


def test_every_prediction_has_a_prior():
    assert set(PRIORS) == set(MODELS)


def test_what_speaks_for_a_purchase_raises_the_score():
    model = taught(500)
    keen = model.probability({"now.pages": 2.0, "country=DE": 1.0})
    lost = model.probability({"now.pages": 0.1, "country=FR": 1.0})
    assert keen > 0.6
    assert lost < 0.15


def test_learning_and_scoring_leave_their_input_alone():
    (one,) = examples(1)
    before, model = deepcopy(one.features), Propensity(0.2)
    model.probability(one.features)
    model.learn_one(one.features, one.label)
    assert one.features == before


def test_scoring_changes_nothing():
    model = taught(50)
    before = (model.intercept, model.weights, model.squares)
    model.probability({"never seen": 1.0})
    assert (model.intercept, model.weights, model.squares) == before


def test_taking_up_a_state_does_not_share_it():
    model, twin = taught(50), Propensity(0.2)
    weights, squares = model.weights, model.squares
    twin.take_up(model.intercept, weights, squares)
    kept = (dict(weights), dict(squares))
    twin.learn_one({"now.pages": 1.0}, y=True)
    assert (weights, squares) == kept


def test_the_recipe_gives_the_numbers_that_its_name_stands_for():
    """Fails after an upgrade of River? Then ``RECIPE`` needs a new name, and these new numbers."""
    model = taught(40)
    assert model.probability({"now.pages": 1.0, "country=US": 1.0}) == pytest.approx(
        0.406822, abs=1e-6
    )
    assert model.intercept == pytest.approx(-1.313988258, abs=1e-9)
