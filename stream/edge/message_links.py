"""The links in messages: unsubscribe, and back to the cart.

A link's signature is enough, no login is needed. ``GET`` changes nothing, because mail scanners
open every link; only a ``POST`` unsubscribes.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from stream.adapters.wire.bots import is_bot
from stream.adapters.wire.codec import encode_record
from stream.delivery.links import CartLink, Links, LinkT, MessageLink, Use
from stream.domain.events import ConsentUpdated, Event, Purposes
from stream.domain.feedback import EMAIL, MessageClicked, MessageUnsubscribed
from stream.domain.topics import CONSENT_EVENTS, MESSAGE_FEEDBACK
from stream.edge.answers import NO_STORE, RequestRefused, json_response, unavailable
from stream.edge.authentication import Authenticator
from stream.edge.collector.append import EventLog, LogUnavailable
from stream.edge.collector.prepare import PreparedRecord
from stream.edge.metrics import EdgeMetrics

# No other page may frame the button.
HEADERS: Final = {
    **NO_STORE,
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
}
PAGE: Final = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">
<style>body{{font:18px/1.5 sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}}
button{{font:inherit;padding:.6em 1.2em;border:0;border-radius:8px;background:#12664f;color:#fff}}
</style><h1>{title}</h1><p>{text}</p>{more}"""
BUTTON: Final = '<form method="post"><button>No more mails about my cart</button></form>'
CART_PARAMETER: Final = "cartwake_cart"


@dataclass(frozen=True, kw_only=True)
class MessageLinks:
    """Answers requests to a message's links.

    Parameters
    ----------
    cart_url
        The shop's page that restores a cart; empty if there is none.
    """

    authenticator: Authenticator
    links: Links
    log: EventLog
    metrics: EdgeMetrics
    now_ms: Callable[[], int]
    cart_url: str

    async def ask(self, request: Request) -> Response:
        """``GET /v1/unsubscribe/{token}``: a page with one button."""
        self._message(request, "unsubscribe", MessageLink)
        text = "You get mails about what is left in your cart. One click, and you get none."
        return _page("No more of these mails?", text, BUTTON)

    async def unsubscribe(self, request: Request) -> Response:
        """``POST /v1/unsubscribe/{token}``: RFC 8058, by the mail program or by the button."""
        message = self._verified(request, "unsubscribe", MessageLink)
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
        return _page("Done", "You get no more mails about your cart.")

    async def click(self, request: Request) -> Response:
        """``GET /v1/click/{token}``: redirect to the shop's cart; record people's clicks."""
        message = self._message(request, "cart", CartLink)
        if not self.cart_url:
            raise RequestRefused(HTTPStatus.NOT_FOUND, "no_cart_page", "emailer.cart_url is empty")
        if request.method == "GET" and not is_bot(request.headers.get("user-agent", "")):
            feedback = MessageClicked(
                **self._facts(message), trigger_id=message.trigger_id, channel=EMAIL
            )
            with suppress(RequestRefused):  # the shopper gets the cart even if Kafka is away
                await self._append([_record(MESSAGE_FEEDBACK, feedback)])
        join = "&" if "?" in self.cart_url else "?"
        token = quote(request.path_params["token"])
        target = f"{self.cart_url}{join}{CART_PARAMETER}={token}"
        return RedirectResponse(target, HTTPStatus.SEE_OTHER, HEADERS)

    async def cart(self, request: Request) -> Response:
        """``GET /v1/carts/{token}``: the cart's lines, so that the shop can restore them."""
        link = self._message(request, "cart", CartLink)
        lines = [
            {"product_id": one.product_id, "variant": one.variant, "quantity": one.quantity}
            for one in link.lines
        ]
        return json_response({"fingerprint": link.fingerprint, "lines": lines})

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


def _record(topic: str, event: Event) -> PreparedRecord:
    return PreparedRecord(topic, event.visitor.encode(), encode_record(event))


def _page(title: str, text: str, more: str = "") -> Response:
    return HTMLResponse(
        PAGE.format(title=escape(title), text=escape(text), more=more), headers=HEADERS
    )
