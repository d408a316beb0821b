"""The store in Redis: per shard one hash of states, one sorted set of wake-ups, one outbox.

The one rule: every key of shard *n* carries the hash tag ``{n}``, and every write goes through
one script, so that a step is atomic on a single server and in a cluster alike.
"""

import time
from collections.abc import Callable, Sequence
from secrets import token_hex
from typing import Any

import msgspec

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.server_rules import torn
from stream.adapters.wire.codec import decode_state, encode_state
from stream.domain.visitor import Visitor, VisitorKey
from stream.errors import CartwakeError
from stream.runtime.failpoint import passing
from stream.shard.ports import Commit, Entry, FencedError, Look, Ownership, RewoundError, Watermark

_entry = msgspec.msgpack.Decoder(Entry)
_pack = msgspec.msgpack.encode


def member(who: VisitorKey) -> bytes:
    """Return a visitor's name in a shard's keys; the length keeps tenants apart.

    Examples
    --------
    >>> member(VisitorKey("shop", "v1"))
    b'4:shopv1'
    """
    return f"{len(who.tenant)}:{who.tenant}{who.visitor}".encode()


def key(group: str, shard: int, kind: str) -> str:
    """Return the name of one of a shard's keys; all of them lie on one node of a cluster.

    Examples
    --------
    >>> key("cartwake", 3, "own")
    'cartwake:{3}:own'
    """
    return f"{group}:{{{shard}}}:{kind}"


def partitions_key(group: str) -> str:
    """Return the name of the key that holds how many shards there are."""
    return f"{group}:partitions"


def who(name: bytes) -> VisitorKey:
    """Return the visitor of a name in a shard's keys."""
    length, _, rest = name.decode().partition(":")
    return VisitorKey(rest[: int(length)], rest[int(length) :])


