"""Folding fails for one visitor: its records become dead letters, and the others do not wait."""

import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream.runtime import failpoint
from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.observer import now_ms
from tests.faults.row import Row

CURSED = "cursed"
ARMED = f"fold:{CURSED}:raise"
SHARE = 0.1
SLOWER = 2.0
DEFECTS = "cartwake_defects_total"


def run(arena: Arena) -> None:
    """Let the others shop alone at first, then beside one whose every record fails."""
    workers = arena.start_workers(2, CARTWAKE_FAILPOINT=ARMED)
    is_cursed = False

    def beside(draw, topic, visitor, event):
        yield topic, visitor.encode(), json.dumps(event).encode()
        # Without consent, so that nothing is decided of what the independent reference sees.
        if is_cursed and topic != "consent-events" and draw.random() < SHARE:
            own = event | {"visitor": CURSED, "id": f"{CURSED}-{event['id']}"}
            yield topic, CURSED.encode(), json.dumps(own).encode()

    with arena.shoppers(mishaps=beside):
        time.sleep(arena.seconds / 2)
        is_cursed = True
        arena.figures["cursed from"] = now_ms()
        time.sleep(arena.seconds / 2)
    arena.settle()
    arena.figures["defects counted"] = sum(arena.metric(one, DEFECTS) for one in workers)
    arena.figures["restarts"] = len(workers) - len(arena.running)


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """No worker has ended, all of the visitor's records are parked, and the others did not wait."""
    from_ms = int(str(arena.figures.pop("cursed from")))
    lags: dict[bool, list[int]] = {False: [], True: []}
    cursed = 0
    for it in evidence.inputs:
        if it.key == CURSED.encode():
            cursed += 1
            continue
        applied_ms = evidence.observer.applied_at_ms(it.partition, it.topic, it.offset)
        lags[it.timestamp_ms >= from_ms].append((applied_ms or 0) - it.timestamp_ms)
    alone, beside = (
        statistics.quantiles(lags[is_cursed], n=100)[98] for is_cursed in (False, True)
    )
    parked = sum(it.key == CURSED.encode() for it in evidence.published["dead-letters"])
    arena.figures |= {
        "parked": f"{parked} of {cursed}",
        "others' p99 ms": f"{alone:.0f} alone, {beside:.0f} beside",
    }
    problems = [] if parked >= cursed > 0 else ["a record of the visitor is not parked"]
    problems += [] if beside < max(SLOWER * alone, 100) else ["the others wait twice as long"]
    problems += ["a worker has ended"] if arena.figures["restarts"] else []
    return problems + ([] if arena.figures["defects counted"] else ["no defect is counted"])


@contextmanager
def armed_here(_: Path) -> Iterator[None]:
    """Let the judge's own fold fail for the same visitor."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(failpoint, "_armed", failpoint.Failpoint(ARMED))
        yield


ROW = Row(29, "defect in the fold", run, also, seconds=20, before=armed_here)
