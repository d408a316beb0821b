"""A shop for tests of the edge: its keys, a log in memory, a clock moved by hand, one client."""

import json
from base64 import b64encode

from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from stream.config.edge import EdgeHook, EdgeKey, Offer
from stream.config.settings import EdgeSettings, EmailerSettings, Settings
from stream.edge.collector.append import LogUnavailable
from stream.edge.gateway.hub import Hub
from stream.edge.metrics import EdgeMetrics
from stream.edge.service import build
from stream.edge.visitors import Visitors

ORIGIN = "https://tea.example"
BROWSER, SERVER, OTHER = "tea-page", "tea-server-secret", "bike-server-secret"
OTHER_ORIGIN = "https://bike.example"
SIGNING = ("the newest signing key", "an older one")
HOOK_SECRET = "shopify's secret"
NOW_MS = 1_790_000_000_000
EDGE = EdgeSettings(
    keys=(
        EdgeKey(key=BROWSER, tenant="tea", kind="browser", origins=(ORIGIN,)),
        EdgeKey(key=SERVER, tenant="tea", kind="server"),
        EdgeKey(key="bike-page", tenant="bike", kind="browser", origins=(OTHER_ORIGIN,)),
        EdgeKey(key=OTHER, tenant="bike", kind="server"),
    ),
    signing_keys=SIGNING,
    hooks=(
        EdgeHook(vendor="shopify", tenant="tea", secret=HOOK_SECRET),
        EdgeHook(vendor="ga4", tenant="tea", secret=HOOK_SECRET),
        EdgeHook(vendor="woocommerce", tenant="tea", secret=HOOK_SECRET),
        EdgeHook(vendor="cloudevents", tenant="tea", secret=HOOK_SECRET),
    ),
    offers=(Offer(tenant="tea", title="Wait", text="Free delivery", button="Go", url="/cart"),),
)
PAGE = {"Origin": ORIGIN, "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"}


class MemoryLog:
    """Implements ``EventLog`` in memory; ``is_up`` is set by hand."""

    def __init__(self):
        self.is_up = True
        self.records = []

    async def append(self, records):
        if not self.is_up:
            raise LogUnavailable
        first = [one for one in records if one.topic == "consent-events"]
        self.records += first + [one for one in records if one.topic != "consent-events"]

    @property
    def events(self):
        return [json.loads(one.value) for one in self.records]


class Shop:
    """An edge of two tenants, ``tea`` and ``bike``."""

    def __init__(self, edge=EDGE, clock=None, emailer=None, references=None):
        self.now_ms = NOW_MS
        clock = clock or (lambda: self.now_ms)
        self.registry = CollectorRegistry()
        self.metrics = EdgeMetrics(self.registry)
        self.log = MemoryLog()
        self.settings = Settings(edge=edge, emailer=emailer or EmailerSettings())
        self.hub = Hub(edge, self.metrics, clock)
        ports = (self.settings, self.metrics, clock, self.log, self.hub)
        self.app = build(*ports, references=references)
        self.client = TestClient(self.app, base_url="https://edge.example")
        self.visitor, self.signed = Visitors(SIGNING).issue("tea")

    def count(self, metric, /, **labels):
        return self.registry.get_sample_value(f"cartwake_edge_{metric}", labels or None)

    def page(self, events, headers=PAGE, key=BROWSER, **params):
        """Send canonical events as a page does."""
        body = events if isinstance(events, bytes) else json.dumps(events)
        return self.client.post(
            "/v1/events",
            params={"writeKey": key} | params,
            content=body,
            headers={"Content-Type": "text/plain"} | headers,
        )

    def server(self, path, body, key=SERVER, headers=None):
        """Send something as the shop's server does."""
        content = body if isinstance(body, bytes) else json.dumps(body)
        return self.client.post(path, content=content, headers=basic(key) | (headers or {}))

    def viewed(self, **fields):
        """Return a page view by the shop's one visitor."""
        return {
            "type": "page_viewed",
            "id": "e1",
            "visitor": self.signed,
            "at_ms": NOW_MS - 5,
            "url": "/tea",
        } | fields


def basic(key):
    return {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
