"""Redis, which fsyncs each write, is killed and restarted: nothing is rewound."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

RESUMES_WITHIN_S = 3.0
TIMES = 3


def run(arena: Arena) -> None:
    """Kill Redis and start it at once, some times."""
    arena.start_workers(2)
    with arena.shoppers():
        for _ in range(TIMES):
            arena.fault()
            arena.redis.kill()
            arena.redis.start()
            time.sleep(arena.seconds / TIMES)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Every shard steps again soon."""
    worst_s = evidence.observer.worst_pause_s(arena.faults_ms, within_ms=1000)
    arena.figures["longest pause s"] = round(worst_s, 2)
    return [] if worst_s <= RESUMES_WITHIN_S else [f"resumed after {worst_s:.2f} s"]


ROW = Row(9, "Redis kill, AOF always", run, also, clocks=("records", "live"))
