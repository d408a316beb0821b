"""What should have come of a log: the product's own engine over it, in one piece, undisturbed.

It is what ``cartwake replay`` runs, by the clock that the contract gives to a log on Kafka: the
records' timestamps. The plain second implementation in ``tests/reference`` judges beside it.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.facts import read
from stream.adapters.wire.outgoing import outgoing
from stream.config.policy import policies_of
from stream.config.settings import Settings
from stream.domain.topics import LANES
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.shard.clock import Fact, RecordsClock
from stream.shard.folding import Batch
from stream.shard.merge import Mark, Merge
from stream.shard.shard import Shard
from tests.rig.kafka import Message
from tests.scenarios.world import Record

STEP = 5_000


class Expected(NamedTuple):
    """Bodies by id without their scores; dead letters by id; outcomes; states at the end."""

    triggers: dict[str, dict[str, Any]]
    decisions: dict[str, dict[str, Any]]
    cancels: dict[str, dict[str, Any]]
    dead: dict[str, str]
    outcomes: Counter[str]
    states: dict[tuple[int, VisitorKey], Visitor]


async def replayed(
    inputs: Iterable[Message], settings: Settings, until_ms: int | None = None
) -> Expected:
    """Return what the log leads to, shard by shard.

    ``until_ms`` is a moment after the last record, up to which deadlines pass, too: live they do.
    """
    by_shard: defaultdict[int, list[Message]] = defaultdict(list)
    for message in inputs:
        by_shard[message.partition].append(message)
    sink, store, outcomes = MemorySink(), MemoryStore(VISITOR_CODEC), Counter[str]()
    for number, messages in sorted(by_shard.items()):
        owner = await store.claim(number)
        shard = Shard(
            owner, store, sink, _encode, VisitorEntity(policies_of(settings), lambda *_: None)
        )
        await _fold(shard, _merged(messages), outcomes, until_ms)
    states = {
        (number, who): state
        for number, kept in store._shards.items()
        for who, state in (await store.load(await store.claim(number), list(kept.states))).items()
    }
    return Expected(*(_by_id(sink, topic) for topic in BODIES), _dead(sink), outcomes, states)


BODIES = ("triggers", "decisions", "trigger-cancels")
IDS = {"triggers": "trigger_id", "decisions": "decision_id", "trigger-cancels": "trigger_id"}


def without_score(body: dict[str, Any]) -> dict[str, Any]:
    """Return a body without what the models believed: it depends on when they had learnt what."""
    return {name: part for name, part in body.items() if name != "score"}


async def _fold(shard: Shard, merge: Merge, outcomes: Counter[str], until_ms: int | None) -> None:
    while len(merge):
        inputs = read(merge.take(STEP))
        facts = (one for one in inputs if isinstance(one, Fact))
        clock = RecordsClock(shard.owner.watermark.clock_ms, facts, at_end=not len(merge))
        report = await shard.step(Batch(inputs, merge.offsets(), clock, 0, live=False))
        for (_, _, outcome), count in report.events.items():
            outcomes[outcome] += count
    end_ms = max(shard.owner.watermark.clock_ms, until_ms or 0)
    while (due_ms := shard.owner.next_due_ms) is not None and due_ms <= end_ms:
        clock = RecordsClock(end_ms, (), at_end=True)
        await shard.step(Batch((), merge.offsets(), clock, 0, live=False))


def _merged(messages: Sequence[Message]) -> Merge:
    merge = Merge(dict.fromkeys(LANES, 0))
    for topic, lane in merge.lanes.items():
        records = [
            Record(it.topic, it.partition, it.offset, it.timestamp_ms, it.key, it.value)
            for it in messages
            if it.topic == topic
        ]
        lane.receive(records, records[-1].offset + 1 if records else 0, 0.0)
        lane.mark(Mark(1.0, 0, lane.position))
    return merge


def _encode(effect: Any, recorded_ms: int) -> Any:
    return outgoing(effect, recorded_ms, "oracle")


def _by_id(sink: MemorySink, topic: str) -> dict[str, dict[str, Any]]:
    bodies = [json.loads(entry.value) for entry in sink.published if entry.topic == topic]
    return {body[IDS[topic]]: without_score(body) for body in bodies}


def _dead(sink: MemorySink) -> dict[str, str]:
    letters = (dict(one.headers) for one in sink.published if one.topic == "dead-letters")
    return {it["ce_id"].decode(): it["reason"].decode() for it in letters}
