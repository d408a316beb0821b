"""Defects in the fold: one visitor's failure costs its record or wake-up and nothing else."""

import pytest

from stream.domain.visitor import Visitor
from stream.entities import visitors
from stream.entities.visitors import VISITOR_CODEC
from stream.shard.defects import (
    FIRST_RETRY_MS,
    LAST_RETRY_MS,
    MAX_KEYS,
    WITHIN_MS,
    DefectiveKeys,
    TooManyDefectiveKeys,
)
from stream.shard.visit import RECORD, STATE, FoldDefect
from tests.scenarios.world import DAY, IDLE, MINUTE, T0, World, added, consented, refused, viewed

DUE = T0 + MINUTE + IDLE
BAD = "bob"


@pytest.fixture
def failing(monkeypatch):
    """Let folding fail for chosen visitors: their events of a type, or their deadlines."""
    events, wake_ups = set(), set()
    apply, pass_deadlines = visitors.apply, visitors.pass_deadlines

    def applied(context, event, at_ms, *, bot):
        outcome = apply(context, event, at_ms, bot=bot)
        if (context.key.visitor, type(event).__name__) in events:
            context.state.behaviour = None  # half of its work is done by then
            context.effects.append("half an effect")
            raise KeyError(context.key)
        return outcome

    def passed(context, until_ms, judged_ms):
        pass_deadlines(context, until_ms, judged_ms)
        if context.key.visitor in wake_ups:
            raise ZeroDivisionError

    monkeypatch.setattr(visitors, "apply", applied)
    monkeypatch.setattr(visitors, "pass_deadlines", passed)
    return events, wake_ups


@pytest.fixture
async def world():
    return World()


async def left_carts(world, *names):
    for name in names:
        world.log.write(consented(T0, name))
        world.log.write(added(T0 + MINUTE, name))
    worker = await world.worker()
    await worker.run()
    return worker


async def until(world, worker, now_ms):
    world.now_ms = now_ms
    return await worker.run()


def letters(world):
    return [one for one in world.sink.published if one.topic == "dead-letters"]


async def test_a_record_that_fails_becomes_a_dead_letter_and_changes_nothing(world, failing):
    events, _ = failing
    worker = await left_carts(world, "ann", BAD)
    before = await worker.shard._store.load(worker.shard.owner, [key(BAD)])
    events.add((BAD, "PageViewed"))
    bad = world.log.write(viewed(T0 + 2 * MINUTE, BAD))
    world.log.write(viewed(T0 + 2 * MINUTE, "ann"))
    (report,) = await until(world, worker, T0 + 3 * MINUTE)
    assert await worker.shard._store.load(worker.shard.owner, [key(BAD)]) == before
    (letter,) = letters(world)
    assert (letter.key, letter.value) == (bad.key, bad.value)
    assert dict(letter.headers)["reason"] == b"defect"
    assert report.events["page-views", "page_viewed", "applied"] == 1
    assert report.events["page-views", "page_viewed", "dead_letter"] == 1
    assert [(one.what, type(one.error)) for one in report.defects] == [(RECORD, KeyError)]
    assert "half an effect" not in report.effects


async def test_a_refusal_beside_a_record_that_fails_is_heard(world, failing):
    events, _ = failing
    events.add((BAD, "ProductAdded"))
    for one in (consented(T0, BAD), added(T0 + 1, BAD), refused(T0 + 2, BAD, "marketing_email")):
        world.log.write(one)
    worker = await world.worker()
    await worker.run()
    (state,) = (await worker.shard._store.load(worker.shard.owner, [key(BAD)])).values()
    assert state.consent["marketing_email"].status == "withdrawn"
    assert len(letters(world)) == 1


async def test_a_failing_visitor_changes_nothing_of_what_the_others_get(world, failing):
    _, wake_ups = failing
    wake_ups.add(BAD)
    worker = await left_carts(world, "ann", BAD, "carl")
    await until(world, worker, DUE + MINUTE)
    assert sorted(world.triggers()) == [
        ("ann", "cart_abandonment", DUE),
        ("carl", "cart_abandonment", DUE),
    ]


async def test_a_wake_up_that_fails_is_put_off_further_each_time_and_never_spins(world, failing):
    _, wake_ups = failing
    wake_ups.add(BAD)
    worker = await left_carts(world, BAD)
    assert len(await until(world, worker, DUE)) == 1
    waits = []
    for _ in range(9):
        due_ms = worker.shard.owner.next_due_ms
        waits.append(due_ms - world.now_ms)
        assert await until(world, worker, due_ms - 1) == []
        assert len(await until(world, worker, due_ms)) == 1
    doubling = [FIRST_RETRY_MS * 2**tries for tries in range(9)]
    assert waits == [min(wait, LAST_RETRY_MS) for wait in doubling]
    assert world.triggers() == []
    assert letters(world) == []


