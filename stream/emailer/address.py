"""E-mail addresses as SMTP takes them: one mailbox, its domain in ASCII.

Domains go out as A-labels (IDNA 2008), which every server takes. A local part outside ASCII would
need SMTPUTF8 on every server up to the mailbox, and is taken for no address.
"""

import unicodedata
from email.headerregistry import Address
from typing import Final

import idna

# Of RFC 5321: a path is at most 256 characters, with its angle brackets.
MOST_CHARACTERS: Final = 254
# Control, format and separator characters: some cannot be seen, and none is part of an address.
REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})


def deliverable(address: str) -> str | None:
    """Return an address as mails are sent to it; None if it is not one mailbox.

    Examples
    --------
    >>> deliverable("anna@bücher.example")
    'anna@xn--bcher-kva.example'
    >>> deliverable("anna@[shop.example"), deliverable("anna@shop.example, ben@shop.example")
    (None, None)
    """
    local, _, domain = address.rpartition("@")
    if not local or any(unicodedata.category(char) in REFUSED_CATEGORIES for char in address):
        return None
    try:
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode()
        found = Address(addr_spec=f"{local}@{domain}").addr_spec
    except Exception:  # noqa: BLE001 - CPython's parser raises whatever it meets (cpython#134155)
        return None
    return found if not domain.startswith("[") and len(found) <= MOST_CHARACTERS else None
