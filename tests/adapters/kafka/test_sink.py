"""Publishing through a producer whose answers are the test's choice."""

import asyncio
import hashlib
import logging
import time

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError

from stream.adapters.kafka import sink as module
from stream.adapters.kafka.sink import PREFIX_BYTES, KafkaSink
from stream.shard.ports import Entry
from tests.rig.clocks import steady

FRESH_S = 4
NOW = float("inf")  # a look that never grows old


class Batch:
    """Entries that a producer takes together, or refuses."""

    def __init__(self, producer, entries, numbers):
        self.producer, self.entries, self.numbers = producer, entries, numbers

    async def send(self):
        return await self.producer.send([self.entries[number] for number in self.numbers])


class Producer:
    """Takes what is sent, but for the errors queued per value: when sent, or when acknowledged.

    Of each topic it takes so many at once as ``together`` says.
    """

    def __init__(self, together=1):
        self.together = together
        self.taken, self.attempts = [], []
        self.refuses, self.loses = {}, {}

    async def of(self, entries, *, alone):
        numbers, most = {}, 1 if alone else self.together
        for number, entry in enumerate(entries):
            numbers.setdefault(entry.topic, []).append(number)
        cut = [of[at : at + most] for of in numbers.values() for at in range(0, len(of), most)]
        return [Batch(self, entries, some) for some in sorted(cut)]

    async def send(self, entries):
        values = [entry.value for entry in entries]
        self.attempts += values
        for value in values:
            if errors := self.refuses.get(value):
                raise errors.pop(0)
        done = asyncio.get_running_loop().create_future()
        if lost := [errors.pop(0) for value in values if (errors := self.loses.get(value))]:
            done.set_exception(lost[0])
        else:
            self.taken += entries
            done.set_result(None)
        return done

    @property
    def values(self):
        return [entry.value for entry in self.taken]


@pytest.fixture
def producer():
    return Producer()


@pytest.fixture
def sink(producer, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0)
    return KafkaSink(producer, FRESH_S)


