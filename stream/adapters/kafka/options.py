"""Options of Kafka's clients from the settings: addresses, logins and TLS."""

import logging
from typing import Any

from stream.adapters import tls
from stream.config.settings import KafkaSettings

# Some hundred decisions; with Faust's 16 KiB a busy step waits for a dozen requests.
BATCH_BYTES = 256 * 1024
# Below the topics' limit (see topic_rules.py): after a broker's refusal an idempotent producer of
# aiokafka cannot continue, so the producer itself has to refuse.
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
    """Silence the clients' own log lines, which repeat every second while a server is down."""
    for name in ("aiokafka", "faust", "mode", "kafka"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def addresses(kafka: KafkaSettings) -> list[str]:
    """Return the configured brokers, each as ``host:port``."""
    return [address.strip() for address in kafka.bootstrap.split(",")]
