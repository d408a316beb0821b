"""The disk of Kafka is full: what it acknowledged is there, what it could not is not claimed."""

import time
from functools import partial

from tests.faults.arena import Arena
from tests.faults.disk import filled, small_disk
from tests.faults.evidence import Evidence
from tests.faults.row import Row

FULL_S = 15.0


def run(arena: Arena) -> None:
    """Fill the disk, then free it and start the broker again: it ends itself without room."""
    arena.start_workers(2)
    with arena.shoppers() as traffic:
        arena.fault()
        with filled(arena.folder / "kafka"):
            time.sleep(FULL_S)
        arena.figures["broker ended itself"] = not arena.kafka.running
        arena.kafka.restart()
        time.sleep(arena.seconds)
    arena.figures["acknowledged"] = traffic.written
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Everything acknowledged is stored; shoppers wait for acknowledgements."""
    stored, told = len(evidence.inputs), arena.figures["acknowledged"]
    return [] if stored >= int(str(told)) else [f"{told} acknowledged, {stored} stored"]


ROW = Row(
    15,
    "Kafka disk full",
    run,
    also,
    seconds=10,
    # Preallocated indices alone would fill it.
    broker=("log.segment.bytes=1048576", "log.index.size.max.bytes=4096"),
    before=partial(small_disk, of="kafka", mib=300),
)
