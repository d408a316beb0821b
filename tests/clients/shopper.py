"""A shopper's visit in Chromium: what was asked of the edge, what arrived, what was stored."""

import time

from tests.clients.journey import made

# Chromium without a window says so in its name, and is a robot.
AGENT = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0"
    " Safari/537.36"
)


class Shopper:
    """One visit to a shop; what arrives of it is kept in ``events``."""

    def __init__(self, browser, edge):
        self.edge, self.events, self.asked, self.errors = edge, [], [], []
        self.context = browser.new_context(user_agent=AGENT)
        self.context.on("request", lambda request: self._note(request.url))
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.page = self.context.new_page()

    def _note(self, url):
        if url.startswith(self.edge.url):
            self.asked.append(url)

    def open(self, url):
        self.page.goto(url)

    def click(self, *names):
        for name in names:
            self.page.click(f"#{name}")

    def read(self, ms=300):
        """Read what has arrived, after a while."""
        self.page.wait_for_timeout(ms)
        self.events += self.edge.new_events(0)

    def wait_for(self, kind, count=1, within_s=20.0):
        """Return the last event of a type once there are so many."""
        until = time.monotonic() + within_s
        while made(self.events)[kind] < count:
            assert time.monotonic() < until, f"in vain for {count} {kind} in {made(self.events)}"
            self.read(50)
        return [event for event in self.events if event["type"] == kind][-1]

    def stored(self):
        """Return what the client has stored; the answer to the banner is the shop's own."""
        script = "() => Object.keys(localStorage).concat(Object.keys(sessionStorage))"
        names = self.page.evaluate(script)
        names += [cookie["name"] for cookie in self.context.cookies()]
        return sorted(set(names) - {"banner"})
