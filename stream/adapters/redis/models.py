"""The trainer's models in Redis: one hash with the newest snapshot and its offset."""

from stream.adapters.redis.connection import Connection
from stream.learning.snapshot import Snapshot, decode, encode


class RedisModels:
    """Implements ``stream.worker.training.Models``."""

    def __init__(self, connection: Connection, group: str) -> None:
        self._connection = connection
        self._key = f"{group}:models"
        self._learn = connection.script("learn")

    async def load(self) -> Snapshot | None:
        """Implements ``Models.load``."""
        stored = await self._connection.run("HGET", self._key, "snapshot")
        return decode(stored) if stored else None

    async def offset(self) -> int | None:
        """Implements ``Models.offset``."""
        stored = await self._connection.run("HGET", self._key, "offset")
        return int(stored) if stored else None

    async def save(self, snapshot: Snapshot, learnt_from: int | None) -> bool:
        """Implements ``Models.save`` by one script."""
        expected = "" if learnt_from is None else learnt_from
        stored = await self._learn([self._key], [expected, snapshot.offset, encode(snapshot)])
        return bool(stored)
