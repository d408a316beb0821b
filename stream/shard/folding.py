"""The fold of one step: all facts in merged order, then the deadlines that they leave due.

A failure of one key costs that key's record or wake-up and nothing else: the step is folded once
more with a guard around the keys that failed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, Generic

from msgspec import Struct, field

from stream.shard.clock import Clock, Fact
from stream.shard.entity import Entity, KeyFold
from stream.shard.merge import LastRecord
from stream.shard.ports import BEGINNING_MS, DEFECT, DeadLetter, KeyT, StateT
from stream.shard.visit import FoldDefect, GuardedVisit, Visit

DEAD: Final = "dead_letter"


class Batch(Struct, Generic[KeyT]):
    """What one step is made of: inputs in merged order, and the offsets after them.

    ``last`` are the last records below these offsets, as far as they are known.
    ``now_ms`` is the worker's clock; ``live`` says that states are read once more right before
    triggers are sent. ``recovering`` says that the store has lost the result of these inputs, and
    that all of it had been published: only the state is to be made again.
    """

    inputs: Sequence[Fact[KeyT] | DeadLetter]
    offsets: dict[str, int]
    clock: Clock
    now_ms: int
    live: bool
    recovering: bool = False
    last: dict[str, LastRecord] = {}


class Report(Struct):
    """What a step did: events by topic, type and outcome, and everything it decided.

    ``answered_ms`` holds, per trigger that a record caused, that record's timestamp; ``withheld``
    counts entries that were not sent because a state no longer allowed it.
    """

    events: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    effects: list[Any] = []
    dead_letters: list[DeadLetter] = []
    answered_ms: list[int] = []
    withheld: int = 0
    defects: list[FoldDefect] = []


class Loaded(Struct, Generic[KeyT, StateT]):
    """The states of a step's keys, the shared ones too, and the keys without a readable one."""

    states: Mapping[KeyT, StateT]
    unreadable: Mapping[KeyT, FoldDefect] = {}


def opened(
    entity: Entity[KeyT, StateT], key: KeyT, loaded: Loaded[KeyT, StateT], effects: list[Any]
) -> tuple[KeyFold[StateT], StateT | None]:
    """Begin a key's part in a step; return it and the state that it shares, if there is one."""
    shared_key = entity.shared_key(key)
    shared = None if shared_key is None else loaded.states.get(shared_key)
    return entity.open(key, loaded.states.get(key), effects, shared), shared


class Folding(Generic[KeyT, StateT]):
    """One attempt at a step's fold; ``guarded`` are the keys that failed in an earlier one.

    ``shared`` are the keys of shared states that the step has facts for.
    """

    def __init__(
        self,
        entity: Entity[KeyT, StateT],
        batch: Batch[KeyT],
        loaded: Loaded[KeyT, StateT],
        guarded: AbstractSet[KeyT],
        shared: AbstractSet[KeyT],
    ) -> None:
        self.report = Report()
        self.failed: dict[KeyT, Exception] = {}
        self.visits: dict[KeyT, Visit[StateT]] = {}
        self._guarded: dict[KeyT, GuardedVisit[StateT]] = {}
        self._entity = entity
        self._batch = batch
        self._loaded = loaded
        self._guard = guarded
        self._shared = shared

    def open(self, key: KeyT, *, is_due: bool) -> None:
        """Begin the visit of a key; one that ``is_due`` gets its wake-up written anew."""
        entity, effects = self._entity, self.report.effects
        fold, shared = opened(entity, key, self._loaded, effects)
        if key in self._guard:
            visit: Visit[StateT] = GuardedVisit(entity, key, fold, shared, effects)
        else:
            visit = Visit(fold, shared, entity.changing)
        visit.is_changed = is_due
        self.visits[key] = visit

    def run(self) -> None:
        """Fold everything; keys that fail are in ``failed``, and the result is void then."""
        clock = self._batch.clock
        clock.begin()
        self._fold(clock)
        for key, visit in self.visits.items():
            if key not in self.failed:
                try:
                    visit.close(clock)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - folded once more with a guard
                    self.failed[key] = error

    @property
    def defects(self) -> Iterator[tuple[KeyT, FoldDefect]]:
        """Every failure of the guarded visits, and every state that cannot be read."""
        yield from self._loaded.unreadable.items()
        for key, visit in self.visits.items():
            if isinstance(visit, GuardedVisit):
                yield from ((key, defect) for defect in visit.defects)

    def _fold(self, clock: Clock) -> None:
        report = self.report
        outcomes: Counter[tuple[str, type, str]] = Counter()
        for one in self._batch.inputs:
            if isinstance(one, DeadLetter):
                report.dead_letters.append(one)
                report.events[one.topic, "unknown", DEAD] += 1
                continue
            clock.advance(one)
            outcomes[one.topic, type(one.event), self._take(one, clock)] += 1
        for (topic, kind, outcome), count in outcomes.items():
            report.events[topic, self._entity.type_name(kind), str(outcome)] += count

    def _take(self, fact: Fact[KeyT], clock: Clock) -> str:
        """Fold one fact; return its outcome."""
        if self._shared and fact.key in self._shared:
            return self._take_shared(fact, clock)
        return self._take_one(fact, clock)

    def _take_shared(self, fact: Fact[KeyT], clock: Clock) -> str:
        """Fold a fact for a shared state; what was due earlier still follows the old one."""
        sharing = [
            (key, visit)
            for key, visit in self.visits.items()
            if key != fact.key and self._entity.shared_key(key) == fact.key
        ]
        if clock.due_before_ms > BEGINNING_MS:
            for key, visit in sharing:
                try:
                    visit.reach(clock)
                except MemoryError:
                    raise
                except Exception as error:  # noqa: BLE001 - folded once more with a guard
                    self.failed[key] = error
        outcome = self._take_one(fact, clock)
        if fact.key in self.visits:
            for _, visit in sharing:
                visit.follow(self.visits[fact.key].fold.state)
        return outcome

    def _take_one(self, fact: Fact[KeyT], clock: Clock) -> str:
        visit, effects = self.visits.get(fact.key), self.report.effects
        if visit is None:
            return self._give_up(fact)
        try:
            if clock.due_before_ms > BEGINNING_MS:
                visit.reach(clock)
            seen = len(effects)
            outcome = visit.take(fact, clock)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - folded once more with a guard
            self.failed[fact.key] = error
            del self.visits[fact.key]
            return DEAD
        if outcome is None:
            return self._give_up(fact)
        if len(effects) > seen:
            answers = (one for one in effects[seen:] if isinstance(one, self._entity.answers))
            self.report.answered_ms.extend(fact.record_ms for _ in answers)
        return outcome

    def _give_up(self, fact: Fact[KeyT]) -> str:
        """Turn a fact that cannot be folded into a dead letter."""
        if fact.key not in self.failed:
            detail = "folding it failed; the worker's log has the place in the code"
            self.report.dead_letters.append(self._entity.dead_letter(fact, DEFECT, detail))
        return DEAD
