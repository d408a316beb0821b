"""Segment's calls and vendors' webhooks over HTTP."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook

from stream.config.edge import ConsentCategory, EdgeHook
from stream.domain.ids import make_id
from stream.edge.visitors import Visitors
from tests.edge.shop import (
    BROWSER,
    EDGE,
    HOOK_SECRET,
    NOW_MS,
    OTHER,
    PAGE,
    SERVER,
    SIGNING,
    Shop,
)


@pytest.fixture
def shop():
    return Shop()


def added(**fields):
    given = {"product_id": "oolong", "price": 12.9, "currency": "EUR"}
    return {
        "type": "track",
        "event": "Product Added",
        "messageId": "m1",
        "properties": given,
    } | fields


def test_a_call_of_a_server_is_stored(shop):
    answer = shop.server("/v1/track", added(anonymousId="v1"))
    assert (answer.status_code, answer.json()["accepted"]) == (200, 1)
    (event,) = shop.log.events
    assert (event["type"], event["tenant"], event["visitor"]) == ("product_added", "tea", "v1")
    assert event["at_ms"] == NOW_MS


def test_an_amount_without_a_currency_is_in_the_shops():
    shop = Shop(edge=EDGE.model_copy(update={"currency": "JPY"}))
    for own in ({}, {"currency": "EUR"}):
        properties = {"product_id": "oolong", "price": 1500} | own
        shop.server("/v1/track", added(anonymousId="v1", properties=properties))
    prices = [one["product"]["price_minor"] for one in shop.log.events]
    assert prices == [1500, 150000]


def test_of_two_shops_each_has_its_own_currency():
    keys = [one.model_copy(update={"currency": "KWD"}) for one in EDGE.keys if one.key == OTHER]
    keys += [one for one in EDGE.keys if one.key != OTHER]
    shop = Shop(edge=EDGE.model_copy(update={"keys": tuple(keys), "currency": "JPY"}))
    for key in (SERVER, OTHER):
        shop.server(
            "/v1/track", added(anonymousId="v1", properties={"product_id": 1, "price": 2}), key
        )
    products = [
        (one["product"]["price_minor"], one["product"]["currency"]) for one in shop.log.events
    ]
    assert products == [(2, "JPY"), (2000, "KWD")]


def test_a_page_may_name_its_key_in_the_body(shop):
    call = added(anonymousId=shop.signed, writeKey=BROWSER)
    answer = shop.client.post("/v1/track", content=json.dumps(call), headers=PAGE)
    assert answer.status_code == 200
    assert shop.log.events[0]["visitor"] == shop.visitor
    forged = shop.client.post(
        "/v1/track", content=json.dumps(call | {"anonymousId": "v1"}), headers=PAGE
    )
    assert (forged.status_code, forged.json()["refused"][0]["reason"]) == (
        403,
        "visitor_not_signed",
    )


def test_a_page_cannot_say_that_it_was_bought_and_its_order_empties_the_cart_once(shop):
    def bought(order, **fields):
        properties = {"order_id": order, "total": 1}
        call = {"event": "Order Completed", "properties": properties, "anonymousId": shop.signed}
        body = json.dumps(call | {"writeKey": BROWSER} | fields)
        return shop.client.post("/v1/track", content=body, headers=PAGE)

    assert bought("o1").json()["accepted"] == 1
    bought("o1", messageId="loaded again")
    bought("o2")
    events = shop.log.events
    assert [(one["type"], one["lines"]) for one in events] == [("cart_updated", [])] * 3
    assert events[0]["id"] == events[1]["id"] != events[2]["id"]
    refunded = bought("o1", event="Order Refunded")
    assert refunded.json()["refused"][0]["reason"] == "right_missing"


@pytest.mark.parametrize("path", ["track", "page", "identify"])
def test_the_path_says_what_call_it_is(shop, path):
    call = {"anonymousId": "v1", "event": "Products Searched"}
    call["properties"] = {"query": "tea", "url": "https://shop.example/"}
    shop.server(f"/v1/{path}", call)
    kinds = [event["type"] for event in shop.log.events]
    assert kinds == {"track": ["products_searched"], "page": ["page_viewed"], "identify": []}[path]


def test_a_batch_is_answered_call_by_call(shop):
    calls = [
        added(anonymousId="v1"),
        {"type": "identify", "userId": "u1"},
        {"type": "track", "event": "Order Completed", "anonymousId": "v1"},
        added(),
        {"type": "track", "event": "Coffee Brewed", "anonymousId": "v1"},
        7,
    ]
    answer = shop.server("/v1/batch", {"batch": calls, "context": {"userAgent": "Firefox"}})
    told = answer.json()
    assert answer.status_code == 200
    assert (told["accepted"], told["ignored"]) == (1, 2)
    assert [one["index"] for one in told["refused"]] == [2, 3, 5]
    assert shop.log.events[0]["context"]["user_agent"] == "Firefox"
    assert shop.count("unmapped_total", vendor="segment", name="Coffee Brewed") == 1


def test_a_batchs_clock_is_corrected(shop):
    call = added(anonymousId="v1", timestamp="2026-09-21T00:00:00Z")
    shop.server("/v1/batch", {"batch": [call], "sentAt": "2026-09-21T00:00:01Z"})
    assert shop.log.events[0]["at_ms"] == NOW_MS - 1_000
    assert shop.count("skew_corrected_total") == 1


SENT = "2026-09-07T14:13:20Z"  # two weeks before the request came


@pytest.mark.parametrize(
    ("happened", "at_ms"),
    [
        ("2026-09-21T14:13:19Z", NOW_MS - 1_000),  # later than it was sent: that is wrong
        ("2026-09-07T14:13:21Z", NOW_MS - 14 * 86_400_000 + 1_000),
        (SENT, NOW_MS),
        ("2026-09-07T14:13:19Z", NOW_MS - 1_000),
    ],
)
def test_nothing_is_sent_before_it_happened(shop, happened, at_ms):
    call = added(anonymousId="v1", timestamp=happened)
    shop.server("/v1/batch", {"batch": [call], "sentAt": SENT})
    shop.server("/v1/track", call | {"sentAt": SENT})
    assert [event["at_ms"] for event in shop.log.events] == [at_ms] * 2
    is_corrected = happened <= SENT
    assert shop.count("skew_corrected_total") == (2 if is_corrected else 0)


def test_a_page_that_says_a_wrong_time_of_sending_makes_no_future(shop):
    sent_ms = NOW_MS - 14 * 86_400_000
    shop.page([shop.viewed()], sentAt=sent_ms)
    assert shop.log.events[0]["at_ms"] == NOW_MS - 5


@pytest.mark.parametrize("body", [{}, {"batch": 7}, []])
def test_what_is_no_batch_is_refused(shop, body):
    assert shop.server("/v1/batch", body).status_code == 400


def test_a_stranger_cannot_fill_the_metrics_with_names(shop):
    calls = [{"type": "track", "event": f"name {n}", "anonymousId": "v1"} for n in range(300)]
    shop.server("/v1/batch", {"batch": calls})
    assert shop.count("unmapped_total", vendor="segment", name="other") == 100


STAMPED = {
    "segment": {"consent": {"categoryPreferences": {"personalization": False}}},
    "rudderstack": {"consentManagement": {"deniedConsentIds": ["C0003"]}},
}


@pytest.mark.parametrize("context", STAMPED.values(), ids=STAMPED)
def test_an_event_that_says_no_is_not_stored_and_its_neighbours_are(shop, context):
    calls = [added(anonymousId="v1", context=context), added(anonymousId="v1", messageId="m2")]
    answer = shop.server("/v1/batch", {"batch": calls}).json()
    assert (answer["accepted"], answer["ignored"]) == (1, 0)
    (refused,) = answer["refused"]
    assert (refused["index"], refused["reason"]) == (0, "refused_consent")
    assert "personalization" in refused["detail"]
    assert [event["id"] for event in shop.log.events] == ["m2"]
    assert shop.count("refused_total", reason="refused_consent") == 1


def test_libraries_hear_200_for_an_event_that_says_no(shop):
    answer = shop.server("/v1/track", added(anonymousId="v1", context=STAMPED["segment"]))
    assert (answer.status_code, answer.json()["refused"][0]["reason"]) == (200, "refused_consent")
    assert shop.log.records == []


def test_a_stamp_that_says_yes_grants_nothing(shop):
    yes = {"consent": {"categoryPreferences": {"personalization": True, "marketing_email": True}}}
    shop.server("/v1/track", added(anonymousId="v1", context=yes))
    assert [event["type"] for event in shop.log.events] == ["product_added"]


def test_a_server_that_names_a_user_alone_is_told_what_is_missing(shop):
    answer = shop.server("/v1/track", added(userId="u-1"))
    assert answer.status_code == 400
    assert "userId alone names no visitor" in answer.json()["refused"][0]["detail"]


def test_a_shop_says_what_its_banners_categories_mean():
    own = ConsentCategory(tenant="tea", category="Horoscopes", purposes=("personalization",))
    shop = Shop(edge=EDGE.model_copy(update={"consent_categories": (own,)}))
    choice = {"type": "track", "event": "Segment Consent Preference Updated", "anonymousId": "v1"}
    choice["context"] = {"consent": {"categoryPreferences": {"horo-scopes": False, "Tarot": False}}}
    for key in (SERVER, OTHER):
        shop.server("/v1/track", choice, key)
    (event,) = shop.log.events  # the other shop knows of no horoscopes
    assert event["purposes"] == {"personalization": "denied"}
    assert shop.count("unheard_refusals_total", vendor="segment", category="Tarot") == 2
    assert shop.count("unheard_refusals_total", vendor="segment", category="horo-scopes") == 1


def test_a_price_that_cannot_be_read_is_counted_by_its_field_alone(shop):
    properties = {"product_id": 507, "price": "12,90", "currency": "EUR", "quantity": "2"}
    shop.server("/v1/track", added(anonymousId="v1", properties=properties))
    (event,) = shop.log.events
    assert event["product"] == {"id": "507", "currency": "EUR"}
    assert shop.count("lost_fields_total", source="segment", field="price") == 1


SIGNED = Visitors(SIGNING).sign("tea", "v1")
ORDER = {
    "id": 17,
    "total_price": "25.80",
    "currency": "EUR",
    "note_attributes": [{"name": "cartwake_visitor", "value": SIGNED}],
}


def shopify(shop, order, secret=HOOK_SECRET, signed=None, topic="orders/create", **more):
    body = json.dumps(order).encode()
    digest = hmac.new(secret.encode(), body if signed is None else signed, hashlib.sha256).digest()
    headers = {
        "X-Shopify-Hmac-Sha256": base64.b64encode(digest).decode(),
        "X-Shopify-Topic": topic,
        "X-Shopify-Event-Id": "wh-1",
    }
    return shop.client.post("/v1/hooks/shopify", content=body, headers=headers | more)


def test_a_signed_webhook_is_stored_for_its_shop(shop):
    assert shopify(shop, ORDER).json()["accepted"] == 1
    (event,) = shop.log.events
    assert (event["type"], event["order"], event["tenant"]) == ("order_completed", "17", "tea")
    assert (event["id"], event["visitor"]) == ("wh-1", "v1")


NOT_SIGNED = "cartwake_visitor without a signature"


@pytest.mark.parametrize(
    "written",
    [
        "v1",
        SIGNED + "x",
        SIGNED.replace("v1", "v2"),
        Visitors(SIGNING).sign("bike", "v1"),
        Visitors(["a key of nobody's"]).sign("tea", "v1"),
        "v1" * 500,
    ],
)
@pytest.mark.parametrize("vendor", ["shopify", "woocommerce"])
def test_what_a_browser_may_have_written_names_no_visitor(shop, vendor, written):
    if vendor == "shopify":
        named = [{"name": "cartwake_visitor", "value": written}]
        answer = shopify(shop, ORDER | {"note_attributes": named})
    else:
        named = [{"key": "cartwake_visitor", "value": written}]
        answer = woocommerce(shop, json.dumps(PLACED | {"meta_data": named}).encode())
    assert answer.json() == {
        "accepted": 0,
        "refused": [],
        "ignored": 1,
        "unmapped": [{"index": 0, "names": [NOT_SIGNED]}],
    }
    assert shop.log.records == []
    assert shop.count("unmapped_total", vendor=vendor, name=NOT_SIGNED) == 1


def test_a_webhook_sent_on_with_a_server_key_has_passed_a_browser_as_well(shop):
    headers = {"X-Shopify-Topic": "orders/create"}
    written = [{"name": "cartwake_visitor", "value": "v1"}]
    shop.server("/v1/hooks/shopify", ORDER | {"note_attributes": written}, headers=headers)
    assert shop.log.records == []
    shop.server("/v1/hooks/shopify", ORDER, headers=headers)
    assert shop.log.events[0]["visitor"] == "v1"


DOMAIN = "X-Shopify-Shop-Domain"


@pytest.fixture
def app_shop():
    """Two shops with one app of Shopify's, whose one secret signs for both."""
    hooks = [
        EdgeHook(vendor="shopify", tenant=tenant, secret=HOOK_SECRET, domain=f"{tenant}.example")
        for tenant in ("tea", "bike")
    ]
    return Shop(edge=EDGE.model_copy(update={"hooks": tuple(hooks)}))


