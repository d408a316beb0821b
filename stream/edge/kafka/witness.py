"""A fresh client's word on whether Kafka serves, where our own client's silence may be its fault.

The one rule: it says no where anything that a worker needs is away, be it one partition's leader:
a worker that is restarted while its servers are away gains nothing.
"""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.domain.events import TOPICS
from stream.edge.kafka.options import client_options
from stream.edge.kafka.reach import ANSWER_S, metadata, partition_counts, started
from stream.edge.outgoing import TRAINING_EXAMPLES
from stream.settings import Settings


def serves(settings: Settings) -> bool:
    """Say, within bounds, whether all that workers read is served, and their group."""
    try:
        return asyncio.run(_serves(settings))
    except Exception:  # noqa: BLE001 - whatever keeps a fresh client from being served
        return False


async def _serves(settings: Settings) -> bool:
    counts = partition_counts(await metadata(settings))
    read = [
        TopicPartition(topic, number)
        for topic in (*TOPICS, TRAINING_EXAMPLES)
        for number in range(counts[topic])
    ]
    client = AIOKafkaConsumer(
        **client_options(settings.kafka), group_id=settings.worker.group, enable_auto_commit=False
    )
    async with asyncio.timeout(ANSWER_S), started(client) as consumer:
        await consumer.end_offsets(read)  # their leaders know
        await consumer.committed(read[0])  # the group's coordinator knows
    return True
