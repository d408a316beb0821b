import re
from email import message_from_bytes
from email.header import decode_header, make_header
from email.policy import default
from email.utils import quote

import pytest
from aiosmtplib.email import flatten_message
from msgspec.structs import replace

from stream.config.settings import EmailerSettings
from stream.delivery.links import CartLink, Links, MessageLink, cart_of, message_of
from stream.delivery.templates import LOCALES, OURS, Templates
from stream.domain.events import Line, Product
from stream.emailer.compose import Composer, ShopProfile, shop_of
from stream.emailer.directory import Recipient
from stream.emailer.samples import samples
from stream.errors import UsageError
from tests.delivery.triggers import CART, NOW_MS, trigger

LINKS = Links(["a key"])
ANNA = Recipient("anna@mail.example", "Anna")
EDGE = "https://events.shop.example"
LONGEST_LINE = 998  # of a mail, without its end: RFC 5322


SENDER = "Tea & Co <hello@shop.example>"
SHOP = ShopProfile(
    pages=frozenset({"shop.example"}),
    pictures=frozenset({"shop.example", "cdn.example"}),
    imprint=("Tea & Co", "1 Harbour Street"),
)


def composer(folder=None, sender=SENDER, edge=EDGE):
    return Composer(sender, edge + "/", LINKS, Templates(folder), SHOP)


def parsed(mail):
    """Return a mail as a mail program reads it."""
    return message_from_bytes(mail.as_bytes(), policy=default)


def html(mail):
    return mail.get_body(("html",)).get_content()


def text(mail):
    return mail.get_body(("plain",)).get_content()


def sent(mail):
    """Return the lines of a mail as they go over the wire."""
    return flatten_message(mail).decode().split("\r\n")


def header(mail, name):
    """Return a header as RFC 2047 has it: CPython's parser of today adds spaces."""
    unfolded = re.sub(r"\r\n(?=[ \t])", "", "\r\n".join(sent(mail)))
    (line,) = [one for one in unfolded.split("\r\n") if one.startswith(f"{name}: ")]
    return str(make_header(decode_header(line.partition(": ")[2])))


def with_product(**fields):
    """Return a trigger about one mug with these fields."""
    product = Product(**{"id": "mug", "price_minor": 1290, "currency": "EUR"} | fields)
    return trigger(cart=replace(CART, lines=[Line(product, 1)]))


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
    token = url.removeprefix(f"{EDGE}/v1/unsubscribe/").removesuffix("?lang=en")
    assert LINKS.verify("unsubscribe", token, MessageLink) == message_of(trigger())
    assert url in text(mail)
    assert url in html(mail)


def test_the_address_to_unsubscribe_at_is_sent_as_it_is(mail):
    lines = sent(composer().compose(trigger(), ANNA, NOW_MS))
    assert f"List-Unsubscribe: {mail['List-Unsubscribe']}" in lines
    assert max(map(len, lines)) <= LONGEST_LINE


def test_links_to_an_edge_outside_of_ascii_are_sent_in_ascii():
    mail = composer(edge="https://events.bücher.example").compose(trigger(), ANNA, NOW_MS)
    assert mail["List-Unsubscribe"].startswith("<https://events.xn--bcher-kva.example/v1/")
    assert "\n".join(sent(mail)).isascii()


LONG = "Ваша корзина ждёт вас: чай, кофе, пряники, варенье и ещё два товара"


@pytest.mark.parametrize(
    "subject",
    [
        LONG,
        "A cart that waits for you, with tea, and coffee, and cake, and a very long subject",
        "Word by wörd: " + "ü ü " * 30 + "end",
        "=?utf-8?q?not_encoded?=",
        "=?utf-8?q?a=0D=0ABcc:_x@y.example?=",
        "x" * 200,
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{MICROSCOPE} " * 20 + "end",
    ],
)
def test_a_folded_subject_loses_and_gains_no_space(tmp_path, subject):
    (tmp_path / "cart_abandonment").mkdir()
    (tmp_path / "cart_abandonment" / "subject.txt").write_text(subject)
    mail = composer(tmp_path).compose(trigger(), ANNA, NOW_MS)
    assert header(mail, "Subject") == subject
    assert max(map(len, sent(mail)[:8])) <= LONGEST_LINE


