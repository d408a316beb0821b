import asyncio
import time

import pytest
from redis.exceptions import ResponseError

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import RedisStore, fix_partitions
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import CartwakeError
from stream.shard.ports import Commit, Entry, RewoundError, Watermark
from tests.adapters.redis.servers import Line

pytestmark = pytest.mark.usefixtures("impatient")

ANN = VisitorKey("shop", "ann")
ENTRY = Entry("triggers", b"ann", b"{}", [("ce_id", b"1")])
GROUP = "cartwake"
KINDS = ("own", "state", "wake", "out")


@pytest.fixture
def store(connection):
    return RedisStore(connection, GROUP, VISITOR_CODEC)


def commit(step, *, entries=(ENTRY,)):
    watermark = Watermark({"cart-events": step}, 1_000 * step, step)
    return Commit({ANN: Visitor(erased_ms=step)}, {ANN: step}, entries, watermark)


async def dumped(connection):
    """Return what is in every key; the bytes of a large hash do not always stand in one order."""
    client = connection.client
    return {
        key: await (client.hgetall(key) if await client.type(key) == b"hash" else client.dump(key))
        for key in await client.keys("*")
    }


async def test_a_last_look_tells_when_it_was_asked_for(store):
    owner = await store.claim(0)
    before = time.monotonic()
    asked = (await store.look(owner, [ANN])).asked
    assert before <= asked <= time.monotonic()


async def test_a_commit_counts_as_a_look_from_when_it_was_asked_for(store, monkeypatch):
    owner = await store.claim(0)
    run, running = store._commit, []

    async def slow(keys, args):
        running.append(time.monotonic())
        return await run(keys, args)

    monkeypatch.setattr(store, "_commit", slow)
    assert owner.committed == float("-inf")
    before = time.monotonic()
    await store.commit(owner, commit(1))
    assert before <= owner.committed <= running[0]


async def test_a_watermark_of_before_topics_had_ids_is_read_and_built_upon(store, connection):
    stored = b'{"offsets":{"cart-events":4},"clock_ms":50,"step":1}'
    await connection.client.hset(f"{GROUP}:{{0}}:own", "watermark", stored)
    owner = await store.claim(0)
    assert owner.watermark == Watermark({"cart-events": 4}, 50, 1)
    assert len(await store.commit(owner, commit(2))) == 1


# The server is away


async def test_a_commit_waits_for_a_server_that_is_away_and_loses_nothing(
    own_redis, store, connection, log
):
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    own_redis.kill()
    second = asyncio.create_task(store.commit(owner, commit(2)))
    await log.said("does not serve")
    own_redis.start()
    assert len(await second) == 1
    assert owner.watermark == commit(2).watermark
    assert len(await store.outbox(owner)) == 2
    assert await store.load(owner, [ANN]) == {ANN: Visitor(erased_ms=2)}
    assert ["again" in line for line in log.lines] == [False, True]


async def test_every_call_waits(own_redis, store, log):
    owner = await store.claim(0)
    ids = await store.commit(owner, commit(1))
    own_redis.kill()
    calls = [
        asyncio.create_task(call)
        for call in (
            store.load(owner, [ANN]),
            store.due(owner, 9, 9),
            store.outbox(owner),
            store.claim(1),
            fix_partitions(store._connection, GROUP, 4),
        )
    ]
    await log.said("does not serve")
    own_redis.start()
    states, due, outbox, other, _ = await asyncio.gather(*calls)
    assert (states, due) == ({ANN: Visitor(erased_ms=1)}, [ANN])
    assert (outbox, other.shard) == ([(ids[0], ENTRY)], 1)
    await store.remove(owner, ids)
    assert owner.pending == 0


async def test_a_commit_whose_answer_was_lost_is_found_done(own_redis):
    async with Line(own_redis.url) as line:
        connection = Connection(line.url)
        store = RedisStore(connection, GROUP, VISITOR_CODEC)
        owner = await store.claim(0)
        await store.commit(owner, commit(1))
        line.loses_next = True
        assert await store.commit(owner, commit(2)) == []
        assert line.lost == 1
        assert (owner.watermark, owner.next_due_ms, owner.pending) == (commit(2).watermark, 2, 2)
        assert len(await store.outbox(owner)) == 2
        assert len(await store.commit(owner, commit(3))) == 1
        await connection.close()


async def test_a_claim_whose_answer_was_lost_is_still_one_owner(own_redis):
    async with Line(own_redis.url) as line:
        connection = Connection(line.url)
        store = RedisStore(connection, GROUP, VISITOR_CODEC)
        await store.claim(0)
        line.loses_next = True
        owner = await store.claim(0)
        assert line.lost == 1
        assert len(await store.commit(owner, commit(1))) == 1
        await connection.close()


