"""Reaching Kafka for a single question: bounded in time, and what goes wrong is one line.

The one rule: it looks at metadata alone, which every broker tells, and asks for all topics,
because asking for one by its name might make it.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError, KafkaTimeoutError

from stream.edge.kafka.options import client_options, quiet_clients
from stream.errors import CartwakeError
from stream.settings import Kafka, Settings

ANSWER_S: Final = 10.0

Result = TypeVar("Result")
Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer)


class Unreachable(CartwakeError):  # noqa: N818 - the broker's condition
    """No address of ``kafka.bootstrap`` answers."""

    def __init__(self, kafka: Kafka) -> None:
        is_plain = kafka.security_protocol == "PLAINTEXT"
        login = "" if is_plain else f", or refuses this {kafka.security_protocol} login"
        super().__init__(f"Kafka at {kafka.bootstrap} cannot be reached{login}")


def asked(settings: Settings, question: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's question to Kafka; what goes wrong becomes one line for people."""
    quiet_clients()
    try:
        return asyncio.run(question)
    except (KafkaError, TimeoutError) as error:
        why = f"failed: {type(error).__name__} {error}".rstrip()
        if isinstance(error, TimeoutError | KafkaTimeoutError) or error.retriable:
            why = "has stopped answering"
        raise CartwakeError(f"Kafka at {settings.kafka.bootstrap} {why}") from error


async def metadata(settings: Settings) -> ClusterMetadata:
    """Return what Kafka tells of its brokers and topics.

    Raises
    ------
    Unreachable
        After ``ANSWER_S`` at the latest.
    """
    quiet_clients()
    # Every address gets its share of the time, or a silent one would hide those behind it.
    share_ms = int(ANSWER_S * 1000 / len(settings.kafka.bootstrap.split(",")))
    client = AIOKafkaClient(**client_options(settings.kafka), request_timeout_ms=share_ms)
    try:
        async with asyncio.timeout(ANSWER_S):
            await client.bootstrap()
            return await client.fetch_all_metadata()
    except (KafkaError, OSError) as error:
        raise Unreachable(settings.kafka) from error
    finally:
        await client.close()


@asynccontextmanager
async def started(client: Client) -> AsyncIterator[Client]:
    """Start a client and stop it, also where it could not start: its own context forgets that."""
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


def partition_counts(cluster: ClusterMetadata) -> dict[str, int]:
    """Return how many partitions each topic has; those that nobody leads count."""
    return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in cluster.topics()}


def refuse(settings: Settings, problems: Iterable[str]) -> None:
    """Raise `CartwakeError` with all problems in one line, if there are any."""
    if told := "; ".join(problems):
        raise CartwakeError(f"Kafka at {settings.kafka.bootstrap}: {told}")
