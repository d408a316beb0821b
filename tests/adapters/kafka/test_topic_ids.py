"""Topic ids on real brokers: of this moment's topics, and of those that had the name before."""

from types import SimpleNamespace

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from stream.adapters.kafka.topic_ids import NONE, partition_counts, remade, topic_ids
from stream.demo.embedded import Broker


async def started(bootstrap):
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    return client


@pytest.fixture
async def client(kafka_server):
    made = await started(kafka_server.bootstrap)
    yield made
    await made.close()


@pytest.fixture
def topics(kafka_server, topic_prefix):
    names = [f"{topic_prefix}carts", f"{topic_prefix}pages"]
    kafka_server.create_topics(names, 3)
    return names


async def test_each_topic_that_exists_has_an_id_of_its_own_and_asking_makes_none(
    client, kafka_server, topics
):
    missing = f"{topics[0]}-missing"
    ids = await topic_ids(client, [*topics, missing])
    assert ids.keys() == set(topics)
    assert len(set(ids.values())) == 2
    assert {len(topic_id) for topic_id in ids.values()} == {32}
    assert await topic_ids(client, topics) == ids
    assert missing not in kafka_server.topics()


async def test_a_topic_that_is_made_anew_has_another_id(client, kafka_server, topics):
    known = await topic_ids(client, topics)
    assert await remade(client, known) == set()
    kafka_server.delete_topics(topics[:1])
    assert await remade(client, known) is None  # it may be made again in the next moment
    kafka_server.create_topics(topics[:1], 3)
    assert await remade(client, known) == {topics[0]}


async def test_a_broker_that_does_not_answer_leaves_it_open(client, topics, monkeypatch):
    known = await topic_ids(client, topics)

    async def broken(node, question):
        raise KafkaConnectionError

    monkeypatch.setattr(client, "send", broken)
    assert await remade(client, known) is None


class Old:
    """A client whose broker understands metadata up to some version, and may know no ids."""

    def __init__(self, version, topics=()):
        self._version, self._topics = version, topics

    def get_random_node(self):
        return 1

    async def send(self, node, question):
        question.prepare({3: (0, self._version)})
        return SimpleNamespace(topics=self._topics)


@pytest.mark.parametrize(
    "client", [Old(9), Old(10, [(0, "carts", NONE, False, [], 0, {})])], ids=["too old", "no ids"]
)
async def test_a_broker_that_tells_no_ids_leaves_topics_as_they_are(client):
    assert await topic_ids(client, ["carts"]) is None
    assert await remade(client, {"carts": "a1"}) == set()


async def test_partitions_that_were_added_are_counted_at_once(client, kafka_server, topics):
    assert await partition_counts(client, topics) == dict.fromkeys(topics, 3)
    kafka_server.add_partitions(topics[:1], 5)
    assert await partition_counts(client, topics) == {topics[0]: 5, topics[1]: 3}


async def test_of_an_old_broker_the_client_itself_knows_how_many_partitions_there_are():
    old = Old(9)
    old.cluster = SimpleNamespace(partitions_for_topic={"carts": {0, 1}}.get)
    assert await partition_counts(old, ["carts", "pages"]) == {"carts": 2, "pages": 0}


async def test_the_embedded_broker_tells_ids_too():
    with Broker(["carts"]) as broker:
        client = await started(broker.bootstrap)
        try:
            known = await topic_ids(client, ["carts"])
            assert await remade(client, known) == set()
            assert (await partition_counts(client, ["carts"])).keys() == {"carts"}
        finally:
            await client.close()
