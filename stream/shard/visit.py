"""One key's part of a step: its facts and deadlines in order, and whether anything changed."""

from collections.abc import Container
from typing import Any, Final, Generic

from msgspec import Struct

from stream.shard.clock import Clock, Fact
from stream.shard.entity import Entity, KeyFold
from stream.shard.ports import BEGINNING_MS, KeyT, StateT

RECORD: Final = "record"
WAKE_UP: Final = "wake_up"
STATE: Final = "state"


class FoldDefect(Struct, frozen=True):
    """A failure while one key was folded; ``what`` is the record, wake-up or state that failed."""

    what: str
    error: Exception


class Visit(Generic[StateT]):
    """Folds what concerns one key; ``is_changed`` says that the state must be committed."""

    __slots__ = (
        *("_changing", "_due_ms", "_is_due_known"),
        *("fold", "is_changed", "is_put_off", "shared"),
    )

    def __init__(
        self, fold: KeyFold[StateT], shared: StateT | None, changing: Container[str]
    ) -> None:
        self.fold = fold
        self.shared = shared
        self._changing = changing
        self._due_ms: int | None = None
        self._is_due_known = False
        self.is_changed = False
        self.is_put_off = False  # its deadlines failed: they are tried again later

    def reach(self, clock: Clock) -> None:
        """Handle the deadlines before the fact that the clock has advanced to."""
        self._pass(clock.due_before_ms, clock)

    def take(self, fact: Fact[Any], clock: Clock) -> str | None:
        """Fold a fact that has been reached; return its outcome."""
        outcome = self.fold.apply(fact, clock.judged_at(fact))
        if outcome in self._changing:
            self.is_changed = True
            self._is_due_known = False
        return outcome

    def follow(self, shared: StateT) -> None:
        """Go on by the state that it shares with other keys, which has changed."""
        self.shared = shared
        self.fold.follow(shared)
        self._is_due_known = False

    def close(self, clock: Clock) -> None:
        """Handle the deadlines after the step's last fact."""
        self._pass(clock.due_after(), clock)
        if self.is_changed:
            self.due_ms()

    def due_ms(self) -> int | None:
        """Return when the state needs looking at next."""
        if not self._is_due_known:
            self._due_ms = self.fold.next_due_ms()
            self._is_due_known = True
        return self._due_ms

    def _pass(self, until_ms: int, clock: Clock) -> None:
        due_ms = self.due_ms()
        if due_ms is not None and due_ms <= until_ms:
            self.fold.pass_deadlines(until_ms, clock.judged_by())
            self.is_changed = True
            self._is_due_known = False


class GuardedVisit(Visit[StateT]):
    """A visit of a key that has failed: what fails in it is undone, and the rest goes on.

    A fact that fails changes nothing. Deadlines that fail are put off, and none is handled in
    the rest of the step. Each attempt costs a copy of the state, so only failed keys get one.
    """

    __slots__ = ("_effects", "_entity", "_key", "defects")

    def __init__(
        self,
        entity: Entity[KeyT, StateT],
        key: KeyT,
        fold: KeyFold[StateT],
        shared: StateT | None,
        effects: list[Any],
    ) -> None:
        super().__init__(fold, shared, entity.changing)
        self._entity, self._key, self._effects = entity, key, effects
        self.defects: list[FoldDefect] = []

    def take(self, fact: Fact[Any], clock: Clock) -> str | None:
        """Fold a fact that has been reached; return its outcome, None if it failed."""
        copy = self._copy()
        try:
            outcome = self.fold.apply(fact, clock.judged_at(fact))
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one key's failure must not stop the others
            self._undo(copy, FoldDefect(RECORD, error))
            return None
        if outcome in self._changing:
            self.is_changed = True
            self._is_due_known = False
        return outcome

    def close(self, clock: Clock) -> None:
        """Handle the deadlines after the step's last fact."""
        self._pass(clock.due_after(), clock)
        if not self.is_put_off:
            self._pass(BEGINNING_MS, clock)  # is the next one known by now?

    def _pass(self, until_ms: int, clock: Clock) -> None:
        if self.is_put_off:
            return
        copy = self._copy()
        try:
            super()._pass(until_ms, clock)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - one key's failure must not stop the others
            self._undo(copy, FoldDefect(WAKE_UP, error))
            self.is_put_off = True
            self.is_changed = True

    def _copy(self) -> tuple[bytes, int]:
        return self._entity.codec.encode(self.fold.state), len(self._effects)

    def _undo(self, copy: tuple[bytes, int], defect: FoldDefect) -> None:
        data, effects = copy
        del self._effects[effects:]
        state = self._entity.codec.decode(data)
        self.fold = self._entity.open(self._key, state, self._effects, self.shared)
        self.defects.append(defect)
