"""A visit to a shop's page in a real browser, with the real edge behind it.

The one rule: what was asked of the network is read from the browser itself, and what was stored
from the page and its cookies.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from stream.config.settings import EdgeSettings
from stream.edge.gateway.hub import Action
from stream.edge.serve import Server
from stream.edge.visitors import VerifiedVisitor
from tests.edge.shop import BROWSER, EDGE, SIGNING, Shop
from tests.rig.processes import LOOPBACK, free_port, wait_until

TRIGGER = "7" * 32
MOST_CONNECTIONS = 100
TURN = """is_hidden => {
    Object.defineProperty(document, 'hidden', {value: !!is_hidden, configurable: true});
    document.dispatchEvent(new Event('visibilitychange')) }"""
BODY = """
<header><a id="home" href="/">home</a> <input id="search" aria-label="search">
<select id="sort"><option>a</option><option>b</option></select></header>
<button id="buy">buy</button><main style="height:4000px">tea</main>
"""


class Pages(BaseHTTPRequestHandler):
    """Serves the page that the query describes."""

    def do_GET(self):
        asked = {name: one[-1] for name, one in parse_qs(urlsplit(self.path).query).items()}
        attributes = " ".join(
            f'data-{name}="{value}"' for name, value in json.loads(asked.get("data", "{}")).items()
        )
        edge = self.server.edge
        tag = f'<script async src="{edge}/cartwake.js" data-key="{BROWSER}" {attributes}></script>'
        before = asked.get("before", "")
        text = f"<!doctype html><title>tea</title>{before}{tag}{asked.get('after', '')}{BODY}"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if "csp" in asked:
            self.send_header("Content-Security-Policy", asked["csp"].replace("EDGE", edge))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


class Site:
    """A shop's pages and its edge, on two origins; of a domain: pages of two of its hosts."""

    def __init__(self, domain="", edges_host=LOOPBACK):
        self._pages = ThreadingHTTPServer((LOOPBACK, 0), Pages)
        hosts = [f"{name}.{domain}" for name in ("www", "checkout")] if domain else [LOOPBACK]
        origins = tuple(f"http://{host}:{self._pages.server_port}" for host in hosts)
        self.origin, self.checkout = origins[0], origins[-1]
        self.port = free_port()
        self.edge = self._pages.edge = f"http://{edges_host}:{self.port}"
        threading.Thread(target=self._pages.serve_forever, args=(0.02,), daemon=True).start()
        key = EDGE.keys[0].model_copy(update={"origins": origins})
        edge = EdgeSettings(
            keys=(key,), signing_keys=SIGNING, offers=EDGE.offers, cookie_domain=domain
        )
        self.shop = Shop(edge, lambda: time.time_ns() // 1_000_000)
        self._server = None

    def start(self):
        """Serve the edge on a thread of its own."""
        self._server = Server(self.shop.app, self.shop.hub, MOST_CONNECTIONS)
        self._server.config.host, self._server.config.port = LOOPBACK, self.port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        wait_until(lambda: self._server.started, "the edge")

    async def _serve(self):
        self.loop = asyncio.get_running_loop()
        await self._server._serve()  # serve() itself takes signals, which a thread cannot

    def stop(self):
        """Take the edge away."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join(10)
            self._server = None

    def close(self):
        self.stop()
        self._pages.shutdown()
        self._pages.server_close()


@contextmanager
def site(**hosts: str) -> Iterator[Site]:
    """Yield a site whose edge runs."""
    here = Site(**hosts)
    try:
        here.start()
        yield here
    finally:
        here.close()


class Visit:
    """One browser context's visit; its pages are tabs."""

    def __init__(self, site, browser, **options):
        self.site, self.shop = site, site.shop
        self.context = browser.new_context(**options)
        self.asked = []
        self.errors = []
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.page = self.context.new_page()

    def open(self, tab=None, path="/", origin=None, **query):
        """Open the page; ``data`` are the script's attributes."""
        data = {"min-dwell": "0"} | query.pop("data", {})
        query = {"data": json.dumps(data)} | query
        tab = tab or self.page
        tab.goto((origin or self.site.origin) + path + "?" + _encoded(query))
        tab.wait_for_function("window.cartwake && window.cartwake.loaded")
        return tab

    def consent(self, tab=None, **purposes):
        (tab or self.page).evaluate("told => cartwake.consent(told)", purposes)

    def grant(self, tab=None):
        """Consent, and wait until the edge has heard it, and the page knows and listens."""
        self.consent(tab, personalization=True)
        self.wait_for("consent_updated")
        told = "localStorage.getItem('cartwake.consent')"
        self._until(lambda: (tab or self.page).evaluate(told), "an answer to the consent")
        wait_until(lambda: self.shop.count("streams"), "an open stream")

    @property
    def events(self):
        return self.shop.log.events

    def kinds(self):
        return [event["type"] for event in self.events]

    def wait_for(self, kind, count=1):
        """Return the last event of this kind once there are so many."""
        self._until(lambda: self.kinds().count(kind) >= count, f"{count} {kind} in {self.kinds()}")
        return [event for event in self.events if event["type"] == kind][-1]

    def _until(self, condition, what, within_s=10.0):
        # The browser's own events only come while Playwright is asked something.
        until = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < until, f"in vain for {what}"
            self.page.wait_for_timeout(20)

    def hide(self):
        """Put another tab in front."""
        self.page.evaluate(TURN, "true")

    def come_back(self):
        self.page.evaluate(TURN, "")

    def settle(self, ms=300):
        self.page.wait_for_timeout(ms)

    def asked_of_edge(self):
        """Return what was asked of the edge, but for the script itself."""
        return [
            url.removeprefix(self.site.edge)
            for url in self.asked
            if url.startswith(self.site.edge) and "/cartwake.js" not in url
        ]

    def stored(self, tab=None):
        """Return everything that the page has stored."""
        script = """async () => [...Object.entries(localStorage), ...Object.entries(sessionStorage),
            ...(await indexedDB.databases()).map(one => one.name), ...(await caches.keys())]"""
        return [*(tab or self.page).evaluate(script), *self.context.cookies()]

    def act(self, trigger_id=TRIGGER, lives_ms=10_000, **fields):
        """Let the edge have an action for this visitor."""
        visitor = self.events[0]["visitor"]
        now_ms = time.time_ns() // 1_000_000
        content = {
            "trigger_id": trigger_id,
            "kind": "exit_intent",
            "due_at_ms": now_ms,
            "expires_at_ms": now_ms + lives_ms,
            "cart": {"lines": [{"product": {"id": "tea"}, "quantity": 2}]},
            "offer": {"title": "Wait", "text": "Free delivery", "button": "Go", "url": "#cart"},
        } | fields
        content = {name: value for name, value in content.items() if value is not None}
        action = Action(
            trigger_id, VerifiedVisitor("tea", visitor), content["expires_at_ms"], content
        )
        self.site.loop.call_soon_threadsafe(self.shop.hub.publish, action)

    def withdraw_action(self, trigger_id=TRIGGER):
        whose = VerifiedVisitor("tea", self.events[0]["visitor"])
        self.site.loop.call_soon_threadsafe(self.shop.hub.cancel, whose, trigger_id)

    def close(self):
        self.context.close()


def _encoded(query):
    return urlencode(query)
