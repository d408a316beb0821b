"""What a mapper gives back, and what it is told besides the vendor's object.

The one rule: pure. The same object with the same hints always gives the same events with the same
ids; a clock, a header or a visitor comes in from outside.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

# A JSON object: a vendor's, or a canonical event. Whose tenant that is, who took it says.
Fields = dict[str, Any]

NAME_CHARACTERS = 64


class Unreadable(ValueError):  # noqa: N818 - it tells of what was sent, not of an error of ours
    """A vendor's object is not one; the text names the place and the rule, and nothing of it."""


class Hints(NamedTuple):
    """What is known of an object that it may not say itself."""

    at_ms: int
    visitor: str | None = None
    id: str | None = None
    headers: Mapping[str, str] = {}


class Mapped(NamedTuple):
    """Canonical events, or the name of what has no counterpart here."""

    events: tuple[Fields, ...] = ()
    unmapped: tuple[str, ...] = ()


Mapper = Callable[[Fields, Hints], Mapped]


def unmapped(name: object) -> Mapped:
    """Return that there is no counterpart; the name is a vendor's, or a stranger's: cut short."""
    return Mapped(unmapped=(str(name)[:NAME_CHARACTERS],))
