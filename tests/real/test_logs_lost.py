"""Topics that are deleted and made again, and a consumer group that Kafka has forgotten."""

import json
import time
from collections import Counter

import pytest

from tests.real.pipeline import PARTITIONS, Pipeline
from tests.real.test_trouble import (
    IDLE_S,
    WITHIN_S,
    leave_carts,
    reminded,
    shoppers,
    stop,
    wait_for_reminders,
)
from tests.rig.processes import Worker, wait_until


@pytest.fixture
def pipeline(empty_kafka, redis_server, tmp_path, group):
    settings = {"cart_abandonment__idle_s": IDLE_S, "holdout__fraction": 0}
    with Pipeline(empty_kafka, redis_server, tmp_path, group, **settings) as made:
        made.start_workers(1)
        yield made


def reached(pipeline, topic):
    """Return, per shard, the offset that Redis holds of a topic."""
    with pipeline.redis.client() as client:
        marks = [client.hget(pipeline._key(n, "own"), "watermark") for n in range(PARTITIONS)]
    return [json.loads(mark)["offsets"][topic] if mark else None for mark in marks]


def make_anew(pipeline, topic, visitors):
    """Delete a topic and make it again, with more records in every shard than it had."""
    pipeline.kafka.delete_topics([topic])
    pipeline.kafka.create_topics([topic], PARTITIONS)
    now_ms = time.time_ns() // 1_000_000
    records = [(b"eve", b"{}", now_ms, None, number) for number in range(PARTITIONS)]
    pipeline.kafka.produce(topic, records * visitors)


def test_a_topic_that_was_made_anew_stops_every_shard_and_nothing_is_skipped_in_silence(pipeline):
    leave_carts(pipeline, shoppers(0, 40))
    pipeline.wait_until_folded(80, WITHIN_S)
    before = reached(pipeline, "cart-events")
    make_anew(pipeline, "cart-events", visitors=100)
    worker = pipeline.workers[0]
    wait_until(lambda: all_stopped(worker), "stopped shards", WITHIN_S)
    # It may have been seen while it was gone, or only when it was there again.
    assert "Shard 11 is stopped: cart-events " in worker.output
    stop(pipeline)
    again = Worker(pipeline._folder, pipeline.settings, name="worker-again")
    again.start(ready_within_s=None)
    try:
        wait_until(lambda: all_stopped(again), "stopped shards", WITHIN_S)
    finally:
        again.kill()
    assert "Shard 11 is stopped: cart-events was made anew since 5 was reached" in again.output
    assert reached(pipeline, "cart-events") == before
    assert pipeline.published("dead-letters") == []  # which all the new records would be


def all_stopped(worker):
    return f"shards {list(range(PARTITIONS))} are stopped" in worker.get("/readyz")[1]


def test_a_group_that_kafka_has_forgotten_goes_on_from_where_redis_stands(pipeline):
    before, after = shoppers(0, 40), shoppers(40, 40)
    leave_carts(pipeline, before)
    pipeline.wait_until_folded(80, WITHIN_S)
    wait_for_reminders(pipeline, before)
    stop(pipeline)
    admin = pipeline.kafka._admin()  # its futures end with it
    (deleted,) = admin.delete_consumer_groups([pipeline.group]).values()
    deleted.result(WITHIN_S)
    pipeline.start_workers(1)
    leave_carts(pipeline, after)
    pipeline.wait_until_folded(160, WITHIN_S)
    wait_for_reminders(pipeline, after)
    assert Counter(reminded(pipeline).values()) == {1: 80}
    assert "stopped" not in stop(pipeline)
