import pytest
from msgspec.structs import replace

from stream.domain.campaign.arbiter import FIRST, LAST
from stream.domain.campaign.reasons import Reason
from stream.domain.kinds.cart_abandonment import REFUSALS
from tests.domain.build import (
    DAY,
    EVERYBODY,
    HOUR,
    IDLE,
    MINUTE,
    POLICY,
    Shopper,
    a_shopper,
    line,
    reminding,
)


@pytest.mark.parametrize(
    ("seen", "reason"), [(10 * MINUTE, "fired"), (10 * MINUTE + 1, "cart_too_old")]
)
def test_a_cart_may_be_as_old_as_the_greatest_age_and_no_older(seen, reason):
    ann = a_shopper(reminding(max_age_ms=10 * MINUTE + IDLE))
    ann.adds(at=0)
    ann.views(at=seen)
    ann.waits(until=HOUR)
    assert ann.reasons == [reason]


def test_the_age_counts_from_the_carts_last_change():
    ann = a_shopper(reminding(max_age_ms=IDLE))
    ann.adds(at=0)
    ann.adds("p2", at=10 * MINUTE)
    ann.waits(until=HOUR)
    assert ann.reasons == ["fired"]


def test_another_price_is_no_change_of_the_cart():
    ann = a_shopper(reminding(max_age_ms=IDLE))
    ann.adds(at=0)
    ann.updates(line(price=1), at=10 * MINUTE)
    ann.waits(until=HOUR)
    assert ann.reasons == ["cart_too_old"]


@pytest.mark.parametrize(("price", "reason"), [(999, "cart_too_small"), (1000, "fired")])
def test_a_cart_must_have_the_least_value(price, reason):
    ann = a_shopper(reminding(min_value_minor=1000))
    ann.adds(at=0, price=price)
    ann.waits(until=HOUR)
    assert ann.reasons == [reason]


@pytest.mark.parametrize("granted", [["personalization"], ["personalization", "marketing_sms"]])
def test_a_reminder_needs_consent_to_marketing_by_email_too(granted):
    ann = Shopper()
    ann.grants(*granted, at=0)
    ann.adds(at=0)
    ann.waits(until=HOUR)
    assert ann.reasons == ["no_consent"]
    assert ann.triggers == []


def test_consent_to_email_may_come_after_the_cart():
    ann = Shopper()
    ann.grants("personalization", at=0)
    ann.adds(at=0)
    ann.grants("marketing_email", at=IDLE)
    ann.waits(until=IDLE)
    assert ann.reasons == ["fired"]


def test_consent_must_have_held_at_the_due_moment():
    ann = Shopper(live=True)
    ann.grants("personalization", at=0)
    ann.adds(at=0)
    ann.grants("marketing_email", at=IDLE + 1)
    ann.waits(until=HOUR)
    assert ann.reasons == ["no_consent"]


@pytest.mark.parametrize("purpose", ["personalization", "marketing_email"])
def test_consent_must_still_hold_at_the_moment_of_judgement(purpose):
    ann = a_shopper(live=True)
    ann.grants(purpose, at=1, until=IDLE + MINUTE)
    ann.adds(at=1)
    ann.waits(until=HOUR)
    assert ann.reasons == ["no_consent"]


def test_consent_that_lasts_up_to_the_due_moment_is_enough():
    ann = Shopper()
    ann.grants(at=0, until=IDLE)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    assert ann.reasons == ["fired"]
    assert [cancel.reason for cancel in ann.cancels] == ["consent_expired"]


@pytest.mark.parametrize(("late", "reason"), [(0, "fired"), (1, "expired")])
def test_a_wake_up_judged_later_than_expires_at_is_skipped_as_expired(late, reason):
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.waits(until=IDLE + DAY + late)
    assert ann.reasons[0] == reason
    assert ann.decisions[0].at_ms == IDLE


def test_after_an_expired_reminder_only_new_activity_makes_one_owed():
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.waits(until=2 * DAY)
    ann.waits(until=10 * DAY)
    assert ann.reasons == ["expired"]
    ann.views(at=10 * DAY)
    ann.world.policy = reminding(max_age_ms=30 * DAY)
    ann.waits(until=10 * DAY + IDLE)
    assert ann.reasons == ["expired", "fired"]


def test_a_held_out_shopper_gets_a_decision_and_no_message():
    ann = a_shopper(replace(POLICY, holdout=EVERYBODY))
    ann.adds(at=0)
    ann.waits(until=10 * DAY)
    assert ann.reasons == ["holdout"]
    assert ann.decisions[0].outcome == "skipped"
    assert ann.decisions[0].trigger_id is None
    assert ann.triggers == []


SKIPS = ["no_consent", "expired", "cart_too_small", "cart_too_old", "already_fired", "holdout"]


@pytest.mark.parametrize("mended", range(len(SKIPS) + 1))
def test_the_first_check_that_blocks_names_the_reason(mended):
    blocked = set(SKIPS[mended:])
    ann = a_shopper(live=True)
    ann.adds(at=0)
    if "already_fired" in blocked:
        ann.waits(until=IDLE)
    ann.views(at=HOUR)
    if "no_consent" in blocked:
        ann.grants("marketing_email", at=HOUR, until=HOUR + IDLE)
    ann.world.policy = replace(
        reminding(
            min_value_minor=5000 if "cart_too_small" in blocked else 0,
            max_age_ms=MINUTE if "cart_too_old" in blocked else DAY,
        ),
        **({"holdout": EVERYBODY} if "holdout" in blocked else {}),
    )
    known = len(ann.decisions)
    ann.waits(until=HOUR + IDLE + (2 * DAY if "expired" in blocked else 0))
    assert ann.reasons[known] == [*SKIPS, "fired"][mended]


def test_the_checks_stand_in_the_order_of_the_contract():
    reasons = [reason for reason, _ in (*FIRST, *REFUSALS, *LAST)]
    assert reasons == sorted(reasons, key=list(Reason).index)
    assert [reason.value for reason in reasons if reason is not Reason.CART_EMPTY] == SKIPS
    assert [r.value for r, _ in (*FIRST, *LAST)] == ["no_consent", "expired", "holdout"]
