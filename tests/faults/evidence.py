"""What is left when a row is over: the log, all that was published, Redis, and what was said."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import redis

from stream.adapters.wire.codec import decode_state
from stream.domain.topics import LANES
from stream.domain.visitor import Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC
from tests.faults.arena import GROUP, PARTITIONS, Arena
from tests.faults.observer import Observer
from tests.rig.kafka import Message

FENCED = "cartwake_shard_fenced_total"
PUBLISHED = ("triggers", "decisions", "trigger-cancels", "dead-letters")


class Evidence(NamedTuple):
    """All that the invariants judge by; ``said`` is logs and metrics pages by their name."""

    clock: str
    inputs: list[Message]
    ends: dict[str, dict[int, int]]
    published: dict[str, list[Message]]
    states: dict[tuple[int, VisitorKey], Visitor]
    stored: bytes
    said: dict[str, str]
    outcomes: dict[str, float] | None
    observer: Observer


def collected(arena: Arena) -> Evidence:
    """Read everything; the workers that are left are stopped first, as an operator would."""
    pages = {worker.log.name: worker.get("/metrics")[1] for worker in arena.running}
    # A worker that was killed has taken its counts along; one that was fenced counts no step whose
    # effects another has published.
    counted = len(pages) == len(arena.workers) and not any(
        arena.metric(worker, FENCED) for worker in arena.workers
    )
    for worker in arena.running:
        worker.stop()
    logs = {f"{worker.log.name} (log)": worker.output for worker in arena.workers}
    with arena.redis.client() as client:
        stored, states = _dumped(client), _states(client)
    return Evidence(
        clock=arena.clock,
        inputs=[it for topic in LANES for it in arena.kafka.read_all(topic)],
        ends={topic: arena.kafka.end_offsets(topic) for topic in LANES},
        published={topic: arena.kafka.read_all(topic) for topic in PUBLISHED},
        states=states,
        stored=stored,
        said=pages | logs,
        outcomes=_outcomes(pages.values()) if counted else None,
        observer=arena.observer,
    )


def body(message: Message) -> dict[str, Any]:
    """Return a published record's value."""
    found: dict[str, Any] = json.loads(message.value or b"{}")
    return found


def write_history(evidence: Evidence, triggers: Mapping[str, Any], to: Path) -> None:
    """Write what everybody did, was owed, and was sent, in order: for who looks into a failure."""
    lines = [
        (it.timestamp_ms, "read", f"{it.topic}-{it.partition}-{it.offset}", str(it.value)[:400])
        for it in evidence.inputs
    ]
    for topic in PUBLISHED:
        lines += [
            (it.timestamp_ms, "published", topic, str(it.value)[:1500])
            for it in evidence.published[topic]
        ]
    lines += [(it["due_at_ms"], "owed", known, str(it)) for known, it in triggers.items()]
    for shard, looks in evidence.observer.looks.items():
        lines += [(it.at_ms, "seen", f"shard {shard}", str(it)) for it in looks]
    with to.open("w") as file:
        for line in sorted(lines):
            file.write("  ".join(map(str, line)) + "\n")


def _states(client: redis.Redis) -> dict[tuple[int, VisitorKey], Visitor]:
    found = {}
    for shard in range(PARTITIONS):
        for name, state in client.hgetall(f"{GROUP}:{{{shard}}}:state").items():
            found[shard, VISITOR_CODEC.key_of(name)] = decode_state(state)
    return found


def _dumped(client: redis.Redis) -> bytes:
    """Return every value in Redis, whatever its type, as bytes to search."""
    parts = []
    for key in client.scan_iter():
        kind = client.type(key)
        if kind == b"hash":
            parts += [part for pair in client.hgetall(key).items() for part in pair]
        elif kind == b"zset":
            parts += client.zrange(key, 0, -1)
        else:
            parts.append(client.get(key) or b"")
    return b"\n".join(parts)


def _outcomes(pages: Any) -> dict[str, float]:
    found: defaultdict[str, float] = defaultdict(float)
    for page in pages:
        for line in page.splitlines():
            if line.startswith("cartwake_events_total{"):
                outcome = line.partition('outcome="')[2].partition('"')[0]
                found[outcome] += float(line.rpartition(" ")[2])
    return dict(found)