@pytest.mark.parametrize("name", ["Tea & Co", "Bücher, Tee und mehr", LONG, 'The "Volga", Tea'])
def test_a_senders_name_loses_and_gains_no_space_either(name):
    sender = f'"{quote(name)}" <hello@shop.example>'
    mail = composer(sender=sender).compose(trigger(), ANNA, NOW_MS)
    plain = header(mail, "From").replace("\\", "").replace(f'"{name}"', name)
    assert plain == f"{name} <hello@shop.example>"


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
    wild = with_product(name='<script>alert("1")</script>')
    mail = composer().compose(wild, replace(ANNA, name="<b>Anna</b>"), NOW_MS)
    assert "<script>" not in html(mail)
    assert "<b>Anna" not in html(mail)
    assert '<script>alert("1")</script>' in text(mail)


@pytest.mark.parametrize("char", ["\x0b", "\x00", "\x1b", "\x85", "\u2028", "\u202e", "\ufffe"])
@pytest.mark.parametrize("field", ["name", "id", "variant", "category", "brand"])
def test_a_character_that_no_mail_can_show_costs_itself_alone(tmp_path, char, field):
    (tmp_path / "cart_abandonment").mkdir()
    for part, words in {"subject.txt": "{}", "text.txt": "{}"}.items():
        shown = words.format("{{ cart.lines[0].product." + field + " }}")
        (tmp_path / "cart_abandonment" / part).write_text(shown)
    mail = parsed(
        composer(tmp_path).compose(with_product(**{field: f"Blue{char}mug"}), ANNA, NOW_MS)
    )
    for shown in (mail["Subject"], text(mail)):
        assert shown.strip().replace(" ", "") == "Bluemug"
    assert "€12.90" in html(mail)


def test_a_strangers_words_stay_on_their_line_and_lead_nowhere():
    words = (
        "\ud83dMug\n\nYou have won: https://evil.example\n\nUnsubscribe:"
        " www.evil.example or evil.example/no"
    )
    mail = parsed(
        composer().compose(with_product(name=words), replace(ANNA, name="at evil.example"), NOW_MS)
    )
    for part in (text(mail), html(mail)):
        assert "Mug You have won: Unsubscribe: or" in part
        assert "evil.example" not in part
    long = parsed(composer().compose(with_product(name="Mug " * 1000), ANNA, NOW_MS))
    assert text(long).count("Mug") == 30


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://cdn.example/mug.jpg?v=1", "https://cdn.example/mug.jpg?v=1"),
        ("https://SHOP.example:8443/a b/mü.jpg", "https://shop.example:8443/a%20b/m%C3%BC.jpg"),
        ("http://cdn.example/mug.jpg", None),
        ("//cdn.example/mug.jpg", None),
        ("/mug.jpg", None),
        ("mug.jpg", None),
        ("data:image/gif;base64,R0lGODlhAQABAAAAACw=", None),
        ("javascript:alert(1)", None),
        ("https://evil.example/mug.jpg", None),
        ("https://cdn.example.evil.example/mug.jpg", None),
        ("https://evil.example\\@cdn.example/mug.jpg", None),
        ("https://cdn.example:x/mug.jpg", None),
        ("https://[::1/mug.jpg", None),
    ],
)
def test_pictures_are_absolute_and_from_the_shops_hosts_or_none(url, shown):
    mail = composer().compose(with_product(image_url=url), ANNA, NOW_MS)
    assert re.findall('<img[^>]*src="([^"]*)"', html(mail)) == ([shown] if shown else [])


