from collections import Counter

import pytest

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
    event,
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
    for topic in ("consent-events", "cart-events") * 3:
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
    worker.fetch("consent-events")
    worker.fetch("page-views")
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


async def test_what_a_lost_tail_had_decided_is_decided_again_with_the_same_ids():
    world, worker = await abandoned_world()
    older = world.store
    kept = copied(older)
    world.log.write(added(T0 + 2 * MINUTE, "ann", quantity=3))
    await world.minutes(worker, 40)
    world.log.write(viewed(world.now_ms))
    world.log.write(added(world.now_ms, product={"id": "hat"}))
    await world.minutes(worker, 40)
    first = list(world.sink.published)
    assert len(world.triggers()) == 2
    older._shards = kept
    with pytest.raises(RewoundError):
        await worker.shard.step(worker.batch(0))
    await (await world.worker()).run()
    again, before = _by_id(world.sink.published[len(first) :]), _by_id(first)
    assert again.items() <= before.items()
    # The first reminder spoke of a cart that has changed since: it needs no repeat.
    assert [topic for topic, _ in before.keys() - again.keys()] == ["triggers"]


async def test_after_a_lost_tail_a_reminded_visitor_is_not_reminded_again_for_what_came_later():
    world, worker = await abandoned_world()
    kept = copied(world.store)
    await world.minutes(worker, 40)
    world.log.write(viewed(world.now_ms))
    await world.minutes(worker, 10)
    world.store._shards = kept
    world.now_ms += HOUR
    await (await world.worker()).run()
    assert world.reasons() == ["fired", "fired", "already_fired"]
    one, again = (entry for entry in world.sink.published if entry.topic == "triggers")
    assert one.value == again.value


async def test_a_wiped_redis_is_rebuilt_from_the_log():
    world, worker = await abandoned_world()
    await world.minutes(worker, 40)
    first = decided(world.sink)
    world.store._shards = {}
    world.log.write(bought(world.now_ms))
    await (await world.worker()).run()
    assert sorted(set(decided(world.sink))) == first
    assert len(decided(world.sink)) == 2 * len(first)


async def test_after_a_loss_nobody_is_reminded_twice_of_one_cart_though_they_came_back():
    world, worker = await abandoned_world()
    await world.minutes(worker, 40)
    world.store._shards = {}
    world.log.write(viewed(world.now_ms))
    world.now_ms += HOUR
    await (await world.worker()).run()
    one, again = world.published("triggers")
    assert one == again
    assert world.reasons() == ["fired", "fired", "already_fired"]


async def test_a_refusal_that_had_been_processed_still_counts_when_redis_has_lost_it():
    world, worker = await abandoned_world()
    await world.minutes(worker, 40)
    world.log.write(refused(world.now_ms))
    await worker.run()
    assert (len(world.triggers()), len(world.published("trigger-cancels"))) == (1, 1)
    world.store._shards = {}
    world.now_ms += HOUR
    await (await world.worker()).run(limit=1)
    assert (len(world.triggers()), len(world.published("trigger-cancels"))) == (1, 2)


BOUGHT_IN_THE_BACKLOG = bought(DUE + MINUTE)


@pytest.mark.parametrize(
    "meanwhile",
    [
        [BOUGHT_IN_THE_BACKLOG],
        [BOUGHT_IN_THE_BACKLOG, added(DUE + 2 * MINUTE)],  # the same contents, after the order
        [added(DUE + MINUTE, product={"id": "hat"})],
        [event("product_removed", DUE + MINUTE, product_id="shoe")],
        [refused(DUE + MINUTE)],
        [erasure(DUE + MINUTE)],
    ],
    ids=["bought", "bought, and filled again", "added", "removed", "refused", "erased"],
)
async def test_what_the_live_clock_had_suppressed_in_a_backlog_is_not_sent_after_a_loss_either(
    meanwhile,
):
    world = World(*ABANDONED, *meanwhile)
    world.now_ms = DUE + 3 * MINUTE
    await (await world.worker()).run()
    assert world.triggers() == []
    world.store._shards = {}
    world.now_ms += MINUTE
    await (await world.worker()).run(limit=1)
    assert world.reasons()[0] == "fired"  # by the records clock, which came to the reminder first
    assert world.triggers() == []
    assert await world.store.outbox(await world.store.claim(0)) == []


async def test_what_a_crash_leaves_of_a_recovery_is_judged_as_the_recovery_would_have():
    sink = Crashing()
    world = World(*ABANDONED, BOUGHT_IN_THE_BACKLOG, sink=sink)
    world.now_ms = DUE + 2 * MINUTE
    await (await world.worker()).run()
    world.store._shards = {}
    worker = await world.worker()
    worker._resume = crashing  # it ends before what waits in the outbox is looked at
    with pytest.raises(Crash):
        await worker.run()
    await (await world.worker()).run()
    assert world.triggers() == []


async def crashing():
    raise Crash


async def test_after_a_loss_a_reminder_that_has_become_useless_is_not_repeated():
    world, worker = await abandoned_world()
    world.now_ms = DUE
    await worker.run()
    world.store._shards = {}
    world.now_ms = DUE + DAY + 1
    await (await world.worker()).run()
    assert [due_ms for _, _, due_ms in world.triggers()] == [DUE, DUE + DAY]


async def test_after_a_loss_a_reminder_of_a_cart_that_is_as_it_was_is_repeated_to_the_byte():
    world, worker = await abandoned_world(bought(T0, "bob"))
    world.now_ms = DUE
    await worker.run()
    world.store._shards = {}
    world.now_ms = DUE + DAY - 1
    await (await world.worker()).run()
    one, again = (entry for entry in world.sink.published if entry.topic == "triggers")
    assert (one.key, one.value) == (again.key, again.value)


async def test_after_a_loss_an_answer_to_an_exit_signal_is_too_late():
    world, worker = await abandoned_world()
    world.log.write(leaving(T0 + 2 * MINUTE))
    world.now_ms = T0 + 2 * MINUTE
    await worker.run()
    assert [kind for _, kind, _ in world.triggers()] == ["exit_intent"]
    world.store._shards = {}
    world.now_ms += 10 * SECOND + 1
    await (await world.worker()).run()
    assert len(world.triggers()) == 1


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


def _by_id(entries):
    """Return the values by topic and id; publishing twice leaves one."""
    return {(entry.topic, dict(entry.headers)["ce_id"]): entry.value for entry in entries}


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
