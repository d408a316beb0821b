"""What is fuzzed: each reader of what strangers send, good inputs for it, and what must hold.

A check gets the bytes as they come from outside and raises if anything else happens than what the
reader promises. Each input is judged beside good neighbours, which it must not harm.
"""

import asyncio
import functools
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import NamedTuple

import msgspec
import orjson

from stream.adapters.memory import MemorySink, MemoryStore
from stream.adapters.wire.outgoing import outgoing
from stream.config.loading import load
from stream.config.webhooks import Endpoint
from stream.delivery.channel import Accepted, Declined, Failed
from stream.delivery.links import CartLink, Links, MessageLink, cart_of, message_of
from stream.delivery.templates import Templates
from stream.domain.events import Line
from stream.domain.policy import Policies
from stream.domain.records import CartSnapshot
from stream.domain.topics import CART_EVENTS
from stream.domain.visitor import VisitorKey
from stream.edge.visitors import Visitors
from stream.emailer.compose import Composer
from stream.emailer.directory import CONTROL, CsvDirectory, Recipient, Unavailable, recipient
from stream.entities.visitors import VISITOR_CODEC, VisitorEntity
from stream.errors import UsageError
from stream.learning.scorer import ModelScorer
from stream.shard.clock import RecordsClock
from stream.shard.folding import Batch
from stream.shard.ports import DEFECT
from stream.shard.shard import Shard
from stream.webhooks.endpoint import LONGEST_WAIT_S, WebhookChannel, WebhookMessage
from tests.delivery.triggers import NOW_MS, trigger
from tests.edge.shop import Shop
from tests.mappers.test_golden import CASES
from tests.mappers.test_properties import check as check_vendor
from tests.scenarios.world import ALLOWED, POLICY, TOPIC_OF_TYPE, Record, event

KEY = "a key for tests alone"
# Each program sends these to logs, topics and mails: more would be a flood.
LONGEST_DETAIL = 500


class Target(NamedTuple):
    """A reader under test: its name, good inputs, and the check of any input."""

    name: str
    seeds: tuple[bytes, ...]
    check: Callable[[bytes], object]


def _json(value):
    return json.dumps(value).encode()


def _nothing(constant):
    raise ValueError(constant)


def _read(data):
    """Return what JSON says, None if it is none by RFC 8259 or nested without end."""
    try:
        return json.loads(data.decode(), parse_constant=_nothing)
    except (ValueError, RecursionError):
        return None


# Records of the lanes


def _record(data):
    """A record is folded or becomes a dead letter; the visitor's other events are folded."""
    fields = _read(data)
    fields = fields if isinstance(fields, dict) else {}
    kind = fields.get("type")
    topic = TOPIC_OF_TYPE.get(kind if isinstance(kind, str) else "", CART_EVENTS)
    key = str(fields.get("visitor")).encode("utf-8", "replace")
    grant = event("consent_updated", NOW_MS - 2, "v1", purposes=ALLOWED)
    seen = event("page_viewed", NOW_MS + 1, "v1", url="/")
    records = (
        Record("consent-events", 0, 0, NOW_MS - 2, b"v1", _json(grant)),
        Record(topic, 0, 1, NOW_MS, key, data),
        Record("page-views", 0, 0, NOW_MS + 1, b"v1", _json(seen)),
    )
    report = asyncio.run(_step(records))
    assert report.events.total() == len(records)
    assert report.events["consent-events", "consent_updated", "applied"] >= 1
    outcomes = {"applied", "refused_consent"}  # it may have been the visitor's own refusal
    assert sum(report.events["page-views", "page_viewed", one] for one in outcomes) >= 1
    assert not report.defects
    for letter in report.dead_letters:
        assert letter.value == data
        assert letter.reason != DEFECT
        assert len(letter.detail) <= LONGEST_DETAIL
        assert letter.detail.isprintable()


async def _step(records):
    store = MemoryStore(VISITOR_CODEC)
    entity = VisitorEntity(Policies(POLICY), ModelScorer())
    owner = await store.claim(0)
    shard = Shard(owner, store, MemorySink(), lambda one, ms: outgoing(one, ms, "fuzz"), entity)
    facts = entity.read(records)
    offsets = {one.topic: one.offset + 1 for one in records}
    clock = RecordsClock(NOW_MS + 86_400_000, (), at_end=True)
    return await shard.step(Batch(facts, offsets, clock, NOW_MS, live=False))


