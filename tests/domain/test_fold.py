from typing import get_args

import pytest

from stream.domain.events import BehaviourEvent, PageViewed
from stream.domain.fold import ACTS, KNOWN_ORDERS, RECENT_EVENTS, FoldOutcome
from stream.domain.kinds import REGISTRY
from stream.domain.policy import TOMBSTONE_LIFE_MS
from stream.domain.session import Session
from tests.domain.build import DAY, HOUR, IDLE, MINUTE, Shopper, a_shopper, line

# Event time


def test_a_late_event_still_counts_as_read():
    ann = a_shopper()
    ann.views(at=HOUR)
    assert ann.adds(at=MINUTE, read=HOUR) is FoldOutcome.APPLIED
    assert ann.cart == {"p1": 1}
    assert ann.behaviour.session == Session(HOUR, HOUR)


def test_an_addition_or_update_older_than_the_last_order_does_not_refill_the_cart():
    ann = a_shopper()
    ann.orders(at=HOUR)
    assert ann.adds(at=HOUR - 1, read=HOUR) is FoldOutcome.APPLIED
    assert ann.updates(line("p2"), at=HOUR - 1, read=HOUR) is FoldOutcome.APPLIED
    assert ann.behaviour.cart.lines == []
    assert ann.next_due_ms != HOUR + IDLE


def test_an_addition_as_old_as_the_last_order_fills_the_cart_again():
    ann = a_shopper()
    ann.orders(at=HOUR)
    ann.adds(at=HOUR)
    ann.updates(line("p1"), line("p2"), at=HOUR)
    assert ann.cart == {"p1": 1, "p2": 1}


def test_the_last_order_is_the_one_of_the_latest_event_time():
    ann = a_shopper()
    ann.orders("o1", at=HOUR)
    ann.orders("o2", at=MINUTE, read=HOUR)
    ann.adds(at=2 * MINUTE, read=HOUR)
    assert ann.cart == {}


def test_a_late_update_that_is_ignored_does_not_name_the_cart():
    ann = a_shopper()
    ann.adds(at=HOUR, cart="A")
    ann.updates(line("p2"), at=MINUTE, read=HOUR, cart="B")
    assert ann.behaviour.cart.name == "A"


# History: what had to be clamped to the past, because its record came more than a day later

LONG_AGO, NOW = 0, 90 * DAY
IMPORTED = {"at": LONG_AGO, "read": NOW}


def an_imported_shopper():
    """Return a shopper whose consent and cart came today and are 90 days old."""
    ann = Shopper()
    ann.grants(**IMPORTED)
    ann.adds(**IMPORTED)
    return ann


def test_importing_the_past_reminds_nobody():
    ann = an_imported_shopper()
    ann.updates(line("p1"), line("p2"), **IMPORTED)
    ann.views(**IMPORTED)
    ann.waits(until=NOW + 60 * DAY)
    assert (ann.cart, ann.behaviour.session) == ({"p1": 1, "p2": 1}, None)
    assert ann.decisions == []


@pytest.mark.parametrize(("late", "due"), [(DAY, IDLE - DAY), (DAY + 1, None)])
def test_an_event_is_history_from_a_day_and_a_millisecond_on(late, due):
    ann = Shopper()
    ann.grants(at=0)
    ann.adds(at=NOW - late, read=NOW)
    ann.waits(until=NOW + DAY)
    assert ann.reminders[:1] == ([] if due is None else [(0, NOW + due)])


def test_what_history_leaves_in_the_cart_is_owed_by_the_next_activity():
    ann = an_imported_shopper()
    ann.views(at=NOW + HOUR)
    ann.waits(until=NOW + 2 * DAY)
    assert ann.reminders[0] == (0, NOW + HOUR + IDLE)


def test_leaving_is_no_activity_that_makes_history_owed():
    ann = an_imported_shopper()
    ann.leaves(at=NOW + 1)
    ann.waits(until=NOW + 60 * DAY)
    assert ann.decisions == []
    ann.views(at=NOW + 60 * DAY)
    ann.leaves(at=NOW + 60 * DAY + 1)
    assert ann.reasons == ["fired"]


def test_an_imported_exit_is_answered_by_nobody():
    ann = a_shopper()
    ann.adds(at=NOW)
    ann.leaves(at=LONG_AGO, read=NOW)
    assert ann.decisions == []


def test_history_makes_no_earlier_activity_owe_a_reminder():
    ann = Shopper()
    ann.grants(at=LONG_AGO)
    ann.views(at=NOW)
    ann.adds(at=LONG_AGO, read=NOW)
    assert ann.behaviour.session == Session(NOW, NOW)
    ann.waits(until=NOW + DAY)
    assert ann.decisions == []
    ann.views(at=NOW + DAY)
    ann.waits(until=NOW + 2 * DAY)
    assert ann.reminders == [(0, NOW + DAY + IDLE)]


