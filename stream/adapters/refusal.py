"""A server that answers but refuses these settings: the kind of refusal, and its text.

The text is the server's or the network's own, and contains no password.
"""

from enum import StrEnum
from typing import NamedTuple

from stream.errors import CartwakeError


class Cause(StrEnum):
    """What is refused, and so which settings to look at."""

    LOGIN = "login"
    MECHANISM = "mechanism"
    RIGHTS = "rights"
    CERTIFICATE = "certificate"
    TLS = "tls"
    CLUSTER = "cluster"


class Refusal(NamedTuple):
    """Why a server refuses; ``words`` go on from its name."""

    kind: Cause
    words: str


class Refused(CartwakeError):  # noqa: N818 - the server's condition
    """A server refuses; waiting does not help. ``server`` is its name and address."""

    def __init__(self, server: str, refusal: Refusal) -> None:
        super().__init__(f"{server} {refusal.words}")
        self.kind = refusal.kind
