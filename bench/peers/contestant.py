"""One start of another engine: its process, its own Redis, and the two marks it prints.

The one rule: a contestant reads ``BENCH_INPUT`` from the start, writes triggers to
``BENCH_OUTPUT``, prints ``BENCH first`` and ``BENCH done`` when it has handled its first and its
``BENCH_TOTAL``-th event, and runs until SIGTERM.
"""

import os
import shutil
import tomllib
import uuid
from pathlib import Path
from typing import Any, Self

from bench.cpu import Reading, peak_mib
from bench.results import FOLDER
from tests.rig.kafka import Kafka
from tests.rig.processes import REPOSITORY, Program, Unavailable
from tests.rig.redis import Redis

HERE = Path(__file__).parent
PYTHON = FOLDER / "peers" / "bin" / "python"
JAVA_OPTIONS = "-Xms512m -Xmx1g -Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
PARTITIONS = 4
STOP_WITHIN_S = 10.0
INSTALL = "run make peers"


def contestants() -> dict[str, dict[str, Any]]:
    """Return all contestants by name."""
    return tomllib.loads((HERE / "contestants.toml").read_text())


class Contestant:
    """A contestant on a loaded input topic; ``with`` starts it and takes away all it has left."""

    def __init__(self, kafka: Kafka, name: str, input_topic: str, total: int, folder: Path) -> None:
        self.kafka = kafka
        self.spec = contestants()[name]
        self.app = f"{name}-{uuid.uuid4().hex[:8]}"
        self.output = f"out-{self.app}"
        self._folder = folder / self.app
        self._redis = Redis(self._folder / "redis") if self.spec.get("redis") else None
        state = self._folder / "state"
        state.mkdir(parents=True)
        environment = os.environ | {
            "BENCH_BOOTSTRAP": kafka.bootstrap,
            "BENCH_INPUT": input_topic,
            "BENCH_OUTPUT": self.output,
            "BENCH_APP": self.app,
            "BENCH_TOTAL": str(total),
            "BENCH_STATE": str(state),
            "BENCH_REDIS": self._redis.url if self._redis else "",
            "BENCH_PYTHON": str(PYTHON),
            "BENCH_JAVA_OPTS": JAVA_OPTIONS,
            "PYTHONUNBUFFERED": "1",
        }
        command = ["sh", "-c", self.spec["command"]]
        self._program = Program(command, self._folder / "output.log", environment)

    def __enter__(self) -> Self:
        self.kafka.create_topics([self.output], PARTITIONS)
        if self._redis:
            self._redis.start()
        self._program.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        if self._redis:
            self._redis.stop()
        # Its changelogs, too.
        self.kafka.delete_topics(topic for topic in self.kafka.topics() if self.app in topic)
        shutil.rmtree(self._folder, ignore_errors=True)

    def mark(self, name: str, within_s: float) -> Reading:
        """Return what had been used when it printed the mark ``first`` or ``done``."""
        self._program.wait_until_ready(lambda: f"BENCH {name}" in self._program.output, within_s)
        return self.reading()

    def reading(self) -> Reading:
        """Return what it, its Redis and Kafka have used by now."""
        redis = {"redis": self._redis.pid} if self._redis else {}
        return Reading.of({"worker": self._program.pid, **redis, "kafka": self.kafka.pid})

    def peak_mib(self) -> float:
        """Return the most memory it has held, MiB."""
        return peak_mib(self._program.pid)

    def end(self) -> None:
        """End it, at last by force."""
        if self._program.running:
            try:
                self._program.stop(STOP_WITHIN_S)
            except TimeoutError:
                return  # it has been killed


def require(name: str) -> None:
    """Say so where a contestant is not installed.

    Raises
    ------
    Unavailable
        The message says what is missing.
    """
    command = contestants()[name]["command"]
    if "BENCH_PYTHON" in command and not PYTHON.exists():
        raise Unavailable(f"no {PYTHON.relative_to(REPOSITORY)}: {INSTALL}")
    for engine in ("kstreams", "flink"):
        if f"java/{engine}/" in command:
            if shutil.which("java") is None:
                raise Unavailable("no Java on PATH")
            if not list((HERE / "java" / engine / "target").glob("*.jar")):
                raise Unavailable(f"the jar of {engine} is not built: {INSTALL}")
