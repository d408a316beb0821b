"""Fetches from a real broker: what came, and what is known of the end at which moment."""

import asyncio
import time
from collections import Counter

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import TopicPartition as Deleted
from confluent_kafka.admin import AdminClient

from stream.adapters.kafka.topic_ids import topic_ids
from stream.worker.faust import fetch as module
from stream.worker.faust.fetch import FETCH_WAIT_MS, Fetches

ENOUGH_POLLS = 400  # each returns at once where something came, else after a fraction of a second
WAIT_S = 0.25


@pytest.fixture
def topic(kafka_server, topic_prefix):
    name = f"{topic_prefix}carts"
    kafka_server.create_topics([name], 2)
    return name


@pytest.fixture
async def consumer(kafka_server, topic):
    made = AIOKafkaConsumer(
        bootstrap_servers=kafka_server.bootstrap,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
    )
    await made.start()
    made.assign([TopicPartition(topic, 0), TopicPartition(topic, 1)])
    yield made
    await made.stop()


@pytest.fixture
def fetches(consumer):
    return Fetches(consumer, wall_ms)


@pytest.fixture
def one(topic):
    return TopicPartition(topic, 0)


@pytest.fixture
def other(topic):
    return TopicPartition(topic, 1)


def wall_ms():
    return time.time_ns() // 1_000_000


def produce(kafka, tp, *values):
    kafka.produce(
        tp.topic, [(None, value, 1_480_000_000_000, None, tp.partition) for value in values]
    )


async def polled(fetches, until, known=None):
    """Poll until what has come so far satisfies ``until``; return every poll."""
    all_of_it = []
    for _ in range(ENOUGH_POLLS):
        all_of_it.append(await fetches.poll(WAIT_S, known or {}))
        if until(all_of_it):
            return all_of_it
    raise AssertionError(f"in vain after {ENOUGH_POLLS} polls: {all_of_it[-3:]}")


def values(polls, tp):
    return [record.value for fetched in polls for record in fetched.records.get(tp, ())]


def marks(polls, tp):
    return [mark for fetched in polls for at, mark in fetched.marks if at == tp]


def has_ends_of(*tps):
    return lambda polls: all(marks(polls, tp) for tp in tps)


async def test_an_offset_that_the_log_no_longer_holds_is_told_and_not_skipped(
    kafka_server, topic, one, other
):
    produce(kafka_server, one, b"1", b"2", b"3")
    produce(kafka_server, other, b"4")
    admin = AdminClient({"bootstrap.servers": kafka_server.bootstrap})
    for done in admin.delete_records([Deleted(topic, 0, 2)]).values():
        done.result()
    reader = AIOKafkaConsumer(bootstrap_servers=kafka_server.bootstrap, auto_offset_reset="none")
    await reader.start()
    try:
        reader.assign([one, other])
        reader.seek(one, 0)
        reader.seek(other, 0)
        polls = await polled(
            Fetches(reader, wall_ms),
            lambda polls: any(poll.outside for poll in polls) and values(polls, other),
        )
        assert {tp: at for poll in polls for tp, at in poll.outside.items()} == {one: 0}
        assert (values(polls, one), values(polls, other)) == ([], [b"4"])
    finally:
        await reader.stop()


async def test_all_that_is_stored_comes_in_order_with_the_position_after_it(
    fetches, kafka_server, one, other
):
    produce(kafka_server, one, b"1", b"2", b"3")
    produce(kafka_server, other, b"4")
    polls = await polled(fetches, lambda it: len(values(it, one)) + len(values(it, other)) == 4)
    assert (values(polls, one), values(polls, other)) == ([b"1", b"2", b"3"], [b"4"])
    assert polls[-1].positions == {one: 3, other: 1}


async def test_a_position_is_told_together_with_the_records_before_it(fetches, kafka_server, one):
    produce(kafka_server, one, b"1", b"2", b"3")
    taken = 0
    for fetched in await polled(fetches, lambda it: len(values(it, one)) == 3):
        taken += len(fetched.records.get(one, ()))
        assert fetched.positions.get(one, 0) == taken


async def test_an_end_is_told_of_empty_partitions_too(fetches, one, other):
    polls = await polled(fetches, has_ends_of(one, other))
    assert {mark.end for mark in marks(polls, one) + marks(polls, other)} == {0}


async def test_a_mark_carries_a_moment_before_its_answer_and_after_its_call(fetches, one):
    called, called_ms = time.monotonic(), time.time_ns() // 1_000_000
    polls = await polled(fetches, has_ends_of(one))
    for fetched in polls:
        for _, mark in fetched.marks:
            assert called <= mark.asked <= fetched.received
            assert called_ms <= mark.asked_ms <= time.time_ns() // 1_000_000


async def test_records_have_come_with_their_answer_however_late_they_are_handed_out(
    fetches, consumer, kafka_server, one
):
    await polled(fetches, has_ends_of(one))
    stored = time.monotonic()
    produce(kafka_server, one, b"1")
    async with asyncio.timeout(60):
        while one not in consumer._fetcher._records:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
    called = time.monotonic()
    polls = await polled(fetches, lambda it: values(it, one) == [b"1"])
    (fetched,) = (it for it in polls if it.records.get(one))
    assert stored < fetched.received < called


