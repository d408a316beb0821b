import pytest
from msgspec.structs import replace

from stream.domain.campaign.arbiter import FIRST, LAST
from stream.domain.campaign.reasons import Reason
from stream.domain.kinds.exit_intent import LIFE_MS, NAME, REFUSALS
from stream.domain.predictions import AFTER_ADD
from stream.domain.session import Session, session_id
from tests.domain.build import (
    DAY,
    EVERYBODY,
    HOUR,
    IDLE,
    MINUTE,
    Shopper,
    a_shopper,
    answering,
    reminding,
)

COOLDOWN = 7 * DAY
LONGER = reminding(idle_ms=7 * DAY)


def a_shopper_with_a_cart(policy=LONGER, **more):
    """Return a shopper whose cart was filled at 0 and is not mentioned for a week."""
    ann = a_shopper(policy, **more)
    ann.adds(at=0, id="add")
    return ann


def answers(shopper):
    return [one.reason for one in shopper.decisions if one.kind == NAME]


def test_an_exit_signal_with_something_in_the_cart_is_answered_at_once():
    ann = a_shopper_with_a_cart()
    ann.leaves(at=MINUTE, signal="tab_hidden", id="exit")
    (trigger,), (decision,) = ann.triggers, ann.decisions
    assert (trigger.kind, trigger.class_, trigger.step) == ("exit_intent", "onsite", 0)
    assert trigger.reason == "tab_hidden"
    assert (trigger.due_at_ms, trigger.expires_at_ms) == (MINUTE, MINUTE + 10_000)
    assert trigger.evidence == ["add", "exit"]
    assert trigger.session == session_id(*ann.who, Session(0, 0))
    assert (decision.outcome, decision.at_ms) == ("fired", MINUTE)
    assert decision.trigger_id == trigger.trigger_id


def test_evidence_is_at_most_20_events_with_the_signal_last():
    ann = a_shopper(LONGER)
    for number in range(30):
        ann.adds(at=number, id=f"e{number}")
    ann.leaves(at=MINUTE, id="exit")
    assert ann.triggers[0].evidence == [*(f"e{n}" for n in range(11, 30)), "exit"]


@pytest.mark.parametrize(("dwell", "reason"), [(3999, "dwell_too_short"), (4000, "fired")])
def test_the_shopper_must_have_dwelt_long_enough(dwell, reason):
    ann = a_shopper_with_a_cart()
    ann.leaves(at=MINUTE, dwell=dwell)
    assert answers(ann) == [reason]


def test_with_an_empty_cart_a_signal_leaves_a_count_and_nothing_else():
    ann = a_shopper()
    outcomes = [ann.leaves(at=1), ann.leaves(at=2, id="exit"), ann.leaves(at=2, id="exit")]
    ann.adds(at=4)
    ann.removes(at=5)
    outcomes.append(ann.leaves(at=6))
    assert outcomes == ["without_cart", "without_cart", "duplicate", "without_cart"]
    assert answers(ann) == []
    assert [one.model for one in ann.state.behaviour.predictions] == [AFTER_ADD]


def test_consent_to_email_is_not_needed():
    ann = Shopper()
    ann.grants("personalization", at=0)
    ann.adds(at=0)
    ann.leaves(at=1)
    assert answers(ann) == ["fired"]


def test_a_signal_without_consent_is_refused_without_a_decision():
    ann = a_shopper_with_a_cart()
    ann.refuses("personalization", at=1)
    ann.leaves(at=2)
    assert ann.world.effects == []


def test_one_answer_in_a_session():
    policy = answering(LONGER, cooldown_ms=0)
    ann = a_shopper_with_a_cart(policy)
    ann.leaves(at=1)
    ann.leaves(at=MINUTE)
    ann.views(at=IDLE)
    ann.leaves(at=IDLE + 1)
    assert answers(ann) == ["fired", "already_fired", "already_fired"]


def test_a_skipped_signal_does_not_use_up_the_session():
    ann = a_shopper_with_a_cart()
    ann.leaves(at=1, dwell=1)
    ann.leaves(at=2)
    assert answers(ann) == ["dwell_too_short", "fired"]


def test_a_signal_belongs_to_the_session_of_the_last_activity():
    policy = answering(LONGER, cooldown_ms=0)
    ann = a_shopper_with_a_cart(policy)
    ann.leaves(at=1)
    ann.leaves(at=5 * HOUR)
    ann.views(at=6 * HOUR)
    ann.leaves(at=6 * HOUR + 1)
    assert answers(ann) == ["fired", "already_fired", "fired"]
    assert ann.triggers[0].session != ann.triggers[1].session


