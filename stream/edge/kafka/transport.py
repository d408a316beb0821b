"""The seams of Faust through which it hands an agent one merged batch of one shard at a time.

The one rule: every override here is one of the seams that ``tests/edge/kafka`` pins to the
version in use. Anything unexpected in one of them ends the process: Faust would hang or go on.
"""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import aiokafka
import faust
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from msgspec import Struct

from stream.edge.fatal import fatal
from stream.edge.kafka.fetch import FETCH_WAIT_MS, Fetched, Fetches
from stream.edge.kafka.owned import Limits

if TYPE_CHECKING:
    from stream.edge.kafka.intake import Intake

log = logging.getLogger(__name__)

POLL_WAIT_S = 0.25
"""How long a poll waits for an answer; a fetch is answered far sooner while Kafka is there."""


class Handed(Struct, frozen=True):
    """What Faust carries to an agent as if it were one record's value."""

    tp: TP
    offset: int
    value: object


class AsIs(faust.Schema):  # type: ignore[misc, type-arg, unused-ignore]
    """Hands a batch to its agent untouched."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:  # noqa: ANN401
        """Give no key: a batch has many."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> object:  # noqa: ANN401, ARG002
        """Return the batch."""
        return message.value


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, with fetches that are watched and waited for briefly."""

    fetches: Fetches

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ANN401
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS  # noqa: SLF001 - Faust has 1,500 fixed
        return consumer

    async def on_start(self) -> None:
        """Start the consumer and watch its fetches."""
        await super().on_start()
        self.fetches = Fetches(self._ensure_consumer())

    async def poll(self, full: set[aiokafka.TopicPartition]) -> Fetched:
        """Return what came; fetch no further for partitions that are ``full``."""
        fetched: Fetched = await self.call_thread(self._poll, full)
        return fetched

    async def limits(
        self, tps: Iterable[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, Limits]:
        """Return what Kafka says of each partition."""
        limits: dict[aiokafka.TopicPartition, Limits] = await self.call_thread(
            self._limits, list(tps)
        )
        return limits

    async def seek_to(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        """Read on from these offsets; what has been taken away in between is left alone.

        Not by Faust's own way: it would then drop what it carries for having lower numbers.
        """
        await self.call_thread(self._seek_to, offsets)

    async def hint(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        """Commit offsets to Kafka. Only lag monitors depend on them, so a failure is no matter."""
        await self.call_thread(self._hint, offsets)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's own watch knows neither batches nor merged topics."""

    async def _poll(self, full: set[aiokafka.TopicPartition]) -> Fetched:
        self.fetches.pause(full)
        return await self.fetches.poll(POLL_WAIT_S)

    async def _limits(
        self, tps: list[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, Limits]:
        consumer = self._ensure_consumer()
        starts, ends, committed = await asyncio.gather(
            consumer.beginning_offsets(tps),
            consumer.end_offsets(tps),
            asyncio.gather(*[consumer.committed(tp) for tp in tps]),
        )
        return {
            tp: Limits(starts[tp], ends[tp], known or 0)
            for tp, known in zip(tps, committed, strict=True)
        }

    async def _seek_to(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, at in offsets.items():
            if tp in consumer.assignment():
                consumer.seek(tp, at)

    async def _hint(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        known = {tp: at for tp, at in offsets.items() if tp in consumer.assignment()}
        with contextlib.suppress(KafkaError):
            if known:
                await consumer.commit(known)


class Consumer(driver.Consumer):
    """Faust's consumer, whose records are batches."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(*args, **kwargs)
        self._intake: Intake = self.app.intake  # type: ignore[attr-defined]  # of our own app
        self._polling: asyncio.Task[Fetched] | None = None
        self._hinted: dict[aiokafka.TopicPartition, int] = {}
        self._numbers = itertools.count(1)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Note the assignment; claiming may have to wait, and Faust bounds this call."""
        self._intake.assign(self.assignment())

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Note that there is nothing to claim; Faust seeks only where something is assigned."""
        if not assigned:
            self._intake.assign(assigned)
        await super().on_partitions_assigned(assigned, generation_id)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish what is under way before anybody else may claim it."""
        with fatal("giving shards back"):
            await self.finish()
        await super().on_partitions_revoked(revoked)

    async def finish(self) -> None:
        """End the steps under way, and tell Kafka how far they came."""
        await self._intake.finish()
        await self.force_commit()
        self._intake.forget()

    async def force_commit(self, *_: Any, **__: Any) -> bool:  # noqa: ANN401 - Faust's
        """Commit to Kafka what Redis holds already: a hint for monitors of lag."""
        offsets = self._intake.shards.offsets()
        if offsets != self._hinted:
            await self._thread.hint(offsets)
            self._hinted = offsets
        return True

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109
        with fatal("fetching", but=ConsumerStoppedError):
            return await self._batches()

    async def _batches(self) -> dict[TP, list[Handed]]:
        if self._intake.needs_claim():
            await self._drop_poll()  # it may have been read for an earlier assignment
            await self._intake.claim(self)
        ready = self._intake.ready()
        if not ready:
            await self._progress()
            ready = self._intake.ready()
        handed = [
            Handed(TP(tp.topic, tp.partition), next(self._numbers), batch) for tp, batch in ready
        ]
        return {one.tp: [one] for one in handed}

    async def _progress(self) -> None:
        """Wait until a poll has brought something, or a step has ended."""
        if self._polling is None:
            self._polling = asyncio.ensure_future(self._thread.poll(self._intake.full()))
        stepped = asyncio.ensure_future(self._intake.stepped.wait())
        try:
            await asyncio.wait({self._polling, stepped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stepped.cancel()
        self._intake.stepped.clear()
        if self._polling.done():
            polling, self._polling = self._polling, None
            self._intake.accept(polling.result())

    async def _drop_poll(self) -> None:
        if self._polling is not None:
            polling, self._polling = self._polling, None
            await polling

    async def limits(
        self, tps: Iterable[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, Limits]:
        """Return what Kafka says of each partition."""
        return await self._thread.limits(tps)

    async def seek_to(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        """Read on from these offsets."""
        await self._thread.seek_to(offsets)

    def _to_message(self, tp: TP, record: Handed) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            0.0,
            0,
            [],
            None,
            record.value,  # type: ignore[arg-type]  # a batch instead of bytes
            None,
            0,
            0,
            tp,
            generation_id=self.app.consumer_generation_id,
        )


class Producer(driver.Producer):
    """Faust's producer, acknowledged by all replicas and idempotent."""

    def _settings_extra(self) -> dict[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):
    """Kafka as Faust sees it here."""

    Consumer = Consumer
    Producer = Producer
