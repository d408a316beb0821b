"""The records of the shops' producers: many shoppers' moves, with late and broken ones.

Pure and seeded: the same seed, rate and start give the same bytes. No clock is read.
"""

from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count
from math import ceil
from random import Random
from typing import Any, Literal, NamedTuple

import msgspec

from stream.demo.shoppers import Location, Shopper
from stream.domain.events import Event, ExitSignalled
from stream.domain.topics import PAGE_VIEWS, TOPIC_OF

# The averages of one shopper; a test checks both.
LIFE_S = 17.4
EVENTS_A_LIFE = 17.8
# The shops fill up over this time, so that the first seconds are not too busy.
OPENING_MS = 6_000

# Shares of the events. Late and repeated events are usual with browsers and networks.
LATE, REPEATED, MALFORMED = 0.01, 0.012, 0.006
LATE_MS, AGAIN_MS = (1_500, 4_000), (50, 900)
MAIL = "someone@mail.example"

Note = Literal["", "late", "repeated", "malformed"]


class TrafficRecord(NamedTuple):
    """A Kafka record, and when to send it (ms UTC); ``note`` says what is unusual about it."""

    send_ms: int
    topic: str
    key: bytes | None
    value: bytes
    note: Note = ""


def traffic(*, seed: int, rate: float, start_ms: int) -> Iterator[TrafficRecord]:
    """Yield records from ``start_ms`` on, without end, in the order of ``send_ms``.

    One shopper after the other takes a seat; the pauses between them keep the average ``rate``.
    """
    random, order, visitors = Random(seed), count(), count(1)
    seats = ceil(rate * LIFE_S / EVENTS_A_LIFE)
    pause_ms = max(0.0, seats * EVENTS_A_LIFE / rate - LIFE_S) * 1000
    # A number is a seat: a new shopper takes it, and the next seat opens. So a busy shop sends
    # records before it is full.
    agenda: list[tuple[int, int, int | Shopper | TrafficRecord]] = [(start_ms, next(order), 0)]

    def put(at_ms: float, what: int | Shopper | TrafficRecord) -> None:
        heappush(agenda, (int(at_ms), next(order), what))

    while True:
        at_ms, _, what = heappop(agenda)
        if isinstance(what, TrafficRecord):
            yield what
        elif isinstance(what, int):
            put(at_ms, Shopper(next(visitors), at_ms, random))
            if what + 1 < seats:
                put(start_ms + (what + 1) * OPENING_MS / seats, what + 1)
        else:
            for record in _sent(what.move(at_ms), random):
                put(record.send_ms, record)
            if what.place is Location.GONE:
                put(at_ms + random.uniform(0, 2) * pause_ms, seats - 1)
            else:
                put(what.now_ms + what.pause_ms(), what)


def _sent(events: list[Event], random: Random) -> Iterator[TrafficRecord]:
    for event in events:
        yield from records(event, random)


def records(event: Event, random: Random) -> Iterator[TrafficRecord]:
    """Yield the records of an event: usually one, without delay."""
    topic, key, fields = TOPIC_OF[type(event)], event.visitor.encode(), _fields(event)
    value = msgspec.json.encode(fields)
    chance = random.random()
    # Not exit signals: their answers would only be late, too.
    if chance < LATE and topic == PAGE_VIEWS and not isinstance(event, ExitSignalled):
        yield TrafficRecord(event.at_ms + random.randint(*LATE_MS), topic, key, value, "late")
        return
    yield TrafficRecord(event.at_ms, topic, key, value)
    if LATE <= chance < LATE + REPEATED:
        again_ms = event.at_ms + random.randint(*AGAIN_MS)
        yield TrafficRecord(again_ms, topic, key, value, "repeated")
    elif chance > 1 - MALFORMED:
        yield TrafficRecord(event.at_ms, topic, *_malformed(fields, random), "malformed")


def _fields(event: Event) -> dict[str, Any]:
    """Return an event as a shop writes it, without fields that have no value."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {name: value for name, value in fields.items() if value is not None}


def _malformed(fields: dict[str, Any], random: Random) -> tuple[bytes | None, bytes]:
    """Return key and value of a record that no worker can process."""
    key, value = fields["visitor"].encode(), msgspec.json.encode(fields)
    return random.choice(
        (
            (key, b""),
            (key, value[: len(value) // 2]),
            (key, msgspec.json.encode(fields | {"type": "cart_juggled"})),
            (key, msgspec.json.encode(fields | {"at_ms": "yesterday"})),
            (MAIL.encode(), msgspec.json.encode(fields | {"visitor": MAIL})),
            (b"somebody-else", value),
            (None, value),
        )
    )
