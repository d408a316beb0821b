"""Kafka's administrator client, and the settings of topics.

Only commands for people use it. Each call ends within `ANSWER_S`, and librdkafka logs nothing.
"""

import asyncio
import ssl
from collections.abc import Coroutine, Iterable
from typing import Any, Final, TypeVar

from aiokafka.errors import KafkaError
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from stream.adapters.kafka.connect import ANSWER_S
from stream.adapters.kafka.options import addresses, quiet_clients
from stream.config.settings import KafkaSettings, Settings
from stream.errors import CartwakeError

# Errors of either client: aiokafka connects first and moves records, confluent-kafka administers.
FAILURES: Final = (KafkaError, KafkaException, TimeoutError)
ASKED: Final = (
    "cleanup.policy",
    "max.message.bytes",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
)

Configs = dict[str, dict[str, str]]
Result = TypeVar("Result")


def admin_client(kafka: KafkaSettings) -> AdminClient:
    """Return a client that connects at the first call and closes when it is no longer referenced.

    Futures that it has returned are answered only until then.
    """
    options = {
        "bootstrap.servers": ",".join(addresses(kafka)),
        "security.protocol": kafka.security_protocol,
        "log_level": 0,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl.ca.location"] = kafka.ssl_cafile or _system_authorities()
    if kafka.security_protocol.startswith("SASL_"):
        options["sasl.mechanism"] = kafka.sasl_mechanism
        options["sasl.username"] = kafka.sasl_username
        options["sasl.password"] = kafka.sasl_password
    return AdminClient(options)


def ask(settings: Settings, question: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's question to Kafka; an error becomes one line for people."""
    quiet_clients()
    try:
        return asyncio.run(question)
    except FAILURES as error:
        raise failed(settings, error) from error


def failed(settings: Settings, error: Exception) -> CartwakeError:
    """Return one line for people about an error of either client."""
    reason = error.args[0] if isinstance(error, KafkaException) else None
    if reason is not None:
        is_passing = reason.code() < 0 or reason.retriable()
        name = reason.name().strip("_").replace("_", " ").lower()
    else:
        is_passing = isinstance(error, OSError) or bool(getattr(error, "retriable", False))
        name = type(error).__name__
    where = f"Kafka at {settings.kafka.bootstrap}"
    if is_passing:
        return CartwakeError(f"{where} has stopped answering ({name})")
    return CartwakeError(f"{where} failed: {name} {error}".rstrip())


async def answer(future: Any) -> Any:  # noqa: ANN401 - confluent-kafka is shipped without types
    """Return what one of the client's futures brings; its ``KafkaException`` is raised."""
    return await asyncio.wrap_future(future)


def refusal_of(error: KafkaException) -> str:
    """Return a broker's reason for refusing one item of a call.

    Raises
    ------
    KafkaException
        The error is the client's own: no broker has answered.
    """
    reason = error.args[0]
    if reason.code() < 0:
        raise error
    text: str = reason.str()
    return text.removeprefix("Broker: ").rstrip(".")


async def topic_configs(admin: AdminClient, names: Iterable[str]) -> tuple[Configs, dict[str, str]]:
    """Return the settings of topics, and for those that the broker refuses its reason."""
    wanted = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    if not wanted:
        return {}, {}
    configs: Configs = {}
    refused: dict[str, str] = {}
    for resource, future in admin.describe_configs(wanted, request_timeout=ANSWER_S).items():
        try:
            entries = await answer(future)
        except KafkaException as error:
            refused[resource.name] = refusal_of(error)
        else:
            configs[resource.name] = {key: entries[key].value for key in ASKED if key in entries}
    return configs, refused


def _system_authorities() -> str:
    """Return the authorities that Python trusts: the clients for data trust the same."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or "probe"
