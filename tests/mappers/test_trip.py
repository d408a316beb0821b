"""One shopping trip as four vendors tell it: equal but for the ids."""

import pytest

from stream.mappers import Hints, to_events

AT_MS = 1_795_773_600_000
TIME = "2026-11-27T10:00:00Z"
OOLONG = {
    "id": "7",
    "variant": "71",
    "name": "Oolong",
    "category": "Tea",
    "brand": "House",
    "price_minor": 1290,
    "currency": "EUR",
}
TRIP = [
    {"type": "page_viewed", "url": "https://shop.example/", "title": "Shop"},
    {"type": "product_viewed", "product": OOLONG},
    {"type": "product_added", "product": OOLONG, "quantity": 2},
    {"type": "checkout_started"},
    {"type": "cart_updated", "lines": [{"product": OOLONG, "quantity": 2}]},
    {
        "type": "order_completed",
        "order": "17",
        "total_minor": 2580,
        "currency": "EUR",
        "lines": [{"product": OOLONG, "quantity": 2}],
    },
]
ECOMMERCE = "com_snowplowanalytics_snowplow_ecommerce"


def segment():
    item = {"product_id": "7", "variant": "71", "name": "Oolong", "category": "Tea"}
    item |= {"brand": "House", "price": 12.9, "currency": "EUR"}
    common = {"anonymousId": "v1", "timestamp": TIME}
    page = {"type": "page", "properties": {"url": "https://shop.example/", "title": "Shop"}}
    order = {
        "order_id": "17",
        "total": 25.8,
        "currency": "EUR",
        "products": [item | {"quantity": 2}],
    }
    calls = [
        ("Product Viewed", item),
        ("Product Added", item | {"quantity": 2}),
        ("Checkout Started", {"products": order["products"]}),
        ("Order Completed", order),
    ]
    tracked = [{"type": "track", "event": name, "properties": given} for name, given in calls]
    return [common | one for one in [page, *tracked]]


def snowplow():
    item = {"id": "7", "variant": "71", "name": "Oolong", "category": "Tea", "brand": "House"}
    item |= {"price": 12.9, "currency": "EUR"}
    common = {"domain_userid": "v1", "derived_tstamp": "2026-11-27 10:00:00"}
    page = {"event": "page_view", "page_url": "https://shop.example/", "page_title": "Shop"}
    order = {"transaction_id": "17", "revenue": 25.8, "currency": "EUR"}
    actions = [
        ("product_view", {"product": item}),
        ("add_to_cart", {"product": item | {"quantity": 2}}),
        ("checkout_step", {"checkout_step": {"step": 1}}),
        ("transaction", {"product": item | {"quantity": 2}, "transaction": order}),
    ]
    told = [
        {f"unstruct_event_{ECOMMERCE}_snowplow_ecommerce_action_1": {"type": name}}
        | {f"contexts_{ECOMMERCE}_{entity}_1": [given] for entity, given in entities.items()}
        for name, entities in actions
    ]
    return [common | one for one in [page, *told]]


def shopify():
    price = {"amount": 12.9, "currencyCode": "EUR"}
    whole = {"id": "7", "title": "Oolong", "type": "Tea", "vendor": "House"}
    item = {"id": "71", "title": "100 g", "price": price, "product": whole}
    document = {"location": {"href": "https://shop.example/"}, "title": "Shop"}
    line = {"merchandise": item, "quantity": 2}
    order = {"order": {"id": "gid://shopify/Order/17"}, "currencyCode": "EUR"}
    order |= {"totalPrice": {"amount": 25.8}, "lineItems": [{"variant": item, "quantity": 2}]}
    told = [
        ("page_viewed", {}),
        ("product_viewed", {"productVariant": item}),
        ("product_added_to_cart", {"cartLine": line}),
        ("checkout_started", {"checkout": order}),
        ("checkout_completed", {"checkout": order}),
    ]
    common = {"clientId": "v1", "timestamp": TIME, "context": {"document": document}}
    return [common | {"name": name, "data": data} for name, data in told]


def ga4():
    item = {"item_id": "7", "item_variant": "71", "item_name": "Oolong", "item_category": "Tea"}
    item |= {"item_brand": "House", "price": 12.9}
    bought = {"currency": "EUR", "value": 25.8, "items": [item | {"quantity": 2}]}
    told = [
        ("page_view", {"page_location": "https://shop.example/", "page_title": "Shop"}),
        ("view_item", {"currency": "EUR", "items": [item]}),
        ("add_to_cart", bought),
        ("begin_checkout", bought),
        ("purchase", bought | {"transaction_id": "17"}),
    ]
    return [{"client_id": "v1", "events": [{"name": n, "params": p}]} for n, p in told]


