"""Contacts: what became of the triggers that reached this visitor, per channel, oldest first.

Only triggers that the state knows get a contact: a stranger's feedback must not push real contacts
out of the bounded list.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from stream.domain.events import Event
from stream.domain.feedback import (
    ActionClicked,
    ActionDismissed,
    ActionShown,
    CancelRefused,
    CancelSent,
    MessageBounced,
    MessageClicked,
    MessageRefused,
    MessageSent,
    MessageSkipped,
    MessageUnsubscribed,
)

MAX_CONTACTS: Final = 64
ONSITE: Final = "onsite"

# What each type of feedback says of a contact; None: it says something of the trigger's cancel.
RESULTS: Final[Mapping[type[Event], str | None]] = {
    MessageSent: "sent",
    MessageRefused: "refused",
    MessageSkipped: "skipped",
    MessageBounced: "bounced",
    MessageClicked: "clicked",
    MessageUnsubscribed: "unsubscribed",
    ActionShown: "shown",
    ActionClicked: "clicked",
    ActionDismissed: "dismissed",
    CancelSent: None,
    CancelRefused: None,
}


class Contact(Struct, array_like=True):
    """One trigger on one channel. ``results`` holds when each result came first, event time in ms.

    ``campaign`` is the name of the trigger's kind.
    """

    campaign: str
    channel: str
    trigger_id: str
    results: dict[str, int] = {}


def note(
    contacts: list[Contact], campaigns: Mapping[str, str], event: Event, at_ms: int
) -> list[Contact] | None:
    """Return the contacts with what ``event`` says; None if it is about no known trigger.

    ``campaigns`` has the campaign of each trigger that was sent of late, by trigger id.
    """
    trigger_id: str = event.trigger_id  # type: ignore[attr-defined]  # all feedback has it
    channel: str = getattr(event, "channel", ONSITE)
    same = [one for one in contacts if one.trigger_id == trigger_id]
    campaign = campaigns.get(trigger_id) or (same[0].campaign if same else None)
    if campaign is None:
        return None
    result = RESULTS[type(event)]
    if result is None:
        return contacts
    contact = next((one for one in same if one.channel == channel), None)
    if contact is None:
        contact = Contact(campaign, channel, trigger_id)
        contacts = [*contacts, contact][-MAX_CONTACTS:]
    contact.results[result] = min(at_ms, contact.results.get(result, at_ms))
    return contacts
