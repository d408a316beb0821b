"""What a broker tells of topics and of a group, and of what this user may do with them.

The one rule: what is not told is not guessed. Operations are numbered as in Kafka's
``AclOperation``; without an authorizer a broker lets everybody do everything.
"""

import asyncio
from collections.abc import Collection
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError, NoError, for_code
from aiokafka.protocol.admin import DescribeGroupsRequest_v3, DescribeGroupsResponse_v3
from aiokafka.protocol.api import Request
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.structs import TopicPartition
from msgspec import Struct

from stream.adapters.kafka.topic_ids import TopicIds, some_node

# What is not told has the lowest number there is.
NOT_REPORTED: Final = -(2**31)
TRIES: Final = 10
AGAIN_S: Final = 0.3
OPERATIONS: Final = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}

Allowed = frozenset[str]


class Described(DescribeGroupsRequest_v3):  # type: ignore[misc, unused-ignore]
    """Asks for a group, and for what may be done with it.

    aiokafka's own class reads the answer as one of the version before, without the rights.
    """

    RESPONSE_TYPE = DescribeGroupsResponse_v3


class GroupQuestion(Request[Described]):  # type: ignore[misc, unused-ignore]
    """The question as aiokafka sends it, to a broker that understands this version."""

    API_KEY = 15

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[Described]) -> Described:
        """Ask for the one group."""
        return request_struct_class([self._group], True)  # noqa: FBT003 - a wire format


class Member(Struct, frozen=True):
    """One worker in a group: its id, the address it comes from, and what it has been assigned."""

    id: str
    host: str
    assigned: frozenset[TopicPartition]


class Group(Struct, frozen=True):
    """A consumer group. ``refused`` says why nothing is told of it; ``allowed`` what may be done.

    ``allowed`` is None where the broker does not tell.
    """

    state: str = "unknown"
    members: tuple[Member, ...] = ()
    allowed: Allowed | None = None
    refused: str = ""


class TopicMetadata(Struct, frozen=True):
    """What a broker tells of a topic: copies of its least copied partition, those in step, rights.

    ``allowed`` is None where the broker does not tell.
    """

    copies: int
    in_sync: int
    allowed: Allowed | None


async def told_topics(client: AIOKafkaClient, names: Collection[str]) -> dict[str, TopicMetadata]:
    """Return what is told of each topic that this user sees; brokers before Kafka 2.8 tell none."""
    try:
        answer = await client.send(some_node(client), TopicIds(names, rights=True))
    except NotImplementedError:  # so aiokafka says that the versions do not meet
        return {}
    return {
        name: TopicMetadata(
            copies=min((len(part[4]) for part in partitions), default=0),
            in_sync=min((len(part[5]) for part in partitions), default=0),
            allowed=_allowed(bits),
        )
        for error_code, name, _, _, partitions, bits, _ in answer.topics
        if for_code(error_code) is NoError
    }


async def described(client: AIOKafkaClient, group: str) -> Group:
    """Return what the broker that coordinates a group tells of it.

    The first question of all makes Kafka set up its own topic of groups, which takes a moment.
    """
    for _ in range(TRIES - 1):
        error, told = await _described(client, group)
        if not error.retriable:
            return told
        await asyncio.sleep(AGAIN_S)
    _, told = await _described(client, group)
    return told


async def _described(client: AIOKafkaClient, group: str) -> tuple[type[KafkaError], Group]:
    """Return what is told, and why it is not."""
    found = await client.send(some_node(client), FindCoordinatorRequest(group, 0))
    error = for_code(found.error_code)
    if error is not NoError:
        return error, Group(refused=error.__name__)
    try:
        answer = await client.send(found.coordinator_id, GroupQuestion(group))
    except NotImplementedError:
        return NoError, Group(refused="the broker is older than Kafka 2.3")
    ((error_code, _, state, _, _, members, bits),) = answer.groups
    error = for_code(error_code)
    if error is not NoError:
        return error, Group(refused=error.__name__)
    told = tuple(_member(member_id, host, part) for member_id, _, host, _, part in members)
    return NoError, Group(state, told, _allowed(bits))


def _member(member_id: str, host: str, assignment: bytes) -> Member:
    parts = ConsumerProtocolMemberAssignment.decode(assignment).partitions() if assignment else ()
    return Member(member_id, host.lstrip("/"), frozenset(parts))


def _allowed(bits: int) -> Allowed | None:
    if bits == NOT_REPORTED:
        return None
    return frozenset(name for name, number in OPERATIONS.items() if bits >> number & 1)
