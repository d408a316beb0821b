"""The shop's server: its pages, its orders, and the live page's stream.

This server sends orders to the edge, with the secret key. Prices come from the catalogue, whatever
a page sends.
"""

import asyncio
import json
import time
import urllib.request
import uuid
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from html import escape
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final, NamedTuple

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from stream.demo.catalogue import SHOPS
from stream.demo.shop.inbox import Inbox, InboxMail, address_of
from stream.demo.shop.watch import Watch, followed
from stream.domain.holdout import in_holdout
from stream.domain.policy import Holdout
from stream.edge.requests import cookies_of
from stream.edge.visitors import COOKIE, Visitors

POLL_EVERY_S: Final = 0.25
MOST_OF_ONE: Final = 99
# With a holdout of everybody (fraction = 1) there is no other id.
MOST_IDS: Final = 100
TYPES: Final = {"html": "text/html", "js": "text/javascript", "css": "text/css"}
PAGES: Final = {"/": "index.html", "/restore": "index.html", "/live": "live.html"}
SHOP: Final = SHOPS[0]
INBOX: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Inbox</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<link rel="stylesheet" href="/shop.css"><script src="/inbox.js" defer></script>
<main class="inbox"><h1>Your inbox</h1><div id="mails" aria-live="polite">{body}</div></main>"""


class ShopAccess(NamedTuple):
    """The edge's address, the keys for it, and what the worker does with visitors."""

    edge: str
    browser_key: str
    server_key: str
    signing_key: str
    holdout: Holdout = Holdout()
    idle_s: int = 1_800


