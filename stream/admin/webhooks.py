"""Whether endpoints may be posted to, where their names lead, and how good their secrets are.

The one rule: nobody is connected to and nothing is posted; of a URL and a secret nothing is shown.
The bounds of secrets are those of https://www.standardwebhooks.com.
"""

import asyncio
import socket
from base64 import b64decode
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import DefaultResolver

from stream.admin.finding import Finding, fail, ok, warn
from stream.config.webhooks import Endpoint, WebhookSettings
from stream.webhooks.egress import PrivateAddressError, PublicResolver, is_allowed

SHORTEST_BYTES: Final = 24
LONGEST_BYTES: Final = 64
WITHIN_S: Final = 5.0
HTTPS: Final = 443
ALLOW: Final = "set webhooks.allow_private = true if it is on a network of your own"
NEW: Final = "take whsec_ and what openssl rand -base64 32 prints, and tell the endpoint"


def judge(webhooks: WebhookSettings) -> Iterator[Finding]:
    """Yield what is to be said of the endpoints' settings."""
    for endpoint in webhooks.endpoints:
        what = _what(endpoint)
        problems = list(_secrets(what, endpoint))
        if not _may_be(endpoint, webhooks):
            found = "its url is not https:// to a public address: cartwake webhooks does not start"
            problems.append(fail(what, found, f"correct it, or {ALLOW}"))
        count = len(endpoint.secrets)
        told = f"may be posted to, {count} secret{'' if count == 1 else 's'} to sign with"
        yield from problems or [ok(what, told)]


def _what(endpoint: Endpoint) -> str:
    return f"webhook {endpoint.name}"


def _may_be(endpoint: Endpoint, webhooks: WebhookSettings) -> bool:
    return webhooks.allow_private or is_allowed(endpoint.url)


def _secrets(what: str, endpoint: Endpoint) -> Iterator[Finding]:
    lengths = [len(b64decode(secret.removeprefix("whsec_"))) for secret in endpoint.secrets]
    if short := sum(length < SHORTEST_BYTES for length in lengths):
        yield warn(
            what, f"{short} of its secrets below {SHORTEST_BYTES} bytes: can be guessed", NEW
        )
    if long := sum(length > LONGEST_BYTES for length in lengths):
        found = f"{long} of its secrets above {LONGEST_BYTES} bytes: some receivers refuse those"
        yield warn(what, found, NEW)


async def look(webhooks: WebhookSettings) -> list[Finding]:
    """Return where the names of those that may be posted to lead, in bounded time."""
    resolver = DefaultResolver() if webhooks.allow_private else PublicResolver()
    try:
        usable = [one for one in webhooks.endpoints if _may_be(one, webhooks)]
        return await asyncio.gather(*(_name(one, resolver) for one in usable))
    finally:
        await resolver.close()


async def _name(endpoint: Endpoint, resolver: AbstractResolver) -> Finding:
    """Judge by what requests are made with; an address that is no name leads to itself."""
    what, url = f"name of {_what(endpoint)}", urlsplit(endpoint.url)
    try:
        async with asyncio.timeout(WITHIN_S):
            host, port = url.hostname or "", url.port or HTTPS
            addresses = await resolver.resolve(host, port, socket.AF_UNSPEC)
    except PrivateAddressError:
        found = "leads to no public address: nothing is posted there"
        return fail(what, found, f"let it lead to one, or {ALLOW}")
    except (OSError, TimeoutError) as error:
        do = "correct its url in webhooks.endpoints, or let this machine resolve it"
        return fail(what, f"leads nowhere from here ({type(error).__name__})", do)
    count = len(addresses)
    return ok(what, f"leads to {count} address{'' if count == 1 else 'es'}")
