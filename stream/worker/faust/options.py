"""What the settings mean to Faust."""

from typing import Any

import faust
from faust.types.auth import SASLMechanism
from yarl import URL

from stream.adapters.kafka.options import (
    BATCH_BYTES,
    LARGEST_REQUEST_BYTES,
    addresses,
    client_options,
)
from stream.config.settings import KafkaSettings, Settings

REQUEST_S = 10.0
HEARTBEATS_PER_SESSION = 4
# Kafka tells a member that its group is rebalancing in the answer to a heartbeat, and nobody gets a
# shard before all members have heard it: a dead worker's shards wait for a session and this.
HEARTBEAT_S = 0.5


def faust_options(settings: Settings) -> dict[str, Any]:
    """Return Faust's settings: a life cycle, a consumer group and a producer, nothing else."""
    session_s = settings.worker.session_timeout_s
    return {
        "broker": [URL(f"aiokafka://{address}") for address in addresses(settings.kafka)],
        "broker_credentials": _credentials(settings.kafka),
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": min(HEARTBEAT_S, session_s / HEARTBEATS_PER_SESSION),
        "broker_rebalance_timeout": 2 * session_s,
        "broker_commit_interval": 1.0,
        # Kafka answers a member who joins only once all others are there, or have been given up.
        "broker_request_timeout": max(40.0, 2 * session_s + REQUEST_S),
        # A topic that was gone is there again: the sooner it is seen, the sooner that is told.
        "consumer_metadata_max_age_ms": 30_000,
        # Where the log no longer holds an offset, going on elsewhere would skip events in silence.
        "consumer_auto_offset_reset": "none",
        "producer_request_timeout": 30.0,
        "producer_max_request_size": LARGEST_REQUEST_BYTES,
        "producer_max_batch_size": BATCH_BYTES,
        "stream_buffer_maxsize": 64,
        # Acknowledgements are not Faust's business here, so there is nothing to wait for.
        "stream_wait_empty": False,
        # Without standby replicas Faust takes an assignor that tears a shard's topics apart.
        "table_standby_replicas": 1,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "worker_redirect_stdouts": False,
    }


def _credentials(kafka: KafkaSettings) -> Any:  # noqa: ANN401 - Faust has a class for each kind
    options = client_options(kafka)
    context = options.get("ssl_context")
    if kafka.security_protocol.startswith("SASL_"):
        return faust.SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password,
            ssl_context=context,
            mechanism=SASLMechanism(kafka.sasl_mechanism),
        )
    return faust.SSLCredentials(context=context) if context else None
