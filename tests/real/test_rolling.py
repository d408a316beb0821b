"""Workers are replaced one by one under traffic: nobody is forgotten, and nobody is late by 5 s.

``python -m tests.real.test_rolling`` prints how late triggers were, in each of both orders.
"""

import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tests.real.pipeline import PARTITIONS, Pipeline
from tests.rig.kafka import Kafka
from tests.rig.processes import wait_until
from tests.rig.redis import Redis

WORKERS = 2
IDLE_S = 3
LATE_MS = 5_000
WITHIN_S = 90.0
BETWEEN_S = 3.0  # a group that is at rest again, as the Deployment's minReadySeconds has it
SETTINGS = {
    "cart_abandonment__idle_s": IDLE_S,
    "cart_abandonment__steps_s": [0],
    "holdout__fraction": 0,
}
ALLOWED = {"personalization": "granted", "marketing_email": "granted"}
MUG = {"id": "mug", "price_minor": 1200, "currency": "EUR"}
ORDERS = ("the next one comes first", "the old one goes first")


class Outcome(NamedTuple):
    """Who was owed which triggers, what came how often, and how late each of it was."""

    owed: Counter[tuple[str, str]]
    came: Counter[tuple[str, str]]
    late_ms: list[float]


class Shop:
    """Shoppers who leave a cart, and every third the page; and the reader of what they get."""

    def __init__(self, bootstrap: str) -> None:
        self.owed: Counter[tuple[str, str]] = Counter()
        self.came: dict[str, tuple[str, str]] = {}
        self.late_ms: list[float] = []
        self._bootstrap = bootstrap
        self._closed, self._done = Event(), Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Let shoppers come, and wait in the end until everybody has what is owed."""
        reader = Thread(target=self._read)
        shoppers = Thread(target=self._shop)
        reader.start()
        shoppers.start()
        try:
            yield
            self._closed.set()
            shoppers.join()
            wait_until(lambda: set(self.came.values()) >= set(self.owed), "what is owed", WITHIN_S)
            time.sleep(1)  # for one too many
        finally:
            self._closed.set()
            self._done.set()
            shoppers.join()
            reader.join()

    def _shop(self) -> None:
        producer = Producer(
            {"bootstrap.servers": self._bootstrap, "partitioner": "murmur2_random", "linger.ms": 0}
        )
        number = 0
        while not self._closed.wait(0.1):
            visitors = [f"v-{number + each}" for each in range(4)]
            number += len(visitors)
            for visitor in visitors:
                _tell(producer, "consent-events", visitor, "consent_updated", purposes=ALLOWED)
            producer.flush()
            for visitor in visitors:
                _tell(producer, "cart-events", visitor, "product_added", product=MUG, quantity=1)
                self.owed[visitor, "cart_abandonment"] = 1
            producer.flush()
            signal = {"signal": "pointer_left_top", "dwell_ms": 5_000}
            _tell(producer, "page-views", visitors[0], "exit_signalled", **signal)
            self.owed[visitors[0], "exit_intent"] = 1
            producer.flush()

    def _read(self) -> None:
        settings = {"bootstrap.servers": self._bootstrap, "group.id": "reader"}
        consumer = Consumer(settings | {"fetch.wait.max.ms": 5})
        consumer.assign([TopicPartition("triggers", number, 0) for number in range(PARTITIONS)])
        while not self._done.is_set():
            message = consumer.poll(0.05)
            if message is None or message.error():
                continue
            trigger = json.loads(message.value())
            if trigger["trigger_id"] not in self.came:  # a repeat is its reader's to know
                self.late_ms.append(time.time_ns() / 1e6 - trigger["due_at_ms"])
            self.came[trigger["trigger_id"]] = (trigger["visitor"], trigger["kind"])
        consumer.close()


def _tell(producer: Producer, topic: str, visitor: str, kind: str, **fields: object) -> None:
    event = {"type": kind, "id": f"{visitor}-{kind}", "visitor": visitor}
    event["at_ms"] = time.time_ns() // 1_000_000
    producer.produce(topic, key=visitor, value=json.dumps(event | fields))


def roll(pipeline: Pipeline, order: str) -> Outcome:
    """Replace every worker while shoppers come."""
    pipeline.start_workers(WORKERS)
    old, shop = list(pipeline.workers), Shop(pipeline.kafka.bootstrap)
    with shop.open():
        time.sleep(IDLE_S + 1)
        for worker in old:
            if order == ORDERS[0]:
                pipeline.start_workers(1)
                time.sleep(BETWEEN_S)
            assert worker.stop() == 0
            if order == ORDERS[1]:
                pipeline.start_workers(1)
            time.sleep(BETWEEN_S)
    return Outcome(shop.owed, Counter(shop.came.values()), shop.late_ms)


def _told(outcome: Outcome) -> str:
    cuts = statistics.quantiles(outcome.late_ms, n=100)
    figures = f"p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms, latest {max(outcome.late_ms):.0f} ms"
    return f"{len(outcome.owed)} triggers owed, {len(outcome.came)} came; late by {figures}"


@pytest.mark.parametrize("order", ORDERS)
def test_while_workers_are_replaced_nobody_is_forgotten_and_nobody_is_late(
    empty_kafka: Kafka, redis_server: Redis, tmp_path: Path, group: str, order: str
) -> None:
    with Pipeline(empty_kafka, redis_server, tmp_path, group, **SETTINGS) as pipeline:
        outcome = roll(pipeline, order)
    print(f"{order}: {_told(outcome)}")
    assert outcome.came == outcome.owed
    assert max(outcome.late_ms) <= LATE_MS


def main() -> None:
    """Print the figures of both orders."""
    for order in ORDERS:
        with tempfile.TemporaryDirectory() as name:
            kafka, redis = Kafka(Path(name) / "kafka"), Redis(Path(name) / "redis")
            kafka.start()
            redis.start()
            try:
                with Pipeline(kafka, redis, Path(name), "rolling", **SETTINGS) as pipeline:
                    sys.stdout.write(f"{order}: {_told(roll(pipeline, order))}\n")
            finally:
                redis.stop()
                kafka.stop()


if __name__ == "__main__":
    main()
