"""A connection to Redis that waits while the server is unavailable, and logs it once.

A caller never sees an outage, only an answer. A write may have happened before the connection
broke, so every script may be run again.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from hashlib import sha1
from importlib.resources import files
from typing import Any, TypeVar

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


class Connection:
    """One client of a server or a cluster; ``address`` is fit to be shown to people."""

    def __init__(
        self,
        url: str,
        *,
        password: str = "",
        ssl_cafile: str = "",
        trial: bool = False,
        once: bool = False,
    ) -> None:
        """Connect at the first question.

        A ``trial`` waits for no refusal to be taken back; what is asked ``once`` waits for nothing.

        Raises
        ------
        UsageError
            The certificate authority's file is not PEM.
        """
        # Any: redis-py types every answer for clients that decode it and for those that do not.
        self.client: Any
        self.client, self.address = made(url, password, ssl_cafile)
        self.is_cluster = isinstance(self.client, RedisCluster)
        # One node of a cluster that is away must not hold up what the others are asked.
        self.send = (
            self.client.execute_command
            if self.is_cluster
            else AutoPipeline(self.client, ANSWER_WITHIN_S)
        )
        self.is_up = False
        self._trial, self._once = trial, once
        self._failing: set[object] = set()  # one for each call that is tried again
        self._said_at = float("-inf")
        self._refused: Refusal | None = None  # and how that was told
        self._owes_word = False  # that the server is back, to whom was told that it is away

    async def ask(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the call's answer, however long the server is away.

        Raises
        ------
        CartwakeError
            This is a trial, and the server refuses it: the settings are wrong. Or it is asked
            once, and does not serve. At work a refusal is waited for as well: somebody is changing
            passwords or rights and will be done with it, and a script that was refused halfway must
            be run again to its end.
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
        """Return a command's answer, however long the server is away."""
        return await self.ask(lambda: self.send(*command))

    def script(self, name: str) -> "Script":
        """Return the atomic step of that name."""
        source = files("stream.adapters.redis").joinpath("lua", f"{name}.lua").read_text()
        return Script(self, source)

    async def check(self) -> None:
        """Refuse servers that would evict states to make room, every primary of a cluster.

        Raises
        ------
        CartwakeError
            ``maxmemory-policy`` is not ``noeviction``, or one server is a cluster's node.
        """
        for address, info in (await self.told()).items():
            for found, do in (*evicts(info), *foreign(info, is_cluster=self.is_cluster)):
                raise CartwakeError(f"Redis at {address} {found}; {do}")

    async def told(self) -> Mapping[str, Mapping[str, Any]]:
        """Return what each server says of itself, every primary of a cluster."""
        if not self.is_cluster:
            return {self.address: await self.ask(self.client.info)}
        primaries = RedisCluster.PRIMARIES
        told = await self.ask(lambda: self.client.info(target_nodes=primaries))
        # Where there is one node alone, redis-py gives its answer without its name.
        return {self.address: told} if "redis_version" in told else told

    async def time_ms(self) -> int | None:
        """Return what time it is for the server; None where it does not tell: one try, no wait."""
        # Of a cluster any node will do.
        one = {"target_nodes": RedisCluster.RANDOM} if self.is_cluster else {}
        try:
            seconds, micros = await self.client.time(**one)
        except (RedisError, RedisClusterException):
            return None
        return int(seconds) * 1000 + int(micros) // 1000

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
        # What only somebody can mend is worth a word in the middle of an outage, too.
        is_news = refused is not None and refused != self._refused
        # The connections that an outage leaves behind fail one by one after it.
        is_new = was_up and now - self._said_at > SAID_ONCE_S
        if is_news or is_new or self._said_at < 0:
            self._said_at, self._owes_word, self._refused = now, True, refused
            why = refused.words if refused else f"does not serve ({error})"
            log.warning("Redis at %s %s; waiting for it", self.address, why)

    def _is_back(self, mark: object) -> None:
        self._failing.discard(mark)
        if self._failing:  # a cluster may serve some shards and others not
            return
        if self._owes_word:
            log.warning("Redis at %s serves again", self.address)
        self._owes_word, self._refused, self.is_up = False, None, True


def connected(redis: RedisSettings, *, trial: bool = False, once: bool = False) -> Connection:
    """Return the connection that these settings name."""
    login = {"password": redis.password, "ssl_cafile": redis.ssl_cafile}
    return Connection(redis.url, **login, trial=trial, once=once)


class Script:
    """One atomic step: sent in full until a server has run it, and where one does not know it.

    Else by its hash. A refused hash costs all that was sent with it.
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
        # Where the keys are. SCRIPT LOAD would want all nodes of a cluster, and one more right.
        answer = await send("EVAL", self._source, *args)
        self._is_known = True
        return answer
