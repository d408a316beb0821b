"""What vendors' own clients send, by their own paths and in their own forms."""

import base64
import json

import pytest

from stream.edge.visitors import Visitors
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
    basic,
)

UUID = "6b0b2f0e-1d7a-4d65-9a87-0f0b1d2a3c4d"
ECOMMERCE = "iglu:com.snowplowanalytics.snowplow.ecommerce"
SNOWPLOW = "iglu:com.snowplowanalytics.snowplow"
TRACKER = "/com.snowplowanalytics.snowplow/tp2"


@pytest.fixture
def shop():
    """Take vendors' own ids of visitors with browser keys."""
    return with_vendor_ids(lambda key: key.kind == "browser")


def with_vendor_ids(chosen, **changes):
    keys = tuple(key.model_copy(update={"vendor_ids": chosen(key)}) for key in EDGE.keys)
    return Shop(edge=EDGE.model_copy(update={"keys": keys, **changes}))


@pytest.fixture
def strict():
    return Shop()


def kinds(shop):
    return [event["type"] for event in shop.log.events]


def analytics_js(shop, path, body, **params):
    text = json.dumps(body | {"sentAt": "2026-09-21T14:13:20.000Z"})
    headers = PAGE | {"Content-Type": "text/plain"}
    return shop.client.post(path, content=text, headers=headers, params=params)


def added(**fields):
    properties = {"product_id": "mug", "price": 12.9, "currency": "EUR"}
    call = {"type": "track", "event": "Product Added", "properties": properties}
    return call | {"anonymousId": UUID, "writeKey": BROWSER, "messageId": "m1"} | fields


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/t", "product_added"),
        ("/v1/p", "page_viewed"),
        ("/v1/i", None),
        ("/v1/g", None),
        ("/v1/a", None),
        ("/v1/s", None),
        ("/v1/group", None),
        ("/v1/screen", None),
    ],
)
def test_analytics_js_posts_to_its_own_paths(shop, path, kind):
    page = {"url": "https://tea.example/"}
    answer = analytics_js(shop, path, added(context={"page": page}))
    assert answer.status_code == 200
    assert kinds(shop) == ([kind] if kind else [])
    assert answer.json()["ignored"] == (kind is None)


@pytest.mark.parametrize("path", ["/v1/b", "/beacon/v1/batch", "/v1/batch"])
def test_batches_come_by_three_paths_and_a_beacon_has_its_key_in_the_address(shop, path):
    calls = [added(messageId="m1"), added(messageId="m2")]
    if path == "/beacon/v1/batch":
        answer = analytics_js(shop, path, {"batch": calls}, writeKey=BROWSER)
    else:
        answer = analytics_js(shop, path, {"batch": calls, "writeKey": BROWSER})
    assert answer.json()["accepted"] == 2


def test_what_analytics_js_measures_of_itself_is_taken_and_dropped(shop):
    body = {"series": [{"type": "Counter", "metric": "x", "value": 1}]}
    answer = shop.client.post("/v1/m", content=json.dumps(body), headers=PAGE)
    assert (answer.status_code, shop.log.records) == (200, [])


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("/v1/track", "anonymousid,authorization,content-type"),
        ("/v1/t", "content-type,x-retry-count"),
        ("/v1/track", "content-type,a-header-of-the-next-version"),
        (TRACKER, "content-type,sp-anonymous"),
    ],
)
def test_a_page_may_ask_first_for_the_headers_of_its_client(shop, path, header):
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
    answer = shop.client.options(path, headers=headers | {"Access-Control-Request-Headers": header})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN


def test_rudderstacks_browser_client_names_its_key_in_the_header(shop):
    headers = PAGE | basic(BROWSER) | {"AnonymousId": base64.b64encode(UUID.encode()).decode()}
    answer = shop.client.post("/v1/track", content=json.dumps(added()), headers=headers)
    assert (answer.status_code, kinds(shop)) == (200, ["product_added"])


