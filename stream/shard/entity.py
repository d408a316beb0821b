"""What is given to a shard: the keys and states that it keeps, how they are folded, and from where.

A shard knows no key. An `Entity` is one kind of key, visitors for example: its input topics, its
fold, and the bytes in which its keys and states are stored. Nothing here reads a clock or waits.

Some keys may share a state, such as what their tenant has decided. It lies under a key of its own;
its sender writes each record for it to every partition, and every shard keeps a copy.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Any, Protocol

from stream.shard.clock import Fact
from stream.shard.merge import Record
from stream.shard.ports import DeadLetter, KeyT, StateT


class Codec(Protocol[KeyT, StateT]):
    """The bytes in which keys and states are stored."""

    @property
    def format(self) -> int:
        """The number of the format of all that a shard stores: states, outbox entries, watermark.

        It rises with every change that an older version cannot read; such a version then refuses
        to claim the shard.
        """

    def name_of(self, key: KeyT) -> bytes:
        """Return the bytes that stand for a key; different keys have different bytes."""

    def key_of(self, name: bytes) -> KeyT:
        """Return the key that `name_of` turned into these bytes."""

    def encode(self, state: StateT) -> bytes:
        """Return a state's bytes."""

    def decode(self, data: bytes) -> StateT:
        """Return the state that `encode` made, of this format or the one before.

        Raises
        ------
        UnreadableState
            The bytes are damaged, or of a format that this version cannot read.
        """


class KeyFold(Protocol[StateT]):
    """One key's part in a step. It changes its state in place and adds to the step's effects."""

    @property
    def state(self) -> StateT:
        """The state as folded so far."""

    @property
    def is_empty(self) -> bool:
        """Whether the state says nothing, so that it need not be stored."""

    def apply(self, fact: Fact[Any], now_ms: int) -> str:
        """Fold one fact, judged at ``now_ms``; return its outcome."""

    def pass_deadlines(self, until_ms: int, judged_ms: int | None) -> None:
        """Handle every deadline up to and including ``until_ms``, the earliest first.

        They are judged at ``judged_ms``; None judges each at its own moment.
        """

    def next_due_ms(self) -> int | None:
        """Return the next deadline; None if there is none."""

    def follow(self, shared: StateT) -> None:
        """Go on by the state that it shares with other keys, which has changed."""


class Entity(Protocol[KeyT, StateT]):
    """One kind of key. Effects are opaque to the shard; the encoder that it is given knows them."""

    @property
    def topics(self) -> Sequence[str]:
        """The input topics, in the order in which records of the same moment are folded."""

    @property
    def codec(self) -> Codec[KeyT, StateT]:
        """The bytes in which keys and states are stored."""

    @property
    def changing(self) -> Container[str]:
        """The outcomes after which a state must be stored."""

    @property
    def answers(self) -> tuple[type, ...]:
        """The types of effects whose delay since their record is measured."""

    @property
    def policy_digest(self) -> str:
        """A digest of every policy that deadlines depend on."""

    def read(self, records: Iterable[Record]) -> list[Fact[KeyT] | DeadLetter]:
        """Return what each record says, in order."""

    def dead_letter(self, fact: Fact[KeyT], reason: str, detail: str) -> DeadLetter:
        """Return the dead letter of a fact that could not be folded, with its original bytes."""

    def type_name(self, event_type: type) -> str:
        """Return the name under which events of a type are counted."""

    def open(
        self, key: KeyT, state: StateT | None, effects: list[Any], shared: StateT | None = None
    ) -> KeyFold[StateT]:
        """Begin a key's part in a step; without a stored state it begins with a new one.

        ``shared`` is the state that it shares with other keys: None if there is none yet.
        """

    def shared_key(self, key: KeyT) -> KeyT | None:
        """Return the key under which the state lies that this key shares with others.

        None: it shares none. Such a key is its own.
        """

    def key_to_check(self, needs: Sequence[str]) -> KeyT:
        """Return the key whose state decides whether an entry with these needs may be sent."""

    def may_send(self, needs: Sequence[str], state: StateT, now_ms: int) -> bool:
        """Say whether the state at ``now_ms`` still allows an entry with these needs."""
