"""Workers' packets to Kafka vanish, while the shop goes on: nobody is mailed what became untrue."""

import time

from tests.faults.arena import Arena
from tests.faults.row import Row

AWAY_S = 40.0


def run(arena: Arena) -> None:
    """Let everything between workers and broker vanish for longer than requests wait."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        arena.kafka.proxy.blackhole()
        time.sleep(max(arena.seconds, AWAY_S))
        arena.kafka.proxy.heal()
        time.sleep(5)
    began = time.monotonic()
    arena.settle()
    arena.figures["drained in s"] = round(time.monotonic() - began, 1)


ROW = Row(7, "Kafka blackhole", run, clocks=("live",), seconds=AWAY_S)
