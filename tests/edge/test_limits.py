"""What strangers may cost an edge, and what they may not: the consent of others."""

import gzip
import json

import pytest

from stream.config.settings import EdgeSettings
from stream.domain.events import MAX_LINES
from stream.edge.collector import prepare as preparing
from stream.edge.limits import MOST_OF_A_REQUEST
from tests.edge.shop import (
    BROWSER,
    EDGE,
    NOW_MS,
    ORIGIN,
    OTHER_ORIGIN,
    PAGE,
    SERVER,
    SIGNING,
    Shop,
)

REFUSAL = {"type": "consent_updated", "id": "c1", "purposes": {"personalization": "withdrawn"}}
FAR = 1_000_000


def shop_with(**limits):
    """Return a shop behind one proxy, whose limits are far away but for these."""
    far = {
        f"{unit}_per_s_per_{by}": FAR
        for unit, by in (
            ("requests", "key"),
            ("requests", "address"),
            ("records", "key"),
            ("records", "address"),
            ("records", "visitor"),
        )
    }
    kept = {"keys": EDGE.keys, "signing_keys": SIGNING, "hooks": EDGE.hooks}
    return Shop(EdgeSettings(**kept, **far | limits, trusted_proxies=1))


def page_at(address, origin=ORIGIN):
    return PAGE | {"X-Forwarded-For": address, "Origin": origin}


def views(shop, count, **fields):
    return [shop.viewed(id=f"e{number}", **fields) for number in range(count)]


def refusal(shop, visitor=None):
    return REFUSAL | {"visitor": visitor or shop.signed, "at_ms": NOW_MS}


def vendor_event(shop, number, call, vendor="ga4"):
    given = {"visitor": shop.signed, "id": f"v{number}", "at_ms": NOW_MS}
    return {"type": "vendor_event", "vendor": vendor, "call": call} | given


def many_items(count):
    return {"event": "add_to_cart", "ecommerce": {"items": [{"item_id": "a"}] * count}}


ONE_IPV4 = ["203.0.113.9", "203.0.113.9:1000", "::ffff:203.0.113.9", "[::ffff:203.0.113.9]:1"]


@pytest.mark.parametrize(
    "addresses",
    [
        ["203.0.113.9"] * 4,
        ONE_IPV4,
        ["::203.0.113.9", "64:ff9b::203.0.113.9", "2002:cb00:7109::1", "2002:cb00:7109:2::1"],
        [f"2001:db8::{number:x}" for number in range(4)],
        ["2001:db8::1", "2001:0db8:0:0:ffff::1", "[2001:db8::2]:443", "2001:db8::3%eth0"],
        ["unknown", "_hidden", "999.1.1.1", "x" * 1000],
    ],
)
@pytest.mark.parametrize("path", ["/v1/visitor", "/v1/actions", "/v1/unsubscribe/x"])
def test_one_sender_is_one_whatever_its_address_looks_like(addresses, path):
    shop = shop_with(requests_per_s_per_address=2)
    answers = [
        shop.client.get(path, params={"writeKey": BROWSER}, headers=page_at(one)).status_code
        for one in addresses
    ]
    assert [status == 429 for status in answers] == [False, False, True, True]


def test_two_networks_are_two_senders():
    shop = shop_with(requests_per_s_per_address=1)
    for address in ("203.0.113.9", "203.0.113.10", "2001:db8:0:1::1", "2001:db8:0:2::1"):
        assert shop.page([], page_at(address)).status_code == 200


def test_what_may_not_use_a_key_uses_up_nothing_of_its_shop():
    shop = shop_with(requests_per_s_per_key=3, requests_per_s_per_address=2)
    for number in range(5):
        address = f"198.51.100.{number}"
        assert shop.page([], page_at(address, "https://evil.example")).status_code == 403
        assert shop.page([], page_at(address, OTHER_ORIGIN)).status_code == 403
        assert shop.page([], page_at(address), key=SERVER).status_code == 429
    assert shop.page([], page_at("192.0.2.1")).status_code == 200


def test_who_asks_too_often_uses_up_nothing_of_the_shop():
    shop = shop_with(requests_per_s_per_key=3, requests_per_s_per_address=1)
    for _ in range(5):
        shop.page([], page_at("198.51.100.1"))
    assert shop.page([], page_at("192.0.2.1")).status_code == 200


