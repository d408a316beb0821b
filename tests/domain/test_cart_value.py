import pytest

from stream.domain.cart import value_of
from tests.domain.build import a_shopper, line, product


def value(shopper):
    return value_of(shopper.behaviour.cart.lines)


def test_adding_takes_the_newest_price():
    ann = a_shopper()
    ann.adds(at=10, price=1000)
    ann.adds(at=20, price=700)
    assert value(ann) == (1400, "EUR")
    ann.adds(at=15, read=30, price=9900)
    assert value(ann) == (2100, "EUR")


def test_of_two_prices_at_the_same_moment_the_one_read_last_counts():
    ann = a_shopper()
    ann.adds(at=10, price=1000)
    ann.adds(at=10, price=700)
    assert value(ann) == (1400, "EUR")


@pytest.mark.parametrize("at", [5, 20])
def test_adding_without_a_price_keeps_the_known_price(at):
    ann = a_shopper()
    ann.adds(at=10, price=1000)
    ann.adds(at=at, read=20, price=None, currency=None)
    assert value(ann) == (2000, "EUR")


def test_adding_without_a_price_takes_the_newer_name():
    ann = a_shopper()
    ann.updates(line(name="Shoe"), at=10)
    ann.adds(at=20, price=None, currency="USD")
    (kept,) = ann.behaviour.cart.lines
    assert kept.product == product(price=1000, currency="EUR")


@pytest.mark.parametrize("at", [5, 20])
def test_a_price_that_comes_later_is_taken_where_none_was_known(at):
    ann = a_shopper()
    ann.adds(at=10, price=None, currency=None)
    assert value(ann) == (0, None)
    ann.adds(at=at, read=20, price=300)
    assert value(ann) == (600, "EUR")


def test_a_price_without_a_currency_is_in_the_known_one():
    ann = a_shopper()
    ann.adds(at=10, price=1000, currency="EUR")
    ann.adds(at=20, price=500, currency=None)
    assert value(ann) == (1000, "EUR")


def test_a_line_without_any_price_counts_nothing():
    ann = a_shopper()
    ann.adds("p1", at=10, price=1000)
    ann.adds("p2", at=20, price=None, currency=None, quantity=5)
    assert value(ann) == (1000, "EUR")


def test_the_value_is_in_the_currency_of_the_newest_priced_line():
    ann = a_shopper()
    ann.adds("p1", at=10, price=1000, currency="EUR")
    ann.adds("p2", at=20, price=500, currency="USD")
    ann.adds("p3", at=30, price=None, currency="GBP")
    assert value(ann) == (500, "USD")
    ann.adds("p1", at=40, price=1000, currency="EUR")
    assert value(ann) == (2000, "EUR")
    ann.removes("p1", at=50)
    assert value(ann) == (500, "USD")


def test_of_lines_priced_at_the_same_moment_the_last_is_the_newest():
    ann = a_shopper()
    ann.updates(line("p1", currency="EUR"), line("p2", price=7, currency="USD"), at=10)
    assert value(ann) == (7, "USD")
