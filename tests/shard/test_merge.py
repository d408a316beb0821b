import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream.shard.merge import MAX_MARKS, Lane, LastRecord, Mark, Merge
from tests.scenarios.world import Record

# A busy machine is slow, not wrong.
SOME = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])

CONSENT, CART, PAGES = "consent-events", "cart-events", "page-views"
TOPICS = (CONSENT, CART, PAGES)


def record(topic, offset, timestamp):
    return Record(topic, 0, offset, timestamp, None, None)


def merge_of(**timestamps):
    """Return a merge that has received these records at moment 1, and nothing else."""
    merge = Merge(dict.fromkeys(TOPICS, 0))
    for lane, moments in zip(merge.lanes.items(), timestamps.values(), strict=True):
        receive(merge, lane[0], moments)
    return merge


def receive(merge, topic, timestamps, received=1.0):
    lane = merge.lanes[topic]
    at = lane.position
    records = [record(topic, at + number, ms) for number, ms in enumerate(timestamps)]
    lane.receive(records, at + len(records), received)


def end_seen(merge, *topics, asked=2.0, asked_ms=0):
    """Note a fetch that found nothing beyond what has been received."""
    for topic in topics:
        lane = merge.lanes[topic]
        lane.mark(Mark(asked, asked_ms, lane.position))


def names(records):
    return [(one.topic, one.offset) for one in records]


# Order


def test_records_leave_in_the_order_of_their_timestamps():
    merge = merge_of(consent=[5], cart=[1, 9], pages=[3])
    end_seen(merge, *TOPICS)
    assert names(merge.take(9)) == [(CART, 0), (PAGES, 0), (CONSENT, 0), (CART, 1)]


def test_at_one_timestamp_consent_comes_before_the_cart_and_the_cart_before_pages():
    merge = merge_of(consent=[7], cart=[7], pages=[7])
    end_seen(merge, *TOPICS)
    assert names(merge.take(9)) == [(CONSENT, 0), (CART, 0), (PAGES, 0)]


def test_at_one_timestamp_a_topics_own_records_keep_the_order_of_their_offsets():
    merge = merge_of(consent=[7, 7], cart=[7, 7], pages=[])
    end_seen(merge, *TOPICS)
    assert names(merge.take(9)) == [(CONSENT, 0), (CONSENT, 1), (CART, 0), (CART, 1)]


def test_a_record_with_an_earlier_timestamp_does_not_overtake_its_own_topic():
    merge = merge_of(consent=[20, 5], cart=[10], pages=[])
    end_seen(merge, *TOPICS)
    assert names(merge.take(9)) == [(CART, 0), (CONSENT, 0), (CONSENT, 1)]


def test_records_of_before_the_epoch_and_far_ahead_have_their_place():
    merge = merge_of(consent=[2**62], cart=[-(2**62)], pages=[0])
    end_seen(merge, *TOPICS)
    assert names(merge.take(9)) == [(CART, 0), (PAGES, 0), (CONSENT, 0)]


def test_no_more_records_are_taken_than_asked_for():
    merge = merge_of(consent=[1, 2, 3], cart=[], pages=[])
    end_seen(merge, *TOPICS)
    assert [len(merge.take(2)), len(merge.take(2)), len(merge.take(2))] == [2, 1, 0]


# Causal release


def test_a_record_waits_for_a_topic_of_which_nothing_is_known():
    merge = merge_of(consent=[], cart=[1], pages=[])
    end_seen(merge, CART, PAGES)
    assert merge.take(9) == []


def test_a_record_waits_although_an_end_was_seen_before_it_came():
    merge = merge_of(consent=[], cart=[], pages=[])
    end_seen(merge, *TOPICS, asked=2.0)
    receive(merge, CART, [1], received=2.0)
    assert merge.take(9) == []


def test_a_record_leaves_once_the_end_was_asked_for_after_it_had_come():
    merge = merge_of(consent=[], cart=[], pages=[])
    end_seen(merge, *TOPICS, asked=2.0)
    receive(merge, CART, [1], received=3.0)
    end_seen(merge, CONSENT, asked=3.5)
    assert merge.take(9) == []
    end_seen(merge, PAGES, asked=3.5)
    assert names(merge.take(9)) == [(CART, 0)]


