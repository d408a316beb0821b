"""What the script tells of a page: views, dwell, exits, and what others say on it."""

import pytest

from tests.edge.script.visit import Visit


def leave_through_the_top(visit, x=200):
    visit.page.mouse.move(x, 200)
    visit.page.mouse.move(x, 100)
    visit.page.mouse.move(x, -5)
    visit.settle(150)


def signals(visit):
    return [event["signal"] for event in visit.events if event["type"] == "exit_signalled"]


def test_a_pointer_that_leaves_through_the_top_is_told_once_a_page(shopper):
    leave_through_the_top(shopper)
    event = shopper.wait_for("exit_signalled")
    assert event["signal"] == "pointer_left_top"
    assert event["url"] == shopper.site.origin + "/"
    leave_through_the_top(shopper)
    assert signals(shopper) == ["pointer_left_top"]
    shopper.page.evaluate("cartwake.page()")
    leave_through_the_top(shopper)
    assert signals(shopper) == ["pointer_left_top", "pointer_left_top"]


def test_it_is_not_armed_before_the_page_was_looked_at(visit):
    visit.open(data={"min-dwell": "60000"})
    visit.grant()
    leave_through_the_top(visit)
    assert signals(visit) == []


def test_who_moves_to_the_scrollbar_does_not_leave(shopper):
    width = shopper.page.evaluate("document.documentElement.clientWidth")
    leave_through_the_top(shopper, width + 5)
    assert signals(shopper) == []


@pytest.mark.parametrize("field", ["#search", "#sort"])
def test_who_is_in_a_form_does_not_leave(shopper, field):
    shopper.page.focus(field)
    leave_through_the_top(shopper)
    assert signals(shopper) == []


def test_a_pointer_that_leaves_to_the_side_is_no_exit(shopper):
    shopper.page.mouse.move(100, 300)
    shopper.page.mouse.move(-5, 300)
    shopper.settle(150)
    assert signals(shopper) == []


