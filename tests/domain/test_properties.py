"""What holds for every log: the promises that no list of examples can cover."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.adapters.wire.codec import encode_state
from stream.domain.cart import fingerprint_of, value_of
from stream.domain.context import FoldOutcome
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.events import ConsentUpdated, ErasureRequested, OrderCompleted, Purposes
from stream.domain.kinds import KIND_OF
from stream.domain.kinds.cart_abandonment import (
    CART_ABANDONMENT,
    follow_up_due_ms,
    reminder_due_ms,
)
from stream.domain.policy import BEHAVIOUR_LIFE_MS, CONSENT_LIFE_MS, DAY_MS, Holdout
from stream.domain.records import Decision, Trigger, TriggerCancel
from tests.domain.build import POLICY, Shopper, World, a_shopper
from tests.strategies import BOUNDED, WHOS, logs

ANN = WHOS[:1]
HALF_HELD_OUT = replace(POLICY, holdout=Holdout(fraction=0.5))
WITHOUT_PERSONALIZATION = st.sampled_from(
    [None, Purposes(marketing_email="granted"), Purposes(personalization="denied", ads="granted")]
)


def run(log, **more):
    """Fold a log, and then three months of silence."""
    world = World(**more)
    for fact in log:
        world.take(fact)
    world.wait(end_of(log) + 90 * DAY_MS)
    return world


def stored(states):
    """Return states as they are stored: what a kind remembers is decoded only when needed."""
    return {who: encode_state(state) for who, state in states.items()}


def end_of(log):
    return max(fact.record_ms for fact in log)


def concerning(effects, who):
    # Examples name nobody: they are compared by the ids that they carry.
    return [e for e in effects if (getattr(e, "tenant", None), getattr(e, "visitor", None)) == who]


@BOUNDED
@given(logs(), st.data())
def test_stopping_and_resuming_changes_nothing(log, data):
    cuts = data.draw(st.sets(st.integers(0, len(log)), max_size=3))
    world = World()
    for number, fact in enumerate(log):
        if number in cuts:
            world.stop_and_resume()
        world.take(fact)
    world.stop_and_resume()
    world.wait(end_of(log) + 90 * DAY_MS)
    straight = run(log)
    assert world.effects == straight.effects
    assert stored(world.states) == stored(straight.states)


@BOUNDED
@given(logs())
def test_stopping_at_every_event_changes_nothing(log):
    world = World()
    for fact in log:
        world.take(fact)
        world.stop_and_resume()
    straight = World()
    for fact in log:
        straight.take(fact)
    assert world.effects == straight.effects
    assert stored(world.states) == stored(straight.states)


@BOUNDED
@given(logs())
def test_what_other_visitors_do_and_when_does_not_matter(log):
    together = run(log)
    examples = Counter()
    for who in {fact.key for fact in log}:
        alone = World()
        for fact in log:
            if fact.key == who:
                alone.take(fact)
        alone.wait(end_of(log) + 90 * DAY_MS)
        assert encode_state(alone.states[who]) == encode_state(together.states[who])
        assert concerning(alone.effects, who) == concerning(together.effects, who)
        examples.update(e.example_id for e in alone.effects if hasattr(e, "example_id"))
    assert examples == Counter(e.example_id for e in together.effects if hasattr(e, "example_id"))


@BOUNDED
@given(logs(ANN), st.lists(st.integers(0, 90 * DAY_MS), max_size=8))
def test_looking_more_often_at_a_visitor_changes_nothing(log, looks):
    seldom, often = run(log), World()
    for fact in log:
        often.wait(fact.record_ms - 1)
        often.take(fact)
    for look in sorted(looks):
        often.wait(end_of(log) + look)
    often.wait(end_of(log) + 90 * DAY_MS)
    assert often.effects == seldom.effects
    assert stored(often.states) == stored(seldom.states)


@BOUNDED
@given(logs(ANN, consent=None), st.data())
def test_when_a_purpose_that_no_trigger_needs_is_chosen_does_not_matter(log, data):
    told = []
    for _ in range(2):
        at = data.draw(st.integers(0, len(log) - 1))
        ann = Shopper(world=World(), who=ANN[0])
        for number, fact in enumerate(log):
            if number == at:
                ann.chooses(at=fact.at_ms, read=fact.record_ms, ads="denied", id="ads")
            ann.world.take(fact)
        ann.waits(until=end_of(log) + DAY_MS)
        told.append([but_for_consent(effect) for effect in ann.world.effects])
    assert told[0] == told[1]


def but_for_consent(effect):
    return replace(effect, consent={}) if isinstance(effect, Trigger) else effect


ADDITIONS = st.lists(
    st.tuples(st.sampled_from(["p1", "p2", "p3"]), st.integers(1, 6_000), st.integers(0, 999)),
    max_size=8,
)


@BOUNDED
@given(ADDITIONS, st.randoms(use_true_random=False))
def test_the_order_in_which_additions_are_read_does_not_matter(additions, random):
    carts = []
    for _ in range(2):
        ann = a_shopper()
        ann.views(at=0)
        for number, (name, quantity, price) in random.sample(
            list(enumerate(additions)), len(additions)
        ):
            ann.adds(name, at=number, read=len(additions), quantity=quantity, price=price)
        lines = ann.behaviour.cart.lines if ann.behaviour.cart else []
        carts.append((fingerprint_of(lines), value_of(lines)))
    assert carts[0] == carts[1]


CHOICES = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["granted", "denied", "withdrawn"])), min_size=1
)


@BOUNDED
@given(CHOICES)
def test_whatever_the_order_the_latest_choice_counts_and_at_equal_times_the_refusal(choices):
    ann = Shopper()
    for at, status in choices:
        ann.chooses(at=at, read=at, personalization=status)
    latest = max(at for at, _ in choices)
    agreed = all(status == "granted" for at, status in choices if at == latest)
    assert (ann.state.consent["personalization"].status == "granted") is agreed


@BOUNDED
@given(CHOICES)
def test_a_refusal_wins_over_everything_from_before_its_record(choices):
    ann = Shopper()
    for at, status in choices:
        ann.chooses(at=at, read=5, personalization=status)
    agreed = all(status == "granted" for _, status in choices)
    assert (ann.state.consent["personalization"].status == "granted") is agreed


@BOUNDED
@given(logs(openings=WITHOUT_PERSONALIZATION, consent=None))
def test_nobody_without_consent_leaves_a_trace(log):
    world = World()
    for fact in log:
        world.take(fact)
        state = world.states[fact.key]
        assert state.is_unknown or (state.consent and state.behaviour is None)
    assert world.effects == []


@BOUNDED
@given(logs())
def test_behaviour_is_kept_only_while_personalization_is_granted_and_nothing_for_ever(log):
    world = World()
    for fact in log:
        world.take(fact)
        state = world.states[fact.key]
        known = state.consent.get("personalization")
        assert state.behaviour is None or known.status == "granted"
    world.wait(end_of(log) + BEHAVIOUR_LIFE_MS + DAY_MS)
    assert all(state.behaviour is None for state in world.states.values())
    told = len(world.effects)
    world.wait(end_of(log) + CONSENT_LIFE_MS + DAY_MS)
    assert all(state.is_unknown for state in world.states.values())
    assert world.effects[told:] == []


@BOUNDED
@given(logs())
def test_nothing_but_a_cancel_comes_of_a_choice_or_an_erasure(log):
    world = World()
    for fact in log:
        world.wait(fact.record_ms - 1)
        known = len(world.effects)
        world.take(fact)
        if isinstance(fact.event, ConsentUpdated | ErasureRequested):
            assert all(isinstance(effect, TriggerCancel) for effect in world.effects[known:])


class Refusals:
    """What a visitor has refused, by the contract's words alone: the newest choice per purpose."""

    def __init__(self):
        self.newest = {}

    def read(self, event):
        if isinstance(event, ErasureRequested):
            self.newest = {}
            return
        for purpose in Purposes.__struct_fields__:
            status = getattr(event.purposes, purpose)
            if status is not None:
                choice = (event.at_ms, status != "granted")
                self.newest[purpose] = max(choice, self.newest.get(purpose, choice))

    def allow(self, kind):
        return all(not self.newest.get(purpose, (0, True))[1] for purpose in KIND_OF[kind].needs)