def tracker_event(**fields):
    action = {"schema": f"{ECOMMERCE}/snowplow_ecommerce_action/jsonschema/1-0-2"}
    mug = {"schema": f"{ECOMMERCE}/product/jsonschema/1-0-0", "data": {"id": "mug", "price": 12.9}}
    event = {"schema": f"{SNOWPLOW}/unstruct_event/jsonschema/1-0-0"}
    event["data"] = action | {"data": {"type": "add_to_cart"}}
    beside = {"schema": f"{SNOWPLOW}/contexts/jsonschema/1-0-1", "data": [mug]}
    common = {"e": "ue", "eid": "e1", "duid": UUID, "dtm": str(NOW_MS - 9), "stm": str(NOW_MS)}
    return common | {"aid": BROWSER, "ue_pr": json.dumps(event), "co": json.dumps(beside)} | fields


def packed(event):
    plain = {"ue_pr": "ue_px", "co": "cx"}
    code = {
        plain[name]: base64.urlsafe_b64encode(event[name].encode()).decode().rstrip("=")
        for name in plain
    }
    return {name: value for name, value in event.items() if name not in plain} | code


def tracked(shop, *events, headers=PAGE):
    body = {"schema": f"{SNOWPLOW}/payload_data/jsonschema/1-0-4", "data": list(events)}
    return shop.client.post(TRACKER, content=json.dumps(body), headers=headers)


@pytest.mark.parametrize("form", [dict, packed])
def test_a_snowplow_trackers_event_is_what_its_enriched_event_is(shop, form):
    assert tracked(shop, form(tracker_event())).json()["accepted"] == 1
    (event,) = shop.log.events
    assert (event["type"], event["product"]) == (
        "product_added",
        {"id": "mug", "price_minor": 1290},
    )
    assert (event["id"], event["at_ms"]) == ("e1", NOW_MS - 9)


def test_a_tracker_may_use_an_image_and_the_page_names_the_key_if_the_app_does_not(shop):
    view = {"e": "pv", "eid": "e2", "duid": UUID, "url": "https://tea.example/", "page": "Tea"}
    image = shop.client.get("/i", params=view | {"aid": BROWSER}, headers={"User-Agent": "Firefox"})
    assert (image.status_code, kinds(shop)) == (200, ["page_viewed"])
    assert tracked(shop, view | {"aid": "shop"}).json()["accepted"] == 1
    assert shop.client.get("/i", params=view | {"aid": "shop"}).status_code == 401
    assert shop.client.get("/i", params=view | {"aid": SERVER}).status_code == 401
    assert tracked(shop, view | {"aid": "shop"}, headers={}).status_code == 401


def test_a_servers_tracker_names_its_key_as_its_app(strict):
    order = {"duid": "v1", "aid": SERVER, "e": "pv", "url": "https://tea.example/"}
    assert tracked(strict, order, headers={}).json()["accepted"] == 1
    assert strict.log.events[0]["visitor"] == "v1"


@pytest.mark.parametrize(
    "broken",
    [7, {"ue_pr": "{"}, {"ue_pr": None, "ue_px": "%%%"}, {"co": "[]"}, {"co": '{"data": 7}'}],
)
def test_a_trackers_event_that_cannot_be_read_costs_itself_alone(shop, broken):
    event = broken if isinstance(broken, int) else tracker_event(**broken)
    answer = tracked(shop, tracker_event(), event).json()
    assert answer["accepted"] == 1
    assert answer["ignored"] + len(answer["refused"]) == 1


@pytest.mark.parametrize("data", [None, {}, 7])
def test_a_trackers_request_without_events_is_refused(shop, data):
    answer = shop.client.post(TRACKER, content=json.dumps({"data": data}), headers=PAGE)
    assert answer.status_code == 400


def test_a_refusal_on_a_trackers_event_is_heard(shop):
    preferences = {"schema": f"{SNOWPLOW}/consent_preferences/jsonschema/1-0-0"}
    preferences["data"] = {"eventType": "deny_all", "basisForProcessing": "consent"}
    beside = json.loads(tracker_event()["co"])
    beside["data"].append(preferences)
    answer = tracked(shop, tracker_event(co=json.dumps(beside)))
    assert (answer.status_code, answer.json()["refused"][0]["reason"]) == (200, "refused_consent")
    assert shop.log.records == []


