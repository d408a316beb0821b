import pytest
from msgspec.structs import replace

from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT
from stream.domain.visitor import Behaviour
from tests.domain.build import (
    DAY,
    EVERYBODY,
    HOUR,
    IDLE,
    MINUTE,
    POLICY,
    a_shopper,
    line,
    reminding,
)


def test_follow_ups_count_from_the_first_reminders_due_time():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=30 * DAY)
    assert ann.reminders == [(0, IDLE), (1, IDLE + DAY), (2, IDLE + 3 * DAY)]
    assert [one.reason for one in ann.triggers] == ["cart_idle", *["cart_still_idle"] * 2]
    assert len({one.trigger_id for one in ann.triggers}) == 3


def test_a_follow_up_does_not_come_before_its_moment():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE + DAY - 1)
    assert ann.reminders == [(0, IDLE)]


def test_follow_ups_count_from_the_due_time_even_if_the_first_was_judged_later():
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.waits(until=5 * HOUR)
    ann.waits(until=2 * DAY)
    assert ann.reminders == [(0, IDLE), (1, IDLE + DAY)]


def test_a_follow_up_does_not_come_before_the_shopper_has_been_idle():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.views(at=DAY + 10 * MINUTE)
    ann.waits(until=2 * DAY)
    assert ann.reminders == [(0, IDLE), (1, DAY + 10 * MINUTE + IDLE)]


def test_activity_at_exactly_the_due_moment_prevents_the_follow_up_for_now():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.views(at=IDLE + DAY)
    assert ann.reminders == [(0, IDLE)]
    ann.waits(until=IDLE + DAY + IDLE)
    assert ann.reminders == [(0, IDLE), (1, IDLE + DAY + IDLE)]


def test_without_further_steps_there_is_no_follow_up():
    ann = a_shopper(reminding(steps_ms=(0,)))
    ann.adds(at=0)
    ann.waits(until=30 * DAY)
    assert ann.reminders == [(0, IDLE)]


@pytest.mark.parametrize(
    "drops",
    [
        lambda ann: ann.adds("p2", at=HOUR),
        lambda ann: ann.adds("p1", at=HOUR),
        lambda ann: ann.removes(at=HOUR),
        lambda ann: ann.updates(line("p2"), at=HOUR),
        lambda ann: ann.orders(at=HOUR),
        lambda ann: ann.orders(at=HOUR, cart="another"),
        lambda ann: ann.orders(at=0, cart="another", read=HOUR),
        lambda ann: ann.adds("p2", at=0, read=HOUR),
        lambda ann: ann.refuses("marketing_email", at=HOUR),
        lambda ann: ann.refuses("personalization", at=HOUR),
        lambda ann: ann.is_erased(at=HOUR),
    ],
)
def test_a_change_of_the_cart_an_order_or_a_refusal_drops_the_follow_ups(drops):
    ann = a_shopper()
    ann.adds(at=0, cart="mine")
    ann.waits(until=IDLE)
    drops(ann)
    ann.waits(until=30 * DAY)
    assert (1, IDLE + DAY) not in ann.reminders
    assert sum(step == 0 for step, _ in ann.reminders) <= 2


@pytest.mark.parametrize(
    "keeps",
    [
        lambda ann: ann.views(at=HOUR),
        lambda ann: ann.updates(line(price=1), at=HOUR),
        lambda ann: ann.removes("p9", at=HOUR),
        lambda ann: ann.checks_out(at=HOUR, cart="mine"),
        lambda ann: ann.updates(line("p2"), at=0, read=HOUR),
        lambda ann: ann.orders("known", at=HOUR),
        lambda ann: ann.refuses("ads", at=HOUR),
        lambda ann: ann.grants(at=0, read=HOUR),
    ],
)
def test_what_is_no_change_of_the_cart_keeps_the_follow_ups(keeps):
    ann = a_shopper()
    ann.grants(at=1)
    ann.orders("known", at=1)
    ann.adds(at=1)
    ann.waits(until=1 + IDLE)
    keeps(ann)
    ann.waits(until=2 * DAY)
    assert (1, 1 + IDLE + DAY) in ann.reminders


def test_changed_contents_have_follow_ups_of_their_own():
    ann = a_shopper()
    ann.adds("p1", at=0)
    ann.waits(until=IDLE)
    ann.adds("p2", at=HOUR)
    ann.waits(until=30 * DAY)
    assert ann.reminders[1:] == [(n, HOUR + IDLE + days * DAY) for n, days in enumerate((0, 1, 3))]


def test_value_age_and_having_fired_are_not_checked_again():
    ann = a_shopper(reminding(min_value_minor=1000, max_age_ms=DAY))
    ann.adds(at=0, price=1000)
    ann.waits(until=IDLE)
    ann.updates(line(price=1), at=HOUR)
    ann.waits(until=30 * DAY)
    assert ann.reasons == ["fired", "cart_too_small", "fired", "fired"]


def test_a_follow_up_checks_consent_again():
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.grants("marketing_email", at=HOUR, until=IDLE + DAY)
    ann.waits(until=2 * DAY)
    assert ann.reasons == ["fired", "no_consent"]


def test_a_follow_up_checks_whether_it_has_expired():
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.waits(until=IDLE + 3 * DAY)
    assert ann.reasons == ["fired", "expired", "fired"]
    assert [one.step for one in ann.triggers] == [0, 2]


def test_a_follow_up_checks_the_holdout_again():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.world.policy = replace(POLICY, holdout=EVERYBODY)
    ann.waits(until=IDLE + DAY)
    assert ann.reasons == ["fired", "holdout"]


def test_without_a_fired_reminder_there_is_no_follow_up():
    ann = a_shopper()
    assert CART_ABANDONMENT.offered(Behaviour(0), POLICY, IDLE) == ()
    ann.adds(at=0)
    CART_ABANDONMENT.remember(ann.behaviour).settled_ms = 0
    assert CART_ABANDONMENT.offered(ann.behaviour, POLICY, IDLE) == ()
