"""The status of each shard: owner, lag, visitors, timers, outbox, and whether it is stopped.

It computes from what was read and asks no server. Field names are the keys of ``status --json``
and do not change.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from stream.adapters.kafka.describe import Group, Member
from stream.adapters.redis.reader import Counts
from stream.domain.topics import LANES
from stream.shard.ports import BEGINNING_MS, Watermark
from stream.worker.claimed import PartitionOffsets, misfit


class ServedModels(Struct, frozen=True):
    """The current models: how many examples each has learnt, and up to which offset.

    ``unreadable`` says why this version cannot read them; workers then learn from the start.
    """

    examples: dict[str, int] = {}
    offset: int | None = None
    unreadable: str | None = None


class Seen(Struct, frozen=True):
    """What was read of one shard; ``written_ms`` is the time of the first record not applied.

    ``stopped`` is why its owner stopped it because of dead letters; empty if it did not.
    """

    number: int
    limits: Mapping[str, PartitionOffsets]
    mark: Watermark
    counts: Counts
    stopped: str = ""
    written_ms: Mapping[str, int] = {}


class Owner(Struct, frozen=True):
    """The worker that a shard is assigned to: its address, and its id in the group."""

    host: str
    member: str


class ShardStatus(Struct, frozen=True):
    """The status of one shard; ``step`` is the number of steps in its state.

    ``clock_ms`` is None if no step had a clock: while the first backlog drains. ``stopped`` is why
    no worker reads on from the end of the state.
    """

    shard: int
    owner: Owner | None
    epoch: int
    lag_records: int
    lag_seconds: float
    clock_ms: int | None
    visitors: int
    timers_armed: int
    timers_overdue: int
    outbox_entries: int
    stopped: str | None
    step: int


class Totals(Struct, frozen=True):
    """All shards together; ``lag_seconds`` is the largest."""

    shards: int
    owned: int
    stopped: int
    lag_records: int
    lag_seconds: float
    visitors: int
    timers_armed: int
    timers_overdue: int
    outbox_entries: int


class Status(Struct, frozen=True):
    """The object of ``status --json``; ``group_state`` is Kafka's, or why it is unknown."""

    group: str
    group_state: str
    at_ms: int
    workers: int
    totals: Totals
    models: ServedModels
    shards: tuple[ShardStatus, ...]


def behind(
    mark: Watermark, limits: Mapping[str, PartitionOffsets]
) -> Iterator[tuple[str, int, int]]:
    """Yield each input with records not applied: its name, the first one's offset, and how many."""
    for topic, limit in limits.items():
        offset = max(mark.offsets.get(topic, limit.start), limit.start)
        if offset < limit.end:
            yield topic, offset, limit.end - offset


def shard_of(seen: Seen, owners: Mapping[int, Member], at_ms: int) -> ShardStatus:
    """Return the status of a shard."""
    member, clock_ms = owners.get(seen.number), seen.mark.clock_ms
    oldest_ms = min(seen.written_ms.values(), default=at_ms)
    return ShardStatus(
        shard=seen.number,
        owner=Owner(member.host, member.id) if member else None,
        epoch=seen.counts.epoch,
        lag_records=sum(count for *_, count in behind(seen.mark, seen.limits)),
        lag_seconds=max(0, at_ms - oldest_ms) / 1000,
        clock_ms=None if clock_ms == BEGINNING_MS else clock_ms,
        visitors=seen.counts.visitors,
        timers_armed=seen.counts.armed,
        timers_overdue=seen.counts.overdue,
        outbox_entries=seen.counts.pending,
        stopped=misfit(seen.mark, seen.limits) or seen.stopped or None,
        step=seen.mark.step,
    )


def status_of(
    name: str, group: Group, seen: Sequence[Seen], models: ServedModels, at_ms: int
) -> Status:
    """Return the whole group's status."""
    owners = _owners(group)
    shards = tuple(shard_of(one, owners, at_ms) for one in seen)
    return Status(
        group=name,
        group_state=group.refused or group.state,
        at_ms=at_ms,
        workers=len(group.members),
        totals=_totals(shards),
        models=models,
        shards=shards,
    )


def _owners(group: Group) -> dict[int, Member]:
    """Return the owner of each shard: a shard's inputs have the same owner."""
    return {
        part.partition: member
        for member in group.members
        for part in member.assigned
        if part.topic in LANES
    }


def _totals(shards: Sequence[ShardStatus]) -> Totals:
    return Totals(
        shards=len(shards),
        owned=sum(one.owner is not None for one in shards),
        stopped=sum(one.stopped is not None for one in shards),
        lag_records=sum(one.lag_records for one in shards),
        lag_seconds=max((one.lag_seconds for one in shards), default=0.0),
        visitors=sum(one.visitors for one in shards),
        timers_armed=sum(one.timers_armed for one in shards),
        timers_overdue=sum(one.timers_overdue for one in shards),
        outbox_entries=sum(one.outbox_entries for one in shards),
    )
