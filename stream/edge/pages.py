"""What a page asks besides: the script, its visitor id, and ops whether all is well.

The one rule: a visitor id is given to who asks for one; the script asks after consent alone.
"""

from http import HTTPStatus
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from stream.config.edge import EdgeKey
from stream.edge import script
from stream.edge.answers import RequestRefused, json_response
from stream.edge.authentication import Authenticator
from stream.edge.collector.append import EventLog
from stream.edge.keys import Keys
from stream.edge.visitors import COOKIE, Visitors

# As long as a consent lives without a new one.
COOKIE_S: Final = 395 * 24 * 3600
A_DAY_S: Final = 24 * 3600
A_YEAR_S: Final = 365 * A_DAY_S


class Pages:
    """Answers what is neither event nor action."""

    def __init__(
        self, authenticator: Authenticator, keys: Keys, visitors: Visitors, log: EventLog
    ) -> None:
        self._authenticator, self._keys, self._visitors, self._log = (
            authenticator,
            keys,
            visitors,
            log,
        )

    async def visitor(self, request: Request) -> Response:
        """``GET /v1/visitor``: a new id, or the one that was given, signed with today's key."""
        key = self._authenticator.admit_page(request)
        tenant = self._tenant(key, request.headers.get("origin"))
        visitor, signed = self._renewed(request, tenant) or self._visitors.issue(tenant)
        response = json_response({"visitor": visitor, "signed": signed})
        response.set_cookie(COOKIE, signed, COOKIE_S, secure=_is_secure(request), samesite="lax")
        return response

    async def script(self, request: Request) -> Response:
        """``GET /cartwake.js``: kept for ever where its hash is asked for, else checked daily."""
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
        """``GET /readyz``: Kafka acknowledges, as far as is known."""
        if self._log.is_up:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("Kafka does not answer\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _tenant(self, key: EdgeKey | None, origin: str | None) -> str:
        """Return whose shop it is: the key's, that of the page's origin, or the only one."""
        if key is None and origin is not None:
            key = self._keys.of_origin(origin)
        if key is not None:
            return key.tenant
        if len(self._keys.tenants) == 1:
            return self._keys.tenants[0]
        detail = "of several shops, writeKey must name one"
        raise RequestRefused(HTTPStatus.UNAUTHORIZED, "wrong_key", detail)

    def _renewed(self, request: Request, tenant: str) -> tuple[str, str] | None:
        given = request.query_params.get("visitor")
        known = self._visitors.verify(given or request.cookies.get(COOKIE) or "", [tenant])
        if known is not None:
            return known.visitor, self._visitors.sign(tenant, known.visitor)
        # A cookie may be of a key that is gone; who names an id means it.
        if given is not None:
            detail = "visitor: not a signed id of this shop"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
        return None


def _is_secure(request: Request) -> bool:
    """Say whether the page came by TLS; to claim it falsely only harms who does."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
