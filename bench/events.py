"""The events of a measurement, as a file of canonical JSON lines in the order of the merge.

The one rule: the real month where it is present, else a synthetic one; every result says which.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson
from aiokafka.partitioner import murmur2

from bench import synthetic
from bench.results import FOLDER
from stream import replay
from stream.config.settings import Settings
from stream.domain.topics import LANES
from tests.rig import merch_store
from tests.rig.kafka import Kafka, Record

PARTITIONS = 12
VISITORS = 60_000  # of the synthetic month
AT_ONCE = 200_000  # records that wait for their acknowledgement

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Log:
    """A file of events; ``last_ms`` is the time of the last one of each partition."""

    path: Path
    source: str
    events: int
    last_ms: dict[int, int]

    def lines(self) -> Iterator[bytes]:
        """Yield the events as bytes."""
        with self.path.open("rb") as file:
            for line in file:
                yield line.rstrip()

    def produce(self, kafka: Kafka) -> None:
        """Write the events to their topics, which exist; timestamps are the events' own."""
        for topic in LANES:
            records = self._records(topic)
            while kafka.produce(topic, islice(records, AT_ONCE)):
                pass

    def expected(self, folder: Path) -> set[str]:
        """Return the ids of the triggers that a replay gives.

        Those due after a partition's last record are left out: on Kafka nothing says they are due.
        """
        replay.run(str(self.path), folder, Settings(), 0)
        found = map(json.loads, (folder / "triggers.jsonl").read_bytes().splitlines())
        parts = len(self.last_ms)
        return {
            trigger["trigger_id"]
            for trigger in found
            if trigger["due_at_ms"] <= self.last_ms[partition_of(trigger["visitor"], parts)]
        }

    def _records(self, topic: str) -> Iterator[Record]:
        for line in self.lines():
            event = orjson.loads(line)
            if merch_store.TOPIC_OF[event["type"]] == topic:
                yield event["visitor"].encode(), line, event["at_ms"], None, None


def shop(limit: int | None) -> tuple[str, Iterator[Event]]:
    """Return what the events are, and the first ``limit`` of them (None: all)."""
    if merch_store.shop_file().exists():
        found, source = merch_store.events(), "real month"
    else:
        found, source = synthetic.events(VISITORS), "synthetic month"
    return source, islice(found, limit)


def log(limit: int | None, partitions: int = PARTITIONS) -> Log:
    """Return the shop's events as a log; its file is made once."""
    source, found = shop(limit)
    name = f"{source} {limit or 'all'}"
    return write(found, name, source, partitions)


def write(found: Iterable[Event], name: str, source: str, partitions: int) -> Log:
    """Return the log of these events, whose file is made unless one of that name is there."""
    path = FOLDER / "events" / f"{name.replace(' ', '-')}.jsonl"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(f".{os.getpid()}")
        with half.open("wb") as file:
            file.writelines(merch_store.encode(event) + b"\n" for event in found)
        half.rename(path)
    count, last_ms = 0, dict.fromkeys(range(partitions), 0)
    with path.open("rb") as file:
        for count, event in enumerate(map(orjson.loads, file), start=1):  # noqa: B007 - the last one is the count
            last_ms[partition_of(event["visitor"], partitions)] = event["at_ms"]
    return Log(path, f"{source}, {count:,} events", count, last_ms)


def partition_of(visitor: str, partitions: int) -> int:
    """Return the partition that a visitor's records go to."""
    return int((murmur2(visitor.encode()) & 0x7FFFFFFF) % partitions)


def with_everybodys_consent(found: Iterable[Event]) -> Iterator[Event]:
    """Yield the events with a full grant before each visitor's first; withdrawals stay."""
    seen: set[str] = set()
    for event in found:
        granted = "granted" in event.get("purposes", {}).values()
        if event["visitor"] not in seen:
            seen.add(event["visitor"])
            yield _grant(event)
        if not granted:
            yield event


def closed(found: Iterable[Event], partitions: int, after_ms: int) -> Iterator[Event]:
    """Yield the events, and later a page view in each partition: its clock passes all before."""
    last: Event | None = None
    for event in found:
        last = event
        yield event
    if last is None:
        return
    at_ms = last["at_ms"] + after_ms
    names = chain.from_iterable(_names(part, partitions) for part in range(partitions))
    for name in names:
        yield {"type": "page_viewed", "id": name, "visitor": name, "at_ms": at_ms, "url": "/"}


def _names(part: int, partitions: int) -> Iterator[str]:
    names = (f"closing-{number}" for number in range(1000 * partitions))
    yield next(name for name in names if partition_of(name, partitions) == part)


def _grant(event: Event) -> Event:
    purposes = ("personalization", "marketing_email", "analytics")
    return {
        "type": "consent_updated",
        "id": f"g-{event['visitor']}",
        "visitor": event["visitor"],
        "at_ms": event["at_ms"],
        "purposes": dict.fromkeys(purposes, "granted"),
    }