def test_a_vendors_id_is_exchanged_for_one_of_a_place_of_its_own(shop, strict):
    assert analytics_js(strict, "/v1/t", added()).json()["refused"][0]["reason"] == (
        "visitor_not_signed"
    )
    analytics_js(shop, "/v1/t", added())
    analytics_js(shop, "/v1/t", added(anonymousId="x" * 100))
    one, other = [event["visitor"] for event in shop.log.events]
    assert len({one, other, UUID}) == 3
    analytics_js(shop, "/v1/t", added(messageId="m2"))
    assert shop.log.events[-1]["visitor"] == one


def test_a_page_cannot_name_a_visitor_of_ours_by_a_vendors_id(shop):
    bare, signed = Visitors(SIGNING).issue("tea")
    analytics_js(shop, "/v1/t", added(anonymousId=bare))
    analytics_js(shop, "/v1/t", added(anonymousId=signed))
    named, own = [event["visitor"] for event in shop.log.events]
    assert named != bare == own
    canonical = shop.page([shop.viewed(visitor=bare)])
    assert canonical.json()["refused"][0]["reason"] == "visitor_not_signed"


def test_consent_in_a_batch_is_stored_before_what_it_allows(shop):
    choice = {"type": "track", "event": "Segment Consent Preference Updated", "anonymousId": UUID}
    choice["context"] = {"consent": {"categoryPreferences": {"Functional": True}}}
    analytics_js(shop, "/v1/b", {"batch": [added(), choice], "writeKey": BROWSER})
    assert kinds(shop) == ["consent_updated", "product_added"]
    assert len({event["visitor"] for event in shop.log.events}) == 1


def ordered(**fields):
    properties = {"order_id": "T-1", "total": 12.9, "currency": "EUR"}
    return added(event="Order Completed", properties=properties, messageId="o1", **fields)


def visitors(shop):
    return {event["visitor"] for event in shop.log.events}


def test_a_server_reaches_the_visitor_of_a_vendors_id_if_its_key_says_so():
    shop = with_vendor_ids(lambda key: True)
    analytics_js(shop, "/v1/t", added())
    assert shop.server("/v1/track", ordered()).json()["accepted"] == 1
    assert kinds(shop) == ["product_added", "order_completed"]
    assert len(visitors(shop)) == 1
    tracked(shop, tracker_event())
    tracked(shop, tracker_event(aid=SERVER, eid="e2"), headers={})
    assert len(visitors(shop)) == 2


def test_without_it_a_servers_ids_are_its_own(shop):
    analytics_js(shop, "/v1/t", added())
    shop.server("/v1/track", ordered())
    assert UUID in visitors(shop)
    assert len(visitors(shop)) == 2


def test_what_else_a_server_names_is_not_exchanged():
    shop = with_vendor_ids(lambda key: True)
    bare, signed = Visitors(SIGNING).issue("tea")
    shop.server("/v1/track", ordered(anonymousId=signed))
    shop.server("/v1/hooks/segment", added(anonymousId=bare))
    shop.server("/v1/events", [shop.viewed(visitor=bare)])
    assert visitors(shop) == {bare}


def test_an_exchange_stores_nothing_and_outlives_the_signing_keys():
    shop = with_vendor_ids(lambda key: key.kind == "browser")
    later = with_vendor_ids(lambda key: key.kind == "browser", signing_keys=("another key",))
    for one in (shop, later):
        answer = analytics_js(one, "/v1/t", added())
        assert "set-cookie" not in answer.headers
    assert visitors(shop) == visitors(later)


def test_two_shops_and_two_vendors_have_no_visitor_in_common(shop):
    analytics_js(shop, "/v1/t", added())
    tracked(shop, tracker_event())
    headers = PAGE | {"Origin": OTHER_ORIGIN, "Content-Type": "text/plain"}
    body = json.dumps(added(writeKey="bike-page"))
    shop.client.post("/v1/t", content=body, headers=headers)
    assert [event["tenant"] for event in shop.log.events] == ["tea", "tea", "bike"]
    assert len(visitors(shop)) == 3
