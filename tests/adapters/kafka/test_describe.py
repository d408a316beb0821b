"""What a real broker tells of topics, of a group and of rights."""

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import NotCoordinatorForGroupError

from stream.adapters.kafka import describe as told_module
from stream.adapters.kafka.connect import asking
from stream.adapters.kafka.describe import OPERATIONS, GroupQuestion, described, told_topics
from stream.config.settings import KafkaSettings


@pytest.fixture
def topic(kafka_server, topic_prefix) -> str:
    name = f"{topic_prefix}log"
    kafka_server.create_topics([name], 3)
    return name


async def test_without_an_authorizer_everybody_may_do_everything(kafka_server, topic):
    async with asking(KafkaSettings(bootstrap=kafka_server.bootstrap)) as client:
        told = await told_topics(client, [topic, "not-there"])
    assert set(told) == {topic}
    assert (told[topic].copies, told[topic].in_sync) == (1, 1)
    assert told[topic].allowed == OPERATIONS.keys()


async def test_the_members_of_a_group_are_told_with_what_they_have(kafka_server, topic, group):
    kafka = KafkaSettings(bootstrap=kafka_server.bootstrap)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, group_id=group, enable_auto_commit=False
    )
    async with consumer, asking(kafka) as client:
        await consumer.end_offsets([TopicPartition(topic, 0)])
        told = await described(client, group)
    [member] = told.members
    assert member.host == "127.0.0.1"
    assert member.assigned == {TopicPartition(topic, number) for number in range(3)}
    assert (told.state, told.refused) == ("Stable", "")
    assert told.allowed is not None
    assert {"Read", "Describe"} <= told.allowed


async def test_a_group_that_was_never_joined_has_no_member(kafka_server, group):
    async with asking(KafkaSettings(bootstrap=kafka_server.bootstrap)) as client:
        told = await described(client, group)
    assert (told.state, told.members, told.refused) == ("Dead", (), "")


async def test_a_coordinator_that_does_not_know_yet_that_it_is_one_is_asked_again(
    kafka_server, group, monkeypatch
):
    monkeypatch.setattr(told_module, "AGAIN_S", 0)
    async with asking(KafkaSettings(bootstrap=kafka_server.bootstrap)) as client:
        send, asked = client.send, []

        async def starting(node, request):
            answer = await send(node, request)
            if isinstance(request, GroupQuestion) and len(asked) < 2:
                asked.append(node)
                (told,) = answer.groups
                answer.groups = [(NotCoordinatorForGroupError.errno, *told[1:])]
            return answer

        client.send = starting
        told = await described(client, group)
    assert (told.state, told.refused, len(asked)) == ("Dead", "", 2)


async def test_a_coordinator_that_never_knows_is_told_of(kafka_server, group, monkeypatch):
    monkeypatch.setattr(told_module, "AGAIN_S", 0)
    async with asking(KafkaSettings(bootstrap=kafka_server.bootstrap)) as client:
        send = client.send

        async def lost(node, request):
            answer = await send(node, request)
            if isinstance(request, GroupQuestion):
                (told,) = answer.groups
                answer.groups = [(NotCoordinatorForGroupError.errno, *told[1:])]
            return answer

        client.send = lost
        told = await described(client, group)
    assert told.refused == "NotCoordinatorForGroupError"
