"""The seams of Faust: an agent gets one merged batch of one shard at a time.

Every override here is a seam that ``tests/worker/faust`` pins to the version in use. Anything
unexpected in one of them ends the process, because Faust would hang or go on.
"""

import asyncio
import itertools
import logging
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import aiokafka
import faust
from aiokafka.errors import ConsumerStoppedError, KafkaError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage
from msgspec import Struct

from stream.adapters.kafka.topic_ids import partition_counts, topic_ids
from stream.domain.topics import LANES
from stream.runtime.fatal import TOLD_TO_STOP, fatal
from stream.shard.ports import BEGINNING_MS
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import FETCH_WAIT_MS, Fetched, Fetches

if TYPE_CHECKING:
    from stream.runtime.worker_clock import WorkerClock
    from stream.worker.intake import Intake

log = logging.getLogger(__name__)

CLOCK = re.compile(r"-?\d{1,17}")

HINT_WAIT_S = 0.02
"""How long a due offset commit waits for those of other shards."""

HINT_WITHIN_S = 5.0

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
        clock: WorkerClock = self.app.clock  # type: ignore[attr-defined]  # of our own app
        self.fetches = Fetches(self._ensure_consumer(), clock.moment_ms)

    async def poll(self, full: set[aiokafka.TopicPartition], known: Mapping[str, str]) -> Fetched:
        """Return what came of the ``known`` topics; fetch no further for what is ``full``."""
        fetched: Fetched = await self.call_thread(self._poll, full, known)
        return fetched

    async def limits(
        self, tps: Iterable[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, PartitionOffsets]:
        """Return what Kafka says of each partition."""
        limits: dict[aiokafka.TopicPartition, PartitionOffsets] = await self.call_thread(
            self._limits, list(tps)
        )
        return limits

    async def seek_to(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        """Read on from these offsets; what has been taken away in between is left alone.

        Not by Faust's own way: it would then drop what it carries for having lower numbers.
        """
        await self.call_thread(self._seek_to, offsets)

    async def hint(self, hints: Mapping[aiokafka.TopicPartition, tuple[int, str]]) -> bool:
        """Commit offsets and clocks to Kafka, and return whether that has worked.

        Where not there is no harm: Redis has them, and they will be told with the next ones.
        """
        worked: bool = await self.call_thread(self._hint, hints)
        return worked

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's own watch knows neither batches nor merged topics."""

    async def _poll(self, full: set[aiokafka.TopicPartition], known: Mapping[str, str]) -> Fetched:
        self.fetches.pause(full)
        return await self.fetches.poll(POLL_WAIT_S, known)

    async def _limits(
        self, tps: list[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, PartitionOffsets]:
        consumer = self._ensure_consumer()
        inputs = {tp.topic for tp in tps if tp.topic in LANES}
        starts, ends, committed, ids, counts = await asyncio.gather(
            consumer.beginning_offsets(tps),
            consumer.end_offsets(tps),
            # Public calls tell the offset without what was committed beside it.
            consumer._coordinator.fetch_committed_offsets(tps),  # noqa: SLF001
            topic_ids(consumer._client, inputs),  # noqa: SLF001 - it has no public way to ask
            partition_counts(consumer._client, inputs),  # noqa: SLF001
        )
        known = ids or {}
        return {
            tp: _limits(
                starts[tp],
                ends[tp],
                committed.get(tp),
                known.get(tp.topic, ""),
                counts.get(tp.topic, 0),
            )
            for tp in tps
        }

    async def _seek_to(self, offsets: Mapping[aiokafka.TopicPartition, int]) -> None:
        consumer = self._ensure_consumer()
        for tp, at in offsets.items():
            if tp in consumer.assignment():
                consumer.seek(tp, at)

    async def _hint(self, hints: Mapping[aiokafka.TopicPartition, tuple[int, str]]) -> bool:
        consumer = self._ensure_consumer()
        known = {tp: hint for tp, hint in hints.items() if tp in consumer.assignment()}
        try:
            if known:
                async with asyncio.timeout(HINT_WITHIN_S):  # aiokafka would try for ever
                    await consumer.commit(known)
        except (KafkaError, TimeoutError):
            return False
        return True


class Consumer(driver.Consumer):
    """Faust's consumer, whose records are batches."""

    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Faust's
        super().__init__(*args, **kwargs)
        self._intake: Intake = self.app.intake  # type: ignore[attr-defined]  # of our own app
        self._polling: asyncio.Task[Fetched] | None = None
        self._hinted: dict[aiokafka.TopicPartition, tuple[int, str]] = {}
        self._hinting: asyncio.Task[None] | None = None
        self._hint_lock = asyncio.Lock()  # or an older hint, tried again, would follow a newer
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
        """Commit to Kafka what Redis holds already: for monitors of lag, and for a lost Redis."""
        async with self._hint_lock:
            self._intake.shards.must_commit_offsets = False
            hints = self._intake.shards.offsets_to_commit()
            news = {tp: hint for tp, hint in hints.items() if self._hinted.get(tp) != hint}
            if news and await self._thread.hint(news):
                self._hinted |= news
        return True

    def _hint_soon(self) -> None:
        """Tell Kafka of published triggers without waiting for the timer, or for the answer."""
        is_hinting = self._hinting is not None and not self._hinting.done()
        if self._intake.shards.must_commit_offsets and not is_hinting:
            self._hinting = asyncio.ensure_future(self._hint())

    async def _hint(self) -> None:
        with fatal("telling Kafka how far the shards are"):
            await asyncio.sleep(HINT_WAIT_S)
            await self.force_commit()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ANN401, ARG002, ASYNC109
        with fatal("fetching", but=(*TOLD_TO_STOP, ConsumerStoppedError)):
            return await self._batches()

    async def _batches(self) -> dict[TP, list[Handed]]:
        self._hint_soon()
        if self._intake.needs_claim():
            await self._end_poll()  # a poll must not straddle the seek
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
            known = self._intake.shards.topic_ids()
            self._polling = asyncio.ensure_future(self._thread.poll(self._intake.full(), known))
        stepped = asyncio.ensure_future(self._intake.stepped.wait())
        try:
            await asyncio.wait({self._polling, stepped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stepped.cancel()
        self._intake.stepped.clear()
        if self._polling.done():
            await self._end_poll()

    async def _end_poll(self) -> None:
        """Hand out what the poll under way brings; shards that are no longer owned take nothing.

        It is never dropped: the shards that stay would miss its records.
        """
        if self._polling is not None:
            polling, self._polling = self._polling, None
            self._intake.accept(await polling)

    async def limits(
        self, tps: Iterable[aiokafka.TopicPartition]
    ) -> dict[aiokafka.TopicPartition, PartitionOffsets]:
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

    @property
    def aiokafka(self) -> aiokafka.AIOKafkaProducer:
        """The client itself, which sends whole batches; Faust would send record by record."""
        return self._ensure_producer()


class Transport(driver.Transport):
    """Kafka as Faust sees it here."""

    Consumer = Consumer
    Producer = Producer


def _limits(
    start: int, end: int, committed: OffsetAndMetadata | None, topic_id: str, partitions: int
) -> PartitionOffsets:
    if committed is None or committed.offset < 0:
        return PartitionOffsets(start, end, 0, topic_id=topic_id, partitions=partitions)
    # Committed by somebody else's tool it comes without a clock of ours.
    clock_ms = int(committed.metadata) if CLOCK.fullmatch(committed.metadata) else BEGINNING_MS
    return PartitionOffsets(start, end, committed.offset, clock_ms, topic_id, partitions)