@pytest.mark.parametrize(
    ("after", "reason"), [(COOLDOWN - 1, "cooldown"), (COOLDOWN, "fired"), (HOUR, "cooldown")]
)
def test_the_cooldown_must_have_passed_since_the_last_answer(after, reason):
    ann = a_shopper_with_a_cart()
    ann.leaves(at=1)
    ann.views(at=after)
    ann.leaves(at=1 + after)
    assert answers(ann) == ["fired", reason]


def test_only_an_answer_starts_the_cooldown():
    ann = a_shopper_with_a_cart()
    ann.leaves(at=1, dwell=1)
    ann.views(at=HOUR)
    ann.leaves(at=HOUR)
    assert answers(ann) == ["dwell_too_short", "fired"]


def test_a_signal_older_than_the_last_answer_is_cooling_down():
    ann = a_shopper_with_a_cart()
    ann.views(at=HOUR)
    ann.leaves(at=HOUR)
    ann.views(at=2 * HOUR)
    ann.leaves(at=MINUTE, read=2 * HOUR)
    assert answers(ann) == ["fired", "cooldown"]


@pytest.mark.parametrize(("late", "reason"), [(10_000, "fired"), (10_001, "expired")])
def test_a_signal_read_more_than_ten_seconds_late_is_skipped_as_expired(late, reason):
    ann = a_shopper_with_a_cart(live=True)
    ann.leaves(at=MINUTE, judged=MINUTE + late)
    assert answers(ann) == [reason]
    assert LIFE_MS == 10_000


def test_consent_must_still_hold_by_the_wall_clock():
    ann = Shopper(LONGER, live=True)
    ann.grants(at=0, until=MINUTE)
    ann.adds(at=0)
    ann.leaves(at=MINUTE, judged=MINUTE + 1)
    assert answers(ann) == ["no_consent"]


def test_a_producer_whose_clock_is_ahead_of_ours_gets_its_answer():
    ann = Shopper(LONGER, live=True)
    ann.grants(at=5000, read=0)
    ann.adds(at=5001, read=1)
    ann.leaves(at=5002, read=2, judged=2)
    assert answers(ann) == ["fired"]


def test_a_held_out_shopper_is_left_alone():
    ann = a_shopper_with_a_cart(replace(LONGER, holdout=EVERYBODY))
    ann.leaves(at=1)
    ann.leaves(at=2)
    assert answers(ann) == ["holdout", "holdout"]
    assert ann.triggers == []


SKIPS = ["expired", "already_fired", "dwell_too_short", "holdout"]


@pytest.mark.parametrize("mended", range(len(SKIPS) + 1))
def test_the_first_check_that_blocks_names_the_reason(mended):
    blocked = set(SKIPS[mended:])
    ann = a_shopper_with_a_cart(live=True)
    if "already_fired" in blocked:
        ann.leaves(at=1)
    if "holdout" in blocked:
        ann.world.policy = replace(LONGER, holdout=EVERYBODY)
    ann.leaves(
        at=MINUTE,
        judged=HOUR if "expired" in blocked else MINUTE,
        dwell=0 if "dwell_too_short" in blocked else 5000,
    )
    assert answers(ann)[-1] == [*SKIPS, "fired"][mended]


def test_cooldown_is_named_before_a_short_dwell():
    ann = a_shopper_with_a_cart()
    ann.leaves(at=1)
    ann.views(at=HOUR)
    ann.leaves(at=HOUR, dwell=0)
    assert answers(ann) == ["fired", "cooldown"]


def test_the_checks_stand_in_the_order_of_the_contract():
    reasons = [reason for reason, _ in (*FIRST, *REFUSALS, *LAST)]
    assert reasons == sorted(reasons, key=list(Reason).index)


def test_the_same_signal_always_has_the_same_id():
    ids = []
    for name in ("exit", "exit", "other"):
        ann = a_shopper_with_a_cart()
        ann.leaves(at=1, id=name)
        ids.append((ann.triggers[0].trigger_id, ann.decisions[0].decision_id))
    assert ids[0] == ids[1]
    assert not set(ids[0]) & set(ids[2])


def test_a_signal_read_twice_is_answered_once():
    ann = a_shopper_with_a_cart()
    ann.leaves(at=1, id="exit")
    ann.leaves(at=1, id="exit")
    assert answers(ann) == ["fired"]


def test_an_answer_neither_moves_nor_replaces_the_reminder():
    ann = a_shopper()
    ann.adds(at=0)
    ann.leaves(at=MINUTE)
    ann.waits(until=HOUR)
    assert [one.kind for one in ann.triggers] == ["exit_intent", "cart_abandonment"]
    assert ann.triggers[1].due_at_ms == IDLE
