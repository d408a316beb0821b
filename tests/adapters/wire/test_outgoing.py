import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.adapters.wire.codec import Defect, encode_record
from stream.adapters.wire.outgoing import outgoing, rfc3339, source_of
from stream.domain.records import Decision, Example, Trigger, TriggerCancel
from stream.shard.ports import DeadLetter
from tests.adapters.wire.generated import EFFECTS

SOURCE = "/cartwake/shop"
SOME = settings(deadline=None, max_examples=60)

DECISION = Decision(
    decision_id="d1",
    kind="exit_intent",
    tenant="default",
    visitor="Zoë",
    outcome="skipped",
    reason="holdout",
    at_ms=1_470_000_000_123,
)
CANCEL = TriggerCancel(
    trigger_id="t1",
    kind="cart_abandonment",
    tenant="default",
    visitor="v1",
    reason="erased",
    at_ms=0,
)
EXAMPLE = Example(
    example_id="x1",
    model="purchase_after_add",
    features={"pages": 3.0},
    label=False,
    predicted=0.25,
    version=7,
    at_ms=0,
)


def test_a_decision_is_published_under_its_visitor_with_cloud_event_headers():
    entry = outgoing(DECISION, 1_470_000_001_000, SOURCE)
    assert (entry.topic, entry.key, entry.needs) == ("decisions", "Zoë".encode(), None)
    assert entry.value == encode_record(DECISION)
    assert entry.headers == [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"d1"),
        ("ce_source", b"/cartwake/shop/decisions"),
        ("ce_type", b"cartwake.decision.v1"),
        ("ce_time", b"2016-07-31T21:20:00.123Z"),
        ("ce_recordedtime", b"2016-07-31T21:20:01.000Z"),
        ("content-type", b"application/json"),
    ]


def test_a_cancel_repeats_the_id_of_its_trigger_under_a_source_of_its_own():
    entry = outgoing(CANCEL, 0, SOURCE)
    headers = dict(entry.headers)
    assert (entry.topic, entry.key) == ("trigger-cancels", b"v1")
    assert (headers["ce_id"], headers["ce_source"]) == (b"t1", b"/cartwake/shop/trigger-cancels")


def test_an_example_is_keyed_by_its_model_and_names_nobody():
    entry = outgoing(EXAMPLE, 0, SOURCE)
    assert (entry.topic, entry.key) == ("training-examples", b"purchase_after_add")
    assert dict(entry.headers)["ce_id"] == b"x1"


@SOME
@given(EFFECTS)
def test_only_a_trigger_says_whose_consent_it_needs(effect):
    entry = outgoing(effect, 0, SOURCE)
    if isinstance(effect, Trigger):
        assert entry.topic == "triggers"
        assert entry.needs == (effect.kind, effect.tenant, effect.visitor)
        assert dict(entry.headers)["ce_id"].decode() == effect.trigger_id
        assert dict(entry.headers)["ce_time"].decode() == rfc3339(effect.due_at_ms)
    else:
        assert entry.needs is None


@SOME
@given(EFFECTS, st.integers(), st.integers())
def test_key_and_value_do_not_depend_on_when_it_was_decided(effect, one_ms, other_ms):
    one, other = outgoing(effect, one_ms, SOURCE), outgoing(effect, other_ms, SOURCE)
    assert (one.topic, one.key, one.value) == (other.topic, other.key, other.value)


@pytest.mark.parametrize(("key", "value"), [(b"v1", b"\xff{"), (None, None), (b"", b"")])
def test_a_dead_letter_keeps_its_bytes_and_says_where_they_were_read_and_why(key, value):
    detail = "$.url: Expected `str`"
    dead = DeadLetter("cart-events", 11, 42, key, value, Defect.INVALID, detail)
    entry = outgoing(dead, 0, SOURCE)
    assert (entry.topic, entry.key, entry.value) == ("dead-letters", key, value)
    headers = {name: text.decode() for name, text in entry.headers}
    assert headers == {
        "ce_specversion": "1.0",
        "ce_id": "cart-events-11-42",
        "ce_source": "/cartwake/shop/dead-letters",
        "ce_type": "cartwake.dead-letter.v1",
        "ce_time": "1970-01-01T00:00:00.000Z",
        "ce_recordedtime": "1970-01-01T00:00:00.000Z",
        "content-type": "application/octet-stream",
        "__streams.errors.topic": "cart-events",
        "__streams.errors.partition": "11",
        "__streams.errors.offset": "42",
        "__streams.errors.exception": "stream.adapters.wire.codec.Rejected",
        "__streams.errors.message": "$.url: Expected `str`",
        "reason": "invalid",
    }


@pytest.mark.parametrize(
    ("at_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (-(2**53), "0001-01-01T00:00:00.000Z"),
        (2**53, "9999-12-31T23:59:59.999Z"),
        (2**63, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_every_moment_that_a_record_may_name_has_a_time(at_ms, text):
    assert rfc3339(at_ms) == text


def test_a_source_is_a_uri_reference_whatever_the_group_is_called():
    assert source_of("cartwake") == "/cartwake/cartwake"
    assert source_of("shop/ü b") == "/cartwake/shop%2F%C3%BC%20b"