@BOUNDED
@given(logs(ANN))
def test_after_a_refusal_no_trigger_comes_until_a_new_grant(log):
    world, refusals = World(), Refusals()
    for fact in log:
        world.wait(fact.record_ms - 1)
        outcome = world.take(fact)
        assert all(refusals.allow(e.kind) for e in world.effects if isinstance(e, Trigger))
        world.effects.clear()
        if isinstance(fact.event, ConsentUpdated | ErasureRequested) and outcome not in {
            FoldOutcome.DUPLICATE,
            FoldOutcome.REFUSED,
        }:
            refusals.read(fact.event)
    world.wait(end_of(log) + 90 * DAY_MS)
    assert all(refusals.allow(e.kind) for e in world.effects if isinstance(e, Trigger))


@BOUNDED
@given(logs(ANN))
def test_the_same_contents_are_mentioned_once_between_orders(log):
    world, mentioned = World(), set()
    for fact in log:
        world.wait(fact.record_ms - 1)
        check_mentioned(world, mentioned)
        outcome = world.take(fact)
        ordered = isinstance(fact.event, OrderCompleted) and outcome is FoldOutcome.APPLIED
        if ordered or world.states[fact.key].behaviour is None:
            mentioned.clear()
    world.wait(end_of(log) + 90 * DAY_MS)
    check_mentioned(world, mentioned)