def test_an_end_further_than_what_has_been_received_does_not_release():
    merge = merge_of(consent=[], cart=[1], pages=[])
    end_seen(merge, PAGES)
    merge.lanes[CONSENT].mark(Mark(2.0, 0, end=1))
    assert merge.take(9) == []
    receive(merge, CONSENT, [0], received=2.5)
    end_seen(merge, PAGES, CART, asked=3.0)
    assert names(merge.take(9)) == [(CONSENT, 0), (CART, 0)]


def test_a_later_record_at_hand_releases_without_an_end():
    merge = merge_of(consent=[2], cart=[1], pages=[2])
    assert names(merge.take(9)) == [(CART, 0)]


def test_each_record_waits_for_an_end_asked_after_itself():
    merge = merge_of(consent=[], cart=[1], pages=[])
    receive(merge, CART, [2], received=5.0)
    end_seen(merge, CONSENT, PAGES, asked=4.0)
    assert names(merge.take(9)) == [(CART, 0)]
    end_seen(merge, CONSENT, PAGES, asked=6.0)
    assert names(merge.take(9)) == [(CART, 1)]


def test_the_last_record_of_a_topic_does_not_let_the_others_pass_unseen():
    merge = merge_of(consent=[1], cart=[2, 3], pages=[9])
    assert names(merge.take(9)) == [(CONSENT, 0)]
    receive(merge, CONSENT, [2], received=4.0)
    assert names(merge.take(9)) == [(CONSENT, 1)]


# Offsets and ends


def test_offsets_are_those_of_the_next_records_to_be_taken():
    merge = merge_of(consent=[1, 4], cart=[2], pages=[])
    end_seen(merge, *TOPICS)
    merge.take(1)
    assert merge.offsets() == {CONSENT: 1, CART: 0, PAGES: 0}
    assert len(merge) == 2
    merge.take(9)
    assert merge.offsets() == {CONSENT: 2, CART: 1, PAGES: 0}


def test_reading_starts_where_the_state_ends():
    merge = Merge({CONSENT: 40, CART: 7, PAGES: 0})
    assert merge.offsets() == {CONSENT: 40, CART: 7, PAGES: 0}


def test_gaps_in_the_offsets_are_passed():
    merge = Merge(dict.fromkeys(TOPICS, 0))
    merge.lanes[CART].receive([record(CART, 3, 1), record(CART, 8, 2)], 12, 1.0)
    end_seen(merge, *TOPICS)
    merge.take(1)
    assert merge.offsets()[CART] == 8
    merge.take(1)
    assert merge.offsets()[CART] == 12


def test_the_end_is_reached_when_every_topic_was_read_to_one_and_nothing_waits():
    merge = merge_of(consent=[], cart=[1], pages=[])
    end_seen(merge, CART, PAGES)
    assert not merge.is_at_end()
    end_seen(merge, CONSENT)
    assert not merge.is_at_end()
    merge.take(9)
    assert merge.is_at_end()


def test_a_merge_is_ready_when_its_next_record_may_leave():
    merge = merge_of(consent=[], cart=[], pages=[])
    end_seen(merge, *TOPICS, asked=2.0)
    assert not merge.is_ready()
    receive(merge, CART, [1], received=3.0)
    assert not merge.is_ready()
    end_seen(merge, CONSENT, PAGES, asked=4.0)
    assert merge.is_ready()
    merge.take(9)
    assert not merge.is_ready()


# The live clock


def test_there_is_no_clock_before_every_topics_end_is_known():
    merge = merge_of(consent=[], cart=[], pages=[])
    end_seen(merge, CONSENT, CART, asked_ms=100)
    assert merge.clock_ms is None
    end_seen(merge, PAGES, asked_ms=90)
    assert merge.clock_ms == 90


def test_the_clock_is_the_least_of_the_topics_clocks():
    merge = merge_of(consent=[], cart=[], pages=[])
    for topic, asked_ms in zip(TOPICS, (300, 100, 200), strict=True):
        end_seen(merge, topic, asked_ms=asked_ms)
    assert merge.clock_ms == 100


