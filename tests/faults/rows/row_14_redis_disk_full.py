"""The disk of Redis is full: it refuses to write, and goes on once there is room."""

import time
from functools import partial

from tests.faults.arena import Arena
from tests.faults.disk import filled, small_disk
from tests.faults.row import Row

FULL_S = 12.0


def run(arena: Arena) -> None:
    """Fill what is left of the disk, free it, and start Redis again: with ``always`` it may end."""
    arena.start_workers(2)
    with arena.shoppers():
        arena.fault()
        with filled(arena.folder / "redis"):
            time.sleep(FULL_S)
        arena.figures["Redis ended itself"] = not arena.redis.running
        arena.redis.restart()
        time.sleep(arena.seconds / 2)
    arena.settle()


ROW = Row(14, "Redis disk full", run, seconds=10, before=partial(small_disk, of="redis", mib=64))
