"""The edge's metrics, each with its meaning and what to do about it.

Base units, as in ``stream.worker.metrics``, and no label with values that strangers invent: the
first 200 names of unknown vendor events and of categories are labels, further ones are ``other``,
and so is what does not look like a name: it may hold an address or a number of somebody.
"""

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from stream.mappers import Mapped
from stream.runtime.bulkhead import Bulkhead, DefectCounter

ANSWER_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
KNOWN_NAMES = 200
# Words, as vendors name events and categories: no address, and no number of five digits or more.
NAME = re.compile(r"(?!(?:.*\d){5})[^\W\d_][\w .:/()&+,'-]{0,63}")


class EdgeMetrics:
    """The metrics of one edge."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # shipped without a type
        self._registry = registry
        self._names: dict[Counter, set[tuple[str, str]]] = {}
        self._defects = DefectCounter(registry, "edge")
        self._define_collector()
        self._define_message_links()
        self._define_gateway()

    def count_mapped(self, vendor: str, mapped: Mapped) -> None:
        """Count what of a vendor's event did not become a canonical event."""
        for name in mapped.unmapped:
            self._count_name(self.unmapped, vendor, name)
        for name in mapped.unheard:
            self._count_name(self.unheard_refusals, vendor, name)
        for field in mapped.lost:
            self.lost_fields.labels(vendor, field).inc()

    def _count_name(self, counter: Counter, vendor: str, name: str) -> None:
        names = self._names.setdefault(counter, set())
        if (vendor, name) not in names:
            if len(names) >= KNOWN_NAMES or not NAME.fullmatch(name):
                name = "other"
            names.add((vendor, name))
        counter.labels(vendor, name).inc()

    def bulkhead(self, unit: str) -> Bulkhead:
        """Return a bulkhead for units that are tried once.

        No number of them ends the process: strangers choose what they contain.
        """
        return Bulkhead(unit, self._defects, waits_s=(), different_units=None)

    def _define_collector(self) -> None:
        self.events = self._counter(
            "events",
            "Records by what became of them: accepted is acknowledged by Kafka; while unavailable "
            "rises, look at edge_kafka_up.",
            ("topic", "outcome"),
        )
        self.refused = self._counter(
            "refused",
            "Events and requests refused, by reason; when one rises, ask what a shop changed last.",
            ("reason",),
        )
        self.unmapped = self._counter(
            "unmapped",
            "Vendors' events without a counterpart, by name; nothing is wrong with them.",
            ("vendor", "name"),
        )
        self.unheard_refusals = self._counter(
            "unheard_refusals",
            "Shoppers' refusals of a category of consent that nobody here knows, by its name; "
            "while it rises, name the category's purposes in edge.consent_categories.",
            ("vendor", "category"),
        )
        self.lost_fields = self._counter(
            "lost_fields",
            "Values that were there and could not be read, by field; the event counts without "
            "them. When one rises, ask what the sender changed last.",
            ("source", "field"),
        )
        self.skew_corrected = self._counter(
            "skew_corrected",
            "Events whose sender's clock was wrong by more than five minutes, and was corrected.",
        )
        self.bots = self._counter(
            "bots", "Events marked as a robot's; the workers count and ignore them."
        )
        self.answer_seconds = self._histogram(
            "answer_seconds",
            "From a request's arrival to its answer, Kafka's acknowledgement included; when it "
            "grows, look at Kafka's produce latency.",
        )
        self.kafka_up = self._gauge(
            "kafka_up", "1 while Kafka acknowledges, else 0; events are answered 503 meanwhile."
        )

    def _define_message_links(self) -> None:
        self.unsubscribed = self._counter(
            "unsubscribed",
            "Withdrawals by a message's link; when it jumps, look at what was sent last, and to "
            "how many.",
        )

    def _define_gateway(self) -> None:
        self.streams = self._gauge("streams", "Pages that wait for actions right now.")
        self.actions = self._counter(
            "actions",
            "On-site triggers by what became of them here: sent to a page, resent to one that "
            "came back, expired or cancelled unseen, unheard where no page waited.",
            ("outcome",),
        )

    def _counter(self, name: str, means: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"edge_{name}", means, labels, namespace="cartwake", registry=self._registry)

    def _gauge(self, name: str, means: str) -> Gauge:
        return Gauge(f"edge_{name}", means, namespace="cartwake", registry=self._registry)

    def _histogram(self, name: str, means: str) -> Histogram:
        return Histogram(
            f"edge_{name}", means, namespace="cartwake", buckets=ANSWER_S, registry=self._registry
        )
