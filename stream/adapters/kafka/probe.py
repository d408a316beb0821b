"""Probes Kafka with a fresh client, if a process's own client has stopped making progress.

The probe fails if anything that the process needs is unavailable, even one partition's leader:
a restart helps only if all servers are available. It is aiokafka's client, like the one that it
replaces: an administrator's client would bring librdkafka's threads into every worker, and cannot
tell whether aiokafka could log in.
"""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.adapters.kafka.connect import ANSWER_S, metadata, partition_counts, started
from stream.adapters.kafka.options import client_options
from stream.config.settings import Settings


def serves(settings: Settings, topics: Sequence[str], group: str) -> bool:
    """Return, in bounded time, whether all partitions of the topics and the group are served."""
    try:
        return asyncio.run(_serves(settings, topics, group))
    except Exception:  # noqa: BLE001 - any failure means that Kafka does not serve
        return False


async def _serves(settings: Settings, topics: Sequence[str], group: str) -> bool:
    counts = partition_counts(await metadata(settings))
    read = [TopicPartition(topic, number) for topic in topics for number in range(counts[topic])]
    client = AIOKafkaConsumer(
        **client_options(settings.kafka), group_id=group, enable_auto_commit=False
    )
    async with asyncio.timeout(ANSWER_S), started(client) as consumer:
        await consumer.end_offsets(read)  # answered by their leaders
        await consumer.committed(read[0])  # answered by the group's coordinator
    return True
