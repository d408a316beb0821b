"""What this worker reads: its shards and, on one worker, the training examples.

After an assignment nothing is read before the shards are claimed and the consumer has seeked to
the end of their state.
"""

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream.domain.topics import LANES, TRAINING_EXAMPLES
from stream.worker.claimed import PartitionOffsets
from stream.worker.faust.fetch import Fetched
from stream.worker.shards import FINISH_WITHIN_S, Shards
from stream.worker.training import Training

log = logging.getLogger(__name__)

RETRY_S = 1.0
INPUTS = tuple(LANES)
EXAMPLES = TopicPartition(TRAINING_EXAMPLES, 0)
IN_PART = (
    "Either that topic does not exist: create it with 'cartwake topics create'. Or workers of two"
    " versions that read different topics are in this group: stop those of the older one."
)
OTHER_PARTITIONS = (
    "Partitions cannot be changed under a group: use another worker.group, which reads the log anew"
    " (docs/operations.md)."
)

Ready = list[tuple[TopicPartition, object]]


class Log(Protocol):
    """What claiming needs of the consumer."""

    async def limits(
        self, tps: Iterable[TopicPartition]
    ) -> Mapping[TopicPartition, PartitionOffsets]:
        """Return what Kafka says of each partition."""

    async def seek_to(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read on from these offsets."""


class Intake:
    """Claims what is assigned, and turns fetches into batches."""

    def __init__(self, shards: Shards[Any, Any], training: Training) -> None:
        self.shards = shards
        self.training = training
        self.stepped = shards.stepped
        self.answered = float("-inf")  # when Kafka last answered a fetch, on the monotonic clock
        self._heard_at: dict[TopicPartition, float] = {}  # what is read, and its latest answer
        self._unclaimed: set[TopicPartition] | None = None

    @property
    def is_settled(self) -> bool:
        """Say whether everything that was assigned has been claimed."""
        return self._unclaimed is not None and not self._unclaimed and not self.shards.lost

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is assigned: there are more workers than partitions."""
        return not len(self.shards) and not self.training.is_owned

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        """Note a new assignment; `claim` follows before anything is read."""
        self.forget()
        self._unclaimed = {TopicPartition(tp.topic, tp.partition) for tp in tps}

    def needs_claim(self) -> bool:
        """Say whether something is assigned and not claimed, or was lost and may be again."""
        return bool(self._unclaimed) or (
            self._unclaimed is not None and bool(self.shards.reclaimable())
        )

    async def claim(self, source: Log) -> None:
        """Claim what is due and move the consumer to where its state ends.

        It stops where the assignment has been replaced or given back in between: what is claimed
        then belongs to another worker, which it would fence.
        """
        assigned = self._unclaimed
        again = self.shards.reclaimable()
        lost = {TopicPartition(topic, number) for number in again for topic in INPUTS}
        wanted = (assigned or set()) | lost
        limits = await _patiently(source, wanted)
        # What is not read is sought, too: without a position aiokafka asks for one for ever, and
        # fetches nothing else from that broker meanwhile.
        offsets = {tp: limit.end for tp, limit in limits.items()}
        by_shard = _by_shard(wanted, limits)
        if why := await self.shards.torn(_counts(limits)):
            self.shards.stop_all([number for number, _ in by_shard], why, OTHER_PARTITIONS)
            by_shard = []
        for number, topics in by_shard:
            if self._unclaimed is not assigned:
                break
            if absent := [topic for topic in INPUTS if topic not in topics]:
                self.shards.stop(number, f"it was assigned without {', '.join(absent)}", IN_PART)
                continue
            claimed = await self.shards.claim(number, topics)
            offsets |= {TopicPartition(topic, number): at for topic, at in claimed.items()}
        if EXAMPLES in wanted and self._unclaimed is assigned:
            offsets[EXAMPLES] = await self.training.claim(limits[EXAMPLES].start)
        if self._unclaimed is not assigned:
            self.forget()
            return
        self._unclaimed = set()
        await source.seek_to(offsets)
        self._heard_at |= dict.fromkeys(offsets, time.monotonic())
        log.info("Owns %d shards", len(self.shards), extra={"shards": sorted(self.shards)})

    def accept(self, fetched: Fetched) -> None:
        """Hand out what a poll brought."""
        if fetched.marks:
            self.answered = time.monotonic()
            self._heard_at |= {tp: self.answered for tp, _ in fetched.marks if tp in self._heard_at}
        self.shards.refuse(fetched.remade)
        self.shards.accept(fetched)
        if EXAMPLES in fetched.outside and self._unclaimed is not None:
            self._unclaimed |= {EXAMPLES}  # examples are gone: learn from the first that is left
        self.training.accept(fetched.records.get(EXAMPLES, []))

    def ready(self) -> Ready:
        """Return what the agents get, under a partition that Faust knows them by.

        All shards that are ready go together: passing through Faust costs as much as a step.
        """
        shards = self.shards.hand_out()
        ready: Ready = [(TopicPartition(INPUTS[0], shards[0].number), shards)] if shards else []
        examples = self.training.take()
        return [*ready, (EXAMPLES, examples)] if examples else ready

    def full(self) -> set[TopicPartition]:
        """Return the partitions that are to be fetched no further for now."""
        return self.shards.full() | ({EXAMPLES} if self.training.is_full else set())

    def silent(self, longer_than_s: float) -> list[str]:
        """Return partitions, as ``topic-number``, that are fetched and not answered for so long."""
        now = time.monotonic()
        self._heard_at |= dict.fromkeys(self.full() & self._heard_at.keys(), now)
        silent = [tp for tp, at in self._heard_at.items() if now - at > longer_than_s]
        return [f"{tp.topic}-{tp.partition}" for tp in sorted(silent)]

    async def finish(self) -> None:
        """Let the steps under way end; nothing new is handed out until the next assignment."""
        self._unclaimed = None
        await self.shards.finish()
        # With Redis away nothing is lost: what was not stored is learnt again.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_WITHIN_S):
                await self.training.save()

    def forget(self) -> None:
        """Own nothing any more."""
        self._heard_at.clear()
        self.shards.forget()
        self.training.forget()


def _by_shard(
    tps: set[TopicPartition], limits: Mapping[TopicPartition, PartitionOffsets]
) -> list[tuple[int, dict[str, PartitionOffsets]]]:
    """Return, per shard, what Kafka says of its topics in merge order; of those that it has."""
    found: defaultdict[int, dict[str, PartitionOffsets]] = defaultdict(dict)
    inputs = (tp for tp in tps if tp.topic in LANES)
    for tp in sorted(inputs, key=lambda tp: INPUTS.index(tp.topic)):
        found[tp.partition][tp.topic] = limits[tp]
    return sorted(found.items())


def _counts(limits: Mapping[TopicPartition, PartitionOffsets]) -> dict[str, int]:
    """Return how many partitions each of the lanes has, as far as Kafka says."""
    counts = {tp.topic: limit.partitions for tp, limit in limits.items()}
    return {topic: counts[topic] for topic in INPUTS if topic in counts}


async def _patiently(
    source: Log, tps: set[TopicPartition]
) -> Mapping[TopicPartition, PartitionOffsets]:
    said = False
    while True:
        try:
            return await source.limits(tps)
        except KafkaError as error:
            if not said:
                log.warning("Kafka does not tell offsets (%s); asking again", type(error).__name__)
            said = True
            await asyncio.sleep(RETRY_S)