@pytest.mark.parametrize("told", [segment, snowplow, shopify, ga4])
def test_the_same_trip_is_the_same_events(told):
    mapped = [to_events(told.__name__, one, Hints(AT_MS)) for one in told()]
    events = [event for one in mapped for event in one.events]
    ids = [event.pop("id") for event in events]
    assert len(set(ids)) == len(ids)
    # Snowplow tells of the beginning of a checkout by its first step.
    steps = [event for event in events if event["type"] == "checkout_step_completed"]
    assert len(steps) == (told is snowplow)
    told_of = [event for event in events if event not in steps]
    # Its step has no lines.
    trip = [one for one in TRIP if told is not snowplow or one["type"] != "cart_updated"]
    assert told_of == [{"visitor": "v1", "at_ms": AT_MS} | event for event in trip]


BOUGHT = {
    "type": "order_completed",
    "visitor": "v1",
    "at_ms": AT_MS,
    "order": "17",
    "lines": [{"product": {"id": "7", "variant": "71", "price_minor": 1290}, "quantity": 2}],
}


def purchase(vendor, code, price, total):
    """Return one order as a vendor tells it, with the headers of its delivery."""
    money = {"amount": price, "currencyCode": code}
    of_one = {"price": price, "quantity": 2}
    match vendor:
        case "segment":
            item = of_one | {"product_id": "7", "variant": "71"}
            given = {"order_id": "17", "total": total, "currency": code, "products": [item]}
            call = {"type": "track", "event": "Order Completed", "properties": given}
            return call | {"anonymousId": "v1", "timestamp": TIME}, {}
        case "ga4":
            item = of_one | {"item_id": "7", "item_variant": "71"}
            given = {"transaction_id": "17", "value": total, "currency": code, "items": [item]}
            return {"client_id": "v1", "events": [{"name": "purchase", "params": given}]}, {}
        case "snowplow":
            item = of_one | {"id": "7", "variant": "71"}
            order = {"transaction_id": "17", "revenue": total, "currency": code}
            return {
                "domain_userid": "v1",
                "derived_tstamp": "2026-11-27 10:00:00",
                f"unstruct_event_{ECOMMERCE}_snowplow_ecommerce_action_1": {"type": "transaction"},
                f"contexts_{ECOMMERCE}_product_1": [item],
                f"contexts_{ECOMMERCE}_transaction_1": [order],
            }, {}
        case "shopify pixel":
            item = {"variant": {"id": "71", "price": money, "product": {"id": "7"}}, "quantity": 2}
            checkout = {"order": {"id": "gid://shopify/Order/17"}, "lineItems": [item]}
            checkout |= {"currencyCode": code, "totalPrice": {"amount": total}}
            named = {"name": "checkout_completed", "clientId": "v1", "timestamp": TIME}
            return named | {"data": {"checkout": checkout}}, {}
        case "shopify webhook":
            item = of_one | {"product_id": 7, "variant_id": 71}
            given = {"id": 17, "currency": code, "total_price": total, "line_items": [item]}
            named = [{"name": "cartwake_visitor", "value": "signed"}]
            topic = {"x-shopify-topic": "orders/create"}
            return given | {"created_at": TIME, "note_attributes": named}, topic
        case _:
            item = of_one | {"product_id": 7, "variation_id": 71}
            given = {"id": 17, "status": "completed", "currency": code, "total": total}
            named = [{"key": "cartwake_visitor", "value": "signed"}]
            moment = {"date_created_gmt": TIME.removesuffix("Z"), "line_items": [item]}
            return given | moment | {"meta_data": named}, {}


VENDORS = ["segment", "ga4", "snowplow", "shopify pixel", "shopify webhook", "woocommerce"]


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("code", "shops", "price", "total", "minor"),
    [
        ("EUR", None, "12.90", "25.80", 1290),
        ("JPY", None, "1290", "2580", 1290),
        ("KWD", None, "1.290", "2.580", 1290),
        ("HUF", None, "12.90", "25.80", 1290),
        (None, "JPY", "1290", "2580", 1290),
        (None, "KWD", "1.290", "2.580", 1290),
        ("", "JPY", "1290", "2580", 1290),
        (None, None, "12.90", "25.80", 1290),
    ],
)
def test_one_purchase_is_one_event_whoever_tells_it(vendor, code, shops, price, total, minor):
    given, headers = purchase(vendor, code, price, total)
    hints = Hints(AT_MS, None, None, headers, shops, verified={"signed": "v1"}.get)
    (event,) = to_events(vendor.partition(" ")[0], given, hints).events
    del event["id"]
    iso = code or shops
    (line,) = BOUGHT["lines"]
    product = line["product"] | ({"currency": iso} if iso else {})
    expected = BOUGHT | {"lines": [line | {"product": product}], "currency": iso or "XXX"}
    assert event == expected | {"total_minor": 2 * minor}


def test_an_order_that_pixel_and_webhook_tell_of_is_one_order():
    pixel = shopify()[-1]
    webhook = {
        "id": 17,
        "currency": "EUR",
        "total_price": "25.80",
    }
    headers = {"x-shopify-topic": "orders/create"}
    orders = [
        to_events("shopify", pixel, Hints(AT_MS)).events[0],
        to_events("shopify", webhook, Hints(AT_MS, headers=headers, visitors=("v1",))).events[0],
    ]
    assert {(one["visitor"], one["order"], one["total_minor"]) for one in orders} == {
        ("v1", "17", 2580)
    }