def test_a_touch_is_no_pointer(here, browser):
    visit = Visit(
        here, browser, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    visit.open(before='<meta name="viewport" content="width=device-width">')
    visit.grant()
    visit.page.touchscreen.tap(100, 5)
    visit.settle()
    assert signals(visit) == []
    visit.close()


def test_a_hidden_tab_is_an_exit_and_tells_how_long_it_was_looked_at(shopper):
    shopper.wait_for("page_viewed")
    shopper.page.evaluate("scrollTo(0, 1000)")
    shopper.settle(100)
    shopper.hide()
    left = shopper.wait_for("page_left")
    assert signals(shopper) == ["tab_hidden"]
    assert left["dwell_ms"] > 0
    assert 0 < left["scroll_pct"] <= 100


def test_what_a_page_has_to_say_outlives_it(shopper):
    shopper.wait_for("page_viewed")
    shopper.page.evaluate("cartwake.track('Products Searched', {query: 'last words'})")
    shopper.page.goto("about:blank")
    shopper.wait_for("products_searched")


@pytest.mark.parametrize("read_ms", [100, 1500])
def test_a_fast_scroll_to_the_top_is_an_exit(shopper, read_ms):
    shopper.page.evaluate("scrollTo(0, 3000)")
    shopper.settle(read_ms)
    shopper.page.mouse.move(300, 300)
    for _ in range(12):
        shopper.page.mouse.wheel(0, -250)
    assert shopper.wait_for("exit_signalled")["signal"] == "fast_scroll_up"


def test_a_slow_scroll_is_none(shopper):
    shopper.page.evaluate("scrollTo(0, 900)")
    shopper.settle(100)
    shopper.page.evaluate("""async () => { for (let y = 900; y > 300; y -= 20) {
        scrollTo(0, y); await new Promise(done => setTimeout(done, 25)) } }""")
    shopper.settle(100)
    assert signals(shopper) == []


def test_resting_is_an_exit_and_typing_is_not(visit):
    visit.open(data={"idle": "500"})
    visit.page.focus("#search")
    visit.grant()
    visit.settle(700)
    assert signals(visit) == []
    visit.page.evaluate("document.activeElement.blur()")
    visit.page.mouse.move(50, 50)
    assert visit.wait_for("exit_signalled")["signal"] == "idle"


def test_going_back_step_by_step_to_where_it_began_is_told_and_not_prevented(shopper):
    for path in ("/two", "/three"):
        shopper.page.evaluate("path => history.pushState({}, '', path)", path)
    shopper.page.evaluate("history.back()")
    shopper.page.wait_for_url("**/two")
    shopper.settle(100)
    assert signals(shopper) == []
    shopper.page.evaluate("history.back()")
    assert shopper.wait_for("exit_signalled")["signal"] == "back_navigation"
    shopper.page.wait_for_url("**/?*")


def test_a_link_within_the_page_is_no_way_back(shopper):
    shopper.page.evaluate("location.hash = '#tea'")
    shopper.settle()
    assert signals(shopper) == []


def test_a_page_within_the_page_is_a_page(shopper):
    shopper.wait_for("page_viewed")
    shopper.page.evaluate("history.pushState({}, '', '/two')")
    view = shopper.wait_for("page_viewed", 2)
    left = shopper.wait_for("page_left")
    assert (left["url"], view["url"]) == (shopper.site.origin + "/", shopper.site.origin + "/two")
    shopper.page.evaluate("history.replaceState({}, '', '/two?filter=green')")
    shopper.settle()
    assert shopper.kinds().count("page_viewed") == 2


def test_the_usual_calls_of_a_shop_are_understood(shopper):
    shopper.page.evaluate("""() => {
        const tea = {product_id: 'tea', price: 12.9, currency: 'EUR'};
        cartwake.track('Product Added', Object.assign({quantity: 2}, tea));
        cartwake.track('product_removed', {product_id: 'tea', quantity: 1});
        cartwake.track('Coffee Brewed');
        cartwake.identify('anna@shop.example');
    }""")
    shopper.wait_for("product_removed")
    added = shopper.wait_for("product_added")
    assert added["product"] == {"id": "tea", "price_minor": 1290, "currency": "EUR"}
    assert added["quantity"] == 2
    name = {"vendor": "segment", "name": "Coffee Brewed"}
    assert shopper.shop.count("unmapped_total", **name) == 1


@pytest.mark.parametrize(
    "push",
    [
        "dataLayer.push({event: 'add_to_cart', ecommerce: {currency: 'EUR', items: [ITEM]}})",
        "gtag('event', 'add_to_cart', {currency: 'EUR', items: [ITEM]})",
    ],
)
def test_what_a_tag_manager_hears_is_heard(visit, push):
    layer = "<script>window.dataLayer = []; function gtag(){dataLayer.push(arguments)}</script>"
    visit.open(before=layer)
    visit.grant()
    visit.page.evaluate(push.replace("ITEM", "{item_id: 'tea', price: 12.9, quantity: 1}"))
    added = visit.wait_for("product_added")
    assert added["product"] == {"id": "tea", "price_minor": 1290, "currency": "EUR"}
    assert visit.page.evaluate("dataLayer.length") == 1


def test_a_second_inclusion_changes_nothing(visit):
    visit.open()
    visit.page.add_script_tag(url=visit.site.edge + "/cartwake.js")
    visit.grant()
    visit.wait_for("page_viewed")
    visit.settle()
    assert visit.kinds().count("page_viewed") == 1


def test_it_leaves_no_name_but_its_own(visit):
    visit.page.goto(visit.site.origin + "/?data={}")
    before = "(() => { const frame = document.createElement('iframe'); document.body.append(frame);"
    names = before + "const plain = new Set(Object.getOwnPropertyNames(frame.contentWindow));"
    names += "return Object.getOwnPropertyNames(window).filter(name => !plain.has(name)) })()"
    found = set(visit.page.evaluate(names))
    assert {name for name in found if not name.isdigit()} <= {
        "cartwake",
        "home",
        "search",
        "sort",
        "buy",
    }


def test_nonsense_is_not_thrown_back(shopper):
    for call in ("track", "page", "identify", "consent", "push", "on", "feedback"):
        for arguments in ("", "null", "undefined, 7", "{toString() { throw 1 }}"):
            shopper.page.evaluate(f"cartwake.{call}({arguments}), 1")


def test_a_shop_without_an_edge_does_not_notice(visit):
    visit.open()
    visit.site.stop()
    visit.consent(personalization=True)
    visit.page.click("#buy")
    visit.settle(500)
    assert visit.events == []
    visit.site.start()
    visit.wait_for("page_viewed")
    assert visit.kinds() == ["consent_updated", "page_viewed"]


def test_what_kafka_did_not_take_is_sent_again_in_order(shopper):
    shopper.wait_for("page_viewed")
    shopper.shop.log.is_up = False
    shopper.page.evaluate("cartwake.track('Products Searched', {query: 'one'})")
    shopper.settle(200)
    shopper.page.evaluate("cartwake.track('Products Searched', {query: 'two'})")
    shopper.shop.log.is_up = True
    shopper.wait_for("products_searched", 2)
    assert [one["query"] for one in shopper.events[-2:]] == ["one", "two"]


def test_who_follows_a_link_does_not_leave(shopper):
    shopper.wait_for("page_viewed")
    shopper.page.click("#home")
    shopper.wait_for("page_left")
    shopper.settle()
    assert signals(shopper) == []
    assert shopper.kinds().count("page_left") == 1


def test_who_looks_at_one_page_and_goes_back_does_not_leave(shopper):
    shopper.page.evaluate("history.pushState({}, '', '/two')")
    shopper.page.evaluate("history.back()")
    shopper.wait_for("page_viewed", 3)
    shopper.page.evaluate("location.hash = 'one'")
    shopper.page.evaluate("location.hash = 'two'")
    shopper.settle()
    assert signals(shopper) == []


def test_a_button_to_the_top_is_no_exit(shopper):
    shopper.page.evaluate("scrollTo(0, 3000)")
    shopper.settle(100)
    shopper.page.evaluate("scrollTo({top: 0, behavior: 'smooth'})")
    shopper.settle(1_000)
    assert signals(shopper) == []


def test_a_pointer_that_only_moves_down_near_the_top_does_not_leave(shopper):
    shopper.page.mouse.move(300, 2)
    shopper.page.mouse.move(300, 10)
    shopper.page.evaluate("""document.documentElement.dispatchEvent(
        new MouseEvent('mouseleave', {clientX: 300, clientY: 12}))""")
    shopper.settle(150)
    assert signals(shopper) == []


def test_stays_add_up_to_how_long_a_page_was_looked_at(shopper):
    shopper.wait_for("page_viewed")
    shopper.settle(300)
    shopper.hide()
    first = shopper.wait_for("page_left")["dwell_ms"]
    shopper.come_back()
    shopper.hide()
    second = shopper.wait_for("page_left", 2)["dwell_ms"]
    assert first >= 300 > second


def test_a_cart_too_large_to_outlive_the_page_is_sent_all_the_same(shopper):
    shopper.page.evaluate("""() => { for (let round = 0; round < 4; round++) {
        const line = (_, n) => ({product: {id: 'tea ' + n, name: 'x'.repeat(60)}, quantity: 1});
        cartwake.track('cart_updated', {lines: Array.from({length: 200}, line)}) }
        cartwake.track('products_searched', {query: 'after'}) }""")
    shopper.wait_for("products_searched")
    assert shopper.kinds().count("cart_updated") == 4


def test_an_edge_that_asks_for_patience_gets_it(shopper):
    shopper.wait_for("page_viewed")
    shopper.shop.log.is_up = False
    shopper.asked.clear()
    for number in range(10):
        shopper.page.evaluate("n => cartwake.track('products_searched', {query: `${n}`})", number)
        shopper.settle(60)
    assert len([url for url in shopper.asked if "/v1/events" in url]) == 1


def test_many_tabs_do_not_use_up_the_connections(shopper):
    shopper.wait_for("page_viewed")
    for number in range(2, 9):  # a browser opens six to one origin
        tab = shopper.open(shopper.context.new_page())
        shopper.consent(tab, personalization=True)
        shopper.wait_for("page_viewed", number)


@pytest.mark.parametrize(
    "call",
    ["track('Order Completed', {order_id: '7'})", "push(['track', 'Order Completed'])"],
)
def test_what_was_bought_is_in_the_cart_no_more(shopper, call):
    shopper.page.evaluate(f"cartwake.{call}")
    assert shopper.wait_for("cart_updated")["lines"] == []


BROKEN = r"'Sale ' + '\u{1F600}'.slice(0, 1)"


@pytest.mark.parametrize(
    "spoil",
    [
        f"document.title = {BROKEN}; cartwake.page()",
        "cartwake.track('product_added', {quantity: 10n})",
        "const own = {}; own.own = own; cartwake.track('Product Added', own)",
        "cartwake.track('product_viewed', {get product() { throw 1 }})",
    ],
)
def test_a_value_that_cannot_be_written_costs_nothing_beside_it(visit, spoil):
    visit.open()
    visit.page.evaluate("spoil => { eval(spoil) }", spoil)
    visit.consent(personalization=True)
    visit.wait_for("page_viewed")
    visit.page.evaluate("cartwake.track('Products Searched', {query: 'a \\\\ud83d b'})")
    assert visit.wait_for("products_searched")["query"] == "a \\ud83d b"
    assert visit.kinds()[0] == "consent_updated"
    titles = {event.get("title") for event in visit.events if event["type"] == "page_viewed"}
    assert titles <= {"tea", "Sale \ufffd"}


@pytest.mark.parametrize(
    ("language", "locale"),
    [
        ("'en-US@posix'", "en-US"),
        ("'de_DE.UTF-8'", "de-DE"),
        ("'c'", None),
        ("''", None),
        ("undefined", None),
        ("7", None),
    ],
)
def test_a_browser_with_an_unusual_language_is_heard(visit, language, locale):
    own = f"<script>Object.defineProperty(navigator, 'language', {{value: {language}}})</script>"
    visit.open(before=own)
    visit.consent(personalization=True)
    assert visit.wait_for("consent_updated")["context"].get("locale") == locale


def test_what_was_refused_because_of_a_neighbour_is_sent_again_by_itself(shopper):
    shopper.wait_for("page_viewed")
    # Twenty large events are more than a request may hold; one is more than an event may.
    shopper.page.evaluate("""() => { for (let n = 0; n < 22; n++) cartwake.track('cart_updated', {
        lines: Array.from({length: 200}, (_, line) => ({quantity: 1, product: {
            id: `${n} ${line}`, name: 'x'.repeat(n === 3 ? 200 : 80)}}))}) }""")
    shopper.wait_for("cart_updated", 21)
    shopper.settle()
    first = [event["lines"][0]["product"]["id"] for event in shopper.events[-21:]]
    assert first == [f"{n} 0" for n in range(22) if n != 3]
