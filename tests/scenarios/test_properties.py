"""Any log, cut and interrupted in any way, leads to the decisions of a replay."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.domain.topics import LANES
from stream.shard.ports import FencedError
from tests.scenarios.trouble import Crash, Crashing, copied
from tests.scenarios.world import (
    LASTING,
    MINUTE,
    TOPIC_OF_TYPE,
    World,
    added,
    bought,
    consented,
    decided,
    merged,
    refused,
    replayed,
    shopping,
)

# A busy machine is slow, not wrong.
SOME = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@SOME
@given(shopping(), st.data())
async def test_any_number_of_new_owners_decides_like_one(events, data):
    last = len(events)
    world = World(*events)
    worker = await world.worker(live=False)
    for _ in range(data.draw(st.integers(0, 4), label="owners")):
        for topic in data.draw(st.lists(st.sampled_from(list(LANES)), max_size=6), label="read"):
            worker.fetch(topic, data.draw(st.integers(1, last), label="so many"))
        await worker.step(data.draw(st.integers(1, 9), label="taken"))
        old, worker = worker, await world.worker(live=False)
        with pytest.raises(FencedError):
            await old.shard.step(old.batch(0))
    await worker.run()
    assert decided(world.sink) == await replayed(events)


@SOME
@given(shopping(), st.data())
async def test_crashes_repeat_records_and_never_lose_or_change_one(events, data):
    sink = Crashing()
    world = World(*events, sink=sink)
    worker = await world.worker(live=False)
    for _ in range(data.draw(st.integers(0, 4), label="crashes")):
        kind = data.draw(st.sampled_from(["before", "after"]), label="crash")
        setattr(sink, kind, True)
        worker.fetch_all()
        with contextlib.suppress(Crash):
            await worker.step(data.draw(st.integers(1, 9), label="taken"))
        setattr(sink, kind, False)
        worker = await world.worker(live=False)
    await worker.run()
    assert sorted(set(decided(sink))) == await replayed(events)


@SOME
@given(shopping(), st.data())
async def test_whatever_tail_is_lost_the_records_lead_to_the_same_decisions(events, data):
    world = World(*events)
    worker = await world.worker(live=False)
    worker.fetch_all()
    cut = data.draw(st.integers(0, len(events)), label="kept")
    if cut:
        await worker.step(cut)
    kept = copied(world.store)
    await worker.run(limit=data.draw(st.integers(1, 9), label="taken"))
    world.store._shards = kept
    await (await world.worker(live=False)).run(limit=data.draw(st.integers(1, 9), label="again"))
    assert sorted(set(decided(world.sink))) == await replayed(events)


@SOME
@given(shopping(), st.data())
async def test_by_the_records_clock_any_chunking_decides_like_replay(events, data):
    world = World(*events)
    worker = await world.worker(live=False)
    happenings = st.tuples(st.sampled_from(list(LANES)), st.integers(1, 6), st.integers(0, 6))
    for topic, received, taken in data.draw(st.lists(happenings, max_size=20), label="chunks"):
        worker.fetch(topic, received)
        await worker.step(taken)
    await worker.run()
    assert decided(world.sink) == await replayed(events)


@SOME
@given(shopping(LASTING))
async def test_live_in_step_with_its_input_decides_like_replay(events):
    world = World()
    worker = await world.worker()
    last = max(one["at_ms"] for one in events)
    waiting = list(events)
    while world.now_ms <= last:
        while waiting and waiting[0]["at_ms"] == world.now_ms:
            world.log.write(waiting.pop(0))
        await worker.run()
        world.now_ms += MINUTE
    assert decided(world.sink) == await replayed(events)


WORDS = (
    consented,
    refused,
    added,
    added,
    bought,
    lambda at_ms, visitor: refused(at_ms, visitor, "personalization"),
)


@SOME
@given(shopping(WORDS), st.lists(st.integers(1, 90), min_size=1, max_size=6), st.integers(1, 5))
async def test_live_nobody_is_reminded_whose_last_word_was_a_purchase_or_a_refusal(
    events, pauses, limit
):
    world, waiting = World(), list(events)
    worker = None
    for pause in [*pauses, 200]:
        world.now_ms += pause * MINUTE
        while waiting and waiting[0]["at_ms"] <= world.now_ms:
            world.log.write(waiting.pop(0))
        worker = await world.worker()
        known = len(world.published("triggers"))
        await worker.run(limit)
        for trigger in world.published("triggers")[known:]:
            assert _last_word(world, trigger["visitor"]) in {"product_added", "consent_updated"}
            assert _consents(world, trigger["visitor"])


def _stored(world, visitor):
    records = [one for kept in world.log.topics.values() for one in kept]
    events = merged([json.loads(one.value) for one in records])
    return [one for one in events if one["visitor"] == visitor]


def _last_word(world, visitor):
    return _stored(world, visitor)[-1]["type"]


def _consents(world, visitor):
    """Say whether both purposes stand granted after everything that is stored."""
    standing = {}
    for one in _stored(world, visitor):
        if TOPIC_OF_TYPE[one["type"]] == "consent-events":
            standing |= one["purposes"]
    return set(standing.values()) == {"granted"}
