"""A worker freezes between its last look at consent and sending, is replaced, and wakes up."""

import random
import time
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.evidence import FENCED, Evidence
from tests.faults.row import Row
from tests.faults.traffic import BOTH, IDLE_S, NO_MAIL, NOTHING, Step, adds, consents, shops
from tests.rig.processes import wait_until

SESSION_S = 4
LONGER_S = 10.0


def run(arena: Arena) -> None:
    """Freeze one at the exact point and one at random, past the session, and let both go on."""
    arena.start_workers(1)
    with arena.shoppers(script=_withdraws_often):
        exact = arena.start_worker(
            CARTWAKE_FAILPOINT=f"before_send:{arena.draw.randint(20, 60)}:stop"
        )
        wait_until(lambda: _is_frozen(exact.pid), "the freeze", 60)
        arena.fault()
        time.sleep(SESSION_S + LONGER_S)
        exact.resume()
        (other,) = arena.start_workers(1)
        time.sleep(arena.draw.uniform(2, 3))
        other.pause()
        arena.fault()
        time.sleep(SESSION_S + LONGER_S)
        other.resume()
        time.sleep(2)
        arena.figures["fenced writes"] = int(sum(arena.metric(it, FENCED) for it in (exact, other)))
    arena.settle()


def also(arena: Arena, _: Evidence) -> list[str]:
    """The zombie tried to write, and was refused."""
    return [] if arena.figures["fenced writes"] else ["no write was refused: nothing was tried"]


def _withdraws_often(draw: random.Random) -> list[Step]:
    """Withdraw soon after the reminder: while the worker that decided it is frozen."""
    if draw.random() < 0.5:
        return shops(draw)
    refuses = consents(draw.choice((NO_MAIL, NOTHING)), IDLE_S + draw.uniform(0.5, 3))
    return [consents(BOTH), adds(draw, 0.3), refuses]


def _is_frozen(pid: int) -> bool:
    stat = Path("/proc", str(pid), "stat").read_text(encoding="ascii")
    return stat.rpartition(")")[2].split()[0] == "T"


ROW = Row(3, "zombie", run, also, clocks=("live",), policy={"worker__session_timeout_s": SESSION_S})
