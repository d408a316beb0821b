"""All metrics of a worker, each with its meaning and what to do when it is bad.

They use base units and the prefix ``cartwake_``. No client can invent values of a label: unknown
event types share one name, and a visitor is never a label.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from stream.adapters.wire.codec import Defect
from stream.runtime.bulkhead import DefectCounter
from stream.shard.ports import DEFECT

# From the wait for one fetch to an outage of an hour.
LAG_S = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
COMMIT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
BATCH = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)


class Metrics:
    """The metrics of one process; the client library adds ``_total`` to a counter's name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # They double the series, and no dashboard uses the creation times.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # shipped without a type
        self._registry = registry
        self._define_events()
        self._define_consent()
        self._define_triggers()
        self._define_shards()
        self._define_owners()
        self._define_servers()
        self._define_models()
        self.defects = DefectCounter(registry, "worker")

    def _define_events(self) -> None:
        self.events = self._counter(
            "events",
            "Records read, by outcome; when dead letters or refusals rise, find out what changed "
            "in a producer or a consent banner.",
            ("topic", "type", "outcome"),
        )
        self.event_lag_seconds = self._histogram(
            "event_lag_seconds",
            "From a record's timestamp to its commit; when it grows, add workers (up to one per "
            "partition) or look at commit_seconds.",
            LAG_S,
        )
        self.events_clamped = self._counter(
            "events_clamped",
            "Events whose time was too far from their record's timestamp and was corrected; when "
            "it rises, a producer's clock is wrong or it sends late.",
        )
        self.dead_letters = self._counter(
            "dead_letters",
            "Records that can never be processed, by reason; look at them with "
            "'cartwake dead-letters list', correct the producer, then replay them.",
            ("reason",),
        )
        # A series that begins with its first burst shows no rise, so no alert would see the burst.
        for reason in (*Defect, DEFECT):
            self.dead_letters.labels(reason)

    def _define_consent(self) -> None:
        self.consent_refused = self._counter(
            "consent_refused",
            "Events or wake-ups stopped by a missing consent, by purpose; a sudden rise means "
            "that a consent banner no longer reports grants.",
            ("purpose",),
        )
        self.consent_stale = self._counter(
            "consent_stale",
            "Consent choices that were read after a newer one and ignored; a few are normal, many "
            "mean that a producer sends old choices again.",
        )

    def _define_triggers(self) -> None:
        self.decisions = self._counter(
            "decisions",
            "Decisions to act or not, with the reason; compare the reasons' shares with last week.",
            ("kind", "outcome", "reason"),
        )
        self.exits_without_cart = self._counter(
            "exits_without_cart",
            "Exit signals of visitors with an empty cart, about which nothing is decided; if "
            "almost all signals are, pages report no carts.",
        )
        self.trigger_fire_lag_seconds = self._histogram(
            "trigger_fire_lag_seconds",
            "From the moment a trigger was due to its decision; when it grows, a backlog drains: "
            "look at event_lag_seconds.",
            LAG_S,
        )
        self.trigger_end_to_end_seconds = self._histogram(
            "trigger_end_to_end_seconds",
            "From the timestamp of the record that caused a trigger until Kafka acknowledged the "
            "trigger; when it grows alone, look at Kafka's producers and outbox_entries.",
            LAG_S,
        )
        self.outbox_entries = self._gauge(
            "outbox_entries",
            "Effects committed and not yet acknowledged by Kafka; when it keeps growing, Kafka "
            "does not accept records: look at kafka_up and the broker.",
        )
        self.outbox_oldest_seconds = self._gauge(
            "outbox_oldest_seconds",
            "How long the oldest effect of the outbox has waited for Kafka, 0 if the outbox is "
            "empty; beyond 30 s look at the broker's health and at the rights on its topics.",
        )

    def _define_shards(self) -> None:
        self.timers_armed = self._gauge(
            "timers_armed",
            "Visitors of the owned shards with a pending wake-up; a fall to zero while events are "
            "read means that state was lost.",
        )
        self.commit_seconds = self._histogram(
            "commit_seconds",
            "Time of one commit of a batch to Redis; when it grows, look at Redis's slow log, disk "
            "and network.",
            COMMIT_S,
        )
        self.batch_records = self._histogram(
            "batch_records",
            "Records in one batch; if it is always the maximum, there is a backlog: add workers.",
            BATCH,
        )

    def _define_owners(self) -> None:
        self.shards_owned = self._gauge(
            "shards_owned",
            "Shards that this worker owns; the sum over all workers must equal the partitions.",
        )
        self.shards_stopped = self._gauge(
            "shards_stopped",
            "Shards that stopped because their log and their state do not fit together, or because "
            "too many records are dead letters; the worker's log says which and what to do.",
        )
        self.shard_still_seconds = self._gauge(
            "shard_still_seconds",
            "The longest time that an owned shard has had work without a step; beyond 30 s with "
            "Kafka and Redis up it is stuck, and the worker soon ends itself: see its log.",
        )
        self.shard_fenced = self._counter(
            "shard_fenced",
            "Writes refused because the shard has a newer owner; some at a rebalance are normal, a "
            "steady stream means paused or overloaded workers.",
        )

    def _define_servers(self) -> None:
        self.kafka_up = self._gauge(
            "kafka_up", "1 while Kafka answers, else 0; the worker waits and loses nothing."
        )
        self.redis_up = self._gauge(
            "redis_up", "1 while Redis answers, else 0; the worker waits and loses nothing."
        )
        self.redis_memory_bytes = self._gauge(
            "redis_memory_bytes",
            "Memory that a Redis server uses; it grows with visitors: beyond 80 % of the limit "
            "give it more before it refuses to store.",
            ("server",),
        )
        self.redis_memory_limit_bytes = self._gauge(
            "redis_memory_limit_bytes",
            "Redis's maxmemory, 0 if it has none: then set one, or the kernel ends Redis when "
            "memory runs short.",
            ("server",),
        )
        self.clock_skew_seconds = self._gauge(
            "clock_skew_seconds",
            "How far a clock (wall: this machine's) is ahead of this worker's time; beyond 5 s "
            "either way correct that clock: the worker ignores it, or nothing becomes due.",
            ("clock",),
        )

    def _define_models(self) -> None:
        self.model_log_loss = self._gauge(
            "model_log_loss",
            "Progressive log loss (scored before learnt); when it rises, shoppers or features have "
            "changed: look at the latest deployment of the shop.",
            ("model",),
        )
        self.model_roc_auc = self._gauge(
            "model_roc_auc",
            "Progressive area under the ROC curve; 0.5 is as good as chance: ignore the scores.",
            ("model",),
        )
        self.model_version = self._gauge(
            "model_version",
            "Version of the snapshot that is served, 0 for the prior; if it does not change, the "
            "trainer does not run.",
            ("model",),
        )

    def _counter(self, name: str, means: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(name, means, labels, namespace="cartwake", registry=self._registry)

    def _gauge(self, name: str, means: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, means, labels, namespace="cartwake", registry=self._registry)

    def _histogram(self, name: str, means: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(
            name, means, namespace="cartwake", buckets=buckets, registry=self._registry
        )
