"""A shop whose carts are left: a worker, an e-mailer, its customers and their mail server."""

import json
import time
from contextlib import contextmanager

from confluent_kafka import Producer

from tests.real.pipeline import Pipeline
from tests.rig.mailbox import Mailbox
from tests.rig.processes import Emailer

IDLE_S = 1
SETTINGS = {
    "cart_abandonment__idle_s": IDLE_S,
    "cart_abandonment__steps_s": "[0]",
    "holdout__fraction": 0,
    "worker__session_timeout_s": 6,
}
BOTH = {"personalization": "granted", "marketing_email": "granted"}
NO_MAIL = {"marketing_email": "withdrawn"}
PRODUCT = {"id": "mug", "name": "Mug", "price_minor": 1200, "currency": "EUR"}


class Shop:
    """A pipeline with a worker, its customers and their mail server."""

    def __init__(self, kafka, redis, folder, group, **settings):
        self.pipeline = Pipeline(kafka, redis, folder, group, **SETTINGS | settings)
        self.kafka, self.folder = kafka, folder
        self.mailbox = Mailbox()
        self.customers = folder / "customers.csv"
        self.customers.write_text("visitor,email,locale\n")
        self.emailers = []
        self._number = 0
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap, "partitioner": "murmur2_random", "linger.ms": 0}
        )

    @contextmanager
    def running(self):
        """Run a worker and the mail server, and yield the shop."""
        with self.pipeline, self.mailbox:
            self.pipeline.start_workers(1)
            try:
                yield self
            finally:
                for emailer in self.emailers:
                    emailer.kill()

    def knows(self, *visitors, **row):
        """Write customers into the shop's directory."""
        with self.customers.open("a") as file:
            for visitor in visitors:
                file.write(f"{visitor},{row.get('email', f'{visitor}@mail.example')},en\n")

    def tells(self, topic, kind, visitor, **fields):
        """Produce one event, and return once it is stored."""
        self.writes(topic, kind, visitor, **fields)
        self.flush()

    def writes(self, topic, kind, visitor, **fields):
        """Produce one event, and go on."""
        self._number += 1
        event = {"type": kind, "id": f"e{self._number}", "visitor": visitor, "at_ms": now_ms()}
        value = json.dumps(event | fields).encode()
        self._producer.produce(topic, key=visitor, value=value)
        self._producer.poll(0)

    def publishes(self, topic, visitor, value):
        """Produce what a worker would, and go on."""
        self._producer.produce(topic, key=visitor, value=json.dumps(value))
        self._producer.poll(0)

    def flush(self):
        """Return once all is stored."""
        assert self._producer.flush(60) == 0

    def agrees(self, visitor, purposes=BOTH):
        self.tells("consent-events", "consent_updated", visitor, purposes=purposes)

    def leaves_a_cart(self, visitor, **fields):
        self.agrees(visitor)
        self.tells("cart-events", "product_added", visitor, product=PRODUCT, quantity=2, **fields)

    def emailer(self, name="emailer", **settings):
        """Start an e-mailer, and return it ready."""
        settings = {f"CARTWAKE_EMAILER__{k.upper()}": str(v) for k, v in settings.items()}
        emailer = Emailer(
            self.folder,
            self.pipeline.settings
            | {"CARTWAKE_EMAILER__GROUP": f"mail-{self.pipeline.group}"}
            | settings,
            self.mailbox.url,
            self.customers,
            name,
        )
        self.emailers.append(emailer)
        emailer.start()
        return emailer

    def buys(self, visitor):
        fields = {"order": f"o-{visitor}", "total_minor": 2400, "currency": "EUR"}
        self.tells("cart-events", "order_completed", visitor, **fields)

    def repeat_triggers(self):
        """Produce every trigger once more, as a worker may."""
        repeated = [
            (one.key, one.value, now_ms(), None, None)
            for one in self.pipeline.published("triggers")
        ]
        self.kafka.produce("triggers", repeated)

    def everything_stored(self):
        """Return all bytes of all topics and of Redis."""
        found = [
            one.value or b""
            for topic in self.kafka.topics()
            for one in self.pipeline.published(topic)
        ]
        with self.pipeline.redis.client() as client:
            found += [value for key in client.scan_iter() for value in [client.dump(key)]]
        return b"".join(found)

    def told(self, topic="message-feedback"):
        """Return how many records a topic has."""
        return sum(self.kafka.end_offsets(topic).values())

    def outcomes(self):
        """Return what has been told of triggers, by trigger."""
        return {one["trigger_id"]: one for one in self.pipeline.bodies("message-feedback")}

    def triggers(self):
        return {one["visitor"]: one for one in self.pipeline.bodies("triggers")}


def now_ms():
    return time.time_ns() // 1_000_000