async def test_what_is_stored_after_a_fetch_was_asked_may_lie_beyond_its_mark(
    fetches, kafka_server, one
):
    await polled(fetches, has_ends_of(one))
    stored = time.monotonic()
    produce(kafka_server, one, b"1")
    acknowledged = time.monotonic()
    polls = await polled(fetches, lambda it: any(m.asked > acknowledged for m in marks(it, one)))
    for mark in marks(polls, one):
        if mark.asked > acknowledged:
            assert mark.end == 1  # whoever asks now has to be told
        if mark.end == 0:
            assert mark.asked < acknowledged
    assert stored < acknowledged


async def test_an_answer_that_takes_its_time_knows_nothing_of_what_was_stored_meanwhile(
    fetches, consumer, kafka_server, one
):
    await polled(fetches, has_ends_of(one))
    client = consumer._fetcher._client
    send, answered, held = client.send, asyncio.Event(), asyncio.Event()

    async def slowly(node_id, request, **more):
        answer = await send(node_id, request, **more)
        answered.set()
        await held.wait()
        return answer

    client.send = slowly
    try:
        async with asyncio.timeout(60):
            await answered.wait()
        stored, stored_ms = time.monotonic(), time.time_ns() // 1_000_000
        produce(kafka_server, one, b"1")
    finally:
        client.send = send
        held.set()
    polls = await polled(fetches, lambda it: any(mark.end == 1 for mark in marks(it, one)))
    unaware = [mark for mark in marks(polls, one) if mark.end == 0]
    assert unaware
    assert all(mark.asked < stored and mark.asked_ms <= stored_ms for mark in unaware)


async def test_of_a_fetch_without_a_good_answer_no_end_is_told(fetches, consumer, one):
    await polled(fetches, has_ends_of(one))
    client = consumer._fetcher._client
    send, failed = client.send, Counter()

    async def lost(node_id, request, **more):
        if type(request).__name__ == "FetchRequest":
            failed["fetches"] += 1
            raise KafkaConnectionError("lost")
        return await send(node_id, request, **more)

    client.send = lost
    try:
        # A fetch that was sent before may still be answered; from the second failure on none is.
        await polled(fetches, lambda _: failed["fetches"] >= 2)
        fetches._marks.clear()
        polls = await polled(fetches, lambda _: failed["fetches"] >= 4)
        assert marks(polls, one) == []
        state = consumer._subscription.subscription.assignment.state_value(one)
        assert state.highwater == 0  # still there, but of nobody's asking
    finally:
        client.send = send
    await polled(fetches, has_ends_of(one))


async def test_a_poll_in_which_nothing_comes_returns_after_its_wait(fetches, consumer):
    consumer.pause(*consumer.assignment())
    for _ in range(3):  # what was under way before may come yet
        fetched = await fetches.poll(0.05, {})
    assert fetched.records == {}


async def test_a_full_partition_is_fetched_no_further_until_there_is_room(
    fetches, kafka_server, one, other
):
    await polled(fetches, has_ends_of(one, other))
    fetches.pause({one})
    produce(kafka_server, one, b"1")
    produce(kafka_server, other, b"2")
    # Later fetches of the other were asked after the pause: they would have brought it.
    now = time.monotonic()
    polls = await polled(
        fetches, lambda it: values(it, other) and any(m.asked > now for m in marks(it, other)[2:])
    )
    assert values(polls, one) == []
    fetches.pause(set())
    assert values(await polled(fetches, lambda it: values(it, one)), one) == [b"1"]


async def test_of_a_topic_that_was_made_anew_nothing_is_handed_out(
    kafka_server, fetches, consumer, topic, one, other
):
    produce(kafka_server, one, b"1")
    await polled(fetches, lambda it: values(it, one) and has_ends_of(one, other)(it))
    known = await topic_ids(consumer._client, [topic])
    kafka_server.delete_topics([topic])
    kafka_server.create_topics([topic], 2)
    produce(kafka_server, one, b"other 1", b"other 2", b"other 3")
    polls = await polled(fetches, lambda it: it[-1].remade, known)
    assert polls[-1].remade == {topic}
    assert (values(polls, one), values(polls, other)) == ([], [])


async def test_while_it_cannot_be_told_whether_the_topics_are_the_same_nothing_is_handed_out(
    kafka_server, fetches, consumer, topic, one, monkeypatch
):
    await polled(fetches, has_ends_of(one))
    known = await topic_ids(consumer._client, [topic])
    fetches._is_doubtful = True  # as after a fetch without a good answer
    answers = [None, None, set()]

    async def asked(client, topics):
        assert topics == known
        return answers.pop(0)

    monkeypatch.setattr(module, "remade", asked)
    produce(kafka_server, one, b"1")
    held = [await fetches.poll(0, known) for _ in range(2)]
    assert [(it.records, it.positions, it.marks, it.remade) for it in held] == [
        ({}, {}, [], set())
    ] * 2
    assert values(await polled(fetches, lambda it: values(it, one), known), one) == [b"1"]
    assert answers == []


async def test_in_a_rebalance_a_poll_returns_with_nothing(fetches, consumer, one, monkeypatch):
    await polled(fetches, has_ends_of(one))
    subscriptions = type(consumer._fetcher._subscriptions)
    monkeypatch.setattr(subscriptions, "reassignment_in_progress", property(lambda _: True))
    fetched = await fetches.poll(0, {})
    assert (fetched.records, fetched.positions, fetched.marks) == ({}, {}, [])
