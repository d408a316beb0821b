"""The e-mailer's metrics beside those that all have who act on triggers."""

import math

from prometheus_client import CollectorRegistry, Gauge

from stream.delivery.metrics import DeliveryMetrics


class EmailerMetrics(DeliveryMetrics):
    """The metrics of one e-mailer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__(registry)
        self.smtp_up = Gauge(
            "cartwake_emailer_smtp_up",
            "1 while the mail server takes mails, else 0; they wait for it. NaN before any mail.",
            registry=registry,
        )
        # A gauge is born as 0, which would wake somebody in a night without any mail.
        self.smtp_up.set(math.nan)
