"""What the simulated shops send: endless, in order, repeatable, and mostly well-formed."""

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.adapters.wire.codec import Rejected, decode
from stream.demo.traffic import TrafficRecord, traffic

START_MS = 1_790_000_000_000
MAX_RECORD_BYTES = 64 * 1024

seeds = st.integers(0, 2**63)


def first(number: int, *, seed: int = 7, rate: float = 50.0) -> list[TrafficRecord]:
    return list(itertools.islice(traffic(seed=seed, rate=rate, start_ms=START_MS), number))


def during(seconds: float, *, seed: int = 7, rate: float = 50.0) -> Iterator[TrafficRecord]:
    end_ms = START_MS + seconds * 1000
    records = traffic(seed=seed, rate=rate, start_ms=START_MS)
    return itertools.takewhile(lambda record: record.send_ms < end_ms, records)


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_what_is_well_formed_decodes_and_stands_in_its_topic_under_its_visitor(seed):
    for record in first(300, seed=seed):
        if record.note != "malformed":
            event = decode(record.value, record.topic)
            assert event.visitor.encode() == record.key
            assert len(record.value) <= MAX_RECORD_BYTES


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_what_is_malformed_is_refused_or_stands_under_a_foreign_key(seed):
    for record in first(300, seed=seed):
        if record.note == "malformed":
            try:
                event = decode(record.value)
            except Rejected:
                continue
            assert event.visitor.encode() != record.key


@given(seeds)
@settings(max_examples=10, deadline=None)
def test_a_seed_repeats_itself_to_the_byte(seed):
    assert first(200, seed=seed) == first(200, seed=seed)


def test_another_seed_is_another_day():
    assert {record.value for record in first(200, seed=7)}.isdisjoint(
        record.value for record in first(200, seed=8)
    )


@given(seeds)
@settings(max_examples=20, deadline=None)
def test_records_come_in_the_order_in_which_they_are_sent(seed):
    moments = [record.send_ms for record in first(500, seed=seed)]
    assert moments == sorted(moments)
    assert moments[0] >= START_MS


@pytest.mark.parametrize("rate", [0.5, 5.0, 50.0, 400.0])
def test_the_rate_holds_on_average(rate):
    seconds = 20_000 / rate
    sent = sum(1 for _ in during(seconds, rate=rate))
    assert sent == pytest.approx(rate * seconds, rel=0.1)


def test_a_busy_shop_sends_at_once():
    assert len(first(10, rate=1_000_000.0)) == 10


def test_events_carry_the_moment_at_which_they_are_sent_unless_they_are_odd():
    for record in first(2000):
        if record.note == "":
            assert decode(record.value).at_ms == record.send_ms
        elif record.note in {"late", "repeated"}:
            assert decode(record.value).at_ms < record.send_ms


def test_an_event_sent_twice_is_the_same_to_the_byte():
    records = first(5000)
    sent = Counter((record.topic, record.key, record.value) for record in records)
    twice = {(r.topic, r.key, r.value) for r in records if r.note == "repeated"}
    assert twice
    assert all(sent[each] == 2 for each in twice)


def test_ids_are_otherwise_unique_in_a_tenant():
    kept = [decode(r.value) for r in first(5000) if r.note in {"", "late"}]
    assert len({(event.tenant, event.id) for event in kept}) == len(kept)


def test_there_is_a_little_of_everything_odd():
    notes = Counter(record.note for record in first(10_000))
    assert set(notes) == {"", "late", "repeated", "malformed"}
    assert all(notes[odd] < 300 for odd in ("late", "repeated", "malformed"))


def test_malformed_records_are_broken_in_every_way_a_worker_has_to_bear():
    broken = [record for record in first(60_000) if record.note == "malformed"]
    assert any(record.key is None for record in broken)
    assert any(record.key == b"somebody-else" for record in broken)
    assert any(record.value == b"" for record in broken)
    assert any(b"cart_juggled" in record.value for record in broken)
    assert any(b"yesterday" in record.value for record in broken)
    assert any(record.key is not None and b"@" in record.key for record in broken)
    assert any(record.value and not record.value.endswith(b"}") for record in broken)
