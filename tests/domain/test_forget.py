import pytest

from stream.domain.consent import Choice
from stream.domain.policy import CONSENT_LIFE_MS
from tests.domain.build import DAY, HOUR, IDLE, MINUTE, Shopper, a_shopper

DUE = IDLE


def a_reminded_shopper(**more):
    """Return a shopper whose cart, filled at 0, was mentioned at ``DUE``."""
    ann = a_shopper(**more)
    ann.adds(at=0)
    ann.waits(until=DUE)
    assert len(ann.triggers) == 1
    return ann


def cancelled(shopper):
    return [(cancel.trigger_id, cancel.reason) for cancel in shopper.cancels]


def test_a_refusal_of_personalization_deletes_behaviour_and_its_timers_at_once():
    ann = a_shopper()
    ann.adds(at=0)
    ann.refuses("personalization", at=MINUTE)
    assert ann.behaviour is None
    assert ann.next_due_ms == MINUTE + CONSENT_LIFE_MS
    ann.waits(until=DAY)
    assert ann.world.effects == []


def test_only_the_consent_record_itself_is_kept():
    ann = a_shopper()
    ann.adds(at=0)
    ann.refuses("personalization", at=MINUTE)
    assert ann.state.consent == {
        "personalization": Choice("withdrawn", MINUTE),
        "marketing_email": Choice("granted", 0),
    }


def test_a_refusal_of_marketing_drops_what_is_pending_and_keeps_behaviour():
    ann = a_shopper()
    ann.adds(at=0)
    ann.refuses("marketing_email", at=MINUTE)
    ann.waits(until=DAY)
    assert ann.cart == {"p1": 1}
    assert ann.decisions == []


def test_a_new_grant_of_marketing_does_not_bring_a_dropped_reminder_back():
    ann = a_shopper()
    ann.adds(at=0)
    ann.refuses("marketing_email", at=MINUTE)
    ann.grants("marketing_email", at=2 * MINUTE)
    ann.waits(until=DAY)
    assert ann.decisions == []


def test_new_activity_after_a_new_grant_of_marketing_makes_a_reminder_owed_again():
    ann = a_shopper()
    ann.adds(at=0)
    ann.refuses("marketing_email", at=MINUTE)
    ann.grants("marketing_email", at=2 * MINUTE)
    ann.views(at=3 * MINUTE)
    ann.waits(until=DAY)
    assert ann.reasons == ["fired"]


def test_a_refusal_of_marketing_drops_follow_ups_for_good():
    ann = a_reminded_shopper()
    ann.refuses("marketing_email", at=HOUR)
    ann.grants("marketing_email", at=2 * HOUR)
    ann.views(at=3 * HOUR)
    ann.waits(until=10 * DAY)
    assert ann.reasons == ["fired", "already_fired"]


def test_a_refusal_of_marketing_before_anything_was_done_is_only_noted():
    ann = a_shopper()
    ann.leaves(at=1)
    ann.refuses("marketing_email", at=2)
    assert ann.reminded.settled_ms is None


@pytest.mark.parametrize("purpose", ["analytics", "marketing_sms", "ads", "sale_share"])
def test_a_refusal_of_another_purpose_takes_nothing_away(purpose):
    ann = a_reminded_shopper()
    ann.refuses(purpose, at=HOUR)
    ann.waits(until=2 * DAY)
    assert ann.cancels == []
    assert ann.reasons == ["fired", "fired"]


@pytest.mark.parametrize("status", ["denied", "withdrawn"])
@pytest.mark.parametrize("purpose", ["personalization", "marketing_email"])
def test_denied_has_the_same_effects_as_withdrawn(status, purpose):
    ann = a_reminded_shopper()
    ann.chooses(at=HOUR, **{purpose: status})
    assert cancelled(ann) == [(ann.triggers[0].trigger_id, "consent_refused")]
    ann.waits(until=5 * DAY)
    assert len(ann.triggers) == 1


def test_a_cancel_names_the_trigger_and_whom_it_was_for():
    ann = a_reminded_shopper()
    ann.refuses("marketing_email", at=HOUR)
    (cancel,) = ann.cancels
    assert (cancel.kind, cancel.tenant, cancel.visitor) == ("cart_abandonment", "shop", "ann")
    assert cancel.at_ms == HOUR


@pytest.mark.parametrize(
    ("purposes", "kinds"),
    [
        (["personalization"], ["exit_intent", "cart_abandonment"]),
        (["marketing_email"], ["cart_abandonment"]),
        (["personalization", "marketing_email"], ["exit_intent", "cart_abandonment"]),
        (["ads"], []),
    ],
)
def test_a_refusal_calls_back_each_trigger_that_needs_it(purposes, kinds):
    ann = a_shopper()
    ann.adds(at=0)
    ann.leaves(at=DUE - 1000)
    ann.waits(until=DUE)
    ann.refuses(*purposes, at=DUE + 1000)
    assert [cancel.kind for cancel in ann.cancels] == kinds


