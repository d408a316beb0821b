import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.adapters.wire.codec import (
    LANE_TYPES,
    MAX_EVENT_BYTES,
    Defect,
    Rejected,
    UnreadableState,
    check_key,
    clamp,
    decode,
    decode_example,
    decode_state,
    encode_record,
    encode_state,
)
from stream.domain.events import Context, ProductAdded
from stream.domain.records import Decision, Example
from stream.domain.topics import LANES, TOPIC_OF, TYPE_OF
from stream.domain.visitor import Behaviour, Visitor
from tests.adapters.wire.examples import (
    COMMON,
    OPTIONAL,
    PAD,
    PAGE,
    PRODUCT,
    REQUIRED,
    SAFE,
    cases,
    fields_of,
    named,
    nested,
    raw,
    rejected,
    value_of,
    without,
)
from tests.adapters.wire.generated import EVENTS, STATES

SOME = settings(deadline=None, max_examples=50)
MORE = settings(deadline=None, max_examples=150)


@pytest.mark.parametrize("depth", [1, 500, 1_000, 1_023])
def test_ignored_fields_may_nest_however_deep_the_caller_stands(depth):
    assert decode(nested(depth)).url == "/"


def test_an_event_of_exactly_the_largest_size_is_accepted():
    value = value_of(title="x" * PAD)
    assert len(value) == MAX_EVENT_BYTES
    assert decode(value).title == "x" * PAD


@pytest.mark.parametrize("name", REQUIRED)
def test_every_type_is_accepted_with_its_required_fields_alone(name):
    event = decode(value_of(name))
    assert TYPE_OF[type(event)] == name
    assert (event.tenant, event.context, event.received_at_ms) == ("default", None, None)


def test_the_tables_of_this_test_know_every_type_and_field():
    assert set(REQUIRED) == set(OPTIONAL) == set(LANE_TYPES)
    # Three of these have a default, and may not be null.
    common = {*COMMON, "tenant", "received_at_ms", "context", "attempts", "bounce"}
    for name, kind in LANE_TYPES.items():
        assert {*REQUIRED[name], *OPTIONAL[name]} == {*kind.__struct_fields__} - common


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_that_is_missing_or_null_is_named(name):
    for field in (*COMMON, *REQUIRED[name]):
        missing = rejected(without(name, field))
        assert (missing.reason, field in missing.detail) == ("invalid", True)
        null = rejected(value_of(name, **{field: None}))
        assert null.reason == "invalid"
        assert null.detail.startswith(f"$.{field}: ")


@pytest.mark.parametrize("name", OPTIONAL)
def test_null_stands_for_an_optional_field_that_is_absent(name):
    nulls = dict.fromkeys([*OPTIONAL[name], "context", "received_at_ms"])
    assert decode(value_of(name, **nulls)) == decode(value_of(name))


@pytest.mark.parametrize("name", REQUIRED)
def test_fields_of_newer_producers_are_ignored(name):
    newer = {"wishlist": [{"deep": {"er": 1.5}}], "schema": 7, "": None, "ü": "\U0001f6d2"}
    assert decode(value_of(name, **newer)) == decode(value_of(name))


def test_a_number_in_an_ignored_field_may_have_any_size():
    for number in (str(2**64), "1" * 400, "1e999"):
        assert decode(raw(extra=number)) == decode(PAGE)


def test_fields_of_newer_producers_are_ignored_inside_products_and_purposes():
    product = PRODUCT | {"colour": "red"}
    assert decode(value_of("product_viewed", product=product)).product.id == "p1"
    purposes = {"ads": "denied", "telepathy": "granted", "analytics": None}
    event = decode(value_of("consent_updated", purposes=purposes))
    assert (event.purposes.ads, event.purposes.analytics) == ("denied", None)


@pytest.mark.parametrize(("name", "changes"), named(cases(within=True)))
def test_a_value_at_its_bound_is_accepted(name, changes):
    decode(value_of(name, **changes))


