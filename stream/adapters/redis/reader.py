"""What the workers keep in Redis, for those who only look.

The one rule: it takes no shard and writes nothing; what it returns may be older than the log.
"""

import asyncio

import msgspec
from msgspec import Struct

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.store import key, member, partitions_key
from stream.adapters.wire.codec import decode_state
from stream.domain.visitor import Visitor, VisitorKey
from stream.shard.ports import Watermark


class Counts(Struct, frozen=True):
    """How much a shard holds, and how often it has been claimed; ``overdue`` are wake-ups."""

    epoch: int
    visitors: int
    armed: int
    overdue: int
    pending: int


class RedisReader:
    """Looks at the shards of a group."""

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection, self._group = connection, group

    async def watermark(self, shard: int) -> Watermark:
        """Return up to where the shard's state includes the log."""
        stored = await self._connection.run("HGET", key(self._group, shard, "own"), "watermark")
        return msgspec.json.decode(stored, type=Watermark) if stored else Watermark()

    async def partitions(self) -> int | None:
        """Return of how many shards the group's state is; None where there is no state yet."""
        stored = await self._connection.run("GET", partitions_key(self._group))
        return int(stored) if stored else None

    async def counts(self, shard: int, due_ms: int) -> Counts:
        """Return how much the shard holds; wake-ups up to ``due_ms`` are overdue."""
        own, state, wake, out = (
            key(self._group, shard, kind) for kind in ("own", "state", "wake", "out")
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
        """Return why its owner has stopped it for its dead letters; empty: it has not."""
        stored = await self._connection.run("HGET", key(self._group, shard, "own"), "stopped")
        return stored.decode() if stored else ""

    async def state(self, shard: int, who: VisitorKey) -> Visitor | None:
        """Return all that is known of a visitor; None where nothing is."""
        stored = await self._connection.run("HGET", key(self._group, shard, "state"), member(who))
        return None if stored is None else decode_state(stored)
