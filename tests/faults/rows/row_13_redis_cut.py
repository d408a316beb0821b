"""Connections to Redis are reset before an answer arrives: was it written, or not?"""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

SHARE = 0.05


def run(arena: Arena) -> None:
    """Lose some answers of Redis, with the connection."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        arena.redis.proxy.lose_answers(lambda: arena.draw.random() < SHARE)
        time.sleep(arena.seconds)
        arena.redis.proxy.heal()
    arena.figures["answers lost"] = arena.redis.proxy.lost
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """Some were lost."""
    return [] if arena.redis.proxy.lost else ["no answer was lost: nothing was tried"]


ROW = Row(13, "Redis cut mid-script", run, also, clocks=("records", "live"), seconds=20)
