"""Our consumer between Faust and the intake, without Faust's life cycle and without Kafka."""

import asyncio
import itertools
import logging
import os

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ConsumerStoppedError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.domain.topics import LANES
from stream.worker.faust.transport import Consumer, ConsumerThread
from stream.worker.intake import Intake
from tests.scenarios.world import T0, added, consented
from tests.worker.ashore import DUE_MS, LEFT_CART, Bench, write
from tests.worker.test_intake import Trainer, shard


class Thread:
    """The consumer's thread: polls are answered when the test says so."""

    def __init__(self, bench):
        self._bench = bench
        self.answers = asyncio.Queue()
        self.polls, self.sought, self.hinted = [], [], []
        self.takes_hints = True

    async def poll(self, full, known):
        self.polls.append(full)
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer()

    async def limits(self, tps):
        return {tp: self._bench.limits(tp.partition)[tp.topic] for tp in tps}

    async def seek_to(self, offsets):
        self.sought.append(offsets)

    async def hint(self, offsets):
        self.hinted.append(offsets)
        return self.takes_hints


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
async def consumer(bench):
    """A consumer without Faust's part."""
    made = object.__new__(Consumer)
    made._intake = Intake(bench.shards, Trainer())
    made._thread = Thread(bench)
    made._polling, made._hinted, made._numbers = None, {}, itertools.count(1)
    made._hinting, made._hint_lock = None, asyncio.Lock()
    return made


async def next_batches(consumer, bench=None):
    """Answer the poll under way by all that is stored; return the shards that were handed out."""
    if bench is not None:
        consumer._thread.answers.put_nowait(bench.fetched)
    handed = await consumer._getmany(set(), 1.0)
    return [owned.number for (one,) in handed.values() for owned in one.value]


async def claimed(consumer, bench, *numbers):
    consumer._intake.assign(shard(*numbers))
    await next_batches(consumer, bench)


async def test_after_an_assignment_shards_are_claimed_before_anything_is_read(consumer, bench):
    consumer._intake.assign(shard(0))
    consumer._thread.answers.put_nowait(bench.fetched)
    await consumer._getmany(set(), 1.0)
    assert consumer._thread.sought == [dict.fromkeys(shard(0), 0)]
    assert len(consumer._thread.polls) == 1


async def test_what_can_be_folded_is_handed_to_faust_under_rising_numbers(consumer, bench):
    await claimed(consumer, bench, 0, 1)
    numbers = [0]
    for _ in range(2):
        for number in (0, 1):
            bench.logs[number].write(consented(T0))
        await next_batches(consumer, bench)
        consumer._thread.answers.put_nowait(bench.fetched)
        handed = await consumer._getmany(set(), 1.0)
        assert list(handed) == [TP(next(iter(LANES)), 0)]  # all of them at once
        [[one]] = handed.values()
        assert [owned.number for owned in one.value] == [0, 1]
        bench.shards.begin(*one.value)
        await bench.settled()
        consumer._intake.stepped.clear()
        numbers.append(one.offset)
    assert numbers == sorted(set(numbers))


async def test_a_poll_under_way_while_a_lost_shard_is_claimed_reaches_the_others(consumer, bench):
    await claimed(consumer, bench, 0, 1)
    polling = asyncio.ensure_future(consumer._getmany(set(), 1.0))
    await asyncio.sleep(0)
    bench.logs[1].write(consented(T0))
    bench.logs[1].write(added(T0))
    stored = bench.fetched()
    bench.shards._owned.pop(0)
    bench.shards.lost[0] = 0.0
    consumer._intake.stepped.set()  # as the step does that found the shard's state gone
    await polling
    consumer._thread.answers.put_nowait(lambda: stored)
    assert await next_batches(consumer, bench) == [1]
    owned = bench.shards._owned[1]
    bench.shards.begin(owned)
    await bench.settled()
    labels = {"topic": "cart-events", "type": "product_added", "outcome": "applied"}
    assert owned.shard.owner.watermark.offsets["cart-events"] == 1
    assert bench.registry.get_sample_value("cartwake_events_total", labels) == 1


async def test_the_end_of_a_step_is_not_waited_for_by_way_of_a_poll(consumer, bench):
    await claimed(consumer, bench, 0)
    polling = asyncio.ensure_future(consumer._getmany(set(), 1.0))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not polling.done()
    consumer._intake.stepped.set()
    assert await polling == {}
    assert len(consumer._thread.polls) == 2  # the poll goes on
    assert await next_batches(consumer, bench) == []
    assert len(consumer._thread.polls) == 2


async def test_partitions_with_too_much_at_hand_are_named_to_the_poll(consumer, bench):
    await claimed(consumer, bench, 0)
    consumer._intake.training.is_full = True
    await next_batches(consumer, bench)
    assert consumer._thread.polls[-1] == {TopicPartition("training-examples", 0)}


