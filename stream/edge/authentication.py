"""Authentication: the key of a request, its origin, and limits.

Cheap checks come first: the page's origin, the limits, and the body last. A request costs nobody
but its sender before its key and its origin are known. Only a public key may stand in the URL,
because proxies log it.
"""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from starlette.requests import Request

from stream.config.edge import EdgeKey
from stream.config.settings import EdgeSettings
from stream.edge.answers import RequestRefused
from stream.edge.collector.prepare import PreparedRecord
from stream.edge.keys import SIGNATURE, Keys, is_ping
from stream.edge.limits import Limits, Payer
from stream.edge.requests import KIB, address_of, basic_user, body_of, json_of, object_of
from stream.mappers.reading import records
from stream.mappers.snowplow.tracker import app_id

# The origin of pages in a sandbox. It is no page's own, so no other route takes it.
SANDBOX: Final = "null"
MAX_BYTES_OVER: Final = 8 * KIB


class Admitted(NamedTuple):
    """A request that may be read.

    ``over`` is its refusal if it came over a limit: then its consent alone is taken.
    """

    request: Request
    key: EdgeKey
    body: bytes
    payer: Payer
    over: RequestRefused | None = None


class Authenticator:
    """Accepts requests, or refuses them with a reason."""

    def __init__(self, edge: EdgeSettings, keys: Keys, now_ms: Callable[[], int]) -> None:
        self._keys = keys
        self.limits = Limits(edge, now_ms)
        self._trusted_proxies = edge.trusted_proxies

    async def open(self, request: Request) -> Admitted:
        """Return the key of a request, and its body.

        Raises
        ------
        RequestRefused
            401, 403, 408, 413 or 429.
        """
        named = self._named(request)
        if named is not None:
            payer = self._payer(request, named)
            over = self.limits.count_request(payer)
            return Admitted(request, named, await _body(request, over), payer, over)
        body, over = await self._unnamed(request)
        if SIGNATURE in request.headers:
            key = self._keys.signed_by(body, request.headers)
        else:
            key = self._keys.find(_write_key(body))
        if key is None:
            raise _wrong_key()
        return self._late(request, key, body, over)

    async def open_tracker(self, request: Request) -> Admitted:
        """Return a request of a Snowplow tracker: its app id is a key, or its origin has one.

        Raises
        ------
        RequestRefused
            401, 403, 408, 413 or 429.
        """
        body, over = await self._unnamed(request)
        is_line = request.method == "GET"
        sent = [request.query_params] if is_line else records(object_of(body).get("data"))
        key = self._keys.find(next((sent_by for one in sent if (sent_by := app_id(dict(one)))), ""))
        if key is None or (is_line and key.kind == "server"):
            key = self._keys.of_origin(request.headers.get("origin", ""))
        if key is None:
            raise _wrong_key()
        return self._late(request, key, body, over)

    async def open_hook(self, request: Request, vendor: str) -> Admitted | None:
        """Return a key with a server's rights for a vendor's request, and its body.

        The request is signed by the vendor, or has a server key by Basic authentication, or is a
        vendor's pixel with a browser key. None if it is a ping, which has no signature and no
        event.

        Raises
        ------
        RequestRefused
            401, 403, 408, 413 or 429.
        """
        if basic_user(request) is not None:
            return await self._open_with_server_key(request)
        if "writeKey" in request.query_params:
            return await self._open_for_pixel(request)
        body, over = await self._unnamed(request)
        if is_ping(vendor, body):
            return None
        hook = self._keys.hook(vendor, body, request.headers)
        if hook is None:
            detail = (
                "expected one of this body, by a secret of this vendor in edge.hooks (with the "
                "shop's domain, if it has one there), now; or a server key by Basic authentication"
            )
            raise RequestRefused(HTTPStatus.UNAUTHORIZED, "wrong_signature", f"signature: {detail}")
        name = f"hook {vendor} {hook.tenant}"
        key = EdgeKey(key=name, tenant=hook.tenant, kind="server")
        return self._late(request, key, body, over)

    async def _open_with_server_key(self, request: Request) -> Admitted:
        admitted = await self.open(request)
        if admitted.key.kind != "server":
            detail = "key: a vendor's webhook needs a server key"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "right_missing", detail)
        return admitted

    async def _open_for_pixel(self, request: Request) -> Admitted:
        """Return the browser key of a vendor's pixel, which may run in a sandbox without origin."""
        key = self._named(request)
        if key is None or not key.vendor_ids:
            self.count_address(request)
            detail = "key: only a browser key with vendor_ids is for a vendor's pixel"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "right_missing", detail)
        is_sandbox = request.headers.get("origin") == SANDBOX
        payer = Payer(key, self.address(request)) if is_sandbox else self._payer(request, key)
        over = self.limits.count_request(payer)
        return Admitted(request, key, await _body(request, over), payer, over)

    def admit_page(self, request: Request) -> EdgeKey | None:
        """Return the key of a page's request; None if it names none."""
        named = self._named(request)
        if named is None:
            self.count_address(request)
            return None
        over = self.limits.count_request(self._payer(request, named))
        if over is not None:
            raise over
        return named

    def address(self, request: Request) -> str:
        """Return the name under which requests from this client are counted."""
        return address_of(request, self._trusted_proxies)

    def count_address(self, request: Request) -> None:
        """Count a request against the limit of its address, or refuse it."""
        over = self.limits.count_request(Payer(None, self.address(request)))
        if over is not None:
            raise over

    def count_consent(self, request: Request, records: Sequence[PreparedRecord]) -> None:
        """Count records of consent against the limit of their address, or refuse the request."""
        over = self.limits.count_consent(Payer(None, self.address(request)), records)
        if over is not None:
            raise over

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

    def _payer(self, request: Request, key: EdgeKey) -> Payer:
        """Return whose limits a request with this key counts against.

        Raises
        ------
        RequestRefused
            Its origin is not one of the key's.
        """
        if key.kind == "server":
            return Payer(key, None)
        if not _is_from(request, key):
            self.count_address(request)
            detail = "origin: not in the key's origins"
            raise RequestRefused(HTTPStatus.FORBIDDEN, "origin_not_allowed", detail)
        return Payer(key, self.address(request))

    async def _unnamed(self, request: Request) -> tuple[bytes, RequestRefused | None]:
        """Return the body of a request with its key in it, and its refusal if over a limit."""
        over = self.limits.count_request(Payer(None, self.address(request)))
        return await _body(request, over), over

    def _late(
        self, request: Request, key: EdgeKey, body: bytes, over: RequestRefused | None
    ) -> Admitted:
        """Return a request whose address has been counted before its key was known."""
        payer = self._payer(request, key)
        if over is None:
            over = self.limits.count_request(Payer(key, None))
        return Admitted(request, key, body, payer, over)


async def _body(request: Request, over: RequestRefused | None) -> bytes:
    """Return the body; of a request over a limit only a small one, which may be a refusal.

    To read so little costs no more than to refuse the request.
    """
    if over is None:
        return await body_of(request)
    try:
        return await body_of(request, MAX_BYTES_OVER)
    except RequestRefused:
        raise over from None


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
