"""Consent is withdrawn in the very moment in which the reminder is due, while workers die."""

import json
import random
import statistics
import time

from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.row import Row
from tests.faults.traffic import BOTH, IDLE_S, NO_MAIL, NOTHING, Step, adds, consents

EVERY_S = 12.0
RATE = 120.0


def run(arena: Arena) -> None:
    """Let everybody withdraw at due +- 50 ms, and kill a worker now and then."""
    arena.start_workers(2)
    ends_at = time.monotonic() + arena.seconds
    with arena.shoppers(rate=RATE, script=_withdraws):
        while time.monotonic() < ends_at:
            time.sleep(EVERY_S)
            arena.kill(arena.draw.choice(arena.running))
            arena.start_worker()
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Tell how long a withdrawal takes to be applied."""
    took_ms, left = [], []
    for it in evidence.inputs:
        if it.topic == "consent-events" and b"withdrawn" in (it.value or b""):
            applied_ms = evidence.observer.applied_at_ms(it.partition, it.topic, it.offset)
            took_ms.append((applied_ms or 0) - it.timestamp_ms)
            if json.loads(it.value or b"")["purposes"] == NOTHING:
                left.append(it.key)
    arena.figures["withdrawals"] = len(took_ms)
    arena.figures["applied within ms p50"] = int(statistics.median(took_ms))
    arena.figures["p99"] = int(statistics.quantiles(took_ms, n=100)[98])
    gone = set(left)
    return [
        f"behaviour of {who.visitor} is kept"
        for (_, who), state in evidence.states.items()
        if who.visitor.encode() in gone and state.behaviour is not None
    ]


def _withdraws(draw: random.Random) -> list[Step]:
    return [
        consents(BOTH),
        adds(draw, 0.3),
        consents(draw.choice((NO_MAIL, NOTHING)), IDLE_S + draw.uniform(-0.05, 0.05)),
    ]


ROW = Row(20, "consent race", run, also, clocks=("live",))
