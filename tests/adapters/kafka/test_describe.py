"""What a real broker reports of topics, of a group and of rights."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream.adapters.kafka.administer import admin_client
from stream.adapters.kafka.connect import asking
from stream.adapters.kafka.describe import OPERATIONS, describe_group, describe_topics
from stream.adapters.kafka.topic_ids import topic_ids
from stream.config.loading import load
from stream.config.settings import KafkaSettings


@pytest.fixture
def topic(kafka_server, topic_prefix) -> str:
    name = f"{topic_prefix}log"
    kafka_server.create_topics([name], 3)
    return name


@pytest.fixture
def kafka(kafka_server) -> KafkaSettings:
    return KafkaSettings(bootstrap=kafka_server.bootstrap)


async def test_without_an_authorizer_everybody_may_do_everything(kafka, topic):
    found = await describe_topics(admin_client(kafka), [topic, "not-there"])
    assert set(found) == {topic}
    assert (found[topic].replicas, found[topic].in_sync) == (1, 1)
    assert found[topic].allowed == OPERATIONS.keys()


async def test_describing_a_topic_does_not_create_it(kafka, kafka_server, topic):
    assert await describe_topics(admin_client(kafka), [f"{topic}-missing"]) == {}
    assert f"{topic}-missing" not in kafka_server.topics()
    assert await describe_topics(admin_client(kafka), []) == {}


async def test_a_topic_has_the_same_id_as_for_the_worker(kafka, topic):
    found = await describe_topics(admin_client(kafka), [topic])
    async with asking(kafka) as client:
        assert await topic_ids(client, [topic]) == {topic: found[topic].id}


async def test_the_members_of_a_group_have_their_partitions(kafka, topic, group):
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False
    )
    async with consumer:
        await consumer.end_offsets([TopicPartition(topic, 0)])
        found = await describe_group(admin_client(kafka), group)
    [member] = found.members
    assert member.host == "127.0.0.1"
    assert member.assigned == {TopicPartition(topic, number) for number in range(3)}
    assert (found.state, found.refused) == ("Stable", "")
    assert found.allowed is not None
    assert {"Read", "Describe"} <= found.allowed


async def test_a_group_that_was_never_joined_has_no_member(kafka, group):
    found = await describe_group(admin_client(kafka), group)
    assert (found.state, found.members, found.refused) == ("Dead", (), "")


async def test_a_missing_right_is_a_result_and_no_error(secure_kafka, group):
    settings = load(None, secure_kafka.settings("cartwake-worker"))
    found = await describe_group(admin_client(settings.kafka), group)
    assert (found.refused, found.allowed) == ("Group authorization failed", None)
