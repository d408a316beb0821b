"""The shards that this worker owns: claimed, fed from fetches, stepped, and given back.

The one rule: a shard has at most one step under way, and whatever was read for an earlier
assignment is forgotten with it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from aiokafka import TopicPartition

from stream.domain.context import ScoreFeatures
from stream.domain.policy import Policy
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.topics import LANES
from stream.runtime.fatal import fatal
from stream.shard.limit import LimitExceeded, Tolerance
from stream.shard.merge import Lane, Merge
from stream.shard.ports import Encode, FencedError, RewoundError, Sink, Store
from stream.shard.shard import Batch, Shard
from stream.worker.claimed import MISFIT, NEVER, ClaimedShard, PartitionOffsets, misfit
from stream.worker.faust.fetch import Fetched
from stream.worker.metrics import Metrics
from stream.worker.observe import observe_owners, observe_step

log = logging.getLogger(__name__)

# Were Redis to lose a trigger that Kafka does not know of yet, it would be decided anew, and a
# visitor who acts in between be mailed twice; were it a cancel, the trigger would be sent again.
TOLD_AT_ONCE = (Trigger, TriggerCancel)

FINISH_WITHIN_S = 5.0
# Faust drops what it carries in more than one case, without a word; a shard must not wait forever.
HANDED_AGAIN_S = 10.0


class Shards:
    """All that this worker owns, and the way of a fetch into steps."""

    def __init__(  # noqa: PLR0913, PLR0917 - what every shard needs
        self,
        store: Store,
        sink: Sink,
        encode: Encode,
        policy: Policy,
        score: ScoreFeatures,
        metrics: Metrics,
        now_ms: Callable[[], int],
        *,
        tolerance: Tolerance,
        live: bool,
        session_timeout_s: float,
    ) -> None:
        self._store = store
        self._ports = (store, sink, encode, policy, score)
        self._metrics = metrics
        self._now_ms = now_ms
        self._tolerance = tolerance
        self._live = live
        self._session_timeout_s = session_timeout_s
        self._owned: dict[int, ClaimedShard] = {}
        self._is_open = True
        self.stopped: dict[int, str] = {}
        self.lost: dict[int, float] = {}  # from when on it may be claimed again, monotonic
        self.stepped = asyncio.Event()
        # Something was published of which Kafka does not know yet: see TOLD_AT_ONCE.
        self.owes_hint = False
        self._steps: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._owned)

    def __iter__(self) -> Iterator[int]:
        return iter(self._owned)

    async def claim(self, number: int, limits: Mapping[str, PartitionOffsets]) -> dict[str, int]:
        """Take a shard and return the offsets to read from; none where it had to be stopped."""
        self.lost.pop(number, None)
        owner = await self._store.claim(number)
        known = owner.watermark
        offsets = {topic: known.offsets.get(topic, limit.start) for topic, limit in limits.items()}
        why = misfit(known, limits)
        if why:
            self.stop(number, why)
            return {}
        told = {topic: limit.topic_id for topic, limit in limits.items() if limit.topic_id}
        owner.topic_ids = known.ids | told
        owned = ClaimedShard(Shard(owner, *self._ports), Merge(offsets), limits, self._tolerance)
        self._owned[number] = owned
        waiting = owner.pending
        with self._giving_up(owned):
            await owned.resume(self._now_ms(), live=self._live)
            self.owes_hint |= waiting > 0
        self.observe()
        return offsets if self._owned.get(number) is owned else {}

    def accept(self, fetched: Fetched) -> None:
        """Hand what a poll brought to the shards it belongs to."""
        for tp, position in fetched.positions.items():
            for lane in self._lanes(tp):
                if position < lane.position:
                    where = {"topic": tp.topic, "offset": position}
                    self.stop(tp.partition, f"{tp.topic} went back to {position}", **where)
                else:
                    lane.receive(fetched.records.get(tp, ()), position, fetched.received)
        for tp, offset in fetched.outside.items():
            # An error from before the shard was claimed tells of another offset.
            if any(lane.position == offset for lane in self._lanes(tp)):
                where = {"topic": tp.topic, "offset": offset}
                self.stop(tp.partition, f"{tp.topic} no longer holds offset {offset}", **where)
        for tp, mark in fetched.marks:
            for lane in self._lanes(tp):
                lane.mark(mark)

    def topic_ids(self) -> dict[str, str]:
        """Return which topics are read; none where Kafka does not tell."""
        return {
            topic: topic_id
            for owned in self._owned.values()
            for topic, topic_id in owned.shard.owner.topic_ids.items()
        }

    def refuse(self, topics: Iterable[str]) -> None:
        """Stop every shard: the topics are others now than those that had been read."""
        for topic in topics:
            for number in list(self._owned):
                self.stop(number, f"{topic} was made anew while it was read", topic=topic)

    def _lanes(self, tp: TopicPartition) -> list[Lane]:
        """Return the lane of a partition; none where its shard is not owned."""
        owned = self._owned.get(tp.partition)
        lane = owned.merge.lanes.get(tp.topic) if owned is not None else None
        return [lane] if lane is not None else []

    def ready(self) -> list[ClaimedShard]:
        """Return the shards whose turn it is; each again where Faust has dropped it on the way."""
        now = time.monotonic()
        ready = [
            owned
            for owned in self._owned.values()
            if self._is_open
            and not owned.is_stepping
            and now - owned.handed_at > HANDED_AGAIN_S
            and self._has_work(owned, now)
        ]
        for owned in ready:
            if owned.handed_at != NEVER:
                log.warning(
                    "Shard %d is handed to its agent again", owned.number, extra=owned.fields
                )
            owned.handed_at = now
        return ready

    def _has_work(self, owned: ClaimedShard, now: float) -> bool:
        if owned.has_work(live=self._live):
            return True
        owned.moved_at = now
        return False

    def stalled(self, longer_than_s: float) -> list[int]:
        """Return shards that have had work for so long and have not moved."""
        before = time.monotonic() - longer_than_s
        return [owned.number for owned in self._owned.values() if owned.moved_at < before]

    def begin(self, *turn: ClaimedShard) -> None:
        """Begin a step of each shard, unless it has been given back since, or had its turn.

        Steps of different shards wait for Redis and Kafka side by side.
        """
        for owned in turn:
            self._begin(owned)

    def _begin(self, owned: ClaimedShard) -> None:
        owned.handed_at = NEVER
        if self._owned.get(owned.number) is not owned or not self._is_open or owned.is_stepping:
            return
        owned.is_stepping = True
        task = asyncio.ensure_future(self._step(owned))
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)

    async def _step(self, owned: ClaimedShard) -> None:
        with fatal("taking a step"):
            await self._take(owned)

    async def _take(self, owned: ClaimedShard) -> None:
        try:
            with self._giving_up(owned):
                batch = owned.batch(self._now_ms(), live=self._live)
                if excess := self._excess(owned, batch):
                    await self._spoil(owned, excess)
                    return
                report = await owned.shard.step(batch)
                owned.note_published()
                self.owes_hint |= any(isinstance(one, TOLD_AT_ONCE) for one in report.effects)
                owned.moved_at = time.monotonic()
                observe_step(self._metrics, batch, report, self._now_ms())
        finally:
            owned.is_stepping = False
            self.observe()
            self.stepped.set()

    @staticmethod
    def _excess(owned: ClaimedShard, batch: Batch) -> LimitExceeded | None:
        """Return what dead letters of a batch are too many.

        What had been processed and is only folded again was judged then.
        """
        return None if batch.recovering else owned.spoilage.exceeded(batch.inputs)

    async def _spoil(self, owned: ClaimedShard, excess: LimitExceeded) -> None:
        """Stop a shard for its dead letters; from the log alone nobody else could tell it."""
        if self._forget(owned):
            self.stop(owned.number, str(excess), excess.todo, reason=excess.reason)
            await self._store.stop(owned.shard.owner, str(excess))

    @contextmanager
    def _giving_up(self, owned: ClaimedShard) -> Iterator[None]:
        """Let go of a shard that is another worker's now, or must be claimed anew."""
        try:
            yield
        except FencedError as error:
            log.warning("%s; this worker lets go of it", error, extra=owned.fields)
            self._metrics.shard_fenced.inc()
            # An evicted worker is told so within a session's time. One that still has the shard
            # by then was fenced by a claim for an older assignment, and nobody else will claim.
            if self._forget(owned):
                self.lost[owned.number] = time.monotonic() + self._session_timeout_s
        except RewoundError as error:
            log.warning("%s; reading again from what it holds", error, extra=owned.fields)
            if self._forget(owned):  # a shard that was given back is for its new owner to claim
                self.lost[owned.number] = time.monotonic()

    def reclaimable(self) -> list[int]:
        """Return the lost shards that may be claimed again by now."""
        now = time.monotonic()
        return [number for number, since in self.lost.items() if since <= now]

    async def finish(self) -> None:
        """Let the steps under way end, within bounds, and start no other.

        A step that does not end in time is fenced by the next owner's claim.
        """
        self._is_open = False
        within = time.monotonic() + FINISH_WITHIN_S
        while late := [owned.number for owned in self._owned.values() if owned.is_stepping]:
            self.stepped.clear()
            try:
                await asyncio.wait_for(self.stepped.wait(), within - time.monotonic())
            except TimeoutError:
                said = "A step did not end in time; its shard's next owner fences it"
                log.warning(said, extra={"shards": late})
                break

    def forget(self) -> None:
        """Own nothing any more, until shards are claimed."""
        self._owned.clear()
        self.stopped.clear()
        self.lost.clear()
        self._is_open = True
        self.observe()

    def full(self) -> set[TopicPartition]:
        """Return the partitions that are to be fetched no further for now."""
        stopped = {TopicPartition(topic, number) for number in self.stopped for topic in LANES}
        return stopped.union(*(owned.full() for owned in self._owned.values()))

    def hints(self) -> dict[TopicPartition, tuple[int, str]]:
        """Return what to commit to Kafka: offsets, and beside each the shard's clock.

        Everything below them is committed and published. Lag monitors read the offsets; a worker
        that finds Redis behind them reads both.
        """
        return {tp: told for owned in self._owned.values() for tp, told in owned.hints().items()}

    def stop(self, number: int, why: str, todo: str = MISFIT, **where: object) -> None:
        """Read no further until somebody has decided, and say what there is to decide."""
        self._owned.pop(number, None)
        self.stopped[number] = why
        log.error("Shard %d is stopped: %s. %s", number, why, todo, extra=where | {"shard": number})
        self.observe()

    def _forget(self, owned: ClaimedShard) -> bool:
        """Return whether it was owned until now."""
        is_owned = self._owned.get(owned.number) is owned
        if is_owned:
            del self._owned[owned.number]
        return is_owned

    def observe(self) -> None:
        """Tell how the owned shards stand; one that hangs does not do it by itself."""
        now, owned = time.monotonic(), self._owned.values()
        observe_owners(self._metrics, [(one.shard.owner, now - one.moved_at) for one in owned])
        self._metrics.shards_stopped.set(len(self.stopped))
