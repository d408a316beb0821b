import pytest
from msgspec.structs import replace

from stream.domain.campaign.reasons import Reason
from stream.domain.decisions import Candidate, conclude, decide, has_consent
from stream.domain.records import NEEDS, Decision, Score, Trigger
from tests.domain.build import IDLE, MINUTE, POLICY, Shopper, a_shopper

# The contract's list, in its order.
SKIP_REASONS = [
    *("no_consent", "expired", "cart_empty", "cart_too_small", "cart_too_old"),
    *("already_fired", "cooldown", "dwell_too_short", "holdout"),
]


# What a delivery finds out later.
DELIVERY_REASONS = [
    *("cancelled", "bought", "cart_changed", "no_address", "template", "gone", "defect"),
]


def test_the_reasons_stand_in_the_order_of_the_contract():
    assert [reason.value for reason in Reason] == ["fired", *SKIP_REASONS, *DELIVERY_REASONS]


@pytest.mark.parametrize(
    ("situation", "reason"),
    [(0, Reason.FIRED), (1, Reason.COOLDOWN), (2, Reason.NO_CONSENT), (3, Reason.NO_CONSENT)],
)
def test_the_first_check_that_blocks_is_the_one_reported(situation, reason):
    blockers = (
        (Reason.NO_CONSENT, lambda s: s >= 2),
        (Reason.COOLDOWN, lambda s: s % 2 == 1),
        (Reason.HOLDOUT, lambda s: False),
    )
    assert decide(blockers, situation) is reason


def test_cart_abandonment_also_needs_marketing_by_email():
    assert NEEDS == {
        "cart_abandonment": ("personalization", "marketing_email"),
        "exit_intent": ("personalization",),
    }


@pytest.mark.parametrize(
    ("at", "now", "held"),
    [
        (10, 20, True),
        (10, 10, True),
        (20, 20, True),
        (9, 15, False),
        (10, 21, False),
        (21, 21, False),
        (15, 9, True),
    ],
)
@pytest.mark.parametrize("kind", NEEDS)
def test_consent_must_hold_when_it_is_owed_and_when_it_is_judged(kind, at, now, held):
    ann = Shopper()
    ann.grants(at=10, until=20)
    context = ann.world.context(ann.who)
    context.now_ms = now
    assert has_consent(context, kind, at) is held


@pytest.mark.parametrize("purpose", ["personalization", "marketing_email"])
def test_each_purpose_that_a_kind_needs_must_be_granted(purpose):
    ann = Shopper()
    ann.grants(purpose, at=0)
    context = ann.world.context(ann.who)
    assert not has_consent(context, "cart_abandonment", 1)
    assert has_consent(context, "exit_intent", 1) is (purpose == "personalization")


def owed(**changes):
    first = Candidate(
        kind="cart_abandonment",
        class_="marketing",
        identity=(0, 500),
        step=0,
        why="cart_idle",
        due_ms=500,
        expires_ms=900,
        evidence=["e1"],
    )
    return replace(first, **changes)


def concluded(owed, reason, contents="p1"):
    """Return whether it fired, and the effects."""
    ann = a_shopper()
    ann.adds(contents, at=0)
    context = ann.world.context(ann.who)
    return conclude(context, ann.behaviour, owed, reason), context.effects


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.FIRED])
def test_a_skip_is_a_decision_with_its_reason_and_no_trigger(reason):
    fired, effects = concluded(owed(), reason)
    (decision,) = effects
    assert not fired
    assert isinstance(decision, Decision)
    assert (decision.outcome, decision.reason) == ("skipped", reason.value)
    assert (decision.at_ms, decision.trigger_id) == (500, None)


def test_firing_is_a_decision_followed_by_its_trigger():
    fired, (decision, trigger) = concluded(owed(), Reason.FIRED)
    assert fired
    assert isinstance(trigger, Trigger)
    assert (decision.outcome, decision.reason) == ("fired", "fired")
    assert decision.trigger_id == trigger.trigger_id
    assert (trigger.due_at_ms, trigger.expires_at_ms, trigger.step) == (500, 900, 0)


@pytest.mark.parametrize(
    "other", [owed(kind="exit_intent"), owed(identity=(1, 500)), owed(identity=(0, 501))]
)
def test_another_decision_has_other_ids(other):
    _, (decision, trigger) = concluded(owed(), Reason.FIRED)
    _, (other_decision, other_trigger) = concluded(other, Reason.FIRED)
    assert decision.decision_id != other_decision.decision_id
    assert trigger.trigger_id != other_trigger.trigger_id


def test_other_contents_are_another_trigger():
    _, (_, trigger) = concluded(owed(), Reason.FIRED)
    _, (_, other) = concluded(owed(), Reason.FIRED, contents="p2")
    assert trigger.trigger_id != other.trigger_id


def test_a_decision_that_is_taken_again_has_the_same_id_whatever_its_outcome():
    _, fired = concluded(owed(), Reason.FIRED)
    _, skipped = concluded(owed(), Reason.HOLDOUT)
    assert fired[0].decision_id == skipped[0].decision_id


def test_a_trigger_carries_the_newest_score():
    def by_model(model, features):
        return Score(model, 7, 0.25)

    ann = a_shopper(score=by_model)
    ann.adds(at=0)
    ann.leaves(at=MINUTE, dwell=0)
    ann.waits(until=IDLE)
    assert ann.triggers[0].score == Score("purchase_after_exit", 7, 0.25)


def test_without_a_model_a_trigger_has_no_score():
    ann = a_shopper(score=lambda model, features: None)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    assert ann.triggers[0].score is None


def test_the_score_is_no_part_of_the_identity():
    ids = set()
    for value in (0.1, 0.9):
        ann = a_shopper(score=lambda model, _, value=value: Score(model, 1, value))
        ann.adds(at=0)
        ann.waits(until=IDLE)
        ids.add(ann.triggers[0].trigger_id)
    assert len(ids) == 1


def test_the_defaults_are_those_of_the_contract():
    cart, leaving = POLICY.cart_abandonment, POLICY.exit_intent
    assert (cart.idle_ms, cart.steps_ms) == (1_800_000, (0, 86_400_000, 259_200_000))
    assert (cart.min_value_minor, cart.max_age_ms) == (0, 259_200_000)
    assert (leaving.min_dwell_ms, leaving.cooldown_ms) == (4000, 604_800_000)
    assert (POLICY.session_idle_ms, POLICY.horizon_ms) == (1_800_000, 3_600_000)
    holdout = type(POLICY)().holdout
    assert (holdout.fraction, holdout.salt) == (0.05, "cartwake")
