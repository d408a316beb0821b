"""Whose the names are that a vendor uses in its webhooks: of a cart, an order, a customer.

A name belongs to at most 16 visitors, a visitor has at most 256 names, and all expire. A refusal of
``personalization`` deletes a visitor's names but the customer's, which an erasure of the consent
that is kept needs; an erasure deletes all. ``redis`` is for edges at work, ``memory`` for tests.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Protocol

A_DAY_S: Final = 24 * 3600
# An order may be refunded, and a customer redacted, for as long as a consent is valid.
LONGEST_S: Final = 395 * A_DAY_S
# Shopify keeps carts and checkouts for less.
NAME_S: Final[Mapping[str, int]] = {"cart": 30 * A_DAY_S, "checkout": 30 * A_DAY_S}
MOST_VISITORS: Final = 16
MOST_NAMES: Final = 256
CUSTOMER: Final = "customer/"
# The kinds of names that a redaction uses.
REDACTED: Final = (CUSTOMER, "order/")

Found = Mapping[str, tuple[str, ...]]


class ReferencesUnavailable(Exception):  # noqa: N818 - the store's condition
    """The store does not answer; what was asked for may be asked again."""


class References(Protocol):
    """Whose names are.

    Each method may be repeated, and raises ``ReferencesUnavailable`` if the store does not answer.
    """

    async def find(self, tenant: str, names: Iterable[str]) -> Found:
        """Return the visitors of each name that has any, the newest first.

        ``ERASED`` is in the place of those that were erased.
        """
        ...

    async def learn(self, tenant: str, visitor: str, names: Sequence[str]) -> None:
        """Remember names of a visitor; after a refusal only the customer's."""
        ...

    async def grant(self, tenant: str, visitor: str) -> None:
        """Allow names again for a visitor who had refused."""
        ...

    async def refuse(self, tenant: str, visitor: str) -> None:
        """Delete a visitor's names but the customer's, and learn no other."""
        ...

    async def erase(self, tenant: str, visitor: str) -> None:
        """Delete all about a visitor.

        The names of its customer and orders then say, until they expire, that somebody was erased:
        a redaction that is delivered again must find that it has been carried out.
        """
        ...
