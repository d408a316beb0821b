"""What ``doctor`` reads from Kafka before it checks anything.

It changes nothing and ends in bounded time. What this user may not read is left out.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import TopicPartition
from aiokafka.protocol.admin import ApiVersionRequest
from confluent_kafka.admin import AdminClient
from msgspec import Struct

from stream.adapters.kafka.administer import FAILURES, admin_client, failed, topic_configs
from stream.adapters.kafka.connect import asking, metadata, partition_counts
from stream.adapters.kafka.describe import Group, TopicMetadata, describe_group, describe_topics
from stream.adapters.kafka.offsets import have_records_after
from stream.adapters.kafka.topic_ids import some_node
from stream.config.settings import KafkaSettings, Settings
from stream.domain.policy import FUTURE_MS
from stream.domain.topics import LANES, TOPICS

# Not counting the time until an unreachable address is given up.
WITHIN_S: Final = 15.0
FETCH: Final = 1


class KafkaSurvey(Struct, frozen=True, kw_only=True):
    """Everything read from Kafka. ``unreadable`` says why a topic's settings cannot be read.

    ``leaderless`` counts partitions without a leader, ``fetches`` is the newest version of
    Kafka's ``Fetch`` that the broker supports, ``ahead`` are inputs with records from the future.
    """

    brokers: int
    fetches: int
    counts: dict[str, int]
    leaderless: dict[str, int]
    configs: dict[str, dict[str, str]]
    unreadable: dict[str, str]
    topics: dict[str, TopicMetadata]
    group: Group
    ahead: frozenset[str]


async def survey_kafka(settings: Settings, now_ms: int) -> KafkaSurvey:
    """Read all of it.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, refuses, or stops answering.
    """
    cluster = await metadata(settings)
    counts = partition_counts(cluster)
    led = {name: cluster.available_partitions_for_topic(name) or set() for name in counts}
    ours = [name for name in TOPICS if name in counts]
    admin = admin_client(settings.kafka)
    try:
        async with asyncio.timeout(WITHIN_S):
            configs, unreadable = await topic_configs(admin, ours)
            topics = await describe_topics(admin, ours)
            group = await describe_group(admin, settings.worker.group)
            fetches = await _fetches(settings.kafka)
            ahead = await _ahead(admin, _parts(LANES, led), now_ms)
    except (*FAILURES, OSError) as error:
        raise failed(settings, error) from error
    return KafkaSurvey(
        brokers=len(cluster.brokers()),
        fetches=fetches,
        counts={name: counts[name] for name in ours},
        leaderless={name: counts[name] - len(led[name]) for name in ours},
        configs=configs,
        unreadable=unreadable,
        topics=topics,
        group=group,
        ahead=ahead,
    )


async def _fetches(kafka: KafkaSettings) -> int:
    """Return the newest version of ``Fetch``; the administrator's client does not report it."""
    async with asking(kafka) as client:
        answer = await client.send(some_node(client), ApiVersionRequest())
    return next((newest for key, _, newest in answer.api_versions if key == FETCH), 0)


def _parts(names: Iterable[str], led: dict[str, set[int]]) -> list[TopicPartition]:
    return [TopicPartition(name, number) for name in names for number in led.get(name, ())]


async def _ahead(admin: AdminClient, tps: list[TopicPartition], now_ms: int) -> frozenset[str]:
    found = await have_records_after(admin, tps, now_ms + FUTURE_MS)
    return frozenset(tp.topic for tp in found)
