"""Producers send some events twice: the second changes nothing."""

import json
import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

SHARE = 0.10


def run(arena: Arena) -> None:
    """Write some events twice, at offsets of their own."""
    arena.start_workers(2)
    with arena.shoppers(mishaps=_twice):
        time.sleep(arena.seconds)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Some were known to be duplicates."""
    hits = (evidence.outcomes or {}).get("duplicate", 0)
    arena.figures["duplicates"] = int(hits)
    return [] if hits else ["no duplicate was met: nothing was tried"]


def _twice(draw, topic, visitor, event):
    value = json.dumps(event).encode()
    for _ in range(2 if draw.random() < SHARE else 1):
        yield topic, visitor.encode(), value


ROW = Row(18, "duplicate delivery", run, also)
