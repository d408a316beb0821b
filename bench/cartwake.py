"""Cartwake as it is measured: a fresh Redis, a fresh group, workers, and how far they are.

The one rule: the topics' names are fixed, so they are loaded once for a broker, and every
measurement reads them from the start under a group of its own.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import NamedTuple, Self

from bench.cpu import Reading, peak_mib, spent
from bench.events import PARTITIONS, Log
from stream.adapters.wire.outgoing import source_of
from stream.domain.topics import LANES
from tests.rig.kafka import Kafka
from tests.rig.processes import Worker
from tests.rig.redis import Redis

OUTPUTS = ("triggers", "decisions", "trigger-cancels", "dead-letters")
TRAINING = "training-examples"
LOOK_EVERY_S = 0.03
STATES_SAMPLED = 5_000
READY_WITHIN_S = 90.0
# A machine that is busy elsewhere still folds more than this in a second.
SLOWEST_EVENTS_PER_S = 500


class Reached(NamedTuple):
    """Over all shards: records folded, steps taken, entries not published yet."""

    folded: int
    steps: int
    pending: int


@contextmanager
def broker(folder: Path, partitions: int = PARTITIONS) -> Iterator[Kafka]:
    """Start a Kafka at Java's own settings, with the empty topics of a worker."""
    kafka = Kafka(folder / "kafka", java_options=())
    kafka.start()
    try:
        kafka.create_topics([*LANES, *OUTPUTS], partitions)
        kafka.create_topics([TRAINING], 1)
        yield kafka
    finally:
        kafka.stop()


class Cartwake:
    """Workers of one new group on a Redis of their own."""

    def __init__(
        self,
        kafka: Kafka,
        folder: Path,
        partitions: int = PARTITIONS,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.kafka = kafka
        self.group = f"bench-{uuid.uuid4().hex[:8]}"
        self._folder = folder / self.group
        self.redis = Redis(self._folder / "redis")
        self._partitions = partitions
        self._settings = {
            "CARTWAKE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "CARTWAKE_REDIS__URL": self.redis.url,
            "CARTWAKE_WORKER__GROUP": self.group,
        } | {f"CARTWAKE_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        self.workers: list[Worker] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self.redis.start()
        self._stack.callback(self.redis.stop)
        self._client = self._stack.enter_context(self.redis.client())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_workers(
        self, count: int, *, wait: bool, program: Sequence[str] | None = None
    ) -> None:
        """Start workers, by ``program`` if told; with ``wait`` return once all are ready."""
        for number in range(count):
            worker = Worker(self._folder, self._settings, f"worker-{number}", program)
            worker.start(ready_within_s=None)
            self._stack.callback(worker.stop)
            self.workers.append(worker)
        for worker in self.workers if wait else ():
            worker.wait_until_ready(worker.is_ready, READY_WITHIN_S)

    def pids(self) -> dict[str, int]:
        """Return the processes to be measured, by name."""
        own = {f"worker{number or ''}": worker.pid for number, worker in enumerate(self.workers)}
        return own | {"redis": self.redis.pid, "kafka": self.kafka.pid}

    def reached(self) -> Reached:
        """Ask Redis how far the group is."""
        pipe = self._client.pipeline(transaction=False)
        for shard in range(self._partitions):
            pipe.hget(f"{self.group}:{{{shard}}}:own", "watermark")
            pipe.hlen(f"{self.group}:{{{shard}}}:out")
        told = pipe.execute()
        marks = [json.loads(mark) for mark in told[::2] if mark]
        folded = sum(sum(mark["offsets"].values()) for mark in marks)
        return Reached(folded, sum(mark["step"] for mark in marks), sum(told[1::2]))

    def wait_until_claimed(self) -> None:
        """Return once every shard has an owner: right before anything of it is fetched."""
        pipe = self._client.pipeline(transaction=False)
        while True:
            for shard in range(self._partitions):
                pipe.hexists(f"{self.group}:{{{shard}}}:own", "token")
            if all(pipe.execute()):
                return
            self.check()
            sleep(LOOK_EVERY_S / 10)

    def wait_for(self, records: int) -> Reached:
        """Return once so many records are folded and all that was decided is published.

        Raises
        ------
        TimeoutError
            It takes too long, or a worker has ended.
        """
        within_s = READY_WITHIN_S + records / SLOWEST_EVENTS_PER_S
        until = monotonic() + within_s
        while (reached := self.reached()).folded < records or reached.pending:
            self.check()
            if monotonic() > until:
                raise TimeoutError(f"{reached} after {within_s:g} s; wanted {records}")
            sleep(LOOK_EVERY_S)
        return reached

    def check(self) -> None:
        """Raise TimeoutError where a worker has ended: waiting for it would be in vain."""
        for worker in self.workers:
            if not worker.running:
                raise TimeoutError(f"a worker has ended; its log:\n{worker.output[-2000:]}")

    def published(self) -> list[str]:
        """Return the ids of this group's triggers, repeats included."""
        source = f"{source_of(self.group)}/triggers".encode()
        messages = self.kafka.read_all("triggers")
        return [m.headers["ce_id"].decode() for m in messages if m.headers["ce_source"] == source]

    def used_bytes(self) -> int:
        """Return Redis's ``used_memory``."""
        return int(self._client.info("memory")["used_memory"])

    def visitors(self) -> int:
        """Return how many visitors' states there are."""
        keys = (f"{self.group}:{{{shard}}}:state" for shard in range(self._partitions))
        return sum(map(self._client.hlen, keys))

    def state_sizes(self) -> list[int]:
        """Return the bytes of a sample of the visitors' states."""
        key = f"{self.group}:{{0}}:state"  # visitors are spread over the shards by hash
        found = self._client.hrandfield(key, STATES_SAMPLED, withvalues=True)
        return [len(state) for state in found[1::2]]


def drained(run: Cartwake, log: Log, program: Sequence[str] | None = None) -> dict[str, float]:
    """Start a worker on a loaded log, and return what the log takes it."""
    run.start_workers(1, wait=False, program=program)
    return measured(run, log)


def measured(run: Cartwake, log: Log) -> dict[str, float]:
    """Return figures per event, from when the workers own all shards until all is published."""
    run.wait_until_claimed()
    first = Reading.of(run.pids())
    reached = run.wait_for(log.events)
    last = Reading.of(run.pids())
    figures = spent(first, last, log.events)
    names = [f"worker{number}_us" for number in range(1, len(run.workers))]
    figures["worker_us"] += sum(figures.pop(name) for name in names)
    figures["worker_and_redis_us"] = figures["worker_us"] + figures["redis_us"]
    figures["batch"] = log.events / reached.steps
    figures["worker_mib"] = max(peak_mib(worker.pid) for worker in run.workers)
    return figures


def differences(expected: set[str], published: list[str]) -> dict[str, int]:
    """Return how many triggers there are, and how many are missing, extra and repeated."""
    once = set(published)
    return {
        "triggers": len(once),
        "missing": len(expected - once),
        "extra": len(once - expected),
        "repeats": len(published) - len(once),
    }
