"""Scripted shoppers on a live worker: exactly the triggers that their scripts ask for.

``python -m tests.real.test_live`` prints how long the triggers took, besides.
"""

import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.real.pipeline import PARTITIONS, Pipeline
from tests.rig.kafka import Kafka
from tests.rig.redis import Redis

IDLE_S = 3
BOTH = {"personalization": "granted", "marketing_email": "granted"}
PRODUCT = {"id": "mug", "price_minor": 1200, "currency": "EUR"}


class Act(NamedTuple):
    """What a shopper does ``after_s`` seconds from the start."""

    after_s: float
    topic: str
    type: str
    fields: dict[str, Any]


def consents(after_s: float, **purposes: str) -> Act:
    """Choose, per purpose."""
    return Act(after_s, "consent-events", "consent_updated", {"purposes": purposes})


def adds(after_s: float, **fields: Any) -> Act:
    """Put a mug into the cart."""
    return Act(
        after_s, "cart-events", "product_added", {"product": PRODUCT, "quantity": 1} | fields
    )


def orders(after_s: float) -> Act:
    """Buy."""
    fields = {"order": "o-1", "total_minor": 1200, "currency": "EUR"}
    return Act(after_s, "cart-events", "order_completed", fields)


def views(after_s: float) -> Act:
    """Look at a page."""
    return Act(after_s, "page-views", "page_viewed", {"url": "/mugs"})


def leaves(after_s: float, dwell_ms: int = 5000) -> Act:
    """Move the pointer out of the page."""
    fields = {"signal": "pointer_left_top", "dwell_ms": dwell_ms}
    return Act(after_s, "page-views", "exit_signalled", fields)


BOT = {"context": {"user_agent": "Googlebot/2.1 (+http://www.google.com/bot.html)"}}
CART, EXIT = "cart_abandonment", "exit_intent"
# Per kind of shopper: how many, what they do, and the triggers they are to get.
SCRIPTS: dict[str, tuple[int, tuple[Act, ...], Counter[str]]] = {
    "leaves a cart": (25, (consents(0, **BOTH), views(0.2), adds(0.5)), Counter([CART])),
    "buys in time": (15, (consents(0, **BOTH), adds(0.5), orders(2.5)), Counter()),
    "is about to leave": (
        15,
        (consents(0, **BOTH), adds(0.5), leaves(1.0)),
        Counter([EXIT, CART]),
    ),
    "leaves twice": (
        5,
        (consents(0, **BOTH), adds(0.5), leaves(1.0), leaves(1.5)),
        Counter([EXIT, CART]),
    ),
    "leaves at once": (5, (consents(0, **BOTH), adds(0.5), leaves(1.0, 10)), Counter([CART])),
    "comes back": (5, (consents(0, **BOTH), adds(0.5), views(2.5)), Counter([CART])),
    "never consented": (10, (views(0), adds(0.5), leaves(1.0)), Counter()),
    "wants no mail": (
        10,
        (consents(0, personalization="granted"), adds(0.5), leaves(1.0)),
        Counter([EXIT]),
    ),
    "withdraws": (
        5,
        (consents(0, **BOTH), adds(0.5), consents(2.0, personalization="withdrawn")),
        Counter(),
    ),
    "is a bot": (5, (consents(0, **BOTH), adds(0.5, **BOT)), Counter()),
}


class Run(NamedTuple):
    """What came out: triggers by visitor, and milliseconds that each kind took."""

    triggers: dict[str, Counter[str]]
    fire_lag_ms: list[float]
    answer_ms: list[float]


def shoppers() -> Iterator[tuple[str, tuple[Act, ...], Counter[str]]]:
    """Yield every shopper's name, script and expected triggers."""
    for kind, (count, acts, expected) in SCRIPTS.items():
        for number in range(count):
            yield f"{kind} {number}", acts, expected


