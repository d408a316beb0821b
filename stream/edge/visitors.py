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
# A ticket opens one visitor's stream, and stands in its URL, which proxies log. It begins with the
# second in which it ends.
TICKET_S = 600
SECOND_CHARACTERS = 11


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
        self._signers: dict[tuple[str, str], Signer] = {}

    def issue(self, tenant: str) -> tuple[str, str]:
        """Return a new id, bare and signed."""
        visitor = secrets.token_hex(ID_BYTES)
        return visitor, self.sign(tenant, visitor)

    def sign(self, tenant: str, visitor: str) -> str:
        """Return the signed form of an id, for a browser."""
        return self._signer("visitor", tenant).sign(visitor).decode()

    def verify(self, signed: str, tenants: Iterable[str]) -> VerifiedVisitor | None:
        """Return the visitor of a signed id; None if no key signed it for one of the tenants."""
        if len(signed) > LONGEST:
            return None
        found = self._unsigned("visitor", signed, tenants)
        return None if found is None else VerifiedVisitor(*found)

    def bare(self, signed: str, tenant: str) -> str | None:
        """Return the bare id of a tenant's signed id, or None."""
        known = self.verify(signed, (tenant,))
        return None if known is None else known.visitor

    def first_verified(
        self, signed: Iterable[str], tenants: Iterable[str]
    ) -> VerifiedVisitor | None:
        """Return the visitor of the first id that verifies; None if none does."""
        found = (self.verify(one, tenants) for one in signed)
        return next((one for one in found if one is not None), None)

    def ticket(self, visitor: VerifiedVisitor, now_ms: int) -> str:
        """Return a ticket for a visitor's actions, valid for ``TICKET_S``."""
        until_s = now_ms // 1000 + TICKET_S
        return self._signer("ticket", visitor.tenant).sign(f"{until_s}.{visitor.visitor}").decode()

    def verify_ticket(
        self, ticket: str, tenants: Iterable[str], now_ms: int
    ) -> VerifiedVisitor | None:
        """Return the visitor of a ticket; None if it is not signed, or too old."""
        if len(ticket) > LONGEST + SECOND_CHARACTERS:
            return None
        found = self._unsigned("ticket", ticket, tenants)
        if found is None:
            return None
        until_s, _, visitor = found[1].partition(".")
        return VerifiedVisitor(found[0], visitor) if int(until_s) * 1000 > now_ms else None

    def _unsigned(self, use: str, signed: str, tenants: Iterable[str]) -> tuple[str, str] | None:
        """Return the tenant and the text that a key signed for this use, or None."""
        for tenant in tenants:
            try:
                return tenant, self._signer(use, tenant).unsign(signed).decode()
            except (BadSignature, UnicodeError):
                continue
        return None

    def _signer(self, use: str, tenant: str) -> Signer:
        if (use, tenant) not in self._signers:
            self._signers[use, tenant] = Signer(
                self._keys,
                salt=f"cartwake.{use}.{tenant}",
                key_derivation="hmac",
                digest_method=hashlib.sha256,
            )
        return self._signers[use, tenant]
