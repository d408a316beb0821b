import pytest

from stream.adapters.wire.codec import decode
from stream.domain.visitor import VisitorKey
from stream.shard.clock import Fact, LiveClock, RecordsClock
from stream.shard.ports import BEGINNING_MS
from tests.adapters.wire.examples import value_of


def fact(record_ms, at_ms=None):
    event = decode(value_of("page_viewed"))
    at_ms = record_ms if at_ms is None else at_ms
    return Fact(VisitorKey("default", "v1"), event, at_ms, record_ms, "page-views")


def before(clock, one):
    """Return up to when deadlines come before a fact."""
    clock.advance(one)
    return clock.due_before_ms


# live


def test_live_jumps_to_the_moment_up_to_which_all_has_been_applied():
    clock = LiveClock(100, 250, wall_ms=999)
    assert clock.after_ms == clock.due_after() == clock.judged_by() == 250


def test_live_stands_still_while_no_end_has_been_reached():
    clock = LiveClock(100, None, wall_ms=999)
    assert clock.after_ms == clock.due_after() == clock.judged_by() == 100


def test_live_never_runs_backwards():
    assert LiveClock(100, 40, wall_ms=10).after_ms == 100


def test_live_makes_nothing_due_before_its_time_where_the_clock_once_ran_ahead():
    clock = LiveClock(4_000, 250, wall_ms=300)
    assert (clock.after_ms, clock.due_after(), clock.judged_by()) == (4_000, 300, 300)


def test_live_lets_no_deadline_come_before_a_fact():
    assert before(LiveClock(100, 250, wall_ms=999), fact(180)) == BEGINNING_MS


def test_records_stops_at_the_given_moment_whatever_a_record_says():
    ahead = fact(10_000)
    clock = RecordsClock(100, [ahead], at_end=False, no_later_than=500)
    assert (before(clock, ahead), clock.after_ms) == (499, 500)


def test_live_judges_a_fact_by_the_wall_clock():
    assert LiveClock(100, 250, wall_ms=999).judged_at(fact(180)) == 999


def test_nothing_is_due_before_live_has_reached_anything():
    assert LiveClock(BEGINNING_MS, None, wall_ms=999).due_after() < -(2**53)


# records


def test_records_lets_wake_ups_come_strictly_before_the_next_record():
    clock = RecordsClock(100, [fact(180)], at_end=False)
    assert before(clock, fact(180)) == 179


def test_records_does_not_run_backwards_with_a_record_out_of_order():
    one, late = fact(180), fact(120)
    clock = RecordsClock(100, [one, late], at_end=False)
    assert [before(clock, one), before(clock, late)] == [179, 179]
    assert clock.after_ms == 180


@pytest.mark.parametrize(("at_end", "due_ms"), [(False, 179), (True, 180)])
def test_records_includes_its_last_moment_only_when_nothing_follows(at_end, due_ms):
    assert RecordsClock(100, [fact(150), fact(180)], at_end=at_end).due_after() == due_ms


def test_records_without_records_stays_where_it_was():
    clock = RecordsClock(100, [], at_end=True)
    assert clock.after_ms == clock.due_after() == 100


def test_records_goes_on_from_the_clock_of_the_step_before():
    clock = RecordsClock(500, [fact(180)], at_end=False)
    assert (before(clock, fact(180)), clock.after_ms) == (499, 500)


def test_records_judges_everything_by_its_own_moment():
    clock = RecordsClock(100, [fact(180, at_ms=170)], at_end=False)
    assert clock.judged_at(fact(180, at_ms=170)) == 170
    assert clock.judged_by() is None


def test_a_step_that_is_folded_again_begins_where_it_began():
    clock = RecordsClock(100, [fact(180)], at_end=False)
    clock.advance(fact(180))
    clock.begin()
    assert clock.due_before_ms == 99
