"""A shard over a second kind of key, in memory and on Redis: steps, crashes, zombies, lost data."""

import json

import pytest

from stream.adapters.memory import MemoryStore
from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import RedisStore
from stream.shard.clock import RecordsClock
from stream.shard.folding import Batch
from stream.shard.ports import FencedError, RewoundError
from stream.shard.shard import Shard
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
from tests.scenarios.trouble import Crash, Crashing
from tests.scenarios.world import T0, Record

SHOE, HAT = ProductKey("shop", "shoe"), ProductKey("shop", "a/hat")


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
async def store(request, group):
    if request.param == "memory":
        yield MemoryStore(PRODUCTS.codec)
        return
    connection = Connection(request.getfixturevalue("redis_server").url)
    yield RedisStore(connection, group, PRODUCTS.codec)
    await connection.close()


@pytest.fixture
def sink():
    return Crashing()


@pytest.fixture
def claim(store, sink):
    async def claimed():
        owner = await store.claim(0, PRODUCTS.policy_digest)
        return Shard(owner, store, sink, encode, PRODUCTS)

    return claimed


def record(offset, key, what, at_ms):
    topic = BOUGHT if what == "bought" else SEEN
    value = json.dumps({"what": what, "at_ms": at_ms}).encode()
    return Record(topic, 0, offset, at_ms, PRODUCTS.codec.name_of(key), value)


def batch(shard, *records, until_ms=None):
    """Return a step over these records, by their own clock; then time passes ``until_ms``."""
    facts = PRODUCTS.read(records)
    before_ms = shard.owner.watermark.clock_ms if until_ms is None else until_ms
    clock = RecordsClock(before_ms, facts, at_end=True)
    return Batch(facts, {SEEN: len(records)}, clock, T0, live=True)


LOG = (
    record(0, SHOE, "seen", T0),
    record(1, HAT, "seen", T0 + 1),
    record(2, SHOE, "seen", T0 + 2),
    record(0, SHOE, "bought", T0 + 3),
)
COUNTS = {SHOE: Product(2, 1), HAT: Product(1, 0)}
DUE = T0 + 1 + REPORT_AFTER_MS


async def test_events_are_counted_and_reported_when_it_is_time(claim, store, sink):
    shard = await claim()
    report = await shard.step(batch(shard, *LOG))
    assert report.events == {
        ("seen", "happened", "applied"): 3,
        ("bought", "happened", "applied"): 1,
    }
    assert sink.published == []
    assert shard.owner.next_due_ms == T0 + REPORT_AFTER_MS
    await shard.step(batch(shard, until_ms=DUE))
    assert reports(sink) == [
        ("shop/shoe", {"seen": 2, "bought": 1}),
        ("shop/a/hat", {"seen": 1, "bought": 0}),
    ]
    assert await store.load(shard.owner, [SHOE, HAT]) == COUNTS
    assert shard.owner.next_due_ms is None


async def test_a_worker_killed_between_commit_and_publish_costs_nothing(claim, sink):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    sink.before = True
    with pytest.raises(Crash):
        await shard.step(batch(shard, until_ms=DUE))
    sink.before = False
    new = await claim()
    assert await new.resume(live=True, now_ms=DUE) == 0
    assert [key for key, _ in reports(sink)] == ["shop/shoe", "shop/a/hat"]


async def test_a_worker_killed_after_publishing_repeats_the_same_bytes(claim, sink):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    sink.after = True
    with pytest.raises(Crash):
        await shard.step(batch(shard, until_ms=DUE))
    sink.after = False
    await (await claim()).resume(live=True, now_ms=DUE)
    first, second = sink.published[:2], sink.published[2:]
    assert first == second


async def test_a_zombie_changes_and_sends_nothing(claim, store, sink):
    zombie = await claim()
    await zombie.step(batch(zombie, *LOG))
    new = await claim()
    with pytest.raises(FencedError):
        await zombie.step(batch(zombie, *LOG, until_ms=DUE))
    assert sink.published == []
    loaded = await store.load(new.owner, [SHOE])
    assert loaded[SHOE].seen == 2


