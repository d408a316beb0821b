"""From a trigger and its recipient to a mail: subject, text and HTML from templates.

The mail of a trigger is always the same, with the same ``Message-ID``, so that a mailbox can
recognize a repeat. Templates are Jinja2, and MJML for HTML; a shop's own come before the defaults.
"""

from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, Final, NamedTuple

import jinja2
import mjml
from babel import Locale, UnknownLocaleError

from stream.delivery.links import Links, cart_of, message_of
from stream.domain.records import Trigger
from stream.emailer.address import deliverable
from stream.emailer.directory import Recipient
from stream.errors import UsageError
from stream.money import decimals, to_major

OURS: Final = Path(__file__).parent / "templates"
SUBJECT, TEXT, HTML = PARTS = ("subject.txt", "text.txt", "html.mjml")
DEFAULT_LOCALE: Final = "en"


class Whole(UnstructuredHeader, BaseHeader):
    """A header that stays on its line: folded, its address would become encoded words.

    Mail programs find no address in those, and RFC 2369 allows none.
    """

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return f"{self.name}: {self}{policy.linesep}"


HEADERS: Final = HeaderRegistry()
HEADERS.map_to_type("List-Unsubscribe", Whole)
MAIL: Final = SMTP.clone(header_factory=HEADERS)


class MailContent(NamedTuple):
    """What a mail says."""

    subject: str
    text: str
    html: str


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

    def __init__(self, sender: str, public_url: str, links: Links, folder: Path | None) -> None:
        self._sender, self._links = sender, links
        self._public_url = public_url.rstrip("/")
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
        locale = _locale(recipient.locale)
        told: dict[str, Any] = {
            "shop": self._name,
            "name": recipient.name,
            "cart": trigger.cart,
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
            return template.render(told)
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


def _locale(told: str | None) -> Locale:
    try:
        return Locale.parse(told or DEFAULT_LOCALE, sep="-")
    except (UnknownLocaleError, ValueError):
        return Locale.parse(DEFAULT_LOCALE)
