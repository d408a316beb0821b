import pytest

from stream.domain.consent import Choice
from stream.domain.context import FoldOutcome
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.kinds import REGISTRY
from stream.domain.policy import BEHAVIOUR_LIFE_MS, CONSENT_LIFE_MS, TOMBSTONE_LIFE_MS
from stream.domain.visitor import Behaviour, Visitor
from tests.domain.build import DAY, HOUR, IDLE, MINUTE, POLICY, Shopper, a_shopper


def test_of_somebody_unknown_nothing_is_ever_due():
    assert next_due_ms(Visitor(), POLICY, REGISTRY) is None
    context = Shopper().world.context(Shopper().who)
    pass_deadlines(context, 400 * DAY, None)
    assert (context.state, context.effects) == (Visitor(), [])


@pytest.mark.parametrize(
    ("state", "due"),
    [
        (Visitor(consent={"ads": Choice("granted", 5, 5)}), 5 + CONSENT_LIFE_MS),
        (Visitor(consent={"ads": Choice("denied", 5)}), 5 + CONSENT_LIFE_MS),
        (Visitor(consent={"ads": Choice("expired", 5, 0, 90)}), 5 + CONSENT_LIFE_MS),
        (
            Visitor(consent={"ads": Choice("denied", 9), "analytics": Choice("granted", 5)}),
            9 + CONSENT_LIFE_MS,
        ),
        (Visitor(consent={"ads": Choice("granted", 5)}, seen_ms=9), 9 + CONSENT_LIFE_MS),
        (Visitor(consent={"ads": Choice("granted", 9)}, seen_ms=5), 9 + CONSENT_LIFE_MS),
        (
            Visitor(consent={"ads": Choice("granted", 5)}, behaviour=Behaviour(5)),
            5 + BEHAVIOUR_LIFE_MS,
        ),
        (Visitor(consent={"ads": Choice("denied", 5)}, erased_ms=4), 4 + TOMBSTONE_LIFE_MS),
        (Visitor(consent={"ads": Choice("granted", 5, 5, 90)}), 90),
        (Visitor(erased_ms=5), 5 + TOMBSTONE_LIFE_MS),
        (Visitor(behaviour=Behaviour(5)), 5 + BEHAVIOUR_LIFE_MS),
        (Visitor(erased_ms=5, consent={"ads": Choice("granted", 5, 5, 90)}), 90),
    ],
)
def test_the_earliest_deadline_is_the_next(state, due):
    assert next_due_ms(state, POLICY, REGISTRY) == due


def test_a_cart_owes_a_reminder_then_follow_ups_then_nothing():
    ann = a_shopper(score=lambda model, features: None)
    ann.adds(at=0)
    dues = []
    while len(dues) < 4:
        dues.append(ann.next_due_ms)
        ann.waits(until=dues[-1])
    assert dues == [IDLE, IDLE + DAY, IDLE + 3 * DAY, BEHAVIOUR_LIFE_MS]
    assert ann.next_due_ms == CONSENT_LIFE_MS


def test_a_prediction_owes_a_label():
    ann = a_shopper()
    ann.adds(at=0)
    ann.removes(at=1)
    assert ann.next_due_ms == HOUR


def test_deadlines_pass_up_to_and_including_the_moment():
    ann = a_shopper()
    ann.adds(at=0)
    context = ann.world.context(ann.who)
    pass_deadlines(context, IDLE - 1, None)
    assert context.effects == []
    pass_deadlines(context, IDLE, None)
    passed = list(context.effects)
    assert [type(effect).__name__ for effect in passed] == ["Decision", "Trigger"]
    pass_deadlines(context, IDLE, None)
    assert context.effects == passed


def test_deadlines_are_handled_in_the_order_of_their_moments():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=30 * DAY)
    effects = [type(effect).__name__ for effect in ann.world.effects]
    assert effects == ["Decision", "Trigger", "Example", *["Decision", "Trigger"] * 2]


def test_passing_in_many_steps_is_passing_at_once():
    told = []
    for step in (7 * MINUTE, 200 * DAY):
        ann = a_shopper()
        ann.grants("marketing_email", at=1, until=2 * DAY)
        ann.adds(at=2)
        for until in range(0, 2 * DAY, step):
            ann.waits(until=until)
        ann.waits(until=200 * DAY)
        told.append((ann.world.effects, ann.state))
    assert told[0] == told[1]


def test_a_reminder_comes_before_the_expiry_at_the_same_moment():
    ann = Shopper()
    ann.grants(at=0, until=IDLE)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    assert ann.reasons == ["fired"]
    assert ann.behaviour is None


def test_a_reminder_comes_before_the_follow_up_at_the_same_moment():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.views(at=DAY)
    ann.waits(until=DAY + IDLE)
    assert ann.reasons == ["fired", "already_fired", "fired"]
    assert {one.at_ms for one in ann.decisions[1:]} == {DAY + IDLE}


