import json

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from stream.config.settings import EdgeSettings, Settings
from stream.domain.records import CartSnapshot, Trigger, TriggerCancel
from stream.edge.gateway.feed import Feed
from stream.edge.gateway.hub import Hub
from stream.edge.metrics import EdgeMetrics
from stream.edge.visitors import VerifiedVisitor
from tests.edge.shop import EDGE, NOW_MS

ANNA = VerifiedVisitor("tea", "anna")
TRIGGER = Trigger(
    trigger_id="0" * 32,
    kind="exit_intent",
    class_="onsite",
    tenant="tea",
    visitor="anna",
    session="1" * 32,
    step=0,
    cart=CartSnapshot("2" * 32, 1290, "EUR", []),
    evidence=["e1"],
    reason="fired",
    due_at_ms=NOW_MS,
    expires_at_ms=NOW_MS + 10_000,
    consent={"personalization": "granted"},
)


class Read:
    def __init__(self, topic, value):
        self.topic, self.value = topic, value


@pytest.fixture
def hub():
    return Hub(EdgeSettings(max_streams=5), EdgeMetrics(CollectorRegistry()), lambda: NOW_MS)


@pytest.fixture
def registry():
    return CollectorRegistry()


@pytest.fixture
def feed(hub, registry):
    bulkhead = EdgeMetrics(registry).bulkhead("record")
    return Feed(Settings(edge=EDGE), hub, lambda: NOW_MS, bulkhead)


def test_a_page_gets_the_trigger_without_its_evidence_and_with_the_shops_offer(feed, hub):
    feed.take(Read("triggers", msgspec.json.encode(TRIGGER)))
    (one,) = hub.pending(ANNA)
    content = json.loads(one.data)
    offer = {"title": "Wait", "text": "Free delivery", "button": "Go", "url": "/cart"}
    told = json.loads(msgspec.json.encode(TRIGGER))
    del told["evidence"]
    assert content == told | {"offer": offer}


def test_a_shop_without_an_offer_gets_the_bare_trigger(feed, hub):
    feed.take(
        Read("triggers", msgspec.json.encode(msgspec.structs.replace(TRIGGER, tenant="bike")))
    )
    (one,) = hub.pending(VerifiedVisitor("bike", "anna"))
    assert "offer" not in one.content


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"{}", b"\xff", b'{"kind": "\xff"}', b"[" * 200_000]
)
def test_what_cannot_be_read_concerns_no_page(feed, hub, value):
    feed.take(Read("triggers", value))
    feed.take(Read("trigger-cancels", value))
    feed.take(Read("triggers", msgspec.json.encode(TRIGGER)))
    assert len(hub.pending(ANNA)) == 1


def test_a_record_with_a_defect_is_skipped_and_counted(feed, hub, registry, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(feed, "_action", lambda _: 1 / 0)
        feed.take(Read("triggers", msgspec.json.encode(TRIGGER)))
    feed.take(Read("triggers", msgspec.json.encode(TRIGGER)))
    assert len(hub.pending(ANNA)) == 1
    labels = {"program": "edge", "unit": "record"}
    assert registry.get_sample_value("cartwake_defects_total", labels) == 1


def test_a_mail_is_no_action(feed, hub):
    mail = msgspec.structs.replace(TRIGGER, kind="cart_abandonment", class_="marketing")
    feed.take(Read("triggers", msgspec.json.encode(mail)))
    assert hub.pending(ANNA) == []


def test_a_cancel_takes_the_trigger_back(feed, hub):
    cancel = TriggerCancel(
        trigger_id=TRIGGER.trigger_id,
        kind="exit_intent",
        tenant="tea",
        visitor="anna",
        reason="consent_refused",
        at_ms=NOW_MS,
    )
    feed.take(Read("triggers", msgspec.json.encode(TRIGGER)))
    feed.take(Read("trigger-cancels", msgspec.json.encode(cancel)))
    assert hub.pending(ANNA) == []
