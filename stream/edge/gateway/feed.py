"""Reads triggers and their cancels from Kafka, all partitions, and tells the hub.

The one rule: every edge reads everything, in no group, from a minute ago on: what is older is of no
use to a page, and a page may come back to any edge.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from stream.adapters.kafka.connect import metadata, partition_counts
from stream.adapters.kafka.options import client_options
from stream.adapters.wire.outgoing import TRIGGER_CANCELS, TRIGGERS
from stream.config.settings import Settings
from stream.domain.records import Trigger, TriggerCancel
from stream.edge.gateway.hub import Action, Hub
from stream.edge.visitors import VerifiedVisitor
from stream.errors import CartwakeError

log = logging.getLogger(__name__)

LOOK_BACK_MS: Final = 60_000
TRY_AGAIN_S: Final = 1.0
# What an idle broker is asked again after; a broker that has something answers at once.
WAIT_MS: Final = 50

_TRIGGERS: Final = msgspec.json.Decoder(Trigger)
_CANCELS: Final = msgspec.json.Decoder(TriggerCancel)


class Feed:
    """What Kafka tells the hub."""

    def __init__(self, settings: Settings, hub: Hub, now_ms: Callable[[], int]) -> None:
        self._settings, self._hub, self._now_ms = settings, hub, now_ms
        self._offers = {(offer.tenant, str(offer.kind)): offer for offer in settings.edge.offers}

    async def run(self) -> None:
        """Read until cancelled; where Kafka is away, wait for it."""
        while True:
            with suppress(KafkaError, OSError, CartwakeError):
                await self._read()
            await asyncio.sleep(TRY_AGAIN_S)

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings.kafka),
            fetch_max_wait_ms=WAIT_MS,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        try:
            await consumer.start()
            await self._seek(consumer)
            while True:
                read = await consumer.getmany(timeout_ms=1_000)
                for record in (one for records in read.values() for one in records):
                    self.take(record)
        finally:
            await consumer.stop()

    async def _seek(self, consumer: Any) -> None:  # noqa: ANN401 - shipped without types
        """Take all partitions of both topics, a minute back."""
        counts = partition_counts(await metadata(self._settings))
        partitions = [
            TopicPartition(topic, number)
            for topic in (TRIGGERS, TRIGGER_CANCELS)
            for number in range(counts.get(topic, 0))
        ]
        if not partitions:
            raise CartwakeError(f"no topic {TRIGGERS}: make it with 'cartwake topics create'")
        consumer.assign(partitions)
        since_ms = self._now_ms() - LOOK_BACK_MS
        found = await consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        for partition, at in found.items():
            if at is None:
                await consumer.seek_to_end(partition)
            else:
                consumer.seek(partition, at.offset)

    def take(self, record: ConsumerRecord) -> None:
        """Tell the hub of one record; one that cannot be read concerns nobody here."""
        with suppress(msgspec.DecodeError):
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
