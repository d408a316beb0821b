"""Where a row takes place: servers behind proxies, workers, shoppers, and who watches."""

import random
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from stream.config.loading import load
from stream.config.settings import Settings
from stream.domain.topics import LANES
from tests.faults.observer import Observer, now_ms
from tests.faults.servers import Broker, State
from tests.faults.traffic import IDLE_S, Mishaps, Script, Traffic, shops
from tests.real.pipeline import OUTPUTS
from tests.rig.processes import Worker, cartwake_command, wait_until

GROUP = "faults"
PARTITIONS = 12
SETTLES_WITHIN_S = 180.0
STEPS_S = (0, 7)
# Whatever is written gets the broker's time, by which the judges go.
BROKERS_TIME = {"message.timestamp.type": "LogAppendTime"}
POLICY = {
    "cart_abandonment__idle_s": IDLE_S,
    "cart_abandonment__steps_s": list(STEPS_S),
    "exit_intent__cooldown_s": 10,
    "session__idle_s": 6,
    "learning__horizon_s": 5,
    "worker__session_timeout_s": 8,
}


class Arena:
    """One row's servers and workers; ``figures`` are what the row measures of its own.

    Parameters
    ----------
    seconds
        How long the shoppers of this row keep coming, and faults with them.
    program
        What starts a worker; the campaign's own check takes one with a guard removed.
    """

    def __init__(
        self,
        folder: Path,
        seed: int,
        seconds: float,
        *,
        clock: str = "records",
        policy: Mapping[str, object] | None = None,
        broker: tuple[str, ...] = (),
        program: tuple[str, ...] = cartwake_command("worker"),
    ) -> None:
        self.folder, self.seconds, self.clock = folder, seconds, clock
        self.seed, self.draw = seed, random.Random(seed)
        self.kafka, self.redis = Broker(folder / "kafka", *broker), State(folder / "redis")
        self.observer = Observer(self.redis.port, GROUP, PARTITIONS)
        self.workers: list[Worker] = []
        self.figures: dict[str, object] = {}
        self.faults_ms: list[int] = []
        self.busy_until_ms = self.settled_ms = 0
        self._program = program
        self._stack = ExitStack()
        own = {"worker__clock": clock, "worker__group": GROUP}
        self.environment = {
            f"CARTWAKE_{name.upper()}": str(value)
            for name, value in (POLICY | own | dict(policy or {})).items()
        }
        self.environment["CARTWAKE_KAFKA__BOOTSTRAP"] = self.kafka.for_workers
        self.environment["CARTWAKE_REDIS__URL"] = self.redis.for_workers

    @property
    def settings(self) -> Settings:
        """The settings that the workers have."""
        return load(None, self.environment)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.kafka.kill)
            self.kafka.start()
            stack.callback(self.redis.kill)
            self.redis.start()
            for proxy in (self.kafka.proxy, self.redis.proxy):
                stack.enter_context(proxy)
            self.kafka.create_topics([*LANES, *OUTPUTS], PARTITIONS, BROKERS_TIME)
            self.kafka.create_topics(["training-examples"], 1)
            stack.enter_context(self.observer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_workers(self, count: int, **environment: str) -> list[Worker]:
        """Start workers side by side and return once all are ready."""
        started = [self.start_worker(**environment) for _ in range(count)]
        for worker in started:
            worker.wait_until_ready(worker.is_ready, 90)
        return started

    def start_worker(self, **environment: str) -> Worker:
        """Start one more worker and return at once."""
        name = f"worker-{len(self.workers)}"
        worker = Worker(
            self.folder, self.environment | environment, name=name, program=self._program
        )
        self._stack.callback(worker.kill)
        worker.start(ready_within_s=None)
        self.workers.append(worker)
        return worker

    @property
    def running(self) -> list[Worker]:
        """The workers that are alive."""
        return [worker for worker in self.workers if worker.running]

    @contextmanager
    def shoppers(
        self, rate: float = 40.0, script: Script = shops, mishaps: Mishaps | None = None
    ) -> Iterator[Traffic]:
        """Let shoppers come while the body runs; afterwards the last of them finish."""
        with Traffic(self.kafka.bootstrap, self.seed, rate, script, mishaps) as traffic:
            time.sleep(3.0)  # every shard has had something to do
            yield traffic
            self.busy_until_ms = now_ms()

    @staticmethod
    def metric(worker: Worker, name: str) -> float:
        """Return the sum of a metric over its labels, as a worker's page has it."""
        page = worker.get("/metrics")[1]
        lines = [line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    def fault(self) -> None:
        """Note that here something is broken: pauses of shards from now on are its doing."""
        self.faults_ms.append(now_ms())

    def kill(self, worker: Worker) -> None:
        """Kill a worker with SIGKILL."""
        self.fault()
        worker.signal(signal.SIGKILL)
        worker.wait()

    def settle(self) -> None:
        """Return once all that was written is applied, and all that was decided is published."""
        wait_until(self._is_settled, "all to be applied and published", SETTLES_WITHIN_S)
        if self.clock == "live":  # the last follow-up, counted from the last activity
            time.sleep(IDLE_S + STEPS_S[-1] + 2)
            wait_until(self._is_settled, "all to be published", SETTLES_WITHIN_S)
        self.settled_ms = now_ms()

    def _is_settled(self) -> bool:
        ends = {topic: self.kafka.end_offsets(topic) for topic in LANES}
        for shard in range(PARTITIONS):
            looks = self.observer.looks[shard]
            reached = looks[-1].offsets if looks else {}
            if any(reached.get(topic, 0) != ends[topic][shard] for topic in LANES):
                return False
        with self.redis.client() as client:
            return not any(client.hlen(f"{GROUP}:{{{n}}}:out") for n in range(PARTITIONS))