def test_the_clock_waits_until_what_was_stored_has_been_taken():
    merge = merge_of(consent=[], cart=[1, 2], pages=[])
    end_seen(merge, *TOPICS, asked_ms=100)
    assert merge.clock_ms is None
    merge.take(1)
    assert merge.clock_ms is None
    merge.take(1)
    assert merge.clock_ms == 100


def test_the_clock_stands_still_while_a_backlog_drains_and_then_jumps():
    merge = merge_of(consent=[], cart=[], pages=[])
    end_seen(merge, *TOPICS, asked_ms=100)
    lane = merge.lanes[CART]
    for asked_ms in (200, 300, 400):
        receive(merge, CART, [asked_ms], received=float(asked_ms))
        lane.mark(Mark(float(asked_ms), asked_ms, end=3))
        end_seen(merge, CONSENT, PAGES, asked=asked_ms + 0.5, asked_ms=asked_ms)
        seen = merge.clock_ms
        merge.take(9)
        assert seen == 100
    assert merge.clock_ms == 400


def test_of_answers_with_the_same_end_the_latest_counts():
    merge = merge_of(consent=[], cart=[], pages=[])
    for asked_ms in range(100, 200):
        end_seen(merge, *TOPICS, asked=float(asked_ms), asked_ms=asked_ms)
    assert merge.clock_ms == 199
    assert [len(lane._marks) for lane in merge.lanes.values()] == [1, 1, 1]


def test_answers_about_a_growing_topic_are_thinned_and_the_clock_goes_on():
    lane = Lane(0, 0)
    for end in range(10 * MAX_MARKS):
        lane.mark(Mark(float(end), 1_000 + end, end))
        assert len(lane._marks) <= MAX_MARKS
    clocks = []
    for offset in range(10 * MAX_MARKS):
        lane.receive([], offset, 0.0)
        clocks.append(lane.clock_ms)
    assert clocks == sorted(clocks)
    assert all(clock <= 1_000 + offset for offset, clock in enumerate(clocks))
    assert clocks[-1] == 1_000 + 10 * MAX_MARKS - 1


def test_thinning_keeps_the_moment_that_was_reached_last():
    lane = Lane(0, 0)
    lane.mark(Mark(0.0, 10, 0))
    assert lane.clock_ms == 10
    for end in range(1, 10 * MAX_MARKS):
        lane.mark(Mark(float(end), 10 + end, end))
        assert lane.clock_ms == 10


# Properties


class Cluster:
    """Three partitions of a broker and one reader of them, one happening after the other.

    A record's timestamp is the moment at which it was stored, as with ``LogAppendTime``.
    """

    def __init__(self):
        self.now = 0
        self.logs = {topic: [] for topic in TOPICS}
        self.asked = {}
        self.answers = {topic: [] for topic in TOPICS}
        self.merge = Merge(dict.fromkeys(TOPICS, 0))
        self.taken = []

    def store(self, topic):
        self.logs[topic].append(self.now)

    def ask(self, topic):
        self.asked.setdefault(topic, self.now)

    def answer(self, topic, most):
        """Let a fetch's answer leave the broker: what is stored now, at most so many records."""
        if topic not in self.asked:
            return
        position = self.position(topic)
        end = len(self.logs[topic])
        found = self.logs[topic][position : min(position + most, end)]
        self.answers[topic].append((self.asked.pop(topic), position, found, end))

    def position(self, topic):
        waiting = sum(len(found) for _, _, found, _ in self.answers[topic])
        return self.merge.lanes[topic].position + waiting

    def receive(self, topic):
        """Let the reader see the oldest answer that has arrived."""
        if not self.answers[topic]:
            return
        asked, position, found, end = self.answers[topic].pop(0)
        records = [record(topic, position + n, moment) for n, moment in enumerate(found)]
        lane = self.merge.lanes[topic]
        lane.receive(records, position + len(found), float(self.now))
        lane.mark(Mark(float(asked), asked, end))

    def take(self, limit):
        is_ready = self.merge.is_ready()
        taken = self.merge.take(limit)
        assert bool(taken) == is_ready
        self.taken += taken

    def drain(self):
        """Ask, answer and take until everything stored has been taken."""
        for _ in range(3):
            for topic in TOPICS:
                self.now += 1
                self.ask(topic)
                self.answer(topic, 1_000)
                while self.answers[topic]:
                    self.now += 1
                    self.receive(topic)
            self.take(10_000)


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(["store", "store", "ask", "answer", "receive", "take"]),
        st.sampled_from(TOPICS),
        st.integers(1, 3),
    ),
    max_size=120,
)


