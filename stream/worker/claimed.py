"""One claimed shard: what it waits for, and what its next step is made of."""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Generic

from aiokafka import TopicPartition
from msgspec import Struct

from stream.shard.clock import Clock, Fact, LiveClock, RecordsClock
from stream.shard.folding import Batch
from stream.shard.limit import USUAL, DeadLetterLimit, Tolerance
from stream.shard.merge import Merge
from stream.shard.ports import BEGINNING_MS, DeadLetter, KeyT, StateT, Watermark
from stream.shard.shard import Shard

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
    if the broker does not report it. ``partitions`` is how many its topic has; 0: not known.
    """

    start: int
    end: int
    committed: int
    clock_ms: int = BEGINNING_MS
    topic_id: str = ""
    partitions: int = 0


class ClaimedShard(Generic[KeyT, StateT]):
    """One claimed shard: its step, its merge, and how far the log was processed before.

    ``committed`` is what Kafka says of its partitions. If the store holds less than was committed
    there, it has lost data: everything up to there is folded and decided again by its own clock.
    """

    def __init__(
        self,
        shard: Shard[KeyT, StateT],
        merge: Merge,
        committed: Mapping[str, PartitionOffsets],
        tolerance: Tolerance = USUAL,
    ) -> None:
        self.shard = shard
        self.merge = merge
        self.dead_letter_limit = DeadLetterLimit(tolerance)
        self.is_stepping = False
        self.handed_at = NEVER
        self.moved_at = time.monotonic()  # when it last had nothing to do, or had done something
        mark = shard.owner.watermark
        # A topic that was made anew may end before what was committed of the old one.
        self._processed = {
            topic: min(limits.committed, limits.end) for topic, limits in committed.items()
        }
        self._decided_ms = max(limits.clock_ms for limits in committed.values())
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

    @property
    def is_recovering(self) -> bool:
        """Whether it folds and decides again what the store has lost."""
        owner = self.shard.owner
        return self._has_lost and (
            self._left() > 0
            or owner.watermark.clock_ms < self._decided_ms
            or (owner.next_due_ms is not None and owner.next_due_ms <= self._decided_ms)
        )

    def end_recovery(self) -> None:
        """Note that recovery is over, if it is: it never begins again."""
        self._has_lost = self.is_recovering

    def has_work(self, *, live: bool) -> bool:
        """Say whether a step would do anything."""
        if self.shard.must_rearm or self.merge.is_ready():
            return True
        if self._has_lost and self._left():
            return False
        return (live and self.is_recovering) or self._is_due(live=live)

    def batch(self, now_ms: int, *, live: bool) -> Batch[KeyT]:
        """Take what can be folded now."""
        self.end_recovery()
        if live and self.is_recovering:
            return self._recovery(now_ms)
        inputs = self.shard.entity.read(self.merge.take(MAX_BATCH))
        self.merge.forget_old_marks()
        before_ms = self.shard.owner.watermark.clock_ms
        clock: Clock
        if live:
            clock = LiveClock(before_ms, self.merge.clock_ms, now_ms)
        else:
            clock = RecordsClock(before_ms, _facts(inputs), at_end=self.merge.is_at_end())
        offsets, last = self.merge.offsets(), self.merge.last()
        return Batch(inputs, offsets, clock, now_ms, live, last=last)

    async def resume(self, now_ms: int, *, live: bool) -> None:
        """Publish what the last owner left in the outbox, unless it had been published before."""
        if live and self.is_recovering:
            await self.shard.discard()
        else:
            await self.shard.resume(live=live, now_ms=now_ms)
            self.advance_published()

    def advance_published(self) -> None:
        """Note that everything committed so far is published, unless more is due by its clock.

        A step leaves some deadlines to the next one, and a late record may add one that is due.
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

        Neither goes back, whatever was lost, and neither is ahead of what has been published.
        """
        return self._published

    def offsets_to_commit(self) -> dict[TopicPartition, tuple[int, str]]:
        """Return what to commit to Kafka for each partition: see ``processed``."""
        offsets, clock_ms = self.processed()
        return {
            TopicPartition(topic, self.number): (offset, str(clock_ms))
            for topic, offset in offsets.items()
        }

    def full(self) -> set[TopicPartition]:
        """Return the partitions of which enough records wait here."""
        return {
            TopicPartition(topic, self.number)
            for topic, lane in self.merge.lanes.items()
            if len(lane.records) > FULL
        }

    def _recovery(self, now_ms: int) -> Batch[KeyT]:
        """Take no more than what had been processed: the rest is judged by the live clock.

        After its last record come the deadlines up to the clock as it stood then.
        """
        left, before_ms = self._left(), self.shard.owner.watermark.clock_ms
        inputs = self.shard.entity.read(self.merge.take(min(MAX_BATCH, left)))
        self.merge.forget_old_marks()
        if left:
            # Not beyond now: one absurd timestamp would make everything due for good.
            clock = RecordsClock(before_ms, _facts(inputs), at_end=False, no_later_than=now_ms)
        else:
            clock = RecordsClock(max(before_ms, self._decided_ms), (), at_end=True)
        offsets, last = self.merge.offsets(), self.merge.last()
        return Batch(inputs, offsets, clock, now_ms, live=True, recovering=True, last=last)

    def _left(self) -> int:
        """Return how many records had been processed and are to be folded again."""
        offsets = self.merge.offsets()
        return sum(max(0, end - offsets[topic]) for topic, end in self._processed.items())

    def _is_due(self, *, live: bool) -> bool:
        due_ms = self.shard.owner.next_due_ms
        if due_ms is None:
            return False
        if live:
            reached_ms = self.merge.clock_ms
            return reached_ms is not None and due_ms <= reached_ms
        return self.merge.is_at_end() and due_ms <= self.shard.owner.watermark.clock_ms


def _facts(inputs: Iterable[Fact[Any] | DeadLetter]) -> Iterator[Fact[Any]]:
    return (one for one in inputs if isinstance(one, Fact))


def misfit(mark: Watermark, limits: Mapping[str, PartitionOffsets]) -> str:
    """Return why the log cannot be read from where the state ends; empty if it can."""
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
