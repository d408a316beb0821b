from collections import Counter

import pytest

from stream.domain.topics import LANES
from stream.shard.ports import FencedError, RewoundError
from tests.scenarios.trouble import Crash, Crashing, copied
from tests.scenarios.world import (
    ALL,
    DAY,
    HOUR,
    IDLE,
    MINUTE,
    SECOND,
    T0,
    World,
    added,
    bought,
    consented,
    decided,
    erasure,
    leaving,
    refused,
    viewed,
)

DUE = T0 + MINUTE + IDLE
ABANDONED = (consented(T0), added(T0 + MINUTE))


async def abandoned_world(*more, sink=None):
    """Return a world whose worker has seen a cart being filled, and the worker."""
    world = World(*ABANDONED, *more, sink=sink)
    world.now_ms = T0 + MINUTE
    worker = await world.worker()
    await worker.run()
    return world, worker


# The live clock


async def test_a_reminder_comes_when_the_clock_reaches_its_moment():
    world, worker = await abandoned_world()
    world.now_ms = DUE - 1
    await worker.run()
    assert world.triggers() == []
    world.now_ms = DUE
    await worker.run()
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]


async def test_a_purchase_in_the_backlog_prevents_the_reminder():
    world, _ = await abandoned_world()
    for minute in range(2, 60):
        world.log.write(viewed(T0 + minute * MINUTE, "bob"))
    world.log.write(bought(DUE - SECOND))
    world.now_ms = DUE + HOUR
    worker = await world.worker()
    # The sparse topic comes last, and every record makes a step of its own.
    for topic in ("page-views", "consent-events", "cart-events"):
        worker.fetch(topic)
        while await worker.step(limit=1):
            pass
    await worker.run(limit=1)
    assert world.reasons() == []
    assert worker.shard.owner.watermark.clock_ms == world.now_ms


async def test_a_purchase_after_the_due_moment_prevents_it_too_while_it_is_in_the_backlog():
    world, _ = await abandoned_world()
    world.log.write(bought(DUE + MINUTE))
    world.now_ms = DUE + HOUR
    await (await world.worker()).run(limit=1)
    assert world.reasons() == []


async def test_while_a_backlog_drains_the_clock_stands_still():
    world, _ = await abandoned_world()
    for minute in range(2, 12):
        world.log.write(viewed(T0 + minute * MINUTE, "bob"))
    world.now_ms = DUE + HOUR
    worker = await world.worker()
    worker.fetch_all()
    clocks = set()
    for _ in range(9):
        await worker.step(limit=1)
        clocks.add(worker.shard.owner.watermark.clock_ms)
    assert clocks == {T0 + MINUTE}
    await worker.step(limit=1)
    assert worker.shard.owner.watermark.clock_ms == DUE + HOUR


async def test_an_empty_backlog_lets_the_reminder_come_late():
    world, _ = await abandoned_world()
    world.now_ms = DUE + HOUR
    await (await world.worker()).run()
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]


async def test_a_reminder_reached_more_than_a_day_late_has_expired():
    world, _ = await abandoned_world()
    world.now_ms = DUE + DAY + 1
    await (await world.worker()).run()
    assert (world.triggers(), world.reasons()) == ([], ["expired"])


async def test_who_has_come_back_within_the_backlog_is_reminded_of_the_later_visit():
    world, _ = await abandoned_world()
    world.log.write(viewed(DUE + MINUTE))
    world.now_ms = DUE + 2 * HOUR
    await (await world.worker()).run(limit=1)
    assert world.triggers() == [("ann", "cart_abandonment", DUE + MINUTE + IDLE)]


async def test_one_topic_that_is_not_read_holds_all_reminders_back():
    world, worker = await abandoned_world()
    world.now_ms = DUE + HOUR
    for topic in [lane for lane in LANES if lane != "page-views"] * 3:
        worker.fetch(topic)
        assert await worker.step() is None
    worker.fetch("page-views")
    await worker.step()
    assert len(world.triggers()) == 1


async def test_live_an_old_exit_signal_is_answered_by_nobody():
    world, worker = await abandoned_world()
    world.log.write(leaving(T0 + 2 * MINUTE))
    world.now_ms = T0 + 2 * MINUTE + 10 * SECOND + 1
    await worker.run()
    assert world.reasons() == ["expired"]


# Withdrawal, erasure


@pytest.mark.parametrize("purpose", ["marketing_email", "personalization"])
@pytest.mark.parametrize("early_ms", [0, 1, 50])
async def test_a_withdrawal_at_the_due_moment_prevents_the_reminder(purpose, early_ms):
    world, worker = await abandoned_world()
    world.log.write(refused(DUE - early_ms, purpose=purpose))
    world.now_ms = DUE
    await worker.run()
    assert world.triggers() == []


@pytest.mark.parametrize("late_ms", [1, 50])
async def test_a_withdrawal_just_after_the_due_moment_counts_if_it_is_read_first(late_ms):
    world, worker = await abandoned_world()
    world.log.write(refused(DUE + late_ms))
    world.now_ms = DUE + late_ms
    await worker.run()
    assert world.triggers() == []