def play(happenings):
    cluster = Cluster()
    for what, topic, number in happenings:
        cluster.now += 1
        match what:
            case "store":
                cluster.store(topic)
            case "ask":
                cluster.ask(topic)
            case "answer":
                cluster.answer(topic, number)
            case "receive":
                cluster.receive(topic)
            case _:
                cluster.take(number)
        yield cluster


@SOME
@given(HAPPENINGS)
def test_no_record_overtakes_one_that_its_producer_knew_to_be_stored(happenings):
    cluster = Cluster()
    for cluster in play(happenings):  # noqa: B007 - the last one is looked at below
        pass
    cluster.drain()
    moments = [one.timestamp for one in cluster.taken]
    assert moments == sorted(moments)
    assert len(moments) == sum(map(len, cluster.logs.values()))


@SOME
@given(HAPPENINGS)
def test_all_that_was_stored_by_the_clock_has_been_taken_and_it_never_runs_backwards(happenings):
    last = -1
    for cluster in play(happenings):
        clock_ms = cluster.merge.clock_ms
        if clock_ms is None:
            continue
        assert clock_ms >= last
        last = clock_ms
        taken = {(one.topic, one.timestamp) for one in cluster.taken}
        stored = {(topic, at) for topic, kept in cluster.logs.items() for at in kept}
        assert {(topic, at) for topic, at in stored if at <= clock_ms} <= taken


LOGS = st.tuples(*[st.lists(st.integers(0, 12), max_size=8) for _ in TOPICS])


def order_of(logs, fetches, limits):
    """Return the order in which a finished log leaves, read in fetches of these sizes."""
    merge = Merge(dict.fromkeys(TOPICS, 0))
    taken, asked = [], 0.0
    sizes = iter([*fetches, *[(n % 3, 8) for n in range(9)]])
    limits = iter(limits)
    for number, size in sizes:
        lane, kept = merge.lanes[TOPICS[number]], logs[number]
        asked += 2
        receive(merge, TOPICS[number], kept[lane.position :][:size], received=asked + 1)
        lane.mark(Mark(asked, 0, len(kept)))
        taken += merge.take(next(limits, 100))
    return [*taken, *merge.take(100)]


@SOME
@given(
    LOGS,
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=30),
    st.lists(st.integers(0, 4), max_size=30),
)
def test_any_cut_into_fetches_and_batches_gives_the_same_order(logs, fetches, limits):
    whole = order_of(logs, [], [])
    assert len(whole) == sum(map(len, logs))
    assert order_of(logs, fetches, limits) == whole


@SOME
@given(LOGS, st.integers(0, 24))
def test_going_on_from_any_offsets_gives_the_rest_of_the_same_order(logs, cut):
    whole = order_of(logs, [], [])
    cut = min(cut, len(whole))
    taken = [sum(one.topic == topic for one in whole[:cut]) for topic in TOPICS]
    rest = order_of([kept[at:] for kept, at in zip(logs, taken, strict=True)], [], [])
    assert [(one.topic, one.timestamp) for one in rest] == [
        (one.topic, one.timestamp) for one in whole[cut:]
    ]


@pytest.mark.parametrize("topics", [(CART,), (CART, PAGES), (PAGES, CART, CONSENT)])
def test_the_topics_order_is_the_one_they_were_given_in(topics):
    merge = Merge(dict.fromkeys(topics, 0))
    for topic in reversed(topics):
        receive(merge, topic, [1])
    end_seen(merge, *topics)
    assert [one.topic for one in merge.take(9)] == list(topics)


def test_a_record_that_is_only_compared_is_not_to_be_taken_again():
    merge = Merge({"a": 5}, {"a": LastRecord(4, "x")})
    assert (merge.lanes["a"].position, merge.offsets()) == (4, {"a": 5})
    assert merge.last() == {"a": LastRecord(4, "x")}
