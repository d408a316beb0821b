"""Which topic it is that has a name now: a topic that was deleted and made again has another id.

The one rule: only what the broker tells is believed. One that knows no ids, or that speaks a
version of the protocol without them, leaves topics to be told apart by where their logs end.
The layout of question and answer is that of Kafka's ``Metadata`` request, version 10 (KIP-516).
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
    """A topic's id on the wire; all zeroes stand for none."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Return the bytes as they are."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Return the next bytes."""
        return data.read(ID_BYTES)


class Answer(Response):  # type: ignore[misc, unused-ignore]
    """What a broker tells of its cluster and of the topics asked for."""

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
    """Asks for topics by their names."""

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
    """The question as aiokafka sends it, to a broker that understands this version."""

    API_KEY = 3

    def __init__(self, names: Collection[str], *, rights: bool = False) -> None:
        self._names, self._rights = sorted(names), rights

    def build(self, request_struct_class: type[Question]) -> Question:
        """Ask for the names, and make no topic by asking."""
        named: list[tuple[bytes, str, dict[int, bytes]]]
        named = [(NONE, name, {}) for name in self._names]
        return request_struct_class(named, False, False, self._rights, {})  # noqa: FBT003 - a wire format


def some_node(client: AIOKafkaClient) -> int:
    """Return any broker; all tell the same."""
    node: int | None = client.get_random_node()
    if node is None:
        raise NodeNotReadyError("no broker is known")
    return node


async def topic_ids(client: AIOKafkaClient, names: Collection[str]) -> dict[str, str] | None:
    """Return the id of each topic that exists; None where the broker tells none."""
    try:
        answer = await client.send(some_node(client), TopicIds(names))
    except NotImplementedError:  # so aiokafka says that the versions do not meet
        return None
    found = {
        name: topic_id
        for error_code, name, topic_id, *_ in answer.topics
        if for_code(error_code) is NoError
    }
    if NONE in found.values():
        return None
    return {name: topic_id.hex() for name, topic_id in found.items()}


async def remade(client: AIOKafkaClient, known: Mapping[str, str]) -> set[str] | None:
    """Return which topics are others now than the known ones; None where it cannot be told yet.

    A topic that is gone may be made again in the next moment.
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
