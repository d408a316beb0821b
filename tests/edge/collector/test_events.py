"""Canonical events over HTTP: what is taken, what is refused, and what is said of it."""

import gzip
import json
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from stream.config.settings import EdgeSettings
from stream.edge.requests import MAX_BODY_BYTES, MAX_EVENT_BYTES
from stream.edge.visitors import Visitors
from tests.edge.shop import (
    BROWSER,
    EDGE,
    NOW_MS,
    ORIGIN,
    OTHER,
    OTHER_ORIGIN,
    PAGE,
    SERVER,
    SIGNING,
    Shop,
)

ROBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
ORDER = {"type": "order_completed", "order": "o1", "total_minor": 1290, "currency": "EUR"}
GRANTED = {"type": "consent_updated", "id": "c1", "purposes": {"personalization": "granted"}}


@pytest.fixture
def shop():
    return Shop()


def test_a_page_view_is_stored_under_the_bare_visitor(shop):
    answer = shop.page([shop.viewed()])
    assert (answer.status_code, answer.json()) == (
        200,
        {"accepted": 1, "refused": [], "ignored": 0},
    )
    (record,) = shop.log.records
    assert (record.topic, record.key) == ("page-views", shop.visitor.encode())
    assert shop.log.events == [
        {
            "type": "page_viewed",
            "id": "e1",
            "tenant": "tea",
            "visitor": shop.visitor,
            "at_ms": NOW_MS - 5,
            "context": {"user_agent": PAGE["User-Agent"], "device": "desktop"},
            "url": "/tea",
        }
    ]


def test_lines_are_read_as_an_array_is(shop):
    lines = "\n".join(json.dumps(shop.viewed(id=f"e{n}")) for n in range(3)) + "\n\n"
    assert shop.page(lines.encode()).json()["accepted"] == 3


def test_a_packed_body_is_read(shop):
    body = gzip.compress(json.dumps([shop.viewed()]).encode())
    answer = shop.page(body, PAGE | {"Content-Encoding": "gzip"})
    assert answer.json()["accepted"] == 1


def test_a_batch_is_answered_event_by_event(shop):
    events = [shop.viewed(), 7, shop.viewed(url=None), shop.viewed(visitor="v1"), shop.viewed()]
    answer = shop.page(events)
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 2
    told = [(one["index"], one["reason"]) for one in answer.json()["refused"]]
    assert told == [(1, "not_an_object"), (2, "invalid"), (3, "visitor_not_signed")]


def test_a_line_that_cannot_be_read_costs_itself_alone(shop):
    body = b"{\n" + json.dumps(shop.viewed()).encode()
    answer = shop.page(body).json()
    assert (answer["accepted"], answer["refused"][0]["detail"]) == (
        1,
        "line 1: not one JSON value, at line 1 column 2",
    )


@pytest.mark.parametrize(
    ("change", "status", "reason"),
    [
        ({"type": "page_juggled"}, 400, "unknown_type"),
        ({"type": 7}, 400, "invalid"),
        ({"id": ""}, 400, "invalid"),
        ({"at_ms": "now"}, 400, "invalid"),
        ({"visitor": "4f2a"}, 403, "visitor_not_signed"),
        ({"visitor": None}, 403, "visitor_not_signed"),
        ({"visitor": Visitors(SIGNING).sign("bike", "4f2a")}, 403, "visitor_not_signed"),
        ({"tenant": "bike"}, 403, "other_tenant"),
        (ORDER, 403, "right_missing"),
        ({"type": "order_refunded", "order": "o", "total_minor": 1}, 403, "right_missing"),
        ({"url": "x" * MAX_EVENT_BYTES}, 413, "too_large"),
    ],
)
def test_one_event_alone_is_refused_with_its_own_status(shop, change, status, reason):
    answer = shop.page([shop.viewed(**change)])
    assert answer.status_code == status
    assert [one["reason"] for one in answer.json()["refused"]] == [reason]
    assert shop.log.records == []
    assert shop.count("refused_total", reason=reason) == 1


