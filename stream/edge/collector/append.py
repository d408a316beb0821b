"""Kafka as the collector uses it: a log that acknowledges records, or is unavailable.

While Kafka is known to be unavailable requests are refused at once. Records without an
acknowledgement may be stored or not; senders send them again, with the same ids.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from stream.adapters.kafka.writer import AcknowledgedWriter, NotStored, Written
from stream.config.settings import KafkaSettings
from stream.domain.topics import CONSENT_EVENTS
from stream.edge.collector.prepare import PreparedRecord
from stream.edge.limits import cost_of

LOOK_EVERY_S: Final = 1.0
# At most so much consent waits for Kafka, and so much else, counted as limits count it: memory is
# finite, and beyond that Kafka does not keep up.
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

        Those of consent are stored even if there is no room for the others.

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
        self._waiting = {"consent": 0, "others": 0}

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
        if not self.is_up:
            raise LogUnavailable
        rooms: dict[str, list[PreparedRecord]] = {"consent": [], "others": []}
        for one in records:
            rooms["consent" if one.topic == CONSENT_EVENTS else "others"].append(one)
        costs = {name: sum(map(cost_of, part)) for name, part in rooms.items()}
        taken = [name for name in rooms if self._waiting[name] + costs[name] <= MOST_WAITING]
        for name in taken:
            self._waiting[name] += costs[name]
        try:
            await self._writer.write(*(map(_written, rooms[name]) for name in taken))
        except NotStored:
            raise LogUnavailable from None
        finally:
            for name in taken:
                self._waiting[name] -= costs[name]
        if len(taken) < len(rooms):
            raise LogUnavailable


def _written(record: PreparedRecord) -> Written:
    return record.topic, record.value, record.key
