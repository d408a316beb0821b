"""Before consent nothing is stored and nothing is sent; after a refusal nothing is left."""

import json

import pytest

from stream.edge.visitors import COOKIE
from tests.edge.script.visit import Visit, site
from tests.rig.processes import LOOPBACK

TCF = """<script>window.__tcfapi = (command, version, hear) => { window.tell = hear }</script>"""
SHOPIFY = """<script>window.Shopify = {customerPrivacy: {
    currentVisitorConsent: () => (CHOICE)}}</script>"""
COLLECTED = """choice => { Shopify.customerPrivacy.currentVisitorConsent = () => choice;
    document.dispatchEvent(new CustomEvent('visitorConsentCollected', {detail: {}})) }"""
GTAG = "told => { gtag('consent', 'update', told) }"
LAYER = """<script>window.dataLayer = [];
function gtag(){dataLayer.push(arguments)}
gtag('consent', 'default', {personalization_storage: 'denied', ad_storage: 'denied'});
</script>"""


def use_the_page(visit):
    visit.page.evaluate("cartwake.track('Product Viewed', {product_id: 'tea'})")
    visit.page.mouse.move(200, 200)
    visit.page.mouse.move(200, 1)
    visit.page.evaluate("history.pushState({}, '', '/two')")
    visit.settle()


def test_nothing_is_sent_or_stored_before_consent(visit):
    visit.open()
    use_the_page(visit)
    assert visit.asked_of_edge() == []
    assert visit.stored() == []


def test_nothing_is_sent_or_stored_after_a_denial(visit):
    visit.open()
    use_the_page(visit)
    visit.consent(personalization=False, analytics=True)
    use_the_page(visit)
    assert visit.asked_of_edge() == []
    assert visit.stored() == []


# Browsers look for hosts of this name on their own machine.
DOMAIN = "tea.localhost"


@pytest.mark.parametrize("edges_host", [f"events.{DOMAIN}", LOOPBACK])
def test_hosts_of_one_domain_share_a_visitor_and_its_end(browser, edges_host):
    with site(domain=DOMAIN, edges_host=edges_host) as here:
        visit = Visit(here, browser)
        visitors = []
        for number, origin in enumerate((here.origin, here.checkout), 1):
            visit.open(origin=origin, data={"cookie-domain": DOMAIN})
            visit.consent(personalization=True)
            visitors.append(visit.wait_for("consent_updated", number)["visitor"])
        (cookie,) = visit.context.cookies()
        assert (cookie["name"], cookie["domain"]) == (COOKIE, f".{DOMAIN}")
        assert visitors[0] == visitors[1]
        visit.consent(personalization=False)
        visit.wait_for("consent_updated", 3)
        visit.settle()
        assert visit.context.cookies() == []
        assert visit.errors == []
        visit.close()


def test_what_waited_is_sent_after_the_consent_that_came_late(visit):
    visit.open()
    visit.page.evaluate("cartwake.track('Product Viewed', {product_id: 'tea'})")
    visit.settle(50)
    visit.consent(personalization=True, marketing_email=True)
    visit.wait_for("product_viewed")
    assert visit.kinds() == ["consent_updated", "page_viewed", "product_viewed"]
    consent, *waited = visit.events
    assert consent["purposes"] == {"personalization": "granted", "marketing_email": "granted"}
    assert consent["source"] == "api"
    assert all(event["at_ms"] >= consent["at_ms"] for event in waited)
    assert {event["visitor"] for event in visit.events} == {consent["visitor"]}


def test_consent_goes_before_all_that_waited_however_much_that_is(visit):
    visit.open()
    search = "cartwake.track('Products Searched', {query: 'tea'})"
    visit.page.evaluate(f"() => {{ for (let n = 0; n < 30; n++) {search} }}")
    visit.consent(personalization=True)
    visit.wait_for("products_searched", 30)
    assert visit.kinds()[0] == "consent_updated"


def test_what_waited_is_dropped_on_denial(visit):
    visit.open()
    visit.consent(personalization=False)
    visit.consent(personalization=True)
    visit.wait_for("consent_updated")
    visit.settle()
    assert "page_viewed" not in visit.kinds()


def test_a_withdrawal_is_told_and_nothing_after_it(visit):
    visit.open()
    visit.grant()
    visit.wait_for("page_viewed")
    visit.consent(personalization="withdrawn")
    visit.wait_for("consent_updated", 2)
    assert visit.events[-1]["purposes"]["personalization"] == "withdrawn"
    visit.settle()
    asked = len(visit.asked_of_edge())
    use_the_page(visit)
    assert len(visit.asked_of_edge()) == asked
    assert visit.stored() == []
    assert visit.shop.count("streams") == 0