ADDED = {"type": "product_added", "quantity": 1, "product": {"id": "mug"}}
LISTED = {"type": "product_list_viewed"}
CART = {"type": "cart_updated"}


@pytest.mark.parametrize(
    ("change", "field", "left"),
    [
        ({"context": "x"}, "context", {"url": "/tea"}),
        ({"context": ["x"]}, "context", {"url": "/tea"}),
        *(
            ({"context": {name: value}}, f"context.{name}", {"url": "/tea"})
            for name, value in (
                ("locale", "en-US@posix"),
                ("locale", "de_DE"),
                ("locale", ["de"]),
                ("timezone", "Europe/Vienna\n"),
                ("timezone", 60),
                ("country", "Spain"),
                ("country", "es"),
                ("device", "fridge"),
                ("bot", "perhaps"),
            )
        ),
        ({"title": {"de": "Tee"}}, "title", {"url": "/tea"}),
        ({"referrer": 7}, "referrer", {"url": "/tea"}),
        ({"tags": ["a", 7, "b"]}, "tags", {"tags": ["a", "b"]}),
        ({"tags": "a"}, "tags", {"url": "/tea"}),
        (ADDED | {"cart": 7}, "cart", {"product": {"id": "mug"}}),
        *(
            (ADDED | {"product": {"id": "mug", name: value}}, f"product.{name}", {"quantity": 1})
            for name, value in (
                ("price_minor", "12,90"),
                ("price_minor", 12.9),
                ("price_minor", -1),
                ("currency", "euro"),
                ("name", 7),
                ("image_url", {}),
            )
        ),
        (
            LISTED | {"products": [{"id": "a"}, {"sku": "b"}]},
            "products",
            {"products": [{"id": "a"}]},
        ),
        (LISTED | {"products": 7, "list": "hot"}, "products", {"list": "hot"}),
        (
            CART | {"lines": [{"product": {"id": "a", "brand": 7}, "quantity": 1}]},
            "lines.product.brand",
            {"lines": [{"product": {"id": "a"}, "quantity": 1}]},
        ),
    ],
)
def test_an_optional_field_that_cannot_be_read_costs_itself_alone(shop, change, field, left):
    answer = shop.page([shop.viewed(**change)])
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    (event,) = shop.log.events
    assert {name: event[name] for name in left} == left
    *path, name = field.split(".")
    inner = event
    for part in path:
        inner = inner[part][0] if isinstance(inner[part], list) else inner[part]
    assert name in left or name not in inner or (name == "context" and "locale" not in inner[name])
    assert event["context"]["user_agent"] == PAGE["User-Agent"]
    assert shop.count("lost_fields_total", source="canonical", field=field) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"url": 7},
        ADDED | {"product": {"id": "mug", "variant": 7}},  # another line of the cart
        ADDED | {"quantity": -1},
        ADDED | {"quantity": 0.5},
        {"type": "product_removed", "product_id": "mug", "quantity": 0},  # not the whole line
        {"type": "product_removed", "product_id": "mug", "variant": 7},
        CART | {"lines": [{"product": {"id": "a"}, "quantity": 1}, {"product": {}, "quantity": 1}]},
    ],
)
def test_what_would_mean_something_else_without_a_field_is_refused(shop, change):
    answer = shop.page([shop.viewed(**change), shop.viewed(id="e2")]).json()
    assert [(one["index"], one["reason"]) for one in answer["refused"]] == [(0, "invalid")]
    assert [event["id"] for event in shop.log.events] == ["e2"]


@pytest.mark.parametrize("status", ["refused", False, True, 7, ["granted"]])
def test_a_status_of_consent_that_is_none_is_a_no_and_its_neighbours_count(shop, status):
    purposes = {"personalization": "granted", "ads": status, "horoscopes": 7}
    shop.page([GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS, "purposes": purposes}])
    assert shop.log.events[0]["purposes"] == {"personalization": "granted", "ads": "denied"}
    assert shop.count("lost_fields_total", source="canonical", field="purposes.ads") == 1