@pytest.mark.parametrize(("name", "changes"), named(cases(within=False)))
def test_a_value_beyond_its_bound_is_rejected_by_its_place(name, changes):
    why = rejected(value_of(name, **changes))
    assert why.reason == "invalid"
    assert why.detail.startswith(f"$.{next(iter(changes))}")


def test_of_a_repeated_key_the_last_one_counts():
    page = PAGE.decode()
    assert decode(page.replace('"url"', '"url": "/first", "url"').encode()).url == "/"
    assert decode(page.replace('"url"', '"url": 7, "url"').encode()).url == "/"
    assert decode(page.replace('"at_ms"', '"at_ms": 1e3, "at_ms"').encode()).at_ms > 1
    assert rejected(page.replace("}", ', "url": 7}').encode()).reason == "invalid"
    assert rejected(page.replace("}", ', "visitor": "a@b"}').encode()).reason == "email_as_visitor"
    assert decode(page.replace('"visitor"', '"visitor": "a@b", "visitor"').encode()).visitor == "v1"


def test_of_a_repeated_type_the_last_one_counts():
    search = value_of("products_searched").decode()
    for first in ('"page_viewed"', '"nobody_knows"', "7", "null"):
        value = search.replace('{"type"', f'{{"type": {first}, "type"', 1).encode()
        assert decode(value, "page-views").query == "shoes"
    twice = search.replace("}", ', "type": "cart_updated"}').encode()
    assert rejected(twice, "page-views").reason == "wrong_topic"
    assert rejected(twice).reason == "invalid"


def test_of_a_repeated_product_the_last_one_counts_whole():
    value = value_of("product_viewed").decode()
    first = '"product": {"id": 7, "brand": "first"}, "product"'
    product = decode(value.replace('"product"', first, 1).encode()).product
    assert (product.id, product.brand) == ("p1", None)


@pytest.mark.parametrize("topic", LANES)
def test_an_event_is_only_accepted_from_its_own_topic(topic):
    for name, kind in LANE_TYPES.items():
        if TOPIC_OF[kind] == topic:
            assert isinstance(decode(value_of(name), topic), kind)
        else:
            assert rejected(value_of(name), topic).reason == "wrong_topic"
            assert rejected(without(name, "at_ms"), topic).reason == "wrong_topic"


@pytest.mark.parametrize("key", [None, b"", b"v", b"v1 ", b"V1", b"\xff", b'"v1"'])
def test_a_key_that_is_not_the_visitor_is_bad(key):
    with pytest.raises(Rejected) as caught:
        check_key(key, decode(PAGE))
    assert caught.value.reason == Defect.BAD_KEY


def test_a_key_is_the_visitor_in_utf8():
    check_key(b"v1", decode(PAGE))
    check_key("Zoë".encode(), decode(value_of(visitor="Zoë")))


DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("at_ms", "clamped"),
    [
        (-DAY_MS - 1, -DAY_MS),
        (-DAY_MS, -DAY_MS),
        (0, 0),
        (60_000, 60_000),
        (60_001, 60_000),
        (SAFE, 60_000),
        (-SAFE, -DAY_MS),
    ],
)
def test_event_time_stays_within_a_day_before_and_a_minute_after_its_record(at_ms, clamped):
    record_ms = 1_470_000_000_000
    assert clamp(record_ms + at_ms, record_ms) == record_ms + clamped


@MORE
@given(EVENTS)
def test_an_encoded_event_is_decoded_to_itself(event):
    assert decode(encode_record(event), TOPIC_OF[type(event)]) == event


@MORE
@given(EVENTS, st.data())
def test_a_repeated_key_never_changes_an_event(event, data):
    fields = {"type": TYPE_OF[type(event)]} | msgspec.structs.asdict(event)
    value = msgspec.json.encode(fields)  # with what is absent, as null
    junk = data.draw(st.sampled_from([b"null", b"7", b'"x"', b"[]", b"{}", b"1.5"]))
    name = data.draw(st.sampled_from(["type", *type(event).__struct_fields__])).encode()
    assert decode(b'{"%s":%s,%s' % (name, junk, value[1:])) == event


