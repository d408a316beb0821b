from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.adapters.wire.codec import decode
from stream.domain.visitor import VisitorKey
from stream.shard import limit as module
from stream.shard.clock import Fact
from stream.shard.limit import WINDOW, DeadLetterLimit, Tolerance
from stream.shard.ports import DeadLetter
from tests.adapters.wire.examples import value_of

GOOD = Fact(VisitorKey("shop", "ann"), decode(value_of()), 0, 0, "page-views")


def dead(offset, reason="malformed"):
    return DeadLetter("cart-events", 3, offset, b"ann", b"{", reason, "no JSON")


def records(text):
    """Return a record for each letter: ``x`` is a dead one, whose offset is its place."""
    return [dead(at) if char == "x" else GOOD for at, char in enumerate(text)]


def exceeded(text, **tolerated):
    return DeadLetterLimit(Tolerance(**tolerated)).exceeded(records(text))


EDGE = "." * 19  # with one bad record after it, a share of 0.05


@pytest.mark.parametrize(
    ("text", "goes_too_far"),
    [
        ("", False),
        ("." * 5_000, False),
        ("x" * 100, False),
        ("x" * 101, True),
        (("x" * 100 + ".") * 19, False),  # not yet as many as the share is taken of
        ("." * 4_000 + "x" * 101, True),
        ((EDGE + "x") * 100, False),
        ((EDGE + "x") * 500, False),
        ((EDGE + "x") * 100 + "x", True),
        ("x" * 100 + "." * 1_899, False),
        ("x" * 100 + "." * 1_899 + "x", True),
        ("x" * 100 + "." * 1_900 + "x", False),  # the first of them has left the window
        (("x" * 100 + ".") * 20, True),
    ],
)
def test_by_default_more_than_a_hundred_in_a_row_or_a_twentieth_of_the_last_2000_is_too_much(
    text, goes_too_far
):
    assert bool(exceeded(text)) == goes_too_far


def test_it_tells_what_went_too_far_where_it_began_and_the_reason_that_prevails():
    run = [GOOD, dead(1, "empty"), *(dead(at) for at in range(2, 5)), GOOD]
    assert str(DeadLetterLimit(Tolerance(max_in_a_row=3)).exceeded(run)) == (
        "4 dead letters in a row, most of them malformed, the first at cart-events-3-1"
    )


def test_of_a_share_it_tells_the_first_that_still_counts():
    text = "x" + "." * 1_500 + "x" * 50 + "." * 500 + "x" * 51
    excess = exceeded(text)
    assert excess.limit == "dead_letters.max_share"
    assert str(excess) == (
        "101 dead letters among the last 2,000 records, most of them malformed,"
        " the first at cart-events-3-1501"
    )


def test_the_limit_that_went_first_is_named():
    assert exceeded("x" * 9_000, max_in_a_row=2_500, max_share=1).limit.endswith("max_in_a_row")
    assert exceeded("x" * 9_000, max_in_a_row=2_500).limit.endswith("max_share")


def test_the_highest_values_switch_it_off():
    assert exceeded("x" * 9_000, max_in_a_row=10**9, max_share=1.0) is None


def test_a_share_of_none_takes_none_once_there_are_enough_records():
    assert exceeded("x" * 5 + "." * (WINDOW - 5), max_share=0) is None
    assert exceeded("." * (WINDOW - 1) + "x", max_share=0)


def test_what_is_kept_stays_small_whatever_comes():
    limit = DeadLetterLimit(Tolerance(10**9, 1.0))
    for _ in range(20):
        limit.exceeded(records("x" * 5_000))
    assert len(limit._window) == WINDOW


def plainly(text, max_in_a_row, max_share):
    """Return whether any record, with what came before it, goes too far."""
    window = module.WINDOW
    for end in range(1, len(text) + 1):
        seen = text[:end]
        row = len(seen) - len(seen.rstrip("x"))
        share = seen[-window:].count("x") / window
        if seen[-1] == "x" and (row > max_in_a_row or (end >= window and share > max_share)):
            return True
    return False


@given(
    text=st.text(".x", max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=4),
    max_in_a_row=st.integers(1, 12),
    tenths=st.integers(0, 10),
)
def test_batches_however_cut_are_judged_as_one_plain_count_judges_the_log(
    text, cuts, max_in_a_row, tenths
):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", 10)
        limit = DeadLetterLimit(Tolerance(max_in_a_row, tenths / 10))
        bounds = [0, *sorted(cuts), 60]
        parts = [records(text)[a:b] for a, b in pairwise(bounds)]
        judged = [limit.exceeded(part) for part in parts]
        assert any(judged) == plainly(text, max_in_a_row, tenths / 10)
