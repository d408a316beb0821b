from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from stream.delivery.backlog import LOOK_BACK_MS, Backlog, is_outcome
from stream.domain.feedback import (
    CancelRefused,
    CancelSent,
    MessageBounced,
    MessageClicked,
    MessageRefused,
    MessageSent,
    MessageSkipped,
)
from stream.domain.records import TriggerCancel
from stream.domain.visitor import VisitorKey
from tests.delivery.triggers import (
    NOW_MS,
    cancel,
    cancel_refused,
    cancel_sent,
    skipped,
    trigger,
    was_refused,
    was_sent,
)

T1, T2 = trigger("1"), trigger("2", visitor="ben")


@pytest.fixture
def backlog():
    return Backlog()


def taken(backlog, now_ms=NOW_MS):
    """Take everything that is due, in order."""
    found = []
    while (pending := backlog.take_due(now_ms)) is not None:
        found.append(pending.about)
    return found


def test_a_trigger_is_owed_once_however_often_it_is_read(backlog):
    for _ in range(3):
        backlog.take(T1, NOW_MS)
    assert len(backlog) == 1
    assert taken(backlog) == [T1]


def test_what_is_taken_is_not_given_to_another(backlog):
    backlog.take(T1, NOW_MS)
    assert backlog.take_due(NOW_MS).about == T1
    backlog.take(T1, NOW_MS)
    assert backlog.take_due(NOW_MS) is None
    assert backlog.next_ms() is None


def test_an_outcome_settles_it_before_and_after_it_was_read(backlog):
    backlog.settle(was_sent(T1), NOW_MS)
    backlog.take(T1, NOW_MS)
    backlog.take(T2, NOW_MS)
    backlog.settle(skipped(T2), NOW_MS)
    assert taken(backlog) == []
    assert len(backlog) == 0


def test_a_cancel_counts_before_and_after_its_trigger(backlog):
    backlog.cancel(cancel(T1), NOW_MS)
    backlog.take(T1, NOW_MS)
    backlog.take(T2, NOW_MS)
    backlog.cancel(cancel(T2), NOW_MS)
    assert all(backlog.is_cancelled(backlog.take_due(NOW_MS)) for _ in range(2))


def test_what_was_put_off_comes_when_it_is_time_and_behind_what_was_due_before(backlog):
    backlog.take(T1, NOW_MS)
    backlog.take(T2, NOW_MS)
    pending = backlog.take_due(NOW_MS)
    backlog.postpone(pending, NOW_MS + 5)
    assert taken(backlog, NOW_MS + 4) == [T2]
    assert backlog.next_ms() == NOW_MS + 5
    assert taken(backlog, NOW_MS + 5) == [T1]


def test_it_knows_when_a_visitor_was_last_sent_anything(backlog):
    assert backlog.last_sent_ms(VisitorKey("default", "anna")) is None
    backlog.settle(was_sent(T1, at_ms=NOW_MS), NOW_MS)
    backlog.settle(was_sent(replace(T1, step=1), at_ms=NOW_MS - 50), NOW_MS)
    backlog.settle(skipped(trigger("3"), at_ms=NOW_MS + 9), NOW_MS)
    assert backlog.last_sent_ms(VisitorKey("default", "anna")) == NOW_MS
    assert backlog.last_sent_ms(VisitorKey("other", "anna")) is None


def test_nothing_is_forgotten_while_its_trigger_may_be_read_again(backlog):
    backlog.settle(was_sent(T1), NOW_MS)
    backlog.cancel(cancel(T2), NOW_MS)
    backlog.forget(NOW_MS + LOOK_BACK_MS)
    backlog.take(T1, NOW_MS)
    backlog.take(T2, NOW_MS)
    assert backlog.is_cancelled(backlog.take_due(NOW_MS))
    assert backlog.take_due(NOW_MS) is None


def test_all_is_forgotten_in_the_end(backlog):
    backlog.settle(was_sent(T1), NOW_MS)
    backlog.cancel(cancel(T2), NOW_MS)
    backlog.forget(NOW_MS + LOOK_BACK_MS + 1)
    assert (backlog._statuses, backlog._sent_ms) == ({}, {})


def test_nothing_is_forgotten_that_is_still_owed(backlog):
    backlog.take(T1, NOW_MS)
    backlog.cancel(cancel(T1), NOW_MS)
    backlog.forget(NOW_MS + LOOK_BACK_MS + 1)
    assert backlog.is_cancelled(backlog.take_due(NOW_MS))


def test_outcomes_are_those_of_the_channel_that_end_its_work():
    told = {"id": "m", "visitor": "anna", "at_ms": 0, "trigger_id": "0" * 32, "channel": "email"}
    ends = [MessageSent(**told), MessageRefused(**told), MessageSkipped(**told, reason="bought")]
    ends += [CancelSent(**told), CancelRefused(**told)]
    assert all(is_outcome(one, "email") for one in ends)
    assert not any(is_outcome(one, "webhook/crm") for one in ends)
    assert not any(is_outcome(kind(**told), "email") for kind in (MessageBounced, MessageClicked))


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("take"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("settle"), st.integers(0, 4), st.just(0)),
        st.tuples(st.just("act"), st.just(0), st.integers(0, 20)),
        st.tuples(st.just("pass"), st.just(0), st.integers(0, 10)),
    )
)


