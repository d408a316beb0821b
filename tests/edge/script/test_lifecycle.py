"""What a browser does with a page besides showing it: load it again, prepare it, keep it."""

import json

import pytest

from tests.edge.script.test_action import DIALOG
from tests.edge.script.test_page import signals
from tests.edge.script.visit import Visit

AGREED = "<script>window.cartwake = [['consent', {personalization: true}]]</script>"
GA4 = """<script>window.dataLayer = []; dataLayer.push({event: 'purchase', ecommerce: {
    transaction_id: ID, currency: 'EUR', items: [{item_id: 'tea', price: 12.9}]}})</script>"""
GTAG = """<script>window.dataLayer = []; function gtag() { dataLayer.push(arguments) }
    gtag('event', 'purchase', {transaction_id: ID, currency: 'EUR'})</script>"""
SEGMENT = "<script>cartwake.push(['track', 'Order Completed', {order_id: ID}])</script>"
UNSEEN = """<script>for (const [name, value] of [['prerendering', true], ['hidden', true]])
    Object.defineProperty(document, name, {value, configurable: true})</script>"""
ACTIVATE = """() => { for (const name of ['prerendering', 'hidden'])
        Object.defineProperty(document, name, {value: false, configurable: true});
    document.dispatchEvent(new Event('prerenderingchange'));
    document.dispatchEvent(new Event('visibilitychange')) }"""
KEPT = "window.dispatchEvent(new PageTransitionEvent('NAME', {persisted: true}))"


def thank(visit, told, order="T-1", consent=AGREED):
    """Open the thank-you page of an order."""
    visit.open(path="/thanks", before=consent + told.replace("ID", json.dumps(order)))


def put(visit, product):
    properties = {"product_id": product, "price": 6.4, "currency": "EUR", "quantity": 1}
    visit.page.evaluate("put => cartwake.track('Product Added', put)", properties)


def cart(visit):
    return [one for one in visit.kinds() if one in {"cart_updated", "product_added"}]


@pytest.mark.parametrize("order", ["T-1", 1001])
@pytest.mark.parametrize("told", [GA4, GTAG, SEGMENT])
def test_a_thank_you_page_that_is_loaded_again_leaves_the_new_cart(shopper, told, order):
    thank(shopper, told, order)
    shopper.wait_for("cart_updated")
    shopper.open(before=AGREED)
    put(shopper, "pot")
    shopper.wait_for("product_added")
    views = shopper.kinds().count("page_viewed")
    thank(shopper, told, order)
    shopper.wait_for("page_viewed", views + 1)
    assert cart(shopper) == ["cart_updated", "product_added"]
    thank(shopper, told, "another order")
    shopper.wait_for("cart_updated", 2)


def test_an_order_before_the_consent_counts_once_as_well(shopper):
    thank(shopper, GA4, consent="")
    shopper.consent(personalization=True)
    shopper.wait_for("cart_updated")
    thank(shopper, GA4, consent="")
    shopper.consent(personalization=True)
    shopper.wait_for("page_viewed", 3)
    assert cart(shopper) == ["cart_updated"]


def test_no_order_is_remembered_without_consent_or_after_a_refusal(visit):
    thank(visit, GA4, consent="")
    assert visit.stored() == []
    visit.grant()
    visit.wait_for("cart_updated")
    assert "T-1" in json.dumps(visit.stored())
    visit.consent(personalization=False)
    visit.wait_for("consent_updated", 2)
    visit.settle()
    assert visit.stored() == []


def test_a_page_made_ready_in_advance_says_nothing_until_it_is_looked_at(shopper):
    shopper.wait_for("page_viewed")
    asked = len(shopper.asked_of_edge())
    before = UNSEEN + AGREED + GA4.replace("ID", "'T-1'")
    shopper.open(path="/next", before=before)
    put(shopper, "tea")
    shopper.page.evaluate("history.replaceState({}, '', '/later')")
    # The page before has left, by a beacon; this one has asked for nothing.
    shopper.settle(400)
    spoken = [url for url in shopper.asked_of_edge()[asked:] if "/v1/events" not in url]
    assert spoken == []
    assert shopper.kinds().count("page_viewed") == 1
    shopper.page.evaluate(ACTIVATE)
    view = shopper.wait_for("page_viewed", 2)
    assert view["url"] == shopper.site.origin + "/later"
    assert shopper.wait_for("product_added")["product"]["id"] == "tea"
    shopper.wait_for("cart_updated")
    assert shopper.kinds().count("page_viewed") == 2


def test_a_page_that_comes_back_from_the_browsers_cache_is_a_view_and_no_order(shopper):
    thank(shopper, GA4)
    shopper.wait_for("cart_updated")
    views = shopper.kinds().count("page_viewed")
    shopper.page.evaluate(KEPT.replace("NAME", "pagehide"))
    shopper.hide()
    shopper.page.evaluate(KEPT.replace("NAME", "pageshow"))
    shopper.come_back()
    shopper.wait_for("page_viewed", views + 1)
    assert cart(shopper) == ["cart_updated"]
    assert signals(shopper) == []


@pytest.mark.parametrize("cookie", ["", "another.signature"])
def test_a_page_in_the_browsers_cache_that_somebody_refused_meanwhile_is_silent(shopper, cookie):
    shopper.wait_for("page_viewed")
    shopper.page.evaluate(KEPT.replace("NAME", "pagehide"))
    shopper.wait_for("page_left")
    shopper.page.evaluate(f"document.cookie = 'cartwake_visitor={cookie}'")
    events = len(shopper.events)
    shopper.page.evaluate(KEPT.replace("NAME", "pageshow"))
    put(shopper, "tea")
    shopper.settle(400)
    assert len(shopper.events) == events


def phone(here, browser):
    visit = Visit(
        here, browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    visit.open()
    visit.grant()
    visit.wait_for("page_viewed")
    return visit


def test_who_turns_to_another_app_is_asked_on_the_return(here, browser):
    visit = phone(here, browser)
    visit.hide()
    visit.wait_for("page_left")
    assert signals(visit) == []
    visit.come_back()
    assert visit.wait_for("exit_signalled")["signal"] == "tab_hidden"
    visit.act()
    visit.page.wait_for_selector(DIALOG)
    visit.close()


def test_who_returns_to_the_phone_in_another_session_is_asked_nothing(here, browser):
    visit = phone(here, browser)
    visit.hide()
    visit.wait_for("page_left")
    visit.page.evaluate("() => { const now = Date.now(); Date.now = () => now + 31 * 60000 }")
    visit.come_back()
    visit.settle()
    assert signals(visit) == []
    visit.close()


def test_a_tab_that_was_opened_behind_others_has_not_rested(visit):
    visit.open(data={"idle": "3000"})
    visit.grant()
    visit.hide()
    visit.settle(3200)
    visit.come_back()
    visit.settle(1500)
    assert "idle" not in signals(visit)