def test_each_deadline_is_judged_by_its_own_moment_or_by_the_one_that_is_told():
    moments = {}
    for judged in (None, 2 * DAY):
        ann = a_shopper()
        ann.adds(at=0)
        context = ann.world.context(ann.who)
        pass_deadlines(context, IDLE, judged)
        moments[judged] = context.now_ms
    assert moments == {None: IDLE, 2 * DAY: 2 * DAY}


def test_behaviour_outlives_the_last_event_by_180_days():
    ann = a_shopper(score=lambda model, features: None)
    ann.views(at=0)
    ann.leaves(at=HOUR)
    ann.waits(until=HOUR + 180 * DAY - 1)
    assert ann.behaviour is not None
    ann.waits(until=HOUR + 180 * DAY)
    assert ann.behaviour is None
    assert set(ann.state.consent) == {"personalization", "marketing_email"}


def seen_long_ago(ann):
    ann.views(at=HOUR)
    ann.waits(until=HOUR + BEHAVIOUR_LIFE_MS)


def seen_again(ann):
    seen_long_ago(ann)
    ann.views(at=200 * DAY)
    assert ann.state.seen_ms is None, "its behaviour says when it was seen"
    ann.waits(until=200 * DAY + BEHAVIOUR_LIFE_MS)


def refused_since(ann):
    seen_long_ago(ann)
    ann.refuses("personalization", at=HOUR + BEHAVIOUR_LIFE_MS)


LAST_MOMENTS = {
    "a grant": (lambda ann: None, 0),
    "a renewal": (lambda ann: ann.grants("ads", at=10 * DAY), 10 * DAY),
    "a refusal": (lambda ann: ann.refuses(at=10 * DAY), 10 * DAY),
    "an event": (seen_long_ago, HOUR),
    "a newer event": (seen_again, 200 * DAY),
    "a refusal of behaviour that has ended": (refused_since, HOUR + BEHAVIOUR_LIFE_MS),
    "a grant that has lapsed": (lambda ann: ann.grants("ads", at=DAY, until=2 * DAY), DAY),
    "a grant after an erasure": (
        lambda ann: [ann.is_erased(at=DAY), ann.grants(at=2 * DAY)],
        2 * DAY,
    ),
}


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(("happens", "last_ms"), LAST_MOMENTS.values(), ids=LAST_MOMENTS)
def test_a_visitor_is_forgotten_13_months_after_the_last_choice_or_event(happens, last_ms, live):
    ann = a_shopper(live=live)
    happens(ann)
    end_ms = last_ms + 395 * DAY
    assert ann.views(at=end_ms - 2, bot=True) is FoldOutcome.BOT
    ann.waits(until=end_ms - 1)
    assert ann.state.consent
    ann.waits(until=end_ms)
    assert ann.state == Visitor()
    assert ann.world.effects == []
    assert ann.views(at=end_ms) is FoldOutcome.REFUSED


def test_a_refused_event_does_not_keep_a_visitor_any_longer():
    ann = Shopper()
    ann.refuses(at=0)
    ann.views(at=100 * DAY)
    assert ann.state.seen_ms is None
    assert ann.next_due_ms == CONSENT_LIFE_MS


@pytest.mark.parametrize("ends", ["refuses", "is_erased"])
def test_who_does_not_agree_is_not_known_to_have_been_seen(ends):
    for is_over in (False, True):
        ann = a_shopper()
        ann.views(at=HOUR)
        ann.waits(until=BEHAVIOUR_LIFE_MS + HOUR * is_over)
        assert ann.state.seen_ms == (HOUR if is_over else None)
        getattr(ann, ends)(at=BEHAVIOUR_LIFE_MS + HOUR)
        assert ann.state.seen_ms is None


def test_a_late_event_does_not_shorten_the_life_of_behaviour():
    ann = a_shopper()
    ann.views(at=HOUR)
    ann.views(at=0, read=HOUR)
    assert ann.behaviour.seen_ms == HOUR


def test_a_tombstone_does_not_stop_a_new_life():
    ann = a_shopper()
    ann.is_erased(at=10)
    ann.grants(at=20)
    ann.adds(at=30)
    ann.waits(until=30 * DAY + 10)
    assert ann.state.erased_ms is None
    assert ann.cart == {"p1": 1}


def test_a_grant_that_had_lapsed_before_it_was_read_lapses_at_the_next_look():
    ann = Shopper()
    ann.grants(at=HOUR, until=MINUTE)
    assert ann.next_due_ms == MINUTE
    ann.waits(until=HOUR)
    assert ann.state.consent["personalization"].status == "expired"


def test_two_grants_that_end_together_lapse_together():
    ann = Shopper()
    ann.grants("ads", "personalization", at=0, until=HOUR)
    ann.waits(until=HOUR)
    assert {choice.status for choice in ann.state.consent.values()} == {"expired"}
    assert ann.next_due_ms == CONSENT_LIFE_MS


def test_no_clock_reaches_the_moment_that_stands_for_never():
    ann = a_shopper()
    ann.waits(until=2**63 - 1)
    assert ann.next_due_ms is None