def check_mentioned(world, mentioned):
    for effect in world.effects:
        if (
            isinstance(effect, Trigger)
            and effect.kind == CART_ABANDONMENT.name
            and effect.step == 0
        ):
            assert effect.cart.fingerprint not in mentioned
            mentioned.add(effect.cart.fingerprint)
    world.effects.clear()


@BOUNDED
@given(logs(ANN), st.sampled_from([POLICY, HALF_HELD_OUT]))
def test_every_reminder_that_falls_due_is_decided_exactly_once(log, policy):
    world = World(policy)
    for fact in log:
        pass_one_by_one(world, fact.record_ms - 1)
        world.take(fact)
    pass_one_by_one(world, end_of(log) + 90 * DAY_MS)
    triggers = [e for e in world.effects if isinstance(e, Trigger)]
    fired = [e for e in world.effects if isinstance(e, Decision) and e.outcome == "fired"]
    assert [e.trigger_id for e in triggers] == [e.trigger_id for e in fired]


def pass_one_by_one(world, until_ms):
    """Let deadlines pass, and count those of reminders against the decisions."""
    context = world.context(ANN[0])
    while (
        due_ms := next_due_ms(context.state, context.policy, context.kinds)
    ) is not None and due_ms <= until_ms:
        behaviour, rules = context.state.behaviour, CART_ABANDONMENT.parameters_in(context.policy)
        memory = CART_ABANDONMENT.memory_in(behaviour) if behaviour is not None else None
        owed = 0
        if memory is not None:
            dues = (f(behaviour, memory, rules) for f in (reminder_due_ms, follow_up_due_ms))
            owed = list(dues).count(due_ms)
        known = len(context.effects)
        pass_deadlines(context, due_ms, None)
        decided = [e for e in context.effects[known:] if isinstance(e, Decision)]
        assert [e.at_ms for e in decided] == [due_ms] * owed


@BOUNDED
@given(logs(ANN), st.integers(0, 10 * DAY_MS))
def test_restraint_wins_where_a_backlog_was_read_before_the_clock_moved(log, late_ms):
    world = World(live=True)
    for fact in log:
        world.take(fact)
    world.effects.clear()
    now_ms = end_of(log) + late_ms
    world.wait(now_ms)
    triggers = [e for e in world.effects if isinstance(e, Trigger)]
    assert all(e.due_at_ms <= now_ms <= e.expires_at_ms for e in triggers)
    contents = [e.cart.fingerprint for e in triggers if e.step == 0]
    assert len(contents) <= 1
