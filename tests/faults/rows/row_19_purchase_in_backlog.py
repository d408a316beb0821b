"""Carts become due, and then are bought, while no worker runs: nobody is reminded afterwards."""

import random
import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence, body
from tests.faults.row import Row
from tests.faults.traffic import BOTH, IDLE_S, Step, adds, consents, orders


def run(arena: Arena) -> None:
    """Let everybody buy after the due moment, and only then let workers come back."""
    arena.start_workers(2)
    time.sleep(2)
    for worker in arena.running:
        worker.stop()
    arena.fault()
    with arena.shoppers(script=_buys_late):
        time.sleep(arena.seconds)
    arena.start_workers(2)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Nobody is reminded of what they bought."""
    reminders = [body(it) for it in evidence.published["triggers"]]
    arena.figures["false triggers"] = len(reminders)
    return [f"{one['visitor']} was reminded" for one in reminders]


def _buys_late(draw: random.Random) -> list[Step]:
    return [consents(BOTH), adds(draw, 0.3), orders(draw, IDLE_S + draw.uniform(0.5, 3))]


ROW = Row(19, "purchase behind lag", run, also, clocks=("live",), seconds=15)
