"""Reads triggers, their cancels and what became of them from Kafka: a group's share of partitions.

The one rule: a partition's triggers may be acted on once all that its topics held when it was taken
has been read, and by its owner alone: ``holds`` asks Kafka who that is. Offsets are committed for
lag monitors and as that question; what is read begins a day ago.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from stream.adapters.kafka.connect import Unreachable, metadata, partition_counts
from stream.adapters.kafka.options import client_options, quiet_clients
from stream.adapters.kafka.topics import require_even
from stream.adapters.wire.outgoing import TRIGGER_CANCELS, TRIGGERS
from stream.config.settings import Settings
from stream.delivery.backlog import LOOK_BACK_MS, Backlog, PendingDelivery, is_outcome
from stream.domain.events import TOPICS
from stream.domain.feedback import MESSAGE_FEEDBACK, Outcome
from stream.domain.records import Trigger, TriggerCancel

log = logging.getLogger(__name__)

READ: Final = (TRIGGERS, TRIGGER_CANCELS, MESSAGE_FEEDBACK)
WAIT_MS: Final = 100
TRY_AGAIN_S: Final = 1.0
FORGET_EVERY_S: Final = 60.0
ANSWER_WITHIN_S: Final = 5.0
# Another member may be in the middle of a message when a partition changes hands.
FINISH_WITHIN_S: Final = 60.0

_TRIGGERS: Final = msgspec.json.Decoder(Trigger)
_CANCELS: Final = msgspec.json.Decoder(TriggerCancel)
_OUTCOMES: Final[msgspec.json.Decoder[Outcome]] = msgspec.json.Decoder(Outcome)


class Share(msgspec.Struct, eq=False):
    """One partition of this member; ``goals`` are to be read to before anything is acted on."""

    number: int
    owed: Backlog
    goals: dict[TopicPartition, int]
    busy: int = 0


class Taken(NamedTuple):
    """A debt that somebody acts on, and the share that it is of."""

    share: Share
    debt: PendingDelivery


class TriggerReader(ConsumerRebalanceListener):  # type: ignore[misc]  # shipped without types
    """What is owed by this member of the group.

    Parameters
    ----------
    wants
        Says which triggers this channel acts on.
    """

    def __init__(
        self,
        settings: Settings,
        group: str,
        channel: str,
        wants: Callable[[Trigger], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._settings, self._group, self._channel = settings, group, channel
        self._wants, self._now_ms = wants, now_ms
        self._shares: dict[int, Share] = {}
        self._consumer: Any = None
        self._asker: Any = None
        self._failed: Exception | None = None  # of taking partitions up
        self._changed = asyncio.Condition()
        self.is_up: bool | None = None  # None: nothing is known yet

    async def run(self) -> None:
        """Read until cancelled; where Kafka is away, wait for it.

        Raises
        ------
        CartwakeError
            The topics' partitions do not fit together.
        """
        quiet_clients()
        while True:
            try:
                require_even(self._settings, await self._counts())
                await self._read()
            except (KafkaError, OSError, Unreachable) as error:
                if self.is_up is not False:
                    told = self._settings.kafka.bootstrap, type(error).__name__
                    log.warning("Kafka at %s: %s; waiting for it", *told)
            self.is_up = False
            await asyncio.sleep(TRY_AGAIN_S)

    async def _counts(self) -> dict[str, int]:
        return partition_counts(await metadata(self._settings))

    async def _read(self) -> None:
        consumer = AIOKafkaConsumer(
            **client_options(self._settings.kafka),
            group_id=self._group,
            # Partition n of each topic goes to the same member: they have equally many.
            partition_assignment_strategy=(RangePartitionAssignor,),
            rebalance_timeout_ms=int(FINISH_WITHIN_S * 1000),
            fetch_max_wait_ms=WAIT_MS,
            enable_auto_commit=False,
        )
        consumer.subscribe(READ, listener=self)
        # Kafka answers a connection's questions in turn, and a fetch waits for records.
        asker = AIOKafkaConsumer(**client_options(self._settings.kafka), enable_auto_commit=False)
        self._consumer, self._asker, self._failed = consumer, asker, None
        try:
            await asker.start()
            await consumer.start()
            self.is_up = True
            forget_at = 0.0
            while True:
                self._take(await consumer.getmany(timeout_ms=WAIT_MS))
                if self._failed is not None:
                    raise self._failed
                await self._advance()
                if (now := asyncio.get_running_loop().time()) >= forget_at:
                    forget_at = now + FORGET_EVERY_S
                    self._forget()
        finally:
            await self.on_partitions_revoked(set())
            await consumer.stop()
            await asker.stop()

    async def on_partitions_assigned(self, partitions: set[TopicPartition]) -> None:
        """Begin to read each partition where a trigger may still matter."""
        try:
            await self._begin(partitions)
        except (KafkaError, OSError) as error:
            # Raised here it would be swallowed, and the partitions would be nobody's: see _read.
            self._failed = error

    async def _begin(self, partitions: set[TopicPartition]) -> None:
        if not partitions:
            return
        since_ms = self._now_ms() - LOOK_BACK_MS
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, since_ms))
        ends = await self._consumer.end_offsets(partitions)
        for partition, at in found.items():
            self._consumer.seek(partition, ends[partition] if at is None else at.offset)
        for partition, end in ends.items():
            number = partition.partition
            share = self._shares.setdefault(number, Share(number, Backlog(), {}))
            share.goals[partition] = end

    async def on_partitions_revoked(self, _: set[TopicPartition]) -> None:
        """Hand out nothing more, and let what is being acted on be ended and told of."""
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
                    # What this version cannot read is nothing that it would act on.
                    with suppress(msgspec.DecodeError):
                        self._note(share.owed, record)

    def _note(self, owed: Backlog, record: ConsumerRecord) -> None:
        value, now_ms = record.value or b"", self._now_ms()
        if record.topic == TRIGGERS:
            trigger = _TRIGGERS.decode(value)
            if self._wants(trigger):
                owed.take(trigger, now_ms)
        elif record.topic == TRIGGER_CANCELS:
            owed.cancel(_CANCELS.decode(value), now_ms)
        elif is_outcome(outcome := _OUTCOMES.decode(value), self._channel):
            owed.settle(outcome, now_ms)

    async def _advance(self) -> None:
        """Note which goals have been reached, and wake up whoever waits for something to do."""
        for share in list(self._shares.values()):
            for partition in list(share.goals):
                if await self._consumer.position(partition) >= share.goals[partition]:
                    del share.goals[partition]
        await self.wake()

    async def wake(self) -> None:
        """Let everybody who waits look again."""
        async with self._changed:
            self._changed.notify_all()

    def _forget(self) -> None:
        for share in self._shares.values():
            share.owed.forget(self._now_ms())

    def take_due(self) -> Taken | None:
        """Return what has been due for longest; it is the caller's until ``acting`` ends."""
        now_ms = self._now_ms()
        ready = [share for share in self._shares.values() if not share.goals]
        due = [(at_ms, share) for share in ready if (at_ms := share.owed.next_ms()) is not None]
        if not due:
            return None
        _, share = min(due, key=lambda one: one[0])
        debt = share.owed.take_due(now_ms)
        return None if debt is None else Taken(share, debt)

    async def wait(self) -> None:
        """Return when there may be something new to do: after each look into the log."""
        async with self._changed:
            await self._changed.wait()

    @asynccontextmanager
    async def acting(self, taken: Taken) -> AsyncIterator[None]:
        """Act on something: its partition is not handed over meanwhile."""
        taken.share.busy += 1
        try:
            yield
        finally:
            taken.share.busy -= 1
            await self.wake()

    async def holds(self, share: Share) -> bool:
        """Ask Kafka whether the share is still this member's.

        Raises
        ------
        TimeoutError, KafkaError
            Kafka does not say.
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

    async def ends(self, share: Share) -> dict[str, int]:
        """Return how far each input of a shard reaches now.

        Raises
        ------
        TimeoutError, KafkaError
            Kafka does not say.
        """
        async with asyncio.timeout(ANSWER_WITHIN_S):
            found = await self._asker.end_offsets(
                [TopicPartition(topic, share.number) for topic in TOPICS]
            )
        return {partition.topic: end for partition, end in found.items()}

    def owed(self) -> tuple[int, int | None]:
        """Return how much is owed, and since when the oldest of it could be acted on."""
        shares = self._shares.values()
        next_ms = [at for share in shares if (at := share.owed.next_ms()) is not None]
        return sum(len(share.owed) for share in shares), min(next_ms, default=None)

    def unready(self) -> list[str]:
        """Tell what is still to be waited for; empty: all that was there at the start is read."""
        if not self.is_up:
            return [f"Kafka at {self._settings.kafka.bootstrap} does not answer"]
        behind = sorted(share.number for share in self._shares.values() if share.goals)
        return [f"partitions {behind} are still being read"] if behind else []