@MORE
@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_rejected_and_nothing_else_happens(value):
    assert isinstance(rejected(value).reason, Defect)


@MORE
@given(EVENTS, st.data())
def test_a_damaged_event_is_accepted_or_rejected_and_nothing_else_happens(event, data):
    value = bytearray(encode_record(event))
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        again = decode(bytes(value))
    except Rejected as why:
        assert isinstance(why.reason, Defect)  # noqa: PT017 - either is right, a third thing is not
    else:
        assert type(again) in TYPE_OF


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@MORE
@given(st.sampled_from(sorted(REQUIRED)), st.data())
def test_a_field_of_any_json_is_accepted_or_rejected_and_nothing_else_happens(name, data):
    field = data.draw(st.sampled_from([*fields_of(name), *OPTIONAL[name], "context", "tenant"]))
    value = value_of(name, **{field: data.draw(JSON)})
    try:
        decode(value)
    except Rejected as why:
        assert why.detail  # noqa: PT017 - either is right, a third thing is not


@SOME
@given(STATES)
def test_a_stored_state_is_read_back_as_it_was(state):
    assert decode_state(encode_state(state)) == state


def test_the_empty_state_is_a_few_bytes_with_the_format_in_front():
    assert encode_state(Visitor()) == b"\x02\x95\x80\xc4\x00\xc0\xc0\xc0"


@SOME
@given(STATES, st.integers(0, 255).filter(lambda number: number not in {1, 2}))
def test_a_state_of_another_format_is_refused_by_its_number(state, number):
    data = bytes([number]) + encode_state(state)[1:]
    with pytest.raises(UnreadableState, match=f"has format {number}, this version reads 1 and 2"):
        decode_state(data)


@SOME
@given(STATES, st.data())
def test_a_cut_state_is_refused(state, data):
    stored = encode_state(state)
    with pytest.raises(UnreadableState):
        decode_state(stored[: data.draw(st.integers(0, len(stored) - 1))])


@SOME
@given(st.binary(max_size=60))
def test_a_damaged_state_is_refused_and_nothing_else_happens(data):
    try:
        decode_state(b"\x02" + data)
    except UnreadableState as why:
        assert str(why) == "the state is damaged"  # noqa: PT017 - chance may make a state


def test_a_state_of_a_version_with_fewer_fields_is_readable():
    older = b"\x02" + msgspec.msgpack.encode([{}, b"", None, [5]])
    assert decode_state(older) == Visitor(behaviour=Behaviour(seen_ms=5))


def test_a_state_of_a_version_with_more_fields_is_readable():
    newer = b"\x02" + msgspec.msgpack.encode([{}, b"", 5, None, 7, "more"])
    assert decode_state(newer) == Visitor(erased_ms=5, seen_ms=7)


def test_a_record_has_one_encoding():
    features = {"b": 1.0, "a": 2.0}
    example = Example(
        example_id="x",
        model="m",
        features=features,
        label=True,
        predicted=0.5,
        version=1,
        at_ms=1,
    )
    backwards = dict(reversed(features.items()))
    again = msgspec.structs.replace(example, features=backwards)
    assert encode_record(example) == encode_record(again)
    assert decode_example(encode_record(example)) == example


@pytest.mark.parametrize("value", [None, b"", b"{}", b"\xff", b'{"example_id": "\xff"}'])
def test_a_foreign_training_example_is_rejected(value):
    with pytest.raises(Rejected):
        decode_example(value)


def test_what_is_absent_is_left_out_of_a_record():
    decision = Decision(
        decision_id="d",
        kind="exit_intent",
        tenant="t",
        visitor="v",
        outcome="skipped",
        reason="holdout",
        at_ms=1,
    )
    assert b"trigger_id" not in encode_record(decision)


def test_an_event_is_encoded_with_its_type():
    event = ProductAdded(
        id="e", visitor="v", at_ms=1, product=decode(value_of("product_viewed")).product, quantity=1
    )
    assert json.loads(encode_record(event))["type"] == "product_added"
    assert decode(value_of(context={"bot": True})).context == Context(bot=True)
