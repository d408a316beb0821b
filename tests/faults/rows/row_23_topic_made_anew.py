"""The group's offsets expire, which costs nothing; a topic is made anew, which stops its shards."""

import time

from confluent_kafka.admin import AdminClient

from tests.faults.arena import BROKERS_TIME, GROUP, PARTITIONS, Arena
from tests.faults.evidence import Evidence
from tests.faults.observer import now_ms
from tests.faults.row import Row
from tests.rig.processes import wait_until

TOPIC = "cart-events"
STOPPED = "cartwake_shards_stopped"
MORE = 50


def run(arena: Arena) -> None:
    """Delete the group between two halves of the traffic."""
    first = arena.start_workers(2)
    with arena.shoppers():
        time.sleep(arena.seconds / 2)
        for worker in first:
            worker.stop()
        arena.fault()
        admin = AdminClient({"bootstrap.servers": arena.kafka.bootstrap})
        admin.delete_consumer_groups([GROUP])[GROUP].result(30)
        arena.start_workers(2)
        time.sleep(arena.seconds / 2)
    arena.settle()


def also(arena: Arena, evidence: Evidence) -> list[str]:
    """Make a topic anew, with more in it than before: every shard says so, and none goes on."""
    before = {shard: looks[-1].offsets for shard, looks in evidence.observer.looks.items()}
    arena.kafka.delete_topics([TOPIC])
    arena.kafka.create_topics([TOPIC], PARTITIONS, BROKERS_TIME)
    for shard in range(PARTITIONS):
        count = before[shard].get(TOPIC, 0) + MORE
        arena.kafka.produce(TOPIC, [(b"new", b"{}", now_ms(), None, shard)] * count)
    began = time.monotonic()
    worker = arena.start_worker()
    wait_until(lambda: arena.metric(worker, STOPPED) == PARTITIONS, "the alarm", 60)
    arena.figures["detected in s"] = round(time.monotonic() - began, 1)
    time.sleep(2)
    after = {shard: looks[-1].offsets for shard, looks in evidence.observer.looks.items()}
    worker.stop()
    return [] if after == before else ["records were applied, or skipped, in silence"]


ROW = Row(23, "offsets expired, topic made anew", run, also, seconds=20)
