"""What the settings mean to Kafka's clients: addresses, logins and TLS."""

import logging
from typing import Any

from stream.adapters import tls
from stream.config.settings import KafkaSettings

# Some hundred decisions; with Faust's 16 KiB a busy step waits for a dozen requests.
BATCH_BYTES = 256 * 1024
# Below what the topics take (see topics.py): a broker's refusal would leave an idempotent producer
# of aiokafka unable to go on, so the refusal has to be the producer's own.
LARGEST_REQUEST_BYTES = 2 * 1024 * 1024 - 4096


def client_options(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the connection arguments of aiokafka's own clients."""
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.bootstrap,
        "security_protocol": kafka.security_protocol,
    }
    if kafka.security_protocol.endswith("SSL"):
        options["ssl_context"] = tls.context(kafka.ssl_cafile, "kafka.ssl_cafile")
    if kafka.security_protocol.startswith("SASL_"):
        options["sasl_mechanism"] = kafka.sasl_mechanism
        options["sasl_plain_username"] = kafka.sasl_username
        options["sasl_plain_password"] = kafka.sasl_password
    return options


def quiet_clients() -> None:
    """Silence what the clients repeat every second while a server is away: we say it once."""
    for name in ("aiokafka", "faust", "mode", "kafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def addresses(kafka: KafkaSettings) -> list[str]:
    """Return the brokers that are named, each as ``host:port``."""
    return [address.strip() for address in kafka.bootstrap.split(",")]
