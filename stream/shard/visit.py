"""One visitor's part of a step: its facts and deadlines in order, and whether anything changed."""

from stream.domain.context import FoldContext
from stream.domain.deadlines import next_due_ms, pass_deadlines
from stream.domain.fold import FoldOutcome, apply
from stream.domain.visitor import Visitor
from stream.shard.clock import Clock, Fact
from stream.shard.ports import BEGINNING_MS

CHANGING = (FoldOutcome.APPLIED, FoldOutcome.STALE)


class Visit:
    """Folds what concerns one visitor; ``is_changed`` says that the state must be committed."""

    __slots__ = ("_context", "_due_ms", "_is_due_known", "is_changed")

    def __init__(self, context: FoldContext) -> None:
        self._context = context
        self._due_ms: int | None = None
        self._is_due_known = False
        self.is_changed = False

    @property
    def state(self) -> Visitor:
        """The state as folded so far."""
        return self._context.state

    def reach(self, fact: Fact, clock: Clock) -> None:
        """Let the deadlines pass that come before a fact."""
        until_ms = clock.due_before(fact)
        if until_ms > BEGINNING_MS:
            self._pass(until_ms, clock)

    def take(self, fact: Fact, clock: Clock) -> FoldOutcome:
        """Fold a fact that has been reached."""
        self._context.now_ms = clock.judged_at(fact)
        outcome = apply(self._context, fact.event, fact.at_ms, bot=fact.bot)
        if outcome in CHANGING:
            self.is_changed = True
            self._is_due_known = False
        return outcome

    def close(self, clock: Clock) -> None:
        """Let the deadlines pass that come after the step's last fact."""
        self._pass(clock.due_after(), clock)

    def due_ms(self) -> int | None:
        """Return when the visitor's state needs looking at next."""
        if not self._is_due_known:
            context = self._context
            self._due_ms = next_due_ms(context.state, context.policy, context.kinds)
            self._is_due_known = True
        return self._due_ms

    def _pass(self, until_ms: int, clock: Clock) -> None:
        due_ms = self.due_ms()
        if due_ms is not None and due_ms <= until_ms:
            pass_deadlines(self._context, until_ms, clock.judged_by())
            self.is_changed = True
            self._is_due_known = False