def test_history_leaves_the_reminder_that_activity_owes():
    ann = Shopper()
    ann.grants(at=LONG_AGO)
    ann.adds("p1", at=NOW)
    ann.adds("p2", at=LONG_AGO, read=NOW + MINUTE)
    ann.views(at=LONG_AGO, read=NOW + MINUTE)
    ann.waits(until=NOW + IDLE)
    assert ann.reminders == [(0, NOW + IDLE)]
    assert len(ann.triggers[0].cart.lines) == 2


def test_an_imported_grant_does_not_win_over_a_newer_refusal():
    ann = a_shopper()
    ann.refuses(at=NOW - 3 * DAY)
    assert ann.grants(**IMPORTED) is FoldOutcome.STALE
    assert ann.adds(**IMPORTED) is FoldOutcome.REFUSED


def test_importing_the_past_brings_nobody_back_who_has_been_erased():
    ann = a_shopper()
    ann.is_erased(at=NOW - 3 * DAY)
    assert ann.grants(**IMPORTED) is FoldOutcome.REFUSED
    assert ann.adds(**IMPORTED) is FoldOutcome.REFUSED
    assert ann.state.consent == {}


def test_an_imported_order_is_an_order():
    ann = an_imported_shopper()
    ann.orders("o1", **IMPORTED)
    assert ann.cart == {}
    assert ann.behaviour.last_order_ms == NOW - DAY
    assert ann.orders("o1", at=NOW) is FoldOutcome.DUPLICATE


def test_the_profile_counts_history_among_the_earlier_visits():
    ann = an_imported_shopper()
    ann.views(at=NOW)
    profile = ann.behaviour.profile
    assert (profile.visits, profile.before.adds, profile.now.adds) == (1, 1, 0)
    ann.does(PageViewed, LONG_AGO, read=NOW + 1, url="/", referrer="https://search.example/")
    assert (profile.before.pages, profile.now.pages) == (1, 1)
    assert profile.source == 0


# Duplicates


def test_an_event_that_was_read_before_changes_nothing():
    ann = a_shopper()
    ann.adds(at=1, id="e1")
    assert ann.adds(at=2, id="e1", quantity=5) is FoldOutcome.DUPLICATE
    assert ann.views(at=HOUR, id="e1") is FoldOutcome.DUPLICATE
    assert ann.cart == {"p1": 1}
    assert ann.behaviour.session == Session(1, 1)


def test_an_id_belongs_to_its_tenant_and_visitor():
    ann = a_shopper()
    ann.adds(at=1, id="e1")
    for who in (("other", "ann"), ("shop", "bob")):
        somebody = Shopper(world=ann.world, who=who)
        somebody.grants(at=0)
        assert somebody.adds(at=1, id="e1") is FoldOutcome.APPLIED


def test_the_last_256_events_are_remembered():
    ann = a_shopper()
    ann.adds(at=0, id="e0")
    for number in range(1, RECENT_EVENTS):
        ann.views(at=number, id=f"e{number}")
    assert RECENT_EVENTS >= 256
    assert ann.adds(at=1, id="e0") is FoldOutcome.DUPLICATE


def test_what_is_remembered_of_events_is_bounded():
    ann = a_shopper()
    for number in range(RECENT_EVENTS + 50):
        ann.views(at=number)
    assert len(ann.behaviour.recent) == RECENT_EVENTS * 8


def test_a_duplicate_is_not_remembered_again():
    ann = a_shopper()
    ann.views(at=0, id="e0")
    ann.views(at=0, id="e0")
    assert len(ann.behaviour.recent) == 8


def test_an_order_that_was_completed_before_is_a_duplicate_whatever_its_id():
    ann = a_shopper()
    assert ann.orders("o1", at=1, id="e1") is FoldOutcome.APPLIED
    ann.adds(at=2)
    assert ann.orders("o1", at=3, id="e2") is FoldOutcome.DUPLICATE
    assert ann.cart == {"p1": 1}
    assert ann.behaviour.last_order_ms == 1


def test_an_order_is_remembered_longer_than_256_events():
    ann = a_shopper()
    ann.orders("o1", at=1)
    for number in range(RECENT_EVENTS + 1):
        ann.orders(f"other-{number}", at=2)
    assert ann.orders("o1", at=3) is FoldOutcome.DUPLICATE
    assert len(ann.behaviour.orders) <= KNOWN_ORDERS * 8


def test_a_repeated_choice_is_a_duplicate_and_brings_nothing_back():
    ann = Shopper()
    ann.grants(at=10, id="yes")
    ann.refuses(at=20, id="no")
    assert ann.grants(at=30, id="yes") is FoldOutcome.DUPLICATE
    assert ann.adds(at=40) is FoldOutcome.REFUSED


