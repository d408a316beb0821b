"""The shards that this worker has claimed: what is fetched for them, and how they stand."""

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic

from aiokafka import TopicPartition

from stream.shard.merge import Lane, RewrittenError
from stream.shard.ports import KeyT, StateT
from stream.worker.claimed import MISFIT, ClaimedShard
from stream.worker.faust.fetch import Fetched
from stream.worker.metrics import Metrics
from stream.worker.observe import observe_owners

log = logging.getLogger(__name__)


class ClaimedShards(Generic[KeyT, StateT]):
    """The claimed shards by number, those that are stopped, and those that were lost."""

    def __init__(self, topics: Sequence[str], metrics: Metrics) -> None:
        self._topics = topics
        self._metrics = metrics
        self._owned: dict[int, ClaimedShard[KeyT, StateT]] = {}
        self.stopped: dict[int, str] = {}
        self.lost: dict[int, float] = {}  # from when on it may be claimed again, monotonic

    def __len__(self) -> int:
        return len(self._owned)

    def __iter__(self) -> Iterator[int]:
        return iter(self._owned)

    def accept(self, fetched: Fetched) -> None:
        """Hand what a poll brought to the shards it belongs to."""
        for tp, position in fetched.positions.items():
            for lane in self._lanes(tp):
                self._receive(tp, lane, position, fetched)
        for tp, offset in fetched.outside.items():
            # An error from before the shard was claimed is about another offset.
            for lane in self._lanes(tp):
                if lane.position == offset:
                    self._miss(tp, lane, offset)
        for tp, mark in fetched.marks:
            for lane in self._lanes(tp):
                lane.mark(mark)

    def _receive(self, tp: TopicPartition, lane: Lane, position: int, fetched: Fetched) -> None:
        where = {"topic": tp.topic, "offset": position}
        if position < lane.position:
            self.stop(tp.partition, f"{tp.topic} went back to {position}", **where)
            return
        try:
            lane.receive(fetched.records.get(tp, ()), position, fetched.received)
        except RewrittenError as error:
            self.stop(tp.partition, f"{tp.topic} was rewritten: {error}", **where)

    def _miss(self, tp: TopicPartition, lane: Lane, offset: int) -> None:
        """Handle an offset that the log does not hold."""
        if lane.is_checking:  # it has just deleted the record to compare with, for its age
            del self._owned[tp.partition]
            self.lost[tp.partition] = time.monotonic()
            return
        where = {"topic": tp.topic, "offset": offset}
        self.stop(tp.partition, f"{tp.topic} no longer holds offset {offset}", **where)

    def topic_ids(self) -> dict[str, str]:
        """Return the ids of the topics that are read; none if the broker does not report them."""
        return {
            topic: topic_id
            for owned in self._owned.values()
            for topic, topic_id in owned.shard.owner.topic_ids.items()
        }

    def refuse(self, topics: Iterable[str]) -> None:
        """Stop every shard: these topics were deleted and made anew."""
        for topic in topics:
            for number in list(self._owned):
                self.stop(number, f"{topic} was made anew while it was read", topic=topic)

    def _lanes(self, tp: TopicPartition) -> list[Lane]:
        """Return the lane of a partition; none if its shard is not owned."""
        owned = self._owned.get(tp.partition)
        lane = owned.merge.lanes.get(tp.topic) if owned is not None else None
        return [lane] if lane is not None else []

    def stalled(self, longer_than_s: float) -> list[int]:
        """Return shards that have had work for so long and have not moved."""
        before = time.monotonic() - longer_than_s
        return [owned.number for owned in self._owned.values() if owned.moved_at < before]

    def reclaimable(self) -> list[int]:
        """Return the lost shards that may be claimed again by now."""
        now = time.monotonic()
        return [number for number, since in self.lost.items() if since <= now]

    def full(self) -> set[TopicPartition]:
        """Return the partitions that are to be fetched no further for now."""
        stopped = {
            TopicPartition(topic, number) for number in self.stopped for topic in self._topics
        }
        return stopped.union(*(owned.full() for owned in self._owned.values()))

    def offsets_to_commit(self) -> dict[TopicPartition, tuple[int, str]]:
        """Return what to commit to Kafka: offsets, and beside each the shard's clock.

        Everything below them is committed to the store and published. Lag monitors read the
        offsets; a worker that finds Redis behind them reads both.
        """
        return {
            tp: offset
            for owned in self._owned.values()
            for tp, offset in owned.offsets_to_commit().items()
        }

    def stop(self, number: int, why: str, todo: str = MISFIT, **where: object) -> None:
        """Read the shard no further until an operator has decided; log what there is to decide."""
        self._owned.pop(number, None)
        self.stopped[number] = why
        log.error("Shard %d is stopped: %s. %s", number, why, todo, extra=where | {"shard": number})
        self.observe()

    def stop_all(self, numbers: Iterable[int], why: str, todo: str) -> None:
        """Read none of these shards any further, nor those that are owned; log it once."""
        stopped = sorted({*numbers, *self._owned})
        self._owned.clear()
        self.lost.clear()
        self.stopped |= dict.fromkeys(stopped, why)
        log.error("All shards are stopped: %s. %s", why, todo, extra={"shards": stopped})
        self.observe()

    def _forget(self, owned: ClaimedShard[KeyT, StateT]) -> bool:
        """Own a shard no longer; return whether it was owned until now."""
        is_owned = self._owned.get(owned.number) is owned
        if is_owned:
            del self._owned[owned.number]
        return is_owned

    def observe(self) -> None:
        """Update the metrics of the owned shards; a shard that hangs does not do it by itself."""
        now, owned = time.monotonic(), self._owned.values()
        observe_owners(self._metrics, [(one.shard.owner, now - one.moved_at) for one in owned])
        self._metrics.shards_stopped.set(len(self.stopped))