@pytest.mark.parametrize(
    ("taken_back", "reason"),
    [
        (refused(DUE + MINUTE), "consent_refused"),
        (refused(DUE + MINUTE, purpose="personalization"), "consent_refused"),
        (erasure(DUE + MINUTE), "erased"),
    ],
)
async def test_a_withdrawal_after_the_reminder_calls_it_back(taken_back, reason):
    world, worker = await abandoned_world()
    world.now_ms = DUE
    await worker.run()
    world.log.write(taken_back)
    world.now_ms = DUE + MINUTE
    await worker.run()
    (cancel,) = world.published("trigger-cancels")
    (trigger,) = world.published("triggers")
    assert (cancel["trigger_id"], cancel["reason"]) == (trigger["trigger_id"], reason)


async def test_after_an_erasure_nothing_is_published_and_nothing_is_kept():
    world, worker = await abandoned_world()
    world.log.write(erasure(T0 + 2 * MINUTE))
    world.log.write(added(T0 + 2 * MINUTE - 1), stored_ms=T0 + 3 * MINUTE)
    await world.minutes(worker, 120)
    assert world.sink.published == []
    world.now_ms = T0 + 31 * DAY
    await worker.run()
    assert worker.shard.owner.armed == 0
    assert world.store._shards[0].states == {}


# Causal release


async def test_consent_that_was_stored_before_the_cart_is_folded_before_it():
    world = World()
    worker = await world.worker()
    worker.fetch_all()
    worker.fetch("consent-events")
    world.log.write(consented(T0))
    world.log.write(added(T0 + 1))
    worker.fetch("cart-events")
    assert await worker.step() is None
    for topic in [lane for lane in LANES if lane != "cart-events"]:
        worker.fetch(topic)
    report = await worker.step()
    assert report.events == Counter(
        {
            ("consent-events", "consent_updated", "applied"): 1,
            ("cart-events", "product_added", "applied"): 1,
        }
    )


# Crashes


async def test_a_crash_between_commit_and_publish_repeats_the_same_trigger():
    sink = Crashing()
    world, worker = await abandoned_world(sink=sink)
    world.now_ms = DUE
    sink.before = True
    with pytest.raises(Crash):
        await worker.run()
    assert sink.published == []
    committed = [entry for _, entry in await world.store.outbox(worker.shard.owner)]
    sink.before = False
    world.now_ms = DUE + MINUTE
    await (await world.worker()).run()
    assert sink.published == committed
    straight, straight_worker = await abandoned_world()
    straight.now_ms = DUE
    await straight_worker.run()
    assert sink.published == straight.sink.published


async def test_a_crash_after_publishing_repeats_the_same_bytes():
    sink = Crashing()
    world, worker = await abandoned_world(sink=sink)
    world.now_ms = DUE
    sink.after = True
    with pytest.raises(Crash):
        await worker.run()
    sink.after = False
    await (await world.worker()).run()
    first, again = (entry for entry in sink.published if entry.topic == "triggers")
    assert first == again
    world.now_ms = DUE + MINUTE
    await (await world.worker()).run()
    assert len(world.triggers()) == 2


async def test_consent_that_ends_between_crash_and_takeover_withholds_the_trigger():
    sink = Crashing()
    world = World(consented(T0, valid_until_ms=DUE + SECOND), added(T0 + MINUTE), sink=sink)
    worker = await world.worker()
    world.now_ms = DUE
    sink.before = True
    with pytest.raises(Crash):
        await worker.run()
    sink.before = False
    world.now_ms = DUE + HOUR
    await (await world.worker()).run()
    assert world.triggers() == []
    assert world.reasons() == ["fired"]


# Another owner


async def test_an_owner_that_was_replaced_in_mid_step_writes_and_sends_nothing():
    world, old = await abandoned_world()
    world.now_ms = DUE
    old.fetch_all()
    new = await world.worker()
    with pytest.raises(FencedError):
        await old.step()
    assert world.sink.published == []
    await new.run()
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]


# A Redis that lost its newest data


async def test_what_a_lost_tail_had_published_is_decided_alike_and_not_published_again():
    world, worker = await abandoned_world()
    older = world.store
    kept = copied(older)
    world.log.write(added(T0 + 2 * MINUTE, "ann", quantity=3))
    await world.minutes(worker, 40)
    world.log.write(viewed(world.now_ms))
    world.log.write(added(world.now_ms, product={"id": "hat"}))
    await world.minutes(worker, 40)
    first, before = list(world.sink.published), states_in(world)
    assert len(world.triggers()) == 2
    older._shards = kept
    with pytest.raises(RewoundError):
        await worker.shard.step(worker.batch(0))
    await (await world.worker()).run()
    assert world.sink.published == first
    assert states_in(world) == before


async def test_after_a_lost_tail_a_reminded_visitor_is_not_reminded_again_for_what_came_later():
    world, worker = await abandoned_world()
    kept = copied(world.store)
    await world.minutes(worker, 40)
    world.log.write(viewed(world.now_ms))
    await world.minutes(worker, 10)
    world.store._shards = kept
    world.now_ms += HOUR
    await (await world.worker()).run()
    assert world.reasons() == ["fired", "already_fired"]
    assert len(world.triggers()) == 1


