"""Connecting to Kafka in bounded time, with the reason in one line where that fails.

It reads metadata only, which every broker answers, and of all topics, because a request for one
topic by name might create it. This is aiokafka's client and not the administrator's: programs move
their records with aiokafka, so its login and its trust in certificates are what has to be tried,
and librdkafka reports a wrong name, an unknown authority and an expired certificate all alike, and
a mechanism that the broker does not offer like a wrong password.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from stream.adapters.kafka.options import addresses, client_options, quiet_clients
from stream.adapters.refusal import Cause, Refusal, Refused
from stream.adapters.tls import mistrust
from stream.config.settings import KafkaSettings, Settings
from stream.errors import CartwakeError

ANSWER_S: Final = 10.0
HANG_UP_S: Final = 1.0

Client = TypeVar("Client", AIOKafkaConsumer, AIOKafkaProducer)


class Unreachable(CartwakeError):  # noqa: N818 - the broker's condition
    """No address of ``kafka.bootstrap`` answers; waiting may help."""

    def __init__(self, kafka: KafkaSettings) -> None:
        is_plain = kafka.security_protocol == "PLAINTEXT"
        hint = "" if is_plain else f", or does not speak {kafka.security_protocol} there"
        super().__init__(f"Kafka at {kafka.bootstrap} cannot be reached{hint}")


async def metadata(settings: Settings) -> ClusterMetadata:
    """Return the metadata of all brokers and topics.

    Raises
    ------
    Refused
        The broker refuses the login, or its certificate is not trusted.
    Unreachable
        No address answers within ``ANSWER_S``; twice as long where there is a login or TLS.
    """
    quiet_clients()
    try:
        async with asyncio.timeout(ANSWER_S), asking(settings.kafka) as client:
            return await client.fetch_all_metadata()
    except (KafkaError, OSError) as error:
        if settings.kafka.security_protocol != "PLAINTEXT":
            await _ask_why(settings.kafka)
        raise Unreachable(settings.kafka) from error


@asynccontextmanager
async def asking(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaClient]:
    """Start a client for single requests to brokers, and close it."""
    client = AIOKafkaClient(**client_options(kafka), request_timeout_ms=_share_ms(kafka))
    try:
        await client.bootstrap()
        yield client
    finally:
        await client.close()


def _share_ms(kafka: KafkaSettings) -> int:
    """Return how long each address may take, so that a silent one leaves time for the next."""
    return int(ANSWER_S * 1000 / len(addresses(kafka)))


async def _ask_why(kafka: KafkaSettings) -> None:
    """Raise ``Refused`` where a broker refuses: the client itself hides the reason."""
    options, share_ms = client_options(kafka), _share_ms(kafka)
    del options["bootstrap_servers"]
    for address in addresses(kafka):
        host, _, port = address.rpartition(":")
        try:
            await _greet(
                AIOKafkaConnection(
                    host.strip("[]"), int(port), request_timeout_ms=share_ms, **options
                )
            )
        except (KafkaError, OSError) as error:
            if why := _refusal(kafka, error):
                raise Refused(f"Kafka at {kafka.bootstrap}", why) from error


async def _greet(connection: AIOKafkaConnection) -> None:
    """Connect, log in and disconnect; wait for the end of TLS, which may outlast the loop."""
    refused: KafkaError | None = None
    try:
        await connection.connect()
    except KafkaError as error:
        refused = error
    await asyncio.wait({connection.close()}, timeout=HANG_UP_S)
    if refused:
        raise refused


def _refusal(kafka: KafkaSettings, error: Exception) -> Refusal | None:
    if isinstance(error, SaslAuthenticationFailed | AuthenticationFailedError):
        words = f"refuses this login of {kafka.sasl_username} by {kafka.sasl_mechanism}"
        return Refusal(Cause.LOGIN, words)
    if isinstance(error, UnsupportedSaslMechanismError):
        return Refusal(Cause.MECHANISM, f"knows no logins by {kafka.sasl_mechanism}")
    return mistrust(error)


@asynccontextmanager
async def started(client: Client) -> AsyncIterator[Client]:
    """Start a client and stop it, also after a failed start, where its own context does not."""
    try:
        await client.start()
        yield client
    finally:
        await client.stop()


def partition_counts(cluster: ClusterMetadata) -> dict[str, int]:
    """Return how many partitions each topic has, those without a leader included."""
    return {topic: len(cluster.partitions_for_topic(topic) or ()) for topic in cluster.topics()}


def refuse(settings: Settings, problems: Iterable[str]) -> None:
    """Raise `CartwakeError` with all problems in one line, if there are any."""
    if text := "; ".join(problems):
        raise CartwakeError(f"Kafka at {settings.kafka.bootstrap}: {text}")
