"""What the contract of stores leaves open; the contract itself is in ``test_store_contract``."""

from stream.adapters.memory import MemorySink, MemoryStore
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.shard.ports import Commit, Entry, Watermark

ANN = VisitorKey("shop", "ann")


def commit(step, wakes):
    return Commit({}, wakes, [], Watermark({"cart-events": step}, step, step))


async def test_a_wake_up_that_moves_often_is_asked_for_once():
    store = MemoryStore(VISITOR_CODEC)
    owner = await store.claim(0)
    for step in range(1, 6):
        await store.commit(owner, commit(step, {ANN: 100 - step}))
    assert await store.due(owner, 100, 10) == [ANN]
    assert (owner.next_due_ms, owner.armed) == (95, 1)


async def test_a_wake_up_that_moved_back_is_not_due_at_its_earlier_moment():
    store = MemoryStore(VISITOR_CODEC)
    owner = await store.claim(0)
    await store.commit(owner, commit(1, {ANN: 50}))
    await store.commit(owner, commit(2, {ANN: 90}))
    assert await store.due(owner, 50, 10) == []
    assert owner.next_due_ms == 90


async def test_a_state_is_kept_as_it_was_committed_whatever_becomes_of_the_object():
    store = MemoryStore(VISITOR_CODEC)
    owner = await store.claim(0)
    state = Visitor()
    await store.commit(owner, Commit({ANN: state}, {}, [], Watermark({}, 1, 1)))
    state.consent["personalization"] = "changed"
    assert (await store.load(owner, [ANN]))[ANN].consent == {}


async def test_a_sink_keeps_what_was_published_in_order():
    sink = MemorySink()
    one, two = Entry("triggers", b"1", b"", []), Entry("decisions", b"2", b"", [])
    await sink.publish([one])
    await sink.publish([two, one])
    assert sink.published == [one, two, one]
