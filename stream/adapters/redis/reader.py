"""Reads the workers' state in Redis.

It claims no shard and writes nothing. What it returns may be older than the log.
"""

import asyncio
from typing import Generic

import msgspec
from msgspec import Struct

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import key_name, partitions_key
from stream.shard.entity import Codec
from stream.shard.ports import KeyT, StateT, Watermark


class Counts(Struct, frozen=True):
    """Counts of one shard; ``epoch`` is how often it was claimed, ``overdue`` are wake-ups."""

    epoch: int
    visitors: int
    armed: int
    overdue: int
    pending: int


class RedisReader:
    """Reads the shards of a group."""

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection, self._group = connection, group

    async def watermark(self, shard: int) -> Watermark:
        """Return the offsets up to which the shard's state includes the log."""
        stored = await self._connection.run(
            "HGET", key_name(self._group, shard, "own"), "watermark"
        )
        return msgspec.json.decode(stored, type=Watermark) if stored else Watermark()

    async def partitions(self) -> int | None:
        """Return the group's number of shards; None if the group has no state yet."""
        stored = await self._connection.run("GET", partitions_key(self._group))
        return int(stored) if stored else None

    async def counts(self, shard: int, due_ms: int) -> Counts:
        """Return the shard's counts; wake-ups up to ``due_ms`` are overdue."""
        own, state, wake, out = (
            key_name(self._group, shard, kind) for kind in ("own", "state", "wake", "out")
        )
        run = self._connection.run
        epoch, *counted = await asyncio.gather(
            run("HGET", own, "epoch"),
            run("HLEN", state),
            run("ZCARD", wake),
            run("ZCOUNT", wake, "-inf", due_ms),
            run("HLEN", out),
        )
        return Counts(int(epoch or 0), *counted)

    async def stopped(self, shard: int) -> str:
        """Return why the owner has stopped the shard; empty if it has not."""
        stored = await self._connection.run("HGET", key_name(self._group, shard, "own"), "stopped")
        return stored.decode() if stored else ""


class RedisStates(RedisReader, Generic[KeyT, StateT]):
    """Also reads single states."""

    def __init__(self, connection: Connection, group: str, codec: Codec[KeyT, StateT]) -> None:
        super().__init__(connection, group)
        self._codec = codec

    async def state(self, shard: int, key: KeyT) -> StateT | None:
        """Return a key's state; None if it has none.

        Raises
        ------
        UnreadableState
            This version cannot read it.
        """
        stored = await self._connection.run(
            "HGET", key_name(self._group, shard, "state"), self._codec.name_of(key)
        )
        return None if stored is None else self._codec.decode(stored)