@given(ACTS)
def test_each_trigger_is_acted_on_until_it_is_settled_and_never_after(acts):
    """A naive model: a set of what is open with its moment, and a set of what is settled."""
    backlog, now_ms = Backlog(), NOW_MS
    due, settled = {}, set()
    for act, number, ms in acts:
        one = trigger(str(number))
        match act:
            case "take":
                backlog.take(one, now_ms)
                if one.trigger_id not in settled:
                    due.setdefault(one.trigger_id, now_ms)
            case "settle":
                backlog.settle(was_sent(one), now_ms)
                due.pop(one.trigger_id, None)
                settled.add(one.trigger_id)
            case "pass":
                now_ms += ms
            case _:
                pending = backlog.take_due(now_ms)
                if pending is None:
                    assert all(at_ms > now_ms for at_ms in due.values())
                else:
                    assert due[pending.about.trigger_id] == min(due.values()) <= now_ms
                    backlog.postpone(pending, now_ms + ms)
                    due[pending.about.trigger_id] = now_ms + ms
        assert len(backlog) == len(due)
        assert backlog.next_ms() == min(due.values(), default=None)


# What may be read of a trigger, by the letter that stands for it below.
READS = {
    "t": lambda backlog, one: backlog.take(one, NOW_MS),
    "c": lambda backlog, one: backlog.cancel(cancel(one), NOW_MS),
    "s": lambda backlog, one: backlog.settle(was_sent(one), NOW_MS),
    "k": lambda backlog, one: backlog.settle(skipped(one), NOW_MS),
    "a": lambda backlog, one: backlog.settle(skipped(one, attempts=1), NOW_MS),
    "r": lambda backlog, one: backlog.settle(was_refused(one), NOW_MS),
    "S": lambda backlog, one: backlog.settle(cancel_sent(one), NOW_MS),
    "R": lambda backlog, one: backlog.settle(cancel_refused(one), NOW_MS),
}


def debts(backlog):
    """Return what is backlog: of which trigger, and whether it is the cancel."""
    return {(one.trigger_id, isinstance(one, TriggerCancel)) for one in taken(backlog)}


@pytest.mark.parametrize(
    ("read", "owes"),
    [
        ("t", "trigger"),
        ("tc", "trigger"),  # which is then skipped as cancelled
        ("ts", None),
        ("tsc", "cancel"),
        ("tkc", None),  # never tried
        ("tac", "cancel"),  # tried, and who has not answered may have heard
        ("tkac", "cancel"),
        ("trc", "cancel"),
        ("sc", None),  # nobody knows whether it is wanted here
        ("tscS", None),
        ("tscR", None),
        ("tkscS", None),
        ("tacS", None),
    ],
)
def test_the_cancel_of_what_was_tried_is_owed_in_whatever_order_it_was_read(read, owes):
    expected = set() if owes is None else {(T1.trigger_id, owes == "cancel")}
    for order in permutations(read):
        backlog = Backlog()
        for letter in [*order, *order]:
            READS[letter](backlog, T1)
        assert debts(backlog) == expected, "".join(order)


@given(st.lists(st.tuples(st.sampled_from("tcskarSR"), st.integers(0, 2))), st.randoms())
def test_what_is_owed_follows_from_what_was_read_and_not_from_its_order(reads, random):
    straight, shuffled = Backlog(), Backlog()
    for letter, number in reads:
        READS[letter](straight, trigger(str(number)))
    again = reads + random.sample(reads, len(reads) // 2)
    random.shuffle(again)
    for letter, number in again:
        READS[letter](shuffled, trigger(str(number)))
    assert debts(straight) == debts(shuffled)


def test_a_cancel_is_of_use_for_as_long_as_its_trigger(backlog):
    for letter in "scct":
        READS[letter](backlog, T1)
    assert backlog.take_due(NOW_MS).expires_at_ms == T1.expires_at_ms


def test_the_first_cancel_of_a_trigger_counts(backlog):
    backlog.cancel(cancel(T1), NOW_MS)
    for letter in "ts":
        READS[letter](backlog, T1)
    pending = backlog.take_due(NOW_MS)
    backlog.cancel(cancel(T1, reason="erased"), NOW_MS)
    assert pending.about.reason == "consent_refused"
    assert taken(backlog) == []


def test_what_is_tried_again_stays_one_debt_while_its_records_are_read_again(backlog):
    for letter in "tsc":
        READS[letter](backlog, T1)
    pending = backlog.take_due(NOW_MS)
    pending.attempts += 1
    backlog.postpone(pending, NOW_MS + 5)
    for letter in "tsc":
        READS[letter](backlog, T1)
    assert backlog.next_ms() == NOW_MS + 5
    assert backlog.take_due(NOW_MS + 5) is pending


def test_a_cancel_that_need_not_be_told_is_dropped_for_good(backlog):
    for letter in "tsc":
        READS[letter](backlog, T1)
    backlog.drop(backlog.take_due(NOW_MS), NOW_MS)
    READS["c"](backlog, T1)
    assert len(backlog) == 0


def test_a_trigger_that_is_settled_is_not_kept_whole(backlog):
    for letter in "tst":
        READS[letter](backlog, T1)
    assert backlog._statuses[T1.trigger_id].trigger is None
