import pytest

from stream.domain.events import (
    CheckoutStarted,
    CheckoutStepCompleted,
    ExitSignalled,
    OrderRefunded,
    PageLeft,
    PaymentFailed,
    ProductListViewed,
    ProductsSearched,
    ProductViewed,
)
from stream.domain.session import Session, advance, session_id
from tests.domain.build import IDLE, MINUTE, a_shopper, product

GONE = 20 * MINUTE


def test_the_first_activity_starts_a_session():
    assert advance(None, 7, IDLE, GONE) == Session(7, 7, GONE)


@pytest.mark.parametrize(
    ("at_ms", "expected"),
    [
        (1000 + IDLE, Session(0, 1000 + IDLE, GONE)),
        (1001 + IDLE, Session(1001 + IDLE, 1001 + IDLE, GONE)),
    ],
)
def test_a_gap_longer_than_the_idle_time_starts_a_new_session(at_ms, expected):
    assert advance(Session(0, 1000, 5), at_ms, IDLE, GONE) == expected


@pytest.mark.parametrize("at_ms", [999, 0, -5 * IDLE])
def test_a_late_event_never_moves_the_last_activity_back(at_ms):
    assert advance(Session(0, 1000), at_ms, IDLE, GONE) == Session(0, 1000, GONE)


def test_a_session_has_an_id_of_its_own():
    ids = {
        session_id("shop", "ann", Session(0, 0)),
        session_id("shop", "ann", Session(1, 1)),
        session_id("shop", "bob", Session(0, 0)),
        session_id("other", "ann", Session(0, 0)),
    }
    assert len(ids) == 4


def test_a_session_keeps_its_id_while_it_lasts():
    assert session_id("shop", "ann", Session(5, 5)) == session_id("shop", "ann", Session(5, 900))


ACTIVITY = {
    ProductViewed: {"product": product()},
    ProductListViewed: {},
    ProductsSearched: {"query": "shoes"},
    CheckoutStarted: {},
    CheckoutStepCompleted: {"step": 1},
    PaymentFailed: {},
    OrderRefunded: {"order": "o9", "total_minor": 5},
}


@pytest.mark.parametrize("kind", ACTIVITY, ids=lambda kind: kind.__name__)
def test_everything_of_page_views_and_cart_events_is_activity(kind):
    ann = a_shopper()
    ann.does(kind, MINUTE, **ACTIVITY[kind])
    assert ann.behaviour.session == Session(MINUTE, MINUTE)


def test_what_a_shopper_does_with_the_cart_is_activity():
    ann = a_shopper()
    ann.views(at=1)
    ann.adds(at=2)
    ann.updates(at=3)
    ann.removes(at=4)
    ann.orders(at=5)
    assert ann.behaviour.session == Session(1, 5)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (PageLeft, {"url": "/", "dwell_ms": 10}),
        (ExitSignalled, {"signal": "tab_hidden", "dwell_ms": 10}),
    ],
)
def test_leaving_neither_starts_nor_continues_a_session(kind, fields):
    ann = a_shopper()
    ann.does(kind, 1, **fields)
    assert ann.behaviour.session is None
    ann.views(at=2)
    ann.does(kind, MINUTE, **fields)
    assert ann.behaviour.session == Session(2, 2)


def test_a_choice_on_consent_is_no_activity():
    ann = a_shopper()
    ann.views(at=1)
    ann.grants("ads", at=MINUTE)
    assert ann.behaviour.session == Session(1, 1)
