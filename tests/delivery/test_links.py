import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.delivery.links import (
    MOST_LINES,
    CartLink,
    LinkedLine,
    Links,
    MessageLink,
    cart_of,
    message_of,
)
from stream.domain.events import Line, Product
from tests.delivery.triggers import CART, trigger

ANNA = MessageLink("shop", "anna", "7" * 32)
LINKS = Links(["a key"])


def test_what_was_signed_is_believed_for_its_use_alone():
    token = LINKS.sign("unsubscribe", ANNA)
    assert LINKS.verify("unsubscribe", token, MessageLink) == ANNA
    assert LINKS.verify("cart", token, MessageLink) is None


def test_a_new_key_comes_first_and_the_old_one_is_still_believed():
    token = LINKS.sign("unsubscribe", ANNA)
    both = Links(["a newer key", "a key"])
    assert both.verify("unsubscribe", token, MessageLink) == ANNA
    assert LINKS.verify("unsubscribe", both.sign("unsubscribe", ANNA), MessageLink) is None


@given(st.data())
def test_a_changed_token_is_not_believed(data):
    token = LINKS.sign("cart", cart_of(trigger()))
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.characters(codec="ascii", min_codepoint=33).filter(lambda c: c != token[at])
    )
    changed = token[:at] + other + token[at + 1 :]
    found = LINKS.verify("cart", changed, CartLink)
    # The last character of the signature's base64 holds bits that mean nothing.
    assert found is None or (at == len(token) - 1 and found == cart_of(trigger()))


@pytest.mark.parametrize("token", ["", ".", "a.b", "é", "x" * 10_000])
def test_garbage_is_not_believed(token):
    assert LINKS.verify("cart", token, CartLink) is None


def test_a_cart_link_holds_the_cart_as_it_was():
    link = cart_of(trigger())
    assert link == CartLink(
        "default", "anna", trigger().trigger_id, CART.fingerprint, [LinkedLine("mug", None, 2)]
    )
    assert LINKS.verify("cart", LINKS.sign("cart", link), CartLink) == link
    assert message_of(trigger()) == MessageLink("default", "anna", trigger().trigger_id)


def test_a_large_cart_is_cut_so_that_its_link_stays_usable():
    lines = [Line(Product(f"product-{number}"), 1) for number in range(500)]
    large = trigger(cart=type(CART)("f" * 32, 0, None, lines))
    assert len(cart_of(large).lines) == MOST_LINES
    assert len(LINKS.sign("cart", cart_of(large))) < 2_000
