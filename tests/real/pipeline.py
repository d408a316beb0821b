"""Topics, workers and results of a run of the whole worker on real servers."""

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, Self

from stream.domain.topics import LANES
from tests.rig.kafka import Kafka, Message
from tests.rig.processes import Worker, wait_until
from tests.rig.redis import Redis

OUTPUTS = ("triggers", "decisions", "trigger-cancels", "dead-letters", "message-feedback")
PARTITIONS = 12


class Stored(NamedTuple):
    """What Redis holds of a group: offsets over all shards, and what is not published yet."""

    folded: int
    pending: int


class Pipeline:
    """Empty topics, and workers of one group that read them."""

    def __init__(
        self, kafka: Kafka, redis: Redis, folder: Path, group: str, **settings: object
    ) -> None:
        self.kafka, self.redis, self.group = kafka, redis, group
        self._folder = folder
        self.settings = {
            "CARTWAKE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "CARTWAKE_REDIS__URL": redis.url,
            "CARTWAKE_WORKER__GROUP": group,
        } | {f"CARTWAKE_{name.upper()}": str(value) for name, value in settings.items()}
        self.workers: list[Worker] = []
        self.environment: dict[str, str] = {}  # of the workers, beside their settings
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.kafka.create_topics([*LANES, *OUTPUTS], PARTITIONS)
        self.kafka.create_topics(["training-examples"], 1)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_workers(self, count: int, *, wait: bool = True) -> None:
        """Start workers side by side and return once all are ready; without ``wait`` at once."""
        first = len(self.workers)
        started = [
            Worker(
                self._folder,
                self.settings,
                f"worker-{first + number}",
                environment=self.environment,
            )
            for number in range(count)
        ]
        for worker in started:
            worker.start(ready_within_s=None)
            self._stack.callback(worker.kill)
        for worker in started if wait else ():
            worker.wait_until_ready(worker.is_ready, 90)
        self.workers += started

    def produce(self, by_topic: Mapping[str, Iterable[tuple[bytes, bytes, int]]]) -> int:
        """Produce whole topics one after the other, dense ones first: as uneven as can be."""
        count = 0
        for topic in reversed(LANES):
            records = (
                (key, value, at_ms, None, None) for key, value, at_ms in by_topic.get(topic, ())
            )
            count += self.kafka.produce(topic, records)
        return count

    def stored(self) -> Stored:
        """Ask Redis how far the group is."""
        with self.redis.client() as client:
            marks = [client.hget(self._key(n, "own"), "watermark") for n in range(PARTITIONS)]
            pending = sum(client.hlen(self._key(n, "out")) for n in range(PARTITIONS))
        offsets = [json.loads(mark)["offsets"] for mark in marks if mark]
        return Stored(sum(sum(each.values()) for each in offsets), pending)

    def wait_until_folded(self, records: int, timeout_s: float) -> None:
        """Return once so many records are folded and everything decided is published."""
        wait_until(lambda: self.stored() == (records, 0), f"{records} folded records", timeout_s)

    def visitors(self) -> int:
        """Return how many visitors' states there are."""
        with self.redis.client() as client:
            return sum(client.hlen(self._key(n, "state")) for n in range(PARTITIONS))

    def published(self, topic: str) -> list[Message]:
        """Return what has been published to a topic."""
        return self.kafka.read_all(topic)

    def bodies(self, topic: str) -> list[dict[str, Any]]:
        """Return the values that have been published to a topic."""
        return [json.loads(message.value) for message in self.published(topic)]

    def _key(self, shard: int, kind: str) -> str:
        return f"{self.group}:{{{shard}}}:{kind}"