def test_a_grant_whose_end_cannot_be_read_is_not_for_ever(shop):
    limited = GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS, "valid_until_ms": "2027"}
    assert shop.page([limited]).status_code == 400
    both = limited | {"purposes": {"personalization": "granted", "ads": "denied"}}
    assert shop.page([both]).json()["accepted"] == 1
    assert shop.log.events[0]["purposes"] == {"ads": "denied"}


@pytest.mark.parametrize(
    ("title", "stored"),
    [
        (rb"Tea \ud83d", "Tea \ufffd"),
        (rb"\uDE00 tea", "\ufffd tea"),
        (rb"\ud83d\ude00 \\ud83d", "\U0001f600 \\ud83d"),  # an emoji, and a backslash
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (b"Caf\xe9", "Caf\ufffd"),
        (b"\xed\xa0\xbd", "\ufffd\ufffd\ufffd"),
        (b"Tea\x0b\x00", "Tea\x0b\x00"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_half_a_character_costs_neither_its_event_nor_the_consent_beside_it(
    shop, title, stored, lines
):
    granted = GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS}
    events = [granted, shop.viewed(title="TITLE"), shop.viewed(id="e2")]
    text = "\n".join(map(json.dumps, events)) if lines else json.dumps(events)
    # A body is damaged as a whole, and so is each line.
    body = text.encode().replace(b"TITLE", title)
    assert shop.page(body).json()["accepted"] == 3
    assert [event.get("title") for event in shop.log.events] == [None, stored, None]


@pytest.mark.parametrize("number", [b"NaN", b"-Infinity", b"1e400", b"9" * 400])
def test_a_number_that_is_none_costs_itself_alone(shop, number):
    event = shop.viewed(**ADDED | {"product": {"id": "mug", "price_minor": 1234567}})
    answer = shop.page(
        json.dumps([event, shop.viewed(id="e2")]).encode().replace(b"1234567", number)
    )
    assert answer.json()["accepted"] == 2
    assert shop.log.events[0]["product"] == {"id": "mug"}


def test_a_mark_of_the_byte_order_is_no_part_of_a_body(shop):
    body = b"\xef\xbb\xbf" + json.dumps([shop.viewed()]).encode()
    assert shop.page(body).json()["accepted"] == 1


def test_two_visitors_do_not_become_one_by_half_a_character(shop):
    events = [shop.viewed(visitor="v1"), shop.viewed(id="e2", visitor="VISITOR")]
    body = json.dumps(events).encode().replace(b"VISITOR", rb"v\ud83d")
    answer = shop.server("/v1/events", body).json()
    assert [(one["index"], one["reason"]) for one in answer["refused"]] == [(1, "malformed")]
    assert answer["accepted"] == 1


@pytest.mark.parametrize("tenant", [[], {}, 7])
def test_a_tenant_that_is_none_is_another(shop, tenant):
    answer = shop.page([shop.viewed(tenant=tenant)])
    assert answer.json()["refused"][0]["reason"] == "other_tenant"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"  \n", 400),
        (b"[", 400),
        (b"\xff", 400),
        (b"[" * 100_000, 400),
        (b"[" + b" " * MAX_BODY_BYTES + b"]", 413),
        (b"[" + b"0," * 20_000 + b"0]", 413),
    ],
)
def test_a_body_that_cannot_be_taken_is_refused(shop, body, status):
    assert shop.page(body).status_code == status


def test_an_empty_list_is_no_error(shop):
    assert shop.page([]).json() == {"accepted": 0, "refused": [], "ignored": 0}


