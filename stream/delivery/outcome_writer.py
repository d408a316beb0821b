"""Tells Kafka what became of triggers.

The one rule: an outcome is told until Kafka has acknowledged it; told twice it has the same id.
"""

import asyncio
import logging
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.adapters.kafka.options import client_options
from stream.adapters.wire.codec import encode_record
from stream.config.settings import KafkaSettings
from stream.domain.events import Event
from stream.domain.feedback import MESSAGE_FEEDBACK

log = logging.getLogger(__name__)

ACK_WITHIN_S: Final = 5.0
TRY_AGAIN_S: Final = 1.0


class OutcomeWriter:
    """Writes to ``message-feedback``; ``is_heard`` says whether Kafka took the last attempt."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._producer = AIOKafkaProducer(
            **client_options(kafka),
            acks="all",
            request_timeout_ms=int(ACK_WITHIN_S * 1000),
            linger_ms=0,
        )
        self.is_heard = True

    async def start(self) -> None:
        """Connect, however long that takes."""
        while True:
            try:
                await self._producer.start()
            except KafkaError:
                self.is_heard = False
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                self.is_heard = True
                return

    async def stop(self) -> None:
        """Hang up."""
        await self._producer.stop()

    async def tell(self, outcome: Event) -> None:
        """Return once the outcome is stored, however long that takes."""
        value, key = encode_record(outcome), outcome.visitor.encode()
        while True:
            try:
                async with asyncio.timeout(ACK_WITHIN_S):
                    await self._producer.send_and_wait(MESSAGE_FEEDBACK, value, key)
            except (KafkaError, TimeoutError) as error:
                self.is_heard = False
                log.warning("an outcome is not stored yet: %s", type(error).__name__)
                await asyncio.sleep(TRY_AGAIN_S)
            else:
                self.is_heard = True
                return
