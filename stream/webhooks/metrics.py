"""The webhooks' metrics beside those that all have who act on triggers."""

from prometheus_client import CollectorRegistry, Counter

from stream.delivery.metrics import DeliveryMetrics


class WebhookMetrics(DeliveryMetrics):
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.attempts = Counter(
            "cartwake_webhooks_attempts",
            "Requests by what the endpoint said; gone means that it wants no more, failed that it "
            "is tried again.",
            ("endpoint", "outcome"),
            registry=registry,
        )
