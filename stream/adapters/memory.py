"""A store and a sink in this process's memory, for replays and tests."""

from collections.abc import AsyncIterator, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from stream.adapters.states import decode_all, decode_readable
from stream.shard.entity import Codec
from stream.shard.ports import (
    Commit,
    Entry,
    FencedError,
    KeyT,
    Look,
    NewerFormatError,
    Ownership,
    RewoundError,
    StateT,
    Watermark,
)

ALWAYS = float("inf")
SCAN = 500

ValueT = TypeVar("ValueT")


class _Kept(Struct):
    epoch: int = 0
    token: str = ""
    watermark: Watermark = Watermark()
    stopped: str = ""
    format: int = 1
    policy: str = ""
    states: dict[Any, bytes] = field(default_factory=dict)
    wakes: dict[Any, int] = field(default_factory=dict)
    queue: list[tuple[int, Any]] = []  # a heap; an entry that differs from ``wakes`` is void
    outbox: dict[str, Entry] = field(default_factory=dict)
    entries: int = 0


class MemoryStore(Generic[KeyT, StateT]):
    """Implements ``stream.shard.ports.Store``. States are kept as bytes, as in any other store."""

    def __init__(self, codec: Codec[KeyT, StateT]) -> None:
        self._codec = codec
        self._shards: dict[int, _Kept] = {}
        self._tokens = count(1)
        self._partitions: int | None = None

    async def claim(self, shard: int, policy: str = "") -> Ownership:
        """Implements ``Store.claim``."""
        kept = self._shards.setdefault(shard, _Kept())
        if kept.format > self._codec.format:
            raise NewerFormatError(kept.format, self._codec.format)
        kept.format = self._codec.format
        if not kept.states and not kept.wakes:
            kept.policy = policy
        kept.epoch += 1
        kept.token = str(next(self._tokens))
        kept.stopped = ""
        owner = Ownership(shard, kept.epoch, kept.token, kept.watermark, None, policy=kept.policy)
        self._tell(owner, kept)
        return owner

    async def fix_partitions(self, count: int) -> int:
        """Implements ``Store.fix_partitions``."""
        self._partitions = self._partitions or count
        return self._partitions

    async def load(self, owner: Ownership, keys: Sequence[KeyT]) -> dict[KeyT, StateT]:
        """Implements ``Store.load``."""
        stored = self._kept(owner).states
        return decode_all(self._codec, ((key, stored.get(key)) for key in keys))

    async def look(self, owner: Ownership, keys: Sequence[KeyT]) -> Look[KeyT, StateT]:
        """Implements ``Store.look``: in one process what was read stays true."""
        self._owned(owner)
        return Look(self._readable(owner, keys), ALWAYS)

    async def scan(self, owner: Ownership) -> AsyncIterator[dict[KeyT, StateT]]:
        """Implements ``Store.scan``."""
        keys = list(self._kept(owner).states)
        for first in range(0, len(keys), SCAN):
            yield self._readable(owner, keys[first : first + SCAN])

    async def arm(
        self, owner: Ownership, wakes: Mapping[KeyT, int | None], policy: str | None = None
    ) -> None:
        """Implements ``Store.arm``."""
        kept = self._owned(owner)
        _arm(kept, wakes)
        if policy is not None:
            kept.policy = owner.policy = policy
        self._tell(owner, kept)

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[KeyT]:
        """Implements ``Store.due``."""
        kept = self._kept(owner)
        found: dict[KeyT, int] = {}
        while kept.queue and kept.queue[0][0] <= until_ms and len(found) < limit:
            due_ms, key = heappop(kept.queue)
            if kept.wakes.get(key) == due_ms:
                found[key] = due_ms
        for key, due_ms in found.items():  # only a commit takes a wake-up away
            heappush(kept.queue, (due_ms, key))
        return list(found)

    async def commit(self, owner: Ownership, commit: Commit[KeyT, StateT]) -> list[str]:
        """Implements ``Store.commit``."""
        kept = self._owned(owner)
        if kept.watermark == commit.watermark:
            self._tell(owner, kept)
            return []
        if kept.watermark != owner.watermark:
            raise RewoundError(f"shard {owner.shard}: another watermark than this owner's")
        states = {
            key: None if state is None else self._codec.encode(state)
            for key, state in commit.states.items()
        }
        _write(kept.states, states)
        _arm(kept, commit.wakes)
        first = kept.entries
        kept.entries += len(commit.entries)
        ids = [str(number) for number in range(first, kept.entries)]
        kept.outbox.update(zip(ids, commit.entries, strict=True))
        kept.watermark = commit.watermark
        self._tell(owner, kept)
        owner.committed = ALWAYS  # in one process what was committed stays true
        return ids

    async def outbox(self, owner: Ownership) -> list[tuple[str, Entry]]:
        """Implements ``Store.outbox``."""
        return list(self._kept(owner).outbox.items())

    async def remove(self, owner: Ownership, ids: Sequence[str]) -> None:
        """Implements ``Store.remove``."""
        kept = self._owned(owner)
        for entry_id in ids:
            kept.outbox.pop(entry_id, None)
        owner.pending = len(kept.outbox)

    async def stop(self, owner: Ownership, why: str) -> None:
        """Implements ``Store.stop``."""
        self._owned(owner).stopped = why

    def _readable(self, owner: Ownership, keys: Sequence[KeyT]) -> dict[KeyT, StateT]:
        stored = self._kept(owner).states
        return decode_readable(self._codec, ((key, stored.get(key)) for key in keys))

    def _owned(self, owner: Ownership) -> _Kept:
        kept = self._kept(owner)
        if owner.token == kept.token:
            return kept
        if kept.epoch < owner.epoch:
            raise RewoundError(f"shard {owner.shard}: the claim of epoch {owner.epoch} is gone")
        raise FencedError(f"shard {owner.shard} has an owner newer than epoch {owner.epoch}")

    def _kept(self, owner: Ownership) -> _Kept:
        return self._shards.get(owner.shard) or _Kept()

    def _tell(self, owner: Ownership, kept: _Kept) -> None:
        while kept.queue and kept.wakes.get(kept.queue[0][1]) != kept.queue[0][0]:
            heappop(kept.queue)
        owner.watermark = kept.watermark
        owner.next_due_ms = kept.queue[0][0] if kept.queue else None
        owner.armed, owner.pending = len(kept.wakes), len(kept.outbox)


class MemorySink:
    """Implements ``stream.shard.ports.Sink`` by keeping what was published."""

    def __init__(self) -> None:
        self.published: list[Entry] = []

    async def publish(self, entries: Sequence[Entry], looked: float = ALWAYS) -> int:  # noqa: ARG002 - at once
        """Implements ``Sink.publish``."""
        self.published += entries
        return len(entries)


def _arm(kept: _Kept, wakes: Mapping[KeyT, int | None]) -> None:
    _write(kept.wakes, wakes)
    for key, due_ms in wakes.items():
        if due_ms is not None:
            heappush(kept.queue, (due_ms, key))


def _write(kept: dict[KeyT, ValueT], changes: Mapping[KeyT, ValueT | None]) -> None:
    for key, value in changes.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = value
