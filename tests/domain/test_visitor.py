import msgspec
import pytest

from stream.domain.consent import Choice
from stream.domain.kinds import KIND_OF, KINDS
from stream.domain.visitor import Behaviour, Visitor
from tests.domain.build import IDLE, a_shopper, restored


@pytest.mark.parametrize(
    ("state", "unknown"),
    [
        (Visitor(), True),
        (Visitor(consent={"ads": Choice("denied", 0)}), False),
        (Visitor(erased_ms=0), False),
        (Visitor(behaviour=Behaviour(0)), False),
    ],
)
def test_a_visitor_is_unknown_as_long_as_nothing_is_kept(state, unknown):
    assert state.is_unknown is unknown


def test_two_new_visitors_share_nothing():
    one, other = Visitor(), Visitor()
    one.consent["ads"] = Choice("denied", 0)
    assert not other.consent


def test_a_state_is_the_same_after_being_stored():
    ann = a_shopper()
    ann.adds(at=0, cart="A", variant="red")
    ann.leaves(at=5)
    ann.waits(until=IDLE)
    ann.orders(at=IDLE + 1, cart="B")
    again = restored(ann.state)
    assert {kind.name for kind in KINDS if kind.memory_in(again.behaviour)} == set(KIND_OF)
    assert again == ann.state


def test_a_new_visitors_stored_state_is_small():
    assert len(msgspec.msgpack.encode(Visitor(behaviour=Behaviour(0)))) < 100
