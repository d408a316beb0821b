"""Shared by rows about deliveries: shoppers who leave a cart, and how late messages were."""

import json
import statistics
import time
from collections.abc import Callable
from random import Random
from typing import Any

from tests.faults.arena import Arena
from tests.faults.evidence import body
from tests.faults.traffic import BOTH, Step, adds, consents

NUMBERS = 12
WAIT_S = 60.0


def leaves_a_cart(draw: Random) -> list[Step]:
    """Consent, fill a cart and leave."""
    return [consents(BOTH), adds(draw, 0.2)]


def number_of(visitor: str) -> int:
    """Return which of ``NUMBERS`` kinds of visitor this is."""
    return int(visitor.removeprefix("v").partition("-")[0]) % NUMBERS


def reminders(arena: Arena) -> dict[str, dict[str, Any]]:
    """Return the first reminder of each visitor, by its id."""
    found = map(body, arena.kafka.read_all("triggers"))
    return {
        one["trigger_id"]: one
        for one in found
        if one["kind"] == "cart_abandonment" and one["step"] == 0
    }


def outcomes(arena: Arena, channel: str) -> dict[str, dict[str, Any]]:
    """Return what became of triggers in a channel, by trigger."""
    found = map(body, arena.kafka.read_all("message-feedback"))
    return {one["trigger_id"]: one for one in found if one.get("channel") == channel}


def wait_for_others(arena: Arena, channel: str, is_other: Callable[[str], bool]) -> None:
    """Return once each reminder of the others has an outcome, or it takes too long."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        done = outcomes(arena, channel)
        if all(one in done for one, it in reminders(arena).items() if is_other(it["visitor"])):
            return
        time.sleep(0.5)


def judged(
    arena: Arena, channel: str, is_other: Callable[[str], bool], within_ms: int
) -> list[str]:
    """Return what is wrong with the others' messages; note how late they were."""
    done, late_ms, problems = outcomes(arena, channel), [], []
    for trigger_id, one in reminders(arena).items():
        if not is_other(one["visitor"]):
            continue
        outcome = done.get(trigger_id)
        if outcome is None or outcome["type"] != "message_sent":
            found = outcome and json.dumps(outcome)
            problems.append(f"{one['visitor']} was not sent its message: {found}")
        else:
            late_ms.append(outcome["at_ms"] - one["due_at_ms"])
    p99_ms = statistics.quantiles(late_ms, n=100)[98] if len(late_ms) > 1 else 0.0
    arena.figures["others"] = len(late_ms)
    arena.figures["others' p99 ms"] = f"{p99_ms:.0f}"
    if not late_ms:
        problems.append("no other was sent anything")
    if p99_ms > within_ms:
        problems.append(f"others waited {p99_ms:.0f} ms, more than {within_ms}")
    return problems[:10]