def test_of_shops_with_one_secret_the_domain_says_whose_a_webhook_is(app_shop):
    named = [{"name": "cartwake_visitor", "value": Visitors(SIGNING).sign("bike", "v1")}]
    order = ORDER | {"note_attributes": named}
    assert shopify(app_shop, order, **{DOMAIN: "Bike.example"}).json()["accepted"] == 1
    assert shopify(app_shop, ORDER, **{DOMAIN: "tea.example"}).json()["accepted"] == 1
    assert [event["tenant"] for event in app_shop.log.events] == ["bike", "tea"]
    # An id that is signed for one of them is nobody's in the other.
    order |= {"id": 18}
    assert shopify(app_shop, order, **{DOMAIN: "tea.example"}).json()["ignored"] == 1


@pytest.mark.parametrize("headers", [{}, {DOMAIN: "coffee.example"}])
def test_a_webhook_of_no_known_domain_is_refused(app_shop, headers):
    answer = shopify(app_shop, ORDER, **headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "wrong_signature")
    assert "domain" in answer.json()["detail"]
    assert app_shop.log.records == []


@pytest.mark.parametrize("wrong", [{"secret": "another secret"}, {"signed": b"another body"}])
def test_a_webhook_that_is_not_signed_so_is_refused(shop, wrong):
    answer = shopify(shop, ORDER, **wrong)
    assert (answer.status_code, answer.json()["error"]) == (401, "wrong_signature")
    assert shop.log.records == []