async def test_kafka_is_told_of_progress_and_only_of_progress(consumer, bench):
    await claimed(consumer, bench, 0)
    bench.logs[0].write(consented(T0))
    for _ in range(2):
        await bench.work()
        for _ in range(3):
            assert await consumer.force_commit()
        bench.logs[0].write(consented(T0 + 1))
    hinted = [hint[TopicPartition("consent-events", 0)][0] for hint in consumer._thread.hinted]
    assert hinted == [1, 2]


async def test_kafka_is_told_only_of_shards_that_have_moved(consumer, bench):
    await claimed(consumer, bench, 0, 1)
    for number in (0, 1, 1):
        bench.logs[number].write(consented(T0))
        await bench.work()
        await consumer.force_commit()
    moved = [{tp.partition for tp in hint} for hint in consumer._thread.hinted]
    assert moved[1:] == [{1}, {1}]


async def test_what_kafka_did_not_take_is_told_again(consumer, bench):
    await claimed(consumer, bench, 0)
    bench.logs[0].write(consented(T0))
    await bench.work()
    consumer._thread.takes_hints = False
    await consumer.force_commit()
    consumer._thread.takes_hints = True
    await consumer.force_commit()
    await consumer.force_commit()
    assert len(consumer._thread.hinted) == 2


async def test_kafka_is_told_at_once_of_published_triggers_and_once_for_all_shards(consumer, bench):
    await claimed(consumer, bench, 0, 1)
    for number in (0, 1):
        write(bench, number, *LEFT_CART)
    await bench.work()
    await next_batches(consumer, bench)
    assert consumer._hinting is None  # nobody was mailed: the timer will do
    bench.now_ms = DUE_MS
    await bench.work()
    await next_batches(consumer, bench)
    await next_batches(consumer, bench)
    assert consumer._thread.hinted == []  # it waits for other shards, and nothing waits for it
    await consumer._hinting
    (hint,) = consumer._thread.hinted
    assert {int(clock_ms) for _, clock_ms in hint.values()} == {DUE_MS}
    hinting = consumer._hinting
    await next_batches(consumer, bench)
    assert consumer._hinting is hinting


async def test_finishing_tells_kafka_how_far_it_came_and_owns_nothing_afterwards(consumer, bench):
    await claimed(consumer, bench, 0)
    bench.logs[0].write(consented(T0))
    await bench.work()
    await consumer.finish()
    assert len(consumer._thread.hinted) == 1
    assert len(bench.shards) == 0


async def test_an_empty_assignment_is_settled(consumer, monkeypatch):
    told = []

    async def faust(self, assigned, generation_id=0):
        told.append((assigned, generation_id))

    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", faust)
    await consumer.on_partitions_assigned({TP("cart-events", 0)}, 3)
    assert not consumer._intake.is_settled
    await consumer.on_partitions_assigned(set(), 4)
    assert consumer._intake.is_settled
    assert told == [({TP("cart-events", 0)}, 3), (set(), 4)]


async def test_what_is_taken_away_is_finished_before_faust_goes_on(consumer, bench, monkeypatch):
    left = []

    async def faust(self, revoked):
        left.append(len(bench.shards))

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", faust)
    await claimed(consumer, bench, 0)
    await consumer.on_partitions_revoked({TP("cart-events", 0)})
    assert left == [0]


async def test_an_unexpected_error_while_fetching_ends_the_process(consumer, bench, monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    await claimed(consumer, bench, 0)
    consumer._thread.answers.put_nowait(ZeroDivisionError())
    await consumer._getmany(set(), 1.0)
    assert ended == [70]


async def test_a_consumer_that_was_stopped_is_fausts_to_handle(consumer, bench):
    await claimed(consumer, bench, 0)
    consumer._thread.answers.put_nowait(ConsumerStoppedError())
    with pytest.raises(ConsumerStoppedError):
        await consumer._getmany(set(), 1.0)


class Client:
    """aiokafka's consumer, which refuses to seek where nothing is assigned."""

    def __init__(self, *assigned):
        self._assigned, self.sought, self.committed = set(assigned), {}, {}

    def assignment(self):
        return self._assigned

    def seek(self, tp, at):
        assert tp in self._assigned
        self.sought[tp] = at

    async def commit(self, offsets):
        self.committed = offsets


@pytest.mark.parametrize("call", ["_seek_to", "_hint"])
async def test_what_has_been_taken_away_meanwhile_is_left_alone(call):
    mine, others = TopicPartition("cart-events", 0), TopicPartition("cart-events", 1)
    thread = object.__new__(ConsumerThread)
    thread._consumer = client = Client(mine)
    await getattr(thread, call)({mine: 5, others: 6})
    assert (client.sought or client.committed) == {mine: 5}
