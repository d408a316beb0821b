import pytest

from stream.domain.holdout import in_holdout
from stream.domain.policy import Holdout

VISITORS = [f"v{number}" for number in range(4000)]


def held_out(fraction, salt="cartwake", tenant="shop"):
    holdout = Holdout(fraction=fraction, salt=salt)
    return {visitor for visitor in VISITORS if in_holdout(tenant, visitor, holdout)}


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9])
def test_the_share_of_visitors_is_the_fraction(fraction):
    assert len(held_out(fraction)) / len(VISITORS) == pytest.approx(fraction, abs=0.03)


def test_a_fraction_of_zero_turns_it_off_and_of_one_holds_out_everybody():
    assert held_out(0.0) == set()
    assert held_out(1.0) == set(VISITORS)


def test_a_visitor_stays_on_the_same_side():
    assert held_out(0.3) == held_out(0.3)


def test_a_larger_fraction_keeps_whom_the_smaller_held_out():
    assert held_out(0.05) < held_out(0.2)


def test_another_salt_or_another_shop_draws_anew():
    share = len(held_out(0.5) & held_out(0.5, salt="spring")) / len(VISITORS)
    assert share == pytest.approx(0.25, abs=0.05)
    share = len(held_out(0.5) & held_out(0.5, tenant="other")) / len(VISITORS)
    assert share == pytest.approx(0.25, abs=0.05)


def test_a_tenant_that_ends_like_a_visitor_begins_is_somebody_else():
    holdout = Holdout(fraction=0.5)
    one = [in_holdout("shop", f"1{visitor}", holdout) for visitor in VISITORS[:200]]
    other = [in_holdout("shop1", visitor, holdout) for visitor in VISITORS[:200]]
    assert one != other
