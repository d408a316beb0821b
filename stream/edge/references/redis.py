"""References in Redis, because several edges serve one shop.

Two sorted sets by time: the visitors of a name, and the names of a visitor. Names are kept as
digests with their kind before them.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from redis.exceptions import RedisClusterException, RedisError

from stream.adapters.redis.connection import Connection
from stream.domain.ids import make_id
from stream.edge.references import (
    CUSTOMER,
    LONGEST_S,
    MOST_NAMES,
    MOST_VISITORS,
    NAME_S,
    REDACTED,
    Found,
    ReferencesUnavailable,
)
from stream.mappers.mapped import ERASED

# Among a visitor's names: this visitor has refused. No name is without a slash.
REFUSED: Final = "refused"

Command = tuple[str | int, ...]


class RedisReferences:
    """Implements ``References``. All keys begin with ``prefix`` and expire."""

    def __init__(self, connection: Connection, prefix: str, now_ms: Callable[[], int]) -> None:
        self._client, self._prefix, self._now_ms = connection.client, prefix, now_ms

    async def find(self, tenant: str, names: Iterable[str]) -> Found:
        """Implements ``References.find``."""
        asked = list(dict.fromkeys(names))
        keys = [self._key(_digest(tenant, name)) for name in asked]
        answers = await self._run([("ZREVRANGE", key, 0, -1) for key in keys])
        found = zip(asked, map(_texts, answers), strict=True)
        return {name: tuple(visitors) for name, visitors in found if visitors}

    async def learn(self, tenant: str, visitor: str, names: Sequence[str]) -> None:
        """Implements ``References.learn``."""
        own = self._own(tenant, visitor)
        (refused,) = await self._run([("ZSCORE", own, REFUSED)])
        kept = [name for name in names if refused is None or name.startswith(CUSTOMER)]
        if not kept:
            return
        commands: list[Command] = []
        for name in kept:
            digest, now_ms = _digest(tenant, name), self._now_ms()
            key, expires_s = self._key(digest), NAME_S.get(name.partition("/")[0], LONGEST_S)
            commands += [
                ("ZADD", key, now_ms, visitor),
                ("ZREM", key, ERASED),
                ("ZREMRANGEBYRANK", key, 0, -1 - MOST_VISITORS),
                ("EXPIRE", key, expires_s),
                ("ZADD", own, now_ms, digest),
            ]
        commands += [("EXPIRE", own, LONGEST_S), ("ZRANGE", own, 0, -1 - MOST_NAMES)]
        *_, oldest = await self._run(commands)
        await self._forget(own, visitor, [one for one in _texts(oldest) if one != REFUSED])

    async def grant(self, tenant: str, visitor: str) -> None:
        """Implements ``References.grant``."""
        await self._run([("ZREM", self._own(tenant, visitor), REFUSED)])

    async def refuse(self, tenant: str, visitor: str) -> None:
        """Implements ``References.refuse``."""
        own = self._own(tenant, visitor)
        # The mark first: what is learnt meanwhile must not stay.
        await self._run([("ZADD", own, self._now_ms(), REFUSED), ("EXPIRE", own, LONGEST_S)])
        names = await self._names(own)
        await self._forget(own, visitor, [one for one in names if not one.startswith(CUSTOMER)])

    async def erase(self, tenant: str, visitor: str) -> None:
        """Implements ``References.erase``."""
        own = self._own(tenant, visitor)
        names = await self._names(own)
        keys = [self._key(one) for one in names if one.startswith(REDACTED)]
        await self._run([("ZADD", key, self._now_ms(), ERASED) for key in keys])
        await self._forget(own, visitor, names)
        await self._run([("DEL", own)])

    async def _names(self, own: str) -> list[str]:
        (members,) = await self._run([("ZRANGE", own, 0, -1)])
        return [name for name in _texts(members) if name != REFUSED]

    async def _forget(self, own: str, visitor: str, names: Sequence[str]) -> None:
        """Forget names, the list of them last: what stops halfway is done again."""
        if names:
            await self._run([("ZREM", self._key(name), visitor) for name in names])
            await self._run([("ZREM", own, *names)])

    async def _run(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands in one round trip."""
        pipeline = self._client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)  # queued
        try:
            answers: list[Any] = await pipeline.execute()
        except (RedisError, RedisClusterException, OSError):
            raise ReferencesUnavailable from None
        return answers

    def _key(self, digest: str) -> str:
        return f"{self._prefix}:name:{digest}"

    def _own(self, tenant: str, visitor: str) -> str:
        return f"{self._prefix}:visitor:{make_id(tenant, visitor)}"


def _digest(tenant: str, name: str) -> str:
    return f"{name.partition('/')[0]}/{make_id(tenant, name)}"


def _texts(members: Sequence[bytes]) -> list[str]:
    return [member.decode() for member in members]