def test_an_erasure_is_told_and_nothing_is_left(visit):
    visit.open()
    visit.grant()
    visit.page.evaluate("cartwake.erase()")
    visit.wait_for("erasure_requested")
    visit.settle()
    assert visit.stored() == []
    use_the_page(visit)
    assert visit.kinds()[-1] == "erasure_requested"


def test_what_is_refused_in_one_tab_is_refused_in_all(visit):
    visit.open()
    other = visit.open(visit.context.new_page())
    visit.grant()
    visit.consent(other, personalization=True)
    visit._until(lambda: visit.shop.count("streams") == 2, "two streams")
    visit.consent(other, personalization="withdrawn")
    visit.wait_for("consent_updated", 2)
    visit.settle()
    asked = len(visit.asked_of_edge())
    use_the_page(visit)
    assert len(visit.asked_of_edge()) == asked
    assert visit.shop.count("streams") == 0


def test_a_refusal_of_mail_alone_leaves_the_rest(visit):
    visit.open()
    visit.grant()
    visit.consent(marketing_email="withdrawn")
    event = visit.wait_for("consent_updated", 2)
    assert event["purposes"] == {"marketing_email": "withdrawn"}
    visit.page.evaluate("cartwake.page()")
    visit.wait_for("page_viewed", 2)


def test_a_choice_is_told_once_and_not_on_each_page(visit):
    visit.open()
    visit.grant()
    visitor = visit.wait_for("page_viewed")["visitor"]
    visit.open()
    visit.consent(personalization=True)
    again = visit.wait_for("page_viewed", 2)
    assert visit.kinds().count("consent_updated") == 1
    assert again["visitor"] == visitor


def test_a_browser_that_objects_to_sale_says_so_with_each_choice(visit):
    script = "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})"
    visit.context.add_init_script(script)
    visit.open()
    visit.consent(personalization=True, ads=True)
    purposes = visit.wait_for("consent_updated")["purposes"]
    assert (purposes["ads"], purposes["sale_share"]) == ("denied", "denied")


def test_googles_consent_mode_is_heard_and_its_default_is_no_choice(visit):
    visit.open(before=LAYER)
    visit.settle()
    assert visit.asked_of_edge() == []
    told = {"personalization_storage": "granted", "ad_storage": "granted", "ad_user_data": "denied"}
    visit.page.evaluate(GTAG, told)
    event = visit.wait_for("consent_updated")
    assert event["source"] == "google_consent_mode"
    assert event["purposes"] == {"personalization": "granted", "ads": "denied"}


@pytest.mark.parametrize(
    ("purposes", "is_granted"),
    [([1, 5, 6, 8], True), ([1, 2, 3, 4], False), ([5, 6], False), ([], False)],
)
def test_iabs_framework_is_heard(visit, purposes, is_granted):
    visit.open(before=TCF)
    consents = {str(n): True for n in purposes}
    shown = {
        "eventStatus": "cmpuishown",
        "purpose": {"consents": {"1": True, "5": True, "6": True}},
    }
    told = {"eventStatus": "useractioncomplete", "purpose": {"consents": consents}}
    visit.page.evaluate("data => tell(data, true)", shown)
    visit.page.evaluate("data => tell(data, true)", told)
    if is_granted:
        assert visit.wait_for("consent_updated")["source"] == "iab_tcf"
    else:
        visit.settle()
        assert visit.asked_of_edge() == []


def test_shopifys_banner_is_heard_and_silence_is_no_choice(visit):
    nothing = dict.fromkeys(("marketing", "analytics", "preferences", "sale_of_data"), "")
    visit.open(before=SHOPIFY.replace("CHOICE", json.dumps(nothing)))
    visit.settle()
    assert visit.asked_of_edge() == []
    visit.page.evaluate(COLLECTED, nothing | {"preferences": "yes", "marketing": "no"})
    purposes = visit.wait_for("consent_updated")["purposes"]
    refused = dict.fromkeys(("ads", "marketing_email", "marketing_sms"), "denied")
    assert purposes == {"personalization": "granted"} | refused


def test_shopifys_choice_of_an_earlier_page_is_heard(visit):
    visit.open(before=SHOPIFY.replace("CHOICE", '{"preferences": "yes"}'))
    assert visit.wait_for("consent_updated")["source"] == "shopify"


