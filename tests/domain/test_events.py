"""The contract's tables and bounds, as types; decoding itself is tested with the codec."""

from dataclasses import dataclass, field

import msgspec
import pytest

from stream.domain.events import (
    MAX_LINES,
    MAX_QUANTITY,
    MAX_SAFE_INTEGER,
    AnyEvent,
    Product,
    Purposes,
)
from stream.domain.fold import FOLDS
from stream.domain.topics import LANES, TYPE_OF, event_types

COMMON = {"id", "tenant", "visitor", "at_ms", "received_at_ms", "context"}
# The contract's tables, letter by letter: a question mark makes a field optional.
FIELDS = {
    "page_viewed": "url title? referrer? tags?",
    "product_viewed": "product",
    "product_list_viewed": "list? products?",
    "products_searched": "query",
    "page_left": "url dwell_ms scroll_pct?",
    "exit_signalled": "signal dwell_ms url?",
    "product_added": "product quantity cart?",
    "product_removed": "product_id variant? quantity? cart?",
    "cart_updated": "lines cart?",
    "checkout_started": "order? cart?",
    "checkout_step_completed": "step name? shipping_minor?",
    "payment_failed": "code? reason?",
    "order_completed": "order total_minor currency lines? cart?",
    "order_refunded": "order total_minor",
    "consent_updated": "purposes valid_until_ms? source? policy?",
    "erasure_requested": "",
    "action_shown": "trigger_id",
    "action_clicked": "trigger_id",
    "action_dismissed": "trigger_id",
    "message_sent": "trigger_id channel",
    "message_refused": "trigger_id channel code?",
    "message_skipped": "trigger_id channel reason attempts?",
    "message_bounced": "trigger_id channel bounce?",
    "message_clicked": "trigger_id channel",
    "message_unsubscribed": "trigger_id channel",
    "cancel_sent": "trigger_id channel",
    "cancel_refused": "trigger_id channel code?",
}
IN_TOPICS = {
    "consent-events": ["consent_updated", "erasure_requested"],
    "visitor-facts": [],
    "message-feedback": [
        *("action_shown", "action_clicked", "action_dismissed", "message_sent"),
        *("message_refused", "message_skipped", "cancel_sent", "cancel_refused"),
        *("message_bounced", "message_clicked", "message_unsubscribed"),
    ],
    "cart-events": [
        *("product_added", "product_removed", "cart_updated", "checkout_started"),
        *("checkout_step_completed", "payment_failed", "order_completed", "order_refunded"),
    ],
    "page-views": [
        *("page_viewed", "product_viewed", "product_list_viewed", "products_searched"),
        *("page_left", "exit_signalled"),
    ],
}
PURPOSES = "analytics personalization marketing_email marketing_sms ads sale_share"
BASE = {"id": "e1", "visitor": "ann", "at_ms": 0}
ITEM = {"id": "p1"}


def read(name, **fields):
    return msgspec.convert({"type": name, **BASE, **fields}, AnyEvent)


def test_each_topic_has_the_types_of_the_contract():
    assert {t: [TYPE_OF[kind] for kind in row.types] for t, row in LANES.items()} == IN_TOPICS


def test_consent_comes_first_at_equal_timestamps_then_facts_feedback_the_cart_and_pages():
    assert list(LANES) == [*IN_TOPICS]
    assert next(iter(LANES)) == "consent-events"


def test_each_type_of_event_in_the_lanes_is_folded_and_belongs_to_one_topic():
    assert set(FOLDS) == set(event_types(LANES))
    assert len(event_types(LANES)) == sum(len(row.types) for row in LANES.values())


def test_nobody_outside_may_write_internal_facts():
    outside = {"storefront", "edge", "emailer", "webhooks"}
    assert outside.isdisjoint(LANES["visitor-facts"].writers)


@pytest.mark.parametrize("kind", event_types(LANES), ids=TYPE_OF.get)
def test_a_type_has_the_fields_of_the_contract(kind):
    fields = {one.name: one.required for one in msgspec.structs.fields(kind)}
    named = {name: fields[name] for name in fields if name not in COMMON}
    expected = FIELDS[TYPE_OF[kind]].split()
    assert named == {name.rstrip("?"): not name.endswith("?") for name in expected}
    assert {name for name in COMMON if fields[name]} == {"id", "visitor", "at_ms"}


def test_the_purposes_are_those_of_the_contract():
    assert Purposes.__struct_fields__ == tuple(PURPOSES.split())


def test_a_product_has_the_fields_of_the_contract():
    fields = "id variant name category brand price_minor currency url image_url tags"
    assert Product.__struct_fields__ == tuple(fields.split())


def test_the_tenant_is_default_where_none_is_named():
    assert read("page_viewed", url="/").tenant == "default"


