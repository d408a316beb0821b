"""What the demo counts: each fact once, and an equation that holds or is seen not to."""

import pytest

from stream.demo.tally import RATE_WINDOW_S, Tally
from stream.shard.ports import DeadLetter
from tests.demo.samples import cancel, decision, message, page, trigger


@pytest.fixture
def tally():
    return Tally()


def test_a_trigger_is_returned_when_it_is_new(tally):
    assert tally.take(message(trigger())) == trigger()
    assert list(tally.last_triggers) == [trigger()]


def test_a_trigger_that_is_published_again_counts_once(tally):
    tally.take(message(trigger()))
    assert tally.take(message(trigger())) is None
    assert len(tally.last_triggers) == 1
    assert tally.repeated == 1


def test_a_cancel_is_no_repetition_of_the_trigger_whose_id_it_has(tally):
    tally.take(message(trigger(1)))
    tally.take(message(cancel(1)))
    assert tally.cancelled == {"consent_refused": 1}


def test_decisions_are_counted_by_kind_outcome_and_reason(tally):
    for number, reason in enumerate(["fired", "fired", "holdout"]):
        assert tally.take(message(decision(number, reason=reason))) is None
    tally.take(message(decision(9, kind="exit_intent", reason="cart_empty")))
    assert tally.decisions == {
        ("cart_abandonment", "fired", "fired"): 2,
        ("cart_abandonment", "skipped", "holdout"): 1,
        ("exit_intent", "skipped", "cart_empty"): 1,
    }
    assert (tally.count("fired"), tally.count("skipped")) == (2, 2)


def test_dead_letters_are_counted_by_reason(tally):
    for offset in range(2):
        dead = DeadLetter("page-views", 0, offset, None, None, "empty", "is empty")
        tally.take(message(dead))
    assert tally.dead_letters == {"empty": 2}


def test_the_fire_lag_is_decided_minus_due(tally):
    assert tally.lag_ms() is None
    for number in range(101):
        tally.take(message(trigger(number), late_ms=number))
    p50, p99 = tally.lag_ms()
    assert (p50, p99) == (pytest.approx(50, abs=1), pytest.approx(99, abs=1))


def test_one_trigger_has_a_fire_lag_too(tally):
    tally.take(message(trigger(), late_ms=40))
    assert tally.lag_ms() == (40, 40)


def test_the_page_tells_what_became_of_the_input_topics_records(tally):
    outcomes = {"applied": 7, "stale": 1, "duplicate": 2, "refused_consent": 3, "bot": 4}
    tally.read_page(page(armed=6, **outcomes, dead_letter=5))
    assert tally.counted == 22
    assert tally.armed == 6
    assert tally.parts() == {
        "applied": 8,
        "duplicates": 2,
        "refused_consent": 3,
        "bots": 4,
        "dead_letters": 5,
    }


def test_an_outcome_that_nobody_knows_breaks_the_equation(tally):
    tally.read_page(page(applied=7, mislaid=1))
    assert tally.counted == 8
    assert sum(tally.parts().values()) == 7


def test_a_page_replaces_the_one_before(tally):
    tally.read_page(page(applied=7))
    tally.read_page(page(applied=8))
    assert tally.counted == 8


def test_rates_are_those_of_late(tally):
    assert tally.rates == (0, 0)
    for second in range(20):
        tally.sent[""] += 100 if second < 10 else 10
        tally.note_moment(float(second))
    went_in, came_out = tally.rates
    assert went_in == pytest.approx(10)
    assert came_out == 0
    assert RATE_WINDOW_S < 10