def test_other_webhooks_are_signed_as_the_standard_has_it_and_not_for_long(shop):
    body = json.dumps({"client_id": "v1", "events": [{"name": "begin_checkout"}]})

    def sent(at, vendor="ga4"):
        headers = {
            "webhook-id": "m1",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(HOOK_SECRET.encode()).sign("m1", at, body),
        }
        return shop.client.post(f"/v1/hooks/{vendor}", content=body, headers=headers).status_code

    now = datetime.now(UTC)
    assert sent(now) == 200
    assert sent(now - timedelta(minutes=6)) == 401
    assert sent(now, "segment") == 401


@pytest.mark.parametrize("vendor", ["nobody", "stripe", "Shopify", "%20"])
def test_an_unknown_vendor_is_told_the_known_ones(shop, vendor):
    answer = shop.client.post(f"/v1/hooks/{vendor}", content=b"{}")
    assert answer.status_code == 404
    assert all(known in answer.json()["detail"] for known in ("shopify", "ga4", "cloudevents"))
    assert shop.count("refused_total", reason="unknown_vendor") == 1


@pytest.mark.parametrize("topic", ["customers/redact", "customers/data_request", "shop/redact"])
def test_a_legal_request_is_never_said_to_be_done_if_it_is_not(shop, topic):
    answer = shopify(shop, {"customer": {"id": 7}, "orders_to_redact": [17]}, topic=topic)
    assert answer.status_code == 501
    (refused,) = answer.json()["refused"]
    assert (refused["reason"], topic in refused["detail"]) == ("not_carried_out", True)
    assert shop.log.records == []


