"""Reads triggers, their cancels and their outcomes from Kafka: a group's share of partitions.

A partition's triggers may be acted on once all that its topics held when it was assigned has been
read, and by its owner alone: ``confirm_ownership`` asks Kafka for that. Offsets are committed for
lag monitors and for that question; reading begins a day ago.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple, Protocol

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from stream.adapters.kafka.connect import Unreachable, metadata, partition_counts, started
from stream.adapters.kafka.options import client_options, quiet_clients
from stream.adapters.kafka.reader import seek_to_time
from stream.adapters.kafka.require import require_even
from stream.config.settings import Settings
from stream.delivery.backlog import LOOK_BACK_MS, Backlog, PendingDelivery, is_outcome
from stream.domain.feedback import Outcome
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.topics import LANES, MESSAGE_FEEDBACK, TRIGGER_CANCELS, TRIGGERS
from stream.runtime.bulkhead import Bulkhead
from stream.runtime.failpoint import raising
from stream.runtime.retry import retries

log = logging.getLogger(__name__)

READ: Final = (TRIGGERS, TRIGGER_CANCELS, MESSAGE_FEEDBACK)
# The lanes that decide whether a trigger may still be acted on. Not the one that this program
# writes: each message would wait until the workers have read the outcome of the one before.
ASKED: Final = tuple(name for name in LANES if name != MESSAGE_FEEDBACK)
UNIT: Final = "record"
WAIT_MS: Final = 100
FORGET_EVERY_S: Final = 60.0
ANSWER_WITHIN_S: Final = 5.0
# Another member may be in the middle of a message when a partition changes hands.
FINISH_WITHIN_S: Final = 60.0
# What a value that is not one of the contract's raises: not UTF-8, not JSON, nested without end.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_TRIGGERS: Final = msgspec.json.Decoder(Trigger)
_CANCELS: Final = msgspec.json.Decoder(TriggerCancel)
_OUTCOMES: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)


class Share(msgspec.Struct, eq=False):
    """One partition of this member; reading has to reach ``goals`` before anything is sent."""

    number: int
    backlog: Backlog
    goals: dict[TopicPartition, int]
    busy: int = 0


class Taken(NamedTuple):
    """A pending delivery that a task acts on, and its share."""

    share: Share
    pending: PendingDelivery


class Listener(Protocol):
    """A channel's own memory of what is in the log; it also hears ``topics`` beside ``READ``."""

    topics: tuple[str, ...]

    def hear(self, topic: str, value: bytes) -> None:
        """Note a record that was read, perhaps again."""
        ...

    async def settle(self) -> None:
        """Store what was noted.

        Raises
        ------
        TimeoutError
            Where it is stored does not answer; the notes wait.
        """
        ...


class Subscription(NamedTuple):
    """What a channel reads: its group, its name, which triggers it delivers, and who listens."""

    group: str
    channel: str
    wants: Callable[[Trigger], bool]
    listener: Listener | None = None


