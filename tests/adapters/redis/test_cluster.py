"""A cluster of three primaries without replicas, and a fourth node without slots."""

import asyncio

import pytest

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.models import RedisModels
from stream.adapters.redis.store import RedisStore, fix_partitions
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.errors import CartwakeError
from stream.shard.ports import Commit, Entry, Watermark
from tests.rig.processes import LOOPBACK, free_port
from tests.rig.secure_redis import USERS, password

pytestmark = pytest.mark.usefixtures("impatient")

WORKER = "cartwake-worker"
ANN = VisitorKey("shop", "ann")
SHARDS = range(12)


def commit(step):
    entry = Entry("triggers", b"ann", b"{}", [("ce_id", b"1")])
    watermark = Watermark({"cart-events": step}, 1_000 * step, step)
    return Commit({ANN: Visitor(erased_ms=step)}, {ANN: step}, [entry], watermark)


@pytest.fixture
async def connection(redis_cluster):
    made = Connection(redis_cluster.url)
    yield made
    await made.close()


@pytest.fixture
def store(connection, group):
    return RedisStore(connection, group, VISITOR_CODEC)


@pytest.fixture
async def owners(store):
    return [await store.claim(shard) for shard in SHARDS]


@pytest.fixture
def holder(redis_cluster, group):
    """Return which primary has a shard."""
    return lambda shard: redis_cluster.holder(f"{group}:{{{shard}}}:own")


def test_every_primary_has_shards(holder, redis_cluster):
    assert {holder(shard) for shard in SHARDS} == set(redis_cluster.nodes[:3])


async def test_shards_of_a_primary_that_is_away_wait_and_the_others_go_on(
    redis_cluster, connection, store, owners, holder, log
):
    victim = redis_cluster.nodes[0]
    away = {shard for shard in SHARDS if holder(shard) is victim}
    victim.kill()
    try:
        steps = {o.shard: asyncio.create_task(store.commit(o, commit(1))) for o in owners}
        await asyncio.wait_for(
            asyncio.gather(*(step for shard, step in steps.items() if shard not in away)), 10
        )
        await log.said("does not serve")
        assert not connection.is_up
        assert not any(steps[shard].done() for shard in away)
        for owner in owners:
            if owner.shard not in away:
                await asyncio.wait_for(store.commit(owner, commit(2)), 10)
    finally:
        await asyncio.to_thread(victim.start)
    await asyncio.gather(*steps.values())
    assert connection.is_up
    assert ["again" in line for line in log.lines] == [False, True]
    assert [len(await store.outbox(o)) for o in owners] == [1 if s in away else 2 for s in SHARDS]


async def test_a_worker_that_starts_while_a_primary_is_away_waits_for_it(
    redis_cluster, log, connection
):
    victim = redis_cluster.nodes[1]
    victim.kill()
    try:
        checking = asyncio.create_task(connection.check())
        await log.said("does not serve")
        assert not checking.done()
    finally:
        await asyncio.to_thread(victim.start)
    await checking


async def test_a_slot_that_moves_to_a_new_node_takes_its_shard_along(
    redis_cluster, store, owners, group
):
    owner, step = owners[5], 0
    moving = redis_cluster.move(f"{group}:{{5}}:own", redis_cluster.nodes[3])
    while await asyncio.to_thread(next, moving, None):
        step += 1
        commits = asyncio.create_task(store.commit(owner, commit(step)))
        await asyncio.wait([commits], timeout=0.3)
        if not commits.done():  # it waits until its keys are all in one place
            await asyncio.to_thread(list, moving)
        await commits
    assert owner.watermark == commit(step).watermark
    assert len(await store.outbox(owner)) == step
    assert redis_cluster.holder(f"{group}:{{5}}:own") is redis_cluster.nodes[3]


async def test_the_workers_user_of_deploy_can_do_all_of_its_work_in_a_cluster(redis_cluster):
    user = next(line for line in USERS.read_text().splitlines() if WORKER in line)
    for node in redis_cluster.nodes:
        with node.client() as client:
            client.execute_command("ACL", "SETUSER", *user.split()[1:], f">{password(WORKER)}")
    url = redis_cluster.url.replace("//", f"//{WORKER}@")
    connection = Connection(url, password=password(WORKER), trial=True)
    await connection.check()
    store = RedisStore(connection, "cartwake", VISITOR_CODEC)
    await fix_partitions(connection, "cartwake", len(SHARDS))
    for shard in SHARDS:
        owner = await store.claim(shard)
        ids = await store.commit(owner, Commit({}, {}, [], Watermark({"t": owner.epoch}, 1, 1)))
        await store.remove(owner, ids)
    assert await RedisModels(connection, "cartwake").load() is None
    await connection.close()


async def test_a_node_that_does_not_know_a_script_gets_it_in_full(redis_cluster, store, owners):
    for node in redis_cluster.nodes:
        with node.client() as client:
            client.script_flush()
    for owner in owners:
        assert len(await store.commit(owner, commit(1))) == 1


@pytest.mark.parametrize("place", [0, 2])
async def test_one_primary_that_would_evict_is_enough_to_be_refused(
    redis_cluster, connection, place
):
    node = redis_cluster.nodes[place]
    with node.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(CartwakeError, match=rf"Redis at \S+:{node.port} has maxmemory"):
                await connection.check()
        finally:
            client.config_set("maxmemory-policy", "noeviction")


async def test_the_memory_of_every_primary_is_told(connection):
    told = await connection.memory()
    assert len(told) == len(connection.client.get_primaries()) > 1
    assert all(memory.used > 0 for memory in told.values())


async def test_a_cluster_that_keeps_everything_is_accepted(connection):
    await connection.check()
    assert connection.is_up


async def test_any_node_that_is_named_will_do(redis_cluster):
    nobody = f"{LOOPBACK}:{free_port()}"
    nodes = [nobody, *(f"{LOOPBACK}:{node.port}" for node in redis_cluster.nodes[1:])]
    connection = Connection(f"redis+cluster://{','.join(nodes)}")
    assert connection.address == ",".join(nodes)
    await connection.check()
    assert connection.is_up
    await connection.close()


async def test_a_node_of_a_cluster_is_no_single_server(redis_cluster):
    connection = Connection(redis_cluster.nodes[0].url)
    with pytest.raises(CartwakeError, match=r"is a node of a cluster: redis\.url needs redis\+clu"):
        await connection.check()
    await connection.close()


async def test_a_single_server_is_no_cluster(redis_server):
    connection = Connection(f"redis+cluster://{LOOPBACK}:{redis_server.port}", trial=True)
    with pytest.raises(CartwakeError, match=f"Redis at .*:{redis_server.port} is no cluster: use"):
        await connection.check()
    await connection.close()
