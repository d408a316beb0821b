"""Policies that change while visitors wait: at the next claim every wake-up is computed anew."""

import pytest

from stream.adapters import memory
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT, CartAbandonmentParameters
from stream.domain.policy import Holdout, Policies, Policy
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.shard.ports import FencedError
from tests.scenarios.world import DAY, IDLE, MINUTE, T0, World, added, consented

LEFT_MS = T0 + MINUTE


def policy(idle_ms):
    parameters = CartAbandonmentParameters(idle_s=idle_ms // 1000)
    return Policy({CART_ABANDONMENT.name: parameters}, holdout=Holdout(fraction=0.0))


@pytest.fixture
def world():
    events = [consented(T0), added(LEFT_MS)]
    return World(*events, policy=policy(IDLE))


async def waiting(world):
    """Let a cart wait under the world's policy, and return its worker."""
    worker = await world.worker()
    await worker.run()
    return worker


async def changed(world, idle_ms):
    """Return a worker whose settings are others."""
    world.policy = policy(idle_ms)
    return await world.worker()


async def rearm(worker):
    async for _ in worker.shard.rearm():
        pass


async def test_a_shorter_idle_time_makes_a_waiting_cart_due_earlier(world):
    await waiting(world)
    worker = await changed(world, MINUTE)
    assert worker.owned.has_work(live=True)
    await rearm(worker)
    assert worker.shard.owner.next_due_ms == LEFT_MS + MINUTE
    world.now_ms = LEFT_MS + MINUTE
    await worker.run()
    assert world.triggers() == [("ann", "cart_abandonment", LEFT_MS + MINUTE)]


async def test_a_longer_idle_time_makes_a_waiting_cart_due_later(world):
    world.policy = policy(MINUTE)
    await waiting(world)
    worker = await changed(world, IDLE)
    await rearm(worker)
    world.now_ms = LEFT_MS + IDLE - 1
    await worker.run()
    assert world.triggers() == []
    world.now_ms = LEFT_MS + IDLE
    await worker.run()
    assert world.triggers() == [("ann", "cart_abandonment", LEFT_MS + IDLE)]


async def test_with_the_same_policies_nothing_is_computed_anew(world):
    await waiting(world)
    worker = await world.worker()
    assert not worker.shard.must_rearm


async def test_a_worker_that_dies_midway_leaves_the_work_to_the_next(world, monkeypatch):
    monkeypatch.setattr(memory, "SCAN", 1)
    for name in ("bob", "carl"):
        world.log.write(consented(T0, name))
        world.log.write(added(LEFT_MS, name))
    await waiting(world)
    dying = await changed(world, MINUTE)
    await anext(dying.shard.rearm())  # and no further
    assert world.store._shards[0].policy == Policies(policy(IDLE)).digest()
    worker = await world.worker()
    assert worker.shard.must_rearm
    await rearm(worker)
    assert not worker.shard.must_rearm
    assert set(world.store._shards[0].wakes.values()) == {LEFT_MS + MINUTE}
    assert not (await world.worker()).shard.must_rearm


async def test_a_zombie_arms_nothing(world):
    await waiting(world)
    zombie = await changed(world, MINUTE)
    world.policy = policy(IDLE)
    await world.worker()
    with pytest.raises(FencedError):
        await rearm(zombie)
    assert set(world.store._shards[0].wakes.values()) == {LEFT_MS + IDLE}
    assert world.store._shards[0].policy == Policies(policy(IDLE)).digest()


async def test_each_tenant_is_decided_by_its_own_policy():
    by_tenant = {"quick": policy(MINUTE)}
    entity = VisitorEntity(Policies(policy(IDLE), by_tenant), lambda *_: None)
    for tenant, idle_ms in (("quick", MINUTE), ("default", IDLE)):
        name = f"{len(tenant)}:{tenant}ann".encode()
        fold = entity.open(VISITOR_CODEC.key_of(name), None, [])
        assert fold.policy == policy(idle_ms)


def test_every_tenants_policy_is_part_of_the_digest():
    one = Policies(policy(IDLE), {"a": policy(MINUTE), "b": policy(IDLE)})
    same = Policies(policy(IDLE), {"b": policy(IDLE), "a": policy(MINUTE)})
    other = Policies(policy(IDLE), {"a": policy(MINUTE), "b": policy(MINUTE)})
    assert one.digest() == same.digest() != other.digest()


@pytest.mark.parametrize("life", ["TOMBSTONE_LIFE_MS", "BEHAVIOUR_LIFE_MS", "CONSENT_LIFE_MS"])
def test_how_long_states_are_kept_is_part_of_the_digest(life, monkeypatch):
    before = Policies().digest()
    monkeypatch.setattr(f"stream.domain.policy.{life}", DAY)
    assert Policies().digest() != before
