"""Reads IP addresses: the IPv4 address inside an IPv6 one, and who counts as one sender.

A gateway delivers what is sent to some IPv6 addresses to the IPv4 address that they contain, so
such an address is judged by both.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address

# The IPv4 address is in the last 32 bits: RFC 4291 (compatible and mapped), RFC 2765 (translated),
# RFC 6052 (NAT64).
_IN_LAST_BITS: Final = tuple(
    map(IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
)
# Of one network only: NAT64 prefixes for local use (RFC 8215), and site-local ones (RFC 3879).
_LOCAL: Final = tuple(map(IPv6Network, ("64:ff9b:1::/48", "fec0::/10")))
# Interface identifiers of ISATAP (RFC 5214), before the IPv4 address.
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})
_32_BITS: Final = 0xFFFFFFFF
SENDERS_PREFIX: Final = 64


def address_in(text: str) -> Address | None:
    """Return the address in a text, which may have brackets, a port or a zone; None without one.

    Examples
    --------
    >>> address_in("203.0.113.9:4711"), address_in("[2001:db8::1%eth0]:443")
    (IPv4Address('203.0.113.9'), IPv6Address('2001:db8::1'))
    >>> address_in("unknown") is None
    True
    """
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        return ip_address(bare.partition("%")[0])
    except ValueError:
        return None


def sender_of(address: Address) -> str:
    """Return the name under which requests from an address are counted.

    A subscriber of IPv6 has a /64 at least, and may send from each of its addresses.

    Examples
    --------
    >>> sender_of(ip_address("::ffff:203.0.113.9")), sender_of(ip_address("2001:db8::1:2"))
    ('203.0.113.9', '2001:db8::/64')
    """
    if isinstance(address, IPv4Address):
        return str(address)
    inside = _carried(address)
    if inside is not None:
        return str(inside)
    return str(IPv6Network((int(address), SENDERS_PREFIX), strict=False))


def is_public(address: Address) -> bool:
    """Say whether an address is one of the open internet, and so is each that it contains.

    Examples
    --------
    >>> is_public(ip_address("64:ff9b::10.0.0.7")), is_public(ip_address("64:ff9b::8.8.8.8"))
    (False, True)
    """
    inside = _carried(address)
    if inside is not None:
        return is_public(inside)
    is_open = address.is_global and not address.is_multicast
    if isinstance(address, IPv4Address):
        return is_open
    number = int(address)
    if number >> 32 & _32_BITS in _ISATAP and not is_public(IPv4Address(number & _32_BITS)):
        return False
    return is_open and not any(address in network for network in _LOCAL)


def _carried(address: Address) -> IPv4Address | None:
    """Return the IPv4 address that a gateway delivers to, or None."""
    if isinstance(address, IPv4Address):
        return None
    if any(address in network for network in _IN_LAST_BITS):
        return IPv4Address(int(address) & _32_BITS)
    return address.sixtofour