MUG = {"id": "mug", "variant": "blue", "name": "Mug", "price_minor": 1290, "currency": "EUR"}
PICTURED = MUG | {"url": "https://shop.example/mug", "image_url": "https://shop.example/mug.jpg"}
LINE = {"product": MUG, "quantity": 2}
ORDER = {"order": "o-1", "total_minor": 2580, "currency": "EUR"}
SENT = {"trigger_id": "0" * 32, "channel": "email"}
FIELDS = {
    "consent_updated": {"purposes": ALLOWED, "valid_until_ms": NOW_MS + 1, "source": "banner"},
    "erasure_requested": {},
    "product_added": {"product": MUG, "quantity": 2, "cart": "c-1"},
    "product_removed": {"product_id": "mug", "variant": "blue", "quantity": 1},
    "cart_updated": {"lines": [LINE, LINE], "cart": "c-1"},
    "checkout_started": {"order": "o-1"},
    "checkout_step_completed": {"step": 2, "name": "shipping", "shipping_minor": 490},
    "payment_failed": {"code": "card_declined", "reason": "no funds"},
    "order_completed": {**ORDER, "lines": [LINE]},
    "order_refunded": {"order": "o-1", "total_minor": 2580},
    "page_viewed": {"url": "/mugs?page=2", "title": "Mugs", "tags": ["blue"]},
    "product_viewed": {"product": MUG},
    "product_list_viewed": {"list": "mugs", "products": [MUG]},
    "products_searched": {"query": "blue mug"},
    "page_left": {"url": "/mugs", "dwell_ms": 9_000, "scroll_pct": 80},
    "exit_signalled": {"signal": "pointer_left_top", "dwell_ms": 9_000, "url": "/mugs"},
    "action_shown": {"trigger_id": "0" * 32},
    "action_clicked": {"trigger_id": "0" * 32},
    "action_dismissed": {"trigger_id": "0" * 32},
    "message_sent": SENT,
    "message_refused": {**SENT, "code": 550},
    "message_skipped": {**SENT, "reason": "no_address"},
    "message_bounced": {**SENT, "hard": True},
    "message_clicked": SENT,
    "message_unsubscribed": SENT,
    "cancel_sent": SENT,
    "cancel_refused": {**SENT, "code": 410},
}
CONTEXT = {"user_agent": "Firefox", "locale": "de-AT", "timezone": "Europe/Vienna", "country": "AT"}
EVENTS = tuple(
    _json(event(kind, NOW_MS, "v1", context=CONTEXT, **fields)) for kind, fields in FIELDS.items()
)


# Vendors' objects, and whole requests


def _vendor(vendor, all_headers, data):
    """A vendor's object is read the same way twice, into valid events, or is refused in words."""
    with suppress(orjson.JSONDecodeError):  # which reads requests
        for headers in all_headers:
            check_vendor(vendor, orjson.loads(data), headers)


def _vendors():
    for vendor in sorted({vendor for vendor, _ in CASES}):
        cases = [case for one, case in CASES if one == vendor]
        different = {_json(case.get("headers", {})) for case in cases}
        headers = [json.loads(one) for one in sorted(different)]
        seeds = tuple(_json(case["in"]) for case in cases)
        yield Target(f"vendor_{vendor}", seeds, functools.partial(_vendor, vendor, headers))


@functools.cache
def _shop():
    return Shop()


def _request(path, around, data):
    """A request never fails, and the refusal that stands beside anything is stored."""
    shop = _shop()
    shop.log.records.clear()
    answer = shop.server(path, around(data))
    assert answer.status_code < 500
    assert not shop.registry.get_sample_value(
        "cartwake_defects_total", {"program": "edge", "unit": "event"}
    )
    if _read(data) is not None:
        assert any(one["type"] == "consent_updated" for one in shop.log.events), answer.text


def _beside_refusal(data):
    refusal = event("consent_updated", NOW_MS, "v1", purposes={"personalization": "denied"})
    return b"[" + data + b"," + _json(refusal) + b"]"


def _batch(data):
    refusal = _json(
        {
            "type": "track",
            "event": "Segment Consent Preference Updated",
            "anonymousId": "v1",
            "messageId": "m-1",
            "context": {"consent": {"categoryPreferences": {"Functional": False}}},
        }
    )
    return b'{"batch":[' + data + b"," + refusal + b"]}"


# Customers and mails


@functools.cache
def _folder():
    return tempfile.TemporaryDirectory(prefix="cartwake-fuzz-")


CUSTOMERS = (
    b"visitor,email,name,locale\nanna,anna@mail.example,Anna,de\nbob,bob@mail.example,Bob,en\n",
    b'tenant,visitor,email,name\nshop,anna,anna@mail.example,"Anna, Dr"\n',
)


def _customers(data):
    """A file gives a customer whose address takes mail, or none, or is in doubt."""
    file = Path(_folder().name) / "customers.csv"
    file.write_bytes(data)
    os.utime(file, (1, 1))
    for who in (VisitorKey("default", "anna"), VisitorKey("shop", "anna")):
        with suppress(Unavailable):
            _is_recipient(asyncio.run(CsvDirectory(file).find(who)))


