"""The visitor's cookie: who may have it set, for which hosts, and how it goes away.

It is set for the shop's own pages alone. A link or a picture on another site sends a request as
well, and would give its visitors an id that somebody else knows.
"""

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from stream.edge.visitors import COOKIE

# As long as a consent is valid without a new one.
COOKIE_S: Final = 395 * 24 * 3600


@dataclass(frozen=True)
class VisitorCookie:
    """The cookie, for all hosts of ``domain`` where the edge is one of them, else for its own."""

    domain: str

    def give(self, response: Response, request: Request, signed: str) -> None:
        """Set the cookie."""
        response.set_cookie(
            COOKIE,
            signed,
            COOKIE_S,
            domain=self._domain(request),
            secure=_is_secure(request),
            samesite="lax",
        )

    def remove(self, response: Response, request: Request) -> None:
        """Delete the cookie, and one of this host from before there was a domain."""
        response.delete_cookie(COOKIE)
        domain = self._domain(request)
        if domain is not None:
            response.delete_cookie(COOKIE, domain=domain)

    def _domain(self, request: Request) -> str | None:
        host = request.url.hostname or ""
        is_in = host == self.domain or host.endswith(f".{self.domain}")
        return self.domain if self.domain and is_in else None


def is_by_page_of(request: Request, origins: Container[str]) -> bool:
    """Say whether a script on a page of these origins, or of the edge's own, sent a request."""
    origin = request.headers.get("origin")
    if origin is not None:
        return origin in origins
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin" and request.headers.get("sec-fetch-mode") != "navigate"
    # Browsers that send neither. A link on another site has another page in it, or none.
    scheme_and_host = request.headers.get("referer", "").split("/", 3)[:3]
    return "/".join(scheme_and_host) in origins


def _is_secure(request: Request) -> bool:
    """Say whether the page was loaded by TLS; a false claim harms only its sender."""
    return "https" in {request.url.scheme, request.headers.get("x-forwarded-proto")}