def test_calls_from_before_the_script_was_there_count(visit):
    calls = [
        ["consent", {"personalization": True}],
        ["track", "Products Searched", {"query": "tea"}],
    ]
    visit.open(before=f"<script>window.cartwake = {json.dumps(calls)}</script>")
    assert visit.wait_for("products_searched")["query"] == "tea"


def test_addresses_are_cut_at_their_query(visit):
    visit.open(mail="anna@shop.example")
    visit.grant()
    assert visit.wait_for("page_viewed")["url"] == visit.site.origin + "/"
    assert all("shop.example" not in json.dumps(event) for event in visit.events)


def test_a_banner_that_comes_late_is_heard(visit):
    visit.open()
    visit.page.evaluate("""() => { window.__tcfapi = (command, version, hear) => hear(
        {eventStatus: 'tcloaded', purpose: {consents: {1: true, 5: true, 6: true}}}, true) }""")
    assert visit.wait_for("consent_updated")["source"] == "iab_tcf"


def test_where_two_sources_differ_the_refusal_stands(visit):
    visit.open(before=LAYER)
    visit.page.evaluate(GTAG, {"personalization_storage": "denied"})
    visit.consent(personalization=True)
    visit.settle()
    assert visit.asked_of_edge() == []
    visit.page.evaluate(GTAG, {"personalization_storage": "granted"})
    visit.wait_for("consent_updated")


def test_what_two_sources_say_again_on_each_page_is_told_once(visit):
    before = """<script>window.__tcfapi = (command, version, hear) => hear(
        {eventStatus: 'tcloaded', purpose: {consents: {1: true, 5: true, 6: true}}}, true);
        window.cartwake = [['consent', {marketing_email: true}]]</script>"""
    visit.open(before=before)
    visit.wait_for("page_viewed")
    visit.settle()
    told = visit.kinds().count("consent_updated")
    visit.open(before=before)
    visit.wait_for("page_viewed", 2)
    visit.settle()
    assert visit.kinds().count("consent_updated") == told


@pytest.mark.parametrize("call", ["consent({personalization: false})", "erase()"])
def test_who_refuses_on_a_later_page_is_heard_at_once(visit, call):
    visit.open()
    visit.grant()
    visitor = visit.wait_for("page_viewed")["visitor"]
    visit.open()
    visit.page.evaluate(f"cartwake.{call}")
    kind, count = ("erasure_requested", 1) if call == "erase()" else ("consent_updated", 2)
    told = visit.wait_for(kind, count)
    assert told["visitor"] == visitor
    assert told.get("purposes", {"personalization": "withdrawn"})["personalization"] == "withdrawn"
    visit.settle()
    assert visit.stored() == []


def test_a_refusal_outlives_an_edge_that_is_away_and_the_page(visit):
    visit.open()
    visit.grant()
    visit.wait_for("page_viewed")
    visit.site.stop()
    visit.consent(personalization="withdrawn")
    visit.page.goto("about:blank")
    visit.site.start()
    visit.open()
    event = visit.wait_for("consent_updated", 2)
    assert event["purposes"] == {"personalization": "withdrawn"}
    visit.settle()
    assert visit.stored() == []


def test_who_refuses_before_the_edge_has_answered_is_nobody(visit):
    visit.open()
    visit.page.evaluate("""() => { cartwake.consent({personalization: true});
        cartwake.consent({personalization: false}) }""")
    visit.settle()
    assert visit.events == []
    assert visit.stored() == []


def test_an_id_of_a_key_that_is_gone_makes_a_new_visitor_with_the_same_choice(visit):
    visit.open()
    visit.grant()
    visitor = visit.wait_for("page_viewed")["visitor"]
    visit.context.add_cookies(
        [{"name": "cartwake_visitor", "value": "f" * 32 + ".forged", "url": visit.site.origin}]
    )
    visit.open()
    visit.consent(personalization=True)
    event = visit.wait_for("page_viewed", 2)
    assert event["visitor"] not in (visitor, "f" * 32)
    assert visit.wait_for("consent_updated", 2)["visitor"] == event["visitor"]


def test_who_says_no_twice_at_once_is_heard_without_an_error(visit):
    visit.open()
    visit.grant()
    visit.open()
    visit.page.evaluate("""() => { cartwake.consent({personalization: false});
        localStorage.removeItem('cartwake.owed'); cartwake.erase() }""")
    visit.wait_for("consent_updated", 2)
    visit.settle(800)
    assert visit.stored() == []
