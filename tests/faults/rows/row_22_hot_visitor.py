"""One visitor sends half of all events: their state stays bounded, and the others do not wait."""

import json
import statistics
import time

from stream.adapters.wire.codec import encode_state
from tests.faults.arena import Arena
from tests.faults.evidence import Evidence
from tests.faults.observer import now_ms
from tests.faults.row import Row

HOT = "hot"
MOST_BYTES = 64 * 1024
SLOWER = 2.0


def run(arena: Arena) -> None:
    """Let the others shop alone at first, then beside the hot one."""
    arena.start_workers(2)
    is_hot = False

    def beside(draw, topic, visitor, event):
        yield topic, visitor.encode(), json.dumps(event).encode()
        if is_hot:
            own = event | {"visitor": HOT, "id": f"{HOT}-{event['id']}"}
            yield topic, HOT.encode(), json.dumps(own).encode()

    with arena.shoppers(mishaps=beside):
        time.sleep(arena.seconds / 2)
        is_hot = True
        arena.figures["hot from"] = now_ms()
        time.sleep(arena.seconds / 2)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Compare what the others waited before and after."""
    from_ms = int(str(arena.figures.pop("hot from")))
    lags: dict[bool, list[int]] = {False: [], True: []}
    for it in evidence.inputs:
        if it.key != HOT.encode():
            applied_ms = evidence.observer.applied_at_ms(it.partition, it.topic, it.offset)
            lags[it.timestamp_ms >= from_ms].append((applied_ms or 0) - it.timestamp_ms)
    alone, beside = (statistics.quantiles(lags[hot], n=100)[98] for hot in (False, True))
    arena.figures["others' p99 ms"] = f"{alone:.0f} alone, {beside:.0f} beside"
    sizes = [len(encode_state(s)) for (_, who), s in evidence.states.items() if who.visitor == HOT]
    arena.figures["hot state bytes"] = max(sizes, default=0)
    problems = [] if beside < max(SLOWER * alone, 100) else ["the others wait twice as long"]
    return problems + (["the state is not bounded"] if max(sizes, default=0) > MOST_BYTES else [])


ROW = Row(22, "hot visitor", run, also)
