"""Owned shards between fetches and steps, on a store in memory and logs without Kafka."""

import asyncio
import json
import logging
import os

import pytest
from aiokafka import TopicPartition

from stream.adapters.memory import MemoryStore
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT
from stream.domain.topics import LANES
from stream.domain.visitor import VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from stream.runtime import logs
from stream.shard import shard as shard_module
from stream.shard.ports import FencedError
from stream.worker import claimed as owned_module
from stream.worker import claimed_shards
from stream.worker import shards as module
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import Fetched
from stream.worker.shards import HANDED_AGAIN_S
from tests.rig.clocks import steady
from tests.scenarios.world import HOUR, MINUTE, T0, added, bought, consented, refused, viewed
from tests.worker.ashore import DUE_MS, LEFT_CART, SESSION_S, Bench, Gate, write

CARTS = TopicPartition("cart-events", 0)


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def log(caplog):
    """Return the log's lines so far, when called."""
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


@pytest.fixture
def fields(caplog):
    """Return what a program reads beside each line so far, when called."""
    caplog.set_level(logging.WARNING)
    told = lambda record: json.loads(logs.json().format(record))  # noqa: E731
    return lambda: [
        {name: value for name, value in told(record).items() if name in logs.FIELDS}
        for record in caplog.records
    ]


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module, claimed_shards, owned_module)


# Claiming


async def test_a_shard_that_was_never_written_is_read_from_where_its_log_begins(bench):
    write(bench, 3, *LEFT_CART)
    assert await bench.shards.claim(3, bench.limits(3)) == dict.fromkeys(LANES, 0)
    assert len(bench.shards) == 1


async def test_a_log_whose_beginning_was_deleted_is_read_from_what_is_left(bench):
    for minute in range(5):
        for topic_event in (consented, added, viewed):
            write(bench, 0, topic_event(T0 + minute * MINUTE))
    assert await bench.claim(0, start=4) == {0: dict.fromkeys(LANES, 4)}


