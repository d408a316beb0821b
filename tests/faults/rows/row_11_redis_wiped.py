"""Redis loses everything, scripts included: it is rebuilt from the log, with the same ids."""

import time

from tests.faults.arena import Arena
from tests.faults.row import Row


def run(arena: Arena) -> None:
    """Flush data and scripts while everything runs."""
    arena.start_workers(2)
    with arena.shoppers():
        time.sleep(arena.seconds / 2)
        arena.fault()
        with arena.observer.losing(), arena.redis.client() as client:
            client.flushall()
            client.script_flush()
        time.sleep(arena.seconds / 2)
    arena.settle()


ROW = Row(11, "Redis wiped", run, clocks=("records", "live"), seconds=24)
