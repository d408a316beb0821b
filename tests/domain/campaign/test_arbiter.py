import dataclasses

import pytest
from msgspec.structs import replace

from stream.domain.campaign.arbiter import decide, first_that_holds, has_consent
from stream.domain.campaign.reasons import Reason
from stream.domain.kinds import KIND_OF
from stream.domain.kinds.kind import Candidate
from stream.domain.kinds.subject import CartSubject
from stream.domain.records import Decision, Score, Trigger
from tests.domain.build import IDLE, MINUTE, POLICY, Shopper, a_shopper

# The contract's list, in its order.
SKIP_REASONS = [
    *("no_consent", "expired", "cart_empty", "cart_too_small", "cart_too_old"),
    *("already_fired", "cooldown", "dwell_too_short", "holdout"),
]


# What a delivery finds out later.
DELIVERY_REASONS = [
    *("cancelled", "bought", "cart_changed", "no_address", "unsubscribed", "bounced"),
    *("template", "gone", "defect"),
]


def test_the_reasons_stand_in_the_order_of_the_contract():
    assert [reason.value for reason in Reason] == ["fired", *SKIP_REASONS, *DELIVERY_REASONS]


@pytest.mark.parametrize(
    ("situation", "reason"),
    [(0, None), (1, Reason.COOLDOWN), (2, Reason.NO_CONSENT), (3, Reason.NO_CONSENT)],
)
def test_the_first_check_that_blocks_is_the_one_reported(situation, reason):
    refusals = (
        (Reason.NO_CONSENT, lambda s: s >= 2),
        (Reason.COOLDOWN, lambda s: s % 2 == 1),
        (Reason.HOLDOUT, lambda s: False),
    )
    assert first_that_holds(refusals, situation) is reason


def test_cart_abandonment_also_needs_marketing_by_email():
    assert {name: kind.needs for name, kind in KIND_OF.items()} == {
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
@pytest.mark.parametrize("kind", KIND_OF)
def test_consent_must_hold_when_it_is_owed_and_when_it_is_judged(kind, at, now, held):
    ann = Shopper()
    ann.grants(at=10, until=20)
    context = ann.world.context(ann.who)
    context.now_ms = now
    assert has_consent(context, owed(kind=KIND_OF[kind], due_ms=at)) is held


@pytest.mark.parametrize("purpose", ["personalization", "marketing_email"])
def test_each_purpose_that_a_kind_needs_must_be_granted(purpose):
    ann = Shopper()
    ann.grants(purpose, at=0)
    context = ann.world.context(ann.who)
    answer = owed(kind=KIND_OF["exit_intent"], due_ms=1)
    assert not has_consent(context, owed(due_ms=1))
    assert has_consent(context, answer) is (purpose == "personalization")


def owed(**changes):
    first = Candidate(
        kind=noting(KIND_OF["cart_abandonment"]),
        identity=(0, 500),
        step=0,
        why="cart_idle",
        due_ms=500,
        expires_ms=900,
        evidence=["e1"],
    )
    return replace(first, **changes)


def noting(kind):
    """Return a kind whose notes are not kept: a candidate that nothing has offered has none."""
    return dataclasses.replace(kind, note=lambda behaviour, candidate, reason: None)


def concluded(owed, reason=None, contents="p1"):
    """Return the effects of deciding on a candidate that its kind refuses for a reason, or not."""
    ann = a_shopper()
    ann.adds(contents, at=0)
    context = ann.world.context(ann.who)
    refusals = () if reason is None else ((reason, lambda _: True),)
    subject = CartSubject(ann.behaviour.cart)
    decide(context, [replace(owed, subject=subject, refusals=refusals)])
    return context.effects


@pytest.mark.parametrize("reason", [one for one in Reason if one is not Reason.FIRED])
def test_a_skip_is_a_decision_with_its_reason_and_no_trigger(reason):
    (decision,) = concluded(owed(), reason)
    assert isinstance(decision, Decision)
    assert (decision.outcome, decision.reason) == ("skipped", reason.value)
    assert (decision.at_ms, decision.trigger_id) == (500, None)


def test_firing_is_a_decision_followed_by_its_trigger():
    decision, trigger = concluded(owed())
    assert isinstance(trigger, Trigger)
    assert (decision.outcome, decision.reason) == ("fired", "fired")
    assert decision.trigger_id == trigger.trigger_id
    assert (trigger.due_at_ms, trigger.expires_at_ms, trigger.step) == (500, 900, 0)


@pytest.mark.parametrize(
    "other",
    [owed(kind=noting(KIND_OF["exit_intent"])), owed(identity=(1, 500)), owed(identity=(0, 501))],
)
def test_another_decision_has_other_ids(other):
    decision, trigger = concluded(owed())
    other_decision, other_trigger = concluded(other)
    assert decision.decision_id != other_decision.decision_id
    assert trigger.trigger_id != other_trigger.trigger_id


def test_other_contents_are_another_trigger():
    _, trigger = concluded(owed())
    _, other = concluded(owed(), contents="p2")
    assert trigger.trigger_id != other.trigger_id


def test_a_decision_that_is_taken_again_has_the_same_id_whatever_its_outcome():
    fired, skipped = concluded(owed()), concluded(owed(), Reason.COOLDOWN)
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
    cart, leaving = (
        KIND_OF[name].parameters_in(POLICY) for name in ("cart_abandonment", "exit_intent")
    )
    assert (cart.idle_s, cart.steps_s) == (1_800, (0, 86_400, 259_200))
    assert (cart.min_value_minor, cart.max_age_s) == (0, 259_200)
    assert (leaving.min_dwell_ms, leaving.cooldown_s) == (4000, 604_800)
    assert (POLICY.session_idle_ms, POLICY.horizon_ms) == (1_800_000, 3_600_000)
    assert POLICY.gone_after_ms == 1_800_000
    holdout = type(POLICY)().holdout
    assert (holdout.fraction, holdout.salt) == (0.05, "cartwake")


def test_candidates_are_decided_in_the_order_of_their_kinds_priority():
    ann = a_shopper()
    ann.adds(at=0)
    context = ann.world.context(ann.who)
    named = {name: noting(kind) for name, kind in KIND_OF.items()}
    decide(context, [owed(kind=named[name]) for name in ("cart_abandonment", "exit_intent")])
    decisions = [one.kind for one in context.effects if isinstance(one, Decision)]
    assert decisions == ["exit_intent", "cart_abandonment"]
