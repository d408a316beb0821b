"""What ``doctor`` reads from Redis before it checks anything.

It changes nothing and ends in bounded time. A command that is refused is a result, not an error.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from redis.asyncio import RedisCluster
from redis.exceptions import NoPermissionError, RedisClusterException, RedisError

from stream.adapters.redis.connection import Connection, connected
from stream.adapters.redis.reader import RedisReader
from stream.adapters.redis.store import key_name, partitions_key
from stream.config.settings import Settings
from stream.errors import CartwakeError

WITHIN_S: Final = 15.0


class RedisSurvey(Struct, frozen=True, kw_only=True):
    """Everything read from Redis: ``INFO`` of each server, and the commands refused to this user.

    ``partitions`` is None if there is no state, ``cluster`` if this is no cluster or this user may
    not read its state. ``ahead_ms`` is how far Redis's clock is ahead of this machine's, None if
    this user may not read it, and ``took_ms`` is how long that answer took.
    """

    address: str
    servers: Mapping[str, Mapping[str, Any]]
    is_cluster: bool
    cluster: Mapping[str, str] | None
    partitions: int | None
    refused: tuple[str, ...]
    ahead_ms: int | None
    took_ms: int


async def survey_redis(settings: Settings) -> RedisSurvey:
    """Read all of it.

    Raises
    ------
    CartwakeError
        Redis cannot be reached, refuses, or stops answering.
    """
    connection = connected(settings.redis, once=True)
    try:
        async with asyncio.timeout(WITHIN_S):
            return await _survey(connection, settings.worker.group)
    except (RedisError, RedisClusterException, TimeoutError) as error:
        why = "has stopped answering" if isinstance(error, TimeoutError) else f"says: {error}"
        raise CartwakeError(f"Redis at {connection.address} {why}") from error
    finally:
        await connection.close()


async def _survey(connection: Connection, group: str) -> RedisSurvey:
    servers = await connection.told()
    refused = await _refused(connection, group)
    ahead_ms, took_ms = await _clock(connection)
    can_count = "get" not in refused
    return RedisSurvey(
        address=connection.address,
        servers=servers,
        is_cluster=connection.is_cluster,
        cluster=await _cluster(connection),
        partitions=await RedisReader(connection, group).partitions() if can_count else None,
        refused=refused,
        ahead_ms=ahead_ms,
        took_ms=took_ms,
    )


async def _refused(connection: Connection, group: str) -> tuple[str, ...]:
    """Return which commands of ``doctor`` and ``status`` are refused to this user."""
    wake = key_name(group, 0, "wake")
    looks = (
        ("get", partitions_key(group)),
        ("hget", key_name(group, 0, "own"), "watermark"),
        ("hlen", key_name(group, 0, "state")),
        ("zcard", wake),
        ("zcount", wake, "-inf", 0),
    )
    refused = []
    for command in looks:
        try:
            await connection.client.execute_command(*command)
        except NoPermissionError:
            refused.append(command[0])
    return tuple(refused)


async def _clock(connection: Connection) -> tuple[int | None, int]:
    asked, began = time.time_ns(), time.monotonic_ns()
    redis_ms = await connection.time_ms()
    took = time.monotonic_ns() - began
    half_ms = (asked + took // 2) // 1_000_000
    return (None if redis_ms is None else redis_ms - half_ms), took // 1_000_000


async def _cluster(connection: Connection) -> Mapping[str, str] | None:
    if not connection.is_cluster:
        return None
    try:
        state: Mapping[str, str] = await connection.client.cluster_info(
            target_nodes=RedisCluster.RANDOM
        )
    except NoPermissionError:
        return None
    return state
