"""Parts of a request: its body, its key, its address.

Everything is checked for its size before it is parsed; a gzip body for its unpacked size.
"""

import asyncio
import base64
import binascii
import zlib
from http import HTTPStatus
from itertools import islice
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect, Request

from stream.adapters.addresses import address_in, sender_of
from stream.edge.answers import RequestRefused, malformed, too_large
from stream.edge.repair import repaired

KIB: Final = 1024
MAX_EVENT_BYTES: Final = 32 * KIB
MAX_BODY_BYTES: Final = 500 * KIB
# Each is verified, and a browser sends no more of one name.
MAX_COOKIES: Final = 4
BODY_WITHIN_S: Final = 10.0
GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


async def body_of(request: Request, most: int = MAX_BODY_BYTES) -> bytes:
    """Return the whole body, unpacked, of at most so many bytes.

    Raises
    ------
    RequestRefused
        It is too large, arrives too slowly, or is not encoded as its header says.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise too_large("body", most)
    except (TimeoutError, ClientDisconnect):
        detail = f"body: not complete after {BODY_WITHIN_S:g} s"
        raise RequestRefused(HTTPStatus.REQUEST_TIMEOUT, "too_slow", detail) from None
    body = b"".join(parts)
    packed = request.headers.get("content-encoding", "identity").lower()
    if packed == "gzip":
        return _unpacked(body, most)
    if packed != "identity":
        raise malformed("content-encoding: neither gzip nor identity")
    return body


def json_of(body: bytes, place: str = "body") -> Any:  # noqa: ANN401 - JSON
    """Return the JSON value in a body, whatever its content type says; see ``repair``."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        where = f"{place}: not one JSON value, at line {error.lineno} column {error.colno}"
    try:
        return repaired(body)
    except (ValueError, RecursionError):
        raise malformed(where) from None


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body."""
    value = json_of(body)
    if not isinstance(value, dict):
        raise malformed("body: expected an object")
    return value


def basic_user(request: Request) -> str | None:
    """Return the user name of HTTP Basic authentication, or None without it.

    Raises
    ------
    RequestRefused
        The header cannot be read.
    """
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise RequestRefused(
            HTTPStatus.UNAUTHORIZED, "wrong_key", "authorization: not Basic"
        ) from None


def cookies_of(request: Request, name: str) -> list[str]:
    """Return the values of a cookie: there may be one of the host, and one of its domain.

    Read here, because Python before 3.11.10 takes quadratic time to read quoted cookies
    (CVE-2024-7592).

    Examples
    --------
    >>> scope = {"type": "http", "headers": [(b"cookie", b'a="x"; v=1.x; v="2.y"; v')]}
    >>> cookies_of(Request(scope), "v")
    ['1.x', '2.y']
    """
    pairs = (one.partition("=") for one in ";".join(request.headers.getlist("cookie")).split(";"))
    found = (value.strip().strip('"') for given, _, value in pairs if given.strip() == name)
    return list(islice(filter(None, found), MAX_COOKIES))


def address_of(request: Request, trusted_proxies: int) -> str:
    """Return the client's address as it is counted; so many of the last proxies are trusted.

    What a trusted proxy names is its own address if it cannot be read.

    Examples
    --------
    A client can write anything into the header, but not after its own address.

    >>> scope = {"type": "http", "client": ("10.0.0.1", 1)}
    >>> scope["headers"] = [(b"x-forwarded-for", b"1.1.1.1, 203.0.113.9")]
    >>> address_of(Request(scope), 0), address_of(Request(scope), 1)
    ('10.0.0.1', '203.0.113.9')
    """
    own = request.client.host if request.client else ""
    headers = request.headers.getlist("x-forwarded-for") if trusted_proxies else []
    hops = [hop.strip() for hop in ",".join(headers).split(",") if hop.strip()]
    named = hops[-trusted_proxies] if trusted_proxies and len(hops) >= trusted_proxies else own
    address = address_in(named) or address_in(own)
    return own if address is None else sender_of(address)


def _unpacked(body: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error:
        raise malformed("body: not gzip") from None
    if len(plain) > most:
        raise too_large("body, unpacked", most)
    if not unpacker.eof:
        raise malformed("body: gzip that ends too early")
    if unpacker.unused_data:
        raise malformed("body: more than one gzip member")
    return plain
