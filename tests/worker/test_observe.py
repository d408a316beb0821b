from collections import Counter

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from stream.adapters.redis.connection import Memory
from stream.domain.events import PageViewed
from stream.domain.records import CartSnapshot, Decision, Example, Trigger, TriggerCancel
from stream.domain.visitor import VisitorKey
from stream.shard.clock import Fact, LiveClock
from stream.shard.folding import Batch, Report
from stream.shard.ports import DeadLetter, Ownership, Watermark
from stream.worker.metrics import Metrics
from stream.worker.observe import observe_memory, observe_owners, observe_step
from tests.adapters.wire.test_outgoing import CANCEL, DECISION, EXAMPLE

NOW_MS = 1_480_000_000_000
VISITOR = "zoe-4711"
LETTER = DeadLetter("cart-events", 0, 1, None, b"{", "malformed", "no JSON")


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def metrics(registry):
    return Metrics(registry)


@pytest.fixture
def value(registry):
    """Return what a metric says, by name and labels."""
    return lambda name, **labels: registry.get_sample_value(f"cartwake_{name}", labels)


def fact(record_ms, at_ms=None):
    event = PageViewed(id="e1", visitor=VISITOR, at_ms=record_ms, url="/")
    who = VisitorKey("default", VISITOR)
    return Fact(who, event, record_ms if at_ms is None else at_ms, record_ms, "page-views")


def batch(*inputs):
    return Batch(list(inputs), {}, LiveClock(0, None, NOW_MS), NOW_MS, live=True)


def trigger(due_at_ms):
    return Trigger(
        trigger_id="t1",
        kind="cart_abandonment",
        class_="marketing",
        tenant="default",
        visitor=VISITOR,
        session="s1",
        step=1,
        cart=CartSnapshot("f", 0, None, []),
        evidence=[],
        reason="fired",
        due_at_ms=due_at_ms,
        expires_at_ms=due_at_ms + 1,
        consent={},
    )


def step(metrics, *inputs, acknowledged_ms=NOW_MS, **report):
    observe_step(metrics, batch(*inputs), Report(**report), acknowledged_ms)


def test_events_are_counted_by_topic_type_and_outcome(metrics, value):
    told = {("page-views", "page_viewed", "applied"): 3, ("cart-events", "x", "duplicate"): 2}
    step(metrics, events=Counter(told))
    step(metrics, events=Counter(told))
    labels = {"topic": "page-views", "type": "page_viewed", "outcome": "applied"}
    assert value("events_total", **labels) == 6


def test_refused_and_stale_events_count_for_consent_too(metrics, value):
    refused = ("page-views", "page_viewed", "refused_consent")
    stale = ("consent-events", "consent_updated", "stale")
    step(metrics, events=Counter({refused: 4, stale: 2}))
    assert value("consent_refused_total", purpose="personalization") == 4
    assert value("consent_stale_total") == 2


def test_exit_signals_with_an_empty_cart_are_applied_and_counted(metrics, value):
    exits = ("page-views", "exit_signalled")
    step(metrics, events=Counter({(*exits, "without_cart"): 3, (*exits, "applied"): 2}))
    labels = {"topic": exits[0], "type": exits[1]}
    assert value("exits_without_cart_total") == 3
    assert value("events_total", **labels, outcome="without_cart") is None
    assert value("events_total", **labels, outcome="applied") == 5


def test_the_memory_of_a_server_that_does_not_answer_is_that_of_its_last_answer(metrics, value):
    observe_memory(metrics, {"redis:6379": Memory(80, 100)})
    observe_memory(metrics, {})
    assert value("redis_memory_bytes", server="redis:6379") == 80
    assert value("redis_memory_limit_bytes", server="redis:6379") == 100


def test_the_oldest_record_of_a_batch_tells_how_far_behind_it_was(metrics, value):
    step(metrics, fact(NOW_MS - 500), fact(NOW_MS - 4_000), acknowledged_ms=NOW_MS + 1_000)
    assert value("event_lag_seconds_sum") == 5
    assert value("batch_records_sum") == 2