def test_what_is_ignored_is_named_in_the_answer(shop):
    answer = shopify(shop, ORDER, topic="orders/edited")
    assert answer.json() == {
        "accepted": 0,
        "refused": [],
        "ignored": 1,
        "unmapped": [{"index": 0, "names": ["orders/edited"]}],
    }


PLACED = {"id": 727, "status": "processing", "currency": "EUR", "total": "25.80"}
PLACED["meta_data"] = [{"key": "cartwake_visitor", "value": SIGNED}]


def woocommerce(shop, body, signed=None, secret=HOOK_SECRET):
    digest = hmac.new(secret.encode(), body if signed is None else signed, hashlib.sha256).digest()
    headers = {
        "X-WC-Webhook-Topic": "order.created",
        "X-WC-Webhook-Delivery-ID": "d1",
        "X-WC-Webhook-Signature": base64.b64encode(digest).decode(),
    }
    return shop.client.post("/v1/hooks/woocommerce", content=body, headers=headers)


def test_an_order_of_woocommerce_is_signed_by_its_own_header(shop):
    body = json.dumps(PLACED).encode()
    assert woocommerce(shop, body).json()["accepted"] == 1
    shop.now_ms += 5_000
    woocommerce(shop, body)
    first, again = shop.log.events
    assert (first["type"], first["order"], first["visitor"]) == ("order_completed", "727", "v1")
    assert first["id"] == again["id"]
    assert woocommerce(shop, body, signed=b"another").status_code == 401
    assert woocommerce(shop, body, secret="another").status_code == 401


