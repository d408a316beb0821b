import msgspec
import pytest

from stream.domain.cart import MAX_CART_BYTES, MAX_EVIDENCE, MAX_NAME, CartLine, fingerprint_of
from stream.domain.events import MAX_LINES, MAX_QUANTITY, Product
from tests.domain.build import DAY, Shopper, a_shopper, line, product


def lines_of(*parts):
    return [CartLine(product(name, variant=variant), n, 0) for name, variant, n in parts]


def test_lines_are_identified_by_product_and_variant():
    ann = a_shopper()
    ann.adds("p1", at=1)
    ann.adds("p1", at=2, variant="red")
    ann.adds("p1", at=3, variant="red", quantity=2)
    assert ann.cart == {"p1": 1, ("p1", "red"): 3}


@pytest.mark.parametrize(("quantity", "left"), [(1, {"p1": 2}), (3, {}), (4, {}), (None, {})])
def test_removing_lowers_or_drops_the_line(quantity, left):
    ann = a_shopper()
    ann.adds(at=10, quantity=3)
    ann.removes(at=20, quantity=quantity)
    assert ann.cart == left


def test_removing_touches_its_own_variant_alone():
    ann = a_shopper()
    ann.adds(at=10, variant="red")
    ann.removes(at=20)
    ann.removes(at=20, variant="blue")
    assert ann.cart == {("p1", "red"): 1}
    ann.removes(at=30, variant="red")
    assert ann.cart == {}


def test_a_late_removal_still_counts():
    ann = a_shopper()
    ann.adds("p1", at=10)
    ann.adds("p2", at=30)
    ann.removes("p2", at=20, read=40)
    assert ann.cart == {"p1": 1}


def test_an_update_replaces_the_cart():
    ann = a_shopper()
    ann.adds("p1", at=10)
    ann.updates(line("p2", 2), line("p3"), at=20)
    assert ann.cart == {"p2": 2, "p3": 1}


def test_an_update_with_an_empty_list_empties_the_cart():
    ann = a_shopper()
    ann.adds(at=10)
    ann.updates(at=20)
    assert ann.cart == {}


def test_an_update_that_names_a_line_twice_adds_its_quantities():
    ann = a_shopper()
    ann.updates(line("p1", 2), line("p1", 3), at=10)
    assert ann.cart == {"p1": 5}


def test_the_work_on_an_update_of_the_whole_cart_grows_with_its_lines_alone(monkeypatch):
    looked_at = 0
    found = CartLine.id.fget

    def counted(one):
        nonlocal looked_at
        looked_at += 1
        return found(one)

    monkeypatch.setattr(CartLine, "id", property(counted))
    ann = a_shopper()
    ann.updates(*(line(f"p{number}") for number in range(MAX_LINES)), at=10)
    assert len(ann.cart) == MAX_LINES
    assert looked_at <= 4 * MAX_LINES


@pytest.mark.parametrize(("at", "expected"), [(19, {"p1": 1}), (20, {"p2": 1}), (21, {"p2": 1})])
def test_an_update_older_than_the_carts_newest_change_is_ignored(at, expected):
    ann = a_shopper()
    ann.adds("p1", at=20)
    ann.updates(line("p2"), at=at, read=30)
    assert ann.cart == expected


def test_a_late_addition_still_counts_and_leaves_the_newest_change_where_it_was():
    ann = a_shopper()
    ann.adds("p1", at=20)
    ann.adds("p2", at=10, read=30)
    ann.updates(line("p3"), at=15, read=40)
    assert ann.cart == {"p1": 1, "p2": 1}


@pytest.mark.parametrize(
    ("late", "expected"),
    [
        (lambda ann: ann.adds("p1", at=19, read=30), {"p1": 2}),
        (lambda ann: ann.adds("p1", at=20, read=30), {"p1": 3}),
        (lambda ann: ann.adds("p2", at=19, read=30), {"p1": 2}),
        (lambda ann: ann.removes("p1", at=19, read=30), {"p1": 2}),
        (lambda ann: ann.removes("p1", at=19, read=30, quantity=1), {"p1": 2}),
        (lambda ann: ann.removes("p1", at=20, read=30, quantity=1), {"p1": 1}),
    ],
)
def test_what_is_older_than_the_newest_update_of_the_whole_cart_changes_nothing(late, expected):
    ann = a_shopper()
    ann.adds("p1", at=10)
    ann.updates(line("p1", 2), at=20, cart="A")
    late(ann)
    assert ann.cart == expected
    assert ann.behaviour.cart.name == "A"


def test_an_addition_older_than_the_update_that_emptied_the_cart_does_not_refill_it():
    ann = a_shopper()
    ann.updates(at=20)
    ann.adds("p1", at=19, read=30, cart="A")
    ann.waits(until=10 * DAY)
    assert (ann.cart, ann.decisions) == ({}, [])


