"""What the visitor's own history says against a trigger, told by the real fold."""

import pytest

from stream.delivery.recheck import quiet_until_ms, recheck
from stream.domain.campaign.reasons import Reason
from stream.domain.visitor import Visitor
from tests.domain.build import DAY, HOUR, IDLE, MINUTE, POLICY, a_shopper, line, reminding

DUE = MINUTE + IDLE


@pytest.fixture
def ann():
    """A shopper who has been reminded of a cart."""
    shopper = a_shopper(reminding(steps_ms=(0, DAY - HOUR)))
    shopper.adds(at=MINUTE)
    shopper.waits(DUE)
    return shopper


def said(shopper, now_ms=DUE + MINUTE, number=0):
    return recheck(shopper.triggers[number], shopper.state, now_ms)


def test_nothing_speaks_against_a_mail_to_who_has_not_moved(ann):
    assert said(ann) is None
    assert said(ann, DUE + DAY - 1) is None


def test_who_looks_around_again_with_the_same_cart_may_still_get_it(ann):
    ann.views(at=DUE + MINUTE)
    ann.adds(at=DUE + 2 * MINUTE)
    ann.removes(at=DUE + 3 * MINUTE, quantity=1)
    assert said(ann, DUE + HOUR) is None


@pytest.mark.parametrize(
    ("what", "why"),
    [
        (lambda ann: ann.orders(at=DUE + 1), Reason.BOUGHT),
        # Bought before the mail was due, and told late: the cart is another by now.
        (lambda ann: ann.orders(at=MINUTE + 1, read=DUE + 1), Reason.CART_CHANGED),
        (lambda ann: ann.adds("p2", at=DUE + 1), Reason.CART_CHANGED),
        (lambda ann: ann.removes(at=DUE + 1), Reason.CART_CHANGED),
        (lambda ann: ann.updates(line(quantity=2), at=DUE + 1), Reason.CART_CHANGED),
        (lambda ann: ann.refuses("marketing_email", at=DUE + 1), Reason.NO_CONSENT),
        (lambda ann: ann.refuses("personalization", at=DUE + 1), Reason.NO_CONSENT),
        (lambda ann: ann.is_erased(at=DUE + 1), Reason.NO_CONSENT),
    ],
    ids=["bought", "bought late", "added", "removed", "updated", "no mail", "nothing", "erased"],
)
def test_what_happened_since_speaks_against_it(ann, what, why):
    what(ann)
    assert said(ann) is why


@pytest.mark.parametrize("purpose", ["marketing_email", "personalization"])
def test_a_new_grant_does_not_bring_it_back(ann, purpose):
    ann.refuses(purpose, at=DUE + 1)
    ann.grants(at=DUE + 2)
    ann.adds(at=DUE + 3)
    ann.removes(at=DUE + 4, quantity=1)
    assert said(ann) is Reason.CANCELLED


def test_a_grant_that_lapses_meanwhile_speaks_against_it():
    ann = a_shopper(POLICY)
    ann.grants(at=1, until=DUE + MINUTE)
    ann.adds(at=MINUTE)
    ann.waits(DUE)
    assert said(ann, DUE + MINUTE) is None
    assert said(ann, DUE + MINUTE + 1) is Reason.NO_CONSENT


def test_what_is_useless_is_expired_whatever_else_there_is(ann):
    ann.refuses(at=DUE + 1)
    assert said(ann, DUE + DAY) is Reason.EXPIRED


def test_of_whom_nothing_is_known_nothing_is_allowed(ann):
    assert recheck(ann.triggers[0], None, DUE) is Reason.NO_CONSENT
    assert recheck(ann.triggers[0], Visitor(), DUE) is Reason.NO_CONSENT


def test_bought_again_after_a_second_reminder_of_the_same_cart(ann):
    ann.orders(at=DUE + 1)
    ann.adds(at=DUE + 2)
    ann.waits(DUE + 2 + IDLE)
    assert said(ann, DUE + HOUR, number=1) is None
    # The first is of a cart that was bought; that it looks the same now is no reason to mail twice.
    ann.orders("o2", at=DUE + HOUR)
    assert said(ann, DUE + HOUR + 1, number=1) is Reason.BOUGHT


def test_a_follow_up_is_judged_likewise(ann):
    ann.waits(DUE + DAY - HOUR)
    assert [one.step for one in ann.triggers] == [0, 1]
    assert said(ann, DUE + DAY, number=1) is None
    ann.orders(at=DUE + DAY)
    assert said(ann, DUE + DAY + 1, number=1) is Reason.BOUGHT


def test_an_exit_offer_does_not_mind_the_cart():
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.leaves(at=2 * MINUTE)
    assert recheck(ann.triggers[0], ann.state, 2 * MINUTE + 1) is None
    ann.refuses("personalization", at=2 * MINUTE + 2)
    assert recheck(ann.triggers[0], ann.state, 2 * MINUTE + 3) is Reason.NO_CONSENT


def test_a_visitor_counts_as_still_here_for_a_while_after_the_last_activity(ann):
    assert quiet_until_ms(ann.state) == DUE
    ann.views(at=DUE + 7)
    assert quiet_until_ms(ann.state) == DUE + 7 + IDLE
    assert quiet_until_ms(None) == quiet_until_ms(Visitor()) == 0
