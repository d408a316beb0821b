"""A hundredth of the records is poison, and then all of one shard: that shard stops, unharmed."""

import json
import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.observer import now_ms
from tests.faults.poison import poisons
from tests.faults.row import Row
from tests.rig.processes import run_cartwake, wait_until

SHARE = 0.01
SHARD = 3
DROWNING = 300
STOPPED = "cartwake_shards_stopped"
GIVE_UP = {
    "CARTWAKE_DEAD_LETTERS__MAX_SHARE": "1",
    "CARTWAKE_DEAD_LETTERS__MAX_IN_A_ROW": "1000000",
}


def run(arena: Arena) -> None:
    """Poison the input, drown a shard, give its records up as an operator would, send all back."""
    arena.start_workers(2)
    with arena.shoppers(mishaps=_poisoned):
        time.sleep(arena.seconds)
        arena.fault()
        _drown(arena)
        wait_until(lambda: _stopped(arena) == 1, "the shard to stop", 30)
        time.sleep(3)
        arena.figures["dead when stopped"] = _dead_of_the_flood(arena)
        for worker in arena.running:
            worker.stop()
        arena.start_workers(2, **GIVE_UP)
    arena.settle()
    done = run_cartwake("dead-letters", "replay", settings=arena.environment)
    assert done.returncode == 0, done.stderr
    arena.figures["sent back"] = done.stdout.splitlines()[-1].partition(": ")[2].partition(":")[0]
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """The flood has not been drained into dead letters before somebody said so."""
    drained = int(str(arena.figures["dead when stopped"]))
    arena.figures["dead letters"] = len(evidence.published["dead-letters"])
    return [f"{drained} of {DROWNING} were drained"] if drained >= DROWNING / 2 else []


def _poisoned(draw, topic, visitor, event):
    if draw.random() < SHARE:
        poison = draw.choice(poisons(visitor, event))
        yield topic, poison.key, poison.value
    yield topic, visitor.encode(), json.dumps(event).encode()


def _drown(arena: Arena) -> None:
    flood = [(b"flood", b"{no event", now_ms(), None, SHARD) for _ in range(DROWNING)]
    arena.kafka.produce("cart-events", flood)


def _stopped(arena: Arena) -> float:
    return sum(arena.metric(worker, STOPPED) for worker in arena.running)


def _dead_of_the_flood(arena: Arena) -> int:
    return sum(it.key == b"flood" for it in arena.kafka.read_all("dead-letters"))


ROW = Row(21, "poison 1 % and 100 %", run, also, seconds=20)
