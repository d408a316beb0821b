"""The least that any job must pay: each part of it alone, over the same events.

The one rule: each of these runs in a process of its own (``cpu.apart``), so that the CPU time of
the process is that of the part.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import monotonic, process_time
from typing import Any

import orjson
import redis
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.cpu import cpu_s, tree
from bench.events import PARTITIONS, Log, partition_of
from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.codec import encode_state
from stream.adapters.wire.facts import read
from stream.adapters.wire.outgoing import outgoing
from stream.config.policy import policies_of
from stream.config.settings import Settings
from stream.domain.topics import LANES
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.learning.scorer import ModelScorer
from stream.shard.clock import Fact, RecordsClock
from stream.shard.folding import Batch
from stream.shard.ports import Commit, Ownership
from stream.shard.shard import Shard
from tests.rig.merch_store import TOPIC_OF

POLLED = 5_000


@dataclass(slots=True)
class Line:
    """A line of a log as a record of ``stream.shard.merge``."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes
    value: bytes


def poll(bootstrap: str, events: int) -> dict[str, float]:
    """Read the topics of a worker to their ends and decode, with nothing else around."""
    return asyncio.run(_poll(bootstrap, events))


async def _poll(bootstrap: str, events: int) -> dict[str, float]:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        partitions = [TopicPartition(t, p) for t in LANES for p in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        seen = await _polled(consumer)
        first, began, used_s = seen, monotonic(), process_time()
        while seen < events:
            seen += await _polled(consumer)
        spent_s, count = process_time() - used_s, events - first
        return {
            "events_per_s": count / (monotonic() - began),
            "worker_us": spent_s / count * 1e6,
        }
    finally:
        await consumer.stop()


async def _polled(consumer: AIOKafkaConsumer) -> int:
    found = await consumer.getmany(timeout_ms=200, max_records=POLLED)
    for records in found.values():
        for record in records:
            orjson.loads(record.value)
    return sum(map(len, found.values()))


class Recording(MemoryStore):
    """A store in memory that keeps what each commit would have sent to Redis."""

    def __init__(self) -> None:
        super().__init__(VISITOR_CODEC)
        self.commits: list[list[tuple[Any, ...]]] = []

    async def commit(self, owner: Ownership, commit: Commit) -> list[str]:
        """Implements ``Store.commit``."""
        self.commits.append(_commands(owner.shard, commit))
        return await super().commit(owner, commit)


def fold(log: Log, batch: int) -> dict[str, float]:
    """Decode and fold all events in memory, in batches of the size that the drain had."""
    return asyncio.run(_fold(log, batch, MemoryStore(VISITOR_CODEC)))


def send(log: Log, batch: int, url: str, pid: int) -> dict[str, float]:
    """Send what the commits of a drain send, in as many pipelines, and nothing else.

    ``pid`` is the Redis server's.
    """
    store = Recording()
    asyncio.run(_fold(log, batch, store))
    with redis.Redis.from_url(url) as client:
        client.ping()
        server_s, began, used_s = cpu_s(tree(pid)), monotonic(), process_time()
        for commands in store.commits:
            pipe = client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            pipe.execute()
        spent_s, seconds = process_time() - used_s, monotonic() - began
        server_s = cpu_s(tree(pid)) - server_s
    return {
        "events_per_s": log.events / seconds,
        "worker_us": spent_s / log.events * 1e6,
        "redis_us": server_s / log.events * 1e6,
        "batch": log.events / len(store.commits),
    }


async def _fold(log: Log, batch: int, store: MemoryStore) -> dict[str, float]:
    decoded_s = folded_s = 0.0
    shards = [await _shard(number, store) for number in range(PARTITIONS)]
    steps = 0
    for lines in _batches(log, batch):
        shard, began = shards[lines[0].partition], process_time()
        inputs = read(lines)
        middle = process_time()
        facts = [one for one in inputs if isinstance(one, Fact)]
        clock = RecordsClock(shard.owner.watermark.clock_ms, facts, at_end=False)
        offsets = {"lines": lines[-1].offset + 1}
        await shard.step(Batch(inputs, offsets, clock, 0, live=False))
        decoded_s += middle - began
        folded_s += process_time() - middle
        steps += 1
    return {
        "events_per_s": log.events / (decoded_s + folded_s),
        "decode_us": decoded_s / log.events * 1e6,
        "fold_us": folded_s / log.events * 1e6,
        "batch": log.events / steps,
    }


async def _shard(number: int, store: MemoryStore) -> Shard:
    owner = await store.claim(number)
    visitors = VisitorEntity(policies_of(Settings()), ModelScorer())
    return Shard(owner, store, MemorySink(), lambda e, _: outgoing(e, 0, "floor"), visitors)


def _batches(log: Log, batch: int) -> Iterator[list[Line]]:
    """Yield each partition's lines in batches, as they fill."""
    filling: dict[int, list[Line]] = {part: [] for part in range(PARTITIONS)}
    for offset, line in enumerate(log.lines()):
        event = orjson.loads(line)
        key, part = event["visitor"].encode(), partition_of(event["visitor"], PARTITIONS)
        lines = filling[part]
        lines.append(Line(TOPIC_OF[event["type"]], part, offset, event["at_ms"], key, line))
        if len(lines) >= batch:
            yield lines
            filling[part] = []
    yield from filter(None, filling.values())


def _commands(shard: int, commit: Commit) -> list[tuple[Any, ...]]:
    """Return the plain commands that write what a commit changes, and read it before."""
    state, wake, out = (f"{{{shard}}}:{kind}" for kind in ("state", "wake", "out"))
    names = [VISITOR_CODEC.name_of(who) for who in commit.states]
    kept = [
        part
        for who, visitor in commit.states.items()
        if visitor is not None
        for part in (VISITOR_CODEC.name_of(who), encode_state(visitor))
    ]
    armed = [
        part
        for who, due in commit.wakes.items()
        if due is not None
        for part in (due, VISITOR_CODEC.name_of(who))
    ]
    quiet = [VISITOR_CODEC.name_of(who) for who, due in commit.wakes.items() if due is None]
    told = [part for at, entry in enumerate(commit.entries) for part in (at, entry.value or b"")]
    commands: Sequence[tuple[Any, ...]] = (
        ("HMGET", state, *names),
        ("HSET", state, *kept),
        ("ZADD", wake, *armed),
        ("ZREM", wake, *quiet),
        ("HSET", out, *told),
    )
    return [command for command in commands if len(command) > 2]  # noqa: PLR2004 - has arguments
