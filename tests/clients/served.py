"""An edge on loopback for the clients: its service, its server and its Kafka writer, in a thread.

Kafka is the demo's embedded broker. The keys and secrets are those of the guide to storefronts, so
that an example runs as it is printed.
"""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from stream.config.edge import EdgeHook, EdgeKey
from stream.config.settings import EdgeSettings, KafkaSettings, Settings
from stream.demo.embedded import Broker
from stream.domain.topics import LANES
from stream.edge.collector.append import KafkaEventLog, LogUnavailable
from stream.edge.collector.prepare import PreparedRecord
from stream.edge.gateway.hub import Hub
from stream.edge.metrics import EdgeMetrics
from stream.edge.serve import CONNECTIONS, Server
from stream.edge.service import build
from stream.runtime.worker_clock import system_ms
from tests.rig.processes import LOOPBACK, free_port, wait_until

BROWSER_KEY, VENDOR_KEY, SERVER_KEY = "trial-page", "trial-vendor-page", "trial-server"
HOOK_SECRET = "whsec_dHJpYWwtY2xvdWRldmVudHM="
SHOPIFY_SECRET, WOOCOMMERCE_SECRET = "trial-shopify", "trial-woocommerce"


class Outage(KafkaEventLog):
    """A log that does not acknowledge the next ``left`` requests."""

    left = 0

    async def append(self, records: Sequence[PreparedRecord]) -> None:
        if self.left:
            self.left -= 1
            raise LogUnavailable
        await super().append(records)


class ServedEdge:
    """A running edge. Pages with the browser keys may be served at ``page_origin``."""

    def __init__(self, broker: Broker) -> None:
        self.port, self.page_port = free_port(), free_port()
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.page_origin = f"http://{LOOPBACK}:{self.page_port}"
        self.registry = CollectorRegistry()
        self._broker, self._reader = broker, broker.reader(LANES)
        self._settings = Settings(
            kafka=KafkaSettings(bootstrap=broker.bootstrap), edge=self._edge_settings()
        )
        self._metrics = EdgeMetrics(self.registry)
        self._log: Outage | None = None
        self._server: Server | None = None

    def _edge_settings(self) -> EdgeSettings:
        page: dict[str, Any] = {"kind": "browser", "origins": (self.page_origin,)}
        secrets = dict.fromkeys(("cloudevents", "segment", "snowplow", "ga4"), HOOK_SECRET)
        secrets |= {"shopify": SHOPIFY_SECRET, "woocommerce": WOOCOMMERCE_SECRET}
        return EdgeSettings(
            keys=(
                EdgeKey(key=BROWSER_KEY, **page),
                EdgeKey(key=VENDOR_KEY, vendor_ids=True, **page),
                EdgeKey(key=SERVER_KEY, kind="server"),
            ),
            signing_keys=("the signing key of these tests",),
            hooks=tuple(EdgeHook(vendor=name, secret=secret) for name, secret in secrets.items()),
            listen=f"{LOOPBACK}:{self.port}",
        )

    def fail(self, requests: int) -> None:
        """Answer the next so many requests with 503, as when Kafka does not acknowledge."""
        assert self._log is not None
        self._log.left = requests

    @property
    def failures_left(self) -> int:
        """Return how many of them are still to come."""
        assert self._log is not None
        return self._log.left

    def count(self, metric: str, **labels: str) -> float:
        """Return a counter of the edge, without its prefix ``cartwake_edge_``."""
        return self.registry.get_sample_value(f"cartwake_edge_{metric}", labels) or 0

    def new_events(self, expected: int) -> list[dict[str, Any]]:
        """Return the canonical events in Kafka since the last call, in order for each topic.

        The edge answers once Kafka has them; ``expected`` says only how long to read.
        """
        found: list[dict[str, Any]] = []

        def read() -> bool:
            found.extend(json.loads(record.value) for record in self._reader.read(0.1))
            return len(found) >= expected

        with suppress(TimeoutError):
            wait_until(read, "events", 10)
        read()  # whatever is there besides
        return found

    async def serve(self) -> None:
        hub = Hub(self._settings.edge, self._metrics, system_ms)
        self._log = Outage(self._settings.kafka, self._metrics.kafka_up.set)
        writing = asyncio.create_task(self._log.run())
        app = build(self._settings, self._metrics, system_ms, self._log, hub)
        with socket.create_server((LOOPBACK, self.port)) as listener:
            self._server = InThread(app, hub, CONNECTIONS)
            await self._server.serve(sockets=[listener])
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await self._log.stop()

    def is_ready(self) -> bool:
        return bool(self._server and self._server.started and self._log and self._log.is_up)

    def stop(self) -> None:
        if self._server is not None:
            self._server.should_exit = True


class InThread(Server):
    """The edge's server without signals, which only a main thread gets."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextmanager
def served_edge() -> Iterator[ServedEdge]:
    """Run a broker and an edge."""
    with Broker(LANES) as broker:
        edge = ServedEdge(broker)
        thread = threading.Thread(target=asyncio.run, args=(edge.serve(),), name="edge")
        thread.start()
        try:
            wait_until(edge.is_ready, "the edge")
            yield edge
        finally:
            edge.stop()
            thread.join(30)
