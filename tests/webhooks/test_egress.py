import socket

import pytest
from aiohttp import ClientConnectorError

from stream.webhooks.egress import (
    PrivateAddressError,
    PublicResolver,
    is_allowed,
    is_public,
    session,
)
from tests.rig.processes import LOOPBACK, free_port

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - not listened on
    "224.0.0.1",
    "::1",
    "[::1]",
    "fe80::1",
    "fd00::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff0e::1",
    "::",
    "::ffff:10.0.0.1",
    # An IPv4 address inside: compatible, translated, NAT64, 6to4, ISATAP.
    "::10.0.0.1",
    "::ffff:0:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::8.8.8.8",
    "2002:a00:1::1",
    "2606:2800:220:1:0:5efe:10.0.0.1",
    "2606:2800:220:1:200:5efe:10.0.0.1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]
PUBLIC = [
    "93.184.216.34",
    "2606:2800:220:1::1",
    "::ffff:93.184.216.34",
    "64:ff9b::93.184.216.34",
    "2002:5db8:d822::1",
    "shop.example",
]


@pytest.mark.parametrize("host", PRIVATE)
def test_addresses_of_private_networks_are_not_public(host):
    assert not is_public(host)


@pytest.mark.parametrize("host", PUBLIC)
def test_others_are(host):
    assert is_public(host)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://crm.example/hook", True),
        ("http://crm.example/hook", False),
        ("https://10.0.0.1/hook", False),
        ("https://[::1]/hook", False),
    ],
)
def test_a_url_without_tls_or_with_a_private_address_is_not_posted_to(url, allowed):
    assert is_allowed(url) is allowed


class Names:
    """Resolves every name to the same addresses."""

    def __init__(self, *hosts):
        self.hosts = hosts

    async def resolve(self, host, port, family):
        return [
            {"hostname": host, "host": one, "port": port, "family": family, "proto": 0, "flags": 0}
            for one in self.hosts
        ]

    async def close(self):
        pass


async def test_a_name_leads_to_its_public_addresses_alone():
    resolver = PublicResolver()
    await resolver.close()
    resolver._resolver = Names("10.0.0.1", "93.184.216.34", "::1")
    found = await resolver.resolve("crm.example", 443, socket.AF_UNSPEC)
    assert [one["host"] for one in found] == ["93.184.216.34"]


async def test_a_name_that_leads_into_the_shops_network_leads_nowhere():
    resolver = PublicResolver()
    await resolver.close()
    resolver._resolver = Names(LOOPBACK)
    with pytest.raises(PrivateAddressError):
        await resolver.resolve("crm.example", 443, socket.AF_UNSPEC)


async def test_a_request_asks_that_resolver():
    async with session(allow_private=False) as requests:
        with pytest.raises(ClientConnectorError) as refused:
            await requests.post(f"http://localhost:{free_port()}/hook")
    assert isinstance(refused.value.os_error, PrivateAddressError)