def test_a_producer_whose_clock_is_ahead_makes_no_negative_lag(metrics, value):
    step(metrics, fact(NOW_MS + 60_000))
    assert (value("event_lag_seconds_sum"), value("event_lag_seconds_count")) == (0, 1)


def test_moved_times_are_counted(metrics, value):
    step(metrics, fact(NOW_MS), fact(NOW_MS, at_ms=NOW_MS - 1), LETTER)
    assert value("events_clamped_total") == 1


def test_dead_letters_are_counted_by_reason_and_say_nothing_of_lag(metrics, value):
    step(metrics, LETTER, dead_letters=[LETTER])
    assert value("dead_letters_total", reason="malformed") == 1
    assert value("event_lag_seconds_count") == 0


def test_a_step_of_wake_ups_alone_is_no_batch(metrics, value):
    step(metrics)
    assert (value("batch_records_count"), value("event_lag_seconds_count")) == (0, 0)


def test_decisions_are_counted_by_kind_outcome_and_reason(metrics, value):
    step(metrics, effects=[DECISION, CANCEL, EXAMPLE])
    labels = {"kind": "exit_intent", "outcome": "skipped", "reason": "holdout"}
    assert value("decisions_total", **labels) == 1
    assert value("consent_refused_total", purpose="marketing_email") is None


@pytest.mark.parametrize(
    ("kind", "purpose"),
    [("cart_abandonment", "marketing_email"), ("exit_intent", "personalization")],
)
def test_a_decision_for_want_of_consent_counts_for_its_purpose(metrics, value, kind, purpose):
    step(metrics, effects=[replace(DECISION, kind=kind, reason="no_consent")])
    assert value("consent_refused_total", purpose=purpose) == 1


def test_a_trigger_is_late_from_its_due_moment_to_its_decision(metrics, value):
    step(metrics, effects=[trigger(NOW_MS - 2_000), trigger(NOW_MS + 5)])
    assert value("trigger_fire_lag_seconds_sum") == 2
    assert value("trigger_fire_lag_seconds_count") == 2


def test_an_answer_is_timed_from_its_record_to_kafkas_word(metrics, value):
    step(metrics, answered_ms=[NOW_MS - 80, NOW_MS + 9], acknowledged_ms=NOW_MS + 20)
    assert value("trigger_end_to_end_seconds_sum") == pytest.approx(0.111)


def test_the_owned_shards_are_added_up(metrics, value):
    owners = [Ownership(n, 1, "t", Watermark(), None, armed=n, pending=10 * n) for n in (1, 2)]
    observe_owners(metrics, [(owner, 0.0) for owner in owners])
    assert [value(name) for name in ("shards_owned", "timers_armed", "outbox_entries")] == [
        2,
        3,
        30,
    ]
    observe_owners(metrics, [])
    assert [value(name) for name in ("shards_owned", "timers_armed", "outbox_entries")] == [
        0,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("stood", "oldest_s", "still_s"),
    [
        ([], 0, 0),
        ([(0, 40.0)], 0, 40),
        ([(3, 40.0)], 40, 40),
        ([(3, 31.0), (0, 40.0), (1, 2.0)], 31, 40),
    ],
    ids=["no shard", "nothing to send", "unsent", "the oldest of several"],
)
def test_what_waits_for_kafka_is_as_old_as_its_shard_has_not_moved(
    metrics, value, stood, oldest_s, still_s
):
    owners = [
        (Ownership(number, 1, "t", Watermark(), None, pending=pending), seconds)
        for number, (pending, seconds) in enumerate(stood)
    ]
    observe_owners(metrics, owners)
    assert value("outbox_oldest_seconds") == oldest_s
    assert value("shard_still_seconds") == still_s


def test_no_visitor_is_ever_a_label(metrics, registry):
    effects = [DECISION, trigger(NOW_MS), CANCEL, EXAMPLE]
    assert {type(one) for one in effects} == {Decision, Trigger, TriggerCancel, Example}
    step(metrics, fact(NOW_MS), effects=effects, events=Counter({("t", "x", "applied"): 1}))
    labels = {
        text
        for family in registry.collect()
        for sample in family.samples
        for text in sample.labels.values()
    }
    assert not any(VISITOR in text or "Zoë" in text for text in labels)
