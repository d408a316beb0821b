"""A connection to Redis that waits while the server is away, and says so once.

The one rule: a caller never sees an outage, only an answer; whether a write happened before the
connection broke is for the scripts to find out, so every one of them may be run again.
"""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,  # noqa: A004 - Redis's own
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,  # noqa: A004 - Redis's own
)

from stream.errors import CartwakeError

log = logging.getLogger(__name__)

AWAY = (
    BusyLoadingError,
    ClusterDownError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    TimeoutError,
)
# Answers of a server that will recover: a full disk, a running script, a failover. Before Redis 7
# the error of a script has the word further back, with a dash before it.
PASSING = re.compile(r"(^|: -)(MISCONF|BUSY|OOM|NOREPLICAS|MASTERDOWN|TRYAGAIN|UNBLOCKED) ")
FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 1.0
ANSWER_WITHIN_S = 5.0
SAID_ONCE_S = 10.0

AnswerT = TypeVar("AnswerT")


class Connection:
    """One client, and whether the server answers; ``address`` is fit to be shown to people."""

    def __init__(self, url: str) -> None:
        """Connect at the first question.

        Raises
        ------
        CartwakeError
            The URL is a cluster's.
        """
        if "+cluster://" in url:
            raise CartwakeError("redis.url: a Redis Cluster is not supported yet; name one server")
        # Any: redis-py types every answer for clients that decode it and for those that do not.
        self.client: Any = Redis.from_url(
            url,
            socket_timeout=ANSWER_WITHIN_S,
            socket_connect_timeout=ANSWER_WITHIN_S,
            retry=Retry(NoBackoff(), 0),
        )
        options = self.client.connection_pool.connection_kwargs
        self.address = options.get("path") or f"{options['host']}:{options.get('port', 6379)}"
        self.is_up = False
        self._said_at = float("-inf")
        self._owes_word = False  # that the server is back, to whom was told that it is away

    async def ask(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Return the call's answer, however long the server is away."""
        wait_s = FIRST_WAIT_S
        while True:
            try:
                answer = await call()
            except (*AWAY, ResponseError) as error:
                if not isinstance(error, AWAY) and not PASSING.search(str(error)):
                    raise
                self._is_away(error)
            else:
                self._is_back()
                return answer
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def script(self, name: str) -> "Script":
        """Return the atomic step of that name."""
        source = files("stream.edge.redis").joinpath("lua", f"{name}.lua").read_text()
        return Script(self, source)

    async def check(self) -> None:
        """Refuse a server that would evict states to make room.

        Raises
        ------
        CartwakeError
            ``maxmemory-policy`` is not ``noeviction``.
        """
        known = await self.ask(lambda: self.client.info("memory"))
        policy = known.get("maxmemory_policy", "noeviction")
        if policy != "noeviction":
            raise CartwakeError(
                f"Redis at {self.address} has maxmemory-policy {policy}: it would throw states"
                " away when memory runs short; set maxmemory-policy noeviction"
            )

    async def time_ms(self) -> int | None:
        """Return what time it is for the server; None where it does not tell: one try, no wait."""
        try:
            seconds, micros = await self.client.time()
        except (*AWAY, ResponseError):
            return None
        return int(seconds) * 1000 + int(micros) // 1000

    async def close(self) -> None:
        """Close the client."""
        await self.client.aclose()

    def _is_away(self, error: Exception) -> None:
        was_up, self.is_up = self.is_up, False
        now = time.monotonic()
        # The connections that an outage leaves behind fail one by one after it.
        if (was_up and now - self._said_at > SAID_ONCE_S) or self._said_at < 0:
            self._said_at, self._owes_word = now, True
            log.warning("Redis at %s does not serve (%s); waiting for it", self.address, error)

    def _is_back(self) -> None:
        if self._owes_word:
            log.warning("Redis at %s serves again", self.address)
        self._owes_word, self.is_up = False, True


class Script:
    """One atomic step: sent by its hash, and in full where the server does not know it."""

    def __init__(self, connection: Connection, source: str) -> None:
        self._connection = connection
        self._script = connection.client.register_script(source)

    async def __call__(self, keys: list[str], args: list[Any]) -> Any:  # noqa: ANN401 - Redis's
        """Run the script and return its answer as Redis gives it."""
        return await self._connection.ask(lambda: self._script(keys=keys, args=args))
