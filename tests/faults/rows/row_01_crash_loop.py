"""A random worker is killed again and again; another takes its place."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

EVERY_S = 15.0
TAKEN_OVER_WITHIN_S = 10.0


def run(arena: Arena) -> None:
    """Keep three workers, and kill one of them every so often."""
    arena.start_workers(3)
    ends_at = time.monotonic() + arena.seconds
    with arena.shoppers():
        while time.monotonic() < ends_at:
            arena.kill(arena.draw.choice(arena.running))
            arena.start_worker()
            time.sleep(EVERY_S)
    arena.figures["kills"] = len(arena.faults_ms)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """The shards of who was killed are soon in other hands."""
    worst_s = evidence.observer.worst_pause_s(arena.faults_ms, within_ms=int(EVERY_S * 1000))
    arena.figures["longest pause s"] = round(worst_s, 1)
    return [] if worst_s <= TAKEN_OVER_WITHIN_S else [f"a shard waited for {worst_s:.1f} s"]


ROW = Row(1, "worker crash loop", run, also, clocks=("records", "live"), seconds=40)
