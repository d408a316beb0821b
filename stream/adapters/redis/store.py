"""The store in Redis: per shard one hash of states, one sorted set of wake-ups, one outbox.

Every key of shard *n* carries the hash tag ``{n}``, and every write goes through one script, so
that a step is atomic on a single server and in a cluster alike.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any, Generic

import msgspec

from stream.adapters.redis.connection import Connection
from stream.adapters.redis.server_rules import torn
from stream.adapters.states import decode_all, decode_readable
from stream.errors import CartwakeError
from stream.runtime.failpoint import passing
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

# States per read while wake-ups are recomputed: some ms of Redis's time.
SCAN: int = 500

_entry = msgspec.msgpack.Decoder(Entry)
_pack = msgspec.msgpack.encode


def key_name(group: str, shard: int, kind: str) -> str:
    """Return the name of one of a shard's keys; all of them lie on one node of a cluster.

    Examples
    --------
    >>> key_name("cartwake", 3, "own")
    'cartwake:{3}:own'
    """
    return f"{group}:{{{shard}}}:{kind}"


def partitions_key(group: str) -> str:
    """Return the name of the key that holds how many shards there are."""
    return f"{group}:partitions"


async def fix_partitions(connection: Connection, group: str, count: int) -> None:
    """Store the number of shards. With another number, visitors would change their shards.

    Raises
    ------
    CartwakeError
        Redis holds the state of another number of shards.
    """
    stored = await _fixed_partitions(connection, group, count)
    for found, do in torn(stored, count, connection.address):
        raise CartwakeError(f"{found}; {do}")


async def _fixed_partitions(connection: Connection, group: str, count: int) -> int:
    name = partitions_key(group)
    await connection.run("SET", name, count, "NX")
    return int(await connection.run("GET", name) or 0)


class RedisStore(Generic[KeyT, StateT]):
    """Implements ``stream.shard.ports.Store``."""

    def __init__(
        self,
        connection: Connection,
        group: str,
        codec: Codec[KeyT, StateT],
        timed: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Keep everything under the group's name; ``timed`` gets the seconds of each commit."""
        self._connection = connection
        self._group = group
        self._codec = codec
        self._timed = timed
        self._claim = connection.script("claim")
        self._commit = connection.script("commit")
        self._look = connection.script("look")
        self._remove = connection.script("remove")
        self._arm = connection.script("arm")
        self._stop = connection.script("stop")

    def _keys(self, shard: int, *kinds: str) -> list[str]:
        return [key_name(self._group, shard, kind) for kind in kinds]

    async def claim(self, shard: int, policy: str = "") -> Ownership:
        """Implements ``Store.claim``: the token tells owners apart even after a restored copy."""
        token = token_hex(8)
        answer = await self._claim(
            self._keys(shard, "own", "state", "wake", "out"),
            [token, self._codec.format, policy],
        )
        if answer[0] == b"NEWER":
            raise NewerFormatError(answer[1], self._codec.format)
        _, epoch, watermark, due, armed, pending, digest = answer
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
            policy=digest.decode(),
        )

    async def fix_partitions(self, count: int) -> int:
        """Implements ``Store.fix_partitions``."""
        return await _fixed_partitions(self._connection, self._group, count)

    async def load(self, owner: Ownership, keys: Sequence[KeyT]) -> dict[KeyT, StateT]:
        """Implements ``Store.load`` in one round trip."""
        if not keys:
            return {}
        names = list(map(self._codec.name_of, keys))
        stored = await self._connection.run("HMGET", *self._keys(owner.shard, "state"), *names)
        return decode_all(self._codec, zip(keys, stored, strict=True))

    async def look(self, owner: Ownership, keys: Sequence[KeyT]) -> Look[KeyT, StateT]:
        """Implements ``Store.look`` by one script."""
        asked = time.monotonic()
        answer = await self._look(
            self._keys(owner.shard, "own", "state"),
            [owner.token, owner.epoch, *map(self._codec.name_of, keys)],
        )
        self._raise(owner, answer)
        return Look(decode_readable(self._codec, zip(keys, answer[1:], strict=True)), asked)

    async def scan(self, owner: Ownership) -> AsyncIterator[dict[KeyT, StateT]]:
        """Implements ``Store.scan`` by ``HSCAN``."""
        (state,) = self._keys(owner.shard, "state")
        cursor: Any = 0
        while True:
            cursor, found = await self._connection.run("HSCAN", state, cursor, "COUNT", SCAN)
            stored = ((self._codec.key_of(name), data) for name, data in found.items())
            yield decode_readable(self._codec, stored)
            if int(cursor) == 0:
                return

    async def arm(
        self, owner: Ownership, wakes: Mapping[KeyT, int | None], policy: str | None = None
    ) -> None:
        """Implements ``Store.arm`` by one script."""
        lists = _wakes(wakes, {one: self._codec.name_of(one) for one in wakes})
        answer = await self._arm(
            self._keys(owner.shard, "own", "wake"),
            [
                *(owner.token, owner.epoch, policy or ""),
                *map(len, lists),
                *(one for part in lists for one in part),
            ],
        )
        passing("after_arm")
        self._raise(owner, answer)
        _, due, owner.armed = answer
        owner.next_due_ms = _due(due)
        if policy is not None:
            owner.policy = policy

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[KeyT]:
        """Implements ``Store.due``."""
        (wake,) = self._keys(owner.shard, "wake")
        names = await self._connection.run(
            "ZRANGEBYSCORE", wake, "-inf", until_ms, "LIMIT", 0, limit
        )
        return list(map(self._codec.key_of, names))

    async def commit(self, owner: Ownership, commit: Commit[KeyT, StateT]) -> list[str]:
        """Implements ``Store.commit`` by one script."""
        new = msgspec.json.encode(commit.watermark)
        ids = [f"{commit.watermark.step}:{number}" for number in range(len(commit.entries))]
        lists = _lists(self._codec, commit, ids)
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

    def _raise(self, owner: Ownership, answer: list[Any]) -> None:
        if answer[0] == b"FENCED":
            raise FencedError(f"shard {owner.shard} has an owner newer than epoch {owner.epoch}")
        if answer[0] == b"REWOUND":
            raise RewoundError(f"shard {owner.shard}: Redis does not hold this owner's watermark")


