"""What a visitor's state remembers of the triggers that were sent, and what it must not do."""

import pytest

from stream.domain.contacts import MAX_CONTACTS, RESULTS, Contact, note
from stream.domain.context import FoldOutcome
from stream.domain.feedback import (
    FEEDBACK_TYPES,
    ActionClicked,
    ActionShown,
    CancelSent,
    MessageBounced,
    MessageClicked,
    MessageSent,
)
from tests.domain.build import HOUR, IDLE, MINUTE, Shopper, a_shopper

EMAIL = {"channel": "email"}
KNOWN = "0a" * 16


def reminded():
    """Return a shopper with a cart reminder, and the id of the trigger."""
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.waits(MINUTE + IDLE)
    return ann, ann.behaviour.sent[0].trigger_id


def test_a_message_that_was_sent_is_a_contact_of_its_campaign():
    ann, trigger_id = reminded()
    assert ann.does(MessageSent, HOUR, trigger_id=trigger_id, **EMAIL) is FoldOutcome.APPLIED
    assert ann.does(MessageClicked, 2 * HOUR, trigger_id=trigger_id, **EMAIL) is FoldOutcome.APPLIED
    assert ann.behaviour.contacts == [
        Contact("cart_abandonment", "email", trigger_id, {"sent": HOUR, "clicked": 2 * HOUR})
    ]


def test_feedback_is_no_activity_and_makes_nothing_due():
    ann, trigger_id = reminded()
    session, due_ms, seen_ms = ann.behaviour.session, ann.next_due_ms, ann.behaviour.seen_ms
    ann.does(MessageClicked, HOUR, trigger_id=trigger_id, **EMAIL)
    assert (ann.behaviour.session, ann.next_due_ms) == (session, due_ms)
    assert ann.behaviour.seen_ms == seen_ms


def test_repeated_feedback_changes_nothing_and_is_a_duplicate():
    ann, trigger_id = reminded()
    ann.does(MessageSent, HOUR, id="f1", trigger_id=trigger_id, **EMAIL)
    known = list(ann.behaviour.contacts)
    again = ann.does(MessageSent, 2 * HOUR, id="f1", trigger_id=trigger_id, **EMAIL)
    assert again is FoldOutcome.DUPLICATE
    assert ann.behaviour.contacts == known


def test_feedback_about_a_trigger_that_is_not_known_is_ignored():
    ann, _ = reminded()
    for number in range(2):
        outcome = ann.does(ActionClicked, HOUR, id=f"f{number}", trigger_id=KNOWN)
        assert outcome is FoldOutcome.STALE
    assert ann.behaviour.contacts == []
    bob = Shopper(world=ann.world, who=("shop", "bob"))
    bob.grants()
    assert bob.does(ActionClicked, HOUR, trigger_id=KNOWN) is FoldOutcome.STALE
    assert bob.behaviour is None


def test_without_personalization_no_contact_is_kept():
    ann, trigger_id = reminded()
    ann.does(MessageSent, HOUR, trigger_id=trigger_id, **EMAIL)
    ann.refuses("personalization", at=HOUR + 1)
    assert ann.behaviour is None
    late = ann.does(MessageClicked, 2 * HOUR, trigger_id=trigger_id, **EMAIL)
    assert late is FoldOutcome.REFUSED
    assert ann.behaviour is None


def test_a_robots_feedback_is_ignored():
    ann, trigger_id = reminded()
    clicked = ann.does(MessageClicked, HOUR, bot=True, trigger_id=trigger_id, **EMAIL)
    assert clicked is FoldOutcome.BOT
    assert ann.behaviour.contacts == []


def event(kind, number, trigger_id=KNOWN, **fields):
    return kind(id=f"e{number}", visitor="ann", at_ms=number, trigger_id=trigger_id, **fields)


def test_each_channel_has_a_contact_of_its_own_and_each_result_its_first_moment():
    contacts = note([], {KNOWN: "exit_intent"}, event(ActionShown, 5), 5)
    contacts = note(contacts, {}, event(MessageSent, 7, channel="webhook/crm"), 7)
    contacts = note(contacts, {}, event(ActionShown, 3), 3)
    contacts = note(contacts, {}, event(ActionShown, 9), 9)
    assert contacts == [
        Contact("exit_intent", "onsite", KNOWN, {"shown": 3}),
        Contact("exit_intent", "webhook/crm", KNOWN, {"sent": 7}),
    ]


def test_the_newest_contacts_are_kept():
    contacts = []
    for number in range(MAX_CONTACTS + 3):
        own = f"{number:032x}"
        sent = event(MessageSent, number, own, channel="email")
        contacts = note(contacts, {own: "cart_abandonment"}, sent, number)
    assert len(contacts) == MAX_CONTACTS
    assert contacts[0].trigger_id == f"{3:032x}"
    assert note(contacts, {}, event(MessageBounced, 99, f"{0:032x}", channel="email"), 99) is None


def test_a_cancel_leaves_the_contact_as_it_is():
    contacts = note([], {KNOWN: "cart_abandonment"}, event(MessageSent, 1, channel="email"), 1)
    cancel = event(CancelSent, 2, channel="email")
    assert note(contacts, {}, cancel, 2) == contacts


@pytest.mark.parametrize("kind", FEEDBACK_TYPES)
def test_each_type_of_feedback_has_a_result(kind):
    assert kind in RESULTS