async def test_a_lost_store_is_rebuilt_from_the_log_without_another_report(claim, store, sink):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    await shard.step(batch(shard, until_ms=DUE))
    before, owner = list(sink.published), shard.owner
    await wipe(store)
    with pytest.raises(RewoundError):
        await shard.step(batch(shard, *LOG))
    new = await claim()
    again = batch(new, *LOG)
    again.recovering = True
    await new.step(again)
    end = batch(new, until_ms=DUE)
    end.recovering = True
    await new.step(end)
    assert sink.published == before
    assert await store.load(new.owner, [SHOE, HAT]) == COUNTS
    assert new.owner.watermark.clock_ms == owner.watermark.clock_ms


async def test_a_report_that_its_state_no_longer_allows_is_withheld(claim, sink):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    await shard.step(batch(shard, record(3, SHOE, "banned", T0 + 4)))
    report = await shard.step(batch(shard, until_ms=DUE))
    assert report.withheld == 1
    assert [key for key, _ in reports(sink)] == ["shop/a/hat"]


async def test_a_product_that_cannot_be_folded_costs_its_record_alone(claim, store, sink):
    shard = await claim()
    bad = record(4, SHOE, "cursed", T0 + 4)
    report = await shard.step(batch(shard, *LOG, bad))
    assert report.events["seen", "happened", "dead_letter"] == 1
    (letter,) = [one for one in sink.published if one.topic == "dead-letters"]
    assert (letter.key, letter.value) == (bad.key, bad.value)
    loaded = await store.load(shard.owner, [SHOE])
    assert (loaded[SHOE].seen, loaded[SHOE].bought) == (2, 1)


async def damage(store, key):
    if isinstance(store, MemoryStore):
        store._shards[0].states[key] = b"\x00damaged"
    else:
        name = PRODUCTS.codec.name_of(key)
        await store._connection.client.hset(*store._keys(0, "state"), name, b"\x00damaged")


async def wipe(store):
    if isinstance(store, MemoryStore):
        store._shards = {}
    else:
        await store._connection.client.delete(*store._keys(0, "own", "state", "wake", "out"))


def reports(sink):
    return [
        (one.key.decode(), json.loads(one.value)) for one in sink.published if one.topic == REPORTS
    ]


def wait(offset, at_ms, wait_ms, tenant="shop"):
    key = ProductKey(tenant, "")
    value = json.dumps({"what": "wait", "at_ms": at_ms, "wait_ms": wait_ms}).encode()
    return Record(BOUGHT, 0, offset, at_ms, PRODUCTS.codec.name_of(key), value)


async def settle(shard, until_ms):
    """Go on until nothing is due by then, as a worker does."""
    while shard.must_rearm or (shard.owner.next_due_ms or until_ms + 1) <= until_ms:
        if shard.must_rearm:
            async for _ in shard.rearm():
                pass
        else:
            await shard.step(batch(shard, until_ms=until_ms))


SOON_MS = 60_000
CHANGE_MS = T0 + 300_000


async def test_a_record_for_every_partition_holds_for_products_outside_its_step(claim, sink):
    shard = await claim()
    other = ProductKey("other", "shoe")
    await shard.step(batch(shard, *LOG, record(3, other, "seen", T0)))
    await shard.step(batch(shard, wait(1, CHANGE_MS, SOON_MS)))
    assert shard.must_rearm
    await settle(shard, CHANGE_MS)
    assert [key for key, _ in reports(sink)] == ["shop/shoe", "shop/a/hat"]
    assert shard.owner.next_due_ms == T0 + REPORT_AFTER_MS


