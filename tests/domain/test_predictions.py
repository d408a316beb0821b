import pytest
from msgspec.structs import replace

from stream.domain.predictions import AFTER_ADD, AFTER_EXIT, MAX_PENDING, MODELS
from stream.domain.records import Score
from tests.domain.build import HOUR, IDLE, MINUTE, POLICY, Shopper, a_shopper, line

HORIZON = HOUR


class Scores:
    """Writes down what it was asked, and answers 0.1, 0.2 …; implements ``Scorer``."""

    def __init__(self):
        self.asked = []

    def __call__(self, model, features):
        self.asked.append((model, features))
        return Score(model, 3, len(self.asked) / 10)

    @property
    def models(self):
        return [model for model, _ in self.asked]


def labels(shopper):
    return [(example.model, example.at_ms, example.label) for example in shopper.examples]


def test_the_models_are_named():
    assert MODELS == ("purchase_after_add", "purchase_after_exit")


def test_the_first_addition_of_a_session_is_predicted_on():
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.views(at=0)
    ann.adds("p1", at=1)
    ann.adds("p2", at=2)
    ann.updates(line("p3"), at=3)
    assert scores.models == [AFTER_ADD]
    ann.adds("p1", at=HOUR)
    assert scores.models == [AFTER_ADD] * 2


def test_every_exit_signal_with_a_cart_is_predicted_on():
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.leaves(at=0)
    ann.updates(line("p1"), at=0)
    ann.leaves(at=1, dwell=0)
    ann.leaves(at=2)
    assert scores.models == [AFTER_EXIT] * 2


def test_an_addition_from_before_the_session_is_not_predicted_on():
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.views(at=HOUR)
    ann.adds(at=HOUR - 1, read=HOUR)
    assert scores.models == []
    ann.adds(at=HOUR)
    assert scores.models == [AFTER_ADD]


@pytest.mark.parametrize("late", ["adds", "leaves"])
def test_an_event_from_before_the_last_order_is_not_predicted_on(late):
    """Its features would know of the order, which its label must not."""
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.views(at=0)
    ann.orders("o-1", at=110)
    getattr(ann, late)(at=100, read=111)
    assert scores.models == []


@pytest.mark.parametrize(("after", "label"), [(0, True), (HORIZON, True), (HORIZON + 1, False)])
def test_the_label_says_whether_an_order_came_within_the_horizon(after, label):
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.orders(at=MINUTE + after)
    assert labels(ann) == [(AFTER_ADD, MINUTE, label)]


def test_silence_is_a_label_at_the_horizon():
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.waits(until=MINUTE + HORIZON - 1)
    assert ann.examples == []
    ann.waits(until=MINUTE + HORIZON)
    assert labels(ann) == [(AFTER_ADD, MINUTE, False)]
    ann.orders(at=2 * HOUR)
    assert len(ann.examples) == 1


def test_an_order_from_before_the_prediction_does_not_answer_it():
    ann = a_shopper()
    ann.adds(at=10)
    ann.orders(at=5, read=20)
    assert ann.examples == []


def test_an_order_answers_every_prediction_that_waits_for_it():
    ann = a_shopper()
    ann.adds(at=1)
    ann.leaves(at=2)
    ann.leaves(at=3)
    ann.orders(at=4)
    assert labels(ann) == [(AFTER_ADD, 1, True), (AFTER_EXIT, 2, True), (AFTER_EXIT, 3, True)]
    assert ann.behaviour.predictions == []


def test_each_prediction_has_its_own_horizon():
    ann = a_shopper()
    ann.updates(line("p1"), at=0)
    ann.leaves(at=0)
    ann.leaves(at=IDLE)
    ann.orders(at=HOUR + 1)
    assert labels(ann) == [(AFTER_EXIT, 0, False), (AFTER_EXIT, IDLE, True)]


def test_the_horizon_is_a_setting():
    ann = a_shopper(replace(POLICY, horizon_ms=MINUTE))
    ann.adds(at=0)
    ann.waits(until=MINUTE)
    assert labels(ann) == [(AFTER_ADD, 0, False)]


def test_an_example_carries_what_was_known_when_the_prediction_was_taken():
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.adds("p1", at=1)
    known = dict(scores.asked[0][1])
    ann.adds("p2", at=2)
    ann.views(at=3)
    ann.orders(at=4)
    (example,) = ann.examples
    assert example.features == known
    assert (example.predicted, example.version) == (0.1, 3)


def test_an_example_names_nobody():
    ann = a_shopper(who=("a-tenant", "a-visitor"))
    ann.adds("a-product", at=1, id="an-event")
    ann.orders("an-order", at=2)
    told = str(ann.examples)
    for name in ("a-tenant", "a-visitor", "a-product", "an-event", "an-order"):
        assert name not in told


def test_an_example_has_an_id_of_its_own_the_same_in_every_replay():
    ids = []
    for name in ("ann", "ann", "bob"):
        shopper = a_shopper(who=("shop", name))
        shopper.adds(at=1, id="e1")
        shopper.leaves(at=2, id="e2")
        shopper.orders(at=3)
        ids.append([example.example_id for example in shopper.examples])
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4


def test_predictions_that_wait_are_bounded_and_later_ones_still_scored():
    scores = Scores()
    ann = a_shopper(score=scores)
    ann.updates(line("p1"), at=0)
    for number in range(MAX_PENDING + 3):
        ann.leaves(at=number)
    assert len(scores.asked) == MAX_PENDING + 3
    assert len(ann.behaviour.predictions) == MAX_PENDING
    ann.waits(until=2 * HOUR)
    assert len(ann.examples) == MAX_PENDING


def test_where_a_model_is_unknown_nothing_waits_for_a_label():
    ann = a_shopper(score=lambda model, features: None)
    ann.adds(at=1)
    ann.waits(until=2 * HOUR)
    assert ann.examples == []


def test_without_consent_nothing_is_scored_or_learnt_from():
    scores = Scores()
    stranger = Shopper(score=scores)
    stranger.adds(at=1)
    stranger.leaves(at=2)
    assert scores.asked == []


@pytest.mark.parametrize(
    "forgets", [lambda ann: ann.refuses("personalization", at=2), lambda ann: ann.is_erased(at=2)]
)
def test_what_was_forgotten_is_not_learnt_from(forgets):
    ann = a_shopper()
    ann.adds(at=1)
    forgets(ann)
    ann.waits(until=2 * HOUR)
    assert ann.examples == []
