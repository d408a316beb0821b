"""Topic ids, by which a worker notices that a topic was deleted and created again (KIP-516).

A broker without ids leaves topics to be distinguished by where their logs end. Request and
response are Kafka's ``Metadata``, version 10, over the consumer's own connections, and not a call
of the administrator's client: that one waits for the cluster's controller, on which reading must
not depend and which the demo's broker does not have.
"""

import asyncio
from collections.abc import Collection, Mapping
from io import BytesIO

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError, NodeNotReadyError, NoError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

ANSWER_S = 2.0
ID_BYTES = 16
NONE = bytes(ID_BYTES)


class Id(AbstractType[bytes]):  # type: ignore[misc, unused-ignore]
    """A topic's id on the wire; all zeroes mean none."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Return the bytes as they are."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Return the next bytes."""
        return data.read(ID_BYTES)


class Answer(Response):  # type: ignore[misc, unused-ignore]
    """The broker's description of its cluster and of the requested topics."""

    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString()),
                ("port", Int32),
                ("rack", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString()),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString()),
                ("topic_id", Id),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class Question(RequestStruct):  # type: ignore[misc, unused-ignore]
    """A request for topics by name."""

    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = Answer
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(("topic_id", Id), ("name", CompactString()), ("tags", TaggedFields)),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class TopicIds(Request[Question]):  # type: ignore[misc, unused-ignore]
    """The request as aiokafka sends it, to a broker that supports this version."""

    API_KEY = 3

    def __init__(self, names: Collection[str]) -> None:
        self._names = sorted(names)

    def build(self, request_struct_class: type[Question]) -> Question:
        """Request the topics without creating them."""
        named: list[tuple[bytes, str, dict[int, bytes]]]
        named = [(NONE, name, {}) for name in self._names]
        return request_struct_class(named, False, False, False, {})  # noqa: FBT003 - a wire format


def some_node(client: AIOKafkaClient) -> int:
    """Return any broker's node id; all give the same answers."""
    node: int | None = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    return node


async def topic_ids(client: AIOKafkaClient, names: Collection[str]) -> dict[str, str] | None:
    """Return the id of each topic that exists; None if the broker has no ids."""
    try:
        answer = await client.send(some_node(client), TopicIds(names))
    except NotImplementedError:  # raised by aiokafka if no version is supported by both
        return None
    found = {
        name: topic_id
        for error_code, name, topic_id, *_ in answer.topics
        if for_code(error_code) is NoError
    }
    if NONE in found.values():
        return None
    return {name: topic_id.hex() for name, topic_id in found.items()}


async def partition_counts(client: AIOKafkaClient, names: Collection[str]) -> dict[str, int]:
    """Return how many partitions each topic that exists has by now."""
    try:
        answer = await client.send(some_node(client), TopicIds(names))
    except NotImplementedError:  # an old broker: what the client last heard of it
        return {name: len(client.cluster.partitions_for_topic(name) or ()) for name in names}
    return {
        name: len(partitions)
        for error_code, name, _, _, partitions, *_ in answer.topics
        if for_code(error_code) is NoError
    }


async def remade(client: AIOKafkaClient, known: Mapping[str, str]) -> set[str] | None:
    """Return which topics have another id than the known one; None if that is not clear yet.

    A topic that is missing may be created again in the next moment.
    """
    try:
        async with asyncio.timeout(ANSWER_S):
            now = await topic_ids(client, known.keys())
    except (KafkaError, TimeoutError):
        return None
    if now is None:
        return set()
    if known.keys() - now.keys():
        return None
    return {topic for topic, topic_id in known.items() if now[topic] != topic_id}
