"""Authentication: the key of a request, its origin, and rate limits.

Cheap checks come first: the address, the key, the page's origin, and the body last. Only a public
key may stand in the URL, because proxies log it.
"""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request

from stream.config.edge import EdgeKey
from stream.config.settings import EdgeSettings
from stream.edge.answers import RequestRefused
from stream.edge.keys import SIGNATURE, Keys
from stream.edge.limits import RateLimits
from stream.edge.requests import address_of, basic_user, body_of, json_of


class Authenticator:
    """Accepts requests, or refuses them with a reason."""

    def __init__(self, edge: EdgeSettings, keys: Keys) -> None:
        self._keys = keys
        self._limits = RateLimits(edge)
        self._trusted_proxies = edge.trusted_proxies

    async def open(self, request: Request) -> tuple[EdgeKey, bytes]:
        """Return the key of a request, and its body.

        Raises
        ------
        RequestRefused
            401, 403, 408, 413 or 429.
        """
        named = self._named(request)
        if named is not None:
            return self._admitted(request, named), await body_of(request)
        self.count_address(request)
        body = await body_of(request)
        if SIGNATURE in request.headers:
            signer = self._keys.signed_by(body, request.headers)
            return self._counted(request, signer), body
        return self._counted(request, self._keys.find(_write_key(body))), body

    async def open_hook(self, request: Request, vendor: str) -> tuple[EdgeKey, bytes]:
        """Return a key with a server's rights for a vendor's signed request, and its body.

        Raises
        ------
        RequestRefused
            401, 408, 413 or 429.
        """
        self.count_address(request)
        body = await body_of(request)
        hook = self._keys.hook(vendor, body, request.headers)
        if hook is None:
            detail = "expected one of this body, by a secret of this vendor in edge.hooks, now"
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, "wrong_signature", f"signature: {detail}")
        return EdgeKey(key=f"hook {vendor}", tenant=hook.tenant, kind="server"), body

    def admit_page(self, request: Request) -> EdgeKey | None:
        """Return the key of a page's request; None if it names none."""
        named = self._named(request)
        if named is not None:
            return self._admitted(request, named)
        self.count_address(request)
        return None

    def count_address(self, request: Request) -> None:
        """Count a request against the limit of its address, or refuse it."""
        self._limits.count_address(address_of(request, self._trusted_proxies))

    def _named(self, request: Request) -> EdgeKey | None:
        """Return the key in the header or the URL; None if there is none, refuse a wrong one."""
        in_header, in_line = basic_user(request), request.query_params.get("writeKey")
        if in_header is None and in_line is None:
            return None
        key = self._keys.find(in_header if in_header is not None else in_line or "")
        if key is None or (in_header is None and key.kind == "server"):
            self.count_address(request)
            raise _wrong_key()
        return key

    def _admitted(self, request: Request, key: EdgeKey) -> EdgeKey:
        # All requests of a shop's servers come from one address.
        if key.kind == "browser":
            self.count_address(request)
        return self._counted(request, key)

    def _counted(self, request: Request, key: EdgeKey | None) -> EdgeKey:
        if key is None:
            raise _wrong_key()
        self._limits.count_key(key.key)
        if key.kind == "browser" and not _is_from(request, key):
            detail = "origin: not in the key's origins"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)
        return key


def _is_from(request: Request, key: EdgeKey) -> bool:
    """Say whether the origin is one of the key's; a page of the edge's own sends none with GET."""
    origin = request.headers.get("origin")
    return origin in key.origins or (origin is None and request.method == "GET")


def _write_key(body: bytes) -> str:
    value: Any = json_of(body)
    key = value.get("writeKey") if isinstance(value, dict) else None
    return key if isinstance(key, str) else ""


def _wrong_key() -> RequestRefused:
    detail = "expected a known key as the user of Basic authentication, or a browser's as writeKey"
    return RequestRefused(HTTPStatus.UNAUTHORIZED, "wrong_key", detail)