def test_woocommerces_ping_is_answered_and_nothing_else_without_a_signature(shop):
    answers = {
        body: shop.client.post("/v1/hooks/woocommerce", content=body).status_code
        for body in (b"webhook_id=5", b"webhook_id=5&status=completed", b"webhook_id=", b"")
    }
    assert list(answers.values()) == [200, 401, 401, 401]
    assert shop.client.post("/v1/hooks/ga4", content=b"webhook_id=5").status_code == 401
    assert shop.log.records == []


BEGUN = {"client_id": "v1", "events": [{"name": "begin_checkout"}]}


def test_a_webhook_may_have_a_server_key_instead_of_a_signature(shop):
    assert shop.server("/v1/hooks/ga4", BEGUN).json()["accepted"] == 1
    assert shop.server("/v1/hooks/snowplow", {"event": "page_ping"}).status_code == 200
    (event,) = shop.log.events
    assert (event["type"], event["tenant"]) == ("checkout_started", "tea")
    shop.server("/v1/hooks/ga4", BEGUN, key=OTHER)
    assert shop.log.events[-1]["tenant"] == "bike"
    assert shop.server("/v1/hooks/ga4", BEGUN, key="unknown").status_code == 401
    assert shop.server("/v1/hooks/ga4", BEGUN, key=BROWSER, headers=PAGE).status_code == 403
    in_line = shop.client.post(f"/v1/hooks/ga4?writeKey={SERVER}", content=json.dumps(BEGUN))
    assert in_line.status_code == 401


PIXEL = {"name": "cart_viewed", "id": "sh-1", "clientId": "2b1f-77"}
PIXEL["data"] = {"cart": {"id": "gid://shopify/Cart/c1", "lines": []}}
SANDBOXED = {"Origin": "null", "User-Agent": PAGE["User-Agent"], "Content-Type": "text/plain"}


@pytest.fixture
def pixel_shop():
    keys = [
        key.model_copy(update={"vendor_ids": key.key == BROWSER}) if key.kind == "browser" else key
        for key in EDGE.keys
    ]
    return Shop(edge=EDGE.model_copy(update={"keys": tuple(keys)}))


def pixel(shop, call=PIXEL, key=BROWSER, **headers):
    url, body = f"/v1/hooks/shopify?writeKey={key}", json.dumps(call)
    return shop.client.post(url, content=body, headers=SANDBOXED | headers)


