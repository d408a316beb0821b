"""Kafka as the collector uses it: a log that acknowledges records, or is unavailable.

While Kafka is known to be unavailable requests are refused at once. Records without an
acknowledgement may be stored or not; senders send them again, with the same ids.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from stream.adapters.kafka.writer import AcknowledgedWriter, NotStored
from stream.config.settings import KafkaSettings
from stream.domain.topics import CONSENT_EVENTS
from stream.edge.collector.prepare import PreparedRecord

LOOK_EVERY_S: Final = 1.0
# At most so many records wait for Kafka: memory is finite, and beyond that it does not keep up.
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
    """Implements ``EventLog`` over a writer; ``note`` hears each time that ``is_up`` changes."""

    def __init__(self, kafka: KafkaSettings, note: Callable[[bool], None]) -> None:
        self._writer = AcknowledgedWriter(kafka, note)
        self._waiting = 0

    @property
    def is_up(self) -> bool:
        """Whether Kafka acknowledges, as far as is known."""
        return self._writer.is_up

    async def run(self) -> None:
        """Connect, however long that takes, and keep looking whether Kafka is available."""
        await self._writer.start()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.is_up:
                await self._writer.look()

    async def stop(self) -> None:
        """Send what waits, within a bound, and disconnect."""
        await self._writer.stop()

    async def append(self, records: Sequence[PreparedRecord]) -> None:
        """Implements ``EventLog.append``."""
        if not self.is_up or self._waiting + len(records) > MOST_WAITING:
            raise LogUnavailable
        self._waiting += len(records)
        consent = [
            (one.topic, one.value, one.key) for one in records if one.topic == CONSENT_EVENTS
        ]
        others = [(one.topic, one.value, one.key) for one in records if one.topic != CONSENT_EVENTS]
        try:
            await self._writer.write(consent, others)
        except NotStored:
            raise LogUnavailable from None
        finally:
            self._waiting -= len(records)
