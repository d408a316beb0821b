"""Workers join and leave every few seconds; somebody always owns the shards."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

EVERY_S = 4.0


def run(arena: Arena) -> None:
    """Keep one worker, and let another join or leave again and again."""
    arena.start_workers(1)
    ends_at = time.monotonic() + arena.seconds
    began, changes = time.monotonic(), 0
    with arena.shoppers():
        while time.monotonic() < ends_at:
            arena.fault()
            if len(arena.running) < 3:
                arena.start_worker()
            else:
                arena.draw.choice(arena.running[1:]).stop()
            changes += 1
            time.sleep(EVERY_S)
        minutes = (time.monotonic() - began) / 60
    arena.figures["changes/min"] = round(changes / minutes, 1)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """No shard stands still for as long as a dead worker's would."""
    worst_s = evidence.observer.worst_pause_s(arena.faults_ms, within_ms=1000)
    arena.figures["longest pause s"] = round(worst_s, 1)
    return [f"a shard stood still for {worst_s} s"] if worst_s > 20 else []


ROW = Row(4, "rebalance storm", run, also, seconds=45)
