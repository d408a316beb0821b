"""Kafka refuses what is published: effects wait in the outbox, in order and bounded."""

import time

from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.faults.arena import GROUP, PARTITIONS, Arena
from tests.faults.evidence import Evidence, body
from tests.faults.row import Row

REFUSED_S = 15.0
LOOK_EVERY_S = 0.25
MOST = 12 * 5_000


def run(arena: Arena) -> None:
    """Demand a second copy of every trigger, which there is no broker for, for a while."""
    arena.start_workers(2)
    peak = 0
    with arena.shoppers():
        arena.fault()
        _demand_copies(arena, 2)
        until = time.monotonic() + REFUSED_S
        while time.monotonic() < until:
            with arena.redis.client() as client:
                waiting = [client.hlen(f"{GROUP}:{{{n}}}:out") for n in range(PARTITIONS)]
            peak = max(peak, sum(waiting))
            time.sleep(LOOK_EVERY_S)
        _demand_copies(arena, 1)
        time.sleep(arena.seconds)
    arena.figures["peak outbox"] = peak
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """The outbox filled, within bounds, and each visitor's triggers left in their order."""
    peak = int(str(arena.figures["peak outbox"]))
    problems = [] if 0 < peak <= MOST else [f"the outbox held {peak} entries"]
    last: dict[str, int] = {}
    for trigger in map(body, evidence.published["triggers"]):
        if trigger["kind"] == "cart_abandonment":
            due_ms, who = trigger["due_at_ms"], trigger["visitor"]
            if due_ms < last.setdefault(who, due_ms):
                problems.append(f"triggers of {who} are out of order")
            last[who] = max(last[who], due_ms)
    return problems


def _demand_copies(arena: Arena, copies: int) -> None:
    entry = ConfigEntry(
        "min.insync.replicas", str(copies), incremental_operation=AlterConfigOpType.SET
    )
    resource = ConfigResource(ResourceType.TOPIC, "triggers", incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": arena.kafka.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(30)


ROW = Row(24, "triggers are not taken", run, also, clocks=("records", "live"), seconds=10)
