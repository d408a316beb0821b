"""One shard in this worker's hands: what it waits for, and what its next step is made of."""

import time
from collections.abc import Mapping

from msgspec import Struct

from stream.edge.facts import read
from stream.shard.batch import Merge
from stream.shard.clock import Clock, Fact, LiveClock, RecordsClock
from stream.shard.shard import Batch, Shard

MAX_BATCH = 5_000
NEVER = float("-inf")


class Limits(Struct, frozen=True):
    """What Kafka says of one partition: its first offset, its end, and what was committed."""

    start: int
    end: int
    committed: int


class Owned:
    """One claimed shard: its step, its merge, and where the log was processed before."""

    def __init__(self, shard: Shard, merge: Merge, processed: Mapping[str, int]) -> None:
        self.shard = shard
        self.merge = merge
        self.is_stepping = False
        self.handed_at = NEVER
        self.moved_at = time.monotonic()  # when it last had nothing to do, or had done something
        self._processed = processed

    @property
    def number(self) -> int:
        """The partition number of its topics."""
        return self.shard.owner.shard

    def is_recovering(self) -> bool:
        """Say whether it reads again what Kafka knows to have been processed: Redis lost data."""
        offsets = self.merge.offsets()
        return any(offsets[topic] < end for topic, end in self._processed.items())

    def has_work(self, *, live: bool) -> bool:
        """Say whether a step would do anything."""
        return self.merge.is_ready() or self._is_due(live=live)

    def batch(self, now_ms: int, *, live: bool) -> Batch:
        """Take what can be folded now."""
        recovering = live and self.is_recovering()
        inputs = read(self.merge.take(MAX_BATCH))
        before_ms = self.shard.owner.watermark.clock_ms
        clock: Clock
        if live and not recovering:
            clock = LiveClock(before_ms, self.merge.clock_ms(), now_ms)
        else:
            facts = (one for one in inputs if isinstance(one, Fact))
            clock = RecordsClock(before_ms, facts, at_end=self._is_at_end())
        return Batch(inputs, self.merge.offsets(), clock, now_ms, live, recovering)

    def _is_due(self, *, live: bool) -> bool:
        due_ms = self.shard.owner.next_due_ms
        if due_ms is None or self.is_recovering():
            return False
        if live:
            reached_ms = self.merge.clock_ms()
            return reached_ms is not None and due_ms <= reached_ms
        return self._is_at_end() and due_ms <= self.shard.owner.watermark.clock_ms

    def _is_at_end(self) -> bool:
        return self.merge.is_at_end() and not self.is_recovering()