def _customer(data):
    """A row of a database or of the shop's HTTP answer is a customer or none."""
    row = _read(data)
    if isinstance(row, dict):
        _is_recipient(recipient(row))


def _is_recipient(found):
    if found is not None:
        assert found.email.isascii()
        assert found.email.count("@") == 1
        assert not CONTROL.search(f"{found.email}{found.name}")


@functools.cache
def _composer():
    return Composer(
        "Tea & Co <hello@shop.example>", "https://edge.example", Links([KEY]), Templates(None)
    )


def _mail(data):
    """Whatever strangers put into a cart, its mail can be read by mail programs."""
    try:
        lines = msgspec.json.decode(data, type=list[Line])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    if not lines:
        return
    product = lines[0].product
    cart = CartSnapshot("f" * 32, product.price_minor or 0, product.currency, lines)
    customer = Recipient("anna@mail.example", "Anna", (product.name or "")[:20])
    mail = _composer().compose(trigger(cart=cart), customer, NOW_MS).as_bytes()
    read = message_from_bytes(mail, policy=default)
    assert not read.defects
    assert set(read.keys()) >= {"From", "To", "Subject", "Message-ID", "List-Unsubscribe"}
    assert read["To"] == "anna@mail.example"
    assert "Bcc" not in read
    assert read.get_body(("plain",)).get_content()
    assert "<html" in read.get_body(("html",)).get_content()


# Answers, links, settings


class _Answering:
    """A session whose every answer has this status and this header."""

    def __init__(self, status, retry_after):
        self.status, self.headers = status, {"Retry-After": retry_after}

    def post(self, *_, **__):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass


def _answer(data):
    """Whatever an endpoint answers, the next try is within a day."""
    endpoint = Endpoint(name="crm", url="https://crm.example", secrets=("whsec_" + "ab12" * 8,))
    session = _Answering(400 + data[0] % 200 if data else 503, data[1:].decode("latin-1"))
    channel = WebhookChannel(endpoint, session, lambda _: None)
    result = asyncio.run(channel.send(WebhookMessage("m-1", "{}"), 0, NOW_MS))
    assert isinstance(result, Accepted | Declined | Failed)
    if isinstance(result, Failed):
        assert NOW_MS < result.not_before_ms <= NOW_MS + 2 * LONGEST_WAIT_S * 1_000


def _link(data):
    """A changed token is nobody's."""
    token = data.decode("latin-1")
    links = Links([KEY])
    for use, kind, made in (
        ("unsubscribe", MessageLink, message_of(trigger())),
        ("cart", CartLink, cart_of(trigger())),
    ):
        found = links.verify(use, token, kind)
        assert found is None or found == made
    assert Visitors([KEY]).verify(token, ["shop"]) in {None, ("shop", "v1")}


LINKS = (
    Links([KEY]).sign("unsubscribe", message_of(trigger())).encode(),
    Links([KEY]).sign("cart", cart_of(trigger())).encode(),
    Visitors([KEY]).sign("shop", "v1").encode(),
)


def _settings(data):
    """A settings file is read, or refused with a line that names what is wrong."""
    file = Path(_folder().name) / "cartwake.toml"
    file.write_bytes(data)
    refused = ""
    try:
        load(file, {})
    except UsageError as error:
        refused = str(error)
    assert all(one.isprintable() or one == "\n" for one in refused)


SETTINGS = (
    b'[kafka]\nbootstrap = "localhost:9092"\n[redis]\nurl = "redis://localhost:6379/0"\n',
    b'[worker]\nclock = "records"\n[cart_abandonment]\nidle_s = 60\nsteps_s = [0, 60]\n',
    b'[[edge.keys]]\nkey = "k"\ntenant = "t"\nkind = "browser"\norigins = ["https://a.example"]\n',
    b'[[webhooks.endpoints]]\nname = "crm"\nurl = "https://crm.example/h"\n',
)


TARGETS = {
    target.name: target
    for target in (
        Target("record", EVENTS, _record),
        *_vendors(),
        Target("events", EVENTS, functools.partial(_request, "/v1/events", _beside_refusal)),
        Target(
            "calls",
            tuple(_json(case["in"]) for vendor, case in CASES if vendor == "segment"),
            functools.partial(_request, "/v1/batch", _batch),
        ),
        Target("customers", CUSTOMERS, _customers),
        Target(
            "customer",
            (_json({"email": "anna@mail.example", "name": "Anna", "locale": "de-AT"}),),
            _customer,
        ),
        Target("mail", (_json([LINE | {"product": PICTURED}, LINE]),), _mail),
        Target("answer", (b"\x67120", b"\x67Wed, 21 Oct 2026 07:28:00 GMT"), _answer),
        Target("link", LINKS, _link),
        Target("settings", SETTINGS, _settings),
    )
}