@pytest.fixture
def said(caplog):
    """Return what the sink has said, when called."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def entries(*values, topic="decisions"):
    return [Entry(topic, b"ann", value, [("reason", b"r")]) for value in values]


async def test_entries_are_sent_in_order_and_without_a_word(sink, producer, said):
    await sink.publish(entries(b"1", b"2", b"3"), NOW)
    assert producer.values == [b"1", b"2", b"3"]
    assert said() == []


@pytest.fixture
def clock(monkeypatch):
    return steady(monkeypatch, module)


async def test_what_comes_too_long_after_the_look_is_left_to_another(sink, producer, clock):
    send = producer.send

    async def slow(sent):
        clock.now_s += FRESH_S / 2
        return await send(sent)

    producer.send = slow
    assert await sink.publish(entries(b"1", b"2", b"3"), clock.now_s) == 2
    assert producer.values == [b"1", b"2"]


async def test_a_process_that_stood_still_after_the_look_sends_nothing(sink, producer, clock):
    looked = clock.now_s
    clock.now_s += FRESH_S
    assert await sink.publish(entries(b"1"), looked) == 0
    assert producer.attempts == []


async def test_what_failed_is_not_sent_again_upon_an_old_look(sink, producer, clock, said):
    producer.refuses = {b"2": [KafkaTimeoutError()]}
    looked = clock.now_s

    send = producer.send

    async def slow(sent):
        try:
            return await send(sent)
        except KafkaTimeoutError:
            clock.now_s += FRESH_S
            raise

    producer.send = slow
    assert await sink.publish(entries(b"1", b"2", b"3"), looked) == 1
    assert producer.attempts == [b"1", b"2"]
    assert await sink.publish(entries(b"2", b"3"), clock.now_s) == 2
    assert len(said()) == 2  # one outage, and its end


async def test_nothing_to_publish_sends_nothing(sink, producer):
    await sink.publish([], NOW)
    assert producer.attempts == []


@pytest.mark.parametrize(
    ("how", "first"), [("refuses", [b"1", b"2"]), ("loses", [b"1", b"2", b"3"])]
)
async def test_from_the_first_failure_on_all_is_sent_again_in_order(sink, producer, how, first):
    setattr(producer, how, {b"2": [KafkaTimeoutError()]})
    await sink.publish(entries(b"1", b"2", b"3"), NOW)
    assert producer.attempts == [*first, b"2", b"3"]
    assert producer.values[-2:] == [b"2", b"3"]  # the last word on a key is its last entry


async def test_an_outage_is_waited_for_and_mentioned_once_as_is_its_end(sink, producer, said):
    outage = [KafkaConnectionError(), KafkaTimeoutError(), KafkaTimeoutError()]
    producer.refuses = {b"1": outage}
    await sink.publish(entries(b"1", b"2"), NOW)
    assert producer.values[-2:] == [b"1", b"2"]
    await sink.publish(entries(b"3"), NOW)
    assert said() == [
        "Kafka does not acknowledge (KafkaConnectionError); sending again",
        "Kafka acknowledges again",
    ]


async def test_each_outage_is_mentioned_anew(sink, producer, said):
    for _ in range(2):
        producer.refuses = {b"1": [KafkaTimeoutError()]}
        await sink.publish(entries(b"1"), NOW)
    assert len(said()) == 4


@pytest.mark.parametrize("error", [ValueError("a defect of ours"), asyncio.CancelledError()])
async def test_what_waiting_would_not_change_is_raised(sink, producer, said, error):
    producer.refuses = {b"1": [error]}
    with pytest.raises(type(error)):
        await sink.publish(entries(b"1"), NOW)
    assert said() == []


async def test_a_defect_is_raised_in_the_midst_of_an_outage_too(sink, producer):
    producer.refuses = {b"1": [KafkaTimeoutError()], b"2": [KeyError()]}
    with pytest.raises(KeyError):
        await sink.publish(entries(b"1", b"2"), NOW)


async def test_a_dead_letter_that_kafka_finds_too_large_is_cut_and_described(sink, producer, said):
    value = bytes(range(256)) * 8
    producer.refuses = {value: [MessageSizeTooLargeError()]}
    await sink.publish([*entries(value, topic="dead-letters"), *entries(b"next")], NOW)
    cut, following = producer.taken[-2:]
    assert (cut.topic, cut.key, cut.value) == ("dead-letters", b"ann", value[:PREFIX_BYTES])
    assert cut.headers == [
        ("reason", b"r"),
        ("truncated", b"true"),
        ("value_bytes", b"2048"),
        ("value_sha256", hashlib.sha256(value).hexdigest().encode()),
    ]
    assert following.value == b"next"
    assert said() == []


async def test_a_key_that_would_be_too_large_is_left_out(sink, producer):
    big = Entry("dead-letters", b"k" * (PREFIX_BYTES + 1), b"v" * 2000, [])
    producer.refuses = {big.value: [MessageSizeTooLargeError()]}
    await sink.publish([big], NOW)
    assert producer.taken[-1].key is None


async def test_anything_else_that_is_too_large_becomes_a_dead_letter(sink, producer):
    producer.refuses = {b"1": [MessageSizeTooLargeError()]}
    await sink.publish(entries(b"1"), NOW)
    cut = producer.taken[-1]
    assert cut.topic == "dead-letters"
    assert dict(cut.headers)["reason"] == b"too_large_to_publish"


async def test_a_tombstone_with_a_key_stays_one(sink, producer):
    await sink.publish([Entry("dead-letters", b"ann", None, [])], NOW)
    assert producer.values == [None]


async def test_what_shares_an_answer_is_sent_again_with_all_that_came_after_it(said, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0)
    producer = Producer(together=2)
    producer.loses = {b"3": [KafkaTimeoutError()]}
    mixed = [
        *entries(b"1", topic="triggers"),
        *entries(b"2", b"3"),
        *entries(b"4", topic="triggers"),
        *entries(b"5"),
    ]
    assert await KafkaSink(producer, FRESH_S).publish(mixed, NOW) == 5
    assert producer.attempts == [b"1", b"4", b"2", b"3", b"5", b"2", b"3", b"4", b"5"]
    assert len(said()) == 2


async def test_what_was_published_is_counted_up_to_the_first_that_was_not(clock):
    producer = Producer(together=2)
    send = producer.send

    async def slow(sent):
        clock.now_s += FRESH_S
        return await send(sent)

    producer.send = slow
    mixed = [*entries(b"1"), *entries(b"2", topic="triggers"), *entries(b"3")]
    assert await KafkaSink(producer, FRESH_S).publish(mixed, clock.now_s) == 1
    assert producer.values == [b"1", b"3"]  # and the third will come again


async def test_where_no_batches_can_be_made_all_is_tried_again(sink, producer, said):
    of, failures = producer.of, [KafkaTimeoutError()]

    async def at_last(waiting, *, alone):
        if failures:
            raise failures.pop()
        return await of(waiting, alone=alone)

    producer.of = at_last
    assert await sink.publish(entries(b"1", b"2"), NOW) == 2
    assert producer.values == [b"1", b"2"]
    assert len(said()) == 2


async def test_what_is_too_large_together_is_sent_alone_and_only_what_still_is_so_is_cut(
    said, monkeypatch
):
    monkeypatch.setattr(module, "WAIT_S", 0)
    producer = Producer(together=3)
    producer.loses = {b"2": [MessageSizeTooLargeError(), MessageSizeTooLargeError()]}
    await KafkaSink(producer, FRESH_S).publish(entries(b"1", b"2", b"3"), NOW)
    assert producer.attempts[:3] == [b"1", b"2", b"3"]
    cut = [entry.value for entry in producer.taken if entry.topic == "dead-letters"]
    whole = [entry.value for entry in producer.taken if entry.topic == "decisions"]
    assert cut == [b"2"]
    assert list(dict.fromkeys(whole)) == [b"1", b"3"]
    assert said() == []


async def test_whoever_waits_too_long_for_a_turn_is_left_to_another_look(producer):
    send = producer.send

    async def crowded(sent):
        if sent[0].value == b"2":
            await asyncio.Event().wait()
        return await send(sent)

    producer.send = crowded
    sink = KafkaSink(producer, fresh_s=0.05)
    assert await sink.publish(entries(b"1", b"2", b"3"), time.monotonic()) == 1
    assert producer.values == [b"1"]
