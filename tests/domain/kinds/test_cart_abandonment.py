import pytest

from stream.domain.cart import fingerprint_of
from stream.domain.events import Line, PageLeft
from stream.domain.kinds.cart_abandonment import MAX_FIRED, NAME
from stream.domain.session import Session, session_id
from tests.domain.build import DAY, HOUR, IDLE, MINUTE, a_shopper, line, product, reminding


def test_a_cart_left_alone_is_mentioned_once_it_has_been_idle():
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.waits(until=MINUTE + IDLE - 1)
    assert ann.decisions == []
    ann.waits(until=MINUTE + IDLE)
    assert ann.reminders == [(0, MINUTE + IDLE)]
    assert ann.reasons == ["fired"]


def test_a_reminder_carries_all_that_its_reader_needs():
    ann = a_shopper()
    ann.chooses(at=0, ads="denied")
    ann.adds("p1", at=1, quantity=2, price=1250, id="e1")
    ann.adds("p2", at=2, price=None, id="e2")
    ann.waits(until=2 + IDLE)
    (trigger,), (decision,) = ann.triggers, ann.decisions
    assert (trigger.kind, trigger.class_, trigger.reason) == (NAME, "marketing", "cart_idle")
    assert (trigger.tenant, trigger.visitor) == ann.who
    assert trigger.session == session_id(*ann.who, Session(1, 2))
    assert (trigger.due_at_ms, trigger.expires_at_ms) == (2 + IDLE, 2 + IDLE + DAY)
    assert trigger.evidence == ["e1", "e2"]
    assert (trigger.cart.value_minor, trigger.cart.currency) == (2500, "EUR")
    assert trigger.cart.lines == [Line(product(price=1250), 2), Line(product("p2", None), 1)]
    assert trigger.cart.fingerprint == fingerprint_of(ann.behaviour.cart.lines)
    assert trigger.consent == {
        "ads": "denied",
        "marketing_email": "granted",
        "personalization": "granted",
    }
    assert (decision.outcome, decision.at_ms) == ("fired", 2 + IDLE)
    assert decision.trigger_id == trigger.trigger_id


def test_a_reminder_keeps_the_cart_as_it_stood():
    ann = a_shopper()
    ann.adds("p1", at=0)
    ann.waits(until=IDLE)
    ann.adds("p2", at=HOUR)
    assert len(ann.triggers[0].evidence) == len(ann.triggers[0].cart.lines) == 1


def test_any_new_activity_moves_the_reminder():
    ann = a_shopper()
    ann.adds(at=0)
    ann.views(at=IDLE - 1)
    ann.waits(until=2 * IDLE - 2)
    assert ann.decisions == []
    ann.waits(until=2 * IDLE - 1)
    assert ann.reminders == [(0, 2 * IDLE - 1)]


def test_activity_at_exactly_the_due_moment_prevents_the_reminder():
    ann = a_shopper()
    ann.adds(at=0)
    ann.views(at=IDLE)
    assert ann.decisions == []
    assert ann.next_due_ms == 2 * IDLE


def test_activity_right_after_the_due_moment_comes_too_late():
    ann = a_shopper()
    ann.adds(at=0)
    ann.views(at=IDLE + 1)
    assert ann.reminders == [(0, IDLE)]


def test_leaving_does_not_move_the_reminder():
    ann = a_shopper()
    ann.adds(at=0)
    ann.does(PageLeft, MINUTE, url="/", dwell_ms=5)
    ann.leaves(at=2 * MINUTE, dwell=0)
    assert ann.next_due_ms == IDLE


def test_late_activity_does_not_move_the_reminder():
    ann = a_shopper()
    ann.adds(at=MINUTE)
    ann.views(at=0, read=2 * MINUTE)
    ann.waits(until=MINUTE + IDLE)
    assert ann.reminders == [(0, MINUTE + IDLE)]


def test_late_activity_after_the_reminder_changes_nothing_about_it():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.views(at=0, read=HOUR)
    ann.orders(at=MINUTE, read=HOUR)
    ann.waits(until=5 * DAY)
    assert ann.reasons == ["fired"]


@pytest.mark.parametrize(
    "empties",
    [
        lambda ann: ann.removes(at=HOUR + 1),
        lambda ann: ann.updates(at=HOUR + 1),
        lambda ann: ann.orders(at=HOUR + 1),
    ],
)
def test_a_visitor_with_an_empty_cart_has_no_timer_and_gets_no_decision(empties):
    ann = a_shopper()
    ann.views(at=0)
    ann.adds(at=HOUR)
    empties(ann)
    ann.waits(until=10 * DAY)
    assert ann.decisions == []


def test_a_purchase_in_the_backlog_prevents_the_reminder():
    ann = a_shopper(live=True)
    ann.adds(at=0)
    ann.orders(at=5 * HOUR)
    ann.waits(until=6 * HOUR)
    assert ann.decisions == []


def test_the_same_contents_are_mentioned_once():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.views(at=HOUR)
    ann.updates(line(price=5), at=HOUR)
    ann.waits(until=HOUR + IDLE)
    assert ann.reasons == ["fired", "already_fired"]


def test_changed_contents_are_mentioned_again_and_former_ones_are_not():
    ann = a_shopper()
    ann.adds("p1", at=0)
    ann.waits(until=IDLE)
    ann.adds("p2", at=HOUR)
    ann.waits(until=2 * HOUR)
    ann.removes("p2", at=3 * HOUR)
    ann.waits(until=4 * HOUR)
    assert ann.reasons == ["fired", "fired", "already_fired"]
    assert len({one.cart.fingerprint for one in ann.triggers}) == 2


def test_after_an_order_the_same_contents_are_mentioned_again():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.orders(at=HOUR)
    ann.adds(at=2 * HOUR)
    ann.waits(until=3 * HOUR)
    assert ann.reasons == ["fired", "fired"]


def test_a_late_order_does_not_free_contents_that_were_mentioned_after_it():
    ann = a_shopper()
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.orders(at=MINUTE, read=HOUR)
    ann.adds(at=2 * HOUR)
    ann.waits(until=3 * HOUR)
    assert ann.reasons == ["fired", "already_fired"]


def test_what_was_skipped_is_not_mentioned_contents():
    ann = a_shopper(reminding(min_value_minor=1500))
    ann.adds(at=0)
    ann.waits(until=IDLE)
    ann.updates(line(price=2000), at=HOUR)
    ann.waits(until=2 * HOUR)
    assert ann.reasons == ["cart_too_small", "fired"]


def test_what_is_remembered_of_mentioned_contents_is_bounded():
    ann = a_shopper()
    for number in range(MAX_FIRED + 2):
        ann.adds(at=number * HOUR)
    assert len(ann.triggers) == MAX_FIRED + 1
    assert len(ann.reminded.fired) == MAX_FIRED


def ids(**more):
    ann = a_shopper(**more)
    ann.adds(at=0)
    ann.waits(until=IDLE)
    return ann.triggers[0].trigger_id, ann.decisions[0].decision_id


def test_the_same_decision_always_has_the_same_id():
    assert ids() == ids()
    assert ids(live=True) == ids()


def test_another_visitor_or_tenant_gets_other_ids():
    known = [ids(who=who) for who in (("shop", "ann"), ("shop", "bob"), ("other", "ann"))]
    assert len({one for pair in known for one in pair}) == 6