@pytest.mark.parametrize("cut", range(7))
async def test_where_the_log_is_cut_into_steps_changes_no_report(claim, sink, cut):
    """What was due before the change follows the old wait, all later the new one."""
    late = CHANGE_MS + SOON_MS
    log = (
        wait(1, T0 - 1, CHANGE_MS - 1 - T0),
        *LOG,
        wait(2, CHANGE_MS, 2 * SOON_MS),
        record(3, SHOE, "seen", late),
    )
    shard = await claim()
    for part in (log[:cut], log[cut:]):
        await shard.step(batch(shard, *part))
        await settle(shard, shard.owner.watermark.clock_ms - 1)
    await settle(shard, late + 2 * SOON_MS)
    assert reports(sink) == [
        ("shop/shoe", {"seen": 2, "bought": 1}),
        ("shop/a/hat", {"seen": 1, "bought": 0}),
        ("shop/shoe", {"seen": 3, "bought": 1}),
    ]


async def test_a_worker_killed_around_a_change_leaves_no_old_wake_up(claim, store, monkeypatch):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    commit = store.commit

    async def dies(*_):
        raise Crash

    monkeypatch.setattr(store, "commit", dies)
    with pytest.raises(Crash):
        await shard.step(batch(shard, wait(1, CHANGE_MS, SOON_MS)))
    monkeypatch.setattr(store, "commit", commit)
    new = await claim()
    await settle(new, T0)
    assert new.owner.next_due_ms == T0 + REPORT_AFTER_MS
    await new.step(batch(new, wait(1, CHANGE_MS, SOON_MS)))
    newest = await claim()
    await settle(newest, T0)
    assert newest.owner.next_due_ms == T0 + SOON_MS


async def test_a_product_whose_shared_state_is_unreadable_is_not_judged_without_it(
    claim, store, sink
):
    shard = await claim()
    await shard.step(batch(shard, wait(1, T0, SOON_MS)))
    await damage(store, ProductKey("shop", ""))
    report = await shard.step(batch(shard, *LOG, record(5, ProductKey("other", "x"), "seen", T0)))
    assert report.events["seen", "happened", "dead_letter"] == 3
    assert report.events["seen", "happened", "applied"] == 1
    assert not reports(sink)


async def test_before_a_change_all_that_was_due_is_handled_however_much_it_is(
    claim, sink, monkeypatch
):
    monkeypatch.setattr("stream.shard.shard.DUE_PER_STEP", 1)
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    await shard.step(batch(shard, wait(1, DUE + 1, 10 * REPORT_AFTER_MS)))
    assert [key for key, _ in reports(sink)] == ["shop/shoe", "shop/a/hat"]


async def test_a_change_that_cannot_be_folded_changes_nothing(claim, store):
    shard = await claim()
    await shard.step(batch(shard, *LOG))
    bad = record(1, ProductKey("shop", ""), "cursed", CHANGE_MS)
    report = await shard.step(batch(shard, wait(0, T0 + 4, SOON_MS), bad, wait(2, T0 + 5, 7)))
    assert report.events["seen", "happened", "dead_letter"] == 1
    common = (await store.load(shard.owner, [ProductKey("shop", "")]))[ProductKey("shop", "")]
    assert (common.wait_ms, common.seen) == (7, 0)


async def test_a_change_holds_at_once_for_the_rest_of_its_step(claim, sink):
    shard = await claim()
    later = record(9, HAT, "seen", T0 + 2 * SOON_MS)
    await shard.step(batch(shard, record(0, SHOE, "seen", T0), wait(0, T0 + 1, SOON_MS), later))
    assert [key for key, _ in reports(sink)] == ["shop/shoe"]


async def test_what_is_undone_goes_on_by_the_shared_state(claim, sink):
    shard = await claim()
    await shard.step(batch(shard, *LOG[:1], wait(0, T0 + 1, SOON_MS)))
    bad, later = record(8, SHOE, "cursed", T0 + 3), record(9, HAT, "seen", T0 + 2 * SOON_MS)
    await shard.step(batch(shard, bad, later))
    assert [key for key, _ in reports(sink)] == ["shop/shoe"]
