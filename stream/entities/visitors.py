"""Visitors as a shard keeps them: their keys and states as bytes, their fold, their topics."""

from collections.abc import Sequence
from typing import Any, Final

from stream.adapters.wire import facts
from stream.adapters.wire.codec import STATE_FORMAT, decode_state, encode_state
from stream.domain.consent import stands
from stream.domain.context import FoldContext, FoldOutcome, ScoreFeatures
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.fold import apply
from stream.domain.kinds import REGISTRY
from stream.domain.kinds.kind import Kinds
from stream.domain.policy import Policies
from stream.domain.records import Trigger
from stream.domain.topics import LANES, TYPE_OF
from stream.domain.visitor import Visitor, VisitorKey
from stream.runtime.failpoint import arms, raising
from stream.shard.clock import Fact


class VisitorCodec:
    """Implements ``stream.shard.entity.Codec``."""

    format: Final = STATE_FORMAT
    encode = staticmethod(encode_state)
    decode = staticmethod(decode_state)

    @staticmethod
    def name_of(key: VisitorKey) -> bytes:
        """Implements ``Codec.name_of``; the length keeps tenants apart.

        Examples
        --------
        >>> VisitorCodec.name_of(VisitorKey("shop", "v1"))
        b'4:shopv1'
        """
        return f"{len(key.tenant)}:{key.tenant}{key.visitor}".encode()

    @staticmethod
    def key_of(name: bytes) -> VisitorKey:
        """Implements ``Codec.key_of``."""
        length, _, rest = name.decode().partition(":")
        return VisitorKey(rest[: int(length)], rest[int(length) :])


VISITOR_CODEC: Final = VisitorCodec()
FAILPOINT: Final = "fold"


class VisitorFold(FoldContext):
    """Implements ``stream.shard.entity.KeyFold``."""

    @property
    def is_empty(self) -> bool:
        """Implements ``KeyFold.is_empty``."""
        return self.state.is_unknown

    def apply(self, fact: Fact[Any], now_ms: int) -> str:
        """Implements ``KeyFold.apply``."""
        self.now_ms = now_ms
        self.received_ms = fact.record_ms if fact.received_ms is None else fact.received_ms
        return apply(self, fact.event, fact.at_ms, bot=fact.bot)

    def pass_deadlines(self, until_ms: int, judged_ms: int | None) -> None:
        """Implements ``KeyFold.pass_deadlines``."""
        pass_deadlines(self, until_ms, judged_ms)

    def follow(self, shared: Visitor) -> None:
        """Implements ``KeyFold.follow``; see ``VisitorEntity.shared_key``."""

    def next_due_ms(self) -> int | None:
        """Implements ``KeyFold.next_due_ms``."""
        return next_due_ms(self.state, self.policy, self.kinds)


class FailingFold(VisitorFold):
    """The fold of a process in which a failpoint is armed at ``fold``."""

    def apply(self, fact: Fact[Any], now_ms: int) -> str:
        """Fold, then fail if this is the armed visitor."""
        outcome = super().apply(fact, now_ms)
        raising(FAILPOINT, self.key.visitor)
        return outcome

    def pass_deadlines(self, until_ms: int, judged_ms: int | None) -> None:
        """Handle the deadlines, then fail if this is the armed visitor."""
        super().pass_deadlines(until_ms, judged_ms)
        raising(FAILPOINT, self.key.visitor)


class VisitorEntity:
    """Implements ``stream.shard.entity.Entity``."""

    topics: Final[Sequence[str]] = tuple(LANES)
    codec: Final = VISITOR_CODEC
    changing: Final = (FoldOutcome.APPLIED, FoldOutcome.WITHOUT_CART, FoldOutcome.STALE)
    answers: Final = (Trigger,)

    def __init__(self, policies: Policies, score: ScoreFeatures, kinds: Kinds = REGISTRY) -> None:
        self._policies, self._score, self._kinds = policies, score, kinds
        self.policy_digest = policies.digest()
        # Asked for once: a fold is much too frequent to ask each time.
        self._fold = FailingFold if arms(FAILPOINT) else VisitorFold

    read = staticmethod(facts.read)
    dead_letter = staticmethod(facts.dead_letter)
    type_name = staticmethod(TYPE_OF.__getitem__)

    @staticmethod
    def shared_key(key: VisitorKey) -> None:
        """Implements ``Entity.shared_key``: visitors share no state."""

    def open(
        self,
        key: VisitorKey,
        state: Visitor | None,
        effects: list[Any],
        shared: Visitor | None = None,  # noqa: ARG002 - see ``shared_key``
    ) -> VisitorFold:
        """Implements ``Entity.open``."""
        policy = self._policies.of(key.tenant)
        return self._fold(key, state or Visitor(), policy, self._score, 0, effects, self._kinds)

    @staticmethod
    def key_to_check(needs: Sequence[str]) -> VisitorKey:
        """Implements ``Entity.key_to_check``: after the trigger's kind come tenant and visitor."""
        _, tenant, visitor = needs
        return VisitorKey(tenant, visitor)

    def may_send(self, needs: Sequence[str], state: Visitor, now_ms: int) -> bool:
        """Implements ``Entity.may_send``: every purpose of the trigger's kind is still granted."""
        purposes = self._kinds.needs(needs[0])
        return all(stands(state.consent, purpose, now_ms) for purpose in purposes)