async def test_a_shard_is_read_from_where_its_state_ends_whatever_kafka_has_committed(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    write(bench, 0, viewed(T0 + 2 * MINUTE), bought(T0 + 2 * MINUTE))
    bench.shards.forget()
    committed = {"consent-events": 1, "cart-events": 2, "page-views": 1}
    offsets = await bench.claim(0, committed=committed)
    # One record earlier: the last one that the state includes is compared.
    assert offsets == {0: dict.fromkeys(LANES, 0)}
    assert bench.stored() == dict.fromkeys(LANES, 0) | {"consent-events": 1, "cart-events": 1}
    bench.fetch()
    waiting = {
        topic: len(lane.records) for topic, lane in bench.shards._owned[0].merge.lanes.items()
    }
    assert waiting == dict.fromkeys(LANES, 0) | {"page-views": 1, "cart-events": 1}


@pytest.mark.parametrize("topic", ["consent-events", "cart-events"])
@pytest.mark.parametrize("more", [0, 1])
async def test_a_log_that_was_rewritten_below_where_the_state_ends_stops_the_shard(
    bench, caplog, topic, more
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    # An unclean election: what was there is lost, and others have written since.
    bench.logs[0].topics[topic].clear()
    for number in range(1 + more):
        said = refused if topic == "consent-events" else added
        write(bench, 0, said(T0 + 90_000 + number, "eve"))
    bench.shards = bench.worker()
    await bench.claim(0)
    bench.now_ms = DUE_MS + 1
    await bench.work()
    assert bench.published("triggers") == []
    why = f"{topic} was rewritten: another record is at 0 than had been read there"
    assert bench.shards.stopped == {0: why}
    assert f"Shard 0 is stopped: {why}" in caplog.text


@pytest.mark.parametrize("field", ["key", "value", "timestamp"])
async def test_a_record_is_another_by_any_part_of_it(bench, field):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    kept = bench.logs[0].topics["cart-events"]
    changed = {"key": b"eve", "value": kept[0].value + b" ", "timestamp": kept[0].timestamp + 1}
    kept[0] = kept[0]._replace(**{field: changed[field]})
    bench.shards = bench.worker()
    await bench.claim(0)
    bench.fetch()
    assert list(bench.shards.stopped) == [0]


async def test_nothing_is_due_before_the_log_has_been_compared(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards = bench.worker()
    await bench.claim(0)
    bench.now_ms = DUE_MS + 1
    marks = bench.fetched(limit=0).marks
    for _ in range(2):
        bench.shards.accept(Fetched({}, {}, marks, bench.tick()))
    assert await bench.turn() == []
    await bench.work()
    assert len(bench.published("triggers")) == 1


@pytest.mark.parametrize("start", [1, 2])
async def test_a_record_that_kafka_has_deleted_for_its_age_is_not_compared(bench, start):
    write(bench, 0, *LEFT_CART, added(T0 + 2 * MINUTE))
    await bench.claim(0)
    await bench.work()
    bench.shards = bench.worker()
    limits = bench.limits(0)
    old = PartitionOffsets(start, 2, 0)
    offsets = await bench.shards.claim(0, limits | {"cart-events": old})
    assert offsets["cart-events"] == start


async def test_a_record_that_kafka_deletes_while_it_is_to_be_compared_is_claimed_without(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards = bench.worker()
    await bench.claim(0)
    outside = {TopicPartition("cart-events", 0): 0}
    bench.shards.accept(Fetched({}, {}, [], bench.tick(), outside))
    assert (bench.shards.stopped, bench.shards.reclaimable()) == ({}, [0])


async def test_what_was_committed_and_not_published_is_published_with_the_claim(bench, monkeypatch):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.now_ms = DUE_MS

    async def lost(entries, looked):
        raise asyncio.CancelledError  # the worker ends between commit and publish

    with monkeypatch.context() as patch:
        patch.setattr(bench.sink, "publish", lost)
        bench.fetch()
        (owned,) = bench.shards.hand_out()
        bench.shards.begin(owned)
        with pytest.raises(asyncio.CancelledError):
            await bench.settled()
    assert bench.published("triggers") == []
    bench.shards.forget()
    await bench.claim(0)
    assert len(bench.published("triggers")) == 1
    assert bench.value("outbox_entries") == 0


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (2, 5, "cart-events begins at 2, but only 1 has been reached"),
        (0, 0, "cart-events ends at 0, but 1 has been reached before"),
    ],
    ids=["log begins after the state", "log ends before the state"],
)
async def test_a_log_that_does_not_fit_its_state_stops_the_shard_and_says_what_to_do(
    bench, log, start, end, why
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards.forget()
    limits = bench.limits(0) | {"cart-events": PartitionOffsets(start, end, 0)}
    assert await bench.shards.claim(0, limits) == {}
    assert bench.shards.stopped == {0: why}
    (said,) = log()
    assert said == (
        f"Shard 0 is stopped: {why}. Its state and its log do not fit together. To accept what is"
        " lost, delete the keys of this shard in Redis, or use another worker.group."
    )
    assert (bench.value("shards_stopped"), bench.value("shards_owned")) == (1, 0)
    assert bench.shards.lost == {}


async def test_a_stopped_shard_leaves_its_neighbours_working(bench):
    write(bench, 1, *LEFT_CART)
    await bench.shards.claim(
        0, bench.limits(0) | {"cart-events": PartitionOffsets(0, 0, 0), "page-views": _gone()}
    )
    await bench.claim(1)
    bench.fetch()
    assert await bench.turn() == [1]


def _gone():
    return PartitionOffsets(0, -1, 0)


async def test_a_log_that_goes_back_while_it_is_read_stops_the_shard(bench, fields):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards.accept(Fetched({}, {CARTS: 0}, [], bench.tick()))
    assert bench.shards.stopped == {0: "cart-events went back to 0"}
    assert len(bench.shards) == 0
    assert fields() == [{"shard": 0, "topic": "cart-events", "offset": 0}]
    assert await bench.stored_stop(0) == bench.shards.stopped[0]


async def test_a_log_that_loses_what_is_read_next_stops_the_shard_and_is_fetched_no_further(
    bench, fields
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.shards.accept(Fetched({}, {}, [], bench.tick(), outside={CARTS: 0}))
    assert bench.shards.stopped == {}, "an error from before the claim, of another offset"
    bench.shards.accept(Fetched({}, {}, [], bench.tick(), outside={CARTS: 1}))
    assert bench.shards.stopped == {0: "cart-events no longer holds offset 1"}
    assert fields() == [{"shard": 0, "topic": "cart-events", "offset": 1}]
    assert bench.shards.full() == {TopicPartition(topic, 0) for topic in LANES}


async def test_a_new_assignment_looks_at_stopped_shards_again(bench):
    await bench.shards.claim(0, bench.limits(0) | {"page-views": _gone()})
    bench.shards.forget()
    assert bench.shards.stopped == {}
    assert bench.value("shards_stopped") == 0


async def test_a_topic_with_another_id_stops_the_shard_though_its_log_has_grown_past_the_state(
    bench, log
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0, topic_id="a1")
    await bench.work()
    write(bench, 0, bought(T0 + 2 * MINUTE))
    bench.shards.forget()
    limits = bench.limits(0, topic_id="a1")
    limits["cart-events"] = PartitionOffsets(0, 2, 0, topic_id="b2")
    assert await bench.shards.claim(0, limits) == {}
    assert bench.shards.stopped == {0: "cart-events was made anew since 1 was reached"}
    bench.shards.forget()  # and it stays so, as nothing was written
    assert await bench.shards.claim(0, limits) == {}


async def test_where_ids_are_not_told_any_more_or_not_yet_the_ends_of_the_log_have_to_do(bench):
    write(bench, 0, *LEFT_CART)
    for topic_id in ("", "a1", ""):
        await bench.claim(0, topic_id=topic_id)
        write(bench, 0, viewed(bench.now_ms + MINUTE))
        await bench.work()
        bench.shards.forget()
    assert bench.shards.stopped == {}
    await bench.claim(0, topic_id="b2")
    assert list(bench.shards.stopped) == [0]  # the id that was told once is remembered


async def test_a_topic_that_is_made_anew_while_it_is_read_stops_every_shard_at_once(bench):
    await bench.claim(0, 1, topic_id="a1")
    assert bench.shards.topic_ids() == dict.fromkeys(LANES, "a1")
    bench.shards.refuse({"cart-events"})
    assert bench.shards.stopped == dict.fromkeys(
        (0, 1), "cart-events was made anew while it was read"
    )
    assert (len(bench.shards), bench.shards.topic_ids()) == (0, {})
    assert [await bench.stored_stop(number) for number in (0, 1)] == [bench.shards.stopped[0]] * 2


async def test_why_all_shards_are_stopped_is_stored_for_those_that_were_claimed(bench):
    await bench.claim(0, 1)
    bench.shards.stop_all([2], "there are more partitions", "Do something.")
    assert bench.shards.stopped == dict.fromkeys((0, 1, 2), "there are more partitions")
    assert await bench.stored_stop(1) == "there are more partitions"


async def test_the_reason_of_a_fenced_owner_is_not_stored(bench):
    await bench.claim(0)
    await bench.store.claim(0, "")
    bench.shards.stop(0, "a reason")
    assert await bench.stored_stop(0) == ""


# Turns


async def test_a_shard_with_nothing_to_do_is_not_handed_out(bench):
    await bench.claim(0, 1)
    write(bench, 1, consented(T0))
    bench.fetch()
    assert [owned.number for owned in bench.shards.hand_out()] == [1]


async def test_a_record_waits_until_the_other_topics_were_read_past_it(bench):
    await bench.claim(0)
    write(bench, 0, consented(T0))
    bench.shards.accept(bench.fetched())
    assert bench.shards.hand_out() == []
    bench.shards.accept(bench.fetched())
    assert len(bench.shards.hand_out()) == 1


async def test_records_of_shards_that_are_not_owned_change_nothing(bench):
    await bench.claim(0)
    write(bench, 0, *LEFT_CART)
    fetched = bench.fetched()
    bench.shards.forget()
    bench.shards.accept(fetched)
    assert bench.shards.hand_out() == []


async def test_a_shard_is_handed_again_only_when_its_turn_seems_lost(bench, clock, log):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    clock.now_s += HANDED_AGAIN_S
    assert bench.shards.hand_out() == []
    assert log() == []
    clock.now_s += 0.001
    assert bench.shards.hand_out() == [owned]
    assert log() == ["Shard 0 is handed to its agent again"]
    assert bench.shards.hand_out() == []


async def test_a_turn_that_was_handed_twice_is_taken_once(clock, log):
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    clock.now_s += 2 * HANDED_AGAIN_S
    (again,) = bench.shards.hand_out()
    bench.shards.begin(owned)
    bench.shards.begin(again)
    assert len(bench.shards._tasks) == 1
    clock.now_s += 2 * HANDED_AGAIN_S  # a long step is not a lost turn
    assert bench.shards.hand_out() == []
    bench.store.open()
    await bench.settled()
    assert bench.stored()["cart-events"] == 1


async def test_after_its_step_a_shard_may_have_its_next_turn_at_once(bench, clock, log):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    write(bench, 0, bought(T0 + 2 * MINUTE))
    await bench.work()
    assert bench.stored()["cart-events"] == 2
    assert log() == []


async def test_steps_of_different_shards_wait_side_by_side_and_their_ends_are_told():
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    for number in range(3):
        write(bench, number, *LEFT_CART)
    await bench.claim(0, 1, 2)
    bench.fetch()
    for owned in bench.shards.hand_out():
        bench.shards.begin(owned)
    for _ in range(5):
        await asyncio.sleep(0)
    assert bench.store.waiting == 3
    assert not bench.shards.stepped.is_set()
    bench.store.open()
    await bench.shards.stepped.wait()
    await bench.settled()


async def test_a_turn_of_a_shard_that_was_given_back_is_not_taken(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    bench.shards.forget()
    await bench.claim(0)
    bench.shards.begin(owned)
    assert not bench.shards._tasks


async def test_a_shard_that_has_work_and_does_not_move_is_stalled(bench, clock):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0, 1)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    clock.now_s += 30
    bench.shards.hand_out()
    assert bench.shards.stalled(29) == [0]
    assert bench.shards.stalled(30) == []
    bench.shards.begin(owned)
    await bench.settled()
    assert bench.shards.stalled(0.5) == []


async def test_what_kafka_does_not_take_is_seen_to_wait_and_grow_old(bench, clock, monkeypatch):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    bench.now_ms = DUE_MS
    publish, sent, taken = bench.sink.publish, asyncio.Event(), asyncio.Event()

    async def slow(entries, looked):
        sent.set()
        await taken.wait()
        return await publish(entries, looked)

    monkeypatch.setattr(bench.sink, "publish", slow)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    bench.shards.begin(owned)
    await sent.wait()
    clock.now_s += 40
    bench.shards.observe()
    assert bench.value("outbox_entries") == 2  # the trigger and its decision
    assert (bench.value("outbox_oldest_seconds"), bench.value("shard_still_seconds")) == (40, 40)
    taken.set()
    await bench.settled()
    assert (bench.value("outbox_oldest_seconds"), bench.value("shard_still_seconds")) == (0, 0)


async def test_what_a_step_did_is_counted(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    labels = {"topic": "cart-events", "type": "product_added", "outcome": "applied"}
    assert bench.registry.get_sample_value("cartwake_events_total", labels) == 1
    assert bench.value("timers_armed") == 1


# Losing a shard


async def test_a_fenced_shard_is_claimed_again_after_a_session_in_which_nobody_took_it_away(
    bench, clock
):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    late = bench.worker()  # its claim was made for an older assignment, and it gives it back
    await late.claim(0, bench.limits(0))
    late.forget()
    bench.fetch()
    await bench.turn()
    clock.now_s += SESSION_S - 0.001
    assert bench.shards.reclaimable() == []
    clock.now_s += 0.001
    assert bench.shards.reclaimable() == [0]
    await bench.claim(0)
    assert bench.shards.reclaimable() == []
    bench.fetch()
    assert await bench.turn() == [0]


async def test_a_fenced_shard_that_another_assignment_takes_away_is_left_to_its_owner(bench, clock):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.worker().claim(0, bench.limits(0))
    bench.fetch()
    await bench.turn()
    bench.shards.forget()
    clock.now_s += 10 * SESSION_S
    assert bench.shards.reclaimable() == []


async def test_a_step_of_an_earlier_assignment_that_is_fenced_claims_nothing_later(log):
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    bench.shards.begin(bench.shards.hand_out()[0])
    await asyncio.sleep(0)
    bench.shards.forget()
    await bench.worker().claim(0, bench.limits(0))
    bench.store.open()
    await bench.settled()
    assert bench.shards.lost == {}


async def test_a_lost_shard_that_has_to_be_stopped_is_not_claimed_over_and_over(bench, log):
    bench.shards.lost[0] = 0.0
    await bench.shards.claim(0, bench.limits(0) | {"page-views": _gone()})
    assert (bench.shards.lost, list(bench.shards.stopped)) == ({}, [0])


async def test_a_fenced_shard_is_let_go_of_and_counted(bench, log, fields):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.worker().claim(0, bench.limits(0))
    bench.fetch()
    await bench.turn()
    assert len(bench.shards) == 0
    assert bench.value("shard_fenced_total") == 1
    assert bench.value("shards_owned") == 0
    (said,) = log()
    assert said == "shard 0 has an owner newer than epoch 1; this worker lets go of it"
    assert fields() == [{"shard": 0}]


async def test_a_rewound_shard_is_lost_and_after_its_claim_decides_nothing_else(bench, log, clock):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.now_ms = DUE_MS
    await bench.work()
    before = bench.published("triggers")
    bench.store._shards.clear()
    hints = {tp.topic: hint for tp, hint in bench.shards.offsets_to_commit().items()}
    write(bench, 0, viewed(DUE_MS + MINUTE))  # ann is back, but was reminded of what she had left
    bench.fetch()
    await bench.turn()
    assert bench.shards.reclaimable() == [0]
    assert len(bench.shards) == 0
    limits = {
        topic: PartitionOffsets(0, limit.end, hints[topic][0], int(hints[topic][1]))
        for topic, limit in bench.limits(0).items()
    }
    assert await bench.shards.claim(0, limits) == dict.fromkeys(LANES, 0)
    assert bench.shards.lost == {}
    bench.now_ms = DUE_MS + 2 * MINUTE
    await bench.work()
    assert bench.published("triggers") == before
    assert len(before) == 1
    assert len(log()) == 1
    assert bench.value("shard_fenced_total") == 0


async def test_a_step_of_an_earlier_assignment_cannot_make_a_shard_lost(log):
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    (owned,) = bench.shards.hand_out()
    bench.shards.begin(owned)
    await asyncio.sleep(0)
    bench.shards.forget()
    bench.store._shards.clear()
    bench.store.open()
    await bench.settled()
    assert bench.shards.lost == {}


async def test_a_claim_that_is_taken_over_at_once_leaves_the_shard_to_the_newer_owner(
    bench, log, monkeypatch
):
    async def overtaken(shard, **moment):
        await bench.store.claim(0)
        await bench.store.remove(shard.owner, [])

    monkeypatch.setattr(module.Shard, "resume", overtaken)
    assert await bench.claim(0) == {0: {}}
    assert (len(bench.shards), list(bench.shards.lost)) == (0, [0])
    assert bench.value("shard_fenced_total") == 1


async def test_an_unexpected_error_in_a_step_ends_the_process(bench, monkeypatch, log):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(logging, "shutdown", lambda: None)

    event = added(T0, visitor="zoe")

    async def defect(owner, whos):
        raise ZeroDivisionError(str(event))

    monkeypatch.setattr(bench.store, "load", defect)
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    await bench.turn()
    assert ended == [70]
    assert "ZeroDivisionError while taking a step" in log()[0]
    assert "zoe" not in log()[0]


# Giving back


async def test_finishing_waits_for_the_steps_under_way_and_lets_no_other_begin():
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    for number in range(2):
        write(bench, number, *LEFT_CART)
    await bench.claim(0, 1)
    bench.fetch()
    one, other = bench.shards.hand_out()
    bench.shards.begin(one)
    finishing = asyncio.ensure_future(bench.shards.finish())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not finishing.done()
    bench.shards.begin(other)
    assert len(bench.shards._tasks) == 1
    bench.store.open()
    await finishing
    assert bench.shards.hand_out() == []
    assert bench.stored(0)["cart-events"] == 1
    assert bench.stored(1) == {}


async def test_finishing_without_steps_waits_for_nothing(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    bench.shards.hand_out()  # handed, not begun
    await bench.shards.finish()


async def test_a_step_that_does_not_end_holds_up_no_rebalance(monkeypatch, log, fields):
    monkeypatch.setattr(module, "FINISH_WITHIN_S", 0.01)
    bench = Bench(store=Gate(MemoryStore(VISITOR_CODEC)))
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.fetch()
    bench.shards.begin(bench.shards.hand_out()[0])
    await bench.shards.finish()
    assert log() == ["A step did not end in time; the next owner of its shard fences it"]
    assert fields() == [{"shards": [0]}]
    bench.shards.forget()
    newer = bench.worker()
    await newer.claim(0, bench.limits(0))
    bench.store.open()
    await bench.settled()
    assert (await bench.store.claim(0)).watermark.offsets == {}


async def test_after_a_new_claim_work_goes_on(bench):
    write(bench, 0, *LEFT_CART)
    await bench.shards.finish()
    bench.shards.forget()
    await bench.claim(0)
    bench.fetch()
    assert await bench.turn() == [0]


# Fetching


async def test_a_partition_with_too_much_at_hand_is_fetched_no_further(bench, monkeypatch):
    monkeypatch.setattr(owned_module, "FULL", 2)
    await bench.claim(0, 1)
    for minute in range(3):
        write(bench, 0, added(T0 + minute * MINUTE))
        write(bench, 1, viewed(T0 + minute * MINUTE))
    bench.fetch(limit=2)
    assert bench.shards.full() == set()
    bench.fetch(limit=1)
    assert bench.shards.full() == {CARTS, TopicPartition("page-views", 1)}
    await bench.work()
    assert bench.shards.full() == set()


async def test_kafka_is_told_what_is_in_the_store_and_nothing_else(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    bench.now_ms = T0 + 2 * MINUTE
    bench.fetch()
    assert {at for at, _ in bench.shards.offsets_to_commit().values()} == {0}
    await bench.turn()
    hints = {tp.topic: hint for tp, hint in bench.shards.offsets_to_commit().items()}
    at_ms = str(T0 + 2 * MINUTE)
    assert hints == dict.fromkeys(LANES, (0, at_ms)) | {
        "consent-events": (1, at_ms),
        "cart-events": (1, at_ms),
    }


async def test_kafka_is_told_nothing_of_what_is_committed_and_not_yet_published(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    before = bench.shards.offsets_to_commit()
    write(bench, 0, viewed(T0 + 2 * MINUTE, "bob"))
    bench.now_ms = DUE_MS
    during = []
    publish = bench.sink.publish

    async def publishing(entries, looked):
        during.append(bench.shards.offsets_to_commit())
        return await publish(entries, looked)

    bench.sink.publish = publishing
    assert not bench.shards.must_commit_offsets
    await bench.work()
    assert during == [before]
    assert {clock_ms for _, clock_ms in bench.shards.offsets_to_commit().values()} == {str(DUE_MS)}
    assert bench.shards.must_commit_offsets


async def test_kafka_is_told_soon_of_what_a_new_owner_finds_and_publishes(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0)
    await bench.work()
    assert not bench.shards.must_commit_offsets
    publish = bench.sink.publish

    async def overtaken(entries, looked):
        raise FencedError("another owner has come before anything was acknowledged")

    bench.sink.publish, bench.now_ms = overtaken, DUE_MS
    await bench.work()
    assert not bench.shards.must_commit_offsets
    bench.sink.publish = publish
    await bench.claim(0)
    assert len(bench.published("triggers")) == 1
    assert bench.shards.must_commit_offsets


async def test_kafka_is_told_of_no_moment_at_which_something_is_left_to_decide(bench, monkeypatch):
    monkeypatch.setattr(shard_module, "DUE_PER_STEP", 1)
    for number, visitor in enumerate(("ann", "bob")):
        write(bench, 0, consented(T0, visitor), added(T0 + MINUTE + number, visitor))
    await bench.claim(0)
    await bench.work()
    bench.now_ms = DUE_MS + MINUTE
    bench.fetch()
    await bench.turn()
    assert {int(clock_ms) for _, clock_ms in bench.shards.offsets_to_commit().values()} == {DUE_MS}
    await bench.turn()
    assert {int(clock_ms) for _, clock_ms in bench.shards.offsets_to_commit().values()} == {
        bench.now_ms
    }


async def test_kafka_is_told_of_no_record_by_which_something_is_due_already(bench):
    """The clock once ran ahead; were Redis lost then, its trigger would count as published."""
    await bench.claim(0)
    bench.now_ms = DUE_MS + HOUR
    write(bench, 0, consented(T0, "bob"))
    await bench.work()
    bench.now_ms = DUE_MS - 1
    write(bench, 0, *LEFT_CART)
    await bench.work()
    assert bench.shards.offsets_to_commit()[CARTS][0] == 0
    bench.now_ms = DUE_MS
    await bench.work()
    assert len(bench.published("triggers")) == 1
    assert bench.shards.offsets_to_commit()[CARTS][0] == 1


async def test_what_kafka_knows_to_be_published_is_rebuilt_and_not_published_again(bench):
    write(bench, 0, *LEFT_CART)
    await bench.claim(0, committed={"consent-events": 1, "cart-events": 1}, clock_ms=DUE_MS)
    bench.now_ms = DUE_MS + 2 * MINUTE
    bench.fetch()
    await bench.turn()
    await bench.turn()
    assert bench.sink.published == []
    assert not bench.shards.must_commit_offsets
    assert {clock_ms for _, clock_ms in bench.shards.offsets_to_commit().values()} == {str(DUE_MS)}
    states = await bench.store.load(await bench.store.claim(0), [VisitorKey("default", "ann")])
    memory = CART_ABANDONMENT.memory_in(states["default", "ann"].behaviour)
    assert [fired.due_ms for fired in memory.fired] == [DUE_MS]


async def test_what_kafka_knows_never_goes_back_whatever_redis_has_lost(bench):
    write(bench, 0, *LEFT_CART)
    committed = {"consent-events": 1, "cart-events": 1}
    await bench.claim(0, committed=committed, clock_ms=DUE_MS)
    hints = {tp.topic: hint for tp, hint in bench.shards.offsets_to_commit().items()}
    assert hints["cart-events"] == (1, str(DUE_MS))
