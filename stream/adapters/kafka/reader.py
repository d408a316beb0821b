"""Reads partitions in no group, and positions readers: nothing is committed.

Used by whatever reads topics whole: the gateway's feed, the demo's page, dead letters. Readers of
a group's share of partitions use ``seek_to_time`` as well.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream.adapters.kafka.connect import metadata, partition_counts, started
from stream.adapters.kafka.options import client_options
from stream.config.settings import KafkaSettings, Settings
from stream.errors import CartwakeError

POLL_MS: Final = 500
SILENCE_S: Final = 30.0


async def all_partitions(settings: Settings, topics: Sequence[str]) -> list[TopicPartition]:
    """Return every partition of the topics.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, or a topic does not exist.
    """
    counts = partition_counts(await metadata(settings))
    if missing := [topic for topic in topics if not counts.get(topic)]:
        raise CartwakeError(
            f"Kafka at {settings.kafka.bootstrap}: no topic {missing[0]}: "
            "make it with 'cartwake topics create'"
        )
    return [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]


@asynccontextmanager
async def reading(
    kafka: KafkaSettings, partitions: Collection[TopicPartition], wait_ms: int = POLL_MS
) -> AsyncIterator[AIOKafkaConsumer]:
    """Start a consumer of these partitions, from their beginning, and stop it.

    A broker without new records answers after ``wait_ms``; one that has some answers at once.
    """
    consumer = AIOKafkaConsumer(
        **client_options(kafka),
        group_id=None,
        fetch_max_wait_ms=wait_ms,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with started(consumer):
        consumer.assign(list(partitions))
        yield consumer


async def seek_to_time(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition], since_ms: int
) -> dict[TopicPartition, int]:
    """Position the consumer at the first records from a moment on; return the partitions' ends."""
    found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
    ends: dict[TopicPartition, int] = await consumer.end_offsets(list(partitions))
    for partition, first in found.items():
        consumer.seek(partition, ends[partition] if first is None else first.offset)
    return ends


async def records_from(consumer: AIOKafkaConsumer) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield records from the consumer's positions on, without end."""
    while True:
        polled = await consumer.getmany(timeout_ms=POLL_MS)
        for record in (one for records in polled.values() for one in records):
            yield record


async def records_until(
    consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]
) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield records up to the ends, each partition in its order.

    Raises
    ------
    TimeoutError
        Kafka has brought nothing for ``SILENCE_S``.
    """
    left = dict(ends)
    while left:
        async with asyncio.timeout(SILENCE_S):
            found = await _polled(consumer, left)
        for record in found:
            yield record


async def _polled(
    consumer: AIOKafkaConsumer, left: dict[TopicPartition, int]
) -> list[ConsumerRecord]:
    """Return the next records before the ends in ``left``, and drop those that are reached."""
    while left:
        polled = await consumer.getmany(*left, timeout_ms=POLL_MS)
        found = [
            record
            for partition, batch in polled.items()
            for record in batch
            if record.offset < left[partition]
        ]
        # Not the last record's offset: what follows it may be gone, or no record at all.
        for partition in list(left):
            if await consumer.position(partition) >= left[partition]:
                del left[partition]
        if found:
            return found
    return []
