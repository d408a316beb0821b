"""The shop's hits as canonical events."""

import gzip
import itertools
from collections import Counter

import msgspec
import pytest

from stream.domain.events import AnyEvent
from stream.domain.topics import TOPIC_OF
from tests.rig import merch_store
from tests.rig.merch_hits import GROUPS, group_of

AUGUST_2016_MS = 1_470_034_800_000

COLUMNS = (
    *("ts_ms", "fullVisitorId", "visitId", "visitNumber", "hitNumber", "hit_type", "action_type"),
    *("event", "checkout_step", "page_path", "is_exit", "event_category", "event_action"),
    *("product_skus", "product_prices_micros", "product_qtys"),
    *("transaction_id", "transaction_revenue_micros", "device", "country", "channel"),
)


def visitor_of(group):
    return next(name for name in map(str, itertools.count(1)) if group_of(name) == group)


def hit(event, at_s, visitor="1", **columns):
    return {
        "ts_ms": str(AUGUST_2016_MS + at_s * 1000),
        "fullVisitorId": visitor,
        "visitId": "7",
        "hitNumber": str(at_s),
        "event": event,
        "page_path": "/home",
        "is_exit": "0",
        "device": "desktop",
        "country": "Japan",
        "channel": "Organic Search",
        **columns,
    }


@pytest.fixture
def converted(tmp_path):
    def convert(*hits):
        path = tmp_path / "hits.csv.gz"
        lines = [",".join(row.get(column, "") for column in COLUMNS) for row in hits]
        with gzip.open(path, "wt") as file:
            file.write("\n".join([",".join(COLUMNS), *lines]) + "\n")
        events = list(merch_store.events(path))
        for event in events:
            msgspec.json.decode(merch_store.encode(event), type=AnyEvent)
        return events

    return convert


def facts(events, *types):
    common = {"id", "visitor", "at_ms", "context"}
    picked = (event for event in events if event["type"] in types)
    return [{k: v for k, v in event.items() if k not in common} for event in picked]


def test_consent_comes_before_the_first_hit_and_is_withdrawn_after_the_first_add(converted):
    visitor = visitor_of("withdrawing")
    sku = {"product_skus": "A", "product_prices_micros": "16994999", "product_qtys": "2"}
    events = converted(
        hit("page_view", 1, visitor),
        hit("add_to_cart", 2, visitor, **sku),
        hit("add_to_cart", 3, visitor, **sku),
    )
    assert [(event["type"], event["at_ms"] - AUGUST_2016_MS) for event in events] == [
        ("consent_updated", 1000),
        ("page_viewed", 1000),
        ("product_added", 2000),
        ("consent_updated", 2001),
        ("product_added", 3000),
    ]
    assert facts(events, "consent_updated")[1]["purposes"] == {
        "personalization": "withdrawn",
        "marketing_email": "withdrawn",
    }
    added = {"id": "A", "price_minor": 1699, "currency": "USD"}
    assert facts(events, "product_added")[0]["product"] == added


def test_each_consent_group_gets_its_grant(converted):
    granted = {}
    for group in GROUPS:
        visitor = visitor_of(group)
        events = converted(hit("page_view", 0, visitor), hit("page_view", 100, visitor))
        granted[group] = facts(events, "consent_updated")
    all_purposes = dict.fromkeys(("personalization", "marketing_email", "analytics"), "granted")
    assert granted["silent"] == []
    assert granted["personal_only"][0]["purposes"] == {"personalization": "granted"}
    assert granted["full"] == granted["withdrawing"]
    assert granted["full"][0]["purposes"] == all_purposes
    assert granted["expiring"][0]["valid_until_ms"] == AUGUST_2016_MS + 50_000


def test_products_seen_become_a_page_a_product_or_a_list(converted):
    several = {
        "product_skus": "A|B",
        "product_prices_micros": "10000|",
        "product_qtys": "None|None",
    }
    events = converted(
        hit("product_view", 1),
        hit("product_click", 2, product_skus="A", product_prices_micros="10000"),
        hit("product_view", 3, page_path="/bags", **several),
    )
    product = {"id": "A", "price_minor": 1, "currency": "USD"}
    assert facts(events, "page_viewed", "product_viewed", "product_list_viewed") == [
        {
            "type": "page_viewed",
            "url": "/home",
            "referrer": "https://organic-search.example/",
        },
        {"type": "product_viewed", "product": product},
        {"type": "product_list_viewed", "list": "/bags", "products": [product, {"id": "B"}]},
    ]


def test_cart_lines_have_one_event_each_and_quantities_in_bounds(converted):
    skus = {"product_skus": "A|B", "product_prices_micros": "10000|20000"}
    events = converted(
        hit("add_to_cart", 1, **skus, product_qtys="100000|None"),
        hit("remove_from_cart", 2, **skus, product_qtys="3|None"),
    )
    added = facts(events, "product_added")
    assert [(fact["product"]["id"], fact["quantity"]) for fact in added] == [
        ("A", 10_000),
        ("B", 1),
    ]
    assert facts(events, "product_removed") == [
        {"type": "product_removed", "product_id": "A", "quantity": 3},
        {"type": "product_removed", "product_id": "B"},
    ]
    assert len({event["id"] for event in events}) == len(events)


