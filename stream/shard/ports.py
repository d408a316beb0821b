"""What a shard needs from outside: a store that commits all or nothing, and a sink.

A port states the contract; its implementations are adapters and share one suite of tests.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

from msgspec import Struct

from stream.shard.merge import LastRecord

KeyT = TypeVar("KeyT")
StateT = TypeVar("StateT")

# Earlier than any time of an event: the clock of a shard that has read nothing.
BEGINNING_MS = -(2**53) - 1

# The reason of a dead letter whose record is fine: folding it failed.
DEFECT: Final = "defect"


class FencedError(Exception):
    """The shard has a newer owner: nothing may be written."""


class RewoundError(Exception):
    """The store's watermark is not the one that this owner wrote: it lost or regained data."""


class NewerFormatError(Exception):
    """A newer version has written the shard in a format that this version cannot read."""

    def __init__(self, found: int, readable: int) -> None:
        super().__init__(f"its state has format {found}, this version reads up to {readable}")


class UnreadableState(Exception):  # noqa: N818 - the state's condition
    """A stored state is damaged, or of a format that this version cannot read.

    ``keys`` are the keys of unreadable states, if the store reports them.
    """

    def __init__(self, why: str, keys: Sequence[Any] = ()) -> None:
        super().__init__(why)
        self.keys = tuple(keys)


class DeadLetter(Struct, frozen=True):
    """A record that can never be processed, with its original bytes and the reason.

    ``detail`` is one readable line without personal data. ``attempt`` counts how often the record
    has become a dead letter; ``appended_ms`` is its timestamp, if the log has timestamps.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    reason: str
    detail: str
    attempt: int = 1
    appended_ms: int | None = None


class Entry(Struct, array_like=True, gc=False):
    """One record to be published, as bytes.

    ``needs`` is what must still be granted right before it is sent; the shard's entity reads it.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    needs: tuple[str, ...] | None = None


class Watermark(Struct, frozen=True):
    """The position in the log up to which a shard's state includes it: offsets, clock, step.

    ``offsets`` has the next offset per topic. ``step`` rises with every commit, so that two commits
    at the same offsets differ. ``ids`` are the topics' ids, if the log has them: a topic may be
    deleted and created again under its name. ``last`` are the last records that it includes: a log
    may be rewritten under its id, after an unclean election for example (compare KIP-320).
    """

    offsets: dict[str, int] = {}
    clock_ms: int = BEGINNING_MS
    step: int = 0
    ids: dict[str, str] = {}
    last: dict[str, LastRecord] = {}


class Ownership(Struct):
    """The right to write a shard, and the shard's figures as its owner last saw them."""

    shard: int
    epoch: int
    token: str
    watermark: Watermark
    next_due_ms: int | None
    armed: int = 0
    pending: int = 0
    stored: bytes = b""
    """The watermark's bytes in the store; an older version may have encoded it differently."""
    topic_ids: dict[str, str] = {}
    """The ids of the topics that it reads, stored with its watermark."""
    policy: str = ""
    """The digest of the policies by which all wake-ups were computed; empty if unknown."""
    committed: float = float("-inf")
    """When its latest successful commit was requested, on the monotonic clock."""


class Commit(Struct, Generic[KeyT, StateT]):
    """Everything that one step changes. ``None`` deletes a state, or disarms a wake-up."""

    states: Mapping[KeyT, StateT | None]
    wakes: Mapping[KeyT, int | None]
    entries: Sequence[Entry]
    watermark: Watermark


class Look(Struct, Generic[KeyT, StateT]):
    """States read at a moment when the shard had no newer owner.

    ``asked`` is when they were requested, on the monotonic clock of this process.
    """

    states: Mapping[KeyT, StateT]
    asked: float


class Store(Protocol[KeyT, StateT]):
    """Stores a shard's states, wake-ups, outbox and watermark.

    If its server is unavailable, an implementation waits and tries again; it never returns a false
    answer.
    """

    async def claim(self, shard: int, policy: str = "") -> Ownership:
        """Take the shard: from now on commits of every earlier owner are fenced.

        ``policy`` is the digest of the owner's policies. The store keeps it for a shard without
        states. For any other shard the result has the digest that its wake-ups follow.

        Raises
        ------
        NewerFormatError
            A newer version has written it. The shard is not taken.
        """

    async def fix_partitions(self, count: int) -> int:
        """Store how many shards there are, unless that is stored; return the stored number."""

    async def load(self, owner: Ownership, keys: Sequence[KeyT]) -> dict[KeyT, StateT]:
        """Return the states of those keys that have one; the caller may change them.

        Raises
        ------
        UnreadableState
            Some of the states cannot be read; the error has their keys.
        """

    async def look(self, owner: Ownership, keys: Sequence[KeyT]) -> Look[KeyT, StateT]:
        """Return the states of those keys that have a readable one, right before a send.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """

    def scan(self, owner: Ownership) -> AsyncIterator[dict[KeyT, StateT]]:
        """Yield the states of the whole shard in bounded chunks, without the unreadable ones.

        A state that is not written meanwhile is yielded at least once.
        """

    async def arm(
        self, owner: Ownership, wakes: Mapping[KeyT, int | None], policy: str | None = None
    ) -> None:
        """Write only wake-ups and, if given, ``policy``: the digest that all of them follow.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[KeyT]:
        """Return keys whose wake-up is due at ``until_ms`` or before, the earliest first."""

    async def commit(self, owner: Ownership, commit: Commit[KeyT, StateT]) -> list[str]:
        """Write all of it or nothing, and return the ids of the outbox entries.

        Committing the same watermark again changes nothing and returns no ids. On success
        ``owner`` has the new watermark, the store's figures of wake-ups and outbox, and when the
        commit was requested: its entries may be sent as after a ``look`` at that moment.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store's watermark is not the one that this owner wrote, or its claim is gone.
        """

    async def outbox(self, owner: Ownership) -> list[tuple[str, Entry]]:
        """Return the committed entries that have not been removed, the oldest first."""

    async def remove(self, owner: Ownership, ids: Sequence[str]) -> None:
        """Remove published entries; ids that are already removed do no harm.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """

    async def stop(self, owner: Ownership, why: str) -> None:
        """Store why the owner stops the shard, for operators; the next claim removes it.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """


class Sink(Protocol):
    """Publishes records."""

    async def publish(self, entries: Sequence[Entry], looked: float) -> int:
        """Publish entries, and return how many are acknowledged, counted from the first.

        At least once, in order per key. ``looked`` is when the states that allow them were read,
        on the monotonic clock. Entries that could not be handed over soon enough after it are not
        sent: the process may have been paused, and the shard may have another owner by now.
        """


Encode = Callable[[Any, int], Entry]
"""Turns an effect or a dead letter into its record; the second argument is when it was decided."""
