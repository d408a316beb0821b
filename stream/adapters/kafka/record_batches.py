"""Records for Kafka, sent as whole batches of one partition.

Within a partition records keep their order. A batch has one acknowledgement for all its records;
one for each record would cost twice as much.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.partitioner import murmur2

from stream.adapters.kafka.options import LARGEST_REQUEST_BYTES
from stream.domain.topics import TRAINING_EXAMPLES
from stream.shard.ports import Entry

# One trainer learns from all examples, in one order, whatever number of partitions there is.
PARTITIONS = {TRAINING_EXAMPLES: 0}

# Shoppers come back, and each answer to what they do is about them again.
KNOWN_KEYS = 65_536


class Place(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


class RecordBatch:
    """Records for one place; ``numbers`` tells which of the entries they are."""

    def __init__(self, producer: AIOKafkaProducer, place: Place, turn: asyncio.Lock) -> None:
        self.numbers: list[int] = []
        self._producer, self._place, self._turn = producer, place, turn
        self._builder = producer.create_batch()

    def append(self, number: int, entry: Entry) -> bool:
        """Add an entry, and say whether there was room; for the first there always is."""
        key, value = entry.key, entry.value
        if key is None and value is None:  # aiokafka sends no such record
            value = b""
        added = self._builder.append(timestamp=None, key=key, value=value, headers=entry.headers)
        if added is not None:
            self.numbers.append(number)
        return added is not None

    async def send(self) -> Awaitable[object]:
        """Hand the records to the producer; what it returns ends once they are acknowledged.

        Raises
        ------
        MessageSizeTooLargeError
            It is one record, and no request may be so large.
        KafkaError
            There was no room for it for too long.
        """
        if self._builder.size() > LARGEST_REQUEST_BYTES:
            raise MessageSizeTooLargeError
        topic, partition = self._place
        async with self._turn:
            acknowledged: Awaitable[object] = await self._producer.send_batch(
                self._builder, topic, partition=partition
            )
        return acknowledged


class RecordBatches:
    """Makes batches for a producer of aiokafka's, once that has started."""

    def __init__(self, producer: Callable[[], AIOKafkaProducer]) -> None:
        self._producer = producer
        # Of each place aiokafka lets one batch wait. Once that is on its way it wakes all who
        # would be next, and those who come too late again and again lose patience too soon.
        self._turns: defaultdict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def of(self, entries: Sequence[Entry], *, alone: bool) -> list[RecordBatch]:
        """Return batches of all entries, in the order in which they are to be sent.

        Where an entry goes ``alone``, no other can be too large for it.

        Raises
        ------
        KafkaError
            Kafka does not tell how many partitions a topic has.
        """
        producer, counts = self._producer(), dict[str, int]()
        for topic in {entry.topic for entry in entries}:
            counts[topic] = len(await producer.partitions_for(topic))
        made: list[RecordBatch] = []
        filling: dict[Place, RecordBatch] = {}
        for number, entry in enumerate(entries):
            place = _place(entry, counts)
            batch = filling.get(place)
            if alone or batch is None or not batch.append(number, entry):
                batch = filling[place] = RecordBatch(producer, place, self._turns[place])
                batch.append(number, entry)
                made.append(batch)
        return made


def _place(entry: Entry, counts: Mapping[str, int]) -> Place:
    topic = entry.topic
    fixed = PARTITIONS.get(topic)
    return Place(topic, _partition(entry.key, counts[topic]) if fixed is None else fixed)


def _partition(key: bytes | None, count: int) -> int:
    """Return the partition that every client in the Java way finds for a key; without one, any."""
    if key is None:
        return random.randrange(count)  # noqa: S311 - no secret
    return _of_key(key, count)


@lru_cache(maxsize=KNOWN_KEYS)
def _of_key(key: bytes, count: int) -> int:
    return int(murmur2(key) & 0x7FFFFFFF) % count
