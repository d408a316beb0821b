"""Visitor ids: 128 random bits, signed for one tenant, so that nobody can forge another's id.

Records have the bare id; browsers get the signed one. The first key signs and every key
verifies, so a key can be replaced without losing a visitor.
"""

import hashlib
import secrets
from collections.abc import Iterable
from typing import NamedTuple

from itsdangerous import BadSignature, Signer

COOKIE = "cartwake_visitor"
ID_BYTES = 16
# A bare id is 32 characters and its signature 43.
LONGEST = 128


class VerifiedVisitor(NamedTuple):
    """Tenant and visitor of a signed id."""

    tenant: str
    visitor: str


class Visitors:
    """Issues ids, signs and verifies them.

    Examples
    --------
    >>> visitors = Visitors(["new key", "old key"])
    >>> signed = Visitors(["old key"]).sign("shop", "4f2a")
    >>> visitors.verify(signed, ["other", "shop"])
    VerifiedVisitor(tenant='shop', visitor='4f2a')
    >>> visitors.verify(signed + "x", ["shop"]) is None
    True
    """

    def __init__(self, signing_keys: Iterable[str]) -> None:
        # The library signs with the last key.
        self._keys = list(signing_keys)[::-1]
        self._signers: dict[str, Signer] = {}

    def issue(self, tenant: str) -> tuple[str, str]:
        """Return a new id, bare and signed."""
        visitor = secrets.token_hex(ID_BYTES)
        return visitor, self.sign(tenant, visitor)

    def sign(self, tenant: str, visitor: str) -> str:
        """Return the signed form of an id, for a browser."""
        return self._signer(tenant).sign(visitor).decode()

    def verify(self, signed: str, tenants: Iterable[str]) -> VerifiedVisitor | None:
        """Return the visitor of a signed id; None if no key signed it for one of the tenants."""
        if len(signed) > LONGEST:
            return None
        for tenant in tenants:
            try:
                return VerifiedVisitor(tenant, self._signer(tenant).unsign(signed).decode())
            except (BadSignature, UnicodeError):
                continue
        return None

    def first_verified(
        self, signed: Iterable[str], tenants: Iterable[str]
    ) -> VerifiedVisitor | None:
        """Return the visitor of the first id that verifies; None if none does."""
        found = (self.verify(one, tenants) for one in signed)
        return next((one for one in found if one is not None), None)

    def _signer(self, tenant: str) -> Signer:
        if tenant not in self._signers:
            self._signers[tenant] = Signer(
                self._keys,
                salt=f"cartwake.visitor.{tenant}",
                key_derivation="hmac",
                digest_method=hashlib.sha256,
            )
        return self._signers[tenant]
