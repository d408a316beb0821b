"""Reads triggers and their cancels from Kafka and gives them to the hub.

Every edge reads all partitions, in no group, from a minute ago on: what is older is of no use to a
page, and a page may come back to any edge.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiokafka import ConsumerRecord
from aiokafka.errors import KafkaError

from stream.adapters.kafka.reader import all_partitions, reading, records_from, seek_to_time
from stream.config.settings import Settings
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.topics import TRIGGER_CANCELS, TRIGGERS
from stream.edge.gateway.hub import Action, Hub
from stream.edge.visitors import VerifiedVisitor
from stream.errors import CartwakeError
from stream.runtime.bulkhead import Bulkhead
from stream.runtime.failpoint import raising
from stream.runtime.retry import retries

LOOK_BACK_MS: Final = 60_000
# An idle broker is asked again after this; a broker that has records answers at once.
WAIT_MS: Final = 50
UNIT: Final = "record"
# What a value that is not one of the contract's raises: not UTF-8, not JSON, nested without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_TRIGGERS: Final = msgspec.json.Decoder(Trigger)
_CANCELS: Final = msgspec.json.Decoder(TriggerCancel)


class Feed:
    """Gives the hub what Kafka holds; ``bulkhead`` guards each record."""

    def __init__(
        self, settings: Settings, hub: Hub, now_ms: Callable[[], int], bulkhead: Bulkhead
    ) -> None:
        self._settings, self._hub, self._now_ms = settings, hub, now_ms
        self._bulkhead = bulkhead
        self._offers = {(offer.tenant, str(offer.kind)): offer for offer in settings.edge.offers}

    async def run(self) -> None:
        """Read until cancelled; wait for Kafka while it is unavailable."""
        async for attempt in retries(KafkaError, OSError, CartwakeError):
            with attempt:
                await self._read()

    async def _read(self) -> None:
        partitions = await all_partitions(self._settings, (TRIGGERS, TRIGGER_CANCELS))
        async with reading(self._settings.kafka, partitions, WAIT_MS) as consumer:
            await seek_to_time(consumer, partitions, self._now_ms() - LOOK_BACK_MS)
            async for record in records_from(consumer):
                self.take(record)

    def take(self, record: ConsumerRecord) -> None:
        """Give one record to the hub; one that cannot be read, or has a defect, is skipped."""
        with self._bulkhead.guard(UNIT), suppress(*UNREADABLE):
            raising(UNIT, record.topic)
            if record.topic == TRIGGERS:
                trigger = _TRIGGERS.decode(record.value or b"")
                if trigger.class_ == "onsite":
                    self._hub.publish(self._action(trigger))
            else:
                cancel = _CANCELS.decode(record.value or b"")
                whose = VerifiedVisitor(cancel.tenant, cancel.visitor)
                self._hub.cancel(whose, cancel.trigger_id)

    def _action(self, trigger: Trigger) -> Action:
        content: dict[str, Any] = msgspec.to_builtins(trigger)
        del content["evidence"]
        offer = self._offers.get((trigger.tenant, trigger.kind))
        if offer is not None:
            content["offer"] = {
                "title": offer.title,
                "text": offer.text,
                "button": offer.button,
                "url": offer.url,
            }
        whose = VerifiedVisitor(trigger.tenant, trigger.visitor)
        return Action(trigger.trigger_id, whose, trigger.expires_at_ms, content)
