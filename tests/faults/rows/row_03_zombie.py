"""A worker freezes between its last look at consent and sending, is replaced, and wakes up."""

import random
import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.evidence import FENCED, Evidence
from tests.faults.row import Row
from tests.faults.traffic import BOTH, IDLE_S, NO_MAIL, NOTHING, Step, adds, consents, shops
from tests.rig.processes import Worker, wait_until

SESSION_S = 4
LONGER_S = 10.0


def run(arena: Arena) -> None:
    """Freeze workers at exact points and one at random, past the session, and let them go on."""
    arena.start_workers(1)
    zombies = []
    with arena.shoppers(script=_withdraws_often):
        for point in ("before_send", "before_commit"):
            armed = f"{point}:{arena.draw.randint(10, 30)}:stop"
            zombie = arena.start_worker(CARTWAKE_FAILPOINT=armed)
            wait_until(lambda zombie=zombie: _is_frozen(zombie.pid), f"the freeze {armed}", 60)
            _bury(arena, zombie)
            zombies.append(zombie)
        zombies += arena.start_workers(1)
        time.sleep(arena.draw.uniform(2, 3))
        zombies[-1].pause()
        _bury(arena, zombies[-1])
        time.sleep(2)
        arena.figures["fenced writes"] = int(sum(arena.metric(it, FENCED) for it in zombies))
    arena.settle()


def _bury(arena: Arena, frozen: Worker) -> None:
    """Wait until the frozen one has been replaced for long, and let it go on."""
    arena.fault()
    time.sleep(SESSION_S + LONGER_S)
    frozen.resume()


def also(arena: Arena, _: Evidence) -> list[str]:
    """The zombie tried to write, and was refused."""
    return [] if arena.figures["fenced writes"] else ["no write was refused: nothing was tried"]


def _withdraws_often(draw: random.Random) -> list[Step]:
    """Withdraw soon after the reminder: while the worker that decided it is frozen."""
    if draw.random() < 0.2:
        return shops(draw)
    refuses = consents(draw.choice((NO_MAIL, NOTHING)), IDLE_S + draw.uniform(0.5, 3))
    return [consents(BOTH), adds(draw, 0.3), refuses]


def _is_frozen(pid: int) -> bool:
    stat = Path("/proc", str(pid), "stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


ROW = Row(3, "zombie", run, also, clocks=("live",), policy={"worker__session_timeout_s": SESSION_S})
