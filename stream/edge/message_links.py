"""The links in messages: unsubscribe, and back to the cart.

A link's signature is enough, no login is needed. ``GET`` changes nothing, because mail scanners
open every link; only a ``POST`` unsubscribes. The page that answers it can undo that for a while.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr
from http import HTTPStatus
from typing import Any, Final, Literal, get_args
from urllib.parse import parse_qs, quote, urlsplit

from msgspec.structs import astuple
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from stream.adapters.wire.bots import is_bot
from stream.adapters.wire.codec import encode_record
from stream.config.settings import EmailerSettings
from stream.delivery.links import CartLink, Links, LinkT, MessageLink, UndoLink, Use
from stream.delivery.templates import LANGUAGE, LOCALES, Templates, locale_of
from stream.domain.events import ConsentUpdated, Event, Purposes
from stream.domain.feedback import EMAIL, MessageClicked, MessageUnsubscribed
from stream.domain.topics import CONSENT_EVENTS, MESSAGE_FEEDBACK
from stream.edge.answers import NO_STORE, RequestRefused, json_response, unavailable
from stream.edge.authentication import Authenticator
from stream.edge.collector.append import EventLog, LogUnavailable
from stream.edge.collector.prepare import PreparedRecord
from stream.edge.metrics import EdgeMetrics
from stream.edge.requests import body_of

# No other page may frame the button.
HEADERS: Final = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
# For a click by mistake: later a link in an old mail must not subscribe anybody.
UNDO_WITHIN_MS: Final = 3_600_000
CART_PARAMETER: Final = "cartwake_cart"
# What the page asks or says, and its folder and name.
State = Literal["asked", "unsubscribed", "subscribed"]
PAGE: Final = ("unsubscribe", "page.html")


@dataclass(frozen=True, kw_only=True)
class MessageLinks:
    """Answers requests to a message's links.

    Parameters
    ----------
    emailer
        Its ``cart_url`` is the shop's page that restores a cart; empty if there is none.
    templates
        The page's, in the languages that the mails have.
    """

    authenticator: Authenticator
    links: Links
    log: EventLog
    metrics: EdgeMetrics
    now_ms: Callable[[], int]
    emailer: EmailerSettings
    templates: Templates

    async def ask(self, request: Request) -> Response:
        """``GET /v1/unsubscribe/{token}``: a page with one button."""
        message = self._message(request, "unsubscribe", MessageLink)
        return self._page(request, message, "asked")

    async def unsubscribe(self, request: Request) -> Response:
        """``POST /v1/unsubscribe/{token}``: RFC 8058, by the mail program or by the button."""
        message = self._verified(request, "unsubscribe", MessageLink)
        form = parse_qs((await body_of(request)).decode(errors="replace"))
        if "undo" in form:
            return await self._undo(request, message, form["undo"][0])
        purposes = Purposes(marketing_email="withdrawn")
        withdrawal = ConsentUpdated(**self._facts(message), purposes=purposes, source="unsubscribe")
        feedback = MessageUnsubscribed(
            **self._facts(message), trigger_id=message.trigger_id, channel=EMAIL
        )
        records = [_record(CONSENT_EVENTS, withdrawal), _record(MESSAGE_FEEDBACK, feedback)]
        # As consent: whatever else comes from this address.
        self.authenticator.count_consent(request, records)
        await self._append(records)
        self.metrics.unsubscribed.inc()
        until_ms = self.now_ms() + UNDO_WITHIN_MS
        undo = UndoLink(message.tenant, message.visitor, message.trigger_id, until_ms)
        return self._page(request, message, "unsubscribed", self.links.sign("undo", undo))

    async def _undo(self, request: Request, message: MessageLink, token: str) -> Response:
        """Grant again what the page's own unsubscription has withdrawn a moment ago."""
        undo = self.links.verify("undo", token, UndoLink)
        if undo is None or astuple(undo)[:3] != astuple(message) or undo.until_ms < self.now_ms():
            raise RequestRefused(
                HTTPStatus.FORBIDDEN, "link_not_signed", "undo: too late, or not of this mail"
            )
        purposes = Purposes(marketing_email="granted")
        grant = ConsentUpdated(**self._facts(message), purposes=purposes, source="unsubscribe_undo")
        records = [_record(CONSENT_EVENTS, grant)]
        self.authenticator.count_consent(request, records)
        await self._append(records)
        return self._page(request, message, "subscribed")

    async def click(self, request: Request) -> Response:
        """``GET /v1/click/{token}``: redirect to the shop's cart; record people's clicks."""
        message = self._message(request, "cart", CartLink)
        if not self.emailer.cart_url:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "no_cart_page", "emailer.cart_url is empty")
        if request.method == "GET" and not is_bot(request.headers.get("user-agent", "")):
            feedback = MessageClicked(
                **self._facts(message), trigger_id=message.trigger_id, channel=EMAIL
            )
            with suppress(RequestRefused):  # the shopper gets the cart even if Kafka is away
                await self._append([_record(MESSAGE_FEEDBACK, feedback)])
        target = _with_parameter(
            self.emailer.cart_url, CART_PARAMETER, request.path_params["token"]
        )
        return RedirectResponse(target, HTTPStatus.SEE_OTHER, HEADERS)

    async def cart(self, request: Request) -> Response:
        """``GET /v1/carts/{token}``: the cart's lines, so that the shop can restore them."""
        link = self._message(request, "cart", CartLink)
        lines = [
            {"product_id": one.product_id, "variant": one.variant, "quantity": one.quantity}
            for one in link.lines
        ]
        return json_response({"fingerprint": link.fingerprint, "lines": lines})

    def _page(
        self, request: Request, message: MessageLink, state: State, undo: str = ""
    ) -> Response:
        """Return the page in the mail's language, with the shop's name if the settings have it."""
        name, _ = parseaddr(self.emailer.sender)
        told = {
            "state": state,
            "shop": name if message.tenant == self.emailer.tenant else "",
            "undo": undo,
        }
        locale = locale_of(request.query_params.get(LANGUAGE))
        return HTMLResponse(self.templates.render(*PAGE, locale, told), headers=HEADERS)

    def _message(self, request: Request, use: Use, kind: type[LinkT]) -> LinkT:
        self.authenticator.count_address(request)
        return self._verified(request, use, kind)

    def _verified(self, request: Request, use: Use, kind: type[LinkT]) -> LinkT:
        message = self.links.verify(use, request.path_params["token"], kind)
        if message is None:
            raise RequestRefused(
                HTTPStatus.FORBIDDEN, "link_not_signed", "link: not signed by this edge, or cut off"
            )
        return message

    def _facts(self, message: MessageLink) -> dict[str, Any]:
        # A new id each time: a second withdrawal after a new grant must count.
        return {
            "id": secrets.token_hex(16),
            "tenant": message.tenant,
            "visitor": message.visitor,
            "at_ms": self.now_ms(),
        }

    async def _append(self, records: Sequence[PreparedRecord]) -> None:
        try:
            await self.log.append(records)
        except LogUnavailable:
            raise unavailable("not stored: try again in a moment") from None


def try_pages(templates: Templates) -> None:
    """Make each page once.

    Raises
    ------
    UsageError
        A template of the shop's cannot be used.
    """
    for locale in LOCALES:
        for state in get_args(State):
            told = {"state": state, "shop": "Shop", "undo": ""}
            templates.render(*PAGE, locale_of(locale), told)


def _record(topic: str, event: Event) -> PreparedRecord:
    return PreparedRecord(topic, event.visitor.encode(), encode_record(event))


def _with_parameter(url: str, name: str, value: str) -> str:
    """Return a URL with one more parameter, which stands before its fragment."""
    parts = urlsplit(url)
    query = "&".join(filter(None, (parts.query, f"{name}={quote(value)}")))
    return parts._replace(query=query).geturl()
