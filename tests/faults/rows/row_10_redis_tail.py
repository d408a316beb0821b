"""Redis comes back as it was some seconds ago: what is missing is read and decided again."""

import time

from tests.faults.arena import Arena
from tests.faults.row import Row

SECONDS_LOST = 8.0


def run(arena: Arena) -> None:
    """Cut the append-only file back to an earlier moment, while Redis is down."""
    arena.start_workers(2)
    with arena.shoppers():
        for _ in range(2):
            keep = arena.redis.written_bytes()
            time.sleep(SECONDS_LOST)
            arena.fault()
            with arena.observer.losing():
                arena.redis.lose_tail(keep)
            time.sleep(arena.seconds / 2)
    arena.figures["lost s"] = SECONDS_LOST
    arena.settle()


ROW = Row(10, "Redis tail loss", run, clocks=("records", "live"), seconds=20)
