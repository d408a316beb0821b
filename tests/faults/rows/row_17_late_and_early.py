"""Events come late, out of order, and from the future: all count as the contract says."""

import json
import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

HOUR_MS = 3_600_000
SHARE = 0.05
CLAMPED = "cartwake_events_clamped_total"


def run(arena: Arena) -> None:
    """Let some events tell a time of hours ago, of days ago, or of tomorrow."""
    arena.start_workers(2)
    with arena.shoppers(mishaps=_out_of_time):
        time.sleep(arena.seconds)
    arena.settle()
    clamped = sum(arena.metric(worker, CLAMPED) for worker in arena.workers)
    arena.figures["clamped"] = int(clamped)


def also(arena: Arena, _: Evidence) -> list[str]:
    """Some were out of bounds."""
    return [] if arena.figures["clamped"] else ["no event was clamped: nothing was tried"]


def _out_of_time(draw, topic, visitor, event):
    if draw.random() < SHARE:
        shift_ms = draw.choice((-5_000, -draw.randint(1, 2 * HOUR_MS), -72 * HOUR_MS, 24 * HOUR_MS))
        event = event | {"at_ms": event["at_ms"] + shift_ms}
    yield topic, visitor.encode(), json.dumps(event).encode()


ROW = Row(17, "late, out of order, future", run, also)