def play(pipeline: Pipeline) -> Run:
    """Let all shoppers act, and read triggers until long after the last could be due."""
    producer = Producer(
        {
            "bootstrap.servers": pipeline.kafka.bootstrap,
            "partitioner": "murmur2_random",
            "linger.ms": 0,
        }
    )
    reader = Consumer(
        {
            "bootstrap.servers": pipeline.kafka.bootstrap,
            "group.id": f"{pipeline.group}-reader",
            "fetch.wait.max.ms": 5,
        }
    )
    # Joining a group would take longer than most triggers.
    reader.assign([TopicPartition("triggers", number, 0) for number in range(PARTITIONS)])
    agenda = sorted(
        # Shoppers arrive one after the other, 10 ms apart, as shoppers do.
        ((act.after_s + 0.01 * number, visitor, act))
        for number, (visitor, acts, _) in enumerate(shoppers())
        for act in acts
    )
    run, signalled = Run({}, [], []), {}
    began = time.monotonic()
    for after_s, visitor, act in agenda:
        while time.monotonic() < began + after_s:
            _read(reader, run, signalled)
        if act.type == "exit_signalled":
            signalled.setdefault(visitor, time.monotonic())
        producer.produce(act.topic, key=visitor, value=_value(visitor, act))
        producer.poll(0)
    producer.flush(10)
    until = time.monotonic() + IDLE_S + 4
    while time.monotonic() < until:
        _read(reader, run, signalled)
    reader.close()
    return run


def _value(visitor: str, act: Act) -> bytes:
    event = {
        "type": act.type,
        "id": f"{visitor} {act.type} {act.after_s}",
        "visitor": visitor,
        "at_ms": time.time_ns() // 1_000_000,
    }
    return json.dumps(event | act.fields).encode()


def _read(reader: Consumer, run: Run, signalled: dict[str, float]) -> None:
    message = reader.poll(0.002)
    if message is None or message.error():
        return
    trigger = json.loads(message.value())
    visitor = trigger["visitor"]
    run.triggers.setdefault(visitor, Counter())[trigger["kind"]] += 1
    if trigger["kind"] == EXIT:
        run.answer_ms.append((time.monotonic() - signalled[visitor]) * 1000)
    else:
        decided = datetime.fromisoformat(dict(message.headers())["ce_recordedtime"].decode())
        run.fire_lag_ms.append(decided.timestamp() * 1000 - trigger["due_at_ms"])


def _pipeline(kafka: Kafka, redis: Redis, folder: Path, group: str) -> Pipeline:
    return Pipeline(
        kafka, redis, folder, group, cart_abandonment__idle_s=IDLE_S, holdout__fraction=0
    )


def test_shoppers_get_exactly_the_triggers_that_their_behaviour_asks_for(
    empty_kafka: Kafka, redis_server: Redis, tmp_path: Path, group: str
) -> None:
    with _pipeline(empty_kafka, redis_server, tmp_path, group) as pipeline:
        pipeline.start_workers(1)
        run = play(pipeline)
    wrong = {
        visitor: run.triggers.get(visitor, Counter())
        for visitor, _, expected in shoppers()
        if run.triggers.get(visitor, Counter()) != expected
    }
    assert wrong == {}


def main() -> None:
    """Print how long triggers took."""
    with tempfile.TemporaryDirectory() as name:
        kafka, redis = Kafka(Path(name) / "kafka", java_options=()), Redis(Path(name) / "redis")
        kafka.start()
        redis.start()
        try:
            with _pipeline(kafka, redis, Path(name), "live") as pipeline:
                pipeline.start_workers(1)
                run = play(pipeline)
                print(sum((found for found in run.triggers.values()), Counter()))
                for what, took in (("fire lag", run.fire_lag_ms), ("exit answer", run.answer_ms)):
                    cuts = statistics.quantiles(took, n=100)
                    print(f"{what} of {len(took)}: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms")
        finally:
            redis.stop()
            kafka.stop()


if __name__ == "__main__":
    main()
