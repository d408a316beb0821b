"""The gateway's route: a visitor's actions, as a stream or as one answer.

The one rule: only a signed id opens a visitor's stream.
"""

from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final
from zlib import crc32

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import Response

from stream.edge.answers import RequestRefused, json_response, unavailable
from stream.edge.authentication import Authenticator
from stream.edge.gateway.hub import Action, Cancel, Hub
from stream.edge.visitors import COOKIE, VerifiedVisitor, Visitors

HEARTBEAT_S: Final = 15  # at the most
COME_BACK_MS: Final = 2_000


class Gateway:
    """Answers pages that wait for actions."""

    def __init__(
        self, authenticator: Authenticator, visitors: Visitors, tenants: tuple[str, ...], hub: Hub
    ) -> None:
        self._authenticator, self._visitors, self._tenants = authenticator, visitors, tenants
        self._hub = hub

    async def actions(self, request: Request) -> Response:
        """``GET /v1/actions``: Server-Sent Events, or with ``?poll=1`` what is pending as JSON."""
        self._authenticator.count_address(request)
        whose = self._whose(request)
        after = request.headers.get("last-event-id") or request.query_params.get("after")
        if request.query_params.get("poll") == "1":
            return json_response(
                {
                    "actions": [one.content for one in self._hub.pending(whose, after)],
                    "cancelled": self._hub.cancelled(whose),
                }
            )
        if not self._hub.has_room(whose):
            raise unavailable("no room for another stream here; come back")
        return EventSourceResponse(
            self._events(whose, after), ping=_apart(whose), ping_message_factory=_heartbeat
        )

    def _whose(self, request: Request) -> VerifiedVisitor:
        signed = request.query_params.get("visitor") or request.cookies.get(COOKIE) or ""
        known = self._visitors.verify(signed, self._tenants)
        if known is None:
            detail = "visitor: not a signed id of ours; get one from /v1/visitor"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
        return known

    async def _events(
        self, whose: VerifiedVisitor, after: str | None
    ) -> AsyncIterator[ServerSentEvent]:
        # Some browsers and proxies only believe a stream that has begun.
        yield ServerSentEvent(comment="open", retry=COME_BACK_MS)
        async for what in self._hub.listen(whose, after):
            yield _event(what)


def _event(what: Action | Cancel) -> ServerSentEvent:
    match what:
        case Action():
            return ServerSentEvent(what.data, event="action", id=what.trigger_id)
        case Cancel():
            return ServerSentEvent(f'{{"trigger_id":"{what.trigger_id}"}}', event="cancel")


def _apart(whose: VerifiedVisitor) -> float:
    """Return after how long a stream's heart beats: not together with all that were opened then."""
    return HEARTBEAT_S * (1 - crc32(whose.visitor.encode()) / 2**33)


def _heartbeat() -> ServerSentEvent:
    return ServerSentEvent(comment="")