def test_an_update_that_changed_nothing_includes_what_is_older_all_the_same():
    ann = a_shopper()
    ann.adds("p1", at=10)
    ann.updates(line("p1"), at=20)
    ann.adds("p1", at=19, read=30)
    assert ann.cart == {"p1": 1}


def test_an_older_update_does_not_make_the_newest_one_older():
    ann = a_shopper()
    ann.updates(line("p1"), at=10)
    ann.updates(line("p1"), at=20)
    ann.updates(line("p1"), at=15, read=20)
    ann.adds("p1", at=17, read=20)
    assert ann.cart == {"p1": 1}


def test_an_update_that_was_ignored_includes_nothing():
    ann = a_shopper()
    ann.adds("p1", at=30)
    ann.updates(line("p2"), at=20, read=30)
    ann.adds("p3", at=19, read=30)
    assert ann.cart == {"p1": 1, "p3": 1}


def test_an_order_empties_the_cart():
    ann = a_shopper()
    ann.adds(at=10)
    ann.orders(at=20)
    assert ann.cart == {}


def test_a_late_order_empties_the_cart_too():
    ann = a_shopper()
    ann.adds(at=20)
    ann.orders(at=10, read=30)
    assert ann.cart == {}


@pytest.mark.parametrize(
    ("cart", "order"), [("A", "A"), ("A", None), ("A", ""), (None, "A"), (None, None)]
)
def test_an_order_empties_the_cart_unless_both_name_one_and_the_two_differ(cart, order):
    ann = a_shopper()
    ann.adds("p1", at=10, cart=cart)
    ann.orders(at=20, cart=order, lines=[line("p2")])
    assert ann.cart == {}


def test_an_order_with_another_carts_name_removes_only_the_lines_it_names():
    ann = a_shopper()
    ann.adds("p1", at=10, cart="A", quantity=3)
    ann.adds("p1", at=10, cart="A", variant="red")
    ann.adds("p2", at=10, cart="A")
    ann.orders(at=20, cart="B", lines=[line("p1"), line("p7")])
    assert ann.cart == {("p1", "red"): 1, "p2": 1}


def test_an_order_with_another_carts_name_and_no_lines_removes_nothing():
    ann = a_shopper()
    ann.adds(at=10, cart="A")
    ann.orders(at=20, cart="B")
    assert ann.cart == {"p1": 1}


def test_an_order_with_another_carts_name_does_not_rename_what_it_leaves():
    ann = a_shopper()
    ann.adds(at=10, cart="A")
    ann.orders(at=20, cart="B")
    assert ann.behaviour.cart.name == "A"


def test_a_carts_name_is_the_last_one_that_an_event_gave_it():
    ann = a_shopper()
    names = []
    for number, act in enumerate(
        [
            lambda at: ann.adds("p1", at=at, cart="A"),
            lambda at: ann.adds("p2", at=at),
            lambda at: ann.removes("p2", at=at, cart="B"),
            lambda at: ann.updates(line("p3"), at=at, cart="C"),
            lambda at: ann.checks_out(at=at, cart="D"),
            lambda at: ann.checks_out(at=at),
        ]
    ):
        act(number)
        names.append(ann.behaviour.cart.name)
    assert names == ["A", "A", "B", "C", "D", "D"]


def test_an_empty_cart_has_no_name():
    ann = a_shopper()
    ann.adds(at=10, cart="A")
    ann.removes(at=20, cart="A")
    assert ann.behaviour.cart.name is None
    ann.checks_out(at=30, cart="B")
    assert ann.behaviour.cart.name is None


def test_a_checkout_without_a_cart_makes_none():
    ann = a_shopper()
    ann.checks_out(at=10, cart="A")
    assert ann.behaviour.cart is None


def test_the_fingerprint_ignores_order_and_prices():
    one = lines_of(("p1", None, 1), ("p2", "red", 2))
    other = [CartLine(Product("p2", "red", price_minor=1), 2, 9), CartLine(Product("p1"), 1, 9)]
    assert fingerprint_of(one) == fingerprint_of(other)


@pytest.mark.parametrize(
    "other",
    [
        [],
        [("p1", None, 1)],
        [("p1", None, 2), ("p2", "red", 2)],
        [("p1", None, 1), ("p2", "blue", 2)],
        [("p1", None, 1), ("p3", "red", 2)],
        [("p1", "red", 2), ("p2", None, 1)],
        [("p1", "", 1), ("p2", "red", 2)],
    ],
)
def test_the_fingerprint_depends_on_ids_variants_and_quantities(other):
    one = lines_of(("p1", None, 1), ("p2", "red", 2))
    assert fingerprint_of(one) != fingerprint_of(lines_of(*other))


def test_an_empty_cart_has_no_fingerprint():
    assert fingerprint_of([]) == ""


