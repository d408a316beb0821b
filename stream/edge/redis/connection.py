"""A connection to Redis that waits while the server is away, and says so once.

The one rule: a caller never sees an outage, only an answer; whether a write happened before the
connection broke is for the scripts to find out, so every one of them may be run again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from stream.edge.redis.client import made
from stream.edge.redis.trouble import is_passing, refusal
from stream.errors import CartwakeError
from stream.settings import Redis

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
SAID_ONCE_S = 10.0

AnswerT = TypeVar("AnswerT")


class Connection:
    """One client of a server or a cluster; ``address`` is fit to be shown to people."""

    def __init__(self, url: str, *, password: str = "", ssl_cafile: str = "") -> None:
        """Connect at the first question.

        Raises
        ------
        UsageError
            The certificate authority's file is not PEM.
        """
        # Any: redis-py types every answer for clients that decode it and for those that do not.
        self.client: Any
        self.client, self.address = made(url, password, ssl_cafile)
        self.is_up = False
        self._was_let_in = False
        self._failing: set[object] = set()  # one for each call that is tried again
        self._said_at = float("-inf")
        self._owes_word = False  # that the server is back, to whom was told that it is away

    async def ask(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the call's answer, however long the server is away.

        Raises
        ------
        CartwakeError
            The first thing to be heard is a refusal: the settings are wrong. A later one is waited
            for, since somebody is changing passwords or rights, and will be done with it.
        """
        wait_s, mark = FIRST_WAIT_S, object()
        try:
            while True:
                try:
                    answer = await call()
                except (RedisError, RedisClusterException) as error:
                    self._is_away(error)
                    self._failing.add(mark)
                else:
                    self._is_back(mark)
                    return answer
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        finally:
            self._failing.discard(mark)

    def script(self, name: str) -> "Script":
        """Return the atomic step of that name."""
        source = files("stream.edge.redis").joinpath("lua", f"{name}.lua").read_text()
        return Script(self, source)

    async def check(self) -> None:
        """Refuse servers that would evict states to make room, every primary of a cluster.

        Raises
        ------
        CartwakeError
            ``maxmemory-policy`` is not ``noeviction``, or one server is a cluster's node.
        """
        for address, known in (await self._told()).items():
            policy = known.get("maxmemory_policy", "noeviction")
            if policy != "noeviction":
                raise CartwakeError(
                    f"Redis at {address} has maxmemory-policy {policy}: it would throw states"
                    " away when memory runs short; set maxmemory-policy noeviction"
                )
            if known.get("cluster_enabled") and not isinstance(self.client, RedisCluster):
                raise CartwakeError(
                    f"Redis at {address} is a node of a cluster: redis.url needs redis+cluster://"
                    " or rediss+cluster://"
                )

    async def _told(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each server says of itself."""
        if not isinstance(self.client, RedisCluster):
            return {self.address: await self.ask(self.client.info)}
        primaries = RedisCluster.PRIMARIES
        told = await self.ask(lambda: self.client.info(target_nodes=primaries))
        # Where there is one node alone, redis-py gives its answer without its name.
        return {self.address: told} if "redis_version" in told else told

    async def close(self) -> None:
        """Close the client."""
        await self.client.aclose()

    def _is_away(self, error: Exception) -> None:
        refused = refusal(error)
        if refused and not self._was_let_in:
            raise CartwakeError(f"Redis at {self.address} {refused}") from error
        if not refused and not is_passing(error):
            raise error
        was_up, self.is_up = self.is_up, False
        now = time.monotonic()
        # The connections that an outage leaves behind fail one by one after it.
        if (was_up and now - self._said_at > SAID_ONCE_S) or self._said_at < 0:
            self._said_at, self._owes_word = now, True
            log.warning("Redis at %s does not serve (%s); waiting for it", self.address, error)

    def _is_back(self, mark: object) -> None:
        self._was_let_in = True
        self._failing.discard(mark)
        if self._failing:  # a cluster may serve some shards and others not
            return
        if self._owes_word:
            log.warning("Redis at %s serves again", self.address)
        self._owes_word, self.is_up = False, True


def connected(redis: Redis) -> Connection:
    """Return the connection that these settings name."""
    return Connection(redis.url, password=redis.password, ssl_cafile=redis.ssl_cafile)


class Script:
    """One atomic step: sent by its hash, and in full where the server does not know it."""

    def __init__(self, connection: Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._hash = sha1(source.encode(), usedforsecurity=False).hexdigest()

    async def __call__(self, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - Redis's
        """Run the script and return its answer as Redis gives it."""
        return await self._connection.ask(lambda: self._run(len(keys), *keys, *args))

    async def _run(self, *args: Any) -> Any:  # noqa: ANN401 - Redis's
        client = self._connection.client
        try:
            return await client.evalsha(self._hash, *args)
        except NoScriptError:
            # Where the keys are. SCRIPT LOAD would want all nodes of a cluster, and one more right.
            return await client.eval(self._source, *args)
