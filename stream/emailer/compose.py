"""From a trigger and its recipient to a mail: subject, text and HTML from templates.

The mail of a trigger is always the same, with the same ``Message-ID``, so that a mailbox can
recognize a repeat. Templates are Jinja2, and MJML for HTML; a shop's own come before the defaults.
"""

import re
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import jinja2
import mjml
from babel import Locale, UnknownLocaleError

from stream.config.emailer import EmailerSettings
from stream.delivery.links import Links, cart_of, message_of
from stream.domain.records import CartSnapshot, Trigger
from stream.emailer.address import deliverable
from stream.emailer.directory import Recipient
from stream.emailer.headers import MAIL
from stream.emailer.words import ascii_host, one_line, shown_cart
from stream.errors import UsageError
from stream.money import decimals, to_major

OURS: Final = Path(__file__).parent / "templates"
SUBJECT, TEXT, HTML = PARTS = ("subject.txt", "text.txt", "html.mjml")
DEFAULT_LOCALE: Final = "en"
# What follows a language in other notations: de_DE.UTF-8@euro of POSIX, en-US-u-ca-gregory.
AFTER_LOCALE: Final = re.compile(r"[.@].*|[-_]([a-z0-9])[-_].*", re.IGNORECASE | re.DOTALL)


class MailContent(NamedTuple):
    """What a mail says."""

    subject: str
    text: str
    html: str


class ShopProfile(NamedTuple):
    """What mails show of a shop: hosts that links and pictures may lead to, and its imprint."""

    pages: frozenset[str] = frozenset()
    pictures: frozenset[str] = frozenset()
    imprint: tuple[str, ...] = ()


NO_SHOP: Final = ShopProfile()


def shop_of(emailer: EmailerSettings) -> ShopProfile:
    """Return the shop of the settings; its pages' hosts may have pictures, too."""
    cart_host = urlsplit(emailer.cart_url).hostname
    pages = filter(None, map(ascii_host, (cart_host or "", *emailer.page_hosts)))
    pictures = filter(None, map(ascii_host, emailer.image_hosts))
    hosts = frozenset(pages)
    return ShopProfile(hosts, hosts.union(pictures), tuple(emailer.imprint.splitlines()))


class Composer:
    """Makes mails.

    Parameters
    ----------
    sender
        Who they are from, such as ``Tea Shop <hello@shop.example>``.
    public_url
        Where browsers reach ``cartwake edge``, which the links lead to.
    folder
        The shop's own templates; None: ours alone.
    """

    def __init__(
        self,
        sender: str,
        public_url: str,
        links: Links,
        folder: Path | None,
        shop: ShopProfile = NO_SHOP,
    ) -> None:
        self._sender, self._links, self._shop = sender, links, shop
        # Umlaut domains: URLs in mails and headers are ASCII.
        host = urlsplit(public_url).hostname or ""
        self._public_url = public_url.replace(host, ascii_host(host) or host).rstrip("/")
        self._name, address = parseaddr(sender)
        # Its domain may be outside ASCII, too: servers take its A-labels.
        if (ascii_address := deliverable(address)) is not None:
            self._sender = sender.replace(address, ascii_address)
            address = ascii_address
        self._domain = address.rpartition("@")[2]
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader([folder, OURS] if folder else [OURS]),
            autoescape=jinja2.select_autoescape(["mjml"], default=False),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def compose(self, trigger: Trigger, recipient: Recipient, now_ms: int) -> EmailMessage:
        """Return the mail."""
        content = self.content(trigger, recipient)
        mail = EmailMessage(policy=MAIL)
        mail["From"], mail["To"] = self._sender, recipient.email
        mail["Subject"] = content.subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
        mail["Message-ID"] = f"<{trigger.trigger_id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["List-Unsubscribe"] = f"<{self._unsubscribe_url(trigger)}>"
        mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(content.text)
        mail.add_alternative(content.html, subtype="html")
        return mail

    def content(self, trigger: Trigger, recipient: Recipient) -> MailContent:
        """Return what the mail says.

        Raises
        ------
        UsageError
            A template cannot be used; it says which and why.
        """
        locale, cart = _locale(recipient.locale), None
        if trigger.cart is not None:
            cart = shown_cart(trigger.cart, self._shop.pages, self._shop.pictures)
        told: dict[str, Any] = {
            "shop": self._name,
            "imprint": self._shop.imprint,
            "name": one_line(recipient.name or "") or None,
            "cart": cart,
            "totals": totals(cart),
            "step": trigger.step,
            "locale": locale,
            "cart_url": self._cart_url(trigger),
            "unsubscribe_url": self._unsubscribe_url(trigger),
            "money": lambda minor, currency: money(minor, currency, locale),
        }
        subject, text, html = (self._part(part, trigger, locale, told) for part in PARTS)
        try:
            return MailContent(" ".join(subject.split()), text, mjml.mjml2html(html))
        except ValueError as error:
            raise UsageError(f"emailer.templates: {HTML}: {error}") from error

    def _part(self, part: str, trigger: Trigger, locale: Locale, told: dict[str, Any]) -> str:
        try:
            template = self._templates.select_template([*_places(trigger, locale, part)])
            return template.render(told, language=_language(template.name))
        except jinja2.TemplateError as error:
            line = getattr(error, "lineno", None)
            where = f"{getattr(error, 'name', None) or part}{f', line {line}' if line else ''}"
            raise UsageError(f"emailer.templates: {where}: {error.message}") from error

    def _cart_url(self, trigger: Trigger) -> str:
        return f"{self._public_url}/v1/click/{self._links.sign('cart', cart_of(trigger))}"

    def _unsubscribe_url(self, trigger: Trigger) -> str:
        token = self._links.sign("unsubscribe", message_of(trigger))
        return f"{self._public_url}/v1/unsubscribe/{token}"


