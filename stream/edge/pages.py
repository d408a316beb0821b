"""Other routes: the script, visitor ids, and the health pages.

The edge gives a visitor id to each request for one; the script requests one only after consent, and
only a page of the shop gets the cookie.
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from stream.config.edge import EdgeKey
from stream.edge import script
from stream.edge.answers import RequestRefused, json_response
from stream.edge.authentication import Authenticator
from stream.edge.collector.append import EventLog
from stream.edge.cookies import VisitorCookie, is_by_page_of
from stream.edge.keys import Keys
from stream.edge.requests import KIB, body_of, cookies_of, object_of
from stream.edge.visitors import COOKIE, VerifiedVisitor, Visitors
from stream.mappers.reading import text

A_DAY_S: Final = 24 * 3600
A_YEAR_S: Final = 365 * A_DAY_S


class Pages:
    """Answers the routes of this module."""

    def __init__(  # noqa: PLR0913 - everything that these routes need
        self,
        authenticator: Authenticator,
        keys: Keys,
        visitors: Visitors,
        log: EventLog,
        *,
        cookie: VisitorCookie,
        now_ms: Callable[[], int],
    ) -> None:
        self._authenticator, self._keys = authenticator, keys
        self._visitors, self._cookie = visitors, cookie
        self._log, self._now_ms = log, now_ms

    async def visitor(self, request: Request) -> Response:
        """``GET /v1/visitor``: a new id, or the given one, signed with the newest key."""
        key = self._authenticator.admit_page(request)
        visitor, signed = self._signed(request, key, request.query_params.get("visitor"))
        return self._introduced(request, {"visitor": visitor.visitor, "signed": signed}, visitor)

    async def visitor_with_ticket(self, request: Request) -> Response:
        """``POST /v1/visitor``: likewise, with the id in the body, and a ticket for its stream."""
        key = self._authenticator.admit_page(request)
        given = object_of(await body_of(request, KIB)).get("visitor")
        visitor, signed = self._signed(request, key, text(given))
        ticket = self._visitors.ticket(visitor, self._now_ms())
        answer = {"visitor": visitor.visitor, "signed": signed, "ticket": ticket}
        return self._introduced(request, answer, visitor)

    async def script(self, request: Request) -> Response:
        """``GET /cartwake.js``: cached for a year if the URL has its hash, else for a day."""
        headers = {"ETag": f'"{script.digest()}"', "X-Content-Type-Options": "nosniff"}
        pinned = request.query_params.get("v") == script.digest()
        seconds, more = (A_YEAR_S, ", immutable") if pinned else (A_DAY_S, ", must-revalidate")
        headers["Cache-Control"] = f"public, max-age={seconds}{more}"
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(script.source(), media_type="text/javascript", headers=headers)

    async def alive(self, _: Request) -> Response:
        """``GET /healthz``: the process answers."""
        return PlainTextResponse("ok\n")

    async def ready(self, _: Request) -> Response:
        """``GET /readyz``: Kafka acknowledges."""
        if self._log.is_up:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("Kafka does not answer\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _tenant(self, key: EdgeKey | None, origin: str | None) -> str:
        """Return the tenant of the key, of the page's origin, or the only one."""
        if key is None and origin is not None:
            key = self._keys.of_origin(origin)
        if key is not None:
            return key.tenant
        if len(self._keys.tenants) == 1:
            return self._keys.tenants[0]
        detail = "there are several shops: writeKey must name one"
        raise RequestRefused(HTTPStatus.UNAUTHORIZED, "wrong_key", detail)

    def _introduced(
        self, request: Request, answer: dict[str, str], visitor: VerifiedVisitor
    ) -> Response:
        response = json_response(answer)
        if is_by_page_of(request, self._keys.origins_of(visitor.tenant)):
            self._cookie.give(response, request, answer["signed"])
        return response

    def _signed(
        self, request: Request, key: EdgeKey | None, given: str | None
    ) -> tuple[VerifiedVisitor, str]:
        """Return the given visitor, the cookie's or a new one, and its signed id."""
        tenant = self._tenant(key, request.headers.get("origin"))
        signed = cookies_of(request, COOKIE) if given is None else [given]
        known = self._visitors.first_verified(signed, [tenant])
        if known is not None:
            return known, self._visitors.sign(tenant, known.visitor)
        # A cookie may be signed with a removed key; an id that the page names must be valid.
        if given is not None:
            detail = "visitor: not a signed id of this shop"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
        visitor, new = self._visitors.issue(tenant)
        return VerifiedVisitor(tenant, visitor), new