async def test_a_wake_up_that_no_longer_fails_is_handled_late_and_begins_anew(world, failing):
    _, wake_ups = failing
    wake_ups.add(BAD)
    worker = await left_carts(world, BAD)
    await until(world, worker, DUE)
    wake_ups.clear()
    await until(world, worker, DUE + FIRST_RETRY_MS)
    assert world.triggers() == [(BAD, "cart_abandonment", DUE)]
    assert worker.shard._defective._tries == {}


async def test_a_failing_wake_up_costs_no_record_of_its_visitor(world, failing):
    _, wake_ups = failing
    wake_ups.add(BAD)
    worker = await left_carts(world, BAD)
    world.log.write(refused(DUE, BAD, "marketing_email"))
    await until(world, worker, DUE)
    (state,) = (await worker.shard._store.load(worker.shard.owner, [key(BAD)])).values()
    assert state.consent["marketing_email"].status == "withdrawn"
    assert letters(world) == []


async def test_a_visitor_whose_state_cannot_be_read_gets_dead_letters_and_no_trigger(world):
    worker = await left_carts(world, "ann", BAD)
    world.store._shards[0].states[key(BAD)] = b"\x00damaged"
    bad = world.log.write(viewed(T0 + 2 * MINUTE, BAD))
    (report,) = await until(world, worker, T0 + 3 * MINUTE)
    assert [one.value for one in letters(world)] == [bad.value]
    assert [one.what for one in report.defects] == [STATE]
    await until(world, worker, DUE + MINUTE)
    assert world.triggers() == [("ann", "cart_abandonment", DUE)]
    assert world.store._shards[0].states[key(BAD)] == b"\x00damaged"
    assert worker.shard.owner.next_due_ms > DUE + MINUTE


async def test_a_visitor_whose_state_cannot_even_be_copied_is_given_up(world, failing, monkeypatch):
    events, _ = failing
    worker = await left_carts(world, "ann")
    encode = VISITOR_CODEC.encode
    odd = Visitor(erased_ms=13)
    world.store._shards[0].states[key(BAD)] = encode(odd)

    def uncopied(state):
        if state == odd:
            raise OverflowError
        return encode(state)

    monkeypatch.setattr(visitors.VisitorCodec, "encode", staticmethod(uncopied))
    events.add((BAD, "PageViewed"))
    bad = world.log.write(viewed(T0 + 2 * MINUTE, BAD))
    world.log.write(viewed(T0 + 2 * MINUTE, "ann"))
    (report,) = await until(world, worker, T0 + 3 * MINUTE)
    assert [one.value for one in letters(world)] == [bad.value]
    assert report.events["page-views", "page_viewed", "applied"] == 1


async def test_a_dead_letter_of_a_defect_can_be_sent_back(world, failing):
    events, _ = failing
    events.add((BAD, "ProductAdded"))
    worker = await left_carts(world, BAD)
    (letter,) = letters(world)
    events.clear()
    world.log.append("cart-events", T0 + 2 * MINUTE, letter.key, letter.value)
    await until(world, worker, T0 + 2 * MINUTE)
    await until(world, worker, T0 + DAY)
    assert world.triggers() == [(BAD, "cart_abandonment", DUE)]


async def test_the_same_visitor_may_fail_for_ever(world, failing):
    events, _ = failing
    events.add((BAD, "PageViewed"))
    worker = await left_carts(world, BAD)
    for number in range(3 * MAX_KEYS):
        world.log.write(viewed(T0 + MINUTE + number, BAD))
        await until(world, worker, T0 + MINUTE + number)
    assert len(letters(world)) == 3 * MAX_KEYS


async def test_different_visitors_stop_the_shard_before_anything_is_committed(world, failing):
    events, _ = failing
    names = [f"v{number}" for number in range(MAX_KEYS + 1)]
    events |= {(name, "ProductAdded") for name in names}
    with pytest.raises(TooManyDefectiveKeys) as stopped:
        await left_carts(world, *names)
    assert len(stopped.value.defects) == MAX_KEYS + 1
    assert world.sink.published == []
    assert world.store._shards[0].watermark.step == 0


async def test_memory_errors_are_not_swallowed(world, monkeypatch):
    def full(*_, **__):
        raise MemoryError

    monkeypatch.setattr(visitors, "apply", full)
    with pytest.raises(MemoryError):
        await left_carts(world, BAD)


def test_keys_that_failed_long_ago_no_longer_count():
    defective, defect = DefectiveKeys(), FoldDefect(RECORD, KeyError())
    for number in range(MAX_KEYS):
        defective.note([(number, defect)], 0)
    defective.note([("new", defect)], WITHIN_MS)
    with pytest.raises(TooManyDefectiveKeys, match=f"failed for {MAX_KEYS + 1} different keys"):
        defective.note([(number, defect) for number in range(MAX_KEYS)], WITHIN_MS)


def key(name):
    return visitors.VisitorKey("default", name)
