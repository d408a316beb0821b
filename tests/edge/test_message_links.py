"""What those get who follow a mail's links."""

import re

import pytest

from stream.config.settings import EmailerSettings
from stream.delivery.links import CartLink, LinkedLine, Links, MessageLink
from stream.delivery.templates import templates_of
from stream.edge.message_links import UNDO_WITHIN_MS, try_pages
from stream.errors import UsageError
from tests.edge.shop import EDGE, NOW_MS, PAGE, SIGNING, Shop

ANNA = MessageLink("tea", "anna", "7" * 32)
CART = CartLink("tea", "anna", "7" * 32, "f" * 32, [LinkedLine("mug", "blue", 2)])
LINKS = Links(SIGNING)
UNSUBSCRIBE = "/v1/unsubscribe/" + LINKS.sign("unsubscribe", ANNA)
CLICK, CARTS = (f"/v1/{route}/{LINKS.sign('cart', CART)}" for route in ("click", "carts"))
ONE_CLICK = {"data": {"List-Unsubscribe": "One-Click"}}
SCANNER = {"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}


@pytest.fixture
def shop():
    emailer = EmailerSettings(
        tenant="tea", sender="Tea & Co <hello@tea.example>", cart_url="https://tea.example/cart?x=1"
    )
    return Shop(emailer=emailer)


def test_one_post_without_a_login_withdraws_and_is_told(shop):
    assert shop.client.post(UNSUBSCRIBE, **ONE_CLICK).status_code == 200
    withdrawal, told = shop.log.events
    assert withdrawal["type"] == "consent_updated"
    assert withdrawal["purposes"] == {"marketing_email": "withdrawn"}
    assert (withdrawal["tenant"], withdrawal["visitor"]) == ("tea", "anna")
    assert (withdrawal["source"], withdrawal["at_ms"]) == ("unsubscribe", NOW_MS)
    assert told["type"] == "message_unsubscribed"
    assert told["trigger_id"] == ANNA.trigger_id
    assert [one.topic for one in shop.log.records] == ["consent-events", "message-feedback"]
    assert {one.key for one in shop.log.records} == {b"anna"}
    assert shop.count("unsubscribed_total") == 1


def test_each_withdrawal_counts_for_there_may_have_been_a_yes_between(shop):
    for _ in range(2):
        shop.client.post(UNSUBSCRIBE, **ONE_CLICK)
    assert len({event["id"] for event in shop.log.events}) == 4


def test_the_pages_name_the_shop_whose_mails_they_are_about(shop):
    for answer in (shop.client.get(UNSUBSCRIBE), shop.client.post(UNSUBSCRIBE, **ONE_CLICK)):
        assert '<html lang="en">' in answer.text
        assert answer.text.count("from Tea &amp; Co") == 3  # title, heading and text
    bikes = LINKS.sign("unsubscribe", MessageLink("bike", "anna", "7" * 32))
    assert "from" not in shop.client.get(f"/v1/unsubscribe/{bikes}").text


@pytest.mark.parametrize(
    ("lang", "shown"),
    [("?lang=de-AT", "de"), ("?lang=de_DE.UTF-8", "de"), ("?lang=fr", "en"), ("", "en")]
    + [(f"?lang={wild}", "en") for wild in ("..%2f..", "%00", "x-" * 5_000, "%ff", "de%2F..")],
)
def test_the_pages_have_the_mails_language(shop, lang, shown):
    words = {
        "en": ("Unsubscribe from Tea", "You are unsubscribed from Tea", "subscribed again"),
        "de": (
            "Mails von Tea &amp; Co abbestellen?",
            "von Tea &amp; Co abbestellt",
            "wieder Mails",
        ),
    }[shown]
    asked = shop.client.get(UNSUBSCRIBE + lang)
    done = shop.client.post(UNSUBSCRIBE + lang, **ONE_CLICK)
    again = shop.client.post(UNSUBSCRIBE + lang, data={"undo": undo_of(done)})
    for answer, said in zip((asked, done, again), words, strict=True):
        assert f'<html lang="{shown}">' in answer.text
        assert said in answer.text


def test_a_shop_may_have_a_page_and_a_language_of_its_own(tmp_path):
    (tmp_path / "unsubscribe" / "fr").mkdir(parents=True)
    (tmp_path / "unsubscribe" / "fr" / "page.html").write_text("<p>{{ language }} {{ shop }}</p>")
    emailer = EmailerSettings(tenant="tea", sender="T & Co <a@b.example>", templates=str(tmp_path))
    page = Shop(emailer=emailer).client.get(UNSUBSCRIBE + "?lang=fr-CA").text
    assert page == "<p>fr T &amp; Co</p>"
    (tmp_path / "unsubscribe" / "page.html").write_text("{{ mine }}")
    with pytest.raises(UsageError, match=r"emailer\.templates: .*'mine' is undefined"):
        try_pages(templates_of(emailer))


def undo_of(answer):
    return re.search('name="undo" value="([^"]*)"', answer.text)[1]


def test_an_unsubscription_can_be_undone_for_a_while(shop):
    undo = undo_of(shop.client.post(UNSUBSCRIBE, **ONE_CLICK))
    shop.now_ms += UNDO_WITHIN_MS
    assert "subscribed again" in shop.client.post(UNSUBSCRIBE, data={"undo": undo}).text
    grant = shop.log.events[-1]
    assert grant["type"] == "consent_updated"
    assert grant["purposes"] == {"marketing_email": "granted"}
    assert (grant["visitor"], grant["source"]) == ("anna", "unsubscribe_undo")
    shop.now_ms += 1
    assert shop.client.post(UNSUBSCRIBE, data={"undo": undo}).status_code == 403
    assert len(shop.log.events) == 3


def test_nothing_else_subscribes_anybody(shop):
    ben = "/v1/unsubscribe/" + LINKS.sign("unsubscribe", MessageLink("tea", "ben", "7" * 32))
    bens = undo_of(shop.client.post(ben, **ONE_CLICK))
    token = UNSUBSCRIBE.rpartition("/")[2]
    for undo in (bens, bens + "x", token, "", "1"):
        answer = shop.client.post(UNSUBSCRIBE, data={"undo": undo})
        assert (answer.status_code == 403) or not undo
    assert {event.get("purposes", {}).get("marketing_email") for event in shop.log.events} <= {
        "withdrawn",
        None,
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_looking_withdraws_nothing(shop, method):
    answer = shop.client.request(method, UNSUBSCRIBE)
    assert answer.status_code == 200
    assert shop.log.records == []
    if method == "GET":
        assert '<form method="post"' in answer.text
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_while_kafka_is_away_nobody_is_told_that_it_is_done(shop):
    shop.log.is_up = False
    answer = shop.client.post(UNSUBSCRIBE, **ONE_CLICK)
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("path", [UNSUBSCRIBE, CLICK, CARTS])
def test_a_link_that_is_not_whole_is_refused(shop, path):
    for wrong in (path[:-3], path[:-3] + "abc", f"/{path.split('/')[1]}/{path.split('/')[2]}/x"):
        answer = shop.client.get(wrong, follow_redirects=False)
        assert answer.status_code == 403
    assert shop.log.records == []


def test_a_link_for_one_use_is_not_one_for_another(shop):
    token = LINKS.sign("cart", CART)
    assert shop.client.post(f"/v1/unsubscribe/{token}").status_code == 403


def test_a_click_leads_to_the_shops_cart_and_is_told(shop):
    answer = shop.client.get(CLICK, headers=PAGE, follow_redirects=False)
    assert answer.status_code == 303
    token = CLICK.rpartition("/")[2]
    assert answer.headers["location"] == f"https://tea.example/cart?x=1&cartwake_cart={token}"
    (told,) = shop.log.events
    assert (told["type"], told["visitor"], told["trigger_id"]) == (
        "message_clicked",
        "anna",
        "7" * 32,
    )


@pytest.mark.parametrize(
    ("cart_url", "target"),
    [
        ("https://tea.example/cart#items", "https://tea.example/cart?cartwake_cart=TOKEN#items"),
        ("https://tea.example/?a=1#/b?c", "https://tea.example/?a=1&cartwake_cart=TOKEN#/b?c"),
        ("https://tea.example/cart?", "https://tea.example/cart?cartwake_cart=TOKEN"),
    ],
)
def test_the_carts_token_stands_before_a_fragment(cart_url, target):
    shop = Shop(emailer=EmailerSettings(cart_url=cart_url))
    answer = shop.client.get(CLICK, follow_redirects=False)
    assert answer.headers["location"] == target.replace("TOKEN", CLICK.rpartition("/")[2])


def test_a_click_leads_on_though_kafka_is_away(shop):
    shop.log.is_up = False
    answer = shop.client.get(CLICK, headers=PAGE, follow_redirects=False)
    assert answer.status_code == 303


def test_a_scanners_visit_is_no_click(shop):
    assert shop.client.get(CLICK, headers=SCANNER, follow_redirects=False).status_code == 303
    assert shop.client.head(CLICK, headers=PAGE, follow_redirects=False).status_code == 303
    assert shop.log.records == []


def test_without_a_cart_page_a_click_leads_nowhere():
    assert Shop().client.get(CLICK, follow_redirects=False).status_code == 404


def test_the_shop_is_told_what_was_in_the_cart(shop):
    answer = shop.client.get(CARTS, headers=PAGE)
    assert answer.json() == {
        "fingerprint": "f" * 32,
        "lines": [{"product_id": "mug", "variant": "blue", "quantity": 2}],
    }
    assert answer.headers["access-control-allow-origin"] == PAGE["Origin"]
    assert shop.log.records == []


def test_strangers_are_counted_by_their_address():
    shop = Shop(edge=EDGE.model_copy(update={"requests_per_s_per_address": 1}))
    answers = [shop.client.get(CARTS).status_code for _ in range(5)]
    assert 429 in answers


def test_a_withdrawal_is_taken_however_much_else_its_address_sends():
    shop = Shop(edge=EDGE.model_copy(update={"requests_per_s_per_address": 1}))
    answers = [shop.client.get(CARTS).status_code for _ in range(3)]
    assert answers == [200, 429, 429]
    assert shop.client.post(UNSUBSCRIBE, **ONE_CLICK).status_code == 200
    assert shop.log.events[0]["type"] == "consent_updated"
