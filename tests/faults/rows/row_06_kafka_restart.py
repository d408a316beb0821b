"""The broker is killed and comes back; consumers and producers go on by themselves."""

import time

from tests.faults.arena import Arena
from tests.faults.row import Row

AWAY_S = 20.0


def run(arena: Arena) -> None:
    """Kill the broker for a while."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        arena.kafka.kill()
        time.sleep(AWAY_S)
        arena.kafka.start()
        time.sleep(arena.seconds)
    arena.settle()


ROW = Row(6, "Kafka restart", run, clocks=("records", "live"), seconds=10)
