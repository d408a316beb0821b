"""Asks a fresh client whether Kafka serves, because our own client's silence may be its own fault.

The answer is no if anything that a process needs is unavailable, even one partition's leader: a
restart would not help while servers are away.
"""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.adapters.kafka.connect import ANSWER_S, metadata, partition_counts, started
from stream.adapters.kafka.options import client_options
from stream.config.settings import Settings


def serves(settings: Settings, topics: Sequence[str], group: str) -> bool:
    """Say, within bounds, whether all partitions of the topics are served, and the group."""
    try:
        return asyncio.run(_serves(settings, topics, group))
    except Exception:  # noqa: BLE001 - whatever keeps a fresh client from being served
        return False


async def _serves(settings: Settings, topics: Sequence[str], group: str) -> bool:
    counts = partition_counts(await metadata(settings))
    read = [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]
    client = AIOKafkaConsumer(
        **client_options(settings.kafka), group_id=group, enable_auto_commit=False
    )
    async with asyncio.timeout(ANSWER_S), started(client) as consumer:
        await consumer.end_offsets(read)  # their leaders know
        await consumer.committed(read[0])  # the group's coordinator knows
    return True