def test_an_id_counts_once_whichever_topic_brings_it():
    ann = a_shopper()
    ann.adds(at=1, id="e1")
    ann.grants("ads", at=2, id="c1")
    assert ann.refuses(at=3, id="e1") is FoldOutcome.DUPLICATE
    assert ann.adds(at=3, id="c1") is FoldOutcome.DUPLICATE


def test_choices_are_remembered_as_long_as_events():
    ann = Shopper()
    for number in range(RECENT_EVENTS):
        ann.grants("ads", at=number, id=f"c{number}")
    assert ann.refuses("ads", at=HOUR, id="c0") is FoldOutcome.DUPLICATE
    ann.grants("ads", at=HOUR)
    assert len(ann.state.consent_ids) == RECENT_EVENTS * 8


def test_a_refused_event_is_not_looked_at_for_duplicates():
    ann = a_shopper()
    ann.adds(at=1, id="e1")
    ann.refuses("personalization", at=2)
    assert ann.adds(at=3, id="e1") is FoldOutcome.REFUSED


# Bots


def test_what_bots_do_is_counted_and_otherwise_ignored():
    ann = a_shopper()
    assert ann.adds(at=1, bot=True) is FoldOutcome.BOT
    assert ann.leaves(at=1, bot=True) is FoldOutcome.BOT
    assert ann.behaviour is None
    assert ann.decisions == []


def test_bots_are_told_before_consent_is_looked_at():
    stranger = Shopper()
    assert stranger.views(at=1, bot=True) is FoldOutcome.BOT
    assert stranger.state.is_unknown


def test_a_bot_may_choose_and_may_be_erased():
    ann = Shopper()
    assert ann.grants(at=0, bot=True) is FoldOutcome.APPLIED
    ann.adds(at=1)
    assert ann.refuses("ads", at=2, bot=True) is FoldOutcome.APPLIED
    assert ann.is_erased(at=3, bot=True) is FoldOutcome.APPLIED
    assert ann.behaviour is None


def test_a_bots_events_are_not_remembered_as_read():
    ann = a_shopper()
    ann.adds(at=1, id="e1", bot=True)
    assert ann.adds(at=1, id="e1") is FoldOutcome.APPLIED


# Refusals


def test_refused_events_produce_no_decision():
    stranger = Shopper()
    assert stranger.adds(at=1) is FoldOutcome.REFUSED
    assert stranger.leaves(at=2) is FoldOutcome.REFUSED
    stranger.waits(until=HOUR)
    assert stranger.world.effects == []
    assert stranger.state.is_unknown


def test_a_refused_order_is_not_remembered():
    ann = Shopper()
    ann.orders("o1", at=1)
    ann.grants(at=2)
    assert ann.orders("o1", at=3) is FoldOutcome.APPLIED


@pytest.mark.parametrize(
    ("at", "outcome"),
    [(99, FoldOutcome.REFUSED), (100, FoldOutcome.REFUSED), (101, FoldOutcome.APPLIED)],
)
def test_events_up_to_an_erasure_are_refused_from_then_on(at, outcome):
    ann = a_shopper()
    ann.is_erased(at=100)
    assert ann.grants(at=at, read=200) is outcome
    assert ann.is_erased(at=at, read=200) is outcome


def test_after_an_erasure_the_visitor_is_unknown_again():
    ann = a_shopper()
    ann.adds(at=1, id="e1")
    ann.is_erased(at=100)
    assert ann.adds(at=101) is FoldOutcome.REFUSED
    ann.grants(at=102)
    assert ann.adds(at=103, id="e1") is FoldOutcome.APPLIED
    assert ann.adds(at=99, read=200) is FoldOutcome.REFUSED


def test_the_tombstone_is_without_content_and_lasts_30_days():
    ann = a_shopper()
    ann.adds(at=1)
    ann.is_erased(at=100)
    assert (ann.state.consent, ann.state.consent_ids, ann.behaviour) == ({}, b"", None)
    assert ann.next_due_ms == 100 + TOMBSTONE_LIFE_MS == 100 + 30 * 24 * HOUR
    ann.waits(until=99 + TOMBSTONE_LIFE_MS)
    assert ann.grants(at=100, read=99 + TOMBSTONE_LIFE_MS) is FoldOutcome.REFUSED
    ann.waits(until=100 + TOMBSTONE_LIFE_MS)
    assert ann.state.is_unknown


def test_the_table_of_acts_has_every_type_of_behaviour():
    assert set(ACTS) == set(get_args(BehaviourEvent))


def test_what_kinds_hear_is_behaviour():
    assert set(REGISTRY.hears) <= set(get_args(BehaviourEvent))
