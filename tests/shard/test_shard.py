import copy
import json
from itertools import pairwise

import pytest

from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.codec import encode_state
from stream.adapters.wire.facts import read
from stream.adapters.wire.outgoing import outgoing
from stream.domain.policy import Policies
from stream.domain.records import Score
from stream.domain.visitor import VisitorKey
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.shard import shard as shards
from stream.shard.clock import LiveClock, RecordsClock
from stream.shard.folding import Batch
from stream.shard.ports import Commit, FencedError, RewoundError, Watermark
from stream.shard.shard import Shard
from tests.scenarios.trouble import Crash
from tests.scenarios.world import (
    DAY,
    IDLE,
    MINUTE,
    POLICY,
    T0,
    Log,
    added,
    bought,
    consented,
    leaving,
    refused,
    viewed,
)

DUE = T0 + MINUTE + IDLE
VALID_UNTIL = T0 + DAY
ANN = VisitorKey("default", "ann")


class Journal(MemoryStore):
    """A store that notes what is asked of it."""

    def __init__(self):
        super().__init__(VISITOR_CODEC)
        self.calls = []

    async def commit(self, owner, commit):
        ids = await super().commit(owner, commit)
        self.calls.append("commit")
        return ids

    async def due(self, owner, until_ms, limit):
        found = await super().due(owner, until_ms, limit)
        self.calls.append(("due", len(found)))
        return found

    async def remove(self, owner, ids):
        await super().remove(owner, ids)
        self.calls.append("remove")


class LosesAnswers(Journal):
    """A store whose every commit is written, and answered only when it is sent again."""

    async def commit(self, owner, commit):
        await super().commit(owner, commit)
        return await super().commit(owner, commit)


class Sink(MemorySink):
    """A sink that notes in the store's journal when it publishes, and may be gone."""

    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        self.crashes = False

    async def publish(self, entries, looked):
        if self.crashes:
            raise Crash
        self.calls.append("publish")
        return await super().publish(entries)


class Rig:
    """A shard with its ports, and the offsets and clock of the step that comes next."""

    def __init__(self, store):
        self.store = store
        self.sink = Sink(store.calls)
        self.log = Log()
        self.offset = 0

    async def claim(self, score=lambda *_: None):
        owner = await self.store.claim(0)
        return Shard(owner, self.store, self.sink, encode, VisitorEntity(Policies(POLICY), score))

    def inputs(self, *events):
        """Return what the records of these events say, one log for all of them."""
        log = Log(*events)
        return read(sorted((r for kept in log.topics.values() for r in kept), key=_moment))

    def batch(self, *inputs, clock=None, now_ms=T0, live=False):
        self.offset += len(inputs)
        clock = clock or LiveClock(T0, None, now_ms)
        return Batch(inputs, {"lines": self.offset}, clock, now_ms, live)

    def reached(self, shard, clock_ms, *inputs, now_ms=None, live=True):
        """Return a batch in ``live`` after which all up to ``clock_ms`` has been applied."""
        now_ms = clock_ms if now_ms is None else now_ms
        clock = LiveClock(shard.owner.watermark.clock_ms, clock_ms, now_ms)
        return self.batch(*inputs, clock=clock, now_ms=now_ms, live=live)

    def published(self, topic):
        return [json.loads(e.value) for e in self.sink.published if e.topic == topic]


def _moment(record):
    return record.timestamp


def encode(effect, recorded_ms):
    return outgoing(effect, recorded_ms, "test")


@pytest.fixture
def rig():
    return Rig(Journal())


async def abandoned(rig, shard, *visitors, **consent):
    """Let visitors fill their carts at T0 + 1 minute and fall silent."""
    events = [
        event
        for visitor in visitors or ("ann",)
        for event in (consented(T0, visitor, **consent), added(T0 + MINUTE, visitor))
    ]
    await shard.step(rig.reached(shard, T0 + MINUTE, *rig.inputs(*events)))
    rig.store.calls.clear()


# The five moves


