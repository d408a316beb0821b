"""Checks the endpoints of webhooks: their URLs, the addresses of their names, their secrets.

It connects to no endpoint and posts nothing, and shows no URL and no secret.
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
NEW: Final = "use whsec_ and the output of openssl rand -base64 32, and give it to the endpoint"


def check_endpoints(webhooks: WebhookSettings) -> Iterator[Finding]:
    """Yield the findings about the endpoints' settings."""
    for endpoint in webhooks.endpoints:
        subject = _subject(endpoint)
        problems = list(_secrets(subject, endpoint))
        if not _may_be(endpoint, webhooks):
            observed = (
                "its url is not https:// to a public address: cartwake webhooks does not start"
            )
            problems.append(fail(subject, observed, f"correct it, or {ALLOW}"))
        count = len(endpoint.secrets)
        secrets = f"{count} secret{'' if count == 1 else 's'} to sign with"
        yield from problems or [ok(subject, f"its url is allowed, {secrets}")]


def _subject(endpoint: Endpoint) -> str:
    return f"webhook {endpoint.name}"


def _may_be(endpoint: Endpoint, webhooks: WebhookSettings) -> bool:
    return webhooks.allow_private or is_allowed(endpoint.url)


def _secrets(subject: str, endpoint: Endpoint) -> Iterator[Finding]:
    lengths = [len(b64decode(secret.removeprefix("whsec_"))) for secret in endpoint.secrets]
    if short := sum(length < SHORTEST_BYTES for length in lengths):
        yield warn(
            subject, f"{short} of its secrets below {SHORTEST_BYTES} bytes: can be guessed", NEW
        )
    if long := sum(length > LONGEST_BYTES for length in lengths):
        observed = f"{long} of its secrets above {LONGEST_BYTES} bytes: some receivers refuse them"
        yield warn(subject, observed, NEW)


async def check_names(webhooks: WebhookSettings) -> list[Finding]:
    """Resolve the names of the allowed endpoints, in bounded time."""
    resolver = DefaultResolver() if webhooks.allow_private else PublicResolver()
    try:
        usable = [one for one in webhooks.endpoints if _may_be(one, webhooks)]
        return await asyncio.gather(*(_name(one, resolver) for one in usable))
    finally:
        await resolver.close()


async def _name(endpoint: Endpoint, resolver: AbstractResolver) -> Finding:
    """Resolve a name as requests do; an address resolves to itself."""
    subject, url = f"name of {_subject(endpoint)}", urlsplit(endpoint.url)
    try:
        async with asyncio.timeout(WITHIN_S):
            host, port = url.hostname or "", url.port or HTTPS
            addresses = await resolver.resolve(host, port, socket.AF_UNSPEC)
    except PrivateAddressError:
        observed = "resolves to no public address: nothing is posted there"
        return fail(subject, observed, f"make it resolve to one, or {ALLOW}")
    except (OSError, TimeoutError) as error:
        remedy = "correct its url in webhooks.endpoints, or this machine's name server"
        return fail(subject, f"does not resolve on this machine ({type(error).__name__})", remedy)
    count = len(addresses)
    return ok(subject, f"resolves to {count} address{'' if count == 1 else 'es'}")
