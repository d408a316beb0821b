"""A throw-away kind of key: how often each product was seen and bought. No visitor is in sight.

Ten minutes after it was first seen or bought, a product is reported, as ``tenant/product`` with
both counts; a report may be sent only while the product has not been banned. A record without a
product is for every partition: it says how long the tenant's products wait instead.
"""

import json
from typing import NamedTuple

import msgspec
from msgspec import Struct

from stream.shard.clock import Fact
from stream.shard.ports import DeadLetter, Entry, UnreadableState

SEEN, BOUGHT, REPORTS = "seen", "bought", "reports"
REPORT_AFTER_MS = 600_000
FORMAT = 1


class ProductKey(NamedTuple):
    tenant: str
    product: str


class Product(Struct, array_like=True):
    seen: int = 0
    bought: int = 0
    banned: bool = False
    since_ms: int | None = None
    wait_ms: int = REPORT_AFTER_MS


class Happened(Struct):
    what: str
    at_ms: int
    wait_ms: int = 0


class Counted(Struct):
    key: ProductKey
    seen: int
    bought: int


class ProductCodec:
    """Implements ``stream.shard.entity.Codec``."""

    format = FORMAT

    def name_of(self, key):
        return f"{key.tenant}/{key.product}".encode()

    def key_of(self, name):
        return ProductKey(*name.decode().split("/", 1))

    def encode(self, state):
        return bytes([FORMAT]) + msgspec.msgpack.encode(state)

    def decode(self, data):
        try:
            return msgspec.msgpack.decode(data[1:], type=Product)
        except msgspec.DecodeError:
            raise UnreadableState("the product is damaged") from None


class ProductFold:
    """Implements ``stream.shard.entity.KeyFold``."""

    def __init__(self, key, state, effects, shared):
        self.key, self.state, self._effects = key, state or Product(), effects
        self.follow(shared or Product())

    def follow(self, shared):
        self._wait_ms = shared.wait_ms

    @property
    def is_empty(self):
        return self.state == Product()

    def apply(self, fact, now_ms):
        what, state = fact.event.what, self.state
        if what == "wait":
            state.wait_ms = fact.event.wait_ms
            return "applied"
        state.seen += what == "seen"
        state.bought += what == "bought"
        state.banned |= what == "banned"
        if what == "cursed":
            state.seen = -1
            raise ArithmeticError(fact.key)
        if state.since_ms is None:
            state.since_ms = fact.at_ms
        return "applied"

    def pass_deadlines(self, until_ms, judged_ms):
        due_ms = self.next_due_ms()
        if due_ms is not None and due_ms <= until_ms:
            self.state.since_ms = None
            self._effects.append(Counted(self.key, self.state.seen, self.state.bought))

    def next_due_ms(self):
        since_ms = self.state.since_ms
        return None if since_ms is None else since_ms + self._wait_ms


class Products:
    """Implements ``stream.shard.entity.Entity``."""

    topics = (BOUGHT, SEEN)
    codec = ProductCodec()
    changing = ("applied",)
    answers = ()
    policy_digest = "none"

    def read(self, records):
        return [self._read(record) for record in records]

    def _read(self, record):
        fields = json.loads(record.value)
        event = msgspec.convert(fields, Happened)
        key = self.codec.key_of(record.key)
        return Fact(key, event, event.at_ms, record.timestamp, record.topic, record=record)

    def dead_letter(self, fact, reason, detail):
        it = fact.record
        return DeadLetter(it.topic, it.partition, it.offset, it.key, it.value, reason, detail)

    def type_name(self, event_type):
        return event_type.__name__.lower()

    def open(self, key, state, effects, shared=None):
        return ProductFold(key, state, effects, shared)

    def shared_key(self, key):
        return ProductKey(key.tenant, "")

    def key_to_check(self, needs):
        return ProductKey(*needs)

    def may_send(self, needs, state, now_ms):
        return not state.banned


PRODUCTS = Products()


def encode(effect, recorded_ms):
    """Return the record of an effect or of a dead letter."""
    if isinstance(effect, DeadLetter):
        return Entry("dead-letters", effect.key, effect.value, [("reason", effect.reason.encode())])
    value = json.dumps({"seen": effect.seen, "bought": effect.bought}).encode()
    return Entry(REPORTS, ProductCodec().name_of(effect.key), value, [], tuple(effect.key))
