"""Writes what became of triggers to ``message-feedback``, each until Kafka has acknowledged it.

An outcome that is written twice has the same id.
"""

from stream.adapters.kafka.writer import AcknowledgedWriter, NotStored
from stream.adapters.wire.codec import encode_record
from stream.config.settings import KafkaSettings
from stream.domain.events import Event
from stream.domain.topics import MESSAGE_FEEDBACK
from stream.runtime.retry import retries


class OutcomeWriter:
    """Writes outcomes; ``is_up`` is whether Kafka acknowledged the last attempt."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._writer = AcknowledgedWriter(kafka)

    @property
    def is_up(self) -> bool:
        """Whether Kafka acknowledged the last attempt."""
        return self._writer.is_up

    async def start(self) -> None:
        """Connect, however long that takes."""
        await self._writer.start()

    async def stop(self) -> None:
        """Disconnect."""
        await self._writer.stop()

    async def write(self, outcome: Event) -> None:
        """Return once the outcome is stored, however long that takes."""
        record = (MESSAGE_FEEDBACK, encode_record(outcome), outcome.visitor.encode())
        async for attempt in retries(NotStored):
            with attempt:
                await self._writer.write([record])
