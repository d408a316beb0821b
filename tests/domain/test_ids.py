import pytest

from stream.domain.ids import DIGEST_BYTES, digest, make_id, remember, remembers


def test_an_id_is_the_same_in_every_process_and_every_release():
    # Consumers have seen such ids: with any other value here they would act twice.
    known = "ce27b9dfb45e7ed7e5746504126b9771"
    assert make_id("cart_abandonment", "shop", "ann", 0, 1_800_000, None) == known


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", "b"), ("b", "a")),
        (("a",), ("a", None)),
        ((None,), ("",)),
        ((1,), ("1",)),
        ((-1,), (1,)),
        (("1:a",), ("a",)),
    ],
)
def test_different_parts_give_different_ids(one, other):
    assert make_id(*one) != make_id(*other)


def test_an_id_is_32_hexadecimal_digits():
    assert len(make_id()) == 32
    assert int(make_id("é", 7), 16) > 0


def test_a_digest_has_eight_bytes_and_tells_texts_apart():
    assert len(digest("")) == DIGEST_BYTES == 8
    assert digest("e1") != digest("e2")


def test_what_was_remembered_is_found_wherever_it_stands():
    digests = b""
    for name in ("a", "b", "c"):
        digests = remember(digests, digest(name), newest=3)
    assert all(remembers(digests, digest(name)) for name in ("a", "b", "c"))
    assert not remembers(digests, digest("d"))


def test_nothing_is_found_where_nothing_is_remembered():
    assert not remembers(b"", digest("a"))


def test_the_oldest_is_forgotten_first():
    digests = b""
    for name in ("a", "b", "c"):
        digests = remember(digests, digest(name), newest=2)
    assert not remembers(digests, digest("a"))
    assert digests == digest("b") + digest("c")


def test_bytes_across_two_neighbours_are_no_digest():
    wanted = b"12345678"
    across = b"xxxx1234" + b"5678xxxx"
    assert not remembers(across, wanted)
    assert remembers(across + wanted, wanted)
