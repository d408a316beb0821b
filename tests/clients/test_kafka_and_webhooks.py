"""Clients of Kafka at both ends of the whole loop, and receivers of what its webhooks post."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.partitioner import murmur2
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from standardwebhooks import Webhook

from stream.demo.embedded import PARTITIONS
from tests.clients.loop import running_loop
from tests.rig.endpoint import SECRET
from tests.rig.processes import wait_until

READS = "Reads in a group; what it reads are CloudEvents to the SDK of CloudEvents, in binary mode."
LANES = ("consent-events", "cart-events", "page-views")


@pytest.fixture(scope="module")
def loop(tmp_path_factory):
    with running_loop(tmp_path_factory.mktemp("loop")) as running:
        yield running


def produced(bootstrap, keys):
    """Return the partitions of all records by their key, once there are records of all keys."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "test"})
    places = [
        TopicPartition(topic, n, OFFSET_BEGINNING) for topic in LANES for n in range(PARTITIONS)
    ]
    consumer.assign(places)
    found = {}

    def is_all():
        for one in consumer.consume(100, 0.1):
            found.setdefault(one.key().decode(), set()).add(one.partition())
        return found.keys() >= keys

    try:
        wait_until(is_all, "the events", 20)
        return found
    finally:
        consumer.close()


def java_partition(key):
    """Return where Java's default partitioner puts a key."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % PARTITIONS


@pytest.mark.redis
@pytest.mark.parametrize(
    ("name", "package", "example", "does"),
    [
        (
            "Kafka, confluent-kafka",
            "confluent-kafka",
            "kafka_confluent.py",
            f"Sends events with the partitioner `murmur2_random`. {READS}",
        ),
        (
            "Kafka, KafkaJS",
            "kafkajs",
            "kafka_kafkajs.mjs",
            f"Sends events with its `DefaultPartitioner`, which is murmur2. {READS}",
        ),
    ],
)
def test_a_kafka_client_sends_events_and_reads_what_comes_of_them(
    loop, program, state, name, package, example, does
):
    said = program(example, kafka=loop.broker.bootstrap)
    read = [json.loads(line) for line in said.splitlines() if line.startswith('{"topic"')]
    own = {one["topic"]: one for one in read if one["record"]["visitor"] in example}
    trigger = own["triggers"]
    visitor = trigger["record"]["visitor"]
    assert (trigger["key"], trigger["record"]["reason"]) == (visitor, "cart_idle")
    assert trigger["headers"]["ce_id"] == trigger["record"]["trigger_id"]
    assert trigger["headers"]["ce_type"] == "cartwake.trigger.v1"
    assert trigger["headers"]["content-type"] == "application/json"
    for one in read:
        assert (one["key"], one["headers"]["ce_specversion"]) == (one["record"]["visitor"], "1.0")
    keys = {visitor, *(f"{visitor}-{number}" for number in range(20))}
    partitions = produced(loop.broker.bootstrap, keys)
    assert {key: partitions[key] for key in keys} == {key: {java_partition(key)} for key in keys}
    limits = "a decision without a trigger has no `trigger_id`; act once for each `trigger_id`."
    arrived = ["triggers", "decisions"]
    state(name, package, arrived=arrived, does=does, limits=limits, example=example)


def others(body, headers):
    """Return what a receiver has to refuse: another secret, an old moment, a changed body."""

    def signed(secret, minutes_ago, text=body):
        at = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        signature = Webhook(secret).sign(headers["webhook-id"], at, text)
        stamp = {"webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}
        return [body, headers | stamp]

    return [signed("whsec_" + "A" * 32, 0), signed(SECRET, 10), signed(SECRET, 0, body + " ")]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("name", "package", "example"),
    [
        ("Svix, Node", "svix", "svix_node.mjs"),
        ("Svix, Python", "svix", "svix_python.py"),
        ("Standard Webhooks, Node", "standardwebhooks", "standardwebhooks_node.mjs"),
        (
            "Standard Webhooks, Python",
            "standardwebhooks",
            "standardwebhooks_python.py",
        ),
    ],
)
def test_a_receiver_takes_what_webhooks_post_and_nothing_else(
    loop, program, state, name, package, example
):
    if not loop.endpoint.heard:
        program("kafka_confluent.py", kafka=loop.broker.bootstrap)
    wait_until(lambda: loop.endpoint.heard, "the webhook", 20)
    body, headers = loop.endpoint.heard[0]
    text = body.decode()
    headers = {name.lower(): value for name, value in headers.items()}
    posts = json.dumps([[text, headers], *others(text, headers)])
    taken, *refused = program(example, read=posts).splitlines()
    assert taken.startswith("cartwake.trigger.v1 for ")
    assert len(refused) == 3
    assert "cartwake" not in " ".join(refused)
    does = "Verifies what `cartwake webhooks` posts; refuses another secret, body, or an old time."
    state(name, package, arrived=["cartwake.trigger.v1"], does=does, example=example)