def test_a_newer_producers_fields_are_ignored():
    assert read("page_viewed", url="/", colour="red").url == "/"
    assert read("consent_updated", purposes={"telepathy": "granted"}).purposes == Purposes()


@dataclass
class Bound:
    """A field with values just within its bound, and just beyond it."""

    name: str
    within: list
    beyond: list
    type: str = "page_viewed"
    fields: dict = field(default_factory=lambda: {"url": "/"})

    def holding(self, value):
        return self.type, {**self.fields, self.name: value}


def lines(count, quantity=1):
    return [{"product": {"id": f"p{n}"}, "quantity": quantity} for n in range(count)]


INTEGERS = [[-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER], [MAX_SAFE_INTEGER + 1, -MAX_SAFE_INTEGER - 1]]
PRICES = [[0, MAX_SAFE_INTEGER], [-1, MAX_SAFE_INTEGER + 1, 0.5, "5"]]
QUANTITIES = [[1, MAX_QUANTITY], [0, -1, MAX_QUANTITY + 1, 1.5, "1"]]
BOUNDS = [
    Bound("id", ["e", "e" * 64], ["", "e" * 65, 1]),
    Bound("tenant", ["t", "t" * 64], ["", "t" * 65, None]),
    Bound("visitor", ["v", "v" * 128, "é" * 128], ["", "v" * 129]),
    Bound("at_ms", INTEGERS[0], [*INTEGERS[1], 1.5, "1", None, True]),
    Bound("received_at_ms", [None, *INTEGERS[0]], INTEGERS[1]),
    Bound(
        "context",
        [
            None,
            {},
            {"country": "DE", "locale": "de-DE", "timezone": "Europe/Berlin", "bot": True},
            {"device": "desktop"},
            {"device": "mobile"},
            {"device": "tablet"},
        ],
        [
            {"country": "DEU"},
            {"country": "DE\n"},
            {"device": "fridge"},
            {"bot": 1},
            [],
        ],
    ),
    Bound("quantity", *QUANTITIES, "product_added", {"product": ITEM}),
    Bound(
        "quantity", [None, *QUANTITIES[0]], QUANTITIES[1], "product_removed", {"product_id": "p"}
    ),
    Bound("total_minor", *PRICES, "order_refunded", {"order": "o1"}),
    Bound("total_minor", *PRICES, "order_completed", {"order": "o1", "currency": "EUR"}),
    Bound(
        "currency",
        ["EUR", "XXX"],
        ["eur", "EURO", "EUR\n", "€", "", None],
        "order_completed",
        {"order": "o1", "total_minor": 0},
    ),
    Bound(
        "product",
        [ITEM, {**ITEM, "price_minor": 0, "currency": "EUR"}],
        [{}, {"id": 1}, *({**ITEM, "price_minor": price} for price in PRICES[1])],
        "product_viewed",
        {},
    ),
    Bound(
        "lines",
        [[], lines(MAX_LINES), lines(1, MAX_QUANTITY)],
        [None, lines(MAX_LINES + 1), lines(1, MAX_QUANTITY + 1), lines(1, 0)],
        "cart_updated",
        {},
    ),
    Bound(
        "signal",
        ["pointer_left_top", "tab_hidden", "back_navigation", "fast_scroll_up", "idle"],
        ["bored", None],
        "exit_signalled",
        {"dwell_ms": 1},
    ),
    Bound("dwell_ms", *INTEGERS, "exit_signalled", {"signal": "idle"}),
    Bound("step", *INTEGERS, "checkout_step_completed", {}),
    Bound("shipping_minor", *PRICES, "checkout_step_completed", {"step": 1}),
    Bound("valid_until_ms", [None, *INTEGERS[0]], INTEGERS[1], "consent_updated", {"purposes": {}}),
    Bound(
        "purposes",
        [{}, {"ads": "granted"}, {"ads": "denied"}, {"ads": "withdrawn"}],
        [None, [], {"ads": True}, {"ads": "expired"}],
        "consent_updated",
        {},
    ),
]


def cases(side):
    return [
        pytest.param(*bound.holding(value), id=f"{bound.type}-{bound.name}-{value!s:.30}")
        for bound in BOUNDS
        for value in getattr(bound, side)
    ]


@pytest.mark.parametrize(("name", "fields"), cases("within"))
def test_what_lies_within_the_bounds_is_taken(name, fields):
    assert TYPE_OF[type(read(name, **fields))] == name


@pytest.mark.parametrize(("name", "fields"), cases("beyond"))
def test_what_lies_beyond_the_bounds_is_refused(name, fields):
    with pytest.raises(msgspec.ValidationError):
        read(name, **fields)
