"""A random worker is killed again and again; another takes its place."""

import time

from tests.faults.arena import Arena
from tests.faults.row import Row

EVERY_S = 15.0


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


ROW = Row(1, "worker crash loop", run, clocks=("records", "live"), seconds=40)
