"""The Kafka edge on dry land: logs in memory, and fetches that bring what a test says.

The one rule: time passes when a test says so, in fetches (``tick``) and in marks (``now_ms``).
"""

import asyncio
from collections import defaultdict

from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.outgoing import outgoing
from stream.domain.policy import Policies
from stream.domain.topics import LANES
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.shard.limit import USUAL
from stream.shard.merge import Mark
from stream.shard.ports import BEGINNING_MS
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import Fetched
from stream.worker.metrics import Metrics
from stream.worker.shards import Shards
from tests.scenarios.world import IDLE, MINUTE, POLICY, T0, Log, added, consented

LEFT_CART = (consented(T0), added(T0 + MINUTE))
DUE_MS = T0 + MINUTE + IDLE
SESSION_S = 8


def write(bench, number, *events):
    """Store events in a shard's log."""
    for event in events:
        bench.logs[number].write(event)


class Gate:
    """A store whose commits wait until they are let through; it tells how many wait."""

    def __init__(self, store):
        self._store = store
        self._open = asyncio.Event()
        self.waiting = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    def open(self):
        self._open.set()

    async def commit(self, owner, commit):
        self.waiting += 1
        await self._open.wait()
        self.waiting -= 1
        return await self._store.commit(owner, commit)


class Bench:
    """All shards of one worker, their logs, and what the worker publishes."""

    def __init__(self, *, live=True, store=None, sink=None, tolerance=USUAL):
        self.tolerance = tolerance
        self.registry = CollectorRegistry()
        self.store, self.sink = store or MemoryStore(VISITOR_CODEC), sink or MemorySink()
        self.logs = defaultdict(Log)
        self.now_ms = T0
        self.partitions = {}  # of topics that tell it
        self._tick = 0.0
        self.shards = self.worker(live=live)

    def worker(self, *, live=True):
        """Return another worker on the same store and sink."""
        return Shards(
            self.store,
            self.sink,
            lambda effect, at_ms: outgoing(effect, at_ms, "test"),
            VisitorEntity(Policies(POLICY), lambda *_: None),
            Metrics(self.registry if not hasattr(self, "shards") else CollectorRegistry()),
            lambda: self.now_ms,
            tolerance=self.tolerance,
            live=live,
            session_timeout_s=SESSION_S,
        )

    def tick(self):
        self._tick += 1
        return self._tick

    def limits(self, number, committed=None, clock_ms=BEGINNING_MS, start=0, topic_id=""):
        """Return what Kafka says of a shard's log as it is, and of what was committed."""
        topics = self.logs[number].topics
        return {
            topic: PartitionOffsets(
                start,
                max(start, len(topics[topic])),
                (committed or {}).get(topic, 0),
                clock_ms,
                topic_id,
                self.partitions.get(topic, 0),
            )
            for topic in LANES
        }

    async def claim(self, *numbers, **limits):
        """Claim shards, and stand where their states end."""
        return {n: await self.shards.claim(n, self.limits(n, **limits)) for n in numbers}

    def fetch(self, limit=10**9):
        """Receive what has been stored, and hear that it was all; at most so many per partition."""
        for _ in range(2):  # the second answer was asked for after the records had come
            self.shards.accept(self.fetched(limit))
            limit = 0 if limit < 10**9 else limit

    def fetched(self, limit=10**9):
        """Return a poll's answer."""
        asked = self.tick()
        records, positions, marks = {}, {}, []
        for owned in self.shards._owned.values():
            for topic, lane in owned.merge.lanes.items():
                tp = TopicPartition(topic, owned.number)
                kept = self.logs[owned.number].topics[topic]
                positions[tp] = max(lane.position, min(lane.position + limit, len(kept)))
                records[tp] = kept[lane.position : positions[tp]]
                marks.append((tp, Mark(asked, self.now_ms, len(kept))))
        return Fetched(records, positions, marks, self.tick())

    async def turn(self):
        """Let every shard whose turn it is take its step; return their numbers."""
        ready = self.shards.hand_out()
        self.shards.begin(*ready)
        await self.settled()
        return [owned.number for owned in ready]

    async def settled(self):
        """Return once no step is under way."""
        await asyncio.gather(*self.shards._tasks)

    async def work(self):
        """Fetch and step until there is nothing left to do."""
        self.fetch()
        while await self.turn():
            pass

    async def stored_stop(self, number):
        """Return why the shard is stopped, as the store holds it."""
        await self.settled()
        return self.store._shards[number].stopped

    def stored(self, number=0):
        """Return the offsets that the store holds of a shard."""
        return self.shards._owned[number].shard.owner.watermark.offsets

    def published(self, topic):
        """Return the ids of what has been published to a topic, in order."""
        return [
            dict(entry.headers)["ce_id"].decode()
            for entry in self.sink.published
            if entry.topic == topic
        ]

    def value(self, name):
        """Return what a metric without labels says."""
        return self.registry.get_sample_value(f"cartwake_{name}")