def test_shopifys_pixel_sends_from_a_sandbox_with_its_own_id(pixel_shop):
    answer = pixel(pixel_shop)
    assert (answer.json()["accepted"], answer.headers["access-control-allow-origin"]) == (1, "*")
    pixel(pixel_shop, PIXEL | {"id": "sh-2"}, Origin=PAGE["Origin"])
    pixel(pixel_shop, PIXEL | {"id": "sh-3", "clientId": "another"})
    first, again, other = pixel_shop.log.events
    assert first["visitor"] == again["visitor"] != other["visitor"]
    assert first["visitor"] not in {"2b1f-77", other["visitor"]}
    assert first["context"]["device"] == "desktop"
    cart = {"token": "c1", "line_items": []}
    assert shopify(pixel_shop, cart, topic="carts/update").json()["accepted"] == 1
    assert pixel_shop.log.events[-1]["visitor"] == other["visitor"]


def test_a_pixels_id_reaches_no_visitor_of_another_kind(pixel_shop):
    pixel(pixel_shop, PIXEL | {"clientId": pixel_shop.visitor})
    assert pixel_shop.log.events[-1]["visitor"] != pixel_shop.visitor
    pixel(pixel_shop, PIXEL | {"clientId": pixel_shop.signed})  # a theme may set it
    assert pixel_shop.log.events[-1]["visitor"] == pixel_shop.visitor
    unsigned = pixel_shop.page([pixel_shop.viewed(visitor="2b1f-77")])
    assert unsigned.status_code == 403


@pytest.mark.parametrize("topic", ["carts/update", "customers/redact"])
def test_a_pixels_headers_make_no_webhook_of_its_event(pixel_shop, topic):
    shopify(pixel_shop, ORDER | {"customer": {"id": 7}})
    forged = {"token": "c1", "line_items": [], "customer": {"id": 7}, "orders_to_redact": [17]}
    answer = pixel(pixel_shop, forged, **{"X-Shopify-Topic": topic})
    assert answer.json()["unmapped"][0]["names"] == ["event without a name"]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": ""}])
def test_a_pixel_of_another_page_is_refused(pixel_shop, headers):
    assert pixel(pixel_shop, **headers).status_code == 403


def test_a_pixel_needs_a_key_that_is_for_pixels(shop, pixel_shop):
    assert pixel(shop).status_code == 403
    assert pixel(pixel_shop, key=SERVER).status_code == 401
    bought = {"name": "checkout_completed", "id": "sh-9", "clientId": "2b1f-77"}
    bought["data"] = {"checkout": {"order": {"id": "17"}}}
    assert pixel(pixel_shop, bought).status_code == 200
    assert pixel_shop.log.events[-1]["type"] == "cart_updated"  # only servers report orders
    assert pixel_shop.page([pixel_shop.viewed()], PAGE | {"Origin": "null"}).status_code == 403


ADDED = {"product": {"id": "oolong", "price_minor": 1290, "currency": "EUR"}, "quantity": 1}
ENVELOPE = {"specversion": "1.0", "id": "y1", "source": "/shop", "subject": "v1"}
ENVELOPE |= {"type": "cartwake.product_added.v1", "time": "2026-09-21T14:13:20Z"}
IN_HEADERS = {f"ce-{name}": value for name, value in ENVELOPE.items()}
STRUCTURED = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.mark.parametrize("path", ["/v1/hooks/cloudevents", "/v1/events"])
@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (IN_HEADERS, ADDED),
        (IN_HEADERS | {"ce-subject": '"%761"'}, ADDED),
        (STRUCTURED, ENVELOPE | {"data": ADDED}),
        (BATCH, [ENVELOPE | {"data": ADDED}]),
        (
            STRUCTURED,
            ENVELOPE | {"data_base64": base64.b64encode(json.dumps(ADDED).encode()).decode()},
        ),
    ],
)
def test_a_cloud_event_is_the_same_in_every_mode(shop, path, headers, body):
    assert shop.server(path, body, headers=headers).json()["accepted"] == 1
    (event,) = shop.log.events
    assert event == {
        "type": "product_added",
        "id": make_id("cloudevents", "/shop", "y1"),
        "tenant": "tea",
        "visitor": "v1",
        "at_ms": NOW_MS,
        **ADDED,
    }