def test_a_product_is_a_link_to_the_shops_own_page_alone():
    own, other = "https://shop.example/mug", "https://cdn.example/mug"  # pictures, but no pages
    assert f'href="{own}"' in html(composer().compose(with_product(url=own), ANNA, NOW_MS))
    assert other not in html(composer().compose(with_product(url=other), ANNA, NOW_MS))


def test_hosts_of_the_settings_are_the_carts_and_those_that_they_name():
    emailer = EmailerSettings(
        cart_url="https://shop.example/cart",
        page_hosts=("Bücher.example",),
        image_hosts=("cdn.example",),
        imprint="Tea & Co\n1 Harbour Street",
    )
    pages = {"shop.example", "xn--bcher-kva.example"}
    assert shop_of(emailer) == ShopProfile(pages, pages | {"cdn.example"}, SHOP.imprint)


@pytest.mark.parametrize(
    ("locale", "language"), [("fr", "en"), ("de-AT", "de"), (None, "en"), ("de_DE", "de")]
)
def test_the_language_of_a_mail_is_that_of_its_words(locale, language):
    assert f'lang="{language}"' in html(
        composer().compose(trigger(), replace(ANNA, locale=locale), NOW_MS)
    )


@pytest.mark.parametrize("name", [path.name for path in OURS.iterdir()])
def test_mails_and_the_page_that_ends_them_have_the_same_languages(name):
    folders = {path.name for path in (OURS / name).iterdir() if path.is_dir()}
    assert {"en", *folders} == set(LOCALES)


@pytest.mark.parametrize(("locale", "tag"), [("de_AT", "de-AT"), (None, "en"), ("fr", "fr")])
def test_the_link_that_ends_mails_says_which_language_they_had(locale, tag):
    mail = parsed(composer().compose(trigger(), replace(ANNA, locale=locale), NOW_MS))
    assert mail["List-Unsubscribe"].endswith(f"?lang={tag}>")
    assert f'?lang={tag}"' in html(mail)
    assert f"?lang={tag}\r\n" in text(mail)


def test_a_mail_has_one_heading_a_title_a_language_and_colours_for_the_night(mail):
    assert html(mail).count("<h1") == 1
    assert "<title>You left something in your cart</title>" in html(mail)
    assert re.search('<html[^>]* lang="en"', html(mail))
    assert "@media (prefers-color-scheme: dark)" in html(mail)
    assert "refresh" not in html(mail)
    assert all("alt=" in image for image in re.findall("<img[^>]*>", html(mail)))


def test_the_amount_of_a_line_is_for_all_of_it(mail):
    assert "2 x Mug  €25.80 (€12.90 each)" in text(mail)
    assert "each" not in text(composer().compose(with_product(), ANNA, NOW_MS))


def test_there_is_a_total_for_each_currency():
    mug = Line(Product("mug", price_minor=1290, currency="EUR"), 2)
    pot = Line(Product("pot", price_minor=1400, currency="USD"), 1)
    free = Line(Product("tea"), 1)
    mixed = trigger(
        cart=replace(CART, currency="USD", value_minor=1400, lines=[mug, pot, free, mug])
    )
    mail = composer().compose(mixed, ANNA, NOW_MS)
    assert "Total: €51.60 + $14.00\n" in text(mail)
    assert "€51.60" in html(mail)
    assert "Total" not in text(composer().compose(with_product(currency=None), ANNA, NOW_MS))


def test_the_shops_address_stands_below():
    mail = composer().compose(trigger(), ANNA, NOW_MS)
    assert text(mail).endswith("Tea & Co\n1 Harbour Street\n")
    assert "Tea &amp; Co<br />1 Harbour Street" in html(mail).replace("<br>", "<br />")


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
        ("de_DE", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("de_AT.UTF-8@euro", "In Ihrem Warenkorb liegt noch etwas", "€\xa012,90"),
        ("de_DE@euro", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("DE-de", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("de-XX", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("de-DE-u-co-phonebk", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("de-x-formal", "In Ihrem Warenkorb liegt noch etwas", "12,90\xa0€"),
        ("C.UTF-8", "You left something in your cart", "€12.90"),
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