async def test_a_step_commits_once_then_publishes_then_empties_the_outbox(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE))
    assert rig.store.calls == [("due", 1), "commit", "publish", "remove"]
    assert await rig.store.outbox(shard.owner) == []


async def test_a_step_moves_the_offsets_the_clock_and_its_number_together(rig):
    shard = await rig.claim()
    await shard.step(rig.reached(shard, T0 + 5, *rig.inputs(viewed(T0), viewed(T0 + 1))))
    assert shard.owner.watermark == Watermark({"lines": 2}, T0 + 5, 1)
    await shard.step(rig.reached(shard, T0 + 9))
    assert shard.owner.watermark == Watermark({"lines": 2}, T0 + 9, 2)
    assert (await rig.store.claim(0)).watermark == shard.owner.watermark


async def test_nothing_is_published_for_a_step_without_effects(rig):
    shard = await rig.claim()
    await shard.step(rig.batch(*rig.inputs(viewed(T0))))
    assert rig.store.calls == ["commit"]


async def test_a_refused_event_leaves_no_state(rig):
    shard = await rig.claim()
    report = await shard.step(rig.batch(*rig.inputs(viewed(T0))))
    assert report.events == {("page-views", "page_viewed", "refused_consent"): 1}
    assert await rig.store.load(shard.owner, [VisitorKey("default", "ann")]) == {}
    assert shard.owner.armed == 0


async def test_what_is_forgotten_leaves_state_and_wake_ups(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    assert shard.owner.armed == 1
    erased = {"type": "erasure_requested", "id": "x", "visitor": "ann", "at_ms": T0 + 2 * MINUTE}
    await shard.step(rig.reached(shard, T0 + 2 * MINUTE, *rig.inputs(erased)))
    state = (await rig.store.load(shard.owner, [VisitorKey("default", "ann")]))["default", "ann"]
    assert (state.behaviour, state.consent) == (None, {})
    tombstone_ends = erased["at_ms"] + 30 * DAY
    assert shard.owner.next_due_ms == tombstone_ends
    await shard.step(rig.reached(shard, tombstone_ends))
    assert await rig.store.load(shard.owner, [VisitorKey("default", "ann")]) == {}
    assert (shard.owner.armed, shard.owner.next_due_ms) == (0, None)


async def test_who_was_not_seen_for_13_months_leaves_state_and_wake_ups(rig):
    shard = await rig.claim()
    await shard.step(rig.batch(*rig.inputs(consented(T0))))
    forgotten_ms = T0 + 395 * DAY
    assert (shard.owner.armed, shard.owner.next_due_ms) == (1, forgotten_ms)
    await shard.step(rig.reached(shard, forgotten_ms))
    assert await rig.store.load(shard.owner, [VisitorKey("default", "ann")]) == {}
    assert (shard.owner.armed, shard.owner.next_due_ms) == (0, None)


async def test_the_report_counts_events_by_topic_type_and_outcome(rig):
    shard = await rig.claim()
    once = viewed(T0 + 2)
    bot = viewed(T0 + 4, context={"bot": True})
    report = await shard.step(
        rig.batch(*rig.inputs(consented(T0), added(T0 + 1), once, once, bot, viewed(T0, "bob")))
    )
    assert report.events == {
        ("consent-events", "consent_updated", "applied"): 1,
        ("cart-events", "product_added", "applied"): 1,
        ("page-views", "page_viewed", "applied"): 1,
        ("page-views", "page_viewed", "duplicate"): 1,
        ("page-views", "page_viewed", "bot"): 1,
        ("page-views", "page_viewed", "refused_consent"): 1,
    }


async def test_a_trigger_carries_the_score_that_was_asked_for(rig):
    shard = await rig.claim(score=lambda model, _: Score(model, 7, 0.25))
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE))
    (trigger,) = rig.published("triggers")
    assert trigger["score"] == {"model": "purchase_after_add", "version": 7, "value": 0.25}


