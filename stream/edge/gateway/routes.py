"""The gateway's route: a visitor's actions, as a stream or as one answer.

A visitor's stream needs a ticket, or the visitor's signed id.
"""

from collections.abc import AsyncIterator, Callable
from functools import partial
from http import HTTPStatus
from typing import Final
from zlib import crc32

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from stream.edge.answers import RequestRefused, json_response, unavailable
from stream.edge.authentication import Authenticator
from stream.edge.gateway.hub import Action, Cancel, Hub
from stream.edge.requests import cookies_of
from stream.edge.visitors import COOKIE, VerifiedVisitor, Visitors

HEARTBEAT_S: Final = 15  # at most
RECONNECT_MS: Final = 2_000


class Stream(EventSourceResponse):
    """A stream that gives its place back, also if its page has gone before the first event."""

    def __init__(
        self, events: AsyncIterator[ServerSentEvent], ping: float, release: Callable[[], None]
    ) -> None:
        super().__init__(events, ping=ping, ping_message_factory=_heartbeat)
        self._release = release

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the page or the hub closes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._release()


class Gateway:
    """Answers pages that wait for actions."""

    def __init__(
        self,
        authenticator: Authenticator,
        visitors: Visitors,
        tenants: tuple[str, ...],
        hub: Hub,
        now_ms: Callable[[], int],
    ) -> None:
        self._authenticator, self._visitors, self._tenants = authenticator, visitors, tenants
        self._hub, self._now_ms = hub, now_ms

    async def actions(self, request: Request) -> Response:
        """``GET /v1/actions``: Server-Sent Events, or with ``?poll=1`` what is pending as JSON."""
        self._authenticator.count_address(request)
        visitor = self._visitor(request)
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        if request.query_params.get("poll") == "1":
            return json_response(
                {
                    "actions": [one.content for one in self._hub.pending(visitor, after)],
                    "cancelled": self._hub.cancelled(visitor),
                }
            )
        address = self._authenticator.address(request)
        if not self._hub.reserve(visitor, address):
            raise unavailable("too many streams: reconnect later")
        return Stream(
            self._events(visitor, after),
            ping=_apart(visitor),
            release=partial(self._hub.release, visitor, address),
        )

    def _visitor(self, request: Request) -> VerifiedVisitor:
        ticket, signed = (request.query_params.get(name) for name in ("ticket", "visitor"))
        if ticket:
            known = self._visitors.verify_ticket(ticket, self._tenants, self._now_ms())
        else:
            given = [signed] if signed else cookies_of(request, COOKIE)
            known = self._visitors.first_verified(given, self._tenants)
        if known is None:
            detail = "no valid ticket or signed id; get them by POST /v1/visitor"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
        return known

    async def _events(
        self, visitor: VerifiedVisitor, after: str | None
    ) -> AsyncIterator[ServerSentEvent]:
        # Some browsers and proxies wait for the first bytes of a stream.
        yield ServerSentEvent(comment="open", retry=RECONNECT_MS)
        async for what in self._hub.listen(visitor, after):
            yield _event(what)


def _event(what: Action | Cancel) -> ServerSentEvent:
    match what:
        case Action():
            return ServerSentEvent(what.data, event="action", id=what.trigger_id)
        case Cancel():
            return ServerSentEvent(f'{{"trigger_id":"{what.trigger_id}"}}', event="cancel")


def _apart(visitor: VerifiedVisitor) -> float:
    """Return the heartbeat of a stream in s; it differs, so that streams do not beat together."""
    return HEARTBEAT_S * (1 - crc32(visitor.visitor.encode()) / 2**33)


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="")