def test_a_key_in_the_body_is_counted_as_one_in_the_url_is():
    shop = shop_with(requests_per_s_per_address=2, records_per_s_per_address=3)
    call = {"type": "page", "anonymousId": shop.signed, "properties": {"url": "/"}}

    def sent(count):
        body = json.dumps({"writeKey": BROWSER, "batch": [call] * count})
        headers = page_at("198.51.100.1")
        return shop.client.post("/v1/batch", content=body, headers=headers).status_code

    assert [sent(1), sent(3), sent(1)] == [200, 429, 429]


@pytest.mark.parametrize(
    "limits",
    [
        {"records_per_s_per_visitor": 5},
        {"records_per_s_per_address": 5},
        {"records_per_s_per_key": 5},
    ],
)
def test_records_are_counted_and_not_requests_alone(limits):
    shop = shop_with(**limits)
    assert shop.page(views(shop, 5), page_at("192.0.2.1")).status_code == 200
    late = shop.page(views(shop, 1), page_at("192.0.2.1"))
    assert (late.status_code, late.headers["Retry-After"]) == (429, "1")
    assert len(shop.log.records) == 5
    shop.now_ms += 1000
    assert shop.page(views(shop, 1), page_at("192.0.2.1")).status_code == 200


def test_a_second_visitor_or_address_has_records_of_its_own():
    shop = shop_with(records_per_s_per_visitor=5, records_per_s_per_address=8)
    shop.page(views(shop, 5), page_at("192.0.2.1"))
    other = Shop().signed
    assert shop.page(views(shop, 1, visitor=other), page_at("192.0.2.1")).status_code == 200
    assert shop.page(views(shop, 4, visitor=other), page_at("192.0.2.1")).status_code == 429
    assert shop.page(views(shop, 4, visitor=other), page_at("192.0.2.2")).status_code == 200


def test_a_server_may_send_the_whole_history_of_one_visitor():
    shop = shop_with(records_per_s_per_visitor=5, records_per_s_per_address=5)
    assert shop.server("/v1/events", views(shop, 50)).status_code == 200


def test_what_can_never_fit_is_too_large_and_not_too_often():
    for by in ("visitor", "address", "key"):
        shop = shop_with(**{f"records_per_s_per_{by}": 5})
        assert shop.page(views(shop, 6), page_at("192.0.2.1")).status_code == 413
        assert shop.log.records == []


def test_a_record_counts_for_its_bytes():
    shop = shop_with(records_per_s_per_visitor=30)
    line = {"product": {"id": "p"}, "quantity": 1}
    cart = {"type": "cart_updated", "lines": [line] * MAX_LINES}
    assert shop.page([shop.viewed(**cart)]).status_code == 200
    assert shop.page(views(shop, 1, **cart)).status_code == 429
    assert shop.page(views(shop, 2, **cart)).status_code == 413
    assert len(shop.log.records) == 1


def test_an_event_that_is_refused_counts():
    shop = shop_with(records_per_s_per_address=5)
    forged = views(shop, 5, visitor="nobody.signed")
    assert shop.page(forged, page_at("192.0.2.1")).status_code == 403
    assert shop.page(views(shop, 1), page_at("192.0.2.1")).status_code == 429


def test_a_vendors_event_becomes_no_more_records_than_a_vendor_sends():
    shop = shop_with()
    events = [vendor_event(shop, 1, many_items(201)), vendor_event(shop, 2, many_items(200))]
    answer = shop.page(events).json()
    assert [(one["index"], one["reason"]) for one in answer["refused"]] == [(0, "too_large")]
    assert len(shop.log.records) == 200


def test_what_a_request_becomes_is_bounded(monkeypatch):
    shop = shop_with()
    made = []
    real = preparing.encode_record
    monkeypatch.setattr(preparing, "encode_record", lambda event: made.append(1) or real(event))
    packed = gzip.compress(
        json.dumps([vendor_event(shop, n, many_items(200)) for n in range(90)]).encode()
    )
    answer = shop.page(packed, PAGE | {"Content-Encoding": "gzip"})
    assert (answer.status_code, shop.log.records) == (413, [])
    assert len(made) <= MOST_OF_A_REQUEST + 200


