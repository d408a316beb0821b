"""Upgrade and rollback over bytes that the last release wrote (``format_1.json``).

The file holds a shard as that release left it: events, states, wake-ups, outbox, watermark and
models; and everything that the same release went on to publish from there.
"""

import json
from base64 import b64decode
from pathlib import Path

import msgspec
import pytest
from aiokafka import TopicPartition

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import RedisStore
from stream.entities.visitors import VISITOR_CODEC, VisitorCodec
from stream.learning.scorer import ModelScorer
from stream.learning.snapshot import Snapshot, decode
from stream.learning.trainer import Trainer
from stream.shard.ports import Entry, NewerFormatError, Watermark
from tests.scenarios.world import DAY, MINUTE, World
from tests.worker.ashore import DUE_MS, LEFT_CART, Bench, write

RELEASED = json.loads((Path(__file__).parent / "format_1.json").read_text())
BEFORE = 1


class OldCodec(VisitorCodec):
    """Stands for a version that reads nothing newer than its own format."""

    format = BEFORE


@pytest.fixture
async def redis(redis_server):
    connection = Connection(redis_server.url)
    yield connection
    await connection.close()


@pytest.fixture
async def released(redis, group):
    """Return a store with what the last release has written, byte for byte."""
    run, key = redis.run, f"{group}:{{0}}".__add__
    mark = RELEASED["watermark"]
    await run("HSET", key(":own"), "epoch", 3, "token", "old", "watermark", mark)
    for name, state in RELEASED["states"].items():
        await run("HSET", key(":state"), b64decode(name), b64decode(state))
    for name, due_ms in RELEASED["wakes"].items():
        await run("ZADD", key(":wake"), due_ms, b64decode(name))
    step = json.loads(mark)["step"]
    for number, entry in enumerate(RELEASED["outbox"].values()):
        await run("HSET", key(":out"), f"{step}:{number}", b64decode(entry))
    return RedisStore(redis, group, VISITOR_CODEC)


# Yesterday's bytes, today's code


def test_every_state_of_the_last_release_can_be_read_and_written_anew():
    for data in map(b64decode, RELEASED["states"].values()):
        assert data[0] == BEFORE
        state = VISITOR_CODEC.decode(data)
        new = VISITOR_CODEC.encode(state)
        assert new[0] == VISITOR_CODEC.format > BEFORE
        assert VISITOR_CODEC.encode(VISITOR_CODEC.decode(new)) == new


def test_outbox_has_the_bytes_that_it_had_and_the_watermark_one_field_more():
    for data in map(b64decode, RELEASED["outbox"].values()):
        assert msgspec.msgpack.encode(msgspec.msgpack.decode(data, type=Entry)) == data
    mark = RELEASED["watermark"].encode()
    again = msgspec.json.encode(msgspec.json.decode(mark, type=Watermark))
    # An older version ignores the field, and checks nothing by it.
    assert again == mark[:-1] + b',"last":{}}'


def test_the_models_of_the_last_release_go_on_learning():
    snapshot = decode(b64decode(RELEASED["snapshot"]))
    assert isinstance(snapshot, Snapshot)
    assert Trainer(snapshot).offset == snapshot.offset == 30


async def test_todays_worker_goes_on_exactly_as_the_last_release_would_have(released):
    world = World(*RELEASED["events"], store=released, score=ModelScorer())
    world.now_ms = RELEASED["now_ms"]
    worker = await world.worker()
    async for _ in worker.shard.rearm():
        pass
    for _ in range(6 * 24 * 5):
        world.now_ms += 10 * MINUTE
        await worker.run()
    made = [[one.topic, json.loads(one.value)] for one in world.sink.published]
    assert made == [[topic, json.loads(value)] for topic, value in RELEASED["published_later"]]


async def test_a_shard_of_the_last_release_has_its_wake_ups_computed_anew_once(released):
    worker = await World(store=released).worker()
    assert worker.shard.must_rearm
    async for _ in worker.shard.rearm():
        pass
    assert not (await World(store=released).worker()).shard.must_rearm


# Today's bytes, yesterday's rules


async def test_an_older_worker_does_not_take_what_a_newer_one_has_written(redis, group, caplog):
    old, new = RedisStore(redis, group, OldCodec()), RedisStore(redis, group, VISITOR_CODEC)
    newer = await new.claim(0)
    bench = Bench(store=old)
    write(bench, 0, *LEFT_CART)
    write(bench, 1, *LEFT_CART)
    assert await bench.claim(0) == {0: {}}
    assert bench.shards.stopped.keys() == {0}
    (line,) = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert line == (
        "Shard 0 is stopped: its state has format 2, this version reads up to 1. Upgrade this"
        " worker, or stop it: workers of the newer version go on with the shard. How to go back to"
        " an older version: docs/upgrades.md."
    )
    await bench.claim(1)  # which nobody newer has written
    await bench.work()
    assert bench.stored(1)["cart-events"] == 1
    assert bench.shards.full() >= {TopicPartition("cart-events", 0)}, "it is read no further"
    assert await new.load(newer, []) == {}
    assert (await new.claim(0)).epoch == newer.epoch + 1


async def test_an_upgrade_and_the_way_back_publish_every_trigger_once(redis, group):
    """Walk through docs/upgrades.md: old, new, and after the rollback old again."""
    bench = Bench(store=RedisStore(redis, group, OldCodec()))
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards.forget()  # 1. the old workers are stopped
    bench.store = RedisStore(redis, group, VISITOR_CODEC)
    bench.shards = bench.worker()  # 2. the new ones start
    await bench.claim(0, **offsets(bench))
    bench.now_ms = DUE_MS
    await bench.work()
    sent = bench.published("triggers")
    assert len(sent) == 1
    committed = bench.shards.offsets_to_commit()
    bench.shards.forget()  # rollback, 1. the new workers are stopped
    bench.store = RedisStore(redis, group, OldCodec())
    with pytest.raises(NewerFormatError):
        await bench.store.claim(0)
    for part in ("own", "state", "wake", "out"):  # 2. the shards' keys are deleted
        await redis.run("DEL", f"{group}:{{0}}:{part}")
    bench.shards = bench.worker()  # 3. the old workers start, and rebuild them from the log
    at = {tp.topic: offset for tp, (offset, _) in committed.items()}
    clock_ms = max(int(clock) for _, clock in committed.values())
    await bench.claim(0, committed=at, clock_ms=clock_ms)
    await bench.work()
    assert bench.published("triggers") == sent, "nothing is sent twice"
    bench.now_ms = DUE_MS + DAY
    await bench.work()
    assert len(bench.published("triggers")) == 2, "the follow-up"
    assert bench.published("triggers") == await undisturbed()


async def undisturbed():
    """Return the ids of the same triggers without any upgrade."""
    bench = Bench()
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    for now_ms in (DUE_MS, DUE_MS + DAY):
        bench.now_ms = now_ms
        await bench.work()
    return bench.published("triggers")


def offsets(bench):
    return {"committed": {topic: len(kept) for topic, kept in bench.logs[0].topics.items()}}