class RedisStore:
    """Implements ``stream.shard.ports.Store``."""

    def __init__(
        self, connection: Connection, group: str, timed: Callable[[float], None] = lambda _: None
    ) -> None:
        """Keep everything under the group's name; ``timed`` is told a commit's seconds."""
        self._connection = connection
        self._group = group
        self._timed = timed
        self._claim = connection.script("claim")
        self._commit = connection.script("commit")
        self._look = connection.script("look")
        self._remove = connection.script("remove")
        self._stop = connection.script("stop")

    def _keys(self, shard: int, *kinds: str) -> list[str]:
        return [key(self._group, shard, kind) for kind in kinds]

    async def claim(self, shard: int) -> Ownership:
        """Implements ``Store.claim``: the token tells owners apart even after a restored copy."""
        token = token_hex(8)
        epoch, watermark, due, armed, pending = await self._claim(
            self._keys(shard, "own", "state", "wake", "out"), [token]
        )
        passing("after_claim")
        return Ownership(
            shard=shard,
            epoch=epoch,
            token=token,
            watermark=msgspec.json.decode(watermark, type=Watermark) if watermark else Watermark(),
            next_due_ms=_due(due),
            armed=armed,
            pending=pending,
            stored=watermark,
        )

    async def load(self, owner: Ownership, whos: Sequence[VisitorKey]) -> dict[VisitorKey, Visitor]:
        """Implements ``Store.load`` in one round trip."""
        if not whos:
            return {}
        names = [member(one) for one in whos]
        states = await self._connection.run("HMGET", *self._keys(owner.shard, "state"), *names)
        return _states(whos, states)

    async def look(self, owner: Ownership, whos: Sequence[VisitorKey]) -> Look:
        """Implements ``Store.look`` by one script."""
        asked = time.monotonic()
        answer = await self._look(
            self._keys(owner.shard, "own", "state"),
            [owner.token, owner.epoch, *map(member, whos)],
        )
        self._raise(owner, answer)
        return Look(_states(whos, answer[1:]), asked)

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[VisitorKey]:
        """Implements ``Store.due``."""
        (wake,) = self._keys(owner.shard, "wake")
        names = await self._connection.run(
            "ZRANGEBYSCORE", wake, "-inf", until_ms, "LIMIT", 0, limit
        )
        return [who(name) for name in names]

    async def commit(self, owner: Ownership, commit: Commit) -> list[str]:
        """Implements ``Store.commit`` by one script."""
        new = msgspec.json.encode(commit.watermark)
        ids = [f"{commit.watermark.step}:{number}" for number in range(len(commit.entries))]
        lists = _lists(commit, ids)
        passing("before_commit")
        asked = time.monotonic()
        answer = await self._commit(
            self._keys(owner.shard, "own", "state", "wake", "out"),
            [
                *(owner.token, owner.epoch, owner.stored, new),
                *map(len, lists),
                *(one for part in lists for one in part),
            ],
        )
        self._timed(time.monotonic() - asked)
        passing("after_commit")
        self._raise(owner, answer)
        outcome, due, owner.armed, owner.pending = answer
        owner.next_due_ms = _due(due)
        owner.watermark, owner.stored, owner.committed = commit.watermark, new, asked
        return ids if outcome == b"OK" else []

    async def outbox(self, owner: Ownership) -> list[tuple[str, Entry]]:
        """Implements ``Store.outbox``."""
        entries = await self._connection.run("HGETALL", *self._keys(owner.shard, "out"))
        found = {entry_id.decode(): _entry.decode(entry) for entry_id, entry in entries.items()}
        return sorted(found.items(), key=lambda one: _place(one[0]))

    async def remove(self, owner: Ownership, ids: Sequence[str]) -> None:
        """Implements ``Store.remove``."""
        answer = await self._remove(
            self._keys(owner.shard, "own", "out"), [owner.token, owner.epoch, *ids]
        )
        passing("after_remove")
        self._raise(owner, answer)
        owner.pending = answer[1]

    async def stop(self, owner: Ownership, why: str) -> None:
        """Implements ``Store.stop``."""
        answer = await self._stop(self._keys(owner.shard, "own"), [owner.token, owner.epoch, why])
        self._raise(owner, answer)

    async def fix_partitions(self, count: int) -> None:
        """Note how many shards there are; a different number would tear visitors apart.

        Raises
        ------
        CartwakeError
            Redis holds the state of another number of shards.
        """
        kept = partitions_key(self._group)
        await self._connection.run("SET", kept, count, "NX")
        known = int(await self._connection.run("GET", kept) or 0)
        for found, do in torn(known, count, self._connection.address):
            raise CartwakeError(f"{found}; {do}")

    def _raise(self, owner: Ownership, answer: list[Any]) -> None:
        if answer[0] == b"FENCED":
            raise FencedError(f"shard {owner.shard} has an owner newer than epoch {owner.epoch}")
        if answer[0] == b"REWOUND":
            raise RewoundError(f"shard {owner.shard}: Redis does not hold this owner's watermark")


def _states(
    whos: Sequence[VisitorKey], states: Sequence[bytes | None]
) -> dict[VisitorKey, Visitor]:
    return {
        one: decode_state(state)
        for one, state in zip(whos, states, strict=True)
        if state is not None
    }


def _due(score: bytes) -> int | None:
    return int(float(score)) if score else None


def _place(entry_id: str) -> tuple[int, int]:
    """Return the step of an outbox entry, and its number within the step."""
    step, _, number = entry_id.partition(":")
    return int(step), int(number)


def _lists(commit: Commit, ids: Sequence[str]) -> tuple[list[str | bytes], ...]:
    """Return the arguments of each of the script's lists."""
    names = {one: member(one) for one in {*commit.states, *commit.wakes}}
    kept: list[str | bytes] = []
    gone: list[str | bytes] = []
    for one, state in commit.states.items():
        if state is None:
            gone.append(names[one])
        else:
            kept += names[one], encode_state(state)
    armed: list[str | bytes] = []
    quiet: list[str | bytes] = []
    for one, due_ms in commit.wakes.items():
        if due_ms is None:
            quiet.append(names[one])
        else:
            armed += b"%d" % due_ms, names[one]
    entries: list[str | bytes] = []
    for entry_id, entry in zip(ids, commit.entries, strict=True):
        entries += entry_id, _pack(entry)
    return kept, gone, armed, quiet, entries
