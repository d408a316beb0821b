"""From a trigger and its recipient to a mail: subject, text and HTML from templates.

The mail of a trigger is always the same, with the same ``Message-ID``, so that a mailbox can
recognize a repeat. Templates are Jinja2, and MJML for HTML; a shop's own come before the defaults.
"""

from copy import copy
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import mjml
from babel import Locale

from stream.config.emailer import EmailerSettings
from stream.delivery.links import Links, cart_of, message_of
from stream.delivery.templates import LANGUAGE, Templates, locale_of
from stream.domain.records import CartSnapshot, Trigger
from stream.emailer.address import deliverable
from stream.emailer.directory import Recipient
from stream.emailer.headers import MAIL
from stream.emailer.words import ascii_host, one_line, shown_cart
from stream.errors import UsageError
from stream.money import decimals, to_major

SUBJECT, TEXT, HTML = PARTS = ("subject.txt", "text.txt", "html.mjml")


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
    """

    def __init__(
        self,
        sender: str,
        public_url: str,
        links: Links,
        templates: Templates,
        shop: ShopProfile = NO_SHOP,
    ) -> None:
        self._sender, self._links, self._shop = sender, links, shop
        self._templates = templates
        # Umlaut domains: URLs in mails and headers are ASCII.
        host = urlsplit(public_url).hostname or ""
        self._public_url = public_url.replace(host, ascii_host(host) or host).rstrip("/")
        self._name, address = parseaddr(sender)
        # Its domain may be outside ASCII, too: servers take its A-labels.
        if (ascii_address := deliverable(address)) is not None:
            self._sender = sender.replace(address, ascii_address)
            address = ascii_address
        self._domain = address.rpartition("@")[2]

    def compose(self, trigger: Trigger, recipient: Recipient, now_ms: int) -> EmailMessage:
        """Return the mail."""
        content = self.content(trigger, recipient)
        mail = EmailMessage(policy=MAIL)
        mail["From"], mail["To"] = self._sender, recipient.email
        mail["Subject"] = content.subject
        mail["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
        mail["Message-ID"] = f"<{trigger.trigger_id}@{self._domain}>"
        mail["Auto-Submitted"] = "auto-generated"
        locale = locale_of(recipient.locale)
        mail["List-Unsubscribe"] = f"<{self._unsubscribe_url(trigger, locale)}>"
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
        locale, cart = locale_of(recipient.locale), None
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
            "unsubscribe_url": self._unsubscribe_url(trigger, locale),
            "money": lambda minor, currency: money(minor, currency, locale),
        }
        subject, text, html = (
            self._templates.render(trigger.kind, part, locale, told, trigger.step) for part in PARTS
        )
        try:
            return MailContent(" ".join(subject.split()), text, mjml.mjml2html(html))
        except ValueError as error:
            raise UsageError(f"emailer.templates: {HTML}: {error}") from error

    def _cart_url(self, trigger: Trigger) -> str:
        return f"{self._public_url}/v1/click/{self._links.sign('cart', cart_of(trigger))}"

    def _unsubscribe_url(self, trigger: Trigger, locale: Locale) -> str:
        token = self._links.sign("unsubscribe", message_of(trigger))
        language = str(locale).replace("_", "-")
        return f"{self._public_url}/v1/unsubscribe/{token}?{LANGUAGE}={language}"


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


def totals(cart: CartSnapshot | None) -> list[tuple[int, str]]:
    """Return what the cart's lines cost together, in each of their currencies."""
    found: dict[str, int] = {}
    for line in cart.lines if cart else ():
        product = line.product
        if product.price_minor is not None and product.currency is not None:
            known = found.get(product.currency, 0)
            found[product.currency] = known + product.price_minor * line.quantity
    return [(amount, currency) for currency, amount in found.items()]
