"""A worker on the live clock whose every commit is followed by the reference.

The one rule: the reference is told what was applied, by which wall clock, and where the shard's
clock then stood; that this clock is no later than it may be is checked here.
"""

from itertools import groupby

from stream.adapters.memory import MemoryStore
from stream.domain.topics import LANES
from tests.reference.clock import known_visitors, step_live
from tests.reference.consent import NEEDS, still_stands
from tests.scenarios.trouble import Crashing, Trouble, suffer

AWAY = "is away"


class Follower:
    """What the reference makes of all that has been applied; it forgets nothing."""

    def __init__(self, world, shop, records):
        self.world, self.shop, self.records = world, shop, records
        self.reached = []  # the shard's clock after each commit
        self._offsets = dict.fromkeys(LANES, 0)

    def follow(self, watermark):
        """Apply what a commit has applied for the first time."""
        new = [
            one
            for one in self.records
            if self._offsets[one.topic] <= one.offset < watermark.offsets[one.topic]
        ]
        for topic, offset in watermark.offsets.items():
            self._offsets[topic] = max(self._offsets[topic], offset)
        waiting = [one for one in self.stored() if one.offset >= self._offsets[one.topic]]
        assert all(watermark.clock_ms <= one.timestamp_ms for one in waiting)
        step_live(self.shop, new, self.world.now_ms, watermark.clock_ms)
        self.reached.append(watermark.clock_ms)

    def stored(self):
        """Return the records that have been written so far."""
        topics = self.world.log.topics
        return [one for one in self.records if one.offset < len(topics[one.topic])]

    def allows(self, needs):
        """Say whether consent stands for a trigger after all that has been applied."""
        kind, *who = needs
        visitor = self.shop.visitor(*who)
        return all(still_stands(visitor, need, self.world.now_ms) for need in NEEDS[kind])

    def may_lapse(self, trigger):
        """Say whether its consent may end between the decision and the last look at it."""
        key = trigger["visitor"].encode()
        return any(
            b"valid_until_ms" in (one.value or b"") for one in self.records if one.key == key
        )

    def excuses(self, trigger):
        """Say whether the visitor did something, or it expired, before all had been caught up."""
        due_ms = trigger["due_at_ms"]
        caught_up_ms = next(reached for reached in self.reached if reached >= due_ms)
        key = trigger["visitor"].encode()
        done_ms = [one.timestamp_ms for one in self.records if one.key == key]
        return (
            caught_up_ms > trigger["expires_at_ms"]
            or self.may_lapse(trigger)
            or any(due_ms <= moment_ms <= caught_up_ms for moment_ms in done_ms)
        )

    def visitors(self):
        """Return what is known of everybody."""
        return known_visitors(self.shop)


class FollowedStore(MemoryStore):
    """Tells a follower of each commit."""

    follower = None

    async def commit(self, owner, commit):
        ids = await super().commit(owner, commit)
        if self.follower:
            self.follower.follow(commit.watermark)
        return ids


class WatchedSink(Crashing):
    """Publishes no trigger after a withdrawal that had been applied."""

    follower = None

    async def publish(self, entries, looked):
        if self.follower:
            assert all(self.follower.allows(one.needs) for one in entries if one.needs)
        return await super().publish(entries, looked)


async def live(world, records, troubles, *, in_step=False):
    """Store records at their own time, and let a worker and its successors go through it all.

    ``in_step``: whatever happens, the worker has caught up before time goes on.
    """
    worker, waiting = await world.worker(), iter(troubles)
    for moment_ms, group in groupby(records, key=lambda one: one.timestamp_ms):
        worker = await _pass_time(world, worker, moment_ms, waiting, in_step)
        for one in group:
            world.log.append(one.topic, one.timestamp_ms, one.key, one.value)
        worker = await _now(world, worker, waiting, in_step)
    await worker.run()
    return worker


async def _pass_time(world, worker, moment_ms, waiting, in_step):
    """Stop at each moment at which something is due, unless the worker is away."""
    while (due_ms := worker.shard.owner.next_due_ms) is not None and due_ms < moment_ms:
        reached_ms, world.now_ms = world.now_ms, max(world.now_ms, due_ms)
        worker = await _now(world, worker, waiting, in_step)
        if world.now_ms == reached_ms:
            break
    world.now_ms = moment_ms
    return worker


async def _now(world, worker, waiting, in_step):
    trouble = next(waiting, Trouble("none"))
    if trouble.kind not in {AWAY, "none"}:
        worker = await suffer(world, worker, [trouble])
    if in_step or trouble.kind == "none":
        await worker.run()
    return worker