def test_a_cart_never_grows_past_500_lines():
    ann = a_shopper()
    ann.updates(*(line(f"p{n}") for n in range(MAX_LINES - 1)), at=10)
    ann.adds("last", at=20)
    ann.adds("excess", at=30)
    ann.adds("p0", at=40)
    assert len(ann.cart) == MAX_LINES == 500
    assert "excess" not in ann.cart
    assert (ann.cart["last"], ann.cart["p0"]) == (1, 2)


def test_a_line_never_grows_past_10000():
    ann = a_shopper()
    ann.adds(at=10, quantity=MAX_QUANTITY - 1)
    ann.adds(at=20, quantity=2)
    ann.adds(at=30, quantity=MAX_QUANTITY)
    assert ann.cart == {"p1": 10_000}
    ann.updates(line(quantity=9_000), line(quantity=9_000), at=40)
    assert ann.cart == {"p1": 10_000}


def full_cart(left=0):
    """Return a shopper whose cart has room for so many more bytes."""
    ann = a_shopper()
    for number in range(4):
        ann.adds(f"p{number}", at=number, name="x" * 60_000)
    taken = stored(ann.behaviour.cart.lines) + stored(product("last", name="x" * 999)) - 999
    ann.adds("last", at=5, name="x" * (MAX_CART_BYTES - taken - left))
    assert "last" in ann.cart
    return ann


def stored(part):
    return len(msgspec.msgpack.encode(part))


def test_a_cart_ignores_a_line_beyond_its_bytes_and_takes_one_that_fits():
    ann = full_cart(left=200)
    before = ann.cart
    ann.adds("long", at=30, name="x" * 300)
    assert ann.cart == before
    assert ann.behaviour.cart.changed_ms == 5
    ann.adds("short", at=40)
    assert ann.cart == {**before, "short": 1}


def test_in_a_full_cart_quantities_and_prices_still_change_and_longer_texts_do_not():
    ann = full_cart()
    ann.adds("p0", at=30, price=777, currency="USD", name="z" * 60_001, quantity=2)
    first = ann.behaviour.cart.lines[0]
    assert (first.quantity, first.product) == (3, product("p0", 777, "USD", name="x" * 60_000))


def test_in_a_full_cart_a_text_no_longer_than_the_known_one_takes_its_place():
    ann = full_cart()
    ann.adds("p0", at=30, name="z" * 60_000)
    assert ann.behaviour.cart.lines[0].product.name == "z" * 60_000
    ann.adds("p0", at=31, name="short")
    ann.adds("p1", at=32, name="y" * 60_500)
    assert [one.product.name[:1] for one in ann.behaviour.cart.lines[:2]] == ["s", "y"]


def test_one_update_always_fits_into_a_cart():
    ann = full_cart()
    ann.updates(*(line(f"q{n}", name="x" * 60) for n in range(MAX_LINES)), at=30)
    assert len(ann.cart) == MAX_LINES


def test_a_cart_is_told_from_another_by_any_name_however_long():
    long, other = "x" * 60_000, "x" * 60_000 + "y"
    for order, left in [(long, {}), (other, {"p1": 1}), ("B", {"p1": 1})]:
        ann = a_shopper()
        ann.adds("p1", at=10, cart=long)
        assert len(ann.behaviour.cart.name) <= MAX_NAME
        ann.orders(at=20, cart=order)
        assert ann.cart == left


def test_evidence_names_what_changed_the_cart_newest_last():
    ann = a_shopper()
    ann.adds("p1", at=10, id="first")
    ann.views(at=11, id="page")
    ann.removes("p9", at=12, id="nothing")
    ann.updates(line("p1", price=1), at=13, id="price alone")
    ann.adds("p2", at=14, id="second")
    assert ann.behaviour.cart.evidence == ["first", "second"]


def test_evidence_keeps_the_20_newest():
    ann = a_shopper()
    for number in range(MAX_EVIDENCE + 5):
        ann.adds(f"p{number}", at=number, id=f"e{number}")
    assert ann.behaviour.cart.evidence == [f"e{n}" for n in range(5, 25)]


def test_evidence_is_gone_with_the_contents():
    ann = a_shopper()
    ann.adds("p1", at=10, id="first")
    ann.removes("p1", at=20)
    ann.adds("p2", at=30, id="second")
    assert ann.behaviour.cart.evidence == ["second"]


def test_two_shoppers_share_no_cart():
    ann = a_shopper()
    bob = Shopper(world=ann.world, who=("shop", "bob"))
    other = Shopper(world=ann.world, who=("other", "ann"))
    for one in (bob, other):
        one.grants(at=0)
    ann.adds("p1", at=1)
    bob.adds("p2", at=1)
    other.adds("p3", at=1)
    assert (ann.cart, bob.cart, other.cart) == ({"p1": 1}, {"p2": 1}, {"p3": 1})