async def test_only_triggers_that_a_record_caused_count_as_its_answers(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    facts = rig.inputs(leaving(DUE + MINUTE))
    clock = RecordsClock(shard.owner.watermark.clock_ms, facts, at_end=True)
    report = await shard.step(rig.batch(*facts, clock=clock))
    assert [one["kind"] for one in rig.published("triggers")] == ["cart_abandonment", "exit_intent"]
    assert report.answered_ms == [DUE + MINUTE]


# Order inside a step


async def test_a_fact_of_the_due_moment_comes_before_the_wake_up(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE, *rig.inputs(viewed(DUE))))
    assert rig.published("decisions") == []
    assert shard.owner.next_due_ms == DUE + IDLE


async def test_what_an_earlier_step_left_over_yields_to_what_the_shopper_did_since(
    rig, monkeypatch
):
    monkeypatch.setattr(shards, "DUE_PER_STEP", 0)
    shard = await rig.claim()
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE))
    assert rig.published("triggers") == []
    monkeypatch.setattr(shards, "DUE_PER_STEP", 1)
    await shard.step(rig.reached(shard, DUE + MINUTE, *rig.inputs(viewed(DUE + MINUTE))))
    assert rig.published("triggers") == []
    assert shard.owner.next_due_ms == DUE + MINUTE + IDLE


async def test_by_the_records_clock_a_deadline_inside_a_batch_falls_between_its_records(rig):
    shard = await rig.claim()
    facts = rig.inputs(
        consented(T0), added(T0 + MINUTE), bought(DUE + MINUTE), viewed(DUE + 2 * MINUTE)
    )
    await shard.step(rig.batch(*facts, clock=RecordsClock(T0, facts, at_end=False)))
    assert [one["due_at_ms"] for one in rig.published("triggers")] == [DUE]


async def test_live_a_purchase_of_the_same_batch_comes_before_what_is_due(rig):
    shard = await rig.claim()
    facts = rig.inputs(consented(T0), added(T0 + MINUTE), bought(DUE + MINUTE))
    await shard.step(rig.reached(shard, DUE + DAY, *facts))
    assert rig.published("decisions") == []


# Wake-ups, a limited number a step


async def test_due_wake_ups_beyond_the_limit_are_finished_by_further_steps(rig, monkeypatch):
    monkeypatch.setattr(shards, "DUE_PER_STEP", 3)
    visitors = [f"v{number}" for number in range(8)]
    shard = await rig.claim()
    await abandoned(rig, shard, *visitors)
    counts = []
    while shard.owner.next_due_ms <= DUE:
        before = len(rig.published("triggers"))
        await shard.step(rig.reached(shard, DUE))
        counts.append(len(rig.published("triggers")) - before)
    assert counts == [3, 3, 2]
    assert {one["visitor"] for one in rig.published("triggers")} == set(visitors)


async def test_wake_ups_are_not_asked_for_before_the_next_one_is_due(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE - 1))
    assert rig.store.calls == ["commit"]
    assert shard.owner.next_due_ms == DUE


async def test_a_wake_up_whose_state_has_no_deadline_is_settled(rig):
    shard = await rig.claim()
    stray = {VisitorKey("default", "ghost"): DUE}
    await rig.store.commit(shard.owner, Commit({}, stray, [], Watermark({}, T0, 1)))
    assert shard.owner.next_due_ms == DUE
    await shard.step(rig.reached(shard, DUE))
    assert (shard.owner.next_due_ms, shard.owner.armed) == (None, 0)


# Fencing


async def test_a_fenced_owner_publishes_nothing_and_changes_nothing(rig):
    old = await rig.claim()
    await abandoned(rig, old)
    new = await rig.claim()
    with pytest.raises(FencedError):
        await old.step(rig.reached(old, DUE))
    assert rig.sink.published == []
    await new.step(rig.reached(new, DUE))
    assert len(rig.published("triggers")) == 1


