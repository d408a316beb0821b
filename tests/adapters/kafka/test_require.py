"""What a starting program requires of the topics of any broker."""

import asyncio
import subprocess
import sys

import pytest

from stream.adapters.kafka.require import require
from stream.config.settings import KafkaSettings, Settings
from stream.domain.topics import LANES, TOPICS
from stream.errors import CartwakeError


def settings(bootstrap: str) -> Settings:
    return Settings(kafka=KafkaSettings(bootstrap=bootstrap))


async def test_a_worker_learns_the_partition_count(empty_kafka):
    empty_kafka.create_topics(TOPICS.keys() - {"training-examples"}, 5)
    empty_kafka.create_topics(["training-examples"], 1)
    said: list[str] = []
    assert await require(settings(empty_kafka.bootstrap), said.append) == 5
    assert said == []


async def test_a_worker_is_told_how_to_get_missing_topics(empty_kafka):
    empty_kafka.create_topics(LANES, 2)
    with pytest.raises(CartwakeError, match="make them with 'cartwake topics create'"):
        await require(settings(empty_kafka.bootstrap), lambda _: None)


async def test_a_worker_refuses_inputs_with_different_partition_counts(empty_kafka):
    empty_kafka.create_topics(TOPICS.keys() - {"page-views"}, 2)
    empty_kafka.create_topics(["page-views"], 3)
    counts = "consent-events 2, visitor-facts 2, message-feedback 2, cart-events 2, page-views 3"
    with pytest.raises(CartwakeError, match=counts):
        await require(settings(empty_kafka.bootstrap), lambda _: None)


async def test_a_worker_waits_for_kafka_and_says_so_once(empty_kafka, monkeypatch):
    monkeypatch.setattr("stream.adapters.kafka.require.RETRY_S", 0.05)
    empty_kafka.create_topics(TOPICS.keys(), 2)
    empty_kafka.stop()
    said: list[str] = []
    waits = asyncio.Event()

    def waiting(line: str) -> None:
        said.append(line)
        waits.set()

    try:
        requiring = asyncio.create_task(require(settings(empty_kafka.bootstrap), waiting))
        await waits.wait()
    finally:
        await asyncio.to_thread(empty_kafka.start)
    assert await requiring == 2
    assert len(said) == 1
    assert said[0].startswith(f"Kafka at {empty_kafka.bootstrap} cannot be reached")


MOCK = """
import sys
from confluent_kafka import Producer
cluster = Producer({"test.mock.num.brokers": 1, "log_level": 3})
(node,) = cluster.list_topics(timeout=10).brokers.values()
for topic in sys.argv[1:]:
    cluster.list_topics(topic, timeout=10)
print(f"{node.host}:{node.port}", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def mock_cluster():
    """Return what starts librdkafka's mock cluster with some topics and tells its address."""
    started = []

    def start(topics) -> str:
        command = [sys.executable, "-c", MOCK, *sorted(topics)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process.stdout.readline().strip()

    yield start
    for process in started:
        process.communicate(timeout=30)


async def test_a_broker_without_admin_calls_will_do_for_a_worker(mock_cluster):
    said: list[str] = []
    assert await require(settings(mock_cluster(TOPICS.keys())), said.append) == 4
    assert said == []


async def test_looking_for_topics_does_not_make_them(mock_cluster):
    address = mock_cluster(TOPICS.keys() - {"triggers"})
    for _ in range(2):
        with pytest.raises(CartwakeError, match="no topic triggers:"):
            await require(settings(address), lambda _: None)