class ShopServer:
    """Answers requests for the shop's pages."""

    def __init__(self, place: ShopAccess, watch: Watch, inbox: Inbox, smtp_port: int) -> None:
        self._place, self._watch = place, watch
        self._inbox, self._smtp_port = inbox, smtp_port
        self._visitors = Visitors([place.signing_key])
        self._products = {product.id: product for product in SHOP.products}

    def app(self) -> Starlette:
        """Return the application."""
        names = ("shop.js", "shop.css", "live.js", "live.css", "inbox.js")
        return Starlette(
            routes=[
                *(Route(path, self.page) for path in (*PAGES, *(f"/{name}" for name in names))),
                Route("/catalogue.json", self.catalogue),
                Route("/visitor", self.visitor, methods=["POST"]),
                Route("/order", self.order, methods=["POST"]),
                Route("/live/stream", self.stream),
                Route("/inbox", self.mails),
                Route("/inbox/{number:int}", self.mail),
                Route("/customers/{visitor}", self.customer),
                Route("/healthz", self.alive),
            ],
            lifespan=self._watching,
        )

    async def page(self, request: Request) -> Response:
        """Return a page, its style or its script."""
        name = PAGES.get(request.url.path, request.url.path[1:])
        text = files("stream.demo.shop").joinpath("static", name).read_text()
        place = self._place
        values = {"EDGE": place.edge, "KEY": place.browser_key, "IDLE": str(place.idle_s)}
        for field, value in values.items():
            text = text.replace(f"{{{field}}}", value)
        policy = (
            f"default-src 'none'; script-src 'self' {place.edge}; style-src 'self';"
            f" img-src 'self' data:; connect-src 'self' {place.edge}; frame-src 'self';"
            " base-uri 'none'; form-action 'none'"
        )
        headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store"}
        return Response(text, media_type=TYPES[name.rpartition(".")[2]], headers=headers)

    async def catalogue(self, _: Request) -> Response:
        """Return all products."""
        return JSONResponse([msgspec.to_builtins(product) for product in SHOP.products])

    async def visitor(self, _: Request) -> Response:
        """Give the page's visitor an id that is not held out: a demo has to show something."""
        ids = (self._visitors.issue(SHOP.tenant) for _ in range(MOST_IDS))
        signed = next(
            (signed for bare, signed in ids if not self._is_held_out(bare)),
            self._visitors.issue(SHOP.tenant)[1],
        )
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        response.set_cookie(COOKIE, signed, samesite="lax")
        return response

    async def order(self, request: Request) -> Response:
        """Take an order: ``{"visitor": signed or null, "lines": {product id: quantity}}``."""
        asked: Any = json.loads(await request.body())
        lines = [
            {"product": msgspec.to_builtins(self._products[name]), "quantity": count}
            for name, count in asked["lines"].items()
            if name in self._products and 0 < count <= MOST_OF_ONE
        ]
        order = f"T-{uuid.uuid4().hex[:8]}"
        total = sum(line["product"]["price_minor"] * line["quantity"] for line in lines)
        # Without a signed visitor nothing is sent.
        if self._visitors.verify(asked.get("visitor") or "", [SHOP.tenant]):
            event = {
                "type": "order_completed",
                "id": order,
                "visitor": asked["visitor"],
                "at_ms": time.time_ns() // 1_000_000,
                "order": order,
                "total_minor": total,
                "currency": "EUR",
                "lines": lines,
            }
            await asyncio.to_thread(self._send_to_edge, event)
        return JSONResponse({"order": order, "total_minor": total})

    async def stream(self, request: Request) -> Response:
        """Stream the records and the state of the visitor with this signed id."""
        known = self._visitors.verify(request.query_params.get("visitor", ""), [SHOP.tenant])
        if known is None:
            return PlainTextResponse("not a signed id\n", 403)

        async def changes() -> AsyncIterator[ServerSentEvent]:
            async for one in followed(self._watch, known.visitor, POLL_EVERY_S):
                yield ServerSentEvent(json.dumps(one))

        return EventSourceResponse(changes())

    async def mails(self, request: Request) -> Response:
        """Return the mails of the cookie's visitor."""
        rows = "".join(
            f'<li><a href="/inbox/{one.number}">{escape(one.subject)}</a>'
            f'<time datetime="{one.at.isoformat()}">{one.at:%d %b %Y, %H:%M}</time></li>'
            for one in self._mails(request)
        )
        body = f"<ul>{rows}</ul>" if rows else "<p>No mail yet. Leave something in the cart.</p>"
        return self._html(INBOX.format(body=body), "script-src 'self'; connect-src 'self'; ")

    async def mail(self, request: Request) -> Response:
        """Return one mail as a mail program shows it."""
        number = request.path_params["number"]
        found = next((one for one in self._mails(request) if one.number == number), None)
        return self._html(found.html) if found else PlainTextResponse("no such mail\n", 404)

    async def customer(self, request: Request) -> Response:
        """Answer the e-mailer's request for a customer."""
        if request.headers.get("authorization") != f"Bearer {self._place.server_key}":
            return PlainTextResponse("wrong token\n", 401)
        return JSONResponse({"email": address_of(request.path_params["visitor"]), "locale": "en"})

    def _is_held_out(self, visitor: str) -> bool:
        return in_holdout(SHOP.tenant, visitor, self._place.holdout)

    def _mails(self, request: Request) -> list[InboxMail]:
        known = self._visitors.first_verified(cookies_of(request, COOKIE), [SHOP.tenant])
        return self._inbox.of(known.visitor) if known else []

    def _html(self, html: str, scripts: str = "") -> Response:
        policy = f"default-src 'none'; {scripts}style-src 'self' 'unsafe-inline'; img-src data:"
        return Response(
            html,
            media_type="text/html",
            headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"},
        )

    async def alive(self, _: Request) -> Response:
        """Answer that the server runs."""
        return PlainTextResponse("ok\n")

    def _send_to_edge(self, event: dict[str, Any]) -> None:
        login = b64encode(f"{self._place.server_key}:".encode()).decode()
        request = urllib.request.Request(  # noqa: S310 - the demo's own edge, on loopback
            f"{self._place.edge}/v1/events",
            json.dumps([event]).encode(),
            {"Authorization": f"Basic {login}", "Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - likewise

    @asynccontextmanager
    async def _watching(self, _: Starlette) -> AsyncIterator[None]:
        await self._inbox.serve(self._smtp_port)
        task = asyncio.create_task(self._watch.run())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
