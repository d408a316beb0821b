"""How all pages and mails look, by day and by night, at a desk and on a phone."""

import json
import time
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from stream.config.settings import EdgeSettings, EmailerSettings, Settings
from stream.demo.shop.inbox import Inbox, address_of
from stream.domain.policy import Holdout
from stream.edge.visitors import COOKIE, Visitors
from stream.emailer.preview import build
from stream.emailer.samples import samples
from stream.emailer.serve import composer_of
from tests.demo.test_shop import DECISION, KEY, TRIGGER, feed, shop
from tests.edge.shop import Shop
from tests.edge.test_message_links import ONE_CLICK, UNSUBSCRIBE, undo_of
from tests.rig.looks import VIEWS, faults, view

SHOP, LIVE = "http://shop.example", "http://shop.example/live"
EMAILER = EmailerSettings(
    tenant="tea",
    sender="Tea & Co <hello@tea.example>",
    public_url="https://events.tea.example",
    cart_url="https://tea.example/cart",
    image_hosts=("cdn.example",),
    imprint="Tea & Co\n1 Harbour Street",
)
SETTINGS = Settings(edge=EdgeSettings(signing_keys=("a key",)), emailer=EMAILER)
# A mail is shown in the page of a mail program, which has the landmarks.
MAILS_LACK = ("landmark-one-main", "region")


@pytest.fixture(params=VIEWS, ids="-".join)
def page(request, browser):
    """A page whose shop is the demo's, with an edge that does nothing."""
    context = browser.new_context(**view(*request.param))
    context.add_init_script(
        "window.EventSource = class { constructor() { window.stream = this } close() {} }"
    )
    context.set_default_timeout(10_000)
    page = context.new_page()
    page.mails = Inbox()
    pages = shop(Holdout(), page.mails)

    def answer(route):
        asked = route.request
        if not asked.url.startswith(SHOP):
            route.fulfill(body="", content_type="text/javascript")
            return
        path = urlsplit(asked.url).path or "/"
        cookie = {"Cookie": asked.all_headers().get("cookie", "")}
        found = pages.request(asked.method, path, content=asked.post_data, headers=cookie)
        route.fulfill(status=found.status_code, body=found.content, headers=dict(found.headers))

    context.route("**/*", answer)
    page.visitor, signed = Visitors([KEY]).issue("tea-house")
    page.cookie = {"name": COOKIE, "value": signed, "url": SHOP}
    yield page
    context.close()


def home(page):
    page.goto(SHOP)
    page.wait_for_selector("#consent:not([hidden])")


def product(page):
    home(page)
    page.click("[data-choice=none]")
    page.click("a[href='#/product/first-flush']")
    page.wait_for_selector("#add")


def cart(page):
    product(page)
    page.click("#add")
    page.wait_for_selector("#order")


def ordered(page):
    cart(page)
    page.click("#order")
    page.wait_for_selector(".next")


def empty_cart(page):
    cart(page)
    page.click("text=Remove")
    page.wait_for_selector(".next")


def empty_live(page):
    page.goto(LIVE)


def live(page):
    page.context.add_cookies([page.cookie])
    page.goto(LIVE)
    page.wait_for_function("!!(window.stream && window.stream.onmessage)")
    feed(page, "decisions", **DECISION)
    feed(page, "triggers", **TRIGGER)
    feed(page, "decisions", **DECISION | {"outcome": "skipped", "trigger_id": None})
    feed(page, "cart-events", type="order_completed", order="T-1", at_ms=DECISION["at_ms"])
    choice = {"status": "granted", "at_ms": DECISION["at_ms"]}
    state = {"consent": {"personalization": choice}, "cart": ["1 \u00d7 First Flush"]}
    data = json.dumps({"kind": "state", "state": state | {"predictions without an answer": 2}})
    page.evaluate("data => stream.onmessage({data})", data)


def empty_inbox(page):
    page.goto(f"{SHOP}/inbox")
    page.wait_for_selector("text=No mail yet")


def inbox(page):
    """Open the inbox, into which a mail comes then."""
    page.context.add_cookies([page.cookie])
    empty_inbox(page)
    mail = EmailMessage()
    mail["To"], mail["Subject"] = address_of(page.visitor), "You left something in your cart"
    mail["Date"] = format_datetime(datetime(2026, 9, 21, 12, tzinfo=UTC))
    mail.set_content("x")
    taking = page.mails.handle_DATA(None, None, SimpleNamespace(content=mail.as_bytes()))
    with pytest.raises(StopIteration):
        taking.send(None)
    page.wait_for_selector("main li a")


PAGES = (home, product, cart, empty_cart, ordered, empty_live, live, empty_inbox, inbox)


@pytest.mark.parametrize("visit", PAGES, ids=[one.__name__ for one in PAGES])
def test_the_shops_pages(page, visit):
    visit(page)
    assert faults(page) == []


def mails():
    composer = composer_of(SETTINGS)
    for trigger, recipient in samples():
        yield (
            f"{trigger.kind}-{trigger.step}-{recipient.locale}",
            composer.content(trigger, recipient).html,
        )


@pytest.mark.parametrize("html", [pytest.param(html, id=name) for name, html in mails()])
def test_mails(page, html):
    page.set_content(html)
    assert faults(page, ignored=MAILS_LACK) == []


def test_the_preview(page):
    page.set_content(TestClient(build(SETTINGS)).get("/").text)
    assert page.locator("iframe").count() == 14
    assert faults(page) == []


@pytest.mark.parametrize("lang", ["en", "de"])
def test_the_page_that_ends_mails(page, lang):
    edge = Shop(emailer=EMAILER, clock=lambda: time.time_ns() // 1_000_000)
    path = f"{UNSUBSCRIBE}?lang={lang}"
    done = edge.client.post(path, **ONE_CLICK)
    again = edge.client.post(path, data={"undo": undo_of(done)})
    for answer in (edge.client.get(path), done, again):
        page.set_content(answer.text)
        assert page.locator("html").get_attribute("lang") == lang
        assert faults(page) == []