def test_a_trigger_is_called_back_once():
    ann = a_reminded_shopper()
    ann.refuses("marketing_email", at=HOUR)
    ann.refuses("personalization", at=2 * HOUR)
    ann.is_erased(at=3 * HOUR)
    assert len(ann.cancels) == 1


@pytest.mark.parametrize(("at", "cancels"), [(DUE + DAY, 1), (DUE + DAY + 1, 0)])
def test_a_trigger_that_has_expired_is_not_called_back(at, cancels):
    ann = a_reminded_shopper()
    ann.world.live = True  # no follow-up comes between
    ann.refuses("marketing_email", at=at)
    assert len(ann.cancels) == cancels


@pytest.mark.parametrize(("at", "kinds"), [(10_001, ["exit_intent"]), (10_002, [])])
def test_an_exit_offer_is_called_back_within_its_ten_seconds(at, kinds):
    ann = a_shopper()
    ann.adds(at=0)
    ann.leaves(at=1)
    ann.refuses("personalization", at=at)
    assert [cancel.kind for cancel in ann.cancels] == kinds


def test_every_trigger_of_the_last_day_is_called_back():
    ann = a_reminded_shopper()
    ann.adds("p2", at=HOUR)
    ann.waits(until=2 * HOUR)
    ann.refuses("marketing_email", at=3 * HOUR)
    assert [cancel.trigger_id for cancel in ann.cancels] == [t.trigger_id for t in ann.triggers]
    assert len(ann.cancels) == 2


def test_a_trigger_that_expires_at_this_very_moment_is_still_called_back():
    ann = a_reminded_shopper()
    ann.waits(until=DUE + DAY)  # the follow-up's due moment, and the first one's last
    ann.refuses("marketing_email", at=DUE + DAY)
    assert len(ann.triggers) == len(ann.cancels) == 2


def test_what_has_expired_is_not_kept_for_calling_back():
    ann = a_reminded_shopper()
    ann.adds("p2", at=2 * DAY + 1)
    ann.waits(until=2 * DAY + 1 + DUE)
    assert [sent.trigger_id for sent in ann.behaviour.sent] == [ann.triggers[-1].trigger_id]


def test_a_lapse_works_like_a_refusal_of_marketing():
    ann = a_reminded_shopper()
    ann.grants("marketing_email", at=HOUR, until=2 * HOUR)
    ann.waits(until=2 * HOUR)
    assert cancelled(ann) == [(ann.triggers[0].trigger_id, "consent_expired")]
    ann.grants("marketing_email", at=3 * HOUR)
    ann.waits(until=5 * DAY)
    assert ann.reasons == ["fired"]


def test_a_lapse_works_like_a_refusal_of_personalization():
    ann = a_reminded_shopper()
    ann.grants("personalization", at=HOUR, until=2 * HOUR)
    ann.waits(until=2 * HOUR - 1)
    assert ann.behaviour is not None
    ann.waits(until=2 * HOUR)
    assert ann.behaviour is None
    assert ann.cancels[0].reason == "consent_expired"
    assert ann.state.consent["personalization"].status == "expired"


def test_a_lapse_takes_away_its_own_purposes_alone():
    ann = Shopper()
    ann.grants("marketing_email", at=0, until=HOUR)
    ann.grants("personalization", at=0, until=2 * HOUR)
    ann.grants("ads", at=0)
    ann.waits(until=HOUR)
    assert {purpose: choice.status for purpose, choice in ann.state.consent.items()} == {
        "marketing_email": "expired",
        "personalization": "granted",
        "ads": "granted",
    }


def test_an_erasure_deletes_everything_and_the_consent_record_too():
    ann = a_reminded_shopper()
    ann.grants("ads", at=HOUR)
    ann.is_erased(at=HOUR)
    assert (ann.state.consent, ann.behaviour) == ({}, None)
    assert cancelled(ann) == [(ann.triggers[0].trigger_id, "erased")]


def test_an_erasure_read_late_deletes_what_is_newer_too():
    ann = a_shopper()
    ann.adds(at=HOUR)
    ann.is_erased(at=MINUTE, read=HOUR)
    assert (ann.state.consent, ann.behaviour) == ({}, None)


def test_an_erasure_of_somebody_unknown_leaves_a_tombstone():
    ann = Shopper()
    ann.is_erased(at=HOUR)
    assert ann.state.erased_ms == HOUR
    assert ann.world.effects == []


def test_of_two_erasures_the_later_moment_is_remembered():
    ann = a_shopper()
    ann.is_erased(at=HOUR)
    ann.is_erased(at=2 * HOUR)
    assert ann.state.erased_ms == 2 * HOUR
    ann.is_erased(at=HOUR, read=3 * HOUR)
    assert ann.state.erased_ms == 2 * HOUR
