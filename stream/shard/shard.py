"""One shard's step: load, fold, commit, publish, over a merged batch. There is no other path.

The one rule: whatever a step changes is committed at once or not at all, and nothing is
published before it is committed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from stream.domain.context import FoldContext, ScoreFeatures
from stream.domain.events import Event
from stream.domain.kinds import REGISTRY
from stream.domain.policy import Policy
from stream.domain.records import Effect, Trigger
from stream.domain.topics import TYPE_OF
from stream.domain.visitor import Visitor, VisitorKey
from stream.shard.clock import Clock, Fact
from stream.shard.last_look import lets_pass
from stream.shard.ports import (
    Commit,
    DeadLetter,
    Encode,
    Entry,
    Look,
    Ownership,
    Sink,
    Store,
    Watermark,
)
from stream.shard.visit import Visit

DUE_PER_STEP = 1_000


class Batch(Struct):
    """What one step is made of: inputs in merged order, and the offsets after them.

    ``now_ms`` is the wall clock; ``live`` says that triggers are asked for consent once more
    right before they are sent. ``recovering`` says that the store has lost what all of this came
    to, and that whatever it came to had been published: only the state is to be made again.
    """

    inputs: Sequence[Fact | DeadLetter]
    offsets: dict[str, int]
    clock: Clock
    now_ms: int
    live: bool
    recovering: bool = False


class Report(Struct):
    """What a step did: events by topic, type and outcome, and everything it decided.

    ``answered_ms`` holds, per trigger that a record caused, that record's timestamp; ``withheld``
    counts triggers that a last look did not let pass.
    """

    events: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    effects: list[Effect] = []
    dead_letters: list[DeadLetter] = []
    answered_ms: list[int] = []
    withheld: int = 0


class Shard:
    """A shard in the hands of its owner. Steps are taken one after the other, each to its end."""

    def __init__(  # noqa: PLR0913, PLR0917 - the ports, all of them
        self,
        owner: Ownership,
        store: Store,
        sink: Sink,
        encode: Encode,
        policy: Policy,
        score: ScoreFeatures,
    ) -> None:
        self.owner = owner
        self._store = store
        self._sink = sink
        self._encode = encode
        self._policy = policy
        self._score = score

    async def resume(self, *, live: bool, now_ms: int) -> int:
        """Publish what was committed and not seen acknowledged; return how much was withheld."""
        waiting = await self._store.outbox(self.owner)
        return await self._publish(waiting, live=live, now_ms=now_ms)

    async def discard(self) -> None:
        """Empty the outbox of a store that has lost what came after: all of it is published."""
        waiting = await self._store.outbox(self.owner)
        await self._store.remove(self.owner, [entry_id for entry_id, _ in waiting])

    async def step(self, batch: Batch) -> Report:
        """Take one step.

        Raises
        ------
        FencedError, RewoundError
            Nothing of the step was written; see ``Store.commit``.
        """
        due = await self._due(batch.clock.due_after())
        # A dict for a set: the order of what comes out must not depend on hashes.
        whos = dict.fromkeys([one.who for one in batch.inputs if isinstance(one, Fact)])
        whos |= dict.fromkeys(due)
        states = await self._store.load(self.owner, list(whos))
        report = Report()
        visits = {who: self._visit(who, states, report) for who in whos}
        for who in due:
            visits[who].is_changed = True  # so that its wake-up is settled, whatever it says
        self._fold(batch, visits, report)
        if batch.recovering:
            report = Report(report.events)
        told = (*report.effects, *report.dead_letters)
        entries = [self._encode(one, batch.now_ms) for one in told]
        ids = await self._store.commit(self.owner, self._changes(batch, visits, entries))
        waiting: list[tuple[str, Entry]] = []
        look = None
        if ids:  # what has just been committed is what the store holds, by its latest owner
            waiting = list(zip(ids, entries, strict=True))
            states = {who: visit.state for who, visit in visits.items()}
            look = Look(states, self.owner.committed)
        elif entries:  # this very commit had been written, but its answer was lost
            waiting = await self._store.outbox(self.owner)
        report.withheld = await self._publish(
            waiting, live=batch.live, now_ms=batch.now_ms, look=look
        )
        return report

    async def _due(self, until_ms: int) -> list[VisitorKey]:
        next_ms = self.owner.next_due_ms
        if next_ms is None or next_ms > until_ms:
            return []
        return await self._store.due(self.owner, until_ms, DUE_PER_STEP)

    def _fold(self, batch: Batch, visits: Mapping[VisitorKey, Visit], report: Report) -> None:
        clock, effects = batch.clock, report.effects
        outcomes = Counter[tuple[str, type[Event], str]]()
        for one in batch.inputs:
            if isinstance(one, DeadLetter):
                report.dead_letters.append(one)
                report.events[one.topic, "unknown", "dead_letter"] += 1
                continue
            visit = visits[one.who]
            visit.reach(one, clock)
            seen = len(effects)
            outcomes[one.topic, type(one.event), visit.take(one, clock)] += 1
            if len(effects) > seen:
                new = (effect for effect in effects[seen:] if isinstance(effect, Trigger))
                report.answered_ms.extend(one.record_ms for _ in new)
        for (topic, kind, outcome), count in outcomes.items():
            report.events[topic, TYPE_OF[kind], str(outcome)] += count
        for visit in visits.values():
            visit.close(clock)

    def _visit(
        self, who: VisitorKey, states: Mapping[VisitorKey, Visitor], report: Report
    ) -> Visit:
        state = states.get(who) or Visitor()
        return Visit(
            FoldContext(who, state, self._policy, self._score, 0, report.effects, REGISTRY)
        )

    def _changes(
        self, batch: Batch, visits: Mapping[VisitorKey, Visit], entries: Sequence[Entry]
    ) -> Commit:
        changed = {who: visit for who, visit in visits.items() if visit.is_changed}
        known = self.owner.watermark
        return Commit(
            states={
                who: None if visit.state.is_unknown else visit.state
                for who, visit in changed.items()
            },
            wakes={who: visit.due_ms() for who, visit in changed.items()},
            entries=entries,
            watermark=Watermark(
                batch.offsets, batch.clock.after_ms, known.step + 1, self.owner.topic_ids
            ),
        )

    async def _publish(
        self,
        waiting: Sequence[tuple[str, Entry]],
        *,
        live: bool,
        now_ms: int,
        look: Look | None = None,
    ) -> int:
        """Send what a last look allows, and look again where sending has taken too long."""
        withheld = 0
        while waiting:
            if look is None:
                whos = [
                    VisitorKey(*entry.needs[1:]) for _, entry in waiting if entry.needs is not None
                ]
                look = await self._store.look(self.owner, whos if live else ())
            refused = {
                entry_id
                for entry_id, entry in waiting
                if live and not lets_pass(entry, look.states, now_ms)
            }
            sent = [one for one in waiting if one[0] not in refused]
            done = await self._sink.publish([entry for _, entry in sent], look.asked)
            published = [entry_id for entry_id, _ in sent[:done]]
            await self._store.remove(self.owner, [*refused, *published])
            withheld += len(refused)
            waiting, look = sent[done:], None
        return withheld
