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
    observer, within_ms = evidence.observer, int((EVERY_S - 1) * 1000)
    waits_s = [observer.worst_pause_s([at_ms], within_ms) for at_ms in arena.faults_ms]
    claims_s = [observer.claimed_after_s(at_ms) for at_ms in arena.faults_ms]
    arena.figures["all claimed after s"] = told(claims_s)
    arena.figures["longest pause s"] = told(waits_s)
    worst_s = max(waits_s)
    return [] if worst_s <= TAKEN_OVER_WITHIN_S else [f"a shard waited for {worst_s:.1f} s"]


def told(seconds: list[float]) -> str:
    """Return the figure of each kill in the order in which they came."""
    return " ".join(f"{each:.1f}" for each in seconds)


ROW = Row(1, "worker crash loop", run, also, clocks=("records", "live"), seconds=40)
