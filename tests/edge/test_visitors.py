import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.edge.visitors import VerifiedVisitor, Visitors

NEW, OLD, GONE = "new key", "old key", "key that is gone"


def test_an_id_has_128_random_bits():
    issued = {Visitors([NEW]).issue("tea")[0] for _ in range(100)}
    assert len(issued) == 100
    assert {len(bytes.fromhex(visitor)) for visitor in issued} == {16}


def test_an_issued_id_is_believed():
    visitor, signed = Visitors([NEW]).issue("tea")
    assert Visitors([NEW]).verify(signed, ["tea"]) == VerifiedVisitor("tea", visitor)


def test_a_new_key_loses_no_visitor():
    signed = Visitors([OLD]).sign("tea", "v1")
    assert Visitors([NEW, OLD]).verify(signed, ["tea"]) == VerifiedVisitor("tea", "v1")


def test_it_signs_with_the_first_key():
    signed = Visitors([NEW, OLD]).sign("tea", "v1")
    assert Visitors([NEW]).verify(signed, ["tea"]) == VerifiedVisitor("tea", "v1")


@pytest.mark.parametrize(
    "forged",
    [
        "",
        "v1",
        "v1.",
        "v1.AAAA",
        Visitors([GONE]).sign("tea", "v1"),
        Visitors([NEW]).sign("bike", "v1"),
        "v2." + Visitors([NEW]).sign("tea", "v1").partition(".")[2],
        "v" * 10_000,
        "v1.\ud800",
    ],
)
def test_a_forged_id_is_nobodys(forged):
    assert Visitors([NEW, OLD]).verify(forged, ["tea"]) is None


@given(st.text())
def test_no_text_is_a_signed_id(text):
    assert Visitors([NEW]).verify(text, ["tea"]) is None
