"""References: one contract, kept by both implementations."""

import asyncio
from uuid import uuid4

import pytest

from stream.adapters.redis.connection import connected
from stream.config.settings import RedisSettings
from stream.edge.references import LONGEST_S, MOST_NAMES, MOST_VISITORS, ReferencesUnavailable
from stream.edge.references.memory import MemoryReferences
from stream.edge.references.redis import RedisReferences
from stream.mappers.mapped import ERASED
from tests.rig.secure_redis import password

NAMES = ["cart/c1", "order/17", "customer/5"]


@pytest.fixture(params=["memory", "redis", "cluster", "rights"])
def run(request):
    """Run steps with references, each in an event loop of its own."""
    if request.param == "memory":
        memory = MemoryReferences()
        return lambda steps: asyncio.run(steps(memory))
    if request.param == "rights":
        server = request.getfixturevalue("secure_redis")
        with server.client() as client:
            client.flushall()
        login = {"password": password("edge"), "ssl_cafile": str(server.certificates.ca)}
        redis = RedisSettings(url=server.url_of("edge"), **login)
        return lambda steps: asyncio.run(_with(redis, "cartwake:edge", steps))
    fixture = {"redis": "redis_server", "cluster": "redis_cluster"}[request.param]
    redis, prefix = RedisSettings(url=request.getfixturevalue(fixture).url), f"t-{uuid4().hex}:edge"
    return lambda steps: asyncio.run(_with(redis, prefix, steps))


async def _with(redis, prefix, steps):
    connection, moments = connected(redis), iter(range(10**6))
    try:
        return await steps(RedisReferences(connection, prefix, lambda: next(moments)))
    finally:
        await connection.close()


def test_names_have_their_visitors_the_newest_first(run):
    async def steps(references):
        await references.learn("tea", "v1", NAMES)
        await references.learn("tea", "v2", ["customer/5"])
        await references.learn("bike", "v3", ["cart/c1"])
        found = await references.find("tea", [*NAMES, "order/18"])
        assert found == {"cart/c1": ("v1",), "order/17": ("v1",), "customer/5": ("v2", "v1")}
        await references.learn("tea", "v1", ["customer/5"])
        assert (await references.find("tea", NAMES))["customer/5"] == ("v1", "v2")

    run(steps)


def test_an_erasure_leaves_that_there_was_one(run):
    async def steps(references):
        await references.learn("tea", "v1", NAMES)
        await references.learn("tea", "v2", ["customer/5"])
        await references.erase("tea", "v1")
        found = await references.find("tea", NAMES)
        assert {name: set(visitors) for name, visitors in found.items()} == {
            "order/17": {ERASED},
            "customer/5": {ERASED, "v2"},
        }
        await references.erase("tea", "v1")
        await references.learn("tea", "v1", ["order/17"])
        assert (await references.find("tea", NAMES))["order/17"] == ("v1",)

    run(steps)


def test_a_refusal_leaves_the_customer(run):
    async def steps(references):
        await references.learn("tea", "v1", NAMES)
        await references.refuse("tea", "v1")
        await references.learn("tea", "v1", NAMES)
        assert await references.find("tea", NAMES) == {"customer/5": ("v1",)}
        await references.grant("tea", "v1")
        await references.learn("tea", "v1", NAMES)
        assert set(await references.find("tea", NAMES)) == set(NAMES)

    run(steps)


def test_there_is_a_bound_of_visitors_and_of_names(run):
    async def steps(references):
        for number in range(MOST_VISITORS + 3):
            await references.learn("tea", f"v{number}", ["customer/5"])
        (visitors,) = (await references.find("tea", ["customer/5"])).values()
        assert visitors == tuple(f"v{number}" for number in range(MOST_VISITORS + 2, 2, -1))
        names = [f"cart/{number}" for number in range(MOST_NAMES + 3)]
        for name in names:
            await references.learn("tea", "v", [name])
        assert list(await references.find("tea", names)) == names[3:]
        await references.erase("tea", "v")
        assert await references.find("tea", names) == {}

    run(steps)


def test_every_key_expires_and_none_has_a_name_in_it(redis_server):
    prefix = f"t-{uuid4().hex}:edge"

    async def steps(references):
        await references.learn("tea", "v1", NAMES)
        await references.refuse("tea", "v2")

    asyncio.run(_with(RedisSettings(url=redis_server.url), prefix, steps))
    client = redis_server.client()
    keys = list(client.scan_iter(f"{prefix}:*"))
    assert len(keys) == len(NAMES) + 2
    assert all(0 < client.ttl(key) <= LONGEST_S for key in keys)
    assert not any(key.endswith((b"/17", b"/5", b"/c1")) for key in keys)


def test_without_redis_it_is_unavailable():
    async def steps(references):
        with pytest.raises(ReferencesUnavailable):
            await references.find("tea", NAMES)

    asyncio.run(_with(RedisSettings(url="redis://127.0.0.1:1/0"), "t:edge", steps))