def _due(score: bytes) -> int | None:
    return int(float(score)) if score else None


def _place(entry_id: str) -> tuple[int, int]:
    """Return the step of an outbox entry, and the entry's number within the step."""
    step, _, number = entry_id.partition(":")
    return int(step), int(number)


def _lists(
    codec: Codec[KeyT, StateT], commit: Commit[KeyT, StateT], ids: Sequence[str]
) -> tuple[list[str | bytes], ...]:
    """Return the arguments of each of the script's lists."""
    names = {one: codec.name_of(one) for one in {*commit.states, *commit.wakes}}
    kept: list[str | bytes] = []
    gone: list[str | bytes] = []
    for one, state in commit.states.items():
        if state is None:
            gone.append(names[one])
        else:
            kept += names[one], codec.encode(state)
    entries: list[str | bytes] = []
    for entry_id, entry in zip(ids, commit.entries, strict=True):
        entries += entry_id, _pack(entry)
    return kept, gone, *_wakes(commit.wakes, names), entries


def _wakes(
    wakes: Mapping[KeyT, int | None], names: Mapping[KeyT, bytes]
) -> tuple[list[str | bytes], list[str | bytes]]:
    """Return the wake-ups to set, and those to delete."""
    armed: list[str | bytes] = []
    quiet: list[str | bytes] = []
    for one, due_ms in wakes.items():
        if due_ms is None:
            quiet.append(names[one])
        else:
            armed += b"%d" % due_ms, names[one]
    return armed, quiet
