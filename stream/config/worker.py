"""The worker: its consumer group, its clock, its page of metrics, the dead letters it takes."""

from typing import Annotated, Literal

from stream.config.bounds import GROUP, NOT_EMPTY, PORT, SHARE, whole
from stream.config.section import Section, means

METRICS_HOST = means("address of the page `/metrics`")
METRICS_PORT = means("port of that page")


class WorkerSettings(Section):
    """How a worker runs."""

    group: Annotated[
        str, GROUP, means("consumer group in Kafka, and prefix of the keys in Redis")
    ] = "cartwake"
    session_timeout_s: Annotated[
        int, whole(1, 1800, "seconds"), means("how long the shards of a dead worker wait")
    ] = 8
    metrics_host: Annotated[str, NOT_EMPTY, METRICS_HOST] = "127.0.0.1"
    metrics_port: Annotated[int, PORT, METRICS_PORT] = 9464
    clock: Annotated[Literal["live", "records"], means("records: for backfills and tests")] = "live"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], means("least severe level that is logged")
    ] = "info"


class DeadLetterSettings(Section):
    """How many records that can never be processed a shard takes before it stops."""

    max_in_a_row: Annotated[
        int,
        whole(1, 1_000_000_000, "records"),
        means("a shard with more dead letters in a row stops"),
    ] = 100
    max_share: Annotated[
        float,
        SHARE,
        means("a shard with a larger share among its last 2,000 records stops; 1 turns it off"),
    ] = 0.05