@pytest.mark.parametrize(
    "body", [b"[" + b"0," * MOST_OF_A_REQUEST + b"0]", b"x\n" * (MOST_OF_A_REQUEST + 1)]
)
def test_more_events_than_a_request_may_have_are_not_looked_at(body, monkeypatch):
    shop = shop_with()
    monkeypatch.setattr("stream.edge.collector.bodies._line", lambda *_: pytest.fail("looked at"))
    answer = shop.page(body)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
    assert shop.count("refused_total", reason="not_an_object") is None


def test_a_context_that_a_batch_shares_counts_for_each_of_its_calls():
    shop = shop_with()
    call = {"type": "page", "anonymousId": "v", "properties": {"url": "/"}}

    def sent(count, fields):
        shared = {f"a{number}": 1 for number in range(fields)}
        return shop.server("/v1/batch", {"batch": [call] * count, "context": shared})

    assert sent(1000, 10).status_code == 200
    assert sent(1000, 2000).status_code == 413
    assert sent(1, 5000).status_code == 413
    deep = b'{"batch": [], "context": ' + b"[" * 600 + b"]" * 600 + b"}"
    assert shop.server("/v1/batch", deep).status_code == 400


def test_a_page_cannot_have_a_user_agent_read_for_each_event(monkeypatch):
    read = []
    monkeypatch.setattr(preparing, "is_bot", lambda agent: bool(read.append(agent)))
    shop = shop_with()
    agents = [shop.viewed(id=f"e{n}", context={"user_agent": f"Agent {n}"}) for n in range(20)]
    assert shop.page(agents, PAGE | {"User-Agent": ""}).status_code == 200
    assert read == []
    assert "user_agent" not in shop.log.events[0].get("context", {})
    shop.page(agents)
    assert set(read) == {PAGE["User-Agent"]}


# Who is over a limit, and how: the address, the key, the visitor; in requests, in records.
FLOODS = [
    ({"requests_per_s_per_key": 2}, "198.51.100.1"),
    ({"requests_per_s_per_address": 2}, "192.0.2.1"),
    ({"records_per_s_per_key": 2}, "198.51.100.1"),
    ({"records_per_s_per_address": 2}, "192.0.2.1"),
    ({"records_per_s_per_visitor": 2}, "192.0.2.1"),
]


@pytest.mark.parametrize(("limits", "address"), FLOODS)
@pytest.mark.parametrize("beside", [0, 1])
def test_a_refusal_is_stored_in_a_flood(limits, address, beside):
    shop = shop_with(**limits)
    for number in range(4):
        shop.page([shop.viewed(id=f"f{number}")], page_at(address))
    shop.log.records.clear()
    answer = shop.page([*views(shop, beside), refusal(shop)], page_at("192.0.2.1"))
    assert [one["type"] for one in shop.log.events] == ["consent_updated"]
    # With the same id it changes nothing, so all of it is asked for again.
    if answer.status_code != 200:
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")


def test_a_refusal_by_a_vendors_call_or_a_webhook_is_stored_in_a_flood():
    shop = shop_with(requests_per_s_per_key=1, requests_per_s_per_address=1)
    for _ in range(2):
        shop.server("/v1/events", [])
    call = {"type": "track", "event": "Segment Consent Preference Updated", "anonymousId": "v"}
    call["context"] = {"consent": {"categoryPreferences": {"Advertising": False}}}
    assert shop.server("/v1/track", call | {"messageId": "m"}).status_code == 429
    assert [one["type"] for one in shop.log.events] == ["consent_updated"]


def test_consent_has_a_bound_as_well_and_one_address_cannot_use_up_anothers():
    shop = shop_with(
        records_per_s_per_visitor=1, records_per_s_per_address=2, records_per_s_per_key=2
    )
    others = [Shop().signed for _ in range(4)]
    answers = [
        shop.page([refusal(shop, one)], page_at("198.51.100.1")).status_code for one in others
    ]
    assert answers == [200, 200, 429, 429]
    shop.log.records.clear()
    shop.page([refusal(shop)], page_at("192.0.2.1"))
    assert len(shop.log.records) == 1


def test_a_large_request_over_a_limit_is_not_read():
    shop = shop_with(requests_per_s_per_address=1)
    shop.page([])
    large = [refusal(shop), *views(shop, 1, title="x" * 10_000)]
    assert shop.page(large).status_code == 429
    assert shop.page([*views(shop, 20), refusal(shop)]).status_code == 429
    assert shop.log.records == []