def money(minor: int | None, currency: str | None, locale: Locale) -> str:
    """Return an amount in minor units as people write it there.

    Examples
    --------
    >>> money(129900, "EUR", Locale("en")), money(1500, "JPY", Locale("en"))
    ('€1,299.00', '¥1,500')
    """
    if minor is None or currency is None:
        return ""
    # Babel has its own table of decimals, which differs from ISO 4217: none for HUF, COP, IDR.
    pattern = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (decimals(currency), decimals(currency))
    amount = to_major(minor, currency)
    text: str = pattern.apply(amount, locale, currency=currency, currency_digits=False)
    return text


def _places(trigger: Trigger, locale: Locale, part: str) -> Iterator[str]:
    """Yield where a part may be, the most particular place first."""
    languages = dict.fromkeys((f"{locale}/".replace("_", "-"), f"{locale.language}/", ""))
    for language in languages:
        yield f"{trigger.kind}/{language}{trigger.step}/{part}"
        yield f"{trigger.kind}/{language}{part}"


def totals(cart: CartSnapshot | None) -> list[tuple[int, str]]:
    """Return what the cart's lines cost together, in each of their currencies."""
    found: dict[str, int] = {}
    for line in cart.lines if cart else ():
        product = line.product
        if product.price_minor is not None and product.currency is not None:
            known = found.get(product.currency, 0)
            found[product.currency] = known + product.price_minor * line.quantity
    return [(amount, currency) for currency, amount in found.items()]


def _language(template: str | None) -> str:
    """Return the language of the folder that a template is in; outside of one, the default.

    Examples
    --------
    >>> _language("cart_abandonment/de-AT/1/text.txt"), _language("cart_abandonment/1/text.txt")
    ('de-AT', 'en')
    """
    folders = (template or "").split("/")[1:-1]
    return next((name for name in folders if not name.isdecimal()), DEFAULT_LOCALE)


def _locale(told: str | None) -> Locale:
    """Return the nearest known locale of a tag by BCP 47 or POSIX."""
    tag = AFTER_LOCALE.sub("", told or "").replace("_", "-")
    while tag:
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            tag = tag.rpartition("-")[0]
    return Locale.parse(DEFAULT_LOCALE)
