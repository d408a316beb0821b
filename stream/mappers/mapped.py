"""What a mapper returns, and what it gets beside the vendor's object.

A mapper is pure: the same object with the same hints always gives the same events with the same
ids. Clock, headers, visitor and currency come from outside.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# A JSON object: a vendor's, or a canonical event. The receiver sets its tenant.
Fields = dict[str, Any]


# In the place of a visitor that was erased.
ERASED = ""


class Unreadable(ValueError):  # noqa: N818 - the sender's mistake, not an error of ours
    """A vendor's object cannot be read; the text names the place and the rule, no value."""


class NotCarriedOut(Exception):  # noqa: N818 - a request that only a person can answer
    """A vendor asks for something that nothing here does; the text says what to do instead."""


def _nobody(_: str) -> None:
    return None


class Hints(NamedTuple):
    """What an object may lack.

    ``currency`` is the shop's: amounts without a currency are in it. ``categories`` are the shop's
    own categories of consent, by ``categories.key_of``, with their purposes. ``visitors`` are those
    that the object's names belong to, the best first; ``ERASED`` stands for one that was erased.
    ``verified`` returns the visitor of a signed id, or None: an id in a field that a browser may
    have filled names nobody without it.
    """

    at_ms: int
    visitor: str | None = None
    id: str | None = None
    headers: Mapping[str, str] = {}
    currency: str | None = None
    categories: Mapping[str, tuple[str, ...]] = {}
    visitors: tuple[str, ...] = ()
    verified: Callable[[str], str | None] = _nobody


class Mapped(NamedTuple):
    """Canonical events, and what did not become one.

    ``unmapped`` names what has no counterpart here, ``lost`` fields that could not be read, and
    ``unheard`` categories of consent that were refused and that nobody knows. ``refused`` says why
    the consent stamped on the vendor's event refuses it; such an event has no ``events``.
    ``names`` are those by which the vendor will speak of the events' visitor later: of its cart,
    its checkout, its order.
    """

    events: tuple[Fields, ...] = ()
    unmapped: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()
    refused: str | None = None
    names: tuple[str, ...] = ()


Mapper = Callable[[Fields, Hints], Mapped]


def unmapped(name: object) -> Mapped:
    """Return no event but a name."""
    return Mapped(unmapped=(str(name),))