async def test_a_removal_whose_answer_was_lost_is_done(own_redis):
    async with Line(own_redis.url) as line:
        connection = Connection(line.url)
        store = RedisStore(connection, GROUP, VISITOR_CODEC)
        owner = await store.claim(0)
        ids = await store.commit(owner, commit(1, entries=[ENTRY, ENTRY]))
        await store.remove(owner, [])
        line.loses_next = True
        await store.remove(owner, ids[:1])
        assert (line.lost, owner.pending) == (1, 1)
        await connection.close()


async def test_a_server_that_has_forgotten_the_scripts_is_sent_them_again(store, connection):
    owner = await store.claim(0)
    for step in (1, 2):
        await connection.client.script_flush()
        ids = await store.commit(owner, commit(step))
        await connection.client.script_flush()
        await store.remove(owner, ids)
    await connection.client.script_flush()
    assert (await store.claim(0)).watermark == commit(2).watermark


async def test_a_server_without_memory_writes_nothing_and_is_waited_for(store, connection, log):
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    before = await dumped(connection)
    await connection.client.config_set("maxmemory", 1)
    second = asyncio.create_task(store.commit(owner, commit(2)))
    await log.said("does not serve")
    assert await dumped(connection) == before
    await connection.client.config_set("maxmemory", 0)
    assert len(await second) == 1
    assert owner.watermark == commit(2).watermark
    assert ["again" in line for line in log.lines] == [False, True]


@pytest.mark.parametrize(
    "step",
    [
        Commit({ANN: None}, {ANN: None}, [ENTRY], Watermark({}, 2, 2)),
        Commit({}, {}, [ENTRY], Watermark({}, 2, 2)),
        Commit({}, {}, [], Watermark({}, 2, 2)),
    ],
    ids=["deletes first", "entries only", "watermark only"],
)
async def test_without_memory_a_step_is_written_whole_or_not_at_all(store, connection, log, step):
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    before = await dumped(connection)
    await connection.client.config_set("maxmemory", 1)
    second = asyncio.create_task(store.commit(owner, step))
    said = asyncio.create_task(log.said("does not serve"))
    await asyncio.wait({second, said}, return_when=asyncio.FIRST_COMPLETED)
    if not second.done():
        assert await dumped(connection) == before
    await connection.client.config_set("maxmemory", 0)
    await second
    said.cancel()
    assert (await store.claim(0)).watermark == step.watermark


# Keys


async def test_every_key_of_a_shard_has_its_hash_tag_and_the_groups_name(store, connection):
    owner = await store.claim(7)
    await store.commit(owner, commit(1))
    keys = {key.decode() for key in await connection.client.keys("*")}
    assert keys == {f"{GROUP}:{{7}}:{kind}" for kind in KINDS}


async def test_groups_share_nothing(store, connection):
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    other = await RedisStore(connection, "other", VISITOR_CODEC).claim(0)
    assert (other.watermark, other.armed, other.pending) == (Watermark(), 0, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_of_a_foreign_type_fails_the_claim_and_nothing_is_written(
    store, connection, kind
):
    await connection.client.set(f"{GROUP}:{{0}}:{kind}", "foreign")
    before = await dumped(connection)
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await store.claim(0)
    assert await dumped(connection) == before


async def test_an_epoch_that_is_no_number_fails_the_claim_and_nothing_is_written(store, connection):
    await connection.client.hset(f"{GROUP}:{{0}}:own", "epoch", "foreign")
    before = await dumped(connection)
    with pytest.raises(ResponseError, match="integer"):
        await store.claim(0)
    assert await dumped(connection) == before


async def test_a_flushed_server_is_rewound_and_claimed_from_the_beginning(store, connection):
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    await connection.client.flushall()
    with pytest.raises(RewoundError, match="shard 0"):
        await store.commit(owner, commit(2))
    assert (await store.claim(0)).watermark == Watermark()


async def test_the_watermark_is_written_last(store, connection):
    owner = await store.claim(0)
    await connection.client.set(f"{GROUP}:{{0}}:out", "came after the claim")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await store.commit(owner, commit(1))
    assert await connection.client.hget(f"{GROUP}:{{0}}:own", "watermark") is None


# Partitions


async def test_the_number_of_partitions_is_fixed_by_the_first_worker(store, own_redis):
    await fix_partitions(store._connection, GROUP, 12)
    await fix_partitions(store._connection, GROUP, 12)
    with pytest.raises(CartwakeError) as refused:
        await fix_partitions(store._connection, GROUP, 6)
    said = str(refused.value)
    assert "the input topics have 6 partitions" in said
    assert f"Redis at 127.0.0.1:{own_redis.port} holds the state of 12;" in said
    assert "\n" not in said


async def test_each_group_has_its_own_number_of_partitions(store, connection):
    await fix_partitions(store._connection, GROUP, 12)
    await fix_partitions(connection, "other", 6)


async def test_the_seconds_of_each_commit_are_told(connection):
    told = []
    store = RedisStore(connection, GROUP, VISITOR_CODEC, told.append)
    owner = await store.claim(0)
    await store.commit(owner, commit(1))
    assert len(told) == 1
    assert told[0] >= 0
