"""Whatever strangers send: it is read the same way twice, and what comes out is valid."""

from contextlib import nullcontext, suppress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.adapters.wire.codec import LANE_TYPES, Rejected, decode_fields
from stream.mappers import SEARCHED_NAMES, VENDORS, Hints, NotCarriedOut, Unreadable, to_events
from tests.mappers.test_golden import CASES

AT_MS = 1_795_773_600_000
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=20),
    st.sampled_from(
        ["EUR", "jpy", "1e400", "1e9999999", "-1", "anna@shop.example", "2026-02-30", "x" * 300]
    ),
)
OWN_IDS = {"messageId", "event_id", "itemId", "id"}
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def damaged(draw, value):
    """Return a golden event with some of its values replaced by anything."""
    if isinstance(value, dict):
        return {name: damaged(draw, one) for name, one in value.items()}
    if isinstance(value, list):
        return [damaged(draw, one) for one in value]
    return draw(JSON) if draw(st.integers(0, 4)) == 0 else value


@st.composite
def sent(draw):
    vendor, case = draw(st.sampled_from(CASES))
    return vendor, damaged(draw, case["in"]), case.get("headers", {})


def check(vendor, given, headers):
    hints = Hints(AT_MS, "v1", None, headers, visitors=("v2",), verified=str.upper)
    if vendor in SEARCHED_NAMES and isinstance(given, dict):
        assert all("/" in name for name in SEARCHED_NAMES[vendor](given, hints))
    try:
        mapped = to_events(vendor, given, hints)
    except (Unreadable, NotCarriedOut):
        return
    assert to_events(vendor, given, hints) == mapped
    assert all(len(name) <= 64 for name in mapped.unmapped)
    ids = [event.get("id") for event in mapped.events]
    assert len(set(ids)) == len(ids)
    for event in mapped.events:
        # A canonical event in an envelope is as its sender made it.
        with suppress(Rejected) if vendor == "cloudevents" else nullcontext():
            decode_fields(orjson.loads(orjson.dumps(event)), LANE_TYPES)


@given(sent())
def test_a_damaged_event_is_read_or_refused(one):
    check(*one)


CASE_OF = dict(reversed(CASES))


# An envelope always has an id of its own, and an order of WooCommerce's is its own id.
@pytest.mark.parametrize("vendor", sorted(VENDORS.keys() - {"cloudevents", "woocommerce"}))
def test_what_is_delivered_again_has_the_same_ids(vendor):
    case = CASE_OF[vendor]
    given = {name: value for name, value in case["in"].items() if name not in OWN_IDS}
    base = {"webhook-id": "msg-1"} | {
        name: value for name, value in case.get("headers", {}).items() if not name.endswith("-id")
    }

    def ids(given, headers, at_ms=AT_MS):
        mapped = to_events(vendor, given, Hints(at_ms, "v1", None, base | headers))
        return [event["id"] for event in mapped.events]

    first = ids(given, {})
    assert first
    assert ids(given, {}, AT_MS + 5_000) == first
    assert not set(ids(given | {"note": "another body"}, {})) & set(first)
    assert not set(ids(given, {"webhook-id": "msg-2"})) & set(first)


@given(st.sampled_from(sorted(VENDORS)), JSON)
def test_anything_is_read_or_refused(vendor, value):
    check(vendor, value, {})


@pytest.mark.parametrize("vendor", ["segment", "snowplow", "shopify", "ga4"])
def test_a_mail_address_is_nobodys_visitor(vendor):
    case = next(case for one, case in CASES if one == vendor)
    with pytest.raises(Unreadable) as refused:
        to_events(vendor, case["in"], Hints(AT_MS, "anna@shop.example", None, {}))
    assert "shop.example" not in str(refused.value)
