"""Redis does not answer for ten seconds, and then has no room: workers wait and drop nothing."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

SILENT_S = 10.0
FULL_S = 10.0


def run(arena: Arena) -> None:
    """Freeze Redis, let it go on, then take its room away for a while."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        arena.redis.pause()
        time.sleep(SILENT_S)
        arena.redis.resume()
        time.sleep(5)
        arena.fault()
        with arena.redis.client() as client:
            client.config_set("maxmemory", 1_000_000)
            time.sleep(FULL_S)
            client.config_set("maxmemory", 0)
            time.sleep(5)
            arena.figures["evicted keys"] = client.info("stats")["evicted_keys"]
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """Nothing was thrown away to make room."""
    return [] if arena.figures["evicted keys"] == 0 else ["Redis evicted keys"]


ROW = Row(12, "Redis slow, then full", run, also)
