"""A defect reached by one event refuses that event; the others of its request are taken."""

import json

import pytest

from stream.edge.collector import routes
from tests.edge.shop import NOW_MS, Shop

COUNTED = {"program": "edge", "unit": "event"}


@pytest.fixture
def shop():
    return Shop()


def defects(shop):
    return shop.registry.get_sample_value("cartwake_defects_total", COUNTED)


def call(shop, number, **properties):
    return {
        "type": "track",
        "event": "Product Added",
        "anonymousId": "v",
        "messageId": f"m{number}",
        "properties": {"product_id": "p", "currency": "EUR"} | properties,
    }


def test_a_price_of_millions_of_digits_is_left_out_and_its_event_is_taken(shop):
    calls = [call(shop, 1, price="1e9999999"), call(shop, 2, price="12.90")]
    answer = shop.server("/v1/batch", {"batch": calls})
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)
    assert [one["product"].get("price_minor") for one in shop.log.events] == [None, 1290]
    assert defects(shop) is None


def nested(levels):
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("padding", ["", "x" * 40_000], ids=["small", "large"])
@pytest.mark.parametrize("levels", [300, 990])
def test_deep_json_refuses_its_event_alone(shop, levels, padding):
    deep = f'{{"type": "page_viewed", "id": "d", "visitor": "{shop.signed}", "at_ms": {NOW_MS}'
    deep += f', "url": {nested(levels)}}}'
    large = json.dumps(shop.viewed(id="n", url=f"/{padding}"[:20_000]))
    answer = shop.page(f"[{deep},{large},{large}]".encode())
    assert answer.status_code == 200
    assert [one["index"] for one in answer.json()["refused"]] == [0]
    assert answer.json()["accepted"] == 2


def test_a_vendors_deep_event_without_an_id_refuses_itself_alone(shop):
    deep = f'{{"event": "search", "search_term": "x", "y": {nested(990)}}}'
    event = f'{{"type": "vendor_event", "vendor": "ga4", "visitor": "{shop.signed}"'
    event += f', "at_ms": {NOW_MS}, "call": {deep}}}'
    answer = shop.page(f"[{event},{json.dumps(shop.viewed())}]".encode())
    assert answer.status_code == 200
    assert [(one["index"], one["reason"]) for one in answer.json()["refused"]] == [(0, "malformed")]


@pytest.mark.parametrize("path", ["/v1/events", "/v1/batch", "/v1/track"])
def test_a_defect_of_ours_refuses_one_event_and_is_counted(shop, monkeypatch, path):
    for name in ("prepare", "to_events"):
        made = getattr(routes, name)

        def failing(*args, made=made):
            if "bad" in str(args):
                raise ZeroDivisionError
            return made(*args)

        monkeypatch.setattr(routes, name, failing)
    bad, good = call(shop, "bad"), call(shop, "good")
    if path == "/v1/events":
        answer = shop.page([shop.viewed(id="bad"), shop.viewed(id="good")])
    elif path == "/v1/track":
        answer = shop.server(path, bad)
    else:
        answer = shop.server(path, {"batch": [bad, good]})
    refused = answer.json()["refused"]
    assert [(one["index"], one["reason"]) for one in refused] == [(0, "malformed")]
    assert answer.status_code == (400 if path == "/v1/track" else 200)
    assert defects(shop) == 1


def test_no_number_of_defects_ends_the_edge(shop, monkeypatch):
    monkeypatch.setattr(routes, "prepare", lambda *_: 1 / 0)
    answer = shop.page([shop.viewed(id=f"e{number}") for number in range(200)])
    assert len(answer.json()["refused"]) == 200
    assert defects(shop) == 200
