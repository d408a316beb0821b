"""A connection to Redis that waits while the server is unavailable, and logs it once.

A caller never sees an outage, only an answer. A write may have happened before the connection
broke, so every script must allow a second run.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha1
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from stream.adapters.redis.auto_pipeline import AutoPipeline
from stream.adapters.redis.client import ANSWER_WITHIN_S, made
from stream.adapters.redis.server_rules import evicts, foreign
from stream.adapters.redis.trouble import is_passing, refusal
from stream.adapters.refusal import Refusal, Refused
from stream.config.settings import RedisSettings
from stream.errors import CartwakeError

log = logging.getLogger(__name__)

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
SAID_ONCE_S = 10.0

AnswerT = TypeVar("AnswerT")


class Memory(NamedTuple):
    """A server's memory, bytes; a limit of 0 is none."""

    used: int
    limit: int


class Connection:
    """One client of a server or a cluster; ``address`` is safe to show in messages."""

    def __init__(
        self,
        url: str,
        *,
        password: str = "",
        ssl_cafile: str = "",
        trial: bool = False,
        once: bool = False,
    ) -> None:
        """Connect at the first command.

        A ``trial`` raises if the server refuses it; with ``once`` it also raises if the server is
        unavailable.

        Raises
        ------
        UsageError
            The certificate authority's file is not PEM.
        """
        # Any: redis-py types every answer for clients that decode and for clients that do not.
        self.client: Any
        self.client, self.address = made(url, password, ssl_cafile)
        self.is_cluster = isinstance(self.client, RedisCluster)
        # An unavailable node of a cluster must not delay commands to the other nodes.
        self.send = (
            self.client.execute_command
            if self.is_cluster
            else AutoPipeline(self.client, ANSWER_WITHIN_S)
        )
        self.is_up = False
        self._trial, self._once = trial, once
        self._failing: set[object] = set()  # one for each call that is being retried
        self._said_at = float("-inf")
        self._refused: Refusal | None = None  # the refusal that was logged last
        self._is_outage_logged = False  # then the end of the outage is logged, too

    async def ask(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the call's answer, however long the server is unavailable.

        Raises
        ------
        CartwakeError
            This is a trial, and the server refuses it: the settings are wrong. Or this asks
            once, and the server is unavailable. At work the call also waits after a refusal: an
            operator is changing passwords or rights, and a script that was refused halfway must
            run again to its end.
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

    async def run(self, *command: Any) -> Any:  # noqa: ANN401 - Redis's
        """Return a command's answer, however long the server is unavailable."""
        return await self.ask(lambda: self.send(*command))

    def script(self, name: str) -> "Script":
        """Return the script of that name: one atomic step."""
        source = files("stream.adapters.redis").joinpath("lua", f"{name}.lua").read_text()
        return Script(self, source)

    async def check(self) -> None:
        """Refuse a server that would evict states; in a cluster check every primary.

        Raises
        ------
        CartwakeError
            ``maxmemory-policy`` is not ``noeviction``, or the single server is a cluster's node.
        """
        for address, info in (await self.told()).items():
            for found, do in (*evicts(info), *foreign(info, is_cluster=self.is_cluster)):
                raise CartwakeError(f"Redis at {address} {found}; {do}")

    async def told(self) -> Mapping[str, Mapping[str, Any]]:
        """Return each server's ``INFO``: of one server, or of every primary of a cluster."""
        if not self.is_cluster:
            return {self.address: await self.ask(self.client.info)}
        primaries = RedisCluster.PRIMARIES
        told = await self.ask(lambda: self.client.info(target_nodes=primaries))
        # If there is only one node, redis-py returns its answer without its name.
        return {self.address: told} if "redis_version" in told else told

    async def time_ms(self) -> int | None:
        """Return the server's time, ms UTC; None if it does not answer the only attempt."""
        # In a cluster any node will do.
        one = {"target_nodes": RedisCluster.RANDOM} if self.is_cluster else {}
        try:
            seconds, micros = await self.client.time(**one)
        except (RedisError, RedisClusterException):
            return None
        return int(seconds) * 1000 + int(micros) // 1000

    async def memory(self) -> Mapping[str, Memory]:
        """Return each primary's memory; nothing if one does not answer the only attempt."""
        all_of_it = {"target_nodes": RedisCluster.PRIMARIES} if self.is_cluster else {}
        try:
            told = await self.client.info("memory", **all_of_it)
        except (RedisError, RedisClusterException):
            return {}
        servers = {self.address: told} if "used_memory" in told else told
        return {
            address: Memory(int(info["used_memory"]), int(info.get("maxmemory", 0)))
            for address, info in servers.items()
        }

    async def close(self) -> None:
        """Close the client."""
        await self.client.aclose()

    def _is_away(self, error: Exception) -> None:
        refused = refusal(error)
        if refused and (self._trial or self._once):
            raise Refused(f"Redis at {self.address}", refused) from error
        if not is_passing(error):
            raise error
        if self._once:
            raise CartwakeError(f"Redis at {self.address} does not serve ({error})") from error
        was_up, self.is_up = self.is_up, False
        now = time.monotonic()
        # An operator has to resolve a refusal, so it is logged during an outage, too.
        is_news = refused is not None and refused != self._refused
        # Old connections fail one by one after an outage.
        is_new = was_up and now - self._said_at > SAID_ONCE_S
        if is_news or is_new or self._said_at < 0:
            self._said_at, self._is_outage_logged, self._refused = now, True, refused
            why = refused.words if refused else f"does not serve ({error})"
            log.warning("Redis at %s %s; waiting for it", self.address, why)

    def _is_back(self, mark: object) -> None:
        self._failing.discard(mark)
        if self._failing:  # a cluster may serve some shards and others not
            return
        if self._is_outage_logged:
            log.info("Redis at %s serves again", self.address)
        self._is_outage_logged, self._refused, self.is_up = False, None, True


def connected(redis: RedisSettings, *, trial: bool = False, once: bool = False) -> Connection:
    """Return a connection with these settings."""
    login = {"password": redis.password, "ssl_cafile": redis.ssl_cafile}
    return Connection(redis.url, **login, trial=trial, once=once)


class Script:
    """One atomic step, sent by its hash once a server has run it.

    It is sent in full before that, and to a server that does not know the hash. After a refused
    hash all arguments are sent a second time.
    """

    def __init__(self, connection: Connection, source: str) -> None:
        self._connection = connection
        self._source = source
        self._hash = sha1(source.encode(), usedforsecurity=False).hexdigest()
        self._is_known = False

    async def __call__(self, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - Redis's
        """Run the script and return its answer as Redis gives it."""
        return await self._connection.ask(lambda: self._run(len(keys), *keys, *args))

    async def _run(self, *args: Any) -> Any:  # noqa: ANN401 - Redis's
        send = self._connection.send
        if self._is_known:
            with suppress(NoScriptError):
                return await send("EVALSHA", self._hash, *args)
        # To the node that has the keys. SCRIPT LOAD would need all nodes, and one more right.
        answer = await send("EVAL", self._source, *args)
        self._is_known = True
        return answer
