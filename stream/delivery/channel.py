"""What a channel is asked, and how it answers: what it would send, and what became of it.

A channel knows how to reach a visitor; whether that is allowed is decided before it is asked.
"""

from typing import Protocol, TypeVar

from msgspec import Struct

from stream.domain.campaign.reasons import Reason
from stream.domain.records import Trigger, TriggerCancel
from stream.domain.visitor import Visitor

MessageT = TypeVar("MessageT")


class Later(Struct, frozen=True):
    """Not now, for this reason in a word; it may be sent from this moment on."""

    not_before_ms: int
    why: str


class Failed(Struct, frozen=True):
    """It was tried and failed; it may be tried again from this moment on."""

    not_before_ms: int
    why: str


class Declined(Struct, frozen=True):
    """The next hop refused it for good, with this code if it gave one."""

    code: int | None = None


class Accepted(Struct, frozen=True):
    """The next hop accepted it."""


class Channel(Protocol[MessageT]):
    """A way to reach visitors, such as mail or one endpoint."""

    async def prepare(
        self, trigger: Trigger, last_sent_ms: int | None, now_ms: int
    ) -> MessageT | Later | Reason:
        """Return the message, or why it is not sent now, or why never."""
        ...

    async def last_look(
        self, message: MessageT, trigger: Trigger, state: Visitor | None, now_ms: int
    ) -> Later | Reason | None:
        """Return what the channel itself has against sending a message right now, if anything."""
        ...

    def recall(self, cancel: TriggerCancel) -> MessageT | None:
        """Return the message that cancels what was sent; None: the channel has none."""
        ...

    async def send(
        self, message: MessageT, attempts: int, now_ms: int
    ) -> Accepted | Declined | Failed | Later:
        """Send a message after so many failed attempts; all checks have passed."""
        ...
