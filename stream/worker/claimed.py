"""One shard in this worker's hands: what it waits for, and what its next step is made of."""

import time
from collections.abc import Iterable, Iterator, Mapping

from aiokafka import TopicPartition
from msgspec import Struct

from stream.adapters.wire.facts import read
from stream.shard.clock import Clock, Fact, LiveClock, RecordsClock
from stream.shard.limit import USUAL, DeadLetterLimit, Tolerance
from stream.shard.merge import Merge
from stream.shard.ports import BEGINNING_MS, DeadLetter, Watermark
from stream.shard.shard import Batch, Shard

MAX_BATCH = 5_000
# Records received and not folded, per partition: above it fetching stops for a while.
FULL = 20_000
NEVER = float("-inf")
MISFIT = (
    "Its state and its log do not fit together. To accept what is lost, delete the keys of this"
    " shard in Redis, or use another worker.group."
)


class PartitionOffsets(Struct, frozen=True):
    """What Kafka says of one partition: its first offset, its end, and what was committed.

    ``clock_ms`` is the shard's clock as it stood with the committed offset; ``topic_id`` is empty
    where Kafka does not tell it.
    """

    start: int
    end: int
    committed: int
    clock_ms: int = BEGINNING_MS
    topic_id: str = ""


class ClaimedShard:
    """One claimed shard: its step, its merge, and how far the log was processed before.

    ``known`` is what Kafka has committed of it. Where the store holds less it has lost data, and
    everything up to there is folded and decided again by its own clock.
    """

    def __init__(
        self,
        shard: Shard,
        merge: Merge,
        known: Mapping[str, PartitionOffsets],
        tolerance: Tolerance = USUAL,
    ) -> None:
        self.shard = shard
        self.merge = merge
        self.spoilage = DeadLetterLimit(tolerance)
        self.is_stepping = False
        self.handed_at = NEVER
        self.moved_at = time.monotonic()  # when it last had nothing to do, or had done something
        mark = shard.owner.watermark
        # A log that was made anew may end before what was committed of the old one.
        self._processed = {
            topic: min(limits.committed, limits.end) for topic, limits in known.items()
        }
        self._decided_ms = max(limits.clock_ms for limits in known.values())
        self._published: tuple[Mapping[str, int], int] = (self._processed, self._decided_ms)
        self._has_lost = self._left() > 0 or mark.clock_ms < self._decided_ms

    @property
    def number(self) -> int:
        """The partition number of its topics."""
        return self.shard.owner.shard

    @property
    def fields(self) -> dict[str, int]:
        """What a line of the log about it carries."""
        return {"shard": self.number}

    def is_recovering(self) -> bool:
        """Say whether it folds and decides again what the store has lost; once over, it is over."""
        owner = self.shard.owner
        self._has_lost = self._has_lost and (
            self._left() > 0
            or owner.watermark.clock_ms < self._decided_ms
            or (owner.next_due_ms is not None and owner.next_due_ms <= self._decided_ms)
        )
        return self._has_lost

    def has_work(self, *, live: bool) -> bool:
        """Say whether a step would do anything."""
        if self.merge.is_ready():
            return True
        if self._has_lost and self._left():
            return False
        return (live and self.is_recovering()) or self._is_due(live=live)

    def batch(self, now_ms: int, *, live: bool) -> Batch:
        """Take what can be folded now."""
        if live and self.is_recovering():
            return self._recovery(now_ms)
        inputs = read(self.merge.take(MAX_BATCH))
        before_ms = self.shard.owner.watermark.clock_ms
        clock: Clock
        if live:
            clock = LiveClock(before_ms, self.merge.clock_ms(), now_ms)
        else:
            clock = RecordsClock(before_ms, _facts(inputs), at_end=self.merge.is_at_end())
        return Batch(inputs, self.merge.offsets(), clock, now_ms, live)

    async def resume(self, now_ms: int, *, live: bool) -> None:
        """Publish what the outbox of the last owner holds; an older copy's had been published."""
        if live and self.is_recovering():
            await self.shard.discard()
        else:
            await self.shard.resume(live=live, now_ms=now_ms)
            self.note_published()

    def note_published(self) -> None:
        """Note that everything committed so far is published, unless more is due by its clock.

        A step leaves some of what is due to the next ones, and a late record may make due at once.
        """
        owner = self.shard.owner
        offsets, clock_ms = owner.watermark.offsets, owner.watermark.clock_ms
        if owner.next_due_ms is not None:
            clock_ms = min(clock_ms, owner.next_due_ms - 1)
        reached, published_ms = self._published
        if clock_ms >= published_ms:
            further = {topic: max(end, offsets.get(topic, 0)) for topic, end in reached.items()}
            self._published = further, clock_ms

    def processed(self) -> tuple[Mapping[str, int], int]:
        """Return how far the log has been processed and published, and the clock with it.

        Neither goes back, whatever was lost, and neither says more than has been published.
        """
        return self._published

    def hints(self) -> dict[TopicPartition, tuple[int, str]]:
        """Return what to commit to Kafka for each partition: see ``processed``."""
        offsets, clock_ms = self.processed()
        return {
            TopicPartition(topic, self.number): (offset, str(clock_ms))
            for topic, offset in offsets.items()
        }

    def full(self) -> set[TopicPartition]:
        """Return the partitions of which enough waits here for now."""
        return {
            TopicPartition(topic, self.number)
            for topic, lane in self.merge.lanes.items()
            if len(lane.records) > FULL
        }

    def _recovery(self, now_ms: int) -> Batch:
        """Take no more than what had been processed: the rest is judged by the live clock.

        After its last record comes what had been decided by the clock as it stood then.
        """
        left, before_ms = self._left(), self.shard.owner.watermark.clock_ms
        inputs = read(self.merge.take(min(MAX_BATCH, left)))
        if left:
            # Not beyond now: one absurd timestamp would make everything due for good.
            clock = RecordsClock(before_ms, _facts(inputs), at_end=False, no_later_than=now_ms)
        else:
            clock = RecordsClock(max(before_ms, self._decided_ms), (), at_end=True)
        return Batch(inputs, self.merge.offsets(), clock, now_ms, live=True, recovering=True)

    def _left(self) -> int:
        """Return how many records had been processed and are to be folded again."""
        offsets = self.merge.offsets()
        return sum(max(0, end - offsets[topic]) for topic, end in self._processed.items())

    def _is_due(self, *, live: bool) -> bool:
        due_ms = self.shard.owner.next_due_ms
        if due_ms is None:
            return False
        if live:
            reached_ms = self.merge.clock_ms()
            return reached_ms is not None and due_ms <= reached_ms
        return self.merge.is_at_end() and due_ms <= self.shard.owner.watermark.clock_ms


def _facts(inputs: Iterable[Fact | DeadLetter]) -> Iterator[Fact]:
    return (one for one in inputs if isinstance(one, Fact))


def misfit(mark: Watermark, limits: Mapping[str, PartitionOffsets]) -> str:
    """Return why the log cannot be read on from where the state ends; empty where it can."""
    for topic, limit in limits.items():
        offset = mark.offsets.get(topic, limit.start)
        known = mark.ids.get(topic, "")
        if known and limit.topic_id and known != limit.topic_id:
            return f"{topic} was made anew since {offset} was reached"
        if offset < limit.start:
            return f"{topic} begins at {limit.start}, but only {offset} has been reached"
        if offset > limit.end:
            return f"{topic} ends at {limit.end}, but {offset} has been reached before"
    return ""
