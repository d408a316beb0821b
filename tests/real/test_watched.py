"""What alerts go by: a worker's metrics while Kafka answers and takes no triggers."""

import re

import pytest

from tests.real.pipeline import PARTITIONS, Pipeline
from tests.real.test_trouble import IDLE_S, WITHIN_S, leave_carts, shoppers, wait_for_reminders
from tests.rig.processes import wait_until

OLD_S = 3


@pytest.fixture
def pipeline(empty_kafka, redis_server, tmp_path, group):
    settings = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}
    with Pipeline(empty_kafka, redis_server, tmp_path, group, **settings) as made:
        made.start_workers(1)
        yield made


def shown(pipeline, name):
    """Return what the worker says now."""
    _, page = pipeline.workers[0].get("/metrics")
    return float(re.search(rf"^cartwake_{name} (\S+)$", page, re.MULTILINE)[1])


def test_triggers_that_kafka_does_not_take_are_seen_to_grow_old_and_to_leave(pipeline):
    pipeline.kafka.delete_topics(["triggers"])
    leave_carts(pipeline, shoppers(0, 3))
    wait_until(lambda: shown(pipeline, "outbox_oldest_seconds") > OLD_S, "an old outbox", WITHIN_S)
    assert shown(pipeline, "outbox_entries") > 0
    assert shown(pipeline, "shard_still_seconds") > OLD_S
    assert shown(pipeline, "kafka_up") == 1
    pipeline.kafka.create_topics(["triggers"], PARTITIONS)
    wait_for_reminders(pipeline, shoppers(0, 3))
    wait_until(lambda: shown(pipeline, "outbox_oldest_seconds") == 0, "an empty outbox", WITHIN_S)
    assert shown(pipeline, "outbox_entries") == 0
