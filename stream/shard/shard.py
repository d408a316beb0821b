"""One shard's step: load, fold, commit, publish, over a merged batch. There is no other path.

Whatever a step changes is committed at once or not at all, and nothing is published before it is
committed.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic

from stream.shard.clock import Fact
from stream.shard.defects import DefectiveKeys
from stream.shard.entity import Entity
from stream.shard.folding import Batch, Folding, Loaded, Report, opened
from stream.shard.last_look import lets_pass
from stream.shard.ports import (
    Commit,
    Encode,
    Entry,
    KeyT,
    Look,
    Ownership,
    Sink,
    StateT,
    Store,
    UnreadableState,
    Watermark,
)
from stream.shard.visit import STATE, FoldDefect, Visit

DUE_PER_STEP = 1_000
ALL = 2**31 - 1
# What is stored as the policies' digest before a shared state changes: it is nobody's.
OUTDATED = "outdated"


class Shard(Generic[KeyT, StateT]):
    """A shard in the hands of its owner. Steps are taken one after the other, each to its end."""

    def __init__(
        self,
        owner: Ownership,
        store: Store[KeyT, StateT],
        sink: Sink,
        encode: Encode,
        entity: Entity[KeyT, StateT],
    ) -> None:
        self.owner = owner
        self.entity = entity
        self._store = store
        self._sink = sink
        self._encode = encode
        self._defective: DefectiveKeys[KeyT] = DefectiveKeys()

    @property
    def must_rearm(self) -> bool:
        """Whether its wake-ups were computed by other policies or shared states than today's."""
        return self.owner.policy != self.entity.policy_digest

    async def rearm(self) -> AsyncIterator[None]:
        """Compute every wake-up anew by what holds today; yield after each bounded part.

        The policies' digest is written last: after a crash the next owner begins again.

        Raises
        ------
        FencedError, RewoundError
            The shard has a newer owner, or the store has lost this owner's claim.
        """
        async for states in self._store.scan(self.owner):
            loaded = await self._load(list(states))
            wakes = {
                key: opened(self.entity, key, loaded, [])[0].next_due_ms()
                for key in states
                if key not in loaded.unreadable
            }
            await self._store.arm(self.owner, wakes)
            yield
        await self._store.arm(self.owner, {}, self.entity.policy_digest)

    async def resume(self, *, live: bool, now_ms: int) -> int:
        """Publish what was committed and not seen acknowledged; return how much was withheld."""
        waiting = await self._store.outbox(self.owner)
        return await self._publish(waiting, live=live, now_ms=now_ms)

    async def discard(self) -> None:
        """Empty the outbox of a store that has lost its latest data: all of it is published."""
        waiting = await self._store.outbox(self.owner)
        await self._store.remove(self.owner, [entry_id for entry_id, _ in waiting])

    async def step(self, batch: Batch[KeyT]) -> Report:
        """Take one step.

        Raises
        ------
        FencedError, RewoundError
            Nothing of the step was written; see ``Store.commit``.
        TooManyDefectiveKeys
            Too many different keys have failed lately. Nothing of the step was written.
        """
        # A dict for a set: the order of what comes out must not depend on hashes.
        keys = dict.fromkeys([one.key for one in batch.inputs if isinstance(one, Fact)])
        shared = {key for key in keys if self.entity.shared_key(key) == key}
        # Before a shared state changes, all that was due by the old one is handled.
        due = await self._due(batch.clock.due_after(), ALL if shared else DUE_PER_STEP)
        folding, put_off = await self._folded(batch, keys, due, shared)
        report, visits = folding.report, folding.visits
        if batch.recovering:
            report = Report(report.events, defects=report.defects)
        effects = (*report.effects, *report.dead_letters)
        entries = [self._encode(one, batch.now_ms) for one in effects]
        if any(visits[key].is_changed for key in shared & visits.keys()):
            await self._store.arm(self.owner, {}, OUTDATED)
        ids = await self._store.commit(self.owner, self._changes(batch, visits, put_off, entries))
        waiting: list[tuple[str, Entry]] = []
        look = None
        if ids:  # what has just been committed is what the store holds, by its latest owner
            waiting = list(zip(ids, entries, strict=True))
            states = {key: visit.fold.state for key, visit in visits.items()}
            look = Look(states, self.owner.committed)
        elif entries:  # this very commit had been written, but its answer was lost
            waiting = await self._store.outbox(self.owner)
        report.withheld = await self._publish(
            waiting, live=batch.live, now_ms=batch.now_ms, look=look
        )
        return report

    async def _due(self, until_ms: int, limit: int) -> list[KeyT]:
        next_ms = self.owner.next_due_ms
        if next_ms is None or next_ms > until_ms:
            return []
        return await self._store.due(self.owner, until_ms, limit)

    async def _folded(
        self,
        batch: Batch[KeyT],
        keys: dict[KeyT, None],
        due: Sequence[KeyT],
        shared: AbstractSet[KeyT],
    ) -> tuple[Folding[KeyT, StateT], dict[KeyT, int]]:
        """Fold a step, and once more while keys fail; return also when to try those again."""
        keys = keys | dict.fromkeys(due)
        guarded: set[KeyT] = set()
        given_up: dict[KeyT, FoldDefect] = {}
        is_due = set(due)
        while True:
            loaded = await self._load([key for key in keys if key not in given_up])
            loaded.unreadable = {**loaded.unreadable, **given_up}
            folding = Folding(self.entity, batch, loaded, guarded, shared)
            for key in keys:
                if key not in loaded.unreadable:
                    folding.open(key, is_due=key in is_due)
            folding.run()
            if not folding.failed:
                return folding, self._put_off(batch, folding, is_due)
            given_up |= {  # not even the guard holds: its state cannot be copied
                key: FoldDefect(STATE, error)
                for key, error in folding.failed.items()
                if key in guarded
            }
            guarded |= folding.failed.keys()

    async def _load(self, keys: Sequence[KeyT]) -> Loaded[KeyT, StateT]:
        """Load states and those that they share; without the shared one a state is unreadable."""
        shared = {key: self.entity.shared_key(key) for key in keys}
        wanted = list(dict.fromkeys([*keys, *(one for one in shared.values() if one is not None)]))
        try:
            return Loaded(await self._store.load(self.owner, wanted))
        except UnreadableState as error:
            lost = FoldDefect(STATE, error)
            unreadable = dict.fromkeys(error.keys, lost)
            unreadable |= {key: lost for key, one in shared.items() if one in unreadable}
            readable = [key for key in wanted if key not in unreadable]
            return Loaded(await self._store.load(self.owner, readable), unreadable)

    def _put_off(
        self, batch: Batch[KeyT], folding: Folding[KeyT, StateT], due: set[KeyT]
    ) -> dict[KeyT, int]:
        """Note the keys that failed; return when their wake-ups are tried again."""
        failed = list(folding.defects)
        folding.report.defects = [defect for _, defect in failed]
        self._defective.note(failed, batch.now_ms)
        late = {key for key, visit in folding.visits.items() if visit.is_put_off}
        late |= {key for key, defect in failed if defect.what == STATE and key in due}
        self._defective.recovered(due - late)
        after_ms = batch.clock.due_after()
        return {key: after_ms + self._defective.retry_ms(key) for key in late}

    def _changes(
        self,
        batch: Batch[KeyT],
        visits: Mapping[KeyT, Visit[StateT]],
        put_off: Mapping[KeyT, int],
        entries: Sequence[Entry],
    ) -> Commit[KeyT, StateT]:
        changed = {key: visit for key, visit in visits.items() if visit.is_changed}
        last = self.owner.watermark
        wakes = {key: visit.due_ms() for key, visit in changed.items() if key not in put_off}
        return Commit(
            states={
                key: None if visit.fold.is_empty else visit.fold.state
                for key, visit in changed.items()
            },
            wakes={**wakes, **put_off},
            entries=entries,
            watermark=Watermark(
                batch.offsets,
                batch.clock.after_ms,
                last.step + 1,
                self.owner.topic_ids,
                batch.last,
            ),
        )

    async def _publish(
        self,
        waiting: Sequence[tuple[str, Entry]],
        *,
        live: bool,
        now_ms: int,
        look: Look[KeyT, StateT] | None = None,
    ) -> int:
        """Send what the states allow, and read them again if sending has taken too long."""
        withheld = 0
        while waiting:
            if look is None:
                keys = self._keys_to_check(entry for _, entry in waiting) if live else []
                look = await self._store.look(self.owner, keys)
            refused = {
                entry_id
                for entry_id, entry in waiting
                if live and not lets_pass(self.entity, entry, look.states, now_ms)
            }
            sent = [one for one in waiting if one[0] not in refused]
            done = await self._sink.publish([entry for _, entry in sent], look.asked)
            published = [entry_id for entry_id, _ in sent[:done]]
            await self._store.remove(self.owner, [*refused, *published])
            withheld += len(refused)
            waiting, look = sent[done:], None
        return withheld

    def _keys_to_check(self, entries: Iterable[Entry]) -> list[KeyT]:
        return [self.entity.key_to_check(one.needs) for one in entries if one.needs is not None]
