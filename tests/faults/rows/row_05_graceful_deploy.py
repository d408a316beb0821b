"""Workers are replaced one by one, each told to stop as a supervisor would."""

import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row

EXIT_WITHIN_S = 15.0


def run(arena: Arena) -> None:
    """Roll over three workers while answers of Redis are slow."""
    old = arena.start_workers(3)
    took_s = []
    with arena.shoppers():
        arena.redis.proxy.delay_s = 0.2  # one slow step is under way at any time
        for worker in old:
            arena.fault()
            began = time.monotonic()
            code = worker.stop()
            took_s.append(time.monotonic() - began)
            assert code == 0, f"exit code {code}"
            arena.start_workers(1)
        arena.redis.proxy.heal()
    arena.figures["slowest exit s"] = round(max(took_s), 1)
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """Nobody hangs at its end."""
    slowest = arena.figures["slowest exit s"]
    return [] if float(str(slowest)) < EXIT_WITHIN_S else [f"an exit took {slowest} s"]


ROW = Row(5, "graceful deploy", run, also, clocks=("live",))