class TriggerReader(ConsumerRebalanceListener):  # type: ignore[misc]  # shipped without types
    """The pending deliveries of this member of the group.

    Parameters
    ----------
    bulkhead
        Guards each record that is read.
    """

    def __init__(
        self,
        settings: Settings,
        subscription: Subscription,
        now_ms: Callable[[], int],
        bulkhead: Bulkhead,
    ) -> None:
        self._settings, self._subscription = settings, subscription
        self._now_ms, self._bulkhead = now_ms, bulkhead
        self._shares: dict[int, Share] = {}
        self._consumer: Any = None
        self._asker: Any = None
        self._failed: Exception | None = None  # of positioning in new partitions
        self._changed = asyncio.Condition()
        self.is_up: bool | None = None  # None: not known yet

    async def run(self) -> None:
        """Read until cancelled; wait for Kafka while it is unavailable.

        Raises
        ------
        CartwakeError
            The topics' partitions do not fit together.
        """
        quiet_clients()
        async for attempt in retries(KafkaError, OSError, Unreachable, failed=self._note_failure):
            with attempt:
                require_even(self._settings, partition_counts(await metadata(self._settings)))
                await self._read()

    def _note_failure(self, error: Exception) -> None:
        if self.is_up is not False:
            kafka = self._settings.kafka.bootstrap
            log.warning("Kafka at %s: %s; waiting for it", kafka, type(error).__name__)
        self.is_up = False

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings.kafka),
            group_id=self._subscription.group,
            # Partition n of each topic goes to the same member: they have equally many.
            partition_assignment_strategy=(RangePartitionAssignor,),
            rebalance_timeout_ms=int(FINISH_WITHIN_S * 1000),
            fetch_max_wait_ms=WAIT_MS,
            enable_auto_commit=False,
        )
        listener = self._subscription.listener
        consumer.subscribe((*READ, *(listener.topics if listener else ())), listener=self)
        # Kafka answers a connection's requests in turn, and a fetch waits for records.
        asker = AIOKafkaConsumer(**client_options(self._settings.kafka), enable_auto_commit=False)
        self._consumer, self._asker, self._failed = consumer, asker, None
        try:
            async with started(asker), started(consumer):
                self._note_success()
                await self._poll(consumer)
        finally:
            await self.on_partitions_revoked(set())

    def _note_success(self) -> None:
        if self.is_up is False:
            log.info("Kafka at %s serves again", self._settings.kafka.bootstrap)
        self.is_up = True

    async def _poll(self, consumer: AIOKafkaConsumer) -> None:
        forget_at = 0.0
        while True:
            self._take(await consumer.getmany(timeout_ms=WAIT_MS))
            if self._failed is not None:
                raise self._failed
            if self._subscription.listener is not None:
                with suppress(TimeoutError):
                    await self._subscription.listener.settle()
            await self._advance()
            if (now := asyncio.get_running_loop().time()) >= forget_at:
                forget_at = now + FORGET_EVERY_S
                self._forget()

    async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Begin to read each partition where its triggers may still matter."""
        try:
            await self._begin(partitions)
        except (KafkaError, OSError) as error:
            # aiokafka would swallow it, and nobody would read the partitions: see _poll.
            self._failed = error

    async def _begin(self, partitions: set[TopicPartition]) -> None:
        if not partitions:
            return
        since_ms = self._now_ms() - LOOK_BACK_MS
        ends = await seek_to_time(self._consumer, partitions, since_ms)
        for partition, end in ends.items():
            number = partition.partition
            share = self._shares.setdefault(number, Share(number, Backlog(), {}))
            share.goals[partition] = end

    async def on_partitions_revoked(self, _: set[TopicPartition]) -> None:
        """Hand out nothing more, and wait until what is being sent has its outcome."""
        shares, self._shares = self._shares, {}
        async with self._changed:
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_WITHIN_S):
                    await self._changed.wait_for(lambda: not any(s.busy for s in shares.values()))

    def _take(self, read: Mapping[TopicPartition, list[ConsumerRecord]]) -> None:
        for partition, records in read.items():
            share = self._shares.get(partition.partition)
            if share is not None:
                for record in records:
                    self._take_record(share.backlog, record)

    def _take_record(self, backlog: Backlog, record: ConsumerRecord) -> None:
        """Take one record; one that cannot be read, or has a defect, is skipped."""
        key = (record.topic, record.partition, record.offset)
        with self._bulkhead.guard(key), suppress(*UNREADABLE):
            raising(UNIT, record.topic)
            self._note(backlog, record)

    def _note(self, backlog: Backlog, record: ConsumerRecord) -> None:
        value, now_ms = record.value or b"", self._now_ms()
        if self._subscription.listener is not None:
            self._subscription.listener.hear(record.topic, value)
        if record.topic == TRIGGERS:
            trigger = _TRIGGERS.decode(value)
            if self._subscription.wants(trigger):
                backlog.take(trigger, now_ms)
        elif record.topic == TRIGGER_CANCELS:
            backlog.cancel(_CANCELS.decode(value), now_ms)
        elif record.topic == MESSAGE_FEEDBACK:
            outcome = _OUTCOMES.decode(value)
            if is_outcome(outcome, self._subscription.channel):
                backlog.settle(outcome, now_ms)

    async def _advance(self) -> None:
        """Note which goals have been reached, and wake up the tasks that wait."""
        for share in list(self._shares.values()):
            for partition in list(share.goals):
                if await self._consumer.position(partition) >= share.goals[partition]:
                    del share.goals[partition]
        await self.wake()

    async def wake(self) -> None:
        """Let all tasks that wait look again."""
        async with self._changed:
            self._changed.notify_all()

    def _forget(self) -> None:
        for share in self._shares.values():
            share.backlog.forget(self._now_ms())

    def take_due(self) -> Taken | None:
        """Return what has been due for longest; it is the caller's until ``acting`` ends."""
        now_ms = self._now_ms()
        ready = [share for share in self._shares.values() if not share.goals]
        due = [(at_ms, share) for share in ready if (at_ms := share.backlog.next_ms()) is not None]
        if not due:
            return None
        _, share = min(due, key=lambda one: one[0])
        pending = share.backlog.take_due(now_ms)
        return None if pending is None else Taken(share, pending)

    async def wait(self) -> None:
        """Return when there may be something new to do: after each poll."""
        async with self._changed:
            await self._changed.wait()

    @asynccontextmanager
    async def acting(self, taken: Taken) -> AsyncIterator[None]:
        """Keep the partition until the body ends: it is not handed over meanwhile."""
        taken.share.busy += 1
        try:
            yield
        finally:
            taken.share.busy -= 1
            await self.wake()

    async def confirm_ownership(self, share: Share) -> bool:
        """Commit the position; return whether the share is still this member's.

        Raises
        ------
        TimeoutError, KafkaError
            Kafka does not answer.
        """
        if self._shares.get(share.number) is not share:
            return False
        partition = TopicPartition(TRIGGERS, share.number)
        async with asyncio.timeout(ANSWER_WITHIN_S):
            position = await self._consumer.position(partition)
            try:
                await self._consumer.commit({partition: position})
            except KafkaError as error:
                if error.retriable:
                    raise
                return False
        return self._shares.get(share.number) is share

    async def end_offsets(self, share: Share) -> dict[str, int]:
        """Return how far each input of the share's shard reaches now.

        Raises
        ------
        TimeoutError, KafkaError
            Kafka does not answer.
        """
        async with asyncio.timeout(ANSWER_WITHIN_S):
            found = await self._asker.end_offsets(
                [TopicPartition(topic, share.number) for topic in ASKED]
            )
        return {partition.topic: end for partition, end in found.items()}

    def pending(self) -> tuple[int, int | None]:
        """Return how many deliveries are pending, and since when the oldest could be sent."""
        shares = self._shares.values()
        next_ms = [at for share in shares if (at := share.backlog.next_ms()) is not None]
        return sum(len(share.backlog) for share in shares), min(next_ms, default=None)

    def not_ready_reasons(self) -> list[str]:
        """Return what is waited for; empty: all that was there at the start has been read."""
        if not self.is_up:
            return [f"Kafka at {self._settings.kafka.bootstrap} does not answer"]
        behind = sorted(share.number for share in self._shares.values() if share.goals)
        return [f"partitions {behind} are still being read"] if behind else []
