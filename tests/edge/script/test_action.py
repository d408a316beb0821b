"""An action on the page: shown once, to whom it is for, and so that everybody can use it."""

import pytest

from stream.edge import visitors
from tests.edge.script.visit import TRIGGER, Visit
from tests.rig.looks import SIZES, VIEWS, faults, view

DIALOG = "cartwake-dialog dialog"
# unsafe-eval is for the driver of the browser, which waits by it.
STRICT = "default-src 'none'; script-src EDGE 'unsafe-eval'; connect-src EDGE; style-src 'none'"


def is_shown(visit, tab=None):
    return (tab or visit.page).locator(DIALOG).count() == 1


def test_an_action_is_shown_told_and_can_be_followed(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    assert shopper.page.locator(DIALOG).inner_text().split("\n")[:1] == ["Wait"]
    assert shopper.wait_for("action_shown")["trigger_id"] == TRIGGER
    shopper.page.click("cartwake-dialog a")
    shopper.wait_for("action_clicked")
    shopper.settle(200)
    assert not is_shown(shopper)
    assert shopper.page.url.endswith("#cart")
    assert "action_dismissed" not in shopper.kinds()


NIGHT_TOO = '<meta name="color-scheme" content="light dark">'


@pytest.mark.parametrize(("scheme", "size"), VIEWS)
@pytest.mark.parametrize("head", ["", NIGHT_TOO], ids=["plain", "night-too"])
def test_everybody_can_use_the_dialog(here, browser, scheme, size, head):
    visit = Visit(here, browser, **view(scheme, size))
    visit.open(before=head)
    visit.grant()
    visit.act(offer=None)
    visit.page.wait_for_selector(DIALOG)
    assert faults(visit.page, "cartwake-dialog") == []
    place = visit.page.locator(DIALOG).bounding_box()
    assert place["x"] >= 0
    assert place["x"] + place["width"] <= SIZES[size]["width"]
    visit.close()


@pytest.mark.parametrize("way", ["Escape", "button", "beside"])
def test_an_action_can_be_waved_away(shopper, way):
    shopper.page.focus("#buy")
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    if way == "Escape":
        shopper.page.keyboard.press("Escape")
    elif way == "button":
        shopper.page.click("cartwake-dialog [aria-label=Close]")
    else:
        shopper.page.mouse.click(5, 300)
    shopper.wait_for("action_dismissed")
    assert not is_shown(shopper)
    assert shopper.page.evaluate("document.activeElement.id") == "buy"


def test_an_action_is_shown_once(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    shopper.page.keyboard.press("Escape")
    shopper.open()
    shopper.consent(personalization=True)
    shopper.act()
    shopper.settle(500)
    assert not is_shown(shopper)
    assert shopper.kinds().count("action_shown") == 1


def test_of_two_tabs_one_shows_it(shopper):
    other = shopper.open(shopper.context.new_page())
    shopper.consent(other, personalization=True)
    shopper._until(lambda: shopper.shop.count("streams") == 2, "two streams")
    shopper.act()
    shopper._until(lambda: "action_shown" in shopper.kinds(), "the action")
    shopper.settle(300)
    assert is_shown(shopper) + is_shown(shopper, other) == 1
    assert shopper.kinds().count("action_shown") == 1


def test_a_hidden_tab_shows_it_on_return(shopper):
    shopper.hide()
    shopper.act()
    shopper.settle(300)
    assert not is_shown(shopper)
    shopper.come_back()
    shopper.page.wait_for_selector(DIALOG)


def test_who_returns_too_late_sees_nothing(shopper):
    shopper.hide()
    shopper.act(lives_ms=300)
    shopper.settle(500)
    shopper.come_back()
    shopper.settle(200)
    assert not is_shown(shopper)


def test_a_cancelled_action_disappears_without_a_word(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    shopper.withdraw_action()
    shopper.page.wait_for_selector(DIALOG, state="detached")
    shopper.settle(200)
    assert "action_dismissed" not in shopper.kinds()


def test_a_withdrawal_takes_the_dialog_along(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    shopper.consent(personalization="withdrawn")
    shopper.page.wait_for_selector(DIALOG, state="detached")
    shopper.wait_for("consent_updated", 2)


def test_a_shop_can_show_it_itself(shopper):
    shopper.page.evaluate("""() => cartwake.on('action', (action, event) => {
        event.preventDefault(); window.seen = action.trigger_id;
        cartwake.feedback(action.trigger_id, 'shown') })""")
    shopper.act()
    shopper.wait_for("action_shown")
    assert shopper.page.evaluate("window.seen") == TRIGGER
    assert not is_shown(shopper)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", None])
def test_an_offer_runs_nothing(shopper, url):
    offer = {
        "title": "<img src=x onerror=throw(1)>",
        "text": "<b>x</b>",
        "button": "Go",
        "url": url,
    }
    shopper.act(offer=offer)
    shopper.page.wait_for_selector(DIALOG)
    assert "<img" in shopper.page.locator("cartwake-dialog h2").inner_text()
    assert shopper.page.locator("cartwake-dialog img, cartwake-dialog b").count() == 0
    assert shopper.page.locator("cartwake-dialog a").count() == 0


@pytest.mark.parametrize(
    ("data", "button", "leads_to"),
    [
        ({}, "Go to your cart", "/cart"),
        ({"cart": "/warenkorb", "cart-label": "Zum Warenkorb"}, "Zum Warenkorb", "/warenkorb"),
    ],
)
def test_without_an_offer_it_names_what_is_in_the_cart_and_leads_there(
    visit, data, button, leads_to
):
    visit.open(data=data)
    visit.grant()
    lines = [
        {"product": {"id": "tea", "name": "Green tea"}, "quantity": 2},
        {"product": {"id": "pot"}, "quantity": 1},
    ]
    visit.act(offer=None, cart={"lines": lines})
    visit.page.wait_for_selector(DIALOG)
    box = visit.page.get_by_role("dialog", name="Your cart is still here")
    assert "2 \u00d7 Green tea, 1 \u00d7 pot" in box.inner_text()
    link = box.get_by_role("link", name=button)
    assert link.get_attribute("href") == leads_to
    link.click()
    visit.wait_for("action_clicked")
    visit.page.wait_for_url("**" + leads_to)


def test_without_an_offer_and_a_cart_it_leads_to_the_cart_as_well(shopper):
    shopper.act(offer=None, cart=None)
    shopper.page.wait_for_selector(DIALOG)
    assert shopper.page.locator("cartwake-dialog a").count() == 1


def test_it_works_under_a_strict_policy(here, browser):
    visit = Visit(here, browser)
    wrong = []
    visit.page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    visit.open(csp=STRICT)
    wrong.clear()  # of the test page's own style attribute
    visit.grant()
    visit.act()
    visit.page.wait_for_selector(DIALOG)
    colour = "getComputedStyle(document.querySelector('cartwake-dialog').shadowRoot"
    colour += ".querySelector('a')).backgroundColor"
    assert visit.page.evaluate(colour) == "rgb(28, 28, 30)"
    visit.wait_for("action_shown")
    assert wrong == []
    visit.close()


def test_it_is_named_described_and_moves_nothing(shopper):
    before = shopper.page.evaluate(
        "document.querySelector('#buy').getBoundingClientRect().toJSON()"
    )
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    after = shopper.page.evaluate("document.querySelector('#buy').getBoundingClientRect().toJSON()")
    assert after == before
    dialog = shopper.page.get_by_role("dialog", name="Wait")
    assert dialog.count() == 1
    assert shopper.page.get_by_role("button", name="Close").count() == 1
    inside = "!!document.activeElement.shadowRoot"
    for _ in range(5):
        shopper.page.keyboard.press("Tab")
    assert (
        shopper.page.evaluate(inside)
        or shopper.page.evaluate("document.activeElement.tagName") == "BODY"
    )


def test_nothing_moves(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    script = "getComputedStyle(document.querySelector('cartwake-dialog').shadowRoot"
    script += ".querySelector('dialog')).animationName"
    assert shopper.page.evaluate(script) == "none"


def test_enter_follows_nothing_before_somebody_has_looked(shopper):
    shopper.act()
    shopper.page.wait_for_selector(DIALOG)
    shopper.page.keyboard.press("Enter")
    shopper.settle(200)
    assert is_shown(shopper)
    assert "action_clicked" not in shopper.kinds()


def test_a_shop_that_shows_it_itself_hears_of_the_cancel(shopper):
    shopper.page.evaluate("""() => { cartwake.on('action', (_, event) => event.preventDefault());
        cartwake.on('cancel', cancelled => { window.gone = cancelled.trigger_id }) }""")
    shopper.act()
    shopper.settle(200)
    shopper.withdraw_action()
    shopper.page.wait_for_function("window.gone")


def test_a_page_that_cannot_stream_asks(here, browser):
    visit = Visit(here, browser)
    visit.context.add_init_script("delete window.EventSource")
    visit.open()
    visit.consent(personalization=True)
    visit.wait_for("page_viewed")
    visit.act()
    visit.page.wait_for_selector(DIALOG, timeout=8_000)
    visit.close()


def test_a_page_that_shows_nothing_leaves_it_to_one_that_does(here, browser):
    visit = Visit(here, browser)
    visit.open(data={"dialog": "off"})
    visit.grant()
    shop = visit.open(visit.context.new_page())
    visit.consent(shop, personalization=True)
    visit._until(lambda: visit.shop.count("streams") == 2, "two streams")
    visit.act()
    shop.wait_for_selector(DIALOG)
    visit.close()


def test_no_address_names_the_visitor(shopper):
    shopper.open()
    shopper.grant()
    (signed,) = (one["value"] for one in shopper.context.cookies())
    asked = shopper.asked_of_edge()
    assert any("/v1/actions?ticket=" in url for url in asked)
    assert not [url for url in asked if signed in url]


def test_a_ticket_that_is_too_old_is_replaced(visit, monkeypatch):
    monkeypatch.setattr(visitors, "TICKET_S", -1)
    visit.open()
    visit.consent(personalization=True)
    visit._until(
        lambda: any("/v1/actions" in url for url in visit.asked), "a stream that is refused"
    )
    assert not visit.shop.count("streams")
    monkeypatch.undo()
    visit._until(lambda: visit.shop.count("streams"), "a stream")
