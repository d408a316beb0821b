"""The attribute of a cart or an order in which a theme or plugin keeps whose it is.

Its value passed a browser, whose owner may write anything into it. So only a signed id names a
visitor, and any other is ignored and told.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from stream.mappers.mapped import Hints
from stream.mappers.reading import text

ATTRIBUTE: Final = "cartwake_visitor"
NOT_SIGNED: Final = f"{ATTRIBUTE} without a signature"


class Claim(NamedTuple):
    """The visitor of a signed id; ``unmapped`` says so if there is an id that is not signed."""

    visitor: str | None
    unmapped: tuple[str, ...] = ()


def claimed(values: Iterable[object], hints: Hints) -> Claim:
    """Return whom the first of the attribute's values names."""
    signed = text(*values)
    if signed is None:
        return Claim(None)
    visitor = hints.verified(signed)
    return Claim(visitor, (NOT_SIGNED,) if visitor is None else ())
