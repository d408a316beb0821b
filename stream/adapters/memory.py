"""A store and a sink in this process's memory, for replays and tests."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TypeVar

from msgspec import Struct, field

from stream.adapters.wire.codec import decode_state, encode_state
from stream.domain.visitor import Visitor, VisitorKey
from stream.shard.ports import Commit, Entry, FencedError, Look, Ownership, RewoundError, Watermark

ALWAYS = float("inf")

ValueT = TypeVar("ValueT")


class _Kept(Struct):
    epoch: int = 0
    token: str = ""
    watermark: Watermark = Watermark()
    stopped: str = ""
    states: dict[VisitorKey, bytes] = field(default_factory=dict)
    wakes: dict[VisitorKey, int] = field(default_factory=dict)
    queue: list[tuple[int, VisitorKey]] = []  # a heap; an entry that differs from ``wakes`` is void
    outbox: dict[str, Entry] = field(default_factory=dict)
    entries: int = 0


class MemoryStore:
    """Implements ``stream.shard.ports.Store``. States are kept as bytes, as in any other store."""

    def __init__(self) -> None:
        self._shards: dict[int, _Kept] = {}
        self._tokens = count(1)

    async def claim(self, shard: int) -> Ownership:
        """Implements ``Store.claim``."""
        kept = self._shards.setdefault(shard, _Kept())
        kept.epoch += 1
        kept.token = str(next(self._tokens))
        kept.stopped = ""
        owner = Ownership(shard, kept.epoch, kept.token, kept.watermark, None)
        self._tell(owner, kept)
        return owner

    async def load(self, owner: Ownership, whos: Sequence[VisitorKey]) -> dict[VisitorKey, Visitor]:
        """Implements ``Store.load``."""
        states = self._kept(owner).states
        return {who: decode_state(states[who]) for who in whos if who in states}

    async def look(self, owner: Ownership, whos: Sequence[VisitorKey]) -> Look:
        """Implements ``Store.look``: in one process what was looked at stays true."""
        self._owned(owner)
        return Look(await self.load(owner, whos), ALWAYS)

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[VisitorKey]:
        """Implements ``Store.due``."""
        kept = self._kept(owner)
        found: dict[VisitorKey, int] = {}
        while kept.queue and kept.queue[0][0] <= until_ms and len(found) < limit:
            due_ms, who = heappop(kept.queue)
            if kept.wakes.get(who) == due_ms:
                found[who] = due_ms
        for who, due_ms in found.items():  # only a commit takes a wake-up away
            heappush(kept.queue, (due_ms, who))
        return list(found)

    async def commit(self, owner: Ownership, commit: Commit) -> list[str]:
        """Implements ``Store.commit``."""
        kept = self._owned(owner)
        if kept.watermark == commit.watermark:
            self._tell(owner, kept)
            return []
        if kept.watermark != owner.watermark:
            raise RewoundError(f"shard {owner.shard}: another watermark than this owner's")
        states = {
            who: None if state is None else encode_state(state)
            for who, state in commit.states.items()
        }
        _write(kept.states, states)
        _write(kept.wakes, commit.wakes)
        for who, due_ms in commit.wakes.items():
            if due_ms is not None:
                heappush(kept.queue, (due_ms, who))
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


def _write(kept: dict[VisitorKey, ValueT], changes: Mapping[VisitorKey, ValueT | None]) -> None:
    for who, value in changes.items():
        if value is None:
            kept.pop(who, None)
        else:
            kept[who] = value