async def test_an_owner_whose_store_was_rewound_publishes_nothing(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    rig.store._shards[0].watermark = Watermark({"lines": 1}, T0, 1)
    with pytest.raises(RewoundError):
        await shard.step(rig.reached(shard, DUE))
    assert rig.sink.published == []


async def test_an_owner_fenced_while_it_publishes_leaves_the_outbox_to_the_new_one(rig):
    old = await rig.claim()
    await abandoned(rig, old)
    publish = rig.sink.publish

    async def overtaken(entries, looked):
        done = await publish(entries, looked)
        await rig.store.claim(0)
        return done

    rig.sink.publish = overtaken
    with pytest.raises(FencedError):
        await old.step(rig.reached(old, DUE))
    rig.sink.publish = publish
    new = await rig.claim()
    await new.resume(live=True, now_ms=DUE)
    first, again = (e for e in rig.sink.published if e.topic == "triggers")
    assert first == again


# What a crash or a lost answer leaves behind


async def test_a_lost_answer_of_the_commit_publishes_from_the_outbox():
    rig = Rig(LosesAnswers())
    shard = await rig.claim()
    await abandoned(rig, shard)
    await shard.step(rig.reached(shard, DUE))
    assert len(rig.published("triggers")) == 1
    assert rig.store.calls == [("due", 1), "commit", "commit", "publish", "remove"]
    assert await rig.store.outbox(shard.owner) == []


async def test_a_lost_answer_without_effects_publishes_nothing():
    rig = Rig(LosesAnswers())
    shard = await rig.claim()
    await shard.step(rig.batch(*rig.inputs(consented(T0))))
    assert rig.store.calls == ["commit", "commit"]


async def test_resuming_publishes_what_was_committed_and_not_published(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    rig.sink.crashes = True
    with pytest.raises(Crash):
        await shard.step(rig.reached(shard, DUE))
    rig.sink.crashes = False
    new = await rig.claim()
    left = await rig.store.outbox(new.owner)
    assert await new.resume(live=True, now_ms=DUE + 5) == 0
    assert rig.sink.published == [entry for _, entry in left]
    assert len(rig.published("triggers")) == 1
    assert await rig.store.outbox(new.owner) == []


async def test_resuming_with_an_empty_outbox_publishes_nothing(rig):
    shard = await rig.claim()
    assert await shard.resume(live=True, now_ms=T0) == 0
    assert rig.store.calls == []


# The last look at consent


async def left_in_the_outbox(rig, **consent):
    """Return a new owner that finds an unpublished trigger in the outbox."""
    shard = await rig.claim()
    await abandoned(rig, shard, **consent)
    rig.sink.crashes = True
    with pytest.raises(Crash):
        await shard.step(rig.reached(shard, DUE))
    rig.sink.crashes = False
    return await rig.claim()


async def test_right_before_sending_consent_that_has_run_out_withholds_the_trigger(rig):
    new = await left_in_the_outbox(rig, valid_until_ms=VALID_UNTIL)
    assert await new.resume(live=True, now_ms=VALID_UNTIL + 1) == 1
    assert rig.published("triggers") == []
    assert [one["reason"] for one in rig.published("decisions")] == ["fired"]
    assert await rig.store.outbox(new.owner) == []


async def test_consent_in_its_last_valid_moment_lets_the_trigger_go(rig):
    new = await left_in_the_outbox(rig, valid_until_ms=VALID_UNTIL)
    assert await new.resume(live=True, now_ms=VALID_UNTIL) == 0
    assert len(rig.published("triggers")) == 1


async def test_a_grant_that_by_our_clock_begins_in_a_moment_stands_already(rig):
    new = await left_in_the_outbox(rig)
    assert await new.resume(live=True, now_ms=T0 - 1) == 0
    assert len(rig.published("triggers")) == 1


async def test_by_the_records_clock_the_wall_clock_withholds_nothing(rig):
    new = await left_in_the_outbox(rig, valid_until_ms=VALID_UNTIL)
    assert await new.resume(live=False, now_ms=VALID_UNTIL + 1) == 0
    assert len(rig.published("triggers")) == 1


async def test_each_purpose_that_a_trigger_needs_is_looked_at(rig):
    new = await left_in_the_outbox(rig)
    who = VisitorKey("default", "ann")
    states = await rig.store.load(new.owner, [who])
    del states[who].consent["marketing_email"]
    step = new.owner.watermark.step + 1
    await rig.store.commit(new.owner, Commit(states, {}, [], Watermark({}, DUE, step)))
    assert await new.resume(live=True, now_ms=DUE) == 1


async def test_a_visitor_who_is_unknown_by_now_gets_nothing(rig):
    new = await left_in_the_outbox(rig)
    gone = Commit({VisitorKey("default", "ann"): None}, {}, [], Watermark({}, DUE, 9))
    await rig.store.commit(new.owner, gone)
    assert await new.resume(live=True, now_ms=DUE) == 1
    assert rig.published("triggers") == []


async def test_a_refusal_in_the_step_of_the_trigger_withholds_it_and_cancels_it(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    # An exit signal is answered at once, and refused by a later record of the same batch.
    facts = rig.inputs(
        leaving(T0 + 2 * MINUTE), refused(T0 + 3 * MINUTE, purpose="personalization")
    )
    report = await shard.step(rig.reached(shard, T0 + 3 * MINUTE, *facts, now_ms=T0 + 2 * MINUTE))
    assert report.withheld == 1
    assert rig.published("triggers") == []
    assert [one["kind"] for one in rig.published("trigger-cancels")] == ["exit_intent"]


async def test_withholding_one_visitors_trigger_leaves_the_others_alone(rig):
    shard = await rig.claim()
    await abandoned(rig, shard, "ann", "bob")
    facts = rig.inputs(
        leaving(T0 + 2 * MINUTE, "ann"),
        leaving(T0 + 2 * MINUTE, "bob"),
        refused(T0 + 3 * MINUTE, "ann", "personalization"),
    )
    report = await shard.step(rig.reached(shard, T0 + 3 * MINUTE, *facts, now_ms=T0 + 2 * MINUTE))
    assert report.withheld == 1
    assert [one["visitor"] for one in rig.published("triggers")] == ["bob"]


async def test_where_sending_took_too_long_there_is_another_look_at_the_rest(rig):
    shard = await rig.claim()
    await abandoned(rig, shard, "ann", "bob")
    publish = rig.sink.publish
    stood_still = [True]

    async def slow(entries, looked):
        if not stood_still:
            return await publish(entries, looked)
        stood_still.pop()
        first = next(n for n, entry in enumerate(entries) if entry.topic == "triggers") + 1
        who = VisitorKey("default", "bob")
        states = await rig.store.load(shard.owner, [who])
        states[who].consent.clear()
        rig.store._shards[0].states[who] = encode_state(states[who])
        return await publish(entries[:first], looked)

    rig.sink.publish = slow
    report = await shard.step(rig.reached(shard, DUE))
    assert [one["visitor"] for one in rig.published("triggers")] == ["ann"]
    assert len(rig.published("decisions")) == 2
    assert report.withheld == 1
    assert await rig.store.outbox(shard.owner) == []


async def test_an_owner_fenced_between_two_looks_sends_no_more(rig):
    old = await rig.claim()
    await abandoned(rig, old)

    async def stood_still(entries, looked):
        await rig.store.claim(0)
        return 0

    publish, rig.sink.publish = rig.sink.publish, stood_still
    with pytest.raises(FencedError):
        await old.step(rig.reached(old, DUE))
    rig.sink.publish = publish
    assert rig.sink.published == []
    new = await rig.claim()
    await new.resume(live=True, now_ms=DUE)
    assert len(rig.published("triggers")) == 1


@pytest.mark.parametrize("live", [True, False])
async def test_a_zombie_sends_nothing_of_what_the_outbox_holds(rig, live):
    new = await left_in_the_outbox(rig)
    await rig.store.claim(0)
    with pytest.raises(FencedError):
        await new.resume(live=live, now_ms=DUE)
    assert rig.sink.published == []


# A store that has lost data


async def test_what_a_lost_store_had_published_changes_the_state_and_nothing_else(rig):
    shard = await rig.claim(score=lambda model, _: Score(model, 7, 0.25))
    facts = [
        *rig.inputs(consented(T0), added(T0 + MINUTE), viewed(DUE + MINUTE)),
        broken(7, DUE + MINUTE),
        *rig.inputs(bought(DUE + 2 * MINUTE), refused(DUE + 3 * MINUTE)),
    ]
    clock = RecordsClock(T0, [facts[0], facts[-1]], at_end=True)
    batch = rig.batch(*facts, clock=clock)
    whole = copy.deepcopy(batch)
    batch.live = batch.recovering = True
    report = await shard.step(batch)
    assert report.effects == report.dead_letters == report.answered_ms == []
    assert report.events["cart-events", "unknown", "dead_letter"] == 1
    assert await rig.store.outbox(shard.owner) == []
    assert rig.sink.published == []
    rebuilt = await rig.store.load(shard.owner, [ANN])
    rig.store._shards.clear()
    undisturbed = await rig.claim(score=lambda model, _: Score(model, 7, 0.25))
    await undisturbed.step(whole)
    assert {"triggers", "trigger-cancels", "training-examples", "dead-letters"} <= {
        entry.topic for entry in rig.sink.published
    }
    assert await rig.store.load(undisturbed.owner, [ANN]) == rebuilt


async def test_an_outbox_is_emptied_unsent_where_all_of_it_was_published(rig):
    shard = await left_in_the_outbox(rig)
    await shard.discard()
    assert await rig.store.outbox(shard.owner) == []
    assert rig.sink.published == []


# Dead letters


def broken(offset, timestamp):
    log = Log()
    for _ in range(offset):
        log.append("cart-events", timestamp)
    return read([log.append("cart-events", timestamp, b"ann", b"{")])[0]


async def test_a_dead_letter_costs_itself_only(rig):
    shard = await rig.claim()
    facts = rig.inputs(consented(T0), added(T0 + 1))
    report = await shard.step(rig.batch(facts[0], broken(4, T0), facts[1]))
    assert report.events == {
        ("consent-events", "consent_updated", "applied"): 1,
        ("cart-events", "product_added", "applied"): 1,
        ("cart-events", "unknown", "dead_letter"): 1,
    }
    (dead,) = [entry for entry in rig.sink.published if entry.topic == "dead-letters"]
    assert (dead.key, dead.value) == (b"ann", b"{")
    assert dict(dead.headers)["ce_id"] == b"cart-events-0-4"
    assert [letter.offset for letter in report.dead_letters] == [4]


async def test_dead_letters_are_committed_before_they_are_published(rig):
    shard = await rig.claim()
    await shard.step(rig.batch(broken(0, T0)))
    assert rig.store.calls == ["commit", "publish", "remove"]


async def test_a_dead_letter_does_not_move_the_clock(rig):
    shard = await rig.claim()
    await abandoned(rig, shard)
    letters = [broken(0, DUE + DAY)]
    clock = RecordsClock(shard.owner.watermark.clock_ms, [], at_end=True)
    await shard.step(rig.batch(*letters, clock=clock))
    assert shard.owner.watermark.clock_ms == T0 + MINUTE
    assert rig.published("triggers") == []


# Effects of one visitor keep their order


async def test_a_visitors_records_are_published_in_the_order_in_which_they_came_about(rig):
    shard = await rig.claim()
    facts = rig.inputs(
        consented(T0),
        added(T0 + MINUTE),
        leaving(T0 + 2 * MINUTE),
        viewed(T0 + 2 * DAY),
        leaving(T0 + 2 * DAY + MINUTE),
    )
    await shard.step(rig.batch(*facts, clock=RecordsClock(T0, facts, at_end=True)))
    moments = [one["at_ms"] for one in rig.published("decisions")]
    assert len(moments) > 3
    assert all(one <= after for one, after in pairwise(moments))
