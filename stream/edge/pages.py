"""Other routes: the script, visitor ids, and the health pages.

The edge gives a visitor id to each request for one; the script requests one only after consent.
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
from stream.edge.requests import cookies_of
from stream.edge.visitors import COOKIE, Visitors

# As long as a consent is valid without a new one.
COOKIE_S: Final = 395 * 24 * 3600
A_DAY_S: Final = 24 * 3600
A_YEAR_S: Final = 365 * A_DAY_S


class Pages:
    """Answers the routes of this module."""

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
        """``GET /v1/visitor``: a new id, or the given one, signed with the newest key."""
        key = self._authenticator.admit_page(request)
        tenant = self._tenant(key, request.headers.get("origin"))
        visitor, signed = self._renewed(request, tenant) or self._visitors.issue(tenant)
        response = json_response({"visitor": visitor, "signed": signed})
        response.set_cookie(COOKIE, signed, COOKIE_S, secure=_is_secure(request), samesite="lax")
        return response

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

    def _renewed(self, request: Request, tenant: str) -> tuple[str, str] | None:
        given = request.query_params.get("visitor")
        signed = cookies_of(request, COOKIE) if given is None else [given]
        known = self._visitors.first_verified(signed, [tenant])
        if known is not None:
            return known.visitor, self._visitors.sign(tenant, known.visitor)
        # A cookie may be signed with a removed key; an id in the query must be valid.
        if given is not None:
            detail = "visitor: not a signed id of this shop"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "visitor_not_signed", detail)
        return None


def _is_secure(request: Request) -> bool:
    """Say whether the page was loaded by TLS; a false claim harms only its sender."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