def test_a_cloud_event_without_data_has_no_body(shop):
    headers = IN_HEADERS | {"ce-type": "cartwake.erasure_requested.v1"}
    assert shop.server("/v1/events", b"", headers=headers).json()["accepted"] == 1


def test_a_cloud_event_from_a_page_must_name_its_own_visitor(shop):
    for visitor, status in (("v1", 403), (shop.signed, 200)):
        body = json.dumps(ENVELOPE | {"subject": visitor, "data": ADDED}).encode()
        assert shop.page(body, PAGE | STRUCTURED).status_code == status


@pytest.mark.parametrize("packed", ["7", 7, "e30", "bm8=", "W10=", "//8="])
def test_data_that_cannot_be_unpacked_is_refused_or_empty(shop, packed):
    answer = shop.server("/v1/events", ENVELOPE | {"data_base64": packed}, headers=STRUCTURED)
    assert answer.status_code == 400
    assert shop.log.records == []


@pytest.mark.parametrize("path", ["/v1/hooks/cloudevents", "/v1/events"])
def test_a_sender_of_cloud_events_may_ask_first(shop, path):
    asked = {"WebHook-Request-Origin": "events.example", "WebHook-Request-Rate": "120"}
    answer = shop.client.options(path, headers=asked)
    assert (answer.status_code, answer.headers["allow"]) == (200, "POST")
    assert answer.headers["webhook-allowed-origin"] == "events.example"
    assert int(answer.headers["webhook-allowed-rate"]) > 120
    assert "webhook-allowed-origin" not in shop.client.options(path).headers


@pytest.mark.parametrize("headers", [{}, {"webhook-signature": "v1"}, {"webhook-id": "m1"}])
def test_a_webhook_without_a_signature_is_refused(shop, headers):
    answer = shop.client.post("/v1/hooks/ga4", content=b"{}", headers=headers)
    assert answer.status_code == 401


def test_what_the_script_hears_on_the_page_is_passed_on(shop):
    heard = {"type": "vendor_event", "vendor": "ga4", "visitor": shop.signed, "id": "g1"}
    heard |= {"at_ms": NOW_MS - 7, "call": {"event": "begin_checkout"}}
    assert shop.page([heard]).json()["accepted"] == 1
    (event,) = shop.log.events
    assert (event["type"], event["id"], event["at_ms"]) == ("checkout_started", "g1", NOW_MS - 7)
    for wrong in ({"vendor": "nobody"}, {"vendor": 7}, {"visitor": "v1"}, {"call": 7}):
        assert shop.page([heard | wrong]).status_code in {400, 403}


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Coffee Brewed (v2)", "Coffee Brewed (v2)"),
        ("iglu:com.acme/tea_brewed/jsonschema/1-0-0", "iglu:com.acme/tea_brewed/jsonschema/1-0-0"),
        ("Kaffee gebrüht", "Kaffee gebrüht"),
        ("Signed up: anna@shop.example", "other"),
        ("Order 4711 of 49 170", "other"),
        ("Call +49 170 1234567", "other"),
        ("203.0.113.9 seen", "other"),
        ("a\nb", "other"),
        ("x" * 20_000, "x" * 64),
        ('"><script>', "other"),
    ],
)
def test_a_label_has_the_shape_of_a_name(shop, name, label):
    call = {"type": "track", "event": name, "anonymousId": "v", "messageId": "m"}
    assert shop.server("/v1/track", call).status_code == 200
    samples = [one for family in shop.registry.collect() for one in family.samples]
    labels = {one.labels["name"] for one in samples if "unmapped" in one.name and one.labels}
    assert labels == {label}


@pytest.mark.parametrize("user", ["u1", 4711])
def test_a_customers_id_alone_is_answered_with_what_to_send(shop, user):
    call = {"type": "track", "event": "Checkout Started", "userId": user, "messageId": "m"}
    answer = shop.server("/v1/track", call)
    assert answer.status_code == 400
    (refused,) = answer.json()["refused"]
    for named in ("$.anonymousId", "userId", "cartwake_visitor", "/v1/visitor"):
        assert named in refused["detail"]
