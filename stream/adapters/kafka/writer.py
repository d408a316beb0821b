"""Writes records to Kafka, each stored once all in-sync replicas have it.

Not idempotent: such a producer of aiokafka cannot go on after a record has timed out, and a record
that is written twice has the same id twice.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.adapters.kafka.options import client_options, quiet_clients
from stream.config.settings import KafkaSettings
from stream.runtime.retry import retries

log = logging.getLogger(__name__)

ACKNOWLEDGE_WITHIN_S: Final = 5.0

# Topic, value and key.
Written = tuple[str, bytes, bytes]


class NotStored(Exception):  # noqa: N818 - Kafka's condition
    """Some records are not known to be stored: they may be or not."""


class AcknowledgedWriter:
    """One producer; ``is_up`` is whether Kafka acknowledged the last attempt.

    Parameters
    ----------
    note
        Hears whether Kafka acknowledges, each time that changes.
    """

    def __init__(self, kafka: KafkaSettings, note: Callable[[bool], None] = lambda _: None) -> None:
        quiet_clients()
        self._producer = AIOKafkaProducer(
            **client_options(kafka),
            acks="all",
            request_timeout_ms=int(ACKNOWLEDGE_WITHIN_S * 1000),
            linger_ms=0,
        )
        self._address, self._note = kafka.bootstrap, note
        self.is_up = False
        self._logged: bool | None = None

    async def start(self) -> None:
        """Connect, however long that takes."""
        async for attempt in retries(KafkaError, OSError, failed=lambda _: self._is(up=False)):
            with attempt:
                await self._producer.start()
        self._is(up=True)

    async def stop(self) -> None:
        """Send what waits, within a bound, and disconnect."""
        with suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
                await self._producer.stop()

    async def write(self, *batches: Iterable[Written]) -> None:
        """Return once all records are stored, each batch before the next one is sent.

        Raises
        ------
        NotStored
            Some are not known to be stored.
        """
        send: Callable[..., Awaitable[Any]] = self._producer.send
        try:
            async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
                for batch in batches:
                    await asyncio.gather(*[await send(*record) for record in batch])
        except (KafkaError, TimeoutError) as error:
            self._is(up=False)
            raise NotStored(type(error).__name__) from None
        self._is(up=True)

    async def look(self) -> None:
        """Ask Kafka for metadata, and note that it is up if it answers."""
        with suppress(KafkaError, TimeoutError, OSError):
            async with asyncio.timeout(ACKNOWLEDGE_WITHIN_S):
                await self._producer.client.fetch_all_metadata()
                self._is(up=True)

    def _is(self, *, up: bool) -> None:
        if up != self._logged:
            if up:
                log.info("Kafka at %s acknowledges", self._address)
            else:
                log.warning("Kafka at %s does not acknowledge; trying again", self._address)
            self._note(up)
        self.is_up = self._logged = up
