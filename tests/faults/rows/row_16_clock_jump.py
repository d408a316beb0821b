"""The wall clock of a worker jumps by an hour, and later that of Redis: nothing fires early."""

import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence, body
from tests.faults.row import CannotCarry, Row

LIBRARY = "libfaketimeMT.so.1"
FOLDERS = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime")
HOUR_S = 3600
# The broker's clock and ours are one; the event's time is told before the record's is taken.
EARLY_MS = 50


def run(arena: Arena) -> None:
    """Move the workers' clock an hour forth and back, then that of Redis, as carts are left."""
    workers, redis = arena.folder / "workers-offset", arena.folder / "redis-offset"
    workers.write_text("+0")
    redis.write_text("+0")
    arena.redis.restart_with(_faked(redis))
    arena.start_workers(2, **_faked(workers))
    with arena.shoppers():
        for clock in (workers, redis):
            for jump_s in (HOUR_S, -HOUR_S):
                arena.fault()
                clock.write_text(f"{jump_s:+d}")
                time.sleep(arena.seconds / 8)
                clock.write_text("+0")
                time.sleep(arena.seconds / 8)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """No trigger is published before it is due."""
    early = [body(it)["due_at_ms"] - it.timestamp_ms for it in evidence.published["triggers"]]
    arena.figures["max early ms"] = max(early, default=0)
    return [f"{sum(ms > EARLY_MS for ms in early)} early"] if max(early) > EARLY_MS else []


def _faked(offset: Path) -> dict[str, str]:
    found = [path for folder in FOLDERS if (path := Path(folder, LIBRARY)).exists()]
    if not found:
        raise CannotCarry(f"no {LIBRARY} (Debian's package libfaketime)")
    return {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


ROW = Row(16, "clock jump", run, also, clocks=("live",), seconds=40)
