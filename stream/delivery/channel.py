"""How a channel answers: what it would send, and what became of it.

The one rule: a channel knows how to reach somebody; whether that may be is not its business.
"""

from typing import Protocol, TypeVar

from msgspec import Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.records import Trigger, TriggerCancel

ParcelT = TypeVar("ParcelT")


class Later(Struct, frozen=True):
    """Not now: from this moment on, and for this reason, in a word."""

    not_before_ms: int
    why: str


class Failed(Struct, frozen=True):
    """It was tried and failed for now; from this moment on it may be tried again."""

    not_before_ms: int
    why: str


class Refused(Struct, frozen=True):
    """It was refused for good, with this code, where there was one."""

    code: int | None = None


class Sent(Struct, frozen=True):
    """It was taken."""


class Channel(Protocol[ParcelT]):
    """A way to somebody."""

    async def prepare(
        self, trigger: Trigger, last_sent_ms: int | None, now_ms: int
    ) -> ParcelT | Later | Reason:
        """Return what is to be sent, or why not now, or why never."""
        ...

    def recall(self, cancel: TriggerCancel) -> ParcelT | None:
        """Return how somebody hears that what was sent is cancelled; None: in no way."""
        ...

    async def send(
        self, parcel: ParcelT, attempts: int, now_ms: int
    ) -> Sent | Refused | Failed | Later:
        """Send what so many attempts have failed at; nothing speaks against it any more."""
        ...
