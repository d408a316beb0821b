"""Publishing through a producer whose answers are the test's choice."""

import asyncio
import hashlib
import logging

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError, MessageSizeTooLargeError
from faust.exceptions import ProducerSendError

from stream.edge.kafka import sink as module
from stream.edge.kafka.sink import PREFIX_BYTES, KafkaSink
from stream.shard.ports import Entry

FRESH_S = 4
NOW = float("inf")  # a look that never grows old


class Producer:
    """Takes what is sent, but for the errors queued per value: when sent, or when acknowledged."""

    def __init__(self):
        self.taken, self.attempts = [], []
        self.refuses, self.loses = {}, {}

    async def send(self, entry, partition):
        self.attempts.append(entry.value)
        if errors := self.refuses.get(entry.value):
            raise errors.pop(0)
        done = asyncio.get_running_loop().create_future()
        if errors := self.loses.get(entry.value):
            done.set_exception(errors.pop(0))
        else:
            self.taken.append((entry, partition))
            done.set_result(None)
        return done

    @property
    def values(self):
        return [entry.value for entry, _ in self.taken]


@pytest.fixture
def producer():
    return Producer()


@pytest.fixture
def sink(producer, monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0)
    return KafkaSink(producer.send, FRESH_S)


@pytest.fixture
def said(caplog):
    """Return what the sink has said, when called."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records]


def entries(*values, topic="decisions"):
    return [Entry(topic, b"ann", value, [("reason", b"r")]) for value in values]


def wrapped(error):
    """Return an error as Faust's producer raises it."""
    outer = ProducerSendError("while sending")
    outer.__cause__ = error
    return outer


async def test_entries_are_sent_in_order_and_without_a_word(sink, producer, said):
    await sink.publish(entries(b"1", b"2", b"3"), NOW)
    assert producer.values == [b"1", b"2", b"3"]
    assert said() == []


class Clock:
    """A monotonic clock moved by hand."""

    def __init__(self):
        self.now_s = 1_000.0

    def monotonic(self):
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(module, "time", made)
    return made


async def test_what_comes_too_long_after_the_look_is_left_to_another(sink, producer, clock):
    send = producer.send

    async def slow(entry, partition):
        clock.now_s += FRESH_S / 2
        return await send(entry, partition)

    sink._send = slow
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

    async def slow(entry, partition):
        try:
            return await producer.send(entry, partition)
        except KafkaTimeoutError:
            clock.now_s += FRESH_S
            raise

    sink._send = slow
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
@pytest.mark.parametrize("as_raised", [wrapped, lambda error: error], ids=["Faust's", "aiokafka's"])
async def test_from_the_first_failure_on_all_is_sent_again_in_order(
    sink, producer, how, first, as_raised
):
    setattr(producer, how, {b"2": [as_raised(KafkaTimeoutError())]})
    await sink.publish(entries(b"1", b"2", b"3"), NOW)
    assert producer.attempts == [*first, b"2", b"3"]
    assert producer.values[-2:] == [b"2", b"3"]  # the last word on a key is its last entry


async def test_an_outage_is_waited_for_and_mentioned_once_as_is_its_end(sink, producer, said):
    outage = [wrapped(KafkaConnectionError()), wrapped(KafkaTimeoutError()), KafkaTimeoutError()]
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
    producer.refuses = {b"1": [wrapped(KafkaTimeoutError())], b"2": [wrapped(KeyError())]}
    with pytest.raises(KeyError):
        await sink.publish(entries(b"1", b"2"), NOW)


async def test_a_dead_letter_that_kafka_finds_too_large_is_cut_and_described(sink, producer, said):
    value = bytes(range(256)) * 8
    producer.refuses = {value: [wrapped(MessageSizeTooLargeError())]}
    await sink.publish([*entries(value, topic="dead-letters"), *entries(b"next")], NOW)
    (cut, _), (following, _) = producer.taken[-2:]
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
    producer.refuses = {big.value: [wrapped(MessageSizeTooLargeError())]}
    await sink.publish([big], NOW)
    assert producer.taken[-1][0].key is None


async def test_anything_else_that_is_too_large_becomes_a_dead_letter(sink, producer):
    producer.refuses = {b"1": [wrapped(MessageSizeTooLargeError())]}
    await sink.publish(entries(b"1"), NOW)
    (cut, _) = producer.taken[-1]
    assert cut.topic == "dead-letters"
    assert dict(cut.headers)["reason"] == b"too_large_to_publish"


async def test_a_record_without_key_and_value_is_sent_with_an_empty_value(sink, producer):
    await sink.publish([Entry("dead-letters", None, None, [])], NOW)
    assert producer.values == [b""]


async def test_a_tombstone_with_a_key_stays_one(sink, producer):
    await sink.publish([Entry("dead-letters", b"ann", None, [])], NOW)
    assert producer.values == [None]


async def test_training_examples_go_to_their_one_partition_and_the_rest_by_key(sink, producer):
    await sink.publish([*entries(b"1", topic="training-examples"), *entries(b"2")], NOW)
    assert [partition for _, partition in producer.taken] == [0, None]
