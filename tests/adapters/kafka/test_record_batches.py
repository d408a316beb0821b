"""Batches as aiokafka makes them, and a Kafka that takes them."""

import asyncio
import time

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from stream.adapters.kafka import record_batches as module
from stream.adapters.kafka import sink
from stream.adapters.kafka.options import BATCH_BYTES, LARGEST_REQUEST_BYTES
from stream.adapters.kafka.record_batches import RecordBatches
from stream.adapters.kafka.sink import KafkaSink
from stream.shard.ports import Entry

COUNT = 12
MANY = 40


class Producer:
    """Makes aiokafka's own batches, and notes where they are sent."""

    def __init__(self):
        # Its batches need no connection.
        self._made = AIOKafkaProducer(max_batch_size=BATCH_BYTES)
        self.create_batch = self._made.create_batch
        self.sent, self.at_once, self.most_at_once = [], 0, 0

    async def partitions_for(self, topic):
        return set(range(1 if topic == "training-examples" else COUNT))

    async def send_batch(self, _, topic, *, partition):
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        self.sent.append((topic, partition))
        return asyncio.get_running_loop().create_future()


@pytest.fixture
async def producer():
    made = Producer()
    yield made
    await made._made.stop()


@pytest.fixture
def batches(producer):
    return RecordBatches(lambda: producer)


def entry(key=b"ann", value=b"{}", topic="decisions"):
    return Entry(topic, key, value, [("ce_id", b"1")])


async def placed(batches, producer, *entries, alone=False):
    """Send entries and return, per batch, where it went and which of them it has."""
    made = await batches.of(entries, alone=alone)
    for batch in made:
        await batch.send()
    return [(*place, batch.numbers) for place, batch in zip(producer.sent, made, strict=True)]


async def test_what_goes_to_one_partition_goes_together_in_its_order(batches, producer):
    sent = await placed(
        batches, producer, entry(), entry(topic="triggers"), entry(b"bob"), entry(), entry(b"bob")
    )
    assert [(topic, numbers) for topic, _, numbers in sent] == [
        ("decisions", [0, 3]),
        ("triggers", [1]),
        ("decisions", [2, 4]),
    ]


@given(st.binary())
def test_a_key_has_the_partition_that_javas_clients_find(key):
    partitions = list(range(COUNT))
    assert module._partition(key, COUNT) == DefaultPartitioner()(key, partitions, partitions)


async def test_what_has_no_key_may_go_anywhere(batches, producer):
    sent = await placed(batches, producer, *[entry(None, b"%d" % n) for n in range(MANY)])
    assert len({partition for _, partition, _ in sent}) > 1
    assert sorted(number for _, _, numbers in sent for number in numbers) == list(range(MANY))


async def test_training_examples_go_to_their_one_partition(batches, producer):
    examples = [entry(b"%d" % n, topic="training-examples") for n in range(MANY)]
    assert await placed(batches, producer, *examples) == [
        ("training-examples", 0, list(range(MANY)))
    ]


async def test_alone_each_has_a_batch_of_its_own_in_their_order(batches, producer):
    sent = await placed(batches, producer, entry(), entry(), entry(b"bob"), alone=True)
    assert [numbers for *_, numbers in sent] == [[0], [1], [2]]


async def test_a_full_batch_is_followed_by_another(batches, producer):
    big = b"x" * (BATCH_BYTES // 3)
    sent = await placed(batches, producer, *[entry(value=big)] * 5)
    assert [numbers for *_, numbers in sent] == [[0, 1], [2, 3], [4]]


async def test_a_record_larger_than_a_batch_goes_alone(batches, producer):
    sent = await placed(batches, producer, entry(), entry(value=b"x" * 2 * BATCH_BYTES), entry())
    assert [numbers for *_, numbers in sent] == [[0], [1], [2]]


async def test_a_record_larger_than_any_request_is_refused_alone(batches, producer):
    first, refused, last = await batches.of(
        [entry(), entry(value=b"x" * (LARGEST_REQUEST_BYTES + 1)), entry()], alone=False
    )
    await first.send()
    with pytest.raises(MessageSizeTooLargeError):
        await refused.send()
    await last.send()
    assert refused.numbers == [1]
    assert len(producer.sent) == 2


@pytest.mark.parametrize(
    ("key", "value", "sent"), [(None, None, b""), (b"ann", None, None), (None, b"v", b"v")]
)
async def test_a_record_without_key_and_value_is_sent_with_an_empty_value(
    batches, producer, monkeypatch, key, value, sent
):
    appended = []

    class Builder:
        def append(self, **record):
            appended.append(record)
            return record

    monkeypatch.setattr(producer, "create_batch", Builder)
    await batches.of([entry(key, value)], alone=False)
    assert (appended[0]["key"], appended[0]["value"]) == (key, sent)


async def test_of_each_partition_one_batch_is_handed_over_after_the_other(batches, producer):
    made = [await batches.of([entry()], alone=False) for _ in range(3)]
    await asyncio.gather(*(batch.send() for (batch,) in made))
    assert producer.most_at_once == 1
    others = [
        await batches.of([entry(topic=topic)], alone=False) for topic in ("triggers", "decisions")
    ]
    await asyncio.gather(*(batch.send() for (batch,) in others))
    assert producer.most_at_once == 2


async def test_a_topic_that_takes_less_than_a_batch_takes_every_record_whole(
    kafka_server, topic_prefix, monkeypatch
):
    monkeypatch.setattr(sink, "WAIT_S", 0)
    topic = f"{topic_prefix}small"
    kafka_server.create_topics([topic], 1, {"max.message.bytes": "2000"})
    client = AIOKafkaProducer(
        bootstrap_servers=kafka_server.bootstrap,
        acks="all",
        enable_idempotence=True,
        max_batch_size=BATCH_BYTES,
    )
    values = [b"%d " % number + b"x" * 500 for number in range(MANY)]
    async with client:
        publisher = KafkaSink(RecordBatches(lambda: client), fresh_s=60)
        waiting = [entry(value=value, topic=topic) for value in values]
        assert await publisher.publish(waiting, time.monotonic()) == MANY
    assert [message.value for message in kafka_server.read_all(topic)] == values
