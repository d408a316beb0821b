"""The addresses that requests may go to: public ones, over TLS, unless the settings allow others.

A host name's addresses are checked at the moment of connecting, so no name can lead into the shop's
own network, whatever it resolved to before.
"""

import socket
from typing import Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from stream.adapters import addresses
from stream.webhooks.endpoint import ANSWER_WITHIN_S

MOST_AT_ONCE: Final = 20


class PrivateAddressError(OSError):
    """The address is not one of the open internet."""


class PublicResolver(AbstractResolver):
    """Resolves to addresses of the open internet alone."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses that may be connected to.

        Raises
        ------
        PrivateAddressError
            There are none.
        """
        found = await self._resolver.resolve(host, port, family)
        public = [one for one in found if is_public(one["host"])]
        if not public:
            raise PrivateAddressError(f"{host} leads to no public address")
        return public

    async def close(self) -> None:
        """Release the resolver."""
        await self._resolver.close()


def is_public(host: str) -> bool:
    """Say whether an address is one of the open internet; a name may lead to one.

    Examples
    --------
    >>> is_public("10.0.0.7"), is_public("64:ff9b::7f00:1"), is_public("shop.example")
    (False, False, True)
    """
    address = addresses.address_in(host)
    return address is None or addresses.is_public(address)


def is_allowed(url: str) -> bool:
    """Say whether a URL may be posted to without a private network being allowed."""
    parts = urlsplit(url)
    # An address in the URL is never resolved.
    return parts.scheme == "https" and is_public(parts.hostname or "")


def session(*, allow_private: bool) -> aiohttp.ClientSession:
    """Return what requests are made with."""
    resolver = None if allow_private else PublicResolver()
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(resolver=resolver, limit=MOST_AT_ONCE, use_dns_cache=False),
        timeout=aiohttp.ClientTimeout(total=ANSWER_WITHIN_S),
    )
