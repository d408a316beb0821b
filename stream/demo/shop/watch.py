"""What is known of one visitor: records from Kafka, and the state from Redis.

Everything is bounded and kept in memory only. Visitors of other tenants are ignored.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.partitioner import murmur2
from redis.asyncio import Redis

from stream.demo.embedded import PARTITIONS
from stream.domain.cart import CartLine
from stream.domain.events import Line
from stream.domain.kinds.cart_abandonment import CART_ABANDONMENT
from stream.domain.kinds.exit_intent import EXIT_INTENT
from stream.domain.topics import DECISIONS, LANES, TRIGGER_CANCELS, TRIGGERS
from stream.domain.visitor import Behaviour, Visitor, VisitorKey
from stream.entities.visitors import VISITOR_CODEC

READ: Final = (*LANES, DECISIONS, TRIGGERS, TRIGGER_CANCELS)
RECORDS_KEPT: Final = 100
VISITORS_KEPT: Final = 1_000
FETCH_WAIT_MS: Final = 20

Fields = dict[str, Any]


class Watch:
    """Reads the demo's topics, and keeps the newest records of each visitor of the shop."""

    def __init__(self, bootstrap: str, redis_url: str, group: str, tenant: str) -> None:
        self._bootstrap, self._group, self._tenant = bootstrap, group, tenant
        self._redis = Redis.from_url(redis_url)
        self._records: OrderedDict[str, deque[Fields]] = OrderedDict()
        self._count = 0

    async def run(self) -> None:
        """Read until cancelled."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(t, n) for t in READ for n in range(PARTITIONS)])
            while True:
                read = await consumer.getmany(timeout_ms=200)
                for record in (one for records in read.values() for one in records):
                    self.take(record.topic, record.value or b"")
        finally:
            await consumer.stop()
            await self._redis.aclose()

    def take(self, topic: str, value: bytes) -> None:
        """Keep a record if its visitor belongs to the shop."""
        try:
            fields = msgspec.json.decode(value, type=dict[str, Any])
        except msgspec.DecodeError:
            return
        visitor = fields.get("visitor")
        if fields.get("tenant") != self._tenant or not isinstance(visitor, str):
            return
        self._count += 1
        records = self._records.setdefault(visitor, deque(maxlen=RECORDS_KEPT))
        records.append({"number": self._count, "topic": topic, "record": fields})
        self._records.move_to_end(visitor)
        if len(self._records) > VISITORS_KEPT:
            self._records.popitem(last=False)

    def since(self, visitor: str, number: int) -> Iterator[Fields]:
        """Yield the records of a visitor after the one with this number."""
        return (one for one in self._records.get(visitor, ()) if one["number"] > number)

    async def state(self, visitor: str) -> Fields:
        """Return a visitor's state from Redis in words; empty if there is none."""
        shard = (murmur2(visitor.encode()) & 0x7FFFFFFF) % PARTITIONS
        name = VISITOR_CODEC.name_of(VisitorKey(self._tenant, visitor))
        ask: Any = self._redis.execute_command
        data = await ask("HGET", f"{self._group}:{{{shard}}}:state", name)
        wake_ms = await ask("ZSCORE", f"{self._group}:{{{shard}}}:wake", name)
        carts = self._carts(visitor)
        fields = readable(VISITOR_CODEC.decode(data), carts) if data else {}
        return fields | ({"next timer at_ms": int(wake_ms)} if wake_ms else {})

    def _carts(self, visitor: str) -> dict[str, str]:
        """Return what was in the carts of a visitor's triggers, by fingerprint."""
        carts = [
            one["record"].get("cart") or {}
            for one in self._records.get(visitor, ())
            if one["topic"] == TRIGGERS
        ]
        return {
            cart["fingerprint"]: contents(msgspec.convert(cart["lines"], list[Line]))
            for cart in carts
            if cart
        }


def contents(lines: Iterable[Line | CartLine]) -> str:
    """Return what is in a cart, in words."""
    return ", ".join(f"{one.quantity} \u00d7 {one.product.name or one.product.id}" for one in lines)


def readable(state: Visitor, carts: Mapping[str, str]) -> Fields:
    """Return a state in words; ``carts`` says what a fingerprint stands for."""
    fields: Fields = {
        "consent": {
            purpose: {
                "status": choice.status,
                "at_ms": choice.at_ms,
                "until_ms": choice.valid_until_ms,
            }
            for purpose, choice in state.consent.items()
        }
    }
    if state.erased_ms is not None:
        fields["erased up to at_ms"] = state.erased_ms
    return fields | (_behaviour(state.behaviour, carts) if state.behaviour else {})


def _behaviour(known: Behaviour, carts: Mapping[str, str]) -> Fields:
    cart = known.cart
    reminders, exits = CART_ABANDONMENT.memory_in(known), EXIT_INTENT.memory_in(known)
    return {
        "last activity at_ms": known.seen_ms,
        "cart": contents(cart.lines if cart else ()),
        "reminded of": [
            carts.get(one.fingerprint, "an earlier cart")
            for one in (reminders.fired if reminders else ())
        ],
        "last offer at_ms": exits.fired_ms if exits else None,
        "chance of an order": f"{known.score.value:.0%}" if known.score else None,
        "events remembered": len(known.recent) // 8,
        "predictions without an answer": len(known.predictions),
    }


async def followed(watch: Watch, visitor: str, every_s: float) -> AsyncIterator[Fields]:
    """Yield, for ever, new records and the state when it has changed."""
    number, before = 0, None
    while True:
        for one in list(watch.since(visitor, number)):
            number = one["number"]
            yield {"kind": "record", **one}
        state = await watch.state(visitor)
        if state != before:
            before = state
            yield {"kind": "state", "state": state}
        await asyncio.sleep(every_s)
