from email import message_from_bytes
from email.policy import default

import pytest
from aiosmtplib.email import flatten_message
from msgspec.structs import replace

from stream.delivery.links import CartLink, Links, MessageLink, cart_of, message_of
from stream.domain.events import Line, Product
from stream.emailer.compose import Composer
from stream.emailer.directory import Recipient
from stream.emailer.samples import samples
from stream.errors import UsageError
from tests.delivery.triggers import CART, NOW_MS, trigger

LINKS = Links(["a key"])
ANNA = Recipient("anna@mail.example", "Anna")
EDGE = "https://events.shop.example"
LONGEST_LINE = 998  # of a mail, without its end: RFC 5322


def composer(folder=None):
    return Composer("Tea & Co <hello@shop.example>", EDGE + "/", LINKS, folder)


def parsed(mail):
    """Return a mail as a mail program reads it."""
    return message_from_bytes(mail.as_bytes(), policy=default)


def html(mail):
    return mail.get_body(("html",)).get_content()


def text(mail):
    return mail.get_body(("plain",)).get_content()


@pytest.fixture
def mail():
    return parsed(composer().compose(trigger(), ANNA, NOW_MS))


def test_a_mail_says_from_whom_to_whom_and_when(mail):
    assert mail["From"] == "Tea & Co <hello@shop.example>"
    assert mail["To"] == "anna@mail.example"
    assert mail["Subject"] == "You left something in your cart"
    assert mail["Date"].datetime.timestamp() * 1000 == NOW_MS
    assert mail["Auto-Submitted"] == "auto-generated"


def test_the_mail_of_a_trigger_is_the_same_mail_each_time(mail):
    again = parsed(composer().compose(trigger(), ANNA, NOW_MS + 5))
    assert mail["Message-ID"] == again["Message-ID"] == f"<{trigger().trigger_id}@shop.example>"
    assert (text(mail), html(mail)) == (text(again), html(again))


def test_one_click_unsubscribes_by_rfc_8058(mail):
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = mail["List-Unsubscribe"].strip("<>")
    token = url.removeprefix(f"{EDGE}/v1/unsubscribe/")
    assert LINKS.verify("unsubscribe", token, MessageLink) == message_of(trigger())
    assert url in text(mail)
    assert url in html(mail)


def test_the_address_to_unsubscribe_at_is_sent_as_it_is(mail):
    sent = flatten_message(composer().compose(trigger(), ANNA, NOW_MS)).split(b"\r\n")
    assert f"List-Unsubscribe: {mail['List-Unsubscribe']}".encode() in sent
    assert max(map(len, sent)) <= LONGEST_LINE


def test_the_button_leads_back_to_this_cart(mail):
    start = html(mail).index(f"{EDGE}/v1/click/") + len(f"{EDGE}/v1/click/")
    token = html(mail)[start:].partition('"')[0]
    assert LINKS.verify("cart", token, CartLink) == cart_of(trigger())
    assert f"{EDGE}/v1/click/{token}" in text(mail)


def test_both_parts_tell_what_is_in_the_cart_and_what_it_costs(mail):
    for part in (text(mail), html(mail)):
        assert "Mug" in part
        assert "€12.90" in part
        assert "€25.80" in part
        assert "Anna" in part


def test_what_shops_and_shoppers_write_is_no_html():
    product = Product("x", name='<script>alert("1")</script>', price_minor=1, currency="EUR")
    wild = trigger(cart=replace(CART, lines=[Line(product, 1)]))
    mail = composer().compose(wild, replace(ANNA, name="<b>Anna</b>"), NOW_MS)
    assert "<script>" not in html(mail)
    assert "<b>Anna" not in html(mail)
    assert '<script>alert("1")</script>' in text(mail)


@pytest.mark.parametrize("name", ["Anna\r\nBcc: x@y.example", "{{ 7 * 7 }}", "Ünï ✓"])
def test_a_name_cannot_add_a_header_or_a_template(name):
    mail = parsed(composer().compose(trigger(), replace(ANNA, name=name), NOW_MS))
    assert mail["Bcc"] is None
    assert "49" not in text(mail).splitlines()[0]


@pytest.mark.parametrize(
    ("locale", "subject", "price"),
    [
        ("de", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("de-AT", "In Ihrem Warenkorb liegt noch etwas", "€\xa012,90"),
        ("fr-CA", "You left something in your cart", "12,90\xa0€"),
        ("en-GB", "You left something in your cart", "€12.90"),
        ("not a locale", "You left something in your cart", "€12.90"),
        (None, "You left something in your cart", "€12.90"),
    ],
)
def test_it_is_in_the_recipients_language_where_there_is_one(locale, subject, price):
    mail = parsed(composer().compose(trigger(), replace(ANNA, locale=locale), NOW_MS))
    assert mail["Subject"] == subject
    assert price in text(mail)


def test_a_follow_up_says_something_else():
    mail = composer().compose(trigger(step=1), ANNA, NOW_MS)
    assert mail["Subject"] == "Your cart is still here"


def test_a_shops_own_template_stands_before_ours_and_the_particular_before_the_general(tmp_path):
    kind = tmp_path / "cart_abandonment"
    for place, words in {".": "ours", "1": "step", "de": "German", "de/1": "German step"}.items():
        (kind / place).mkdir(parents=True, exist_ok=True)
        (kind / place / "subject.txt").write_text(words)
    found = {
        (step, locale): composer(tmp_path)
        .content(trigger(step=step), replace(ANNA, locale=locale))
        .subject
        for step in (0, 1)
        for locale in ("en", "de-CH")
    }
    assert found == {
        (0, "en"): "ours",
        (1, "en"): "step",
        (0, "de-CH"): "German",
        (1, "de-CH"): "German step",
    }


@pytest.mark.parametrize(
    ("part", "words", "why"),
    [
        ("subject.txt", "{{ nam }}", "subject.txt.*nam"),
        ("text.txt", "a\n{% if %}", "text.txt, line 2"),
        ("html.mjml", "<mjml><mj-body>", "html.mjml"),
    ],
)
def test_a_template_that_cannot_be_used_says_where_and_why(tmp_path, part, words, why):
    (tmp_path / "cart_abandonment").mkdir()
    (tmp_path / "cart_abandonment" / part).write_text(words)
    with pytest.raises(UsageError, match=r"emailer\.templates: .*" + why):
        composer(tmp_path).content(trigger(), ANNA)


@pytest.mark.parametrize("sample", [*samples()], ids=lambda one: "")
def test_every_sample_gives_a_whole_mail(sample):
    mail = parsed(composer().compose(*sample, NOW_MS))
    assert mail["Subject"]
    assert "{{" not in text(mail) + html(mail)
    assert "None" not in text(mail) + html(mail)
