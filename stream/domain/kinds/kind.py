"""What a kind of trigger is: a value that owns everything specific to it.

A kind proposes candidates; the arbiter in `stream.domain.campaign` decides. A kind keeps what it
remembers of a visitor in the visitor's state, under its own name, and nowhere else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from msgspec import Raw, Struct
from msgspec.msgpack import Decoder

from stream.domain.campaign.reasons import Reason
from stream.domain.consent import PURPOSES, Purpose
from stream.domain.context import FoldContext
from stream.domain.events import Event
from stream.domain.kinds.subject import NOTHING, Subject
from stream.domain.policy import Policy
from stream.domain.records import Trigger, TriggerClass
from stream.domain.visitor import Behaviour

ParametersT = TypeVar("ParametersT", bound=Struct)
MemoryT = TypeVar("MemoryT", bound=Struct)
SituationT = TypeVar("SituationT")

# A table of named checks, read from top to bottom: the first one that holds is the reason.
Refusals = tuple[tuple[Reason, Callable[[SituationT], bool]], ...]


class Candidate(Struct, frozen=True, kw_only=True):
    """A trigger that a kind proposes.

    ``identity`` distinguishes the decisions of one kind about one visitor. ``refusals`` are the
    kind's own checks; each is asked about ``situation`` at the moment of the decision.
    """

    kind: "AnyKind"
    identity: tuple[str | int, ...]
    step: int = 0
    why: str
    due_ms: int
    expires_ms: int
    evidence: list[str] = []
    subject: Subject = NOTHING
    refusals: Refusals[Any] = ()
    situation: Any = None


class Sample(Struct, frozen=True):
    """A made-up trigger to try templates with."""

    step: int
    subject: Subject


class Heard(Struct):
    """An event that has been applied to a visitor's behaviour; ``at_ms`` is its clamped time.

    ``is_history``: it had to be clamped to the past. It must make nothing due.
    """

    context: FoldContext
    behaviour: Behaviour
    event: Any
    at_ms: int
    is_history: bool = False


NO_CANDIDATES: Final[Sequence[Candidate]] = ()

Hear = Callable[[Heard], Sequence[Candidate]]


def _note_nothing(_: Behaviour, candidate: Candidate, reason: Reason) -> None:
    del candidate, reason


def _drop_nothing(_: Behaviour) -> None:
    pass


def _no_objection(_: Trigger, behaviour: Behaviour) -> None:
    del behaviour


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind(Generic[ParametersT, MemoryT]):
    """One kind of trigger. `name` is what triggers, decisions, settings and states call it.

    Parameters
    ----------
    needs
        The purposes that must be granted when a trigger is due and when it is sent. If one of them
        is refused, triggers of this kind are cancelled.
    parameters
        The type of its settings: names, units, bounds and defaults as in the contract.
    memory
        The type of what it remembers of a visitor. Fields may be added at the end, with a default.
    hears
        What it does when an event has been applied; a returned candidate is decided at once, but
        none of an event that is history. An exit signal with an empty cart is not heard.
    due_ms
        When it has to propose something next, from what it remembers; None: not at all. It is
        asked only about visitors of whom it remembers something.
    offer
        Its candidates at the moment that `due_ms` returned, at least one; once they are noted it
        must be due later or not at all.
    note
        Called with the outcome of each of its candidates.
    drop
        Drops what is pending, because one of `needs` (but ``personalization``, whose refusal
        deletes all behaviour) has been refused.
    recheck
        Why a published trigger must not be sent after all, by the visitor's behaviour right now;
        None: it may. Expiry, consent and cancels are checked for every kind.
    samples
        Made-up triggers for previews, that with the fewest details last.
    """

    name: str
    class_: TriggerClass
    needs: tuple[Purpose, ...]
    description: str
    parameters: type[ParametersT]
    memory: type[MemoryT]
    hears: Mapping[type[Event], Hear] = field(default_factory=dict)
    due_ms: Callable[[Behaviour, MemoryT, ParametersT], int | None] | None = None
    offer: Callable[[Behaviour, MemoryT, ParametersT, int], Sequence[Candidate]] | None = None
    note: Callable[[Behaviour, Candidate, Reason], None] = _note_nothing
    drop: Callable[[Behaviour], None] = _drop_nothing
    recheck: Callable[[Trigger, Behaviour], Reason | None] = _no_objection
    samples: tuple[Sample, ...] = (Sample(0, NOTHING),)

    def parameters_in(self, policy: Policy) -> ParametersT:
        """Return the parameters of a policy; the defaults if it has none for this kind."""
        parameters: Any = policy.parameters.get(self.name)
        return self._defaults if parameters is None else parameters

    def memory_in(self, behaviour: Behaviour) -> MemoryT | None:
        """Return what this kind remembers of a visitor, to be changed in place; None: nothing."""
        memories: dict[str, Any] = behaviour.memory
        memory = memories.get(self.name)
        if type(memory) is Raw:
            memory = memories[self.name] = self._decoder.decode(memory)
        return memory

    def remember(self, behaviour: Behaviour) -> MemoryT:
        """Return what this kind remembers of a visitor, to be changed in place; new if nothing."""
        memory = self.memory_in(behaviour)
        if memory is None:
            memory = self.memory()
            memories: dict[str, Any] = behaviour.memory
            memories[self.name] = memory
        return memory

    def next_due_ms(self, behaviour: Behaviour, policy: Policy) -> int | None:
        """Return when this kind has to propose something about a visitor next; None: never."""
        memories: dict[str, Any] = behaviour.memory
        memory = memories.get(self.name)
        if type(memory) is Raw:
            memory = self.memory_in(behaviour)
        if memory is None or self.due_ms is None:
            return None
        return self.due_ms(behaviour, memory, self.parameters_in(policy))

    def offered(self, behaviour: Behaviour, policy: Policy, due_ms: int) -> Sequence[Candidate]:
        """Return the candidates that are due at exactly that moment."""
        if self.offer is None or self.next_due_ms(behaviour, policy) != due_ms:
            return NO_CANDIDATES
        memory, parameters = self.remember(behaviour), self.parameters_in(policy)
        candidates = self.offer(behaviour, memory, parameters, due_ms)
        if not candidates:  # it would be due at this moment for ever
            raise RuntimeError(f"the kind {self.name} is due and offers nothing")
        return candidates

    @cached_property
    def _defaults(self) -> ParametersT:
        return self.parameters()

    @cached_property
    def _decoder(self) -> Decoder[MemoryT]:
        return Decoder(self.memory)


AnyKind = Kind[Any, Any]


class Kinds:
    """The kinds that a program knows, in the order of their priority; looked up, never searched."""

    def __init__(self, kinds: Iterable[AnyKind]) -> None:
        self.all: Final = tuple(kinds)
        self.of: Final[dict[str, AnyKind]] = {kind.name: kind for kind in self.all}
        if len(self.of) < len(self.all):
            raise ValueError("two kinds have the same name")
        self.ranks: Final = {kind.name: rank for rank, kind in enumerate(self.all)}
        self.timed: Final = {kind.name: kind for kind in self.all if kind.due_ms is not None}
        self.hears: Final[dict[type[Event], tuple[Hear, ...]]] = {
            event: tuple(kind.hears[event] for kind in self.all if event in kind.hears)
            for event in {event: None for kind in self.all for event in kind.hears}
        }

    def needs(self, name: str) -> tuple[Purpose, ...]:
        """Return the purposes that a kind needs: all, if this version does not know the kind."""
        kind = self.of.get(name)
        return PURPOSES if kind is None else kind.needs
