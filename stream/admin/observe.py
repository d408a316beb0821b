"""Reads the state of a group's shards at one moment, from Kafka and Redis.

The ends of the logs are read before the watermarks of the shards. So every record that counts as
lag was stored before and had not been applied, however fast both move.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from aiokafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from msgspec import structs
from redis.exceptions import RedisClusterException, RedisError

from stream.adapters.kafka.administer import FAILURES, admin_client
from stream.adapters.kafka.connect import metadata, partition_counts, refuse
from stream.adapters.kafka.describe import describe_group, describe_topics
from stream.adapters.kafka.offsets import list_offsets, written_ms
from stream.adapters.kafka.topic_rules import missing, partitions, uneven
from stream.adapters.redis.connection import Connection, connected
from stream.adapters.redis.models import RedisModels
from stream.adapters.redis.reader import RedisReader
from stream.adapters.redis.server_rules import torn
from stream.admin.shards import Seen, ServedModels, Status, behind, status_of
from stream.config.settings import Settings
from stream.domain.topics import LANES
from stream.errors import CartwakeError
from stream.learning.snapshot import UnreadableSnapshot
from stream.worker.claimed import PartitionOffsets

# Not counting the time until an unreachable address is given up.
WITHIN_S: Final = 20.0


async def observe(settings: Settings) -> Status:
    """Read everything once.

    Raises
    ------
    CartwakeError
        A server is down or refuses, or an input does not exist.
    """
    connection = connected(settings.redis, once=True)
    try:
        count = await _shards(settings)
        async with asyncio.timeout(WITHIN_S):
            return await _look(settings, admin_client(settings.kafka), connection, count)
    except (RedisError, RedisClusterException) as error:
        raise CartwakeError(f"Redis at {connection.address} says: {error}") from error
    except FAILURES as error:
        where = f"Kafka at {settings.kafka.bootstrap} or Redis at {connection.address}"
        raise CartwakeError(f"{where} has stopped answering ({type(error).__name__})") from error
    finally:
        await connection.close()


async def _shards(settings: Settings) -> int:
    """Return how many shards there are."""
    cluster = await metadata(settings)
    counts = partition_counts(cluster)
    inputs = {name: counts[name] for name in LANES if name in counts}
    led = {name: len(cluster.available_partitions_for_topic(name) or ()) for name in inputs}
    refuse(settings, [*missing(inputs, LANES), *uneven(inputs), *_leaderless(inputs, led)])
    return next(iter(inputs.values()))


def _leaderless(counts: Mapping[str, int], led: Mapping[str, int]) -> Iterator[str]:
    """Yield which logs have no leader, without which their ends are unknown."""
    for name, count in counts.items():
        if absent := count - led[name]:
            yield f"{absent} of {partitions(count)} of {name} have no leader: start their brokers"


async def _look(
    settings: Settings, admin: AdminClient, connection: Connection, count: int
) -> Status:
    name = settings.worker.group
    limits = await _limits(admin, count)
    group = await describe_group(admin, name)
    reader = RedisReader(connection, name)
    for observed, remedy in torn(await reader.partitions(), count, connection.address):
        raise CartwakeError(f"{observed}; {remedy}")
    at_ms = await connection.time_ms() or time.time_ns() // 1_000_000
    # On the clock "records" a wake-up is due only once the shard itself has reached it.
    is_live = settings.worker.clock == "live"
    seen = await asyncio.gather(
        *(
            _seen(reader, number, limits[number], at_ms if is_live else None)
            for number in range(count)
        )
    )
    seen = await _with_age(admin, seen, at_ms)
    return status_of(name, group, seen, await _models(connection, name), at_ms)


async def _limits(admin: AdminClient, count: int) -> dict[int, dict[str, PartitionOffsets]]:
    """Return where each shard's logs begin and end, and the ids of their topics."""
    parts = [TopicPartition(topic, number) for topic in LANES for number in range(count)]
    starts = await list_offsets(admin, dict.fromkeys(parts, OffsetSpec.earliest()))
    ends = await list_offsets(admin, dict.fromkeys(parts, OffsetSpec.latest()))
    topics = await describe_topics(admin, LANES)
    found: dict[int, dict[str, PartitionOffsets]] = {number: {} for number in range(count)}
    for part in parts:
        topic_id = topics[part.topic].id if part.topic in topics else ""
        found[part.partition][part.topic] = PartitionOffsets(
            starts[part].offset, ends[part].offset, committed=0, topic_id=topic_id
        )
    return found


async def _seen(
    reader: RedisReader, number: int, limits: dict[str, PartitionOffsets], due_ms: int | None
) -> Seen:
    mark = await reader.watermark(number)
    counts = await reader.counts(number, mark.clock_ms if due_ms is None else due_ms)
    return Seen(number, limits, mark, counts, await reader.stopped(number))


async def _with_age(admin: AdminClient, seen: Sequence[Seen], at_ms: int) -> list[Seen]:
    """Return the shards with the time of each input's first record that is not applied."""
    first = {
        TopicPartition(topic, one.number): offset
        for one in seen
        for topic, offset, _ in behind(one.mark, one.limits)
    }
    written = await written_ms(admin, first, at_ms)
    return [
        structs.replace(
            one,
            written_ms={tp.topic: ms for tp, ms in written.items() if tp.partition == one.number},
        )
        for one in seen
    ]


async def _models(connection: Connection, group: str) -> ServedModels:
    try:
        snapshot = await RedisModels(connection, group).load()
    except UnreadableSnapshot as error:
        return ServedModels(unreadable=str(error))
    return ServedModels(snapshot.versions, snapshot.offset) if snapshot else ServedModels()
