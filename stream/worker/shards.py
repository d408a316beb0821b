"""The shards that this worker owns: claimed, fed from fetches, stepped, and given back.

A shard has at most one step under way, and whatever was read for an earlier assignment is
forgotten with it.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress

from stream.domain.records import Trigger, TriggerCancel
from stream.runtime.fatal import fatal
from stream.shard.defects import TooManyDefectiveKeys
from stream.shard.entity import Entity
from stream.shard.folding import Batch
from stream.shard.limit import LimitExceeded, Tolerance
from stream.shard.merge import LastRecord, Merge
from stream.shard.ports import (
    DEFECT,
    Encode,
    FencedError,
    KeyT,
    NewerFormatError,
    Ownership,
    RewoundError,
    Sink,
    StateT,
    Store,
    Watermark,
)
from stream.shard.shard import Shard
from stream.worker.claimed import MISFIT, NEVER, ClaimedShard, PartitionOffsets, misfit
from stream.worker.claimed_shards import ClaimedShards
from stream.worker.metrics import Metrics
from stream.worker.observe import log_defects, observe_step

log = logging.getLogger(__name__)

# After these offsets are committed to Kafka at once. If Redis lost a trigger before that, it would
# be decided anew and a visitor who acts in between mailed twice; after a lost cancel the trigger
# would be sent again.
COMMITTED_AT_ONCE = (Trigger, TriggerCancel)

FINISH_WITHIN_S = 5.0
# Faust silently drops what it carries in more than one case; a shard must not wait forever.
HANDED_AGAIN_S = 10.0


NEWER = (
    "Upgrade this worker, or stop it: workers of the newer version go on with the shard. How to go"
    " back to an older version: docs/upgrades.md."
)


class Shards(ClaimedShards[KeyT, StateT]):
    """Claims shards, takes their steps, and lets go of them."""

    def __init__(  # noqa: PLR0913, PLR0917 - what every shard needs
        self,
        store: Store[KeyT, StateT],
        sink: Sink,
        encode: Encode,
        entity: Entity[KeyT, StateT],
        metrics: Metrics,
        now_ms: Callable[[], int],
        *,
        tolerance: Tolerance,
        live: bool,
        session_timeout_s: float,
    ) -> None:
        super().__init__(entity.topics, metrics)
        self._store = store
        self._policy_digest = entity.policy_digest
        self._ports = (store, sink, encode, entity)
        self._now_ms = now_ms
        self._tolerance = tolerance
        self._live = live
        self._session_timeout_s = session_timeout_s
        self._is_open = True
        self.stepped = asyncio.Event()
        self.must_commit_offsets = False  # see COMMITTED_AT_ONCE
        self._tasks: set[asyncio.Future[None]] = set()

    async def claim(self, number: int, limits: Mapping[str, PartitionOffsets]) -> dict[str, int]:
        """Take a shard and return the offsets to read from; none if it had to be stopped."""
        self.lost.pop(number, None)
        owner = await self._claimed(number)
        if owner is None:
            return {}
        mark = owner.watermark
        offsets = {topic: mark.offsets.get(topic, limit.start) for topic, limit in limits.items()}
        why = misfit(mark, limits)
        if why:
            self.stop(number, why)
            return {}
        ids = {topic: limit.topic_id for topic, limit in limits.items() if limit.topic_id}
        owner.topic_ids = mark.ids | ids
        merge = Merge(offsets, _to_check(mark, limits))
        owned = ClaimedShard(Shard(owner, *self._ports), merge, limits, self._tolerance)
        self._owned[number] = owned
        waiting = owner.pending
        with self._giving_up(owned):
            await owned.resume(self._now_ms(), live=self._live)
            self.must_commit_offsets |= waiting > 0
        self.observe()
        if self._owned.get(number) is not owned:
            return {}
        return {topic: lane.position for topic, lane in merge.lanes.items()}

    async def torn(self, counts: Mapping[str, int]) -> str:
        """Return why the topics' partition counts do not fit the stored state; empty if they do.

        With another count a visitor's records go to another shard, even to different ones.
        """
        first = next(iter(counts.values()), 0)
        stored = await self._store.fix_partitions(first) if first else 0
        other = {topic: count for topic, count in counts.items() if count not in {0, stored}}
        found = ", ".join(f"{topic} has {count} partitions" for topic, count in other.items())
        return f"{found}, but the stored state is that of {stored}" if other else ""

    async def _claimed(self, number: int) -> Ownership | None:
        """Take a shard, unless a newer version has written it: then it is stopped here."""
        try:
            return await self._store.claim(number, self._policy_digest)
        except NewerFormatError as error:
            self.stop(number, str(error), NEWER)
            return None

    def ready(self) -> list[ClaimedShard[KeyT, StateT]]:
        """Return the shards that have work and are free to do it."""
        return [owned for owned in self._free() if owned.has_work(live=self._live)]

    def hand_out(self) -> list[ClaimedShard[KeyT, StateT]]:
        """Return the shards that are ready, and note that they are handed to the agent."""
        handed, now = [], time.monotonic()
        for owned in self._free():
            if not owned.has_work(live=self._live):
                owned.moved_at = now  # one without work does not hang
                continue
            if owned.handed_at != NEVER:  # Faust has dropped it
                log.warning(
                    "Shard %d is handed to its agent again", owned.number, extra=owned.fields
                )
            owned.handed_at = now
            handed.append(owned)
        return handed

    def _free(self) -> list[ClaimedShard[KeyT, StateT]]:
        """Return the shards without a step under way and not with the agent."""
        before = time.monotonic() - HANDED_AGAIN_S
        return [
            owned
            for owned in self._owned.values()
            if self._is_open and not owned.is_stepping and owned.handed_at < before
        ]

    def begin(self, *turn: ClaimedShard[KeyT, StateT]) -> None:
        """Begin a step of each shard, unless it has been given back since or is in a step.

        Steps of different shards wait for Redis and Kafka side by side.
        """
        for owned in turn:
            self._begin(owned)

    def _begin(self, owned: ClaimedShard[KeyT, StateT]) -> None:
        owned.handed_at = NEVER
        if self._owned.get(owned.number) is not owned or not self._is_open or owned.is_stepping:
            return
        owned.is_stepping = True
        self._go_on_with(self._step(owned))

    def _go_on_with(self, work: Coroutine[None, None, None]) -> None:
        """Begin what is not waited for; whoever begins it must not be held up."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _step(self, owned: ClaimedShard[KeyT, StateT]) -> None:
        with fatal("taking a step"):
            await self._take(owned)

    async def _take(self, owned: ClaimedShard[KeyT, StateT]) -> None:
        try:
            with self._giving_up(owned):
                if owned.shard.must_rearm:
                    await self._rearm(owned)
                else:
                    await self._fold(owned)
        finally:
            owned.is_stepping = False
            self.observe()
            self.stepped.set()

    async def _fold(self, owned: ClaimedShard[KeyT, StateT]) -> None:
        batch = owned.batch(self._now_ms(), live=self._live)
        if excess := self._excess(owned, batch):
            self._stop_owned(owned, str(excess), excess.todo, excess.reason)
            return
        try:
            report = await owned.shard.step(batch)
        except TooManyDefectiveKeys as error:
            log_defects(error.defects, owned.number)
            self._stop_owned(owned, str(error), error.todo, DEFECT)
            return
        owned.advance_published()
        self.must_commit_offsets |= any(
            isinstance(one, COMMITTED_AT_ONCE) for one in report.effects
        )
        owned.moved_at = time.monotonic()
        log_defects(report.defects, owned.number)
        observe_step(self._metrics, batch, report, self._now_ms())

    async def _rearm(self, owned: ClaimedShard[KeyT, StateT]) -> None:
        """Compute a shard's wake-ups anew before its next step: the policies have changed."""
        log.info("Computing the wake-ups of shard %d anew", owned.number, extra=owned.fields)
        async for _ in owned.shard.rearm():
            owned.moved_at = time.monotonic()

    @staticmethod
    def _excess(owned: ClaimedShard[KeyT, StateT], batch: Batch[KeyT]) -> LimitExceeded | None:
        """Return whether a batch has too many dead letters.

        In recovery all records are folded again: they were judged the first time.
        """
        return None if batch.recovering else owned.dead_letter_limit.exceeded(batch.inputs)

    def _stop_owned(
        self, owned: ClaimedShard[KeyT, StateT], why: str, todo: str, reason: str
    ) -> None:
        """Stop a shard, unless it has been given back since."""
        if self._owned.get(owned.number) is owned:
            self.stop(owned.number, why, todo, reason=reason)

    def stop(self, number: int, why: str, todo: str = MISFIT, **where: object) -> None:
        """Stop a shard; of a claimed one store why, as others cannot find it out by themselves."""
        owned = self._owned.get(number)
        super().stop(number, why, todo, **where)
        if owned is not None:
            self._go_on_with(self._store_stop(owned, why))

    def stop_all(self, numbers: Iterable[int], why: str, todo: str) -> None:
        """Stop all shards, and store why for those that were claimed."""
        claimed = list(self._owned.values())
        super().stop_all(numbers, why, todo)
        for owned in claimed:
            self._go_on_with(self._store_stop(owned, why))

    async def _store_stop(self, owned: ClaimedShard[KeyT, StateT], why: str) -> None:
        with fatal("storing why a shard is stopped"), suppress(FencedError, RewoundError):
            await self._store.stop(owned.shard.owner, why)

    @contextmanager
    def _giving_up(self, owned: ClaimedShard[KeyT, StateT]) -> Iterator[None]:
        """Let go of a shard that another worker has claimed, or that must be claimed anew."""
        try:
            yield
        except FencedError as error:
            log.warning("%s; this worker lets go of it", error, extra=owned.fields)
            self._metrics.shard_fenced.inc()
            # An evicted worker learns it within a session's time. One that still has the shard by
            # then was fenced by a claim for an older assignment, and no other worker will claim.
            if self._forget(owned):
                self.lost[owned.number] = time.monotonic() + self._session_timeout_s
        except RewoundError as error:
            log.warning("%s; reading again from what it holds", error, extra=owned.fields)
            if self._forget(owned):  # a shard that was given back is claimed by its new owner
                self.lost[owned.number] = time.monotonic()

    async def finish(self) -> None:
        """Wait for the steps under way, within bounds, and start no other.

        A step that does not end in time is fenced by the next owner's claim.
        """
        self._is_open = False
        within = time.monotonic() + FINISH_WITHIN_S
        while late := [owned.number for owned in self._owned.values() if owned.is_stepping]:
            self.stepped.clear()
            try:
                await asyncio.wait_for(self.stepped.wait(), within - time.monotonic())
            except TimeoutError:
                late_steps = "A step did not end in time; the next owner of its shard fences it"
                log.warning(late_steps, extra={"shards": late})
                break

    def forget(self) -> None:
        """Own nothing any more, until shards are claimed."""
        self._owned.clear()
        self.stopped.clear()
        self.lost.clear()
        self._is_open = True
        self.observe()


def _to_check(mark: Watermark, limits: Mapping[str, PartitionOffsets]) -> dict[str, LastRecord]:
    """Return the last records that the state includes, of those that the log still holds."""
    return {
        topic: last
        for topic, last in mark.last.items()
        if topic in limits and limits[topic].start <= last.offset < mark.offsets[topic]
    }
