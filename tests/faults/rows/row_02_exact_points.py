"""A worker ends exactly between two effects, at each of the points that there are."""

from stream.runtime.failpoint import EXIT_CODE
from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row
from tests.rig.processes import wait_until

POINTS = (
    "after_claim",
    "before_commit",
    "after_commit",
    "before_send",
    "after_send",
    "after_publish",
    "after_remove",
)
LATEST_PASS = 40
WITHIN_S = 60.0


def run(arena: Arena) -> None:
    """Let one worker after the other reach its point, beside one that stays."""
    arena.start_workers(1)
    with arena.shoppers():
        for point in POINTS:
            # A claim is passed once a shard; everything else again and again.
            latest = 4 if point == "after_claim" else LATEST_PASS
            armed = f"{point}:{arena.draw.randint(1, latest)}"
            worker = arena.start_worker(CARTWAKE_FAILPOINT=armed)
            wait_until(lambda worker=worker: not worker.running, f"the end at {armed}", WITHIN_S)
            arena.fault()
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """Each armed worker has ended where it was to end."""
    codes = [worker.wait() for worker in arena.workers[1:]]
    arena.figures["points"] = len(codes)
    return [] if set(codes) == {EXIT_CODE} else [f"exit codes {codes}"]


ROW = Row(2, "kill at exact points", run, also, policy={"worker__session_timeout_s": 3})
