"""Kafka as the collector sees it: a log that acknowledges, or is away.

The one rule: nobody waits for a Kafka that is known to be away. Records without an answer may be
stored or not; whoever sent them sends them again, with the same ids.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.adapters.kafka.options import client_options, quiet_clients
from stream.config.settings import KafkaSettings
from stream.edge.collector.prepare import CONSENT, PreparedRecord

log = logging.getLogger(__name__)

ACK_WITHIN_S: Final = 5.0
LOOK_EVERY_S: Final = 1.0
# What waits for Kafka at most: beyond that it is as good as away, and memory is finite.
MOST_WAITING: Final = 20_000


class LogUnavailable(Exception):  # noqa: N818 - the log's condition
    """Kafka does not acknowledge."""


class EventLog(Protocol):
    """Where records go."""

    @property
    def is_up(self) -> bool:
        """Whether it acknowledges, as far as is known."""
        ...

    async def append(self, records: Sequence[PreparedRecord]) -> None:
        """Return once all records are stored, those of consent before any other is sent.

        Raises
        ------
        LogUnavailable
            Some are not known to be stored.
        """
        ...


class KafkaEventLog:
    """Implements ``EventLog`` over a producer."""

    def __init__(self, kafka: KafkaSettings, tell: Callable[[bool], None]) -> None:
        """``tell`` hears whether Kafka acknowledges, each time that changes."""
        # Not idempotent: such a producer of aiokafka cannot go on after a record has timed out, and
        # a record that is written twice has the same id twice.
        self._producer = AIOKafkaProducer(
            **client_options(kafka),
            acks="all",
            request_timeout_ms=int(ACK_WITHIN_S * 1000),
            linger_ms=0,
        )
        self._where = kafka.bootstrap
        self._tell = tell
        self._waiting = 0
        self.is_up = False
        # None: nobody has been told anything; whoever starts without Kafka has to say so.
        self._told: bool | None = None

    async def run(self) -> None:
        """Connect, however long that takes, and keep looking whether Kafka is there."""
        quiet_clients()
        while True:
            try:
                await self._producer.start()
            except KafkaError:
                self._note(is_up=False)
                await asyncio.sleep(LOOK_EVERY_S)
            else:
                break
        self._note(is_up=True)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.is_up:
                await self._look()

    async def stop(self) -> None:
        """Send what waits, with a bound, and hang up."""
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(ACK_WITHIN_S):
                await self._producer.stop()

    async def append(self, records: Sequence[PreparedRecord]) -> None:
        """Implements ``EventLog.append``."""
        if not self.is_up or self._waiting + len(records) > MOST_WAITING:
            raise LogUnavailable
        self._waiting += len(records)
        try:
            async with asyncio.timeout(ACK_WITHIN_S):
                await self._send([one for one in records if one.topic == CONSENT])
                await self._send([one for one in records if one.topic != CONSENT])
        except (KafkaError, TimeoutError):
            self._note(is_up=False)
            raise LogUnavailable from None
        finally:
            self._waiting -= len(records)

    async def _send(self, records: Sequence[PreparedRecord]) -> None:
        send: Callable[..., Awaitable[Any]] = self._producer.send
        await asyncio.gather(*[await send(one.topic, one.value, one.key) for one in records])

    async def _look(self) -> None:
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(ACK_WITHIN_S):
                await self._producer.client.fetch_all_metadata()
                self._note(is_up=True)

    def _note(self, *, is_up: bool) -> None:
        if is_up != self._told:
            says = "acknowledges" if is_up else "does not acknowledge; answering 503 until it does"
            log.warning("Kafka at %s %s", self._where, says)
            self._tell(is_up)
        self.is_up = self._told = is_up
