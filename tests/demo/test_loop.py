"""The whole loop as a visitor walks it: shop, consent, cart, exit, dialog, and what is known."""

import re
from contextlib import contextmanager

import pytest

from tests.rig.processes import Program, cartwake_command, cartwake_environment, wait_until

# As no robot calls itself: of robots nothing is stored.
PERSON = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    " Safari/537.36"
)
DIALOG = "cartwake-dialog dialog"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Return the address of a demo's shop."""
    folder = tmp_path_factory.mktemp("demo")
    environment = cartwake_environment({"TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"})
    # Nobody is held out, or one walk in twenty would end without a word.
    environment["CARTWAKE_HOLDOUT__FRACTION"] = "0"
    program = Program(
        cartwake_command("demo", "--seed", "7", "--rate", "5"), folder / "log", environment
    )
    program.start()
    try:
        ready = lambda: "all is ready" in program.output or not program.running  # noqa: E731
        wait_until(ready, "the demo", 90)
        yield re.search(r"http://[\d.:]+", program.output)[0]
    finally:
        program.stop(60)


@contextmanager
def visiting(browser):
    context = browser.new_context(user_agent=PERSON)
    wrong = []
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    asked = []
    context.on("request", lambda request: asked.append(request.url))
    yield context, asked
    assert wrong == []
    context.close()


def choose(page, shop, choice):
    page.goto(shop)
    page.click(f"[data-choice={choice}]")


def put_tea_into_the_cart(page):
    page.click("text=Evening Oolong")
    page.click("#add")
    page.wait_for_selector("#order")


def leave(page):
    page.wait_for_timeout(700)  # the demo's shortest look at a page
    page.mouse.move(400, 300)
    page.mouse.move(400, 100)
    page.mouse.move(400, -5)


@pytest.mark.redis
def test_who_leaves_with_tea_in_the_cart_gets_a_word_and_sees_why(shop, browser):
    with visiting(browser) as (context, _):
        page, live = context.new_page(), context.new_page()
        choose(page, shop, "all")
        put_tea_into_the_cart(page)
        live.goto(shop + "/live")
        live.wait_for_selector("#events >> text=You put something into the cart")
        page.bring_to_front()
        leave(page)
        page.wait_for_selector(DIALOG)
        assert "Before you go" in page.locator(DIALOG).inner_text()
        live.wait_for_selector("#decisions >> text=An offer before you leave: yes")
        live.wait_for_selector("#state >> text=1 \u00d7 Evening Oolong")
        page.keyboard.press("Escape")
        live.wait_for_selector("#decisions >> text=you closed it")
        page.click("#order")
        live.wait_for_selector("#events >> text=You placed an order")
        live.click("#erase")
        live.wait_for_selector("#state >> text=erased up to")
        assert "Evening Oolong" not in live.locator("#state").inner_text()


@pytest.mark.redis
def test_who_says_no_is_not_asked_about(shop, browser):
    with visiting(browser) as (context, asked):
        page = context.new_page()
        choose(page, shop, "none")
        put_tea_into_the_cart(page)
        leave(page)
        page.wait_for_timeout(500)
        assert page.locator(DIALOG).count() == 0
        assert [url for url in asked if "/v1/" in url] == []
        assert context.cookies() == []
        assert page.evaluate("Object.keys(localStorage)") == []


@pytest.mark.redis
def test_who_withdraws_on_the_live_page_hears_no_more(shop, browser):
    with visiting(browser) as (context, _):
        page, live = context.new_page(), context.new_page()
        choose(page, shop, "some")
        put_tea_into_the_cart(page)
        live.goto(shop + "/live")
        live.wait_for_selector("#state >> text=1 \u00d7 Evening Oolong")
        live.click("#withdraw")
        live.wait_for_selector("#state >> text=withdrawn since")
        assert "Evening Oolong" not in live.locator("#state").inner_text()
        page.bring_to_front()
        leave(page)
        page.wait_for_timeout(500)
        assert page.locator(DIALOG).count() == 0


@pytest.mark.redis
def test_a_cart_that_was_left_comes_by_mail_and_one_click_ends_that(shop, browser):
    with visiting(browser) as (context, _):
        page, inbox = context.new_page(), context.new_page()
        choose(page, shop, "all")
        put_tea_into_the_cart(page)
        inbox.goto(shop + "/inbox")
        inbox.wait_for_selector("text=You left something in your cart", timeout=20_000)
        inbox.click("text=You left something in your cart")
        assert "Evening Oolong" in inbox.locator("body").inner_text()
        page.evaluate("sessionStorage.clear()")
        with context.expect_page() as opened:
            inbox.click("text=Back to my cart")
        opened.value.wait_for_selector(".lines >> text=Evening Oolong")
        inbox.click("a:text-is('Unsubscribe')")
        inbox.click("button:text-is('Unsubscribe')")
        inbox.wait_for_selector("text=You get no more mails")
        live = context.new_page()
        live.goto(shop + "/live")
        live.wait_for_selector("#decisions >> text=you followed the mail's link")
        live.wait_for_selector("#decisions >> text=you ended the mails")
        live.wait_for_selector("#state >> text=withdrawn since")
        page.bring_to_front()
        page.goto(shop)
        page.click("text=Smoky Pine")
        page.click("#add")
        page.wait_for_timeout(5_000)  # longer than the demo waits for an idle cart
        inbox.goto(shop + "/inbox")
        assert inbox.locator("li").count() == 1
