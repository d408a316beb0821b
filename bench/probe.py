"""A live stream at a fixed rate, and how long its triggers take to be seen.

The one rule: latency ends where a consumer that reads committed records only holds the trigger; it
begins at ``produce()``, or for a wake-up at the moment when it was due.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import orjson
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.results import latencies
from tests.rig.kafka import Kafka

WARM_S = 30.0  # a new broker compiles itself for so long, on a core that the others want
LATE_S = 5.0  # what has not come so long after the last event counts as lost
PAUSE_S = 0.0005


class Sent(NamedTuple):
    """A record to be produced; ``probe`` names the trigger that must come of it, if any."""

    topic: str
    event: dict[str, Any]
    probe: str | None = None


class Seen:
    """Reads a topic of triggers in a thread; remembers when each was first seen."""

    def __init__(self, kafka: Kafka, topic: str, name: Callable[[dict[str, Any]], str]) -> None:
        """Name triggers by ``name``, as probes are named."""
        self._name = name
        self.at: dict[str, float] = {}  # monotonic
        self.lag_ms: list[float] = []  # after its due time, by the wall clock
        self._consumer = Consumer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "group.id": "probe",  # demanded by the client; nothing is ever committed
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 10,
            }
        )
        parts = range(kafka.topics()[topic])
        places = [TopicPartition(topic, part, OFFSET_BEGINNING) for part in parts]
        self._consumer.assign(places)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the body runs."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()
            self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            polled = self._consumer.poll(0.05)
            if polled is None or polled.error() is not None:
                continue
            at, wall_ms = time.monotonic(), time.time() * 1000
            trigger = orjson.loads(polled.value() or b"")
            self.at.setdefault(self._name(trigger), at)
            self.lag_ms.append(wall_ms - trigger.get("due_at_ms", wall_ms))


class Stream:
    """Produces records one by one, as storefronts do."""

    def __init__(self, kafka: Kafka) -> None:
        self._producer = Producer(
            {
                "bootstrap.servers": kafka.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 0,
                "queue.buffering.max.messages": 0,
            }
        )

    def send(self, sent: Sent) -> None:
        """Produce one record, at its event's time."""
        event = sent.event
        self._producer.produce(
            sent.topic, orjson.dumps(event), event["visitor"], timestamp=now_ms()
        )
        self._producer.poll(0)

    def send_all(self, records: Iterable[Sent]) -> int:
        """Produce records as fast as it goes; return how many, all of them acknowledged."""
        count = 0
        for count, sent in enumerate(records, start=1):  # noqa: B007 - the last one is the count
            self.send(sent)
        if self._producer.flush(60):
            raise RuntimeError("records were not acknowledged within a minute")
        return count

    def pace(self, make: Callable[[int], Sent], rate: float, seconds: float) -> dict[str, float]:
        """Produce at a rate; return when each probe was sent once everything is warm."""
        began, number, probes = time.monotonic(), 0, {}
        while (passed := time.monotonic() - began) < WARM_S + seconds:
            while number < passed * rate:
                sent = make(number)
                if sent.probe and passed > WARM_S:
                    probes[sent.probe] = time.monotonic()
                self.send(sent)
                number += 1
            time.sleep(PAUSE_S)
        if left := self._producer.flush(10):
            raise RuntimeError(f"{left} records were not acknowledged: {rate:g}/s are too many")
        return probes


def answered(seen: Seen, probes: dict[str, float]) -> dict[str, float]:
    """Wait for what is still under way; return the latencies of the probes and the lost ones."""
    until = time.monotonic() + LATE_S
    while probes.keys() - seen.at.keys() and time.monotonic() < until:
        time.sleep(0.1)
    took_ms = [(seen.at[one] - sent) * 1000 for one, sent in probes.items() if one in seen.at]
    if not took_ms:
        raise RuntimeError("no trigger was seen")
    return latencies(took_ms) | {"probes": len(probes), "lost": len(probes) - len(took_ms)}


def now_ms() -> int:
    """Return the wall clock, ms UTC."""
    return time.time_ns() // 1_000_000