def test_an_order_sent_twice_has_one_number_two_ids_and_one_total(converted):
    bought = {"product_skus": "A", "product_prices_micros": "10000000", "transaction_id": "ORD1"}
    events = converted(
        hit("purchase", 1, **bought, product_qtys="2", transaction_revenue_micros="23000000"),
        hit("purchase", 2, **bought, product_qtys="None"),
        hit("purchase", 3, **{**bought, "transaction_id": "ORD2"}, product_qtys="2"),
    )
    orders = facts(events, "order_completed")
    assert [(fact["order"], fact["total_minor"], "lines" in fact) for fact in orders] == [
        ("ORD1", 2300, True),
        ("ORD1", 2300, False),
        ("ORD2", 2000, True),
    ]


def test_the_first_checkout_step_starts_it_and_others_complete_a_step(converted):
    events = converted(*(hit("checkout_step", at, checkout_step=str(at)) for at in (1, 2, 3)))
    assert facts(events, "checkout_started", "checkout_step_completed") == [
        {"type": "checkout_started"},
        {"type": "checkout_step_completed", "step": 2},
        {"type": "checkout_step_completed", "step": 3},
    ]


def test_the_last_hit_of_a_session_is_followed_by_a_signal_to_leave(converted):
    events = converted(
        hit("page_view", 0, page_path="/a"),
        hit("page_view", 4, page_path="/b"),
        hit("ui_event", 9, page_path="/b", is_exit="1"),
        hit("page_view", 20, visitId="8", page_path="/c", is_exit="1", device="mobile"),
        hit("page_view", 30, visitId="9", page_path="/a"),
        hit("page_view", 37, visitId="9", page_path="/c", is_exit="1"),
    )
    exits = facts(events, "exit_signalled")
    assert [(fact["signal"], fact["dwell_ms"], fact["url"]) for fact in exits] == [
        ("pointer_left_top", 5_000, "/b"),
        ("tab_hidden", 0, "/c"),
        ("pointer_left_top", 7_000, "/c"),
    ]


def test_at_equal_times_consent_goes_first_then_the_cart(converted):
    full = visitor_of("full")
    sku = {"product_skus": "A", "product_prices_micros": "10000", "product_qtys": "1"}
    events = converted(hit("page_view", 1, full), hit("add_to_cart", 1, full, hitNumber="2", **sku))
    kinds = ["consent_updated", "product_added", "page_viewed"]
    assert [event["type"] for event in events] == kinds
    records = merch_store.by_topic(events)
    assert list(records) == ["consent-events", "cart-events", "page-views"]
    assert [len(of_topic) for of_topic in records.values()] == [1, 1, 1]
    assert records["page-views"][0][0] == full.encode()


def test_the_rig_and_the_product_agree_which_topic_an_event_belongs_to():
    of_product = {kind.__struct_config__.tag: topic for kind, topic in TOPIC_OF.items()}
    assert merch_store.TOPIC_OF.items() <= of_product.items()


def test_the_real_month_is_valid_sorted_unique_and_complete(shop_data):
    decoder = msgspec.json.Decoder(AnyEvent)
    counts, ids, last_ms, grants = Counter(), set(), 0, Counter()
    for event in merch_store.events(shop_data):
        decoder.decode(merch_store.encode(event))
        assert event["at_ms"] >= last_ms
        last_ms = event["at_ms"]
        counts[event["type"]] += 1
        ids.add(event["id"])
        if event["type"] == "consent_updated":
            grants[group_of(event["visitor"])] += "granted" in event["purposes"].values()
    assert len(ids) == counts.total()
    assert counts["page_viewed"] + counts["product_viewed"] == 294_301 + 64_590 + 53_621 + 14_501
    assert counts["product_added"] == 15_859
    assert counts["product_removed"] == 1_911
    assert counts["checkout_started"] + counts["checkout_step_completed"] == 12_400
    assert counts["order_completed"] == 2_522
    assert 0.89 < grants.total() / 61_699 < 0.91
    assert 0.03 < grants["withdrawing"] / 61_699 < 0.07


def test_a_part_of_the_month_is_its_beginning(shop_data):
    part = list(merch_store.events(shop_data, limit=500))
    hits = [event for event in part if event["type"] not in ("consent_updated", "exit_signalled")]
    assert len(hits) == 500
    kept = [event["id"] for event in part if event["type"] != "consent_updated"]
    whole = (event["id"] for event in merch_store.events(shop_data, limit=600))
    assert [name for name in whole if name in set(kept)] == kept
