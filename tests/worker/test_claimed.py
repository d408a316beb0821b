"""By which clock a shard's next step is taken, and when there is one to take."""

import asyncio
import copy

import pytest

from stream.shard.clock import LiveClock, RecordsClock
from tests.scenarios.world import HOUR, MINUTE, T0, refused, viewed
from tests.worker.ashore import DUE_MS, LEFT_CART, Bench, write


@pytest.fixture
def bench():
    return Bench()


async def test_below_what_kafka_has_committed_the_records_clock_counts_then_the_live_one(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0, committed={"consent-events": 1, "cart-events": 1})
    bench.now_ms = DUE_MS + HOUR
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    assert owned.is_recovering
    batch = owned.batch(bench.now_ms, live=True)
    assert isinstance(batch.clock, RecordsClock)
    assert batch.recovering
    await owned.shard.step(batch)
    assert not owned.is_recovering
    after = owned.batch(bench.now_ms, live=True)
    assert isinstance(after.clock, LiveClock)
    assert not after.recovering


async def test_while_lost_state_is_rebuilt_no_wake_up_is_due(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    kept = copy.deepcopy(bench.store._shards)
    write(bench, 0, viewed(T0 + 2 * MINUTE))
    await bench.work()
    bench.store._shards = kept
    bench.shards.forget()
    await bench.claim(0, committed={"page-views": 1})
    bench.now_ms = DUE_MS + HOUR
    bench.fetch(limit=0)  # the view, which moves the reminder, is still to come
    assert bench.shards.hand_out() == []


async def test_once_the_state_is_rebuilt_wake_ups_are_due_again(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0, committed={"consent-events": 1, "cart-events": 1})
    bench.now_ms = DUE_MS
    await bench.work()
    assert len(bench.published("triggers")) == 1


async def test_what_the_outbox_of_an_older_copy_holds_had_been_published_and_is_not_sent(
    bench, monkeypatch
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.now_ms = DUE_MS
    with monkeypatch.context() as patch:
        patch.setattr(bench.sink, "publish", cancelled)  # it ends between commit and publish
        bench.fetch()
        with pytest.raises(asyncio.CancelledError):
            await bench.turn()
    kept = copy.deepcopy(bench.store._shards)
    write(bench, 0, refused(DUE_MS + MINUTE))
    # The next owner publishes, folds the refusal, and its commit is what Redis then loses.
    bench.store._shards = kept
    bench.shards.forget()
    await bench.claim(0, committed={"consent-events": 2, "cart-events": 1}, clock_ms=DUE_MS)
    assert bench.value("outbox_entries") == 0
    bench.now_ms = DUE_MS + 2 * MINUTE
    await bench.work()
    assert bench.sink.published == []


async def cancelled(entries, looked):
    raise asyncio.CancelledError


async def test_a_wake_up_is_due_when_the_end_of_every_topic_was_reached_after_it(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.now_ms = DUE_MS - 1
    await bench.work()
    assert bench.published("triggers") == []
    bench.now_ms = DUE_MS
    fetched = bench.fetched()
    fetched.marks = [one for one in fetched.marks if one[0].topic != "page-views"]
    bench.shards.accept(fetched)
    assert bench.shards.hand_out() == []
    await bench.work()
    assert len(bench.published("triggers")) == 1


async def test_by_the_records_clock_the_wall_clock_makes_nothing_due():
    bench = Bench(live=False)
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.now_ms = DUE_MS + HOUR
    await bench.work()
    assert bench.published("triggers") == []
    write(bench, 0, viewed(DUE_MS + HOUR, visitor="bob"))
    await bench.work()
    assert len(bench.published("triggers")) == 1