@pytest.mark.parametrize(
    ("key", "headers", "status"),
    [
        (BROWSER, {}, 403),
        (BROWSER, {"Origin": OTHER_ORIGIN}, 403),
        (BROWSER, {"Origin": "null"}, 403),
        (BROWSER, {"Origin": ORIGIN}, 200),
        ("unknown", {"Origin": ORIGIN}, 401),
        ("", {"Origin": ORIGIN}, 401),
        # Secrets do not belong where proxies log them.
        (SERVER, {}, 401),
    ],
)
def test_a_public_key_counts_on_the_shops_own_pages_alone(shop, key, headers, status):
    assert shop.page([shop.viewed()], headers, key).status_code == status


def test_a_server_may_name_any_visitor_and_tell_of_orders(shop):
    order = ORDER | {"id": "e1", "visitor": "v1", "at_ms": NOW_MS}
    assert shop.server("/v1/events", [order]).json()["accepted"] == 1
    assert shop.log.events[0]["visitor"] == "v1"


def test_a_server_may_pass_on_what_a_browser_told_it(shop):
    order = ORDER | {"id": "e1", "visitor": shop.signed, "at_ms": NOW_MS}
    shop.server("/v1/events", [order])
    assert shop.log.events[0]["visitor"] == shop.visitor


def test_an_address_of_mail_is_no_visitor(shop):
    event = shop.viewed(visitor="a@shop.example")
    answer = shop.server("/v1/events", [event])
    assert (answer.status_code, answer.json()["refused"][0]["reason"]) == (400, "email_as_visitor")
    assert "shop.example" not in answer.text


def test_no_shop_speaks_for_another(shop):
    shop.server("/v1/events", [shop.viewed(visitor="v1")], OTHER)
    assert shop.log.events[0]["tenant"] == "bike"
    answer = shop.server("/v1/events", [shop.viewed(visitor="v1", tenant="tea")], OTHER)
    assert answer.status_code == 403


def test_a_signed_body_needs_no_other_key(shop):
    body = json.dumps([shop.viewed(visitor="v1")])

    def sent(at, secret=SERVER):
        signature = Webhook(secret.encode()).sign("m1", at, body)
        headers = {"webhook-id": "m1", "webhook-timestamp": str(int(at.timestamp()))}
        headers["webhook-signature"] = signature
        return shop.client.post("/v1/events", content=body, headers=headers).status_code

    now = datetime.now(UTC)
    assert sent(now) == 200
    assert sent(now, "another secret") == 401
    assert sent(now.replace(year=now.year - 1)) == 401  # replayed
    assert sent(now, BROWSER) == 401


def test_consent_is_stored_before_what_it_allows(shop):
    granted = GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS}
    shop.page([shop.viewed(), shop.viewed(id="e2"), granted])
    topics = [record.topic for record in shop.log.records]
    assert topics == ["consent-events", "page-views", "page-views"]


def test_a_browser_that_objects_to_sale_denies_it_whatever_was_clicked(shop):
    granted = GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS}
    granted["purposes"] = {"personalization": "granted", "ads": "granted"}
    shop.page([granted], PAGE | {"Sec-GPC": "1"})
    assert shop.log.events[0]["purposes"] == {
        "personalization": "granted",
        "ads": "denied",
        "sale_share": "denied",
    }


@pytest.mark.parametrize(
    ("fields", "is_forgotten"),
    [
        ({"type": "consent_updated", "purposes": {"personalization": "withdrawn"}}, True),
        ({"type": "consent_updated", "purposes": {"personalization": "denied"}}, True),
        ({"type": "erasure_requested"}, True),
        ({"type": "consent_updated", "purposes": {"marketing_email": "withdrawn"}}, False),
        ({"type": "consent_updated", "purposes": {"personalization": "granted"}}, False),
    ],
)
def test_a_browser_forgets_who_it_was_once_that_is_refused(shop, fields, is_forgotten):
    answer = shop.page([{"id": "c1", "visitor": shop.signed, "at_ms": NOW_MS} | fields])
    cookie = answer.headers.get("set-cookie", "")
    assert cookie.startswith('cartwake_visitor=""') == is_forgotten
    shop.log.is_up = False
    again = shop.page([{"id": "c1", "visitor": shop.signed, "at_ms": NOW_MS} | fields])
    assert "set-cookie" not in again.headers


