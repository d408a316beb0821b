"""What became of a trigger: on the page, in a mailbox, at a shop's endpoint.

Each event is about a trigger that was published. Shards read them and remember what became of a
visitor's triggers (`stream.domain.contacts`); programs that act on triggers read here what has been
done with them already.
"""

from typing import Annotated, Final, Literal

from msgspec import Meta

from stream.domain.campaign.reasons import Reason
from stream.domain.events import Event
from stream.domain.ids import ID_BYTES

EMAIL: Final = "email"

TriggerId = Annotated[str, Meta(pattern=f"^[0-9a-f]{{{2 * ID_BYTES}}}$")]
Channel = Annotated[str, Meta(min_length=1, max_length=128)]
Code = Annotated[int, Meta(ge=100, le=599)]


class ActionShown(Event, frozen=True, gc=False, kw_only=True):
    """The action was shown to the shopper."""

    trigger_id: TriggerId


class ActionClicked(Event, frozen=True, gc=False, kw_only=True):
    """The shopper followed the action's offer."""

    trigger_id: TriggerId


class ActionDismissed(Event, frozen=True, gc=False, kw_only=True):
    """The shopper closed the action."""

    trigger_id: TriggerId


class MessageSent(Event, frozen=True, gc=False, kw_only=True):
    """The channel's next hop has taken the message: the mail server, or the shop's endpoint."""

    trigger_id: TriggerId
    channel: Channel


class MessageRefused(Event, frozen=True, gc=False, kw_only=True):
    """The next hop has refused the message for good; nothing is tried again."""

    trigger_id: TriggerId
    channel: Channel
    code: Code | None = None


class MessageSkipped(Event, frozen=True, gc=False, kw_only=True):
    """The message was not sent, and never will be; so many attempts had got no good answer."""

    trigger_id: TriggerId
    channel: Channel
    reason: Reason
    attempts: Annotated[int, Meta(ge=0)] = 0


class CancelSent(Event, frozen=True, gc=False, kw_only=True):
    """The next hop has taken the cancel of a trigger that it had been sent, or may have been."""

    trigger_id: TriggerId
    channel: Channel


class CancelRefused(Event, frozen=True, gc=False, kw_only=True):
    """The next hop has refused the cancel for good; nothing is tried again."""

    trigger_id: TriggerId
    channel: Channel
    code: Code | None = None


class MessageBounced(Event, frozen=True, gc=False, kw_only=True):
    """The message was taken and could not be delivered after all.

    After a hard bounce a channel sends nothing more there until a new consent; a soft one may pass.
    """

    trigger_id: TriggerId
    channel: Channel
    bounce: Literal["hard", "soft"] = "hard"


class MessageClicked(Event, frozen=True, gc=False, kw_only=True):
    """The shopper followed the message's link."""

    trigger_id: TriggerId
    channel: Channel


class MessageUnsubscribed(Event, frozen=True, gc=False, kw_only=True):
    """The shopper wants no more of these; the withdrawal itself is an event of its own."""

    trigger_id: TriggerId
    channel: Channel


# After one of these the channel does nothing more about the trigger, or about its cancel.
Outcome = MessageSent | MessageRefused | MessageSkipped | CancelSent | CancelRefused
# What those tell who send; a page may tell of its actions alone.
MESSAGES: Final = (
    MessageSent,
    MessageRefused,
    MessageSkipped,
    CancelSent,
    CancelRefused,
    MessageBounced,
    MessageClicked,
    MessageUnsubscribed,
)
FEEDBACK_TYPES: Final[tuple[type[Event], ...]] = (
    ActionShown,
    ActionClicked,
    ActionDismissed,
    *MESSAGES,
)
