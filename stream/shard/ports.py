"""What a shard needs from the world: a store that commits all or nothing, and a sink.

The one rule: a port carries the contract; its implementations live at the edge and share one
suite of tests.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from stream.domain.records import Effect
from stream.domain.visitor import Visitor, VisitorKey

# Older than any moment an event can name: the clock of a shard that has not read anything.
BEGINNING_MS = -(2**53) - 1


class FencedError(Exception):
    """Somebody newer owns the shard: whatever was about to be written must not be."""


class RewoundError(Exception):
    """The store holds another watermark than this owner left there: it lost or regained data."""


class DeadLetter(Struct, frozen=True):
    """A record that can never be processed, with its original bytes and the reason.

    ``detail`` is one line for people without personal data. ``attempt`` counts how often the
    record has died; ``appended_ms`` is its timestamp, where the log has any.
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
    """One record to be published, as bytes; for a trigger also whose consent it needs."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    needs: tuple[str, str, str] | None = None


class Watermark(Struct, frozen=True):
    """Up to where a shard's state includes the log: next offset per topic, clock, and step.

    ``step`` rises with every commit, so that one that left the offsets alone is told apart.
    ``ids`` tells which topics these are, where the log says so: a name may be given anew.
    """

    offsets: dict[str, int] = {}
    clock_ms: int = BEGINNING_MS
    step: int = 0
    ids: dict[str, str] = {}


class Ownership(Struct):
    """Who may write a shard, and what its owner knows of the store's content."""

    shard: int
    epoch: int
    token: str
    watermark: Watermark
    next_due_ms: int | None
    armed: int = 0
    pending: int = 0
    stored: bytes = b""
    """The watermark as the store has it, which an older version may have written differently."""
    topic_ids: dict[str, str] = {}
    """Which topics it reads, to be kept with its watermark."""
    committed: float = float("-inf")
    """When its latest commit that was written was asked for, on the monotonic clock."""


class Commit(Struct):
    """Everything that one step changes. ``None`` deletes a state, or disarms a wake-up."""

    states: Mapping[VisitorKey, Visitor | None]
    wakes: Mapping[VisitorKey, int | None]
    entries: Sequence[Entry]
    watermark: Watermark


class Look(Struct):
    """Visitors' states as they were when nobody newer owned the shard, asked for at ``asked``.

    The moment is on the monotonic clock of whoever asked.
    """

    states: dict[VisitorKey, Visitor]
    asked: float


class Store(Protocol):
    """Where a shard's states, wake-ups, outbox and watermark live.

    An implementation whose server is away waits and tries again; it never answers falsely.
    """

    async def claim(self, shard: int) -> Ownership:
        """Take the shard: from now on every earlier owner's commit is fenced."""

    async def load(self, owner: Ownership, whos: Sequence[VisitorKey]) -> dict[VisitorKey, Visitor]:
        """Return the states of those visitors that have one; the caller may change them."""

    async def look(self, owner: Ownership, whos: Sequence[VisitorKey]) -> Look:
        """Return the states of those visitors that have one, right before something is sent.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """

    async def due(self, owner: Ownership, until_ms: int, limit: int) -> list[VisitorKey]:
        """Return visitors whose wake-up is due at ``until_ms`` or before, the earliest first."""

    async def commit(self, owner: Ownership, commit: Commit) -> list[str]:
        """Write all of it or nothing, and return the ids of the outbox entries.

        Committing the same watermark again changes nothing and returns no ids. On success
        ``owner`` holds the new watermark, what the store says of wake-ups and outbox, and when
        the commit was asked for: what it wrote may be sent as after a `look` of that moment.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store's watermark is not the one that this owner left there, or its claim is gone.
        """

    async def outbox(self, owner: Ownership) -> list[tuple[str, Entry]]:
        """Return the committed entries that have not been removed, the oldest first."""

    async def remove(self, owner: Ownership, ids: Sequence[str]) -> None:
        """Remove published entries; ids that are gone already do no harm.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """

    async def stop(self, owner: Ownership, why: str) -> None:
        """Note why the shard is read no further, for those who look; the next claim forgets it.

        Raises
        ------
        FencedError
            The shard has a newer owner.
        RewoundError
            The store has lost this owner's claim.
        """


class Sink(Protocol):
    """Where records are published."""

    async def publish(self, entries: Sequence[Entry], looked: float) -> int:
        """Return how many entries are acknowledged, counted from the first.

        At least once, in order per key. ``looked`` is when it was known that they may be sent,
        on the monotonic clock; what could not be handed over soon enough after it is left, for
        the process may have stood still, and the shard may have another owner by now.
        """


Encode = Callable[[Effect | DeadLetter, int], Entry]
"""Turns an effect into the record that tells of it; the second argument is when it was decided."""