@pytest.mark.parametrize("value", ["0", "true", ""])
def test_no_other_value_objects(shop, value):
    granted = GRANTED | {"visitor": shop.signed, "at_ms": NOW_MS}
    shop.page([granted], PAGE | {"Sec-GPC": value})
    assert "ads" not in shop.log.events[0]["purposes"]


def test_a_robot_is_marked_and_not_dropped(shop):
    shop.page([shop.viewed()], PAGE | {"User-Agent": ROBOT})
    assert shop.log.events[0]["context"]["bot"] is True
    assert shop.count("bots_total") == 1


def test_a_robot_is_known_by_what_a_server_passes_on(shop):
    shop.server("/v1/events", [shop.viewed(visitor="v1", context={"user_agent": ROBOT})])
    assert shop.log.events[0]["context"]["bot"] is True


def test_a_page_cannot_say_that_it_is_another_browser(shop):
    shop.page([shop.viewed(context={"user_agent": "another", "locale": "de-DE"})])
    context = shop.log.events[0]["context"]
    assert (context["user_agent"], context["locale"]) == (PAGE["User-Agent"], "de-DE")


def test_what_no_reader_knows_is_not_stored(shop):
    shop.page([shop.viewed(ip="203.0.113.9", received_at_ms=1, context={"ip": "203.0.113.9"})])
    assert b"203.0.113.9" not in shop.log.records[0].value
    assert "received_at_ms" not in shop.log.events[0]


@pytest.mark.parametrize(
    ("behind_ms", "at_ms"), [(299_000, NOW_MS - 299_000), (400_000, NOW_MS), (-400_000, NOW_MS)]
)
def test_a_clock_that_is_minutes_wrong_is_corrected(shop, behind_ms, at_ms):
    sent_at_ms = NOW_MS - behind_ms
    shop.page([shop.viewed(at_ms=sent_at_ms)], sentAt=sent_at_ms)
    assert shop.log.events[0]["at_ms"] == at_ms
    assert shop.count("skew_corrected_total") == (at_ms == NOW_MS)


def test_feedback_has_its_own_topic(shop):
    shown = shop.viewed(type="action_shown", trigger_id="0" * 32)
    assert shop.page([shown]).json()["accepted"] == 1
    assert shop.log.records[0].topic == "message-feedback"
    assert shop.page([shown | {"trigger_id": "x"}]).status_code == 400


def test_while_kafka_is_away_nothing_is_taken_and_all_is_asked_for_again(shop):
    shop.log.is_up = False
    answer = shop.page([shop.viewed()])
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert shop.count("events_total", topic="page-views", outcome="unavailable") == 1
    assert shop.count("events_total", topic="page-views", outcome="accepted") is None


def test_who_asks_too_often_is_told_when_to_come_back():
    edge = {"keys": EDGE.keys, "signing_keys": SIGNING}
    shop = Shop(EdgeSettings(**edge, requests_per_s_per_address=3))
    answers = [shop.page([shop.viewed()]).status_code for _ in range(9)]
    assert answers[:3] == [200, 200, 200]
    assert 429 in answers
    assert shop.server("/v1/events", []).status_code == 200  # all of a shop's servers are one
    shop = Shop(EdgeSettings(**edge, requests_per_s_per_key=3))
    answers = [shop.server("/v1/events", []) for _ in range(9)]
    (late, *_) = [one for one in answers if one.status_code == 429]
    assert late.headers["Retry-After"] == "1"


def test_a_page_of_another_origin_may_read_the_answer(shop):
    answer = shop.page([shop.viewed()])
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    assert "Origin" in answer.headers["vary"]
    foreign = shop.page([shop.viewed()], {"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


def test_keys_of_the_settings_are_not_shown():
    assert BROWSER not in repr(EDGE)
    assert SIGNING[0] not in repr(EDGE)
