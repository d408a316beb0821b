"""Shoppers by a seed, written to Kafka in real time: each waits for Kafka before it goes on.

The one rule: a visitor's next event is written only once the one before is acknowledged, and the
broker gives the timestamps; so the log alone says what had happened by when.
"""

import heapq
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self

from confluent_kafka import Message, Producer

BOTH = {"personalization": "granted", "marketing_email": "granted"}
NO_MAIL = {"marketing_email": "withdrawn"}
NOTHING = {"personalization": "withdrawn", "marketing_email": "withdrawn"}
PRODUCTS = tuple(
    {"id": f"p{number}", "price_minor": 500 * number, "currency": "EUR"} for number in range(1, 9)
)
# Planted everywhere where an event may hold free text; nothing but the inputs may ever show it.
SECRET = "zoe.4711@shop.example"
# The reminders of the campaign are due so soon that a run sees many of them.
IDLE_S = 4
PAUSES_S = (0.2, 0.5, 1.0, 1.6, 2.4)
LONG_PAUSE_S = 6.5
REFUSED_S = 0.5


class Step(NamedTuple):
    """One event of a shopper, so long after the one before."""

    pause_s: float
    topic: str
    kind: str
    fields: dict[str, Any]


Script = Callable[[random.Random], list[Step]]


def consents(purposes: dict[str, str], pause_s: float = 0.0, **more: Any) -> Step:
    return Step(
        pause_s, "consent-events", "consent_updated", {"purposes": purposes, "title": SECRET} | more
    )


def erases(pause_s: float) -> Step:
    return Step(pause_s, "consent-events", "erasure_requested", {})


def views(pause_s: float) -> Step:
    return Step(pause_s, "page-views", "page_viewed", {"url": "/", "title": SECRET})


def adds(draw: random.Random, pause_s: float) -> Step:
    fields = {"product": draw.choice(PRODUCTS), "quantity": draw.randint(1, 3)}
    return Step(pause_s, "cart-events", "product_added", fields)


def removes(draw: random.Random, pause_s: float) -> Step:
    fields = {"product_id": draw.choice(PRODUCTS)["id"]}
    return Step(pause_s, "cart-events", "product_removed", fields)


def orders(draw: random.Random, pause_s: float) -> Step:
    fields = {"order": f"o{draw.getrandbits(48)}", "total_minor": 900, "currency": "EUR"}
    return Step(pause_s, "cart-events", "order_completed", fields)


def leaves(draw: random.Random, pause_s: float) -> Step:
    fields = {"signal": "tab_hidden", "dwell_ms": draw.choice((1_000, 5_000, 9_000))}
    return Step(pause_s, "page-views", "exit_signalled", fields)


def shops(draw: random.Random) -> list[Step]:
    """Consent, fill a cart, and do what shoppers do, with pauses around the idle time."""
    steps = [consents(BOTH), views(0.2), adds(draw, draw.choice(PAUSES_S))]
    for _ in range(draw.randint(1, 5)):
        pause_s = LONG_PAUSE_S if draw.random() < 0.25 else draw.choice(PAUSES_S)
        steps.append(_happening(draw, pause_s))
    return steps


def _happening(draw: random.Random, pause_s: float) -> Step:
    return draw.choices(
        (
            views(pause_s),
            adds(draw, pause_s),
            removes(draw, pause_s),
            orders(draw, pause_s),
            leaves(draw, pause_s),
            consents(NO_MAIL, pause_s),
            consents(NOTHING, pause_s),
            consents(BOTH, pause_s),
            erases(pause_s),
        ),
        weights=(6, 5, 1, 3, 4, 1, 1, 1, 0.5),
    )[0]


class Traffic:
    """Lets new shoppers come at a rate until it is told to stop; ends when all have finished.

    Parameters
    ----------
    mishaps
        May change what is written: it is given topic, key and event, and returns what to write
        (a value may be bytes that are no event), in order.
    """

    def __init__(
        self,
        bootstrap: str,
        seed: int,
        rate: float = 40.0,
        script: Script = shops,
        mishaps: "Mishaps | None" = None,
    ) -> None:
        self._draw = random.Random(seed)
        self._rate, self._script = rate, script
        self._mishaps = mishaps or _none
        self._due: list[tuple[float, int, str, list[Step]]] = []
        self._numbers = itertools.count()
        self._arrivals = itertools.count()
        self._acknowledged: list[tuple[float, int, str, list[Step]]] = []
        self.written = 0  # and acknowledged
        self._ends_at = float("inf")
        self._producer = Producer(
            {
                "bootstrap.servers": bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 2,
                "log_level": 0,
                "delivery.timeout.ms": 300_000,
            }
        )
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let nobody new come, and return once everybody has finished."""
        self._ends_at = min(self._ends_at, time.monotonic())
        self._thread.join()

    def _run(self) -> None:
        arrives = time.monotonic()
        waiting = 0
        while True:
            now = time.monotonic()
            while arrives <= min(now, self._ends_at):
                self._arrive(arrives)
                arrives += self._draw.expovariate(self._rate)
            while self._due and self._due[0][0] <= now:
                _, _, visitor, steps = heapq.heappop(self._due)
                self._write(visitor, steps)
                waiting += 1
            self._producer.poll(0.002)
            for one in self._acknowledged:
                waiting -= 1
                if one[3]:
                    heapq.heappush(self._due, one)
            self._acknowledged.clear()
            if now > self._ends_at and not self._due and not waiting:
                return

    def _arrive(self, at: float) -> None:
        # Counted apart from steps: who is the ninth must not depend on how fast Kafka answers.
        visitor = f"v{next(self._arrivals)}-{self._draw.getrandbits(24):06x}"
        heapq.heappush(self._due, (at, next(self._numbers), visitor, self._script(self._draw)))

    def _write(self, visitor: str, steps: list[Step]) -> None:
        step, *rest = steps
        event = {
            "type": step.kind,
            "id": f"{visitor}-{len(rest)}",
            "visitor": visitor,
            "at_ms": time.time_ns() // 1_000_000,
        } | step.fields
        written = list(self._mishaps(self._draw, step.topic, visitor, event))
        answers: list[Any] = []

        def acknowledged(error: Any, _: Message) -> None:
            answers.append(error)
            self.written += error is None
            if len(answers) < len(written):
                return
            # What the log refused is written once more, as a storefront would.
            left = steps if any(answers) else rest
            pause_s = REFUSED_S if any(answers) else rest[0].pause_s if rest else 0.0
            again = (time.monotonic() + pause_s, next(self._numbers), visitor, left)
            self._acknowledged.append(again)

        for topic, key, value in written:
            self._producer.produce(topic, value, key, on_delivery=acknowledged)


Mishaps = Callable[
    [random.Random, str, str, dict[str, Any]], Iterator[tuple[str, bytes | None, bytes | None]]
]


def _none(_: random.Random, topic: str, visitor: str, event: dict[str, Any]) -> Iterator[Any]:
    yield topic, visitor.encode(), json.dumps(event).encode()