async def test_a_wiped_redis_is_rebuilt_from_the_log():
    world, worker = await abandoned_world()
    await world.minutes(worker, 40)
    first, before = decided(world.sink), states_in(world)
    world.store._shards = {}
    await (await world.worker()).run()
    assert decided(world.sink) == first
    assert states_in(world) == before


async def test_after_a_loss_nobody_is_reminded_twice_of_one_cart_though_they_came_back():
    world, worker = await abandoned_world()
    await world.minutes(worker, 40)
    world.store._shards = {}
    world.log.write(viewed(world.now_ms))
    world.now_ms += HOUR
    await (await world.worker()).run()
    assert len(world.triggers()) == 1
    assert world.reasons() == ["fired", "already_fired"]


async def test_after_a_loss_who_was_reminded_later_than_they_were_due_is_not_reminded_earlier_too():
    """The live clock had read of their coming back before it came to what was due by then."""
    world, worker = await abandoned_world()
    world.now_ms = DUE + SECOND
    world.log.write(viewed(world.now_ms))
    await worker.run()
    await world.minutes(worker, 40)
    assert world.triggers() == [("ann", "cart_abandonment", DUE + SECOND + IDLE)]
    world.store._shards = {}
    await (await world.worker()).run()
    await world.minutes(await world.worker(), 40)
    assert len(world.triggers()) == 1


async def test_a_refusal_that_had_been_processed_still_counts_when_redis_has_lost_it():
    world, worker = await abandoned_world()
    world.log.write(refused(DUE - MINUTE))
    world.now_ms = DUE - MINUTE
    await worker.run()
    world.store._shards = {}
    world.now_ms += HOUR
    await (await world.worker()).run(limit=1)
    assert world.triggers() == []


async def test_what_the_live_clock_had_suppressed_in_a_backlog_is_not_sent_after_a_loss_either():
    world = World(*ABANDONED, bought(DUE + MINUTE))
    world.now_ms = DUE + 3 * MINUTE
    await (await world.worker()).run()
    first = list(world.sink.published)
    assert world.triggers() == []
    world.store._shards = {}
    world.now_ms += MINUTE
    await (await world.worker()).run(limit=1)
    assert world.sink.published == first


async def test_after_a_loss_what_kafka_does_not_know_to_be_published_is_published_to_the_byte():
    world, worker = await abandoned_world()
    processed = world.processed
    world.now_ms = DUE
    await worker.run()
    (sent,) = (entry for entry in world.sink.published if entry.topic == "triggers")
    world.store._shards, world.processed = {}, processed
    await (await world.worker()).run()
    one, again = (entry for entry in world.sink.published if entry.topic == "triggers")
    assert one is sent
    assert (one.key, one.value) == (again.key, again.value)


def states_in(world):
    """Return every state in the store, as bytes."""
    return {who: data for kept in world.store._shards.values() for who, data in kept.states.items()}


async def test_past_what_was_processed_the_clock_is_live_again():
    world, worker = await abandoned_world()
    world.log.write(viewed(T0 + 2 * MINUTE))
    await world.minutes(worker, 2)
    world.store._shards = {}
    world.log.write(bought(T0 + 2 * MINUTE + IDLE + MINUTE))
    world.now_ms += 5 * HOUR
    worker = await world.worker()
    await worker.run()
    assert world.reasons() == []


# The records clock


async def test_by_the_records_clock_a_late_reader_reminds_as_if_it_had_been_there():
    world = World(*ABANDONED, bought(DUE + 1))
    world.now_ms = T0 + 400 * DAY
    await (await world.worker(live=False)).run()
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]


async def test_by_the_records_clock_a_record_of_the_due_moment_comes_first():
    world = World(*ABANDONED, bought(DUE))
    await (await world.worker(live=False)).run()
    assert world.reasons() == []


async def test_by_the_records_clock_the_last_moment_of_the_log_is_inclusive():
    world = World(*ABANDONED, viewed(DUE, "bob"))
    await (await world.worker(live=False)).run(limit=1)
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]


async def test_by_the_records_clock_nothing_beyond_the_log_is_due():
    world = World(*ABANDONED, viewed(DUE - 1, "bob"))
    world.now_ms = DUE + DAY
    await (await world.worker(live=False)).run()
    assert world.reasons() == []


# Size


async def test_a_thousand_visitors_due_at_once_are_all_reminded():
    visitors = [f"v{number}" for number in range(1_500)]
    world = World(
        *(consented(T0, visitor) for visitor in visitors),
        *(added(T0 + MINUTE, visitor) for visitor in visitors),
    )
    worker = await world.worker()
    world.now_ms = T0 + MINUTE
    await worker.run()
    world.now_ms = DUE
    reports = await worker.run(ALL)
    assert [len(report.effects) // 2 for report in reports] == [1_000, 500]
    assert {visitor for visitor, _, _ in world.triggers()} == set(visitors)
