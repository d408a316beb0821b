"""Everything that a look at Kafka brings to light, for others to judge.

The one rule: it asks and changes nothing, in bounded time; what this user may not know is left out.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import ApiVersionRequest
from msgspec import Struct

from stream.adapters.kafka.administer import topic_configs
from stream.adapters.kafka.connect import asking, metadata, partition_counts
from stream.adapters.kafka.describe import Group, TopicMetadata, described, told_topics
from stream.adapters.kafka.offsets import have_records_after, looking
from stream.adapters.kafka.topic_ids import some_node
from stream.adapters.kafka.topic_rules import RETENTION_DAYS
from stream.config.settings import Settings
from stream.domain.events import TOPICS
from stream.domain.policy import FUTURE_MS
from stream.errors import CartwakeError

# Beside the time that an address which is away takes to be given up.
WITHIN_S: Final = 15.0
FETCH: Final = 1


class Survey(Struct, frozen=True, kw_only=True):
    """What was found; ``silent`` says why a topic's settings are not told.

    ``leaderless`` counts partitions that nobody leads, ``fetches`` is the newest version of
    Kafka's ``Fetch`` that the broker speaks, ``ahead`` are inputs with records from the future.
    """

    brokers: int
    fetches: int
    counts: dict[str, int]
    leaderless: dict[str, int]
    configs: dict[str, dict[str, str]]
    silent: dict[str, str]
    told: dict[str, TopicMetadata]
    group: Group
    ahead: frozenset[str]


async def survey(settings: Settings, now_ms: int) -> Survey:
    """Ask Kafka for all of it.

    Raises
    ------
    CartwakeError
        Kafka cannot be reached, refuses, or stops answering.
    """
    cluster = await metadata(settings)
    counts = partition_counts(cluster)
    led = {name: cluster.available_partitions_for_topic(name) or set() for name in counts}
    ours = [name for name in RETENTION_DAYS if name in counts]
    try:
        async with asyncio.timeout(WITHIN_S):
            configs, silent = await topic_configs(settings, ours)
            fetches, told, group = await _told(settings, ours)
            ahead = await _ahead(settings, _parts(TOPICS, led), now_ms)
    except (KafkaError, OSError) as error:
        where = f"Kafka at {settings.kafka.bootstrap}"
        raise CartwakeError(f"{where} has stopped answering ({type(error).__name__})") from error
    return Survey(
        brokers=len(cluster.brokers()),
        fetches=fetches,
        counts={name: counts[name] for name in ours},
        leaderless={name: counts[name] - len(led[name]) for name in ours},
        configs=configs,
        silent=silent,
        told=told,
        group=group,
        ahead=ahead,
    )


async def _told(
    settings: Settings, names: list[str]
) -> tuple[int, dict[str, TopicMetadata], Group]:
    async with asking(settings.kafka) as client:
        told = await told_topics(client, names)
        return await _fetches(client), told, await described(client, settings.worker.group)


async def _fetches(client: AIOKafkaClient) -> int:
    answer = await client.send(some_node(client), ApiVersionRequest())
    return next((newest for key, _, newest in answer.api_versions if key == FETCH), 0)


def _parts(names: Iterable[str], led: dict[str, set[int]]) -> list[TopicPartition]:
    return [TopicPartition(name, number) for name in names for number in led.get(name, ())]


async def _ahead(settings: Settings, tps: list[TopicPartition], now_ms: int) -> frozenset[str]:
    if not tps:
        return frozenset()
    async with looking(settings.kafka) as consumer:
        found = await have_records_after(consumer, tps, now_ms + FUTURE_MS)
    return frozenset(tp.topic for tp in found)
