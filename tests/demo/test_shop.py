"""The demo's shop: what its pages say, and whom the worker would hold out."""

import json
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from stream.demo.shop.app import SHOP, ShopAccess, ShopServer
from stream.demo.shop.inbox import Inbox, address_of
from stream.demo.shop.watch import Watch
from stream.domain.holdout import in_holdout
from stream.domain.policy import Holdout
from stream.edge.visitors import COOKIE, Visitors

KEY = "k" * 32
HALF = Holdout(fraction=0.5, salt="x")
ID = "7" * 32
DECISION = {
    "decision_id": "d" * 32,
    "kind": "cart_abandonment",
    "outcome": "fired",
    "reason": "fired",
    "at_ms": 1_790_000_000_000,
    "trigger_id": ID,
}
TRIGGER = {
    "trigger_id": ID,
    "kind": "cart_abandonment",
    "evidence": ["a", "b", "c"],
    "expires_at_ms": 1_790_000_060_000,
}


def shop(holdout=HALF, inbox=None):
    place = ShopAccess("http://edge.example", "page", "server", KEY, holdout, 3)
    return TestClient(ShopServer(place, None, inbox or Inbox(), 0).app())


def test_the_demos_own_shopper_is_never_held_out():
    visitors = Visitors([KEY])
    for _ in range(20):
        client = shop()
        assert client.post("/visitor").status_code == 204
        known = visitors.verify(client.cookies[COOKIE], [SHOP.tenant])
        assert not in_holdout(SHOP.tenant, known.visitor, HALF)


def test_a_holdout_of_everybody_does_not_hang_the_shop():
    assert shop(Holdout(fraction=1.0)).post("/visitor").status_code == 204


@pytest.mark.parametrize("page", ["/", "/live"])
def test_a_page_says_what_its_seconds_stand_for(page):
    text = " ".join(shop().get(page).text.split())
    assert re.search(r"\b3 seconds .*stand for .*30 minutes", text)
    assert "{" not in re.sub(r"<script.*?</script>", "", text)


async def test_the_inbox_has_dates_that_people_read():
    inbox = Inbox()
    client = shop(Holdout(), inbox)
    client.post("/visitor")
    visitor = Visitors([KEY]).verify(client.cookies[COOKIE], [SHOP.tenant]).visitor
    mail = EmailMessage()
    mail["To"], mail["Subject"] = address_of(visitor), "Your cart"
    mail["Date"] = format_datetime(datetime(2026, 9, 21, 12, tzinfo=UTC))
    mail.set_content("x")
    await inbox.handle_DATA(None, None, SimpleNamespace(content=mail.as_bytes()))
    assert re.search(r">2[012] Sep 2026, \d\d:\d\d<", client.get("/inbox").text)


def test_what_somebody_was_reminded_of_is_said_in_words():
    watch = Watch("localhost:1", "redis://localhost:1", "cartwake", SHOP.tenant)
    lines = [{"product": {"id": "flush", "name": "First Flush"}, "quantity": 2}]
    cart = {"fingerprint": "6e4aba69", "value_minor": 1, "currency": "EUR", "lines": lines}
    fields = TRIGGER | {"tenant": SHOP.tenant, "visitor": "v", "cart": cart}
    watch.take("triggers", json.dumps(fields).encode())
    assert watch._carts("v") == {"6e4aba69": "2 \u00d7 First Flush"}


@pytest.fixture
def live(browser):
    """The live page with a stream that the test feeds."""
    context = browser.new_context()
    pages = shop()
    script = """window.EventSource = class { constructor() { window.stream = this } close() {} };
        document.cookie = 'cartwake_visitor=abc.signature'"""
    context.add_init_script(script)

    def answer(route):
        path = route.request.url.removeprefix("http://shop.example")
        found = pages.get(path) if route.request.url != path else None
        body = found.content if found else b""
        kind = found.headers["content-type"] if found else "text/javascript"
        route.fulfill(body=body, content_type=kind)

    context.route("**/*", answer)
    page = context.new_page()
    page.goto("http://shop.example/live")
    page.wait_for_function("!!(window.stream && window.stream.onmessage)")
    yield page
    context.close()


def feed(page, topic, **fields):
    told = json.dumps({"kind": "record", "topic": topic, "record": fields})
    page.evaluate("data => stream.onmessage({data})", told)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_live_page_has_one_entry_for_each_decision_in_words(live, order):
    both = (("decisions", DECISION), ("triggers", TRIGGER))
    for number in order:
        topic, fields = both[number]
        feed(live, topic, **fields)
    feed(live, "message-feedback", type="message_sent", trigger_id=ID, at_ms=DECISION["at_ms"])
    feed(live, "cart-events", type="order_completed", order="T-1", at_ms=DECISION["at_ms"])
    entries = live.locator("#decisions li")
    assert entries.count() == 1
    text = entries.inner_text()
    for words in ("A mail about your cart: yes", "every check passed", "3 of your events", "sent"):
        assert words in text
    assert "cart_abandonment" not in text
    assert "You placed an order" in live.locator("#events").inner_text()
    assert "2026" in text  # another day than today has its date
