"""What a shard's figures mean: who has it, how far it lags, what waits in it, whether it can go on.

The one rule: it computes from what was seen and asks nothing. Field names are the keys of
``status --json`` and do not change.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from stream.adapters.kafka.describe import Group, Member
from stream.adapters.redis.reader import Counts
from stream.domain.events import TOPICS
from stream.shard.ports import BEGINNING_MS, Watermark
from stream.worker.claimed import PartitionOffsets, misfit


class Models(Struct, frozen=True):
    """The models that are served: how many examples each has learnt, and up to which offset.

    ``unreadable`` says why this version cannot read them; workers then learn anew.
    """

    examples: dict[str, int] = {}
    offset: int | None = None
    unreadable: str | None = None


class Seen(Struct, frozen=True):
    """One shard as it was seen; ``written_ms`` is when the first record not applied was written.

    ``stopped`` is why its owner has stopped it for its dead letters; empty: it has not.
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


class Shard(Struct, frozen=True):
    """One shard for people and programs; ``step`` is how many it has taken, by its state.

    ``clock_ms`` is None where none of them had a clock: while the first backlog drains. ``stopped``
    is why a worker does not read on from where the state ends, or would not.
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
    """The object of ``status --json``; ``group_state`` is Kafka's word, or why it tells none."""

    group: str
    group_state: str
    at_ms: int
    workers: int
    totals: Totals
    models: Models
    shards: tuple[Shard, ...]


def behind(
    mark: Watermark, limits: Mapping[str, PartitionOffsets]
) -> Iterator[tuple[str, int, int]]:
    """Yield each input with records not applied: its name, the first one's offset, and how many."""
    for topic, limit in limits.items():
        offset = max(mark.offsets.get(topic, limit.start), limit.start)
        if offset < limit.end:
            yield topic, offset, limit.end - offset


def shard_of(seen: Seen, owners: Mapping[int, Member], at_ms: int) -> Shard:
    """Return what was seen of a shard, as people are told it."""
    member, clock_ms = owners.get(seen.number), seen.mark.clock_ms
    oldest_ms = min(seen.written_ms.values(), default=at_ms)
    return Shard(
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


def status_of(name: str, group: Group, seen: Sequence[Seen], models: Models, at_ms: int) -> Status:
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
    """Return who has which shard: all inputs of one go together."""
    return {
        part.partition: member
        for member in group.members
        for part in member.assigned
        if part.topic in TOPICS
    }


def _totals(shards: Sequence[Shard]) -> Totals:
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
