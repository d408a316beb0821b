"""A second kind of key under a worker's shards, on real Kafka and real Redis, with crashes."""

import json
import time

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from prometheus_client import CollectorRegistry

from stream.adapters.kafka.record_batches import RecordBatches
from stream.adapters.kafka.sink import KafkaSink
from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import RedisStore
from stream.shard.limit import USUAL
from stream.shard.merge import Mark
from stream.shard.ports import FencedError
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import Fetched
from stream.worker.metrics import Metrics
from stream.worker.shards import Shards
from tests.counters import (
    BOUGHT,
    PRODUCTS,
    REPORT_AFTER_MS,
    REPORTS,
    SEEN,
    Product,
    ProductKey,
    encode,
)
from tests.scenarios.trouble import Crash

SHOE, HAT = ProductKey("shop", "shoe"), ProductKey("shop", "hat")
T0 = 1_700_000_000_000


class Killed:
    """A sink whose worker is killed before it sends anything, while it is armed."""

    def __init__(self, sink):
        self.sink, self.is_armed = sink, False

    async def publish(self, entries, looked):
        if self.is_armed:
            raise Crash
        return await self.sink.publish(entries, looked)


class Worker:
    """A worker's shards, fed by a plain consumer; ``committed`` stands for the group's offsets."""

    def __init__(self, bench):
        self.bench = bench
        self.sink = Killed(KafkaSink(RecordBatches(lambda: bench.producer), fresh_s=4))
        self.shards = Shards(
            RedisStore(bench.redis, bench.group, PRODUCTS.codec),
            self.sink,
            encode,
            PRODUCTS,
            Metrics(CollectorRegistry()),
            lambda: bench.now_ms,
            tolerance=USUAL,
            live=True,
            session_timeout_s=8,
        )

    async def claim(self):
        consumer = self.bench.consumer
        ends = await consumer.end_offsets(self.bench.partitions)
        at, clock_ms = self.bench.committed
        limits = {
            tp.topic: PartitionOffsets(0, ends[tp], at.get(tp.topic, 0), clock_ms) for tp in ends
        }
        offsets = await self.shards.claim(0, dict(sorted(limits.items())))
        for topic, offset in offsets.items():
            consumer.seek(TopicPartition(topic, 0), offset)

    async def work(self):
        """Read everything there is and take steps until nothing is left to do."""
        consumer, tps = self.bench.consumer, self.bench.partitions
        ends = await consumer.end_offsets(tps)
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            records = await consumer.getmany(*tps, timeout_ms=500)
            positions = {tp: await consumer.position(tp) for tp in tps}
            self.shards.accept(Fetched(dict(records), positions, [], time.monotonic()))
        for _ in range(2):  # the second answer was asked for after the records were received
            marks = [(tp, Mark(time.monotonic(), self.bench.now_ms, ends[tp])) for tp in tps]
            positions = {tp: await consumer.position(tp) for tp in tps}
            self.shards.accept(Fetched({}, positions, marks, time.monotonic()))
        while ready := self.shards.hand_out():
            for owned in ready:
                with self.shards._giving_up(owned):
                    await self.shards._fold(owned)
                    owned.handed_at = float("-inf")
        for tp, (offset, clock_ms) in self.shards.offsets_to_commit().items():
            self.bench.committed[0][tp.topic] = offset
            self.bench.committed = (self.bench.committed[0], int(clock_ms))


class RealServers:
    """One shard of products on real servers."""

    def __init__(self, kafka, redis, group):
        self.kafka, self.redis, self.group = kafka, Connection(redis.url), group
        self.now_ms, self.committed = T0, ({}, -(2**53) - 1)
        self.partitions = [TopicPartition(topic, 0) for topic in (BOUGHT, SEEN)]

    async def __aenter__(self):
        self.kafka.create_topics([BOUGHT, SEEN, REPORTS, "dead-letters"], 1)
        self.producer = AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap)
        self.consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        await self.producer.start()
        await self.consumer.start()
        self.consumer.assign(self.partitions)
        return self

    async def __aexit__(self, *_):
        await self.consumer.stop()
        await self.producer.stop()
        await self.redis.close()

    async def happens(self, key, what, at_ms):
        topic = BOUGHT if what == "bought" else SEEN
        value = json.dumps({"what": what, "at_ms": at_ms}).encode()
        name = PRODUCTS.codec.name_of(key)
        await self.producer.send_and_wait(topic, value, key=name, timestamp_ms=at_ms)

    def reports(self):
        return [(one.key, json.loads(one.value)) for one in self.kafka.read_all(REPORTS)]

    async def worker(self):
        worker = Worker(self)
        await worker.claim()
        return worker


@pytest.fixture
async def bench(empty_kafka, redis_server, group):
    async with RealServers(empty_kafka, redis_server, group) as made:
        yield made


async def test_products_are_exact_through_kill_zombie_and_a_lost_redis(bench):
    for number in range(50):
        await bench.happens(SHOE, "seen", T0 + number)
        await bench.happens(HAT, "bought" if number % 2 else "seen", T0 + number)
    await bench.happens(SHOE, "cursed", T0 + 60)
    first = await bench.worker()
    bench.now_ms = T0 + 100
    await first.work()
    assert bench.reports() == []
    assert [one.key for one in bench.kafka.read_all("dead-letters")] == [b"shop/shoe"]

    first.sink.is_armed = True  # killed between commit and publish
    bench.now_ms = T0 + REPORT_AFTER_MS + 1
    with pytest.raises(Crash):
        await first.work()
    second = await bench.worker()
    told = [(b"shop/shoe", {"seen": 50, "bought": 0}), (b"shop/hat", {"seen": 25, "bought": 25})]
    assert sorted(bench.reports()) == sorted(told)
    await second.work()

    first.sink.is_armed = False  # it was not dead, only slow
    (owned,) = first.shards._owned.values()
    with pytest.raises(FencedError):
        await owned.shard.step(owned.batch(bench.now_ms, live=True))

    await bench.redis.client.delete(
        *(f"{bench.group}:{{0}}:{part}" for part in ("own", "state", "wake", "out"))
    )
    await bench.happens(SHOE, "seen", T0 + REPORT_AFTER_MS + 2)
    third = await bench.worker()
    bench.now_ms += 10
    await third.work()
    assert sorted(bench.reports()) == sorted(told), "nothing is sent twice"
    (owned,) = third.shards._owned.values()
    states = await third.shards._store.load(owned.shard.owner, [SHOE, HAT])
    assert (states[SHOE].seen, states[HAT]) == (51, Product(25, 25))
    bench.now_ms += REPORT_AFTER_MS
    await third.work()
    assert bench.reports()[2:] == [(b"shop/shoe", {"seen": 51, "bought": 0})]
