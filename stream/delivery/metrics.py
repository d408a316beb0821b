"""The metrics of programs that deliver triggers, each with its meaning and what to do about it.

Base units, as in ``stream.worker.metrics``, and no label with values that a stranger can invent.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageRefused,
    MessageSent,
    MessageSkipped,
    Outcome,
)

SEND_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
NAMES = {
    MessageSent: "sent",
    MessageRefused: "refused",
    MessageSkipped: "skipped",
    CancelSent: "sent",
    CancelRefused: "refused",
}


class DeliveryMetrics:
    """The metrics of one process; ``channel`` is email, or webhook/ and the endpoint's name."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # shipped without a type
        self._registry = registry
        self.messages = self._counter(
            "messages",
            "Triggers by what became of them; when refused rises, read what the next hop says.",
            ("channel", "kind", "outcome"),
        )
        self.cancels = self._counter(
            "cancels",
            "Cancels of triggers that had been tried, by what became of them; when refused rises, "
            "somebody may act who must not: read what the next hop says.",
            ("channel", "kind", "outcome"),
        )
        self.skipped = self._counter(
            "skipped",
            "Triggers not acted on, by reason; when expired rises, messages are held up: look at "
            "oldest_owed_seconds and postponed.",
            ("channel", "reason"),
        )
        self.postponed = self._counter(
            "postponed",
            "Times that a message was put off, by why; in_doubt means that workers lag or that a "
            "server is away.",
            ("channel", "why"),
        )
        self.pending = self._gauge(
            "pending", "Triggers and cancels that are still to be acted on.", ("channel",)
        )
        self.oldest_owed_seconds = self._gauge(
            "oldest_owed_seconds",
            "For how long the oldest message that may go has been waiting; when it grows, the next "
            "hop or Kafka does not take them.",
            ("channel",),
        )
        self.send_seconds = Histogram(
            "send_seconds",
            "Time that the next hop took for one message; when it grows, look there.",
            ("channel",),
            namespace="cartwake",
            subsystem="delivery",
            buckets=SEND_S,
            registry=registry,
        )

    def note(self, channel: str, pending: int, since_ms: int | None, now_ms: int) -> None:
        """Note how much a channel owes, and since when the oldest of it could go."""
        self.pending.labels(channel).set(pending)
        waited_s = max(0, now_ms - since_ms) / 1000 if since_ms else 0
        self.oldest_owed_seconds.labels(channel).set(waited_s)

    def count(self, outcome: Outcome, kind: str) -> None:
        """Count one outcome."""
        of_cancel = isinstance(outcome, CancelSent | CancelRefused)
        counted = self.cancels if of_cancel else self.messages
        counted.labels(outcome.channel, kind, NAMES[type(outcome)]).inc()
        if isinstance(outcome, MessageSkipped):
            self.skipped.labels(outcome.channel, outcome.reason).inc()

    def _counter(self, name: str, means: str, labels: tuple[str, ...]) -> Counter:
        where = self._registry
        return Counter(name, means, labels, "cartwake", "delivery", registry=where)

    def _gauge(self, name: str, means: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, means, labels, "cartwake", "delivery", registry=self._registry)
