"""Shards whose input turns into dead letters: they stop, and the others go on."""

import logging

import pytest
from aiokafka import TopicPartition

from stream.domain.topics import LANES
from stream.shard.limit import Tolerance
from tests.scenarios.world import MINUTE, T0, added, consented, viewed
from tests.worker.ashore import LEFT_CART, Bench, write


@pytest.fixture
def bench():
    return Bench()


def spoil(bench, number, count, topic="cart-events"):
    """Store records that can never be processed."""
    for at in range(count):
        bench.logs[number].append(topic, T0 + 2 * MINUTE, b"ann", b"{%d" % at)


async def test_a_shard_stops_rather_than_drain_its_input_into_dead_letters(bench, caplog):
    caplog.set_level(logging.WARNING)
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    write(bench, 0, consented(T0 + 2 * MINUTE, "bob"))
    spoil(bench, 0, 101)
    await bench.work()
    assert bench.published("dead-letters") == []
    noted = bench.store._shards[0].stopped  # for those who only look: cartwake status
    assert noted.startswith("101 dead letters in a row, most of them malformed, the first at")
    owner = await bench.store.claim(0)
    assert owner.watermark.offsets["consent-events"] == 1, "nothing of that batch was committed"
    assert bench.shards.stopped.keys() == {0}
    assert bench.shards.full() == {TopicPartition(topic, 0) for topic in LANES}
    assert (bench.value("shards_stopped"), bench.value("shards_owned")) == (1, 0)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said == (
        "Shard 0 is stopped: 101 dead letters in a row, most of them malformed, the first at"
        " cart-events-0-1. Nothing of them is committed. Mend the producer that writes them; then,"
        " to let those in the log become dead letters, raise dead_letters.max_in_a_row and restart."
    )


async def test_dead_letters_of_earlier_batches_stay_and_count(bench):
    await bench.claim(0)
    spoil(bench, 0, 60)
    await bench.work()
    spoil(bench, 0, 41)
    await bench.work()
    assert len(bench.published("dead-letters")) == 60
    assert bench.shards.stopped.keys() == {0}


async def test_other_shards_of_the_worker_go_on(bench):
    await bench.claim(0, 1)
    spoil(bench, 0, 101)
    write(bench, 1, *LEFT_CART)
    await bench.work()
    write(bench, 1, viewed(T0 + 2 * MINUTE))
    await bench.work()
    assert bench.shards.stopped.keys() == {0}
    assert bench.stored(1)["page-views"] == 1


async def test_after_the_limit_was_raised_the_bad_records_become_dead_letters():
    strict = Bench()
    await strict.claim(0)
    spoil(strict, 0, 101)
    write(strict, 0, added(T0 + 3 * MINUTE))
    await strict.work()
    raised = Bench(store=strict.store, tolerance=Tolerance(max_in_a_row=1_000))
    raised.logs = strict.logs
    await raised.claim(0)
    await raised.work()
    assert raised.shards.stopped == {}
    assert len(raised.published("dead-letters")) == 101
    assert raised.stored(0)["cart-events"] == 102


async def test_what_had_been_given_up_before_redis_lost_it_stops_nothing_now(
    bench,
):
    spoil(bench, 0, 101)
    await bench.claim(0, committed={"cart-events": 101})
    await bench.work()
    assert bench.shards.stopped == {}
    assert bench.stored(0)["cart-events"] == 101
    spoil(bench, 0, 101)
    await bench.work()
    assert bench.shards.stopped.keys() == {0}


async def test_a_step_of_an_earlier_assignment_cannot_stop_a_shard(bench):
    await bench.claim(0)
    spoil(bench, 0, 101)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    bench.shards.begin(owned)
    bench.shards.forget()
    await bench.settled()
    assert bench.shards.stopped == {}
    assert bench.published("dead-letters") == []


async def test_a_newer_owner_s_shard_is_not_called_stopped(bench):
    await bench.claim(0)
    spoil(bench, 0, 101)
    newer = await bench.store.claim(0)
    await bench.work()
    assert bench.store._shards[0].stopped == ""
    assert (newer.epoch, bench.shards.lost) == (2, {})
