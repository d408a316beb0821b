"""Descriptions of topics and of a consumer group, with the operations that this user may do.

What the broker does not report is None, never a guess. Without an authorizer a broker allows
everybody everything.
"""

from collections.abc import Collection
from typing import Any, Final

from aiokafka.structs import TopicPartition
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException, TopicCollection, Uuid
from confluent_kafka.admin import AclOperation, AdminClient
from msgspec import Struct

from stream.adapters.kafka.administer import answer, refusal_of
from stream.adapters.kafka.connect import ANSWER_S
from stream.runtime.retry import retries

OPERATIONS: Final = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Alter": AclOperation.ALTER,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "AlterConfigs": AclOperation.ALTER_CONFIGS,
}
STATES: Final = {
    ConsumerGroupState.STABLE: "Stable",
    ConsumerGroupState.EMPTY: "Empty",
    ConsumerGroupState.DEAD: "Dead",
    ConsumerGroupState.PREPARING_REBALANCING: "PreparingRebalance",
    ConsumerGroupState.COMPLETING_REBALANCING: "CompletingRebalance",
}

# What a broker answers while a group's coordinator is being elected or reads its log.
NO_COORDINATOR: Final = (
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
)
RETRY_S: Final = 0.2

Allowed = frozenset[str]


class _NoCoordinatorError(Exception):
    """No broker coordinates the group yet."""


class Member(Struct, frozen=True):
    """One worker in a group: its id, its address, and its assigned partitions."""

    id: str
    host: str
    assigned: frozenset[TopicPartition]


class Group(Struct, frozen=True):
    """A consumer group. ``refused`` is the broker's reason for not describing it.

    ``allowed`` is None where the broker does not report it.
    """

    state: str = "unknown"
    members: tuple[Member, ...] = ()
    allowed: Allowed | None = None
    refused: str = ""


class TopicMetadata(Struct, frozen=True):
    """A topic: smallest replica count and in-sync replica count of a partition, operations, id.

    ``allowed`` is None and ``id`` is empty where the broker does not report them: ids came with
    Kafka 2.8.
    """

    replicas: int
    in_sync: int
    allowed: Allowed | None
    id: str = ""


async def describe_topics(admin: AdminClient, names: Collection[str]) -> dict[str, TopicMetadata]:
    """Return the description of each of these topics that this user can see."""
    if not names:
        return {}
    asked = admin.describe_topics(
        TopicCollection(sorted(names)),
        include_authorized_operations=True,
        request_timeout=ANSWER_S,
    )
    found: dict[str, TopicMetadata] = {}
    for name, future in asked.items():
        try:
            told = await answer(future)
        except KafkaException as error:
            refusal_of(error)  # the topic is missing, or hidden from this user
            continue
        found[name] = TopicMetadata(
            replicas=min((len(part.replicas) for part in told.partitions), default=0),
            in_sync=min((len(part.isr) for part in told.partitions), default=0),
            allowed=_allowed(told.authorized_operations),
            id=_hex(told.topic_id),
        )
    return found


async def describe_group(admin: AdminClient, name: str) -> Group:
    """Return the description of a group by its coordinator; a new broker elects one first."""
    try:
        async for attempt in retries(_NoCoordinatorError, longest_s=RETRY_S, within_s=ANSWER_S):
            with attempt:
                return await _describe_group(admin, name)
    except _NoCoordinatorError as late:
        return Group(refused=str(late))
    raise AssertionError  # the attempts end by returning or raising


async def _describe_group(admin: AdminClient, name: str) -> Group:
    asked = admin.describe_consumer_groups(
        [name], include_authorized_operations=True, request_timeout=ANSWER_S
    )
    try:
        found = await answer(asked[name])
    except KafkaException as error:
        refused = refusal_of(error)
        if error.args[0].code() in NO_COORDINATOR:
            raise _NoCoordinatorError(error.args[0].name()) from None
        return Group(refused=refused)
    members = tuple(_member(one) for one in found.members)
    state = STATES.get(found.state, "unknown")
    return Group(state, members, _allowed(found.authorized_operations))


def _member(told: Any) -> Member:  # noqa: ANN401 - confluent-kafka is shipped without types
    parts = (TopicPartition(one.topic, one.partition) for one in told.assignment.topic_partitions)
    return Member(told.member_id, told.host.lstrip("/"), frozenset(parts))


def _allowed(operations: Collection[AclOperation] | None) -> Allowed | None:
    if operations is None:
        return None
    return frozenset(name for name, operation in OPERATIONS.items() if operation in operations)


def _hex(topic_id: Uuid) -> str:
    """Return an id as 32 hexadecimal digits; empty for the id of all zeroes, which means none."""
    high, low = topic_id.get_most_significant_bits(), topic_id.get_least_significant_bits()
    bits = (high % 2**64) << 64 | (low % 2**64)
    return f"{bits:032x}" if bits else ""
